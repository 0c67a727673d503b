"""A thousand hostile or broken peers, and a batch that does not notice them.

They stay connected all the while: TCP alone, half a greeting, half a frame,
messages that never end, clients that ask for pages and never read, floods of
HELLO, garbage and requests. The broker keeps within its memory budget
(broker/README.md), goes on serving, and is as before when they are gone.
"""
import contextlib
import pathlib
import random
import re
import resource
import socket
import struct
import threading
import time

import pytest

from harness import PATIENCE, sha512, wait_until
from pyworker import DIGESTS, ERROR, HELLO, PONG, VERSION, pack

PEERS = 1000
CONNECTIONS_MAX = 2048 # broker/guard.h
# README.md, Memory: what strangers can add, over what the broker needs anyway.
BUDGET_KIB = 512 * 1024

GREETING = (b"\xff" + b"\x00" * 8 + b"\x7f" + b"\x03\x00" +
            b"NULL".ljust(20, b"\x00") + b"\x00" + b"\x00" * 31)


def command(name, body):
    data = bytes([len(name)]) + name + body
    return b"\x04" + bytes([len(data)]) + data


READY = command(b"READY", b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER")


def frame(data, more=False):
    flags = 1 if more else 0
    if len(data) < 256:
        return bytes([flags, len(data)]) + data
    return bytes([flags | 2]) + struct.pack(">Q", len(data)) + data


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number, data):
    """A protobuf field: bytes or a number."""
    if isinstance(data, int):
        return varint(number << 3) + varint(data)
    return varint(number << 3 | 2) + varint(len(data)) + data


def request(number, what, body):
    return field(1, number) + field(2, 1) + field(what, body)


class Peer:
    """One hostile connection: start() once, then push() again and again."""

    role = "client"
    first = b""
    second = b"" # a round later: libzmq wants its own READY to be out first

    def __init__(self, fleet, number, chance):
        self.fleet = fleet
        self.number = number
        self.chance = chance
        self.sock = None
        self.rest = b""
        self.cuts = 0
        self.has_begun = False
        self.epoch = 0

    def connect(self):
        host, port = self.fleet.endpoints[self.role][6:].split(":")
        self.sock = socket.socket()
        # Slow readers must not be helped by a large buffer here.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.settimeout(10 * PATIENCE)
        self.sock.connect((host, int(port)))
        self.sock.setblocking(False)
        self.rest = self.first
        self.has_begun = False

    def push(self):
        """Sends what it can without waiting; connects again when cut off."""
        try:
            if self.sock is None:
                self.connect()
            elif not self.rest and not self.has_begun:
                self.has_begun = True
                self.rest = self.second
            elif not self.rest:
                self.rest = self.more()
            if self.rest:
                self.rest = self.rest[self.sock.send(self.rest):]
        except BlockingIOError:
            pass
        except OSError:
            self.cuts += 1
            self.close()

    def more(self):
        return b""

    def close(self):
        if self.sock:
            self.sock.close()
            self.sock = None


class Silent(Peer):
    """TCP, and nothing more."""


class HalfGreeting(Peer):
    first = GREETING[:30]


class HalfFrame(Peer):
    """A frame just below the limit, all but its last byte."""
    first = GREETING + READY
    second = frame(b"\x00" * (192 * 1024 - 1))[:-1]


class HugeFrame(Peer):
    """A frame above the limit, slowly."""
    first = GREETING + READY
    second = b"\x02" + struct.pack(">Q", 192 * 1024 + 1)

    def more(self):
        return b"\x00" * 64


class Endless(Peer):
    """A message of many frames that never ends."""
    first = GREETING + READY

    def more(self):
        return frame(b"\x00" * 60000, more=True) * 4


class SlowReader(Peer):
    """Asks for pages of results and never reads."""

    def __init__(self, fleet, number, chance):
        super().__init__(fleet, number, chance)
        self.first = GREETING + READY
        self.second = b"".join(
            frame(request(n, 6, field(1, b"pages"))) for n in range(16))
        self.asked = 16

    def more(self):
        self.asked += 1
        what = self.chance.choice((6, 6, 7, 8, 9, 10))
        body = field(1, b"pages") if what in (6, 7) else b""
        if what == 8:
            body = field(1, b"none")
        return frame(request(self.asked, what, body))


class BadRequests(Peer):
    """Invalid submissions, messages that grow when they are unpacked."""
    first = GREETING + READY

    def more(self):
        return frame(self.chance.choice((
            request(1, 3, field(1, b"no id/")),
            request(1, 3, field(2, b"") * 20000),
            request(1, 4, field(1, b"none") + field(3, b"http://x/") * 5000),
            request(1, 4, field(3, b"") * 90000),
            request(1, 5, field(1, b"none") + field(2, 5)),
            request(1, 7, field(1, b"pages") + field(2, 60000)),
            request(1, 7, field(99, b"x" * 100000)),
            self.chance.randbytes(1000))))


class Hellos(Peer):
    """New epochs on one connection, without end."""
    first = GREETING + READY
    head = [HELLO, VERSION, VERSION, 1, "stranger", 65535, []]

    def more(self):
        out = b""
        for _ in range(20):
            self.epoch += 1
            out += frame(pack(self.head + [self.number + 1, self.epoch]))
        return out


class FetcherHellos(Hellos):
    role = "fetcher"


class HasherHellos(Hellos):
    role = "hasher"
    head = [HELLO, VERSION, VERSION, 2, "stranger", 0, ["sha512"]]


class Reconnects(Peer):
    """A new connection and a HELLO, again and again."""
    role = "fetcher"
    first = GREETING + READY
    second = frame(pack(FetcherHellos.head + [7, 1]))

    def more(self):
        self.close()
        return b""


