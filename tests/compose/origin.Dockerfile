# nginx with the files of the build context's www/: see tests/compose/run.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get install -y --no-install-recommends nginx-light \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY nginx.conf pace.conf /etc/nginx/
COPY www /www
CMD ["nginx"]
