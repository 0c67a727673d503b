"""Strangers' bytes at every port: the broker goes on as if nothing was."""
import random
import socket

import msgpack
import pytest
import zmq

from harness import sha512, wait_until

PING = 3
ROLES = ("client", "fetcher", "hasher")
HELLO_FETCHER = [1, 1, 1, 1, "stranger", 4, []]
HELLO_HASHER = [1, 1, 1, 2, "stranger", 0, ["sha512"]]


def pack(head):
    return msgpack.packb(head, use_bin_type=True)


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
    pack([4]), pack([4, "x"]), pack([4, 1, 1]), pack([7, []]),
    pack([7, [[1, 1, 99, 0, {}]]]), pack([7, [[1, 1, 0, 1 << 63, {}]]]),
    pack([6, [[1, 1, 0, 5, 1]]]), # without its bytes
    pack([9, 1 << 40, []]), pack([9, 1, []]), pack([11, [[1, 1, 99]]]),
    pack([12, 7]), pack([4, 1]) + b"x", pack({1: 2}), pack("HELLO"),
    pack([4, 1.5]),
]


@pytest.mark.parametrize("role, hello", [("fetcher", HELLO_FETCHER),
                                         ("hasher", HELLO_HASHER)])
def test_bad_heads_end_the_session(module_fleet, nginx, connect, role, hello):
    """Each in a session of its own: it ends, and says why."""
    for head in BAD_HEADS:
        sock = connect(role)
        sock.send(pack(hello))
        assert sock.poll(10000), "no WELCOME"
        assert msgpack.unpackb(sock.recv_multipart()[0])[0] == 2
        sock.send(head)
        got = [PING]
        while got[0] == PING:
            assert sock.poll(10000), f"no answer to {head[:40]!r}"
            got = msgpack.unpackb(sock.recv_multipart()[0])
        assert got[:2] == [13, 2] and got[2], head[:40]
        sock.close()
    check_serves(module_fleet, nginx)
    wait_until(lambda: "stranger" not in module_fleet.client(
        "workers", "--json").stdout.decode(), "strangers to be gone")


def test_body_of_nobody(module_fleet, nginx, connect):
    """A fetcher that sends bodies nobody asked for gets no one's place."""
    sock = connect("fetcher")
    sock.send(pack(HELLO_FETCHER))
    assert sock.poll(10000)
    job = (1 << 40) + 1
    sock.send(pack([7, [[job, 1, 0, 5, {}]]]))
    sock.send_multipart([pack([6, [[job, 1, 0, 5, 1]]]), b"wrong"])
    check_serves(module_fleet, nginx)


def test_more_than_the_window(module_fleet, nginx, connect):
    """Bytes beyond the credit end the session, they do not fill the broker."""
    sock = connect("fetcher")
    sock.send(pack(HELLO_FETCHER))
    assert sock.poll(10000)
    welcome = msgpack.unpackb(sock.recv())
    window = welcome[4]
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


@pytest.mark.parametrize("role, hello", [
    ("fetcher", [1, 7, 9, 1, "future", 4, []]),
    ("hasher", [1, 7, 9, 2, "future", 0, ["sha512"]])])
def test_no_common_version(module_fleet, connect, role, hello):
    sock = connect(role)
    sock.send(pack(hello))
    assert sock.poll(10000)
    head = msgpack.unpackb(sock.recv())
    assert head[:2] == [13, 3]


@pytest.mark.parametrize("role", ["fetcher", "hasher"])
def test_no_session(module_fleet, connect, role):
    """Whoever speaks before HELLO is told so."""
    sock = connect(role)
    sock.send(pack([4, 0]))
    assert sock.poll(10000)
    assert msgpack.unpackb(sock.recv())[:2] == [13, 1]


def test_wrong_role(module_fleet, connect, nginx):
    """A hasher's HELLO at the fetchers' port."""
    sock = connect("fetcher")
    sock.send(pack(HELLO_HASHER))
    assert sock.poll(10000)
    assert msgpack.unpackb(sock.recv())[0] == 13
    check_serves(module_fleet, nginx)