class WorkerGarbage(Peer):
    role = "hasher"
    first = GREETING + READY

    def more(self):
        return (frame(pack([PONG, 0, []])) + frame(self.chance.randbytes(200)) +
                frame(pack([ERROR, 2, "no"])) +
                frame(pack([DIGESTS, 1, []]))) * 8


class WorkerEndless(Endless):
    role = "fetcher"


KINDS = (Silent, HalfGreeting, HalfFrame, HugeFrame, Endless, SlowReader,
         SlowReader, SlowReader, BadRequests, BadRequests, FetcherHellos,
         HasherHellos, Reconnects, WorkerGarbage, WorkerEndless)


class Crowd:
    """All of them, driven by a thread; none sends more than some KiB a
    round, for the machine is to be shared with the programs under test."""

    def __init__(self, fleet):
        chance = random.Random(8)
        self.peers = [KINDS[n % len(KINDS)](fleet, n, chance)
                      for n in range(PEERS)]
        self.is_over = False
        self.rounds = 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.is_over:
            for peer in self.peers:
                if self.is_over:
                    break
                peer.push()
            self.rounds += 1
            time.sleep(0.05)
        for peer in self.peers:
            peer.close()

    def __enter__(self):
        self.thread.start()
        wait_until(lambda: self.rounds >= 2, "the crowd", 120)
        return self

    def __exit__(self, *what):
        self.is_over = True
        self.thread.join(60)


def rss_kib(program):
    status = pathlib.Path(f"/proc/{program.pid}/status").read_text("ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))


def files(program):
    return len(list(pathlib.Path(f"/proc/{program.pid}/fd").iterdir()))


@contextlib.contextmanager
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4 * PEERS:
        pytest.skip("the limit of open files is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4 * PEERS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def fetch(fleet, nginx, real_files):
    """A batch of some thousand URLs, right to the last digest. Returns how
    long it took."""
    wanted = {nginx.url(path): digest for path, digest in real_files}
    start = time.monotonic()
    got = fleet.client("get", "-i", "-", stdin="\n".join(wanted) + "\n",
                       seconds=300 * PATIENCE)
    assert got.sums() == wanted
    return time.monotonic() - start


def make_pages(fleet, nginx):
    """A finished batch with some 12 MiB of results, to be asked for."""
    urls = [nginx.url(f"x?{n}-" + "x" * 6000) for n in range(2000)]
    fleet.client("submit", "--id", "pages", "-i", "-",
                 stdin="\n".join(urls) + "\n")
    fleet.client("wait", "pages")


@pytest.mark.plain
@pytest.mark.alone
def test_a_thousand_hostile_peers(fleet, nginx, real_files):
    make_pages(fleet, nginx)
    calm_s = fetch(fleet, nginx, real_files)
    calm_kib = rss_kib(fleet.broker)
    calm_files = files(fleet.broker)
    with many_files(), Crowd(fleet) as crowd:
        busy_s = max(fetch(fleet, nginx, real_files) for _ in range(3))
        seen = {type(peer).__name__: 0 for peer in crowd.peers}
        for peer in crowd.peers:
            seen[type(peer).__name__] += peer.cuts
        most_kib = fleet.broker.memory_max_kib()
        lines = len(fleet.broker.text().splitlines())
    print(f"calm {calm_s:.1f} s {calm_kib} KiB, busy {busy_s:.1f} s "
          f"{most_kib} KiB, {lines} lines of log, {crowd.rounds} rounds, "
          f"cut off: {seen}")
    fleet.broker.check_alive()
    assert most_kib < calm_kib + BUDGET_KIB
    # The crowd takes most of a core for itself, so this is generous.
    assert busy_s < 10 * calm_s + 20 * PATIENCE
    # Lines that strangers cause are rationed.
    assert lines < 3000
    # They are gone: what they held is as well.
    wait_until(lambda: files(fleet.broker) < calm_files + 20,
               "their connections to end")
    assert fetch(fleet, nginx, real_files) < 5 * calm_s + 10 * PATIENCE
    wait_until(lambda: rss_kib(fleet.broker) < calm_kib + 64 * 1024,
               "the memory to go back")
    workers = fleet.client("workers", "--json").stdout.decode()
    assert "stranger" not in workers


def test_no_more_files(fleet, nginx):
    """A broker that may open few files gives up connections, not itself."""
    limit = 300
    resource.prlimit(fleet.broker.pid, resource.RLIMIT_NOFILE, (limit, limit))
    with many_files(), contextlib.ExitStack() as stack:
        host, port = fleet.endpoints["client"][6:].split(":")
        for _ in range(2 * limit):
            sock = stack.enter_context(socket.socket())
            sock.settimeout(10)
            sock.connect((host, int(port)))
        wait_until(lambda: files(fleet.broker) >= limit - 1, "the limit")
        fleet.broker.check_alive()
    # Connections are the first thing to be given up, and come back.
    got = fleet.client("get", nginx.url("x"))
    assert got.sums() == {nginx.url("x"): sha512(b"x")}


def test_too_many_connections(fleet, nginx):
    """Beyond the limit the one that was silent for longest goes: whoever comes
    and speaks is served."""
    with many_files(), contextlib.ExitStack() as stack:
        host, port = fleet.endpoints["client"][6:].split(":")
        socks = []
        for _ in range(CONNECTIONS_MAX + 200):
            sock = stack.enter_context(socket.socket())
            sock.settimeout(10)
            sock.connect((host, int(port)))
            sock.sendall(GREETING + READY)
            socks.append(sock)
        fleet.broker.wait_event("peer.cut", has="too many connections")
        got = fleet.client("get", nginx.url("x"))
        assert got.sums() == {nginx.url("x"): sha512(b"x")}
        assert files(fleet.broker) < CONNECTIONS_MAX + 200
