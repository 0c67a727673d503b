"""Bodies that are cut, and every way to answer the request for the rest."""
import bodies
from http1 import Cut
from registry import sin, tree

STREAM = 300_000  # leaves the fetcher in pieces
SMALL = 24_000    # waits there until it is whole
ETAG = ("ETag", '"a"')
NEW_ETAG = ("ETag", '"b"')


def whole(size, name="a"):
    return bodies.version(name, size)


async def cut(connection, content, at, headers, status=200):
    """Announces the content, sends so many bytes, and ends the connection."""
    await connection.send(
        connection.head(status, [("Content-Length", len(content)), *headers]),
        content[:at])
    raise Cut


def part(content, start, total=None, first=None, last=None):
    """The bytes from start on, and a Content-Range that may say otherwise."""
    first = start if first is None else first
    last = len(content) - 1 if last is None else last
    total = len(content) if total is None else total
    return content[start:], ("Content-Range", f"bytes {first}-{last}/{total}")


def both(path, **expect):
    """As sin(), for a large and a small body; the handler gets the size."""
    def register(handler):
        for suffix, size in (("", STREAM), ("-small", SMALL)):
            more = {key: value(size) if key == "body" else value
                    for key, value in expect.items()}
            sin(f"resume/{path}{suffix}", (size,), **more)(handler)
        return handler
    return register


