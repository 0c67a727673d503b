"""More than anybody needs: of headers, interim answers, chunk extensions,
trailers, bodies, redirects; and what comes too slowly.

Each sends 100 MB, or goes on for a minute, unless the client hangs up.
"""
import asyncio
import gzip
import struct
import zlib

import bodies
from http1 import Cut
import registry
from registry import sin, tree

FLOOD = 100_000_000
CONTENT = bodies.version("a", 3000)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
NONE = {"digests": None, "attempts": 1}
PROTOCOL = {"outcome": "protocol", **NONE}


def flood(path, piece, before=b"", times=1, options=(), **expect):
    """`before` and then `piece`, a flood of them, so many times."""
    pieces = piece * max(1, 65536 // len(piece))

    @sin(f"floods/{path}", options=options, **expect)
    async def handler(connection, _request, _count):
        await connection.send(before)
        for _ in range(times * FLOOD // len(pieces)):
            await connection.send(pieces)
        raise Cut


OK_LINE = b"HTTP/1.1 200 OK\r\n"
flood("fields", b"X-Some: thing\r\n", OK_LINE, **PROTOCOL)
flood("etags", b'ETag: "a"\r\n', OK_LINE, **PROTOCOL)
flood("codings", b"Content-Encoding: br\r\n", OK_LINE, **PROTOCOL)
flood("digests", b"Repr-Digest: sha-256=:AAAA:\r\n", OK_LINE, **PROTOCOL)
flood("locations", b"Location: /x\r\n", b"HTTP/1.1 302 X\r\n", **PROTOCOL)
flood("folds", b" x\r\n", OK_LINE + b"ETag: x\r\n", **PROTOCOL)
flood("names", b"x:\n", OK_LINE, **PROTOCOL)
# libcurl gives up a line of 100 KiB by itself, and says so in its own way.
flood("line", b"x", OK_LINE + b"X-Long: ", **PROTOCOL)
flood("name", b"x", OK_LINE, **PROTOCOL)
flood("reason", b"x", b"HTTP/1.1 200 ", **PROTOCOL)
flood("blank-lines", b"\r\n", **PROTOCOL)
flood("interim", b"HTTP/1.1 103 Early Hints\r\n\r\n", **PROTOCOL)
flood("continue", b"HTTP/1.1 100 Continue\r\n\r\n", **PROTOCOL)
flood("trailers", b"X: y\r\n", CHUNKED + b"3\r\nabc\r\n0\r\n", **PROTOCOL)
flood("trailer", b"x", CHUNKED + b"3\r\nabc\r\n0\r\nX: ", outcome="cut", **NONE)
flood("error-page", b"x", b"HTTP/1.1 404 X\r\n\r\n", outcome="http",
      http_status=404, **NONE)


# Of bytes that are no body none makes a transfer fast enough.
SLOW = ("--speed-time", "1", "--speed-limit", "2000")
flood("chunk-extension", b"x", CHUNKED + b"3;", times=1000, options=SLOW,
      outcome="timeout", **NONE)

# --- Bodies ---

SMALL = ("--max-filesize", "1048576")
LARGE = {"outcome": "too_large", **NONE}
flood("body", b"x", OK_LINE + b"\r\n", options=SMALL, **LARGE)
flood("chunks", b"1\r\nx\r\n", CHUNKED, options=SMALL, **LARGE)
flood("told", b"x", OK_LINE + b"Content-Length: 2000000\r\n\r\n",
      options=SMALL, **LARGE)


@sin("floods/just-as-large", options=SMALL, outcome="ok",
     body=bodies.content(1 << 20))
async def just_as_large(connection, _request, _count):
    await connection.answer(200, bodies.content(1 << 20))


def bomb():
    """100 MB of zeros, as 100 KB: the deflate stream, its CRC and Adler sums.
    A megabyte's blocks, repeated: the server has to begin soon."""
    megabyte = bytes(1_000_000)
    squeeze = zlib.compressobj(9, wbits=-15)
    blocks = squeeze.compress(megabyte) + squeeze.flush(zlib.Z_FULL_FLUSH)
    crc, adler = 0, 1
    for _ in range(100):
        crc = zlib.crc32(megabyte, crc)
        adler = zlib.adler32(megabyte, adler)
    return blocks * 100 + b"\3\0", crc, adler


DEFLATED, CRC, ADLER = bomb()
BOMB = (gzip.compress(b"", mtime=0)[:10] + DEFLATED +
        struct.pack("<II", CRC, 100_000_000))


@sin("floods/gzip-unasked", options=SMALL, outcome="ok", body=BOMB)
async def gzip_unasked(connection, request, _count):
    """Nobody asked for an encoding: the bytes are hashed as they are."""
    assert "accept-encoding" not in request.headers
    await connection.answer(200, BOMB, [("Content-Encoding", "gzip")])


# Asked for: what comes out of it counts, and what goes in without that.
UNPACKED = ("--compressed", *SMALL)
GZIP = OK_LINE + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
ENDLESS = OK_LINE + b"Content-Encoding: gzip\r\n\r\n"
EMPTY = gzip.compress(b"", mtime=0)
HEADER, NOTHING = EMPTY[:10], b"\0\0\0\xff\xff" # of deflate: a block of no bytes


def unpacks(path, head, content, **expect):
    @sin(f"floods/gzip/{path}", options=UNPACKED, **expect)
    async def handler(connection, request, _count):
        assert "gzip" in request.headers["accept-encoding"]
        await connection.send(head % len(content) if b"%" in head else head,
                              content)
        raise Cut


unpacks("bomb", GZIP, BOMB, **LARGE)
unpacks("bomb-in-chunks", CHUNKED.replace(
    b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"),
    b"%x\r\n%s\r\n0\r\n\r\n" % (len(BOMB), BOMB), **LARGE)
unpacks("bomb-of-deflate", GZIP.replace(b"gzip", b"deflate"),
        b"\x78\xda" + DEFLATED + struct.pack(">I", ADLER), **LARGE)
unpacks("bomb-in-bomb", GZIP, gzip.compress(BOMB * 100, 1, mtime=0), **LARGE)
unpacks("twice", GZIP.replace(b"gzip", b"gzip, gzip"),
        gzip.compress(BOMB, mtime=0), **PROTOCOL)
unpacks("just-as-large", GZIP, gzip.compress(bodies.content(1 << 20), mtime=0),
        outcome="ok", decoded=True, body=bodies.content(1 << 20))
unpacks("one-byte-more", GZIP, gzip.compress(bytes((1 << 20) + 1), mtime=0),
        **LARGE)
unpacks("members", GZIP, EMPTY * 100 + gzip.compress(CONTENT, mtime=0) + EMPTY,
        outcome="ok", decoded=True, body=CONTENT)
unpacks("long-name", GZIP, EMPTY[:3] + b"\x08" + EMPTY[4:10] +
        b"n" * 100_000 + b"\0" + gzip.compress(CONTENT, mtime=0)[10:], outcome="ok",
        decoded=True, body=CONTENT)
unpacks("cut", GZIP, gzip.compress(CONTENT, mtime=0)[:-1], **PROTOCOL)
unpacks("wrong-sum", GZIP, gzip.compress(CONTENT, mtime=0)[:-8] + bytes(8), **PROTOCOL)
unpacks("wrong-size", GZIP, gzip.compress(CONTENT, mtime=0)[:-4] + bytes(4), **PROTOCOL)
unpacks("more-behind", GZIP, gzip.compress(CONTENT, mtime=0) + b"x", **PROTOCOL)
flood("gzip/empty-members", EMPTY, ENDLESS, options=UNPACKED, **LARGE)
flood("gzip/empty-blocks", NOTHING, ENDLESS + HEADER, options=UNPACKED,
      **LARGE)
flood("gzip/name", b"n", ENDLESS + EMPTY[:3] + b"\x08" + EMPTY[4:10],
      options=UNPACKED, **LARGE)


# --- Redirects ---

REDIRECTS = {"outcome": "redirects", "redirects": 10, **NONE}


@tree("onward")
async def onward(connection, _request, _count, rest):
    """/onward/HOW/N leads to /onward/HOW/N+1."""
    how, number, *_ = rest.split("/")
    number = int(number) + 1
    to = f"/onward/{how}/{number}"
    if how == "long": # each a few KiB longer than the one before
        to += "/" + "x" * (number * 8000)
    await connection.answer(302, b"there" * (2000 if how == "large" else 1),
                            [("Location", to)])


def leads(path, to, **expect):
    @sin(f"redirects/{path}", **expect)
    async def handler(connection, _request, _count):
        await connection.send(b"HTTP/1.1 302 X\r\nContent-Length: 0\r\n"
                              b"Location: %s\r\n\r\n" % to)


leads("loop", b"/redirects/loop", **REDIRECTS)
leads("loop-of-two", b"/redirects/other-of-two", **REDIRECTS)
leads("other-of-two", b"/redirects/loop-of-two", **REDIRECTS)
leads("storm", b"/onward/storm/0", **REDIRECTS)
leads("storm-of-pages", b"/onward/large/0", **REDIRECTS)
leads("longer-and-longer", b"/onward/long/0", outcome="http", http_status=302,
      redirects=9, **NONE) # a Location that is too long is none
leads("long", b"/" + b"x" * 60_000, outcome="http", http_status=404, **NONE)
leads("too-long", b"/" + b"x" * 66_000, outcome="http", http_status=302,
      **NONE)
leads("line", b"x" * 200_000, **PROTOCOL)
leads("nul", b"/a\0b", **PROTOCOL)
for name, to in (
        ("cr", b"/a\rSet-Cookie: b"), ("control", b"/a\x01b"),
        ("port", b"http://127.0.0.1:99999/"), ("no-host", b"http:///"), ("half-bracket", b"http://[::1/")):
    leads(name, to, outcome="invalid_url", **NONE)
for scheme in (b"file:///etc/passwd", b"gopher://127.0.0.1/", b"ftp://a/b",
               b"ldap://a/", b"dict://127.0.0.1:11211/stats",
               b"smb://a/b", b"ws://127.0.0.1/", b"1http://x/"):
    leads(scheme.partition(b":")[0].decode(), scheme, outcome="scheme",
          **NONE)
for name, to in (("javascript", b"javascript:alert(1)"),
                 ("data", b"data:text/plain,x"), ("mailto", b"mailto:a@b.c")):
    leads(name, to, outcome=lambda got: got in ("scheme", "invalid_url",
                                                "http"), **NONE)
# Bytes beyond ASCII are encoded, as every browser does.
leads("no-utf8", b"/\xff\xfe", outcome="http", http_status=404,
      final_url=lambda url: url.endswith("/%ff%fe"), **NONE)
leads("blank", b"/a b", outcome="http", http_status=404,
      final_url=lambda url: url.endswith("/a%20b"), **NONE)
leads("empty", b"", outcome="http", http_status=302, **NONE)
# Nothing is sent there: a fleet's fetcher may not, and a machine will not.
leads("broadcast", b"http://255.255.255.255/",
      outcome=lambda got: got in ("blocked_address", "connect"), **NONE)


@sin("redirects/two-locations", outcome="ok", body=CONTENT, redirects=1)
async def two_locations(connection, _request, _count):
    await connection.send(b"HTTP/1.1 302 X\r\nContent-Length: 0\r\n"
                          b"Location: /plain\r\nLocation: /nowhere\r\n\r\n")


@tree("plain")
async def plain(connection, _request, _count, _rest):
    await connection.answer(200, CONTENT)


# --- Too slow ---

TIMEOUT = {"outcome": "timeout", "options": SLOW, **NONE}


def drips(path, before, piece, after=b"", seconds=60, every=0.1, **expect):
    """One piece, and the next one after a while."""
    @sin(f"slow/{path}", **expect)
    async def handler(connection, _request, _count):
        await connection.send(before)
        for _ in range(int(seconds / every)):
            await connection.send(piece)
            await asyncio.sleep(every)
        await connection.send(after)
        raise Cut


drips("no-answer", b"", b"", **TIMEOUT)
drips("status-line", b"HTTP/1.1 200 ", b"x", **TIMEOUT)
drips("header", OK_LINE, b"X: y\r\n", **TIMEOUT)
drips("interim", b"", b"HTTP/1.1 103 X\r\n\r\n", **TIMEOUT)
drips("body", OK_LINE + b"\r\n", b"x", **TIMEOUT)
drips("chunk-extension", CHUNKED + b"3;", b"x", **TIMEOUT)
drips("trailers", CHUNKED + b"3\r\nabc\r\n0\r\n", b"X: y\r\n", **TIMEOUT)
drips("stalls", OK_LINE + b"Content-Length: 9\r\n\r\nabc", b"", **TIMEOUT)
drips("fast-enough", OK_LINE + b"Content-Length: 30000\r\n\r\n", b"x" * 1000,
      seconds=3, outcome="ok", options=SLOW, body=b"x" * 30_000)


# --- More than one answer ---


@tree("more")
async def more(connection, request, _count, rest):
    """Its own content, and then an answer that nobody asked for."""
    how, _, _ = rest.partition("/")
    content = request.target.encode()
    answer = connection.head(200, [("Content-Length", len(content))]) + content
    unasked = connection.head(200, [("Content-Length", 6)]) + b"poison"
    if how == "together":
        await connection.send(answer + unasked)
    elif how == "no-body":
        await connection.send(connection.head(204, []) + unasked)
    elif how == "apart":
        await connection.send(answer)
        await asyncio.sleep(0.02)
        await connection.send(unasked)
        await connection.drained()
        registry.COUNTS["poison"] += 1
    else:
        await connection.send(answer + b"\r\n\r\n")
