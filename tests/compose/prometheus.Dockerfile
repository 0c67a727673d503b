# Debian's Prometheus, a program of the build context, as prom/prometheus has it.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
COPY prometheus /bin/prometheus
RUN install -d -o nobody -g nogroup /prometheus
USER nobody
ENTRYPOINT ["/bin/prometheus"]
