#!/usr/bin/python3
"""A web server with a port for every sin that comes before a request is read.

    doors.py FOLDER

FOLDER has ca.pem and ca.key, of a certificate authority that the client trusts.
Binds free ports of 127.0.0.1, prints `ports=` and a JSON object, name: URL, and
serves until its stdin ends.
"""
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import registry  # noqa: E402
import sins  # noqa: E402,F401 - registers them
import until_stdin_ends  # noqa: E402


class Certificates:
    """Made on the spot, by name; see make()."""

    def __init__(self, authority, folder):
        self.authority = authority
        self.folder = pathlib.Path(folder)
        self.key = self.folder / "server.key"
        self.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout",
                     "-out", self.key)
        self.other = self.folder / "other"
        self.other.mkdir()
        self.sign_itself(self.other / "ca.pem", "an unknown CA", self.key)
        (self.other / "ca.key").write_bytes(self.key.read_bytes())

    def openssl(self, *args):
        subprocess.run(["openssl", *map(str, args)], check=True,
                       capture_output=True, timeout=60)

    def sign_itself(self, path, name, key):
        self.openssl("req", "-x509", "-key", key, "-out", path, "-days", 2,
                     "-subj", f"/CN={name}", "-addext",
                     "subjectAltName=IP:127.0.0.1")

    def make(self, name, authority, host="IP:127.0.0.1", days=2):
        """Signed by the authority, for the host, for so many days."""
        path = self.folder / f"{name}.pem"
        request = self.folder / f"{name}.csr"
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={host}\n", encoding="ascii")
        self.openssl("req", "-new", "-key", self.key, "-out", request,
                     "-subj", "/CN=server")
        self.openssl("x509", "-req", "-in", request, "-out", path, "-CA",
                     authority / "ca.pem", "-CAkey", authority / "ca.key",
                     "-set_serial", abs(hash(name)), "-days", days,
                     "-extfile", extensions)
        return path

    def context(self, kind):
        """A server's TLS with a certificate of that kind."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if kind == "self-signed":
            path = self.folder / "self-signed.pem"
            self.sign_itself(path, "itself", self.key)
        elif kind == "unknown-ca":
            path = self.make(kind, self.other)
        elif kind == "expired":
            path = self.make(kind, self.authority, days=-1)
        elif kind == "other-host":
            path = self.make(kind, self.authority, "DNS:example.org")
        else:
            path = self.make("good", self.authority)
        context.load_cert_chain(path, self.key)
        if kind == "old":
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1
        return context


def serve(listener, door, context):
    while True:
        sock, _ = listener.accept()
        try:
            sock.settimeout(20)
            if context:
                sock = context.wrap_socket(sock, server_side=True)
            door.handler(sock)
        except OSError: # whoever has come goes away again: that is the test
            pass
        finally:
            sock.close()


def main():
    urls = {}
    with tempfile.TemporaryDirectory() as folder:
        certificates = Certificates(pathlib.Path(sys.argv[1]), folder)
        for name, door in registry.DOORS.items():
            context = certificates.context(door.kind) if door.kind else None
            listener = socket.create_server(("127.0.0.1", 0), backlog=64)
            urls[name] = "%s://127.0.0.1:%d/x" % (
                door.scheme, listener.getsockname()[1])
            threading.Thread(target=serve, args=(listener, door, context),
                             daemon=True).start()
    until_stdin_ends.watch_stdin()
    print("ports=" + json.dumps(urls), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
