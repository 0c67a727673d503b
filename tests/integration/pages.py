"""/metrics of our programs, asked and read."""
import re
import socket

from harness import GIVE_UP_S, free_port


def address():
    return f"127.0.0.1:{free_port()}"


def connect(where, seconds=GIVE_UP_S):
    host, port = where.rsplit(":", 1)
    sock = socket.create_connection((host, int(port)), seconds)
    sock.settimeout(seconds)
    return sock


def read_all(sock):
    """What comes until the other side ends."""
    got = b""
    while True:
        try:
            part = sock.recv(65536)
        except ConnectionResetError:
            part = b""
        if not part:
            return got
        got += part


def ask(where, request):
    """Sends bytes, returns all that comes until the end."""
    with connect(where) as sock:
        sock.sendall(request)
        return read_all(sock)


def get(where, path, method="GET"):
    """Status, head and body of an answer."""
    got = ask(where, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, body = got.split(b"\r\n\r\n", 1)
    return int(head.split()[1]), head.decode(), body.decode()


def metrics(where):
    """{"name{label=\\"value\\"}": number} of a page."""
    status, _, body = get(where, "/metrics")
    assert status == 200
    found = {}
    for line in body.splitlines():
        if not line.startswith("#"):
            name, number = re.fullmatch(r"(.*) (\S+)", line).groups()
            assert name not in found, f"{name} comes twice"
            found[name] = float(number)
    return found


def metric(where, name):
    return metrics(where)[name]
