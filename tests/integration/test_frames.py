"""Strangers' bytes at every port: the broker goes on as if nothing was."""
import random
import socket

import msgpack
import pytest
import zmq

from harness import sha512, wait_until
from pyworker import BYE, ERROR, PING, PONG, WELCOME, pack

ROLES = ("client", "fetcher", "hasher")
NUMBERS = {"fetcher": 1, "hasher": 2}


def hello(role, instance=None, epoch=1, versions=(2, 2), name="stranger"):
    instance = instance or random.randrange(1, 1 << 64)
    capacity, algorithms = (4, []) if role == "fetcher" else (0, ["sha512"])
    return pack([1, *versions, NUMBERS[role], name, capacity, algorithms,
                 instance, epoch])


def receive(sock, what):
    assert sock.poll(10000), f"no {what}"
    return msgpack.unpackb(sock.recv_multipart()[0])


def answer(sock, what):
    """The next message that is no PING."""
    head = [PING]
    while head[0] == PING:
        head = receive(sock, what)
    return head


def join(sock, role):
    """A session that does work. Returns the WELCOME."""
    sock.send(hello(role))
    welcome = receive(sock, "WELCOME")
    assert welcome[0] == WELCOME
    assert receive(sock, "PING")[0] == PING
    sock.send(pack([PONG, 0, []]))
    return welcome


def workers(fleet):
    return fleet.client("workers", "--json").stdout.decode()


@pytest.fixture
def connect(module_fleet):
    context = zmq.Context()

    def make(role):
        sock = context.socket(zmq.DEALER)
        sock.setsockopt(zmq.LINGER, 500)
        sock.connect(module_fleet.endpoints[role])
        return sock

    yield make
    context.destroy(linger=500)


def check_serves(fleet, nginx):
    fleet.broker.check_alive()
    got = fleet.client("get", nginx.url("x"))
    assert got.sums() == {nginx.url("x"): sha512(b"x")}


@pytest.mark.parametrize("role", ROLES)
def test_random_frames(module_fleet, nginx, connect, role):
    chance = random.Random(role)
    sock = connect(role)
    for _ in range(2000):
        frames = [chance.randbytes(chance.choice((0, 1, 2, 10, 300)))
                  for _ in range(chance.choice((1, 1, 1, 2, 3)))]
        sock.send_multipart(frames)
    check_serves(module_fleet, nginx)


@pytest.mark.parametrize("role", ROLES)
def test_large_and_many_frames(module_fleet, nginx, connect, role):
    sock = connect(role)
    sock.send(b"\x00" * (8 << 20))
    sock.send_multipart([b""] * 100)
    sock.send_multipart([b"x"] * 1000)
    check_serves(module_fleet, nginx)


@pytest.mark.parametrize("role", ROLES)
def test_not_zeromq(module_fleet, nginx, role):
    """A web client at the wrong port."""
    host, port = module_fleet.endpoints[role][6:].split(":")
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, b"\x00" * 100000):
        with socket.create_connection((host, int(port)), 5) as sock:
            try:
                sock.sendall(data)
            except ConnectionError:
                pass
    check_serves(module_fleet, nginx)


BAD_HEADS = [
    b"", b"\x90", b"\xc0", b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff",
    b"\x91" * 200000, pack([1]), pack([99, 1]), pack([0]), pack([-1]),
    pack([5, {}, [[1, 1, b"http://x/"]]]), pack([2, 1, 1, 1, 1, 1]),
    pack([4]), pack([4, "x"]), pack([4, 1, 1]), pack([4, 1, [[1]]]),
    pack([7, []]),
    pack([7, [[1, 1, 99, 0, {}]]]), pack([7, [[1, 1, 0, 1 << 63, {}]]]),
    pack([6, [[1, 1, 0, 5, 1]]]), # without its bytes
    pack([9, 1 << 40, []]), pack([9, 1, []]), pack([11, [[1, 1, 99]]]),
    pack([12, 7]), pack([4, 1]) + b"x", pack({1: 2}), pack("HELLO"),
    pack([4, 1.5]),
]


@pytest.mark.parametrize("role", ["fetcher", "hasher"])
def test_bad_heads_end_the_session(module_fleet, nginx, connect, role):
    """Each in a session of its own: it ends, and says why."""
    for head in BAD_HEADS:
        sock = connect(role)
        join(sock, role)
        sock.send(head)
        got = answer(sock, f"answer to {head[:40]!r}")
        assert got[:2] == [ERROR, 2] and got[2], head[:40]
        sock.close()
    check_serves(module_fleet, nginx)
    wait_until(lambda: "stranger" not in workers(module_fleet),
               "strangers to be gone")


