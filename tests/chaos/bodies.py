"""What is asked for, and what must come of it.

make_lines() makes the list of URLs of a seed. A line knows its URL, what the
origin does when it is asked for it, and the record that an undisturbed run
would have: chaos must not show in it. Nothing here looks at the programs.
"""
import dataclasses
import hashlib
import random

BLOCK_BYTES = 8 << 20
BODY_BYTES_MAX = 3 << 20
ORIGINS = 4
RETRIES = 3  # --retry of the batch

# The share of each kind of line, in units of 1/10,000.
SHARES = (
    ("b", 8745), ("empty", 500), ("chunked", 200), ("close", 50),
    ("redirect", 100), ("slow", 80), ("flaky", 60), ("cut", 50),
    ("status", 10), ("absent", 100), ("garble", 5), ("twice", 80),
    ("nonsense", 10), ("scheme", 10))

# What follows the path of some URLs. It has to come back byte for byte.
TAILS = (b"?q=%C3%BC&x=a+b", "?\u00fc=\u2603".encode("utf-8"), b"?a\\b\\n",
         b"#part", b"?'\"<>|{}", b"?" + b"x" * 3000, b"?*%2a%2A")


def block():
    """The bytes that all bodies are cut from."""
    return random.Random(b"urlsum chaos").randbytes(BLOCK_BYTES)


def offset(number, size):
    """Where in the block the body of a number begins."""
    return number * 8191 % (BLOCK_BYTES - size)


@dataclasses.dataclass(slots=True)
class Line:
    """One line of the list."""
    url: bytes
    kind: str
    path: str = ""  # as the origin counts it; "" never gets there
    number: int = 0
    size: int = 0
    outcome: str = "ok"
    status: int = 200
    faults: int = 0  # that the origin commits before it behaves

    def attempts(self):
        """The fewest and the most attempts that may be charged."""
        if self.kind == "status":
            return RETRIES + 1, RETRIES + 1
        return 1, 1 + self.faults

    def digest(self, content):
        """The digest of the body, content being a memoryview of block()."""
        at = offset(self.number, self.size)
        return hashlib.sha512(content[at:at + self.size]).hexdigest()


def _size(chance):
    """Mostly small, some large; log-uniform within a class."""
    pick = chance.random()
    low, high = ((1, 4096) if pick < 0.78 else
                 (4096, 1 << 16) if pick < 0.98 else
                 (1 << 16, 1 << 19) if pick < 0.998 else
                 (1 << 19, BODY_BYTES_MAX))
    return int(low * (high / low) ** chance.random())


def _make(chance, kind, number, base):
    """One line of a kind."""
    line = Line(b"", kind, number=number)
    tail = b""
    if kind == "nonsense":
        line.url = b"http://[::%d/ nothing" % number
        line.outcome, line.status = "invalid_url", 0
        return line
    if kind == "scheme":
        line.url = b"gopher://127.0.0.1/%d" % number
        line.outcome, line.status = "scheme", 0
        return line
    if kind == "empty":
        line.path = f"/b/{number}/0"
    elif kind == "absent":
        line.path = f"/absent/{number}"
        line.outcome, line.status = "http", 404
    elif kind == "status":
        line.path = f"/status/{number}/500"
        line.outcome, line.status = "http", 500
    elif kind == "flaky":
        line.size = _size(chance)
        line.faults = chance.randint(1, 2)
        line.path = f"/flaky/{number}/{line.size}/{line.faults}"
    elif kind == "garble":
        line.path = f"/garble/{number}"
        line.outcome, line.status = "protocol", 0
    else:
        line.size = _size(chance)
        if kind == "cut":
            line.faults = 1
            line.size += 2
        line.path = f"/{kind}/{number}/{line.size}"
        if kind == "slow":
            line.path += f"/{chance.randint(200, 800)}"
        if kind == "b" and chance.random() < 0.03:
            tail = chance.choice(TAILS)
    line.url = base.encode("ascii") + line.path.encode("ascii") + tail
    return line


def make_lines(seed, count, bases):
    """The list. bases: the origins, as http://HOST:PORT."""
    chance = random.Random(f"lines {seed}")
    kinds = chance.choices([name for name, _ in SHARES],
                           [share for _, share in SHARES], k=count)
    lines, plain = [], []
    for number, kind in enumerate(kinds):
        if kind == "twice" and plain:
            # The same URL again: another line, and a record of its own.
            lines.append(chance.choice(plain))
            continue
        if kind == "twice":
            kind = "b"
        line = _make(chance, kind, number, bases[number % len(bases)])
        lines.append(line)
        if kind == "b":
            plain.append(line)
    return lines
