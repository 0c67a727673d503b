"""Random bodies, random cuts, random manners, all from one number.

/torture/SEED is one server's behaviour. Plan(SEED) says what it is, to the
server and to the test alike: the contents that are right, whether an honest
client must get one, and how often it goes on.
"""
import random

import bodies
from http1 import Cut
from registry import tree

# manner: how often among a hundred
HONEST = {"etag": 30, "date": 8, "in_parts": 6, "unsized": 6}
RESTARTS = {"ignores_ranges": 6, "refuses_if_range": 4, "changes": 8}
LIARS = {
    "changes_and_ignores_if_range": 5, "wrong_start": 4, "wrong_total": 4,
    "no_content_range": 3, "etag_of_the_day": 4, "too_long": 3, "encodes": 2,
    "complains": 3, "says_complete": 3}
OTHERS = {"weak": 4, "nothing": 4, "busy": 3, "breaks_chunks": 3}
WEIGHTS = {**HONEST, **RESTARTS, **LIARS, **OTHERS}
SIZES = ((1, 100), (100, 20_000), (20_000, 131_072), (131_072, 400_000))


class Plan:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.manner = self.random.choices(list(WEIGHTS),
                                          list(WEIGHTS.values()))[0]
        low, high = self.random.choice(SIZES)
        self.size = self.random.randint(low, high)
        self.at = self.random.randrange(1 << 20)
        # The other version begins the same, as logs and archives do.
        self.same = self.random.randint(0, self.size)
        self.other_size = self.size
        if self.random.random() < 0.5:
            self.other_size = max(1, self.size + self.random.randint(-50, 50))
        # Where each of the first answers is cut, as a part of what it has.
        self.cuts = [self.random.random()
                     for _ in range(self.random.choice((0, 1, 1, 2, 3, 6)))]
        self.resets = [self.random.random() < 0.3 for _ in self.cuts]
        self.changes_at = self.random.randint(1, 3)
        self.is_chunked = self.random.random() < 0.2
        # Of a body whose length nobody told, a lie about it is the truth.
        if self.manner in LIARS:
            self.is_chunked = False
        if self.manner == "breaks_chunks":
            self.size = max(self.size, 100)

    def version(self, is_new):
        old = bodies.content(self.size, self.at)
        if not is_new:
            return old
        more = bodies.content(self.other_size, self.at + 7)
        same = min(self.same, self.other_size - 1)
        return old[:same] + more[same:]

    def changes(self):
        """Whether the other version comes; the last two do not say so."""
        return self.manner in ("changes", "changes_and_ignores_if_range",
                               "weak", "nothing")

    def right(self):
        """All contents whose digest may be printed."""
        found = [self.version(False)]
        if self.changes():
            found.append(self.version(True))
        return found

    def must_succeed(self):
        return self.manner in HONEST


async def send_cut(connection, plan, count, head, content, frame=None):
    """Sends it all, or up to this answer's cut. frame: (before, after)."""
    before, after = frame or (b"", b"")
    if count >= len(plan.cuts):
        await connection.send(head, before, content, after)
        return
    # Not below one byte: what brings nothing, three times, is given up.
    at = min(len(content), 1 + int(plan.cuts[count] * len(content)))
    if frame is None and at == len(content):
        at -= 1 # the last byte would complete it
    if at < 1:
        await connection.send(head, before, content, after)
        return
    await connection.send(head, before, content[:at])
    if plan.resets[count]:
        await connection.drained()
        connection.close(is_reset=True)
    raise Cut


def fields(plan, is_new, count):
    """The validators of an answer."""
    if plan.manner == "date":
        return [("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("Date", "Mon, 07 Nov 1994 08:49:37 GMT")]
    if plan.manner == "weak":
        return [("ETag", 'W/"a"')]
    if plan.manner == "nothing":
        return []
    if plan.manner == "etag_of_the_day":
        return [("ETag", f'"{count}"')]
    return [("ETag", '"b"' if is_new else '"a"')]


async def send_whole(connection, plan, count, content, headers):
    if plan.manner == "breaks_chunks" and count < len(plan.cuts):
        # A chunk that is shorter than it says: the next one's head is in it.
        half = len(content) // 2
        await connection.send(
            connection.head(200, [("Transfer-Encoding", "chunked"), *headers]),
            b"%x\r\n" % (half + 9), content[:half], b"\r\n",
            b"%x\r\n" % (len(content) - half), content[half:],
            b"\r\n0\r\n\r\n")
        raise Cut
    if plan.is_chunked:
        head = connection.head(200, [("Transfer-Encoding", "chunked"),
                                     *headers])
        # A reset is not told from broken chunks, so not resumed.
        plan.resets = [False] * len(plan.cuts)
        await send_cut(connection, plan, count, head, content,
                       (b"%x\r\n" % len(content), b"\r\n0\r\n\r\n"))
        return
    if plan.manner == "unsized" and count >= len(plan.cuts):
        head = connection.head(200, [("Connection", "close"), *headers])
        await connection.send(head, content)
        raise Cut
    head = connection.head(200, [("Content-Length", len(content)), *headers])
    await send_cut(connection, plan, count, head, content)


async def send_part(connection, plan, count, content, start, headers):
    first, last, total = start, len(content) - 1, len(content)
    manner = plan.manner
    if manner == "in_parts":
        last = min(last, start + max(1, len(content) // 10))
    elif manner == "wrong_start":
        first = max(0, start + plan.random.choice((-3, -1, 1, 2)))
        first = min(first, last)
    elif manner == "wrong_total":
        total += plan.random.choice((-1, 1, 100))
        last = min(last, total - 1)
    piece = content[first:last + 1]
    if manner != "no_content_range":
        headers = [*headers, ("Content-Range", f"bytes {first}-{last}/{total}")]
    if manner == "encodes":
        piece = piece[::-1]
        headers = [*headers, ("Content-Encoding", "gzip")]
    if manner == "too_long":
        await connection.send(
            connection.head(206, [("Transfer-Encoding", "chunked"), *headers]),
            b"%x\r\n" % (len(piece) + 3), piece, b"!!!\r\n0\r\n\r\n")
        return
    head = connection.head(206, [("Content-Length", len(piece)), *headers])
    await send_cut(connection, plan, count, head, piece)


@tree("torture")
async def torture(connection, request, count, rest):
    plan = Plan(int(rest))
    manner = plan.manner
    is_new = plan.changes() and count >= plan.changes_at
    content = plan.version(is_new)
    headers = fields(plan, is_new, count)
    start = request.range_start()
    wanted = request.headers.get("if-range")
    validator = headers[0][1] if headers else None
    if start is None:
        await send_whole(connection, plan, count, content, headers)
    elif manner == "ignores_ranges" or (
            manner == "changes" and wanted != validator):
        await send_whole(connection, plan, count, content, headers)
    elif manner == "refuses_if_range":
        await connection.answer(412, b"what?")
    elif manner == "busy":
        await connection.answer(500, b"later")
    elif manner == "complains" or start >= len(content):
        await connection.answer(416, b"no", [
            *headers, ("Content-Range", f"bytes */{len(content)}")])
    elif manner == "says_complete":
        await connection.answer(416, b"no", [
            *headers, ("Content-Range", f"bytes */{start}")])
    else:
        await send_part(connection, plan, count, content, start, headers)
