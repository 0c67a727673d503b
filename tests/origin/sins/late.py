"""What comes over a connection between one answer and the next, or in the wrong
order: the rest of an answer that is over, an answer that nobody asked for, one
that says it were HTTP/2. Each waits for the request that it means to harm.
"""
import asyncio

import bodies
from http1 import Cut
from registry import COUNTS, tree

# No answers, whatever a client makes of them.
JUNK = {
    "blank-line": b"\r\n",
    "page": b"<html>nothing here</html>\r\n",
    "content": bodies.version("a", 3000),
    "zeros": bytes(4096),
    "version": b"HTTP/1.2 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    "number": b"HTTP/1.1 20 OK\r\nContent-Length: 6\r\n\r\npoison",
}


@tree("junk")
async def junk(connection, request, _count, rest):
    """Its own content; behind it, when the next request has come, what is no
    answer, and only then that one's."""
    content = request.target.encode()
    await connection.answer(200, content)
    following = await connection.read()
    if not following:
        raise Cut
    COUNTS["junk sent"] += 1
    content = following.target.encode()
    await connection.send(
        JUNK[rest.partition("/")[0]],
        connection.head(200, [("Content-Length", len(content))]), content)


HEADS = {
    "204": (204, [("Content-Length", "6")]),
    "204-bare": (204, []),
    "205": (205, [("Content-Length", "0")]),
    "304": (304, [("Content-Length", "6")]),
    "two-ends": (200, [("Content-Length", "0"),
                       ("Transfer-Encoding", "chunked")]),
}


@tree("bodyless")
async def bodyless(connection, _request, _count, rest):
    """A header with no body by definition, or of doubtful length, and an answer
    to whoever trusts that nothing follows it."""
    how = rest.partition("/")[0]
    chunks = b"0\r\n\r\n" if how == "two-ends" else b""
    await connection.send(connection.head(*HEADS[how]), chunks)
    if not await connection.read():
        raise Cut
    COUNTS["poison"] += 1
    await connection.answer(200, b"poison")


async def meets_another(connection, seconds):
    """Whether a further request comes while one is answered."""
    try:
        if await asyncio.wait_for(connection.read(), seconds):
            COUNTS["at the same time"] += 1
    except asyncio.TimeoutError:
        pass


@tree("second-record")
async def second_record(connection, request, _count, _rest):
    """By TLS: a body, and in its record another answer. Who reads no more than
    the body leaves that within TLS, where no look at the socket finds it."""
    content = request.target.encode()
    await connection.send(
        connection.head(200, [("Content-Length", len(content))]))
    await connection.send(
        content, connection.head(200, [("Content-Length", 6)]), b"poison")
    if await connection.read():
        COUNTS["poison"] += 1
    raise Cut


@tree("says-http2")
async def says_http2(connection, request, _count, _rest):
    """A first line that is none in HTTP/1.1, and the rest of it later."""
    content = request.target.encode()
    await connection.send(b"HTTP/2 200 OK\r\n")
    await meets_another(connection, 0.2)
    await connection.send(b"Content-Length: %d\r\n\r\n" % len(content),
                          content)


@tree("slow")
async def slow(connection, request, _count, _rest):
    await meets_another(connection, 1)
    await connection.answer(200, request.target.encode())


@tree("echo")
async def echo(connection, request, _count, _rest):
    await connection.answer(200, request.target.encode())


@tree("reset-next")
async def reset_next(connection, request, _count, _rest):
    """Resets the connection when its next request comes."""
    await connection.answer(200, request.target.encode())
    if await connection.read():
        COUNTS["resets"] += 1
        connection.close(is_reset=True)
    raise Cut
