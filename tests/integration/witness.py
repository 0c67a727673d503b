"""A web server that remembers what it was asked, in this process.

Paths: /to/URL redirects there; /status/N answers so; /gzip, /deflate, /raw
(a bare deflate stream), /members (two gzip members), /broken, /cut (a gzip
stream without its end), /bomb, /brotli, /empty have such bodies; /cut-once/X
breaks off in the middle of a long body once; /remember/X wants to be
remembered; anything else a short one. Tunnels is a proxy that does its work.
"""
import base64
import gzip
import http.server
import socket
import ssl
import subprocess
import threading
import urllib.parse
import zlib

PLAIN = b"the quick brown fox jumps over the lazy dog\n" * 5000
LONG = bytes(range(256)) * 2000


def bare(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


ENCODED = {
    "/gzip": ("gzip", gzip.compress(PLAIN)),
    "/deflate": ("deflate", zlib.compress(PLAIN)),
    "/raw": ("deflate", bare(PLAIN)),
    "/members": ("gzip", gzip.compress(PLAIN[:1000]) +
                 gzip.compress(PLAIN[1000:])),
    "/broken": ("gzip", gzip.compress(PLAIN)[:200] + b"\xff" * 300),
    "/cut": ("gzip", gzip.compress(PLAIN)[:-20]),
    "/behind": ("gzip", gzip.compress(PLAIN) + b"more"),
    "/bomb": ("gzip", gzip.compress(bytes(64 << 20))),
    "/brotli": ("br", b"\x8b\x00\x80x\x03"),
    "/empty": ("gzip", b""),
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, *headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        witness = self.server.witness
        host = self.path.startswith("http://") # as a proxy
        path = urllib.parse.urlsplit(self.path).path if host else self.path
        with witness.lock:
            times = sum(asked == path for asked, _ in witness.asked)
            witness.asked.append((path, self.headers))
            witness.peers.append(self.client_address)
        if path.startswith("/to/"):
            self.answer(302, b"there", ("Location", path[4:]))
        elif path.startswith("/status/"):
            status = int(path.split("/")[2].split("?")[0])
            extra = [("Retry-After", "0")] if status in (429, 503) else []
            if status == 401:
                extra = [("WWW-Authenticate", kind)
                         for kind in ("Negotiate", "NTLM", "Digest realm=x")]
            self.answer(status, f"page {status}".encode(), *extra)
        elif path in ENCODED:
            encoding, body = ENCODED[path]
            self.answer(200, body, ("Content-Encoding", encoding))
        elif path.startswith("/remember/"):
            self.answer(200, b"x", ("Set-Cookie", "a=b; Path=/"),
                        ("Strict-Transport-Security", "max-age=1000"),
                        ("Alt-Svc", 'h2="127.0.0.9:9"; ma=1000'))
        elif path.startswith("/cut-once/"):
            self.cut_once(times)
        else:
            self.answer(200, f"{witness.name} {path}".encode())

    def cut_once(self, times):
        tag = ("ETag", '"one"')
        part = self.headers.get("Range")
        if part:
            first = int(part.split("=")[1].rstrip("-"))
            where = f"bytes {first}-{len(LONG) - 1}/{len(LONG)}"
            self.answer(206, LONG[first:], tag, ("Content-Range", where))
            return
        if times:
            self.answer(200, LONG, tag)
            return
        self.send_response(200)
        self.send_header(*tag)
        self.send_header("Content-Length", str(len(LONG)))
        self.end_headers()
        self.wfile.write(LONG[:200000])
        self.close_connection = True

    def do_CONNECT(self):
        with self.server.witness.lock:
            self.server.witness.asked.append((self.path, self.headers))
        self.answer(407, b"no")
        self.close_connection = True

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass # clients may hang up


class Server6(Server):
    address_family = 10 # AF_INET6


class Witness:
    """One server; over TLS if it is given a certificate with its key."""

    def __init__(self, address="127.0.0.1", port=0, name="witness", pem=None):
        kind = Server6 if ":" in address else Server
        self.name = name
        self.asked = [] # (path, headers)
        self.peers = []
        self.lock = threading.Lock()
        self.server = kind((address, port), Handler)
        self.server.witness = self
        if pem:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True,
                do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        host = f"[{address}]" if ":" in address else address
        self.base = f"http{'s' if pem else ''}://{host}:{self.port}"
        self.thread = threading.Thread(
            target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def url(self, path):
        return self.base + path

    def headers(self, path):
        """Of the last request for that path."""
        found = [headers for asked, headers in self.asked if asked == path]
        assert found, f"{path} was not asked for, but {self.asked}"
        return found[-1]

    def end(self):
        self.server.shutdown()
        self.thread.join(10)
        self.server.server_close()


class Relay(http.server.BaseHTTPRequestHandler):
    def relay(self, address, first):
        with socket.create_connection(address) as there:
            there.sendall(first)
            back = threading.Thread(target=self.copy, daemon=True,
                                    args=(there, self.connection))
            back.start()
            self.copy(self.connection, there)
            back.join()
        self.close_connection = True

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass # one side is gone

    def do_CONNECT(self):
        login = self.headers.get("Proxy-Authorization", "Basic ")
        self.server.users.append(
            base64.b64decode(login.split(" ")[1]).decode("ascii"))
        host, port = self.path.rsplit(":", 1)
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        self.relay((host, int(port)), b"")

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        self.relay((url.hostname, url.port), (
            f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n").encode())

    def log_message(self, *args):
        pass


class Tunnels:
    """A proxy; users has who opened tunnels, as USER:PASSWORD."""

    def __init__(self):
        self.server = Server(("127.0.0.1", 0), Relay)
        self.users = self.server.users = []
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,),
                         daemon=True).start()

    def end(self):
        self.server.shutdown()
        self.server.server_close()


def make_certificate(folder, name="x", subject="127.0.0.1"):
    """A self-signed certificate with its key, in one file."""
    path = folder / f"{name}.pem"
    key = folder / f"{name}.key"
    kind = "IP" if subject[0].isdigit() else "DNS"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
         f"/CN={subject}", "-addext", f"subjectAltName={kind}:{subject}",
         "-keyout", str(key), "-out", str(path)],
        check=True, capture_output=True, timeout=60)
    both = folder / f"{name}.both"
    both.write_text(key.read_text("ascii") + path.read_text("ascii"), "ascii")
    return path, both
