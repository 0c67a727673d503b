"""Answers that are none, or are strange: their first line, the fields of their
header, what says how long the body is, and what comes before and after it.
"""
import hashlib

import bodies
from http1 import Cut
from registry import sin

CONTENT = bodies.version("a", 3000)
LENGTH = b"Content-Length: %d\r\n" % len(CONTENT)
OK = {"outcome": "ok", "body": CONTENT, "http_status": 200, "attempts": 1}
NONE = {"digests": None, "attempts": 1}
PROTOCOL = {"outcome": "protocol", **NONE}
CUT = {"outcome": "cut", **NONE}


def answer(path, *pieces, stays=False, **expect):
    """These bytes, and the end of the connection if it does not stay."""
    @sin(f"answers/{path}", **expect)
    async def handler(connection, _request, _count):
        await connection.send(*pieces)
        if not stays:
            raise Cut


def says(*words):
    """Looks at a message for people."""
    return lambda text: all(word in (text or "") for word in words)


# --- The connection ends too early ---

answer("end/at-once", **CUT)
answer("end/in-status-line", b"HTTP/1.1 20", **CUT)
answer("end/in-name", b"HTTP/1.1 200 OK\r\nContent-Le", **CUT)
answer("end/in-header", b"HTTP/1.1 200 OK\r\nContent-Type: x/y\r\n", **CUT)
answer("end/before-body", b"HTTP/1.1 200 OK\r\n", LENGTH, b"\r\n", **CUT)
answer("end/before-chunks",
       b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", **CUT)
answer("end/after-interim", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
       **CUT)


@sin("answers/end/reset", **CUT)
async def reset(connection, _request, _count):
    connection.close(is_reset=True)
    raise Cut


# --- The first line ---


def status_line(path, line, **expect):
    answer(f"status/{path}", line, b"\r\n", LENGTH, b"\r\n", CONTENT,
           **expect)


status_line("no-reason", b"HTTP/1.1 200", **OK)
status_line("blank-reason", b"HTTP/1.1 200 ", **OK)
status_line("reason-no-utf8", b"HTTP/1.1 200 \xff\xfe\x80", **OK)
status_line("long-reason", b"HTTP/1.1 200 " + b"x" * 60000, **OK)
status_line("lower-case", b"http/1.1 200 OK", **OK)
status_line("000", b"HTTP/1.1 000 X", **PROTOCOL)
status_line("099", b"HTTP/1.1 099 X", **PROTOCOL)
status_line("600", b"HTTP/1.1 600 X", outcome="http", http_status=600, **NONE)
status_line("999", b"HTTP/1.1 999 X", outcome="http", http_status=999, **NONE)
status_line("1000", b"HTTP/1.1 1000 X", **PROTOCOL)
status_line("20", b"HTTP/1.1 20 X", **PROTOCOL)
status_line("2e2", b"HTTP/1.1 2e2 X", **PROTOCOL)
status_line("negative", b"HTTP/1.1 -200 X", **PROTOCOL)
status_line("words", b"HTTP/1.1 OK OK", **PROTOCOL)
status_line("3.7", b"HTTP/3.7 200 OK", **PROTOCOL)
status_line("2.0", b"HTTP/2 200 OK", **PROTOCOL) # libcurl believes it
status_line("1.2", b"HTTP/1.2 200 OK", **PROTOCOL)
status_line("icy", b"ICY 200 OK", **PROTOCOL)
status_line("ftp", b"220 welcome", **PROTOCOL)
answer("status/0.9", CONTENT, **PROTOCOL)
answer("status/0.9-empty-line", b"\r\n\r\n", CONTENT, **PROTOCOL)
answer("status/0.9-zeros", b"\0" * 4096, **PROTOCOL)

# --- Answers to something else ---

status_line("206", b"HTTP/1.1 206 X", **{**PROTOCOL, "http_status": 206})
status_line("304", b"HTTP/1.1 304 X", outcome="http", http_status=304, **NONE)
status_line("416", b"HTTP/1.1 416 X", outcome="http", http_status=416, **NONE)
status_line("204-with-body", b"HTTP/1.1 204 X", outcome="ok", http_status=204,
            size=0, body=b"")
status_line("101", b"HTTP/1.1 101 X", outcome="http", http_status=101, **NONE)
answer("status/101-upgrade",
       b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
       CONTENT, outcome="http", http_status=101, **NONE)
answer("status/205", b"HTTP/1.1 205 X\r\nContent-Length: 0\r\n\r\n",
       outcome="ok", http_status=205, body=b"")

# --- Interim answers ---

INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nETag: \"103\"\r\n\r\n"
GOOD = (b"HTTP/1.1 200 OK\r\n", LENGTH, b"\r\n", CONTENT)
answer("interim/one", INTERIM, *GOOD, etag=None, **OK)
answer("interim/some", INTERIM * 50, *GOOD, etag=None, **OK)
answer("interim/100", b"HTTP/1.1 100 Continue\r\n\r\n", *GOOD, **OK)
answer("interim/199", b"HTTP/1.1 199 X\r\n\r\n", *GOOD, **OK)
answer("interim/with-length",
       b"HTTP/1.1 103 X\r\nContent-Length: 7\r\n\r\n", *GOOD, **OK)
answer("interim/redirect", b"HTTP/1.1 103 X\r\nLocation: /nowhere\r\n\r\n",
       *GOOD, redirects=None, **OK)

# --- The fields ---


def field(path, *lines, **expect):
    answer(f"field/{path}", b"HTTP/1.1 200 OK\r\n", LENGTH,
           b"".join(line + b"\r\n" for line in lines), b"\r\n", CONTENT,
           **expect)


field("no-utf8-etag", b'ETag: "\xff\xfe\x80"', **OK,
      etag='"???"')
field("no-utf8-date", b"Last-Modified: \xc3(", **OK, last_modified="?(")
field("no-utf8-type", b"Content-Type: text/\xe4", **OK, content_type="text/?")
field("no-utf8-name", b"\xff\xfe: x", **OK)
field("nul-etag", b'ETag: "a\0b"', **PROTOCOL)
field("nul-type", b"Content-Type: text/plain\0; charset=x", **PROTOCOL)
field("nul-name", b"X-\0-Y: z", **PROTOCOL)
# What libcurl makes of such a line depends on how it comes in packets.
field("nul-line", b"\0", outcome=lambda got: got in ("ok", "cut", "protocol"),
      digests=lambda got: got is None or got["sha512"] == hashlib.sha512(
          CONTENT).hexdigest())
answer("field/nul-line-unframed", b"HTTP/1.1 200 OK\r\n\0\r\n\r\n", CONTENT,
       outcome=lambda got: got in ("cut", "protocol"), **NONE)
field("controls", b'ETag: "\x01\x02\x1b[31m\x7f"', **OK,
      etag='"???[31m?"')
field("cr-inside", b'ETag: "a\rX-Injected: b"', **OK, etag='"a?X-Injected: b"')
field("empty", b"ETag:", b"Content-Type: ", **OK, etag=None,
      content_type=None)
field("no-colon", b"this is no field", **PROTOCOL)
field("no-name", b": nameless", **OK)
field("blank-before-colon", b'ETag : "a"', **OK, etag=None)
field("folded", b"Content-Type: text/plain;", b" charset=utf-8", **OK,
      content_type=None)
field("folded-etag", b"ETag: \"a\"", b"\tETag: \"b\"", **OK, etag=None)
field("many", *(b"X-%d: y" % number for number in range(1900)), **OK)
field("twice", b'ETag: "a"', b'ETag: "b"', **OK, etag=None)
field("long", b"ETag: \"%s\"" % (b"e" * 50_000), **OK, etag=None)
answer("field/lf-only", b"HTTP/1.1 200 OK\nContent-Length: %d\n\n" %
       len(CONTENT), CONTENT, **OK)

# --- How long it is ---


def length(path, *lines, content=CONTENT, stays=False, **expect):
    answer(f"length/{path}", b"HTTP/1.1 200 OK\r\n",
           b"".join(line + b"\r\n" for line in lines), b"\r\n", content,
           stays=stays, **expect)


CHUNKED = b"Transfer-Encoding: chunked"
IN_CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(CONTENT), CONTENT)
length("twice-the-same", b"Content-Length: 3000", b"Content-Length: 3000",
       **OK)