def cut_first(headers=(ETAG,)):
    """The first answer is cut at two thirds; the handler gives the others."""
    def wrap(handler):
        async def wrapped(connection, request, count, size):
            if count == 0:
                await cut(connection, whole(size), size * 2 // 3, headers)
            await handler(connection, request, count, size)
        return wrapped
    return wrap


OK = {"outcome": "ok", "attempts": 1, "http_status": 200, "body": whole}
CUT = {"outcome": "cut", "attempts": 1, "digests": None}

# --- Servers that can do it ---


@both("honest", **OK, resumes=1, etag='"a"')
@cut_first()
async def honest(connection, request, _count, size):
    assert request.headers["if-range"] == '"a"'
    content, content_range = part(whole(size), request.range_start())
    await connection.answer(206, content, [ETAG, content_range])


DATES = [("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
         ("Date", "Sun, 06 Nov 1994 08:50:37 GMT")]


@both("date", **OK, resumes=1)
@cut_first(DATES)
async def date(connection, request, _count, size):
    assert request.headers["if-range"] == DATES[0][1]
    content, content_range = part(whole(size), request.range_start())
    await connection.answer(206, content, [*DATES, content_range])


@both("again-and-again", **OK, resumes=5)
async def again_and_again(connection, request, count, size):
    start = request.range_start() or 0
    content, content_range = part(whole(size), start)
    headers = [ETAG, content_range] if count else [ETAG]
    if count == 5:
        await connection.answer(206, content, headers)
    else:
        await cut(connection, content, size // 6, headers,
                  206 if count else 200)


@both("in-parts", **OK, resumes=4)
@cut_first()
async def in_parts(connection, request, _count, size):
    start = request.range_start()
    end = min(size, start + size // 12)
    content, content_range = part(whole(size), start, last=end - 1)
    await connection.answer(206, content[:end - start], [ETAG, content_range])


@both("chunked-part", **OK, resumes=2)
@cut_first()
async def chunked_part(connection, request, count, size):
    """Its first part ends too early, well framed."""
    content, content_range = part(whole(size), request.range_start())
    if count == 1:
        content = content[:100]
    await connection.send(
        connection.head(206, [("Transfer-Encoding", "chunked"), ETAG,
                              content_range]),
        b"%x\r\n" % len(content), content, b"\r\n0\r\n\r\n")


@both("total-not-told", **OK, resumes=1)
@cut_first()
async def total_not_told(connection, request, _count, size):
    content, content_range = part(whole(size), request.range_start(),
                                  total="*")
    await connection.answer(206, content, [ETAG, content_range])


@both("end-missing", **OK, resumes=1)
async def end_missing(connection, request, count, size):
    """All bytes came, but not the last chunk."""
    if count == 0:
        await connection.send(
            connection.head(200, [("Transfer-Encoding", "chunked"), ETAG]),
            b"%x\r\n" % size, whole(size), b"\r\n")
        raise Cut
    assert request.range_start() == size
    await connection.answer(416, b"no more", [
        ETAG, ("Content-Range", f"bytes */{size}")])


# --- Servers that send the whole again, which then is what counts ---


@both("whole-again", **OK, resumes=1)
@cut_first()
async def whole_again(connection, _request, _count, size):
    await connection.answer(200, whole(size), [ETAG])


@both("changed", **{**OK, "body": lambda size: whole(size + 99, "b")},
      resumes=1, etag='"b"')
@cut_first()
async def changed(connection, _request, _count, size):
    await connection.answer(200, whole(size + 99, "b"), [NEW_ETAG])


@both("shrunken", **{**OK, "body": lambda size: whole(1234, "b")}, resumes=1)
@cut_first()
async def shrunken(connection, _request, _count, _size):
    await connection.answer(200, whole(1234, "b"), [NEW_ETAG])


@both("emptied", **{**OK, "body": lambda size: b""}, resumes=1, size=0)
@cut_first()
async def emptied(connection, _request, _count, _size):
    await connection.answer(200, b"", [NEW_ETAG])


@both("changed-and-cut", **{**OK, "body": lambda size: whole(size, "b")},
      resumes=2)
@cut_first()
async def changed_and_cut(connection, request, count, size):
    content = whole(size, "b")
    if count == 1:
        await cut(connection, content, size // 2, [NEW_ETAG])
    assert request.headers["if-range"] == '"b"'
    content, content_range = part(content, request.range_start())
    await connection.answer(206, content, [NEW_ETAG, content_range])


@both("whole-again-and-again", **CUT, resumes=2)
async def whole_again_and_again(connection, _request, _count, size):
    await cut(connection, whole(size), size // 2, [ETAG])


# --- Parts that are none of this body: asked for anew ---


def wrong_part(path, headers, status=206, shift=0, content=None):
    """A part with these headers; then the whole, as asked for plainly."""
    @both(path, **OK, resumes=2)
    @cut_first()
    async def wrong(connection, request, _count, size):
        start = request.range_start()
        if start is None:
            assert "if-range" not in request.headers
            await connection.answer(200, whole(size), [ETAG])
            return
        rest = whole(size)[start + shift:] if content is None else content
        await connection.answer(status, rest, headers(start, size))


wrong_part("starts-late", lambda start, size: [
    ETAG, ("Content-Range", f"bytes {start + 1}-{size - 1}/{size}")], shift=1)
wrong_part("starts-early", lambda start, size: [
    ETAG, ("Content-Range", f"bytes {start - 1}-{size - 1}/{size}")],
    shift=-1)
wrong_part("wrong-total", lambda start, size: [
    ETAG, ("Content-Range", f"bytes {start}-{size - 1}/{size + 1}")])
wrong_part("wrong-length", lambda start, size: [
    ETAG, ("Content-Range", f"bytes {start}-{size - 2}/{size}")])
wrong_part("no-content-range", lambda start, size: [ETAG])
wrong_part("bad-content-range", lambda start, size: [
    ETAG, ("Content-Range", f"bytes={start}-{size - 1}/{size}")])
wrong_part("two-content-ranges", lambda start, size: [
    ETAG, ("Content-Range", f"bytes {start}-{size - 1}/{size}"),
    ("Content-Range", f"bytes 0-{size - 1}/{size}")])
wrong_part("multipart", lambda start, size: [
    ETAG, ("Content-Type", "multipart/byteranges; boundary=x")],
    content=b"--x\r\nContent-Range: bytes 1-2/3\r\n\r\nab\r\n--x--\r\n")
wrong_part("etag-changed", lambda start, size: [
    NEW_ETAG, ("Content-Range", f"bytes {start}-{size - 1}/{size}")])
wrong_part("etag-weakened", lambda start, size: [
    ("ETag", 'W/"a"'), ("Content-Range", f"bytes {start}-{size - 1}/{size}")])
wrong_part("etag-gone", lambda start, size: [
    ("Content-Range", f"bytes {start}-{size - 1}/{size}")])
wrong_part("encoding-appears", lambda start, size: [
    ETAG, ("Content-Encoding", "gzip"),
    ("Content-Range", f"bytes {start}-{size - 1}/{size}")])
wrong_part("no-such-range", lambda start, size: [
    ETAG, ("Content-Range", f"bytes */{start - 1}")], status=416,
    content=b"no")
wrong_part("no-such-range-nor-length", lambda start, size: [ETAG], status=416,
           content=b"no")
wrong_part("complete-it-says", lambda start, size: [
    ETAG, ("Content-Range", f"bytes */{start}")], status=416, content=b"no")
wrong_part("refuses-if-range", lambda start, size: [], status=400,
           content=b"no")
wrong_part("redirects-parts", lambda start, size: [
    ("Location", "/resume/elsewhere")], status=302, content=b"there")
wrong_part("if-range-ignored", lambda start, size: [
    NEW_ETAG, ("Content-Range", f"bytes {start}-{size - 1}/{size}")],
    content=None)


@both("ends-at-new-end", **{**OK, "body": lambda size: whole(size // 2, "b")},
      resumes=2)
async def ends_at_new_end(connection, request, count, size):
    """A chunked body; the new version ends where the old one was cut."""
    if count == 0:
        await connection.send(
            connection.head(200, [("Transfer-Encoding", "chunked"), ETAG]),
            b"%x\r\n" % size, whole(size)[:size // 2])
        raise Cut
    if request.range_start() is not None:
        await connection.answer(416, b"", [
            NEW_ETAG, ("Content-Range", f"bytes */{request.range_start()}")])
    else:
        await connection.answer(200, whole(size // 2, "b"), [NEW_ETAG])


# --- Redirects ---


@tree("place")
async def place(connection, request, count, rest):
    """Where a redirect led: /place/{kind}/{size}/{number}."""
    kind, size, number = rest.split("/")
    content = whole(int(size))
    if kind == "expires" and (count > 0 or number == "0" and
                              request.range_start() is not None):
        await connection.answer(403, b"expired")
    elif request.range_start() is None and number == "0":
        await cut(connection, content, int(size) // 2, [ETAG])
    elif request.range_start() is None:
        await connection.answer(200, content, [ETAG])
    else:
        content, content_range = part(content, request.range_start())
        await connection.answer(206, content, [ETAG, content_range])


@both("redirected", **OK, resumes=1, redirects=1)
async def redirected(connection, _request, count, size):
    assert count == 0, "the part is asked for where the body was"
    await connection.answer(302, b"there", [
        ("Location", f"/place/stays/{size}/0")])


@both("redirect-expires", **OK, resumes=2, redirects=1,
      final_url=lambda value: value.endswith("/1"))
async def redirect_expires(connection, _request, count, size):
    await connection.answer(302, b"there", [
        ("Location", f"/place/expires/{size}/{count}")])


# --- Nothing can be done, or not any more ---


def hopeless(path, headers):
    @both(path, **CUT, resumes=None)
    async def cut_always(connection, request, _count, size):
        assert request.range_start() is None
        await cut(connection, whole(size), size // 2, headers)


hopeless("no-validator", [])
hopeless("weak-etag", [("ETag", 'W/"a"'), *DATES])
hopeless("two-etags", [ETAG, NEW_ETAG])
hopeless("young-date", [DATES[0], ("Date", "Sun, 06 Nov 1994 08:50:00 GMT")])
hopeless("no-ranges", [ETAG, ("Accept-Ranges", "none")])


@both("part-too-long", **CUT, resumes=1)
@cut_first()
async def part_too_long(connection, request, _count, size):
    content, content_range = part(whole(size), request.range_start())
    await connection.send(
        connection.head(206, [("Transfer-Encoding", "chunked"), ETAG,
                              content_range]),
        b"%x\r\n" % (len(content) + 1), content, b"!\r\n0\r\n\r\n")


@both("idle", **CUT, resumes=3)
@cut_first()
async def idle(connection, _request, _count, _size):
    raise Cut


@both("byte-by-byte", **CUT, resumes=20)
async def byte_by_byte(connection, request, count, size):
    start = request.range_start() or 0
    content, content_range = part(whole(size), start)
    await cut(connection, content, 1, [ETAG, content_range] if count
              else [ETAG], 206 if count else 200)


@both("busy", outcome="http", http_status=500, resumes=1, attempts=1)
@cut_first()
async def busy(connection, _request, _count, _size):
    await connection.answer(500, b"later")


@both("gone", outcome="http", http_status=404, resumes=2, attempts=1)
@cut_first()
async def gone(connection, _request, _count, _size):
    await connection.answer(404, b"gone")


@both("unasked", outcome="protocol", http_status=206, resumes=None)
async def unasked(connection, _request, _count, size):
    content, content_range = part(whole(size), 0)
    await connection.answer(206, content, [ETAG, content_range])
