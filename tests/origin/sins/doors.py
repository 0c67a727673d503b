"""What goes wrong before a request is read, or beneath HTTP."""
import time

import bodies
from registry import door

CONTENT = bodies.version("a", 50_000)
LENGTH = b"Content-Length: %d\r\n" % len(CONTENT)
OK = {"outcome": "ok", "body": CONTENT}
NONE = {"digests": None, "attempts": 1}
TLS = {"outcome": "tls", **NONE}


def read_request(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise ConnectionError
        data += more
    return data


def says(*words):
    """Looks at the message: whoever reads it knows what is wrong."""
    return lambda text: all(word in (text or "") for word in words)


# --- Certificates ---

for name, message in (
        ("expired", says("certificate has expired")),
        ("other-host", says("subject name", "127.0.0.1", "another host")),
        ("self-signed", says("self-signed certificate", "--cacert")),
        ("unknown-ca", says("certificate", "--cacert")),
        ("old", says("too old"))):
    @door(f"tls/{name}", kind=name, message=message, **TLS)
    def refused(_sock):
        pass


# --- Handshakes ---


@door("tls/closes", kind=None, message=says("handshake"), **TLS)
def closes(_sock):
    pass


@door("tls/closes-later", kind=None, message=says("hung up"), **TLS)
def closes_later(sock):
    sock.recv(1000)


@door("tls/plain", kind=None, message=says("TLS"), **TLS)
def plain(sock):
    sock.recv(1000)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@door("tls/alert", kind=None, **TLS)
def alert(sock):
    sock.recv(1000)
    sock.sendall(b"\x15\x03\x01\x00\x02\x02\x28") # handshake_failure


@door("tls/garbage", kind=None, message=says("is it TLS"), **TLS)
def garbage(sock):
    sock.recv(1000)
    sock.sendall(b"\x16\x03\x03\xff\xff" + bytes(70_000))


@door("tls/silent", kind=None, outcome="timeout", **NONE)
def silent(sock):
    while sock.recv(1000):
        pass


@door("plain/tls", scheme="http", outcome=lambda got: got in (
    "cut", "protocol"), **NONE)
def tls(_sock):
    """The server speaks TLS, the client does not."""


# --- Bodies under TLS ---


@door("tls/ends-well", unframed=True, **OK)
def ends_well(sock):
    read_request(sock)
    sock.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + CONTENT)
    sock.unwrap()


@door("tls/empty-ends-well", unframed=True, body=b"", outcome="ok")
def empty_ends_well(sock):
    read_request(sock)
    sock.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    sock.unwrap()


@door("tls/error-page", outcome="http", http_status=404, **NONE)
def error_page(sock):
    read_request(sock)
    sock.sendall(b"HTTP/1.0 404 X\r\n\r\nnot here")


@door("tls/no-content", outcome="ok", http_status=204, body=b"")
def no_content(sock):
    read_request(sock)
    sock.sendall(b"HTTP/1.0 204 X\r\n\r\n")


def without_goodbye(name, head, **expect):
    """The connection ends, and TLS did not say so: anybody may have done it."""
    @door(f"tls/{name}", **expect)
    def handler(sock):
        read_request(sock)
        sock.sendall(head + b"\r\n" + CONTENT)
        time.sleep(0.1) # a reset would take away what is on its way


without_goodbye("cut-unframed", b"HTTP/1.0 200 OK\r\n", outcome="cut", **NONE)
without_goodbye("cut-and-cut", b'HTTP/1.0 200 OK\r\nETag: "a"\r\n',
                outcome="cut", **NONE)
without_goodbye("cut-close", b"HTTP/1.1 200 OK\r\nConnection: close\r\n",
                outcome="cut", **NONE)
without_goodbye("cut-short", b"HTTP/1.1 200 OK\r\nContent-Length: 50001\r\n",
                outcome="cut", **NONE)
without_goodbye("cut-after-it", b"HTTP/1.1 200 OK\r\n" + LENGTH, **OK)
without_goodbye("cut-chunked",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"c351", outcome="cut", **NONE)


@door("tls/trailers", unframed=None, **OK)
def trailers(sock):
    """Well framed: how its connection ends does not matter."""
    read_request(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 b"c350\r\n%s\r\n0\r\nX: y\r\nY: z\r\n\r\n" % CONTENT)
    time.sleep(0.1)


@door("tls/cut-and-resumed", body=CONTENT, outcome="ok", resumes=1)
def cut_and_resumed(sock):
    """Chunks whose connection breaks under TLS are good chunks."""
    if b"if-range" not in read_request(sock).lower():
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                     b'ETag: "a"\r\n\r\nc350\r\n' + CONTENT[:30_000])
        time.sleep(0.1)
        return
    sock.sendall(b"HTTP/1.1 206 X\r\nContent-Length: 20000\r\n"
                 b'ETag: "a"\r\nContent-Range: bytes 30000-49999/50000'
                 b"\r\n\r\n" + CONTENT[30_000:])


# --- Before the request ---


@door("early/answer", scheme="http", kind=None, **OK)
def answer(sock):
    """It knows what it will be asked."""
    sock.sendall(b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + CONTENT)
    read_request(sock)


@door("early/and-goes", scheme="http", kind=None,
      outcome=lambda got: got in ("ok", "cut"), attempts=1)
def and_goes(sock):
    """Never reads anything: the reset may take the answer away."""
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab")


@door("early/closes", scheme="http", kind=None, outcome="cut", **NONE)
def closes_at_once(_sock):
    pass