length("two", b"Content-Length: 3000", b"Content-Length: 2000", **PROTOCOL)
length("two-the-other-way", b"Content-Length: 2000", b"Content-Length: 3000",
       **PROTOCOL)
length("list", b"Content-Length: 3000, 3000", **OK)
length("list-of-others", b"Content-Length: 3000, 3001", **PROTOCOL)
length("folded", b"Content-Length: 30", b" 00", **PROTOCOL)
length("negative", b"Content-Length: -1", **PROTOCOL)
length("minus-body", b"Content-Length: -3000", **PROTOCOL)
length("plus", b"Content-Length: +3000", **PROTOCOL)
length("hex", b"Content-Length: 0xbb8", **PROTOCOL)
length("words", b"Content-Length: many", **PROTOCOL)
length("unit", b"Content-Length: 3000 bytes", **PROTOCOL)
length("fraction", b"Content-Length: 3000.5", **PROTOCOL)
length("empty", b"Content-Length:", **PROTOCOL)
length("huge", b"Content-Length: 4611686018427387904", **CUT)
length("too-huge", b"Content-Length: 9223372036854775807", **PROTOCOL)
length("overflow", b"Content-Length: 99999999999999999999999999", **PROTOCOL)
length("wraps", b"Content-Length: 18446744073709554616", **PROTOCOL)
length("and-chunked", b"Content-Length: 5", CHUNKED, content=IN_CHUNKS,
       **OK)