def test_body_of_nobody(module_fleet, nginx, connect):
    """A fetcher that sends bodies nobody asked for gets no one's place."""
    sock = connect("fetcher")
    join(sock, "fetcher")
    job = (1 << 40) + 1
    sock.send(pack([7, [[job, 1, 0, 5, {}]]]))
    sock.send_multipart([pack([6, [[job, 1, 0, 5, 1]]]), b"wrong"])
    check_serves(module_fleet, nginx)


def test_more_than_the_window(module_fleet, nginx, connect):
    """Bytes beyond the credit end the session, they do not fill the broker."""
    sock = connect("fetcher")
    window = join(sock, "fetcher")[5]
    raw = b"\x00" * 262144
    error = None
    for n in range(window // len(raw) + 64):
        sock.send_multipart([pack([6, [[77, 1, n * len(raw), len(raw), 0]]]),
                             raw])
        while error is None and sock.poll(0):
            head = msgpack.unpackb(sock.recv_multipart()[0])
            if head[0] == 13:
                error = head
        if error:
            break
    check_serves(module_fleet, nginx)


@pytest.mark.parametrize("role", ["fetcher", "hasher"])
def test_no_common_version(module_fleet, connect, role):
    sock = connect(role)
    sock.send(hello(role, versions=(7, 9)))
    assert receive(sock, "answer")[:2] == [ERROR, 3]


@pytest.mark.parametrize("role", ["fetcher", "hasher"])
def test_no_session(module_fleet, connect, role):
    """Whoever speaks before HELLO is told so."""
    sock = connect(role)
    sock.send(pack([4, 0, []]))
    assert receive(sock, "answer")[:2] == [ERROR, 1]


def test_wrong_role(module_fleet, connect, nginx):
    """A hasher's HELLO at the fetchers' port."""
    sock = connect("fetcher")
    sock.send(hello("hasher"))
    assert receive(sock, "answer")[0] == ERROR
    check_serves(module_fleet, nginx)


# --- Sessions and epochs ---

@pytest.mark.parametrize("role", ["fetcher", "hasher"])
def test_hello_again(module_fleet, connect, role):
    """The same HELLO, the same WELCOME; the session goes on."""
    sock, said = connect(role), hello(role)
    sock.send(said)
    first = receive(sock, "WELCOME")
    sock.send(pack([PONG, 0, []]))
    sock.send(said)
    assert answer(sock, "WELCOME") == first
    # Another epoch is another session.
    instance = msgpack.unpackb(said)[7]
    sock.send(hello(role, instance, 2))
    second = answer(sock, "WELCOME")
    assert second[2] != first[2] and second[3] == 2
    # An older one, over another connection, is late and changes nothing.
    late = connect(role)
    late.send(said)
    assert receive(late, "answer")[:2] == [ERROR, 4]
    sock.send(hello(role, instance, 2))
    assert answer(sock, "WELCOME") == second
    # The worker on another connection: that is where it is now.
    moved = connect(role)
    moved.send(hello(role, instance, 2))
    assert receive(moved, "WELCOME")[2] not in (first[2], second[2])
    sock.send(pack([PONG, 0, []]))
    assert answer(sock, "answer")[:2] == [ERROR, 1]
    for end in (sock, late, moved):
        end.close()


@pytest.mark.parametrize("role", ["fetcher", "hasher"])
def test_unproven(module_fleet, connect, role):
    """Without a PONG a session is no worker, and nothing else is heard."""
    sock = connect(role)
    sock.send(hello(role, name="silent"))
    assert receive(sock, "WELCOME")[0] == WELCOME
    assert "silent\"" not in workers(module_fleet)
    sock.send(pack([7, [[1, 1, 0, 5, {}]]] if role == "fetcher"
                   else [9, 0, []]))
    assert answer(sock, "answer")[:2] == [ERROR, 2]
    sock.close()


@pytest.mark.parametrize("role", ["fetcher", "hasher"])
def test_flood_of_hellos(module_fleet, nginx, connect, role):
    """More than are kept, again and again: work goes to those that prove to
    be there."""
    joined = len(module_fleet.broker.events("worker.joined"))
    socks = [connect(role) for _ in range(150)]
    for _ in range(3):
        for sock in socks:
            sock.send(hello(role, name="silent"))
    for sock in socks:
        receive(sock, "WELCOME")
    assert "silent\"" not in workers(module_fleet)
    check_serves(module_fleet, nginx)
    assert len(module_fleet.broker.events("worker.joined")) == joined
    for sock in socks:
        sock.close()


@pytest.mark.parametrize("role", ["fetcher", "hasher"])
def test_bye(module_fleet, connect, role):
    """A worker without anything in hand is let go at once."""
    sock = connect(role)
    join(sock, role)
    sock.send(pack([BYE, 0]))
    assert answer(sock, "BYE") == [BYE, 1]
    sock.send(pack([PONG, 0, []]))
    assert answer(sock, "answer")[:2] == [ERROR, 1]
    sock.close()
