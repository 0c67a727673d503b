#!/usr/bin/python3
"""A web server with a path for every sin.

    serve.py [CERTIFICATE KEY]

With a certificate it speaks https, and HTTP/1.1 alone there. Binds a free port
of 127.0.0.1, prints `port=N` and serves until its stdin ends. /stats
tells, as JSON, how often each path was asked for.
"""
import json
import pathlib
import ssl
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import http1  # noqa: E402
import registry  # noqa: E402
import sins  # noqa: E402,F401 - registers them
import until_stdin_ends  # noqa: E402

counts = registry.COUNTS


async def dispatch(connection, request):
    path, _, _ = request.target.lstrip("/").partition("?")
    if path == "stats":
        content = json.dumps(counts).encode("ascii")
        await connection.answer(200, content)
        return
    count = counts[path]
    counts[path] += 1
    name, _, rest = path.partition("/")
    found = registry.SINS.get(path)
    if found:
        await found.handler(connection, request, count, *found.args)
    elif name in registry.TREES:
        await registry.TREES[name](connection, request, count, rest)
    else:
        await connection.answer(404, b"no such sin")


async def serve(reader, writer):
    connection = http1.Connection(reader, writer)
    try:
        while True:
            request = await connection.read()
            if request is None:
                break
            await dispatch(connection, request)
    except (http1.Cut, ConnectionError):
        pass
    finally:
        connection.close()


if __name__ == "__main__":
    context = None
    if len(sys.argv) > 1:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*sys.argv[1:])
    until_stdin_ends.serve(serve, backlog=4096, context=context)