length("chunked-and", CHUNKED, b"Content-Length: 5", content=IN_CHUNKS,
       **OK)
length("chunked-twice", CHUNKED, CHUNKED, content=IN_CHUNKS, **PROTOCOL)
length("chunked-unknown", b"Transfer-Encoding: squeezed", **PROTOCOL)
answer("length/chunked-in-1.0", b"HTTP/1.0 200 OK\r\n", CHUNKED, b"\r\n\r\n",
       IN_CHUNKS, **OK)
answer("length/2.0-without", b"HTTP/2 200 OK\r\n\r\n", CONTENT, **PROTOCOL)
length("gzip-chunked", b"Transfer-Encoding: gzip, chunked",
       content=IN_CHUNKS, **PROTOCOL)
length("identity-chunked", b"Transfer-Encoding: identity, chunked",
       content=IN_CHUNKS, **OK)

# --- Chunks ---


def chunks(path, content, stays=False, **expect):
    length(f"chunks/{path}", CHUNKED, content=content, stays=stays, **expect)


chunks("extension", b"bb8;a=b;c=\"d\"\r\n%s\r\n0;last\r\n\r\n" % CONTENT,
       **OK)
chunks("upper-case", b"BB8\r\n%s\r\n0\r\n\r\n" % CONTENT, **OK)
chunks("zeros", b"0000000000bb8\r\n%s\r\n000\r\n\r\n" % CONTENT, **OK)
chunks("byte-by-byte", b"".join(
    b"1\r\n%c\r\n" % byte for byte in CONTENT) + b"0\r\n\r\n", **OK)
chunks("size-overflows", b"ffffffffffffffff\r\n%s" % CONTENT, **CUT)
chunks("size-wraps", b"10000000000000bb8\r\n%s\r\n0\r\n\r\n" % CONTENT, **CUT)
chunks("size-negative", b"-bb8\r\n%s\r\n0\r\n\r\n" % CONTENT, **CUT)
chunks("size-long", b"0" * 100 + b"bb8\r\n%s\r\n0\r\n\r\n" % CONTENT, **CUT)
chunks("size-0x", b"0xbb8\r\n%s\r\n0\r\n\r\n" % CONTENT, **PROTOCOL)
chunks("size-missing", b"\r\n%s\r\n0\r\n\r\n" % CONTENT, **CUT)
chunks("empty", b"0\r\n\r\n", **{**OK, "body": b""})
chunks("trailers", b"bb8\r\n%s\r\n0\r\nETag: \"late\"\r\nX: y\r\n\r\n" %
       CONTENT, etag=None, **OK)
chunks("trailer-cut", b"bb8\r\n%s\r\n0\r\nX: y\r\n" % CONTENT, **CUT)
