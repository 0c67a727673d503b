"""Messages that do not end as they should, or do not say where they end."""
import bodies
from http1 import Cut
from registry import sin

CONTENT = bodies.version("a", 200_000)
ETAG = ("ETag", '"a"')


@sin("framing/short", outcome="cut", resumes=None)
async def short(connection, _request, _count):
    await connection.send(
        connection.head(200, [("Content-Length", len(CONTENT) + 1)]), CONTENT)
    raise Cut


@sin("framing/long", outcome="ok", size=1000, body=CONTENT[:1000])
async def long(connection, _request, _count):
    """The body is as long as the message says; what follows is none of it."""
    await connection.send(connection.head(200, [("Content-Length", 1000)]),
                          CONTENT[:2000])
    raise Cut


@sin("framing/chunk-cut", outcome="cut", resumes=None)
async def chunk_cut(connection, _request, _count):
    await connection.send(
        connection.head(200, [("Transfer-Encoding", "chunked")]),
        b"%x\r\n" % len(CONTENT), CONTENT[:-1])
    raise Cut


@sin("framing/last-chunk-missing", outcome="cut", resumes=None)
async def last_chunk_missing(connection, _request, _count):
    await connection.send(
        connection.head(200, [("Transfer-Encoding", "chunked")]),
        b"%x\r\n" % len(CONTENT), CONTENT, b"\r\n")
    raise Cut


@sin("framing/chunk-bad", outcome="cut", resumes=None)
async def chunk_bad(connection, _request, _count):
    """Its bytes cannot be trusted, so nothing goes on from them, though it has
    a strong validator."""
    await connection.send(
        connection.head(200, [("Transfer-Encoding", "chunked"), ETAG]),
        b"%x\r\n" % len(CONTENT), CONTENT[:-5], b"\r\nffff\r\n")
    raise Cut


@sin("framing/chunk-no-size", outcome="cut", resumes=None)
async def chunk_no_size(connection, _request, _count):
    await connection.send(
        connection.head(200, [("Transfer-Encoding", "chunked"), ETAG]),
        b"3\r\nabc\r\nxyz\r\n")
    raise Cut


@sin("framing/reset", outcome="cut", resumes=None)
async def reset(connection, _request, _count):
    await connection.send(connection.head(200, [("Connection", "close")]),
                          CONTENT)
    connection.close(is_reset=True)
    raise Cut


# --- No framing at all: accepted, and said ---


@sin("framing/http10", outcome="ok", unframed=True, http_version=10,
     body=CONTENT)
async def http10(connection, _request, _count):
    await connection.send(connection.head(200, [ETAG], "1.0"), CONTENT)
    raise Cut


@sin("framing/http10-empty", outcome="ok", unframed=True, size=0, body=b"")
async def http10_empty(connection, _request, _count):
    await connection.send(connection.head(200, [], "1.0"))
    raise Cut


@sin("framing/http10-length", outcome="ok", unframed=None, body=CONTENT)
async def http10_length(connection, _request, _count):
    await connection.answer(200, CONTENT, version="1.0")
    raise Cut


@sin("framing/close", outcome="ok", unframed=True, http_version=11,
     body=CONTENT)
async def close(connection, _request, _count):
    await connection.send(connection.head(200, [("Connection", "close")]),
                          CONTENT)
    raise Cut


@sin("framing/chunked", outcome="ok", unframed=None, body=CONTENT)
async def chunked(connection, _request, _count):
    await connection.send(
        connection.head(200, [("Transfer-Encoding", "chunked")]),
        b"%x\r\n" % len(CONTENT), CONTENT, b"\r\n0\r\n\r\n")


@sin("framing/no-content", outcome="ok", http_status=204, unframed=None,
     size=0, body=b"")
async def no_content(connection, _request, _count):
    await connection.send(connection.head(204, []))


@sin("framing/resumed", outcome="ok", unframed=None, resumes=1, body=CONTENT)
async def resumed(connection, request, count):
    """Without a length, cut by a reset; the part tells the length."""
    if count == 0:
        await connection.send(
            connection.head(200, [("Connection", "close"), ETAG]),
            CONTENT[:100_000])
        # What is on its way goes with a reset: let it arrive.
        await connection.drained()
        connection.close(is_reset=True)
        raise Cut
    start = request.range_start()
    await connection.answer(206, CONTENT[start:], [
        ETAG, ("Content-Range",
               f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")])
