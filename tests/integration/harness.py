"""What the tests share: the programs under test, started and ended for sure.

Nothing here waits for time to pass: one waits for a log event, for an exit or
for an answer, and a deadline only says when to give up.
"""
import contextlib
import errno
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("URLSUM_BUILD", ROOT / "build" / "ci"))
HERE = pathlib.Path(__file__).resolve().parent


def build_option(name, build=BUILD):
    """A variable of the build's CMake cache."""
    cache = build / "CMakeCache.txt"
    found = None
    if cache.exists():
        found = re.search(rf"^{name}:[A-Z]+=(.*)$",
                          cache.read_text(encoding="utf-8"), re.M)
    return found.group(1) if found else ""


SANITIZE = build_option("SANITIZE")
# Sanitizers make programs slow and fat: deadlines stretch, sizes do not count.
PATIENCE = 6 if "thread" in SANITIZE else 3 if SANITIZE else 1
GIVE_UP_S = 40 * PATIENCE

# How a sanitizer's report begins.
REPORTS = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|"
                     r"runtime error:|SUMMARY: \w+Sanitizer")


def environment(**more):
    """The environment without what would change the programs' settings; only
    that fetchers may go where the tests' own servers are."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith("URLSUM_") and
           not name.lower().endswith("_proxy")}
    env.update({"LC_ALL": "C.UTF-8", "URLSUM_ALLOW_NET": "127.0.0.0/8",
                **more})
    return env


def _ports():
    """Ports that no connection takes for its own end (ip(7),
    ip_local_port_range), in an order of this process's own, so that tests that
    run side by side hardly ever want the same one. None when there are few."""
    low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
              .read_text("ascii").split()[0])
    ports = list(range(10000, low))
    random.SystemRandom().shuffle(ports)
    yield from ports if len(ports) > 5000 else ()
    while True:
        yield 0


_PORTS = _ports()


def free_port(address="127.0.0.1"):
    """A port nobody has just now; each only once, as long as there are any."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind((address, next(_PORTS)))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return probe.getsockname()[1]


def wait_until(check, what, seconds=GIVE_UP_S):
    """Polls check() until it gives something true, which is returned."""
    deadline = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        assert time.monotonic() < deadline, f"gave up waiting for {what}"
        time.sleep(0.02)


def sha512(data):
    return hashlib.sha512(data).hexdigest()


def file_digests(paths):
    """path -> hex, by the very program that we imitate."""
    paths = [str(path) for path in paths]
    out = subprocess.run(["sha512sum", "-z", "--"] + paths, check=True,
                         capture_output=True, timeout=300).stdout
    return {line[130:].decode(): line[:128].decode()
            for line in out.split(b"\0") if line}


class Program:
    """One of our daemons, its log in a file."""

    def __init__(self, name, args, log, env=None):
        self.name = name
        self.args = [str(BUILD / name) if "/" not in name else name,
                     *map(str, args)]
        self.log = pathlib.Path(log)
        self.log_file = open(self.log, "ab")
        self.process = subprocess.Popen(
            self.args, stdin=subprocess.DEVNULL, stdout=self.log_file,
            stderr=self.log_file, env=env or environment())
        self.is_killed = False

    @property
    def pid(self):
        return self.process.pid

    def text(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def events(self, event):
        """Log lines of an event."""
        return [line for line in self.text().splitlines()
                if f" event={event} " in line + " "]

    def wait_event(self, event, count=1, has=""):
        """Waits for the count-th line of an event that contains has."""
        def lines():
            found = [line for line in self.events(event) if has in line]
            return found if len(found) >= count else None
        return wait_until(lambda: lines() or self.check_alive(),
                          f"{event} of {self.name}")

    def check_alive(self):
        code = self.process.poll()
        assert code is None, f"{self.name} ended with {code}:\n{self.tail()}"

    def tail(self):
        return "\n".join(self.text().splitlines()[-30:])

    def kill(self):
        """SIGKILL: what a power cut does."""
        self.is_killed = True
        self.process.kill()
        self.process.wait(10)

    def stop(self, code=0):
        """SIGTERM, then the exit code must be this one."""
        if self.process.poll() is None:
            self.process.terminate()
        self.wait_exit(code)

    def wait_exit(self, code=0):
        try:
            got = self.process.wait(GIVE_UP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.name} does not end:\n{self.tail()}") from None
        assert got == code, f"{self.name}: {got}\n{self.tail()}"

    def end(self):
        """Whatever happened before: afterwards it is gone. Returns what a
        sanitizer found."""
        # What it has in hand is nobody's any more: a second signal means now.
        for patience in (0.5, 10):
            if self.process.poll() is None:
                self.process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(patience * PATIENCE)
        if self.process.poll() is None:
            self.kill()
        self.log_file.close()
        code = self.process.returncode
        if REPORTS.search(self.text()) or (
                code not in (0, 2, 3, -signal.SIGTERM) and not self.is_killed):
            return f"{self.name} ended with {code}:\n" + self.text()[-6000:]
        return None

    def memory_max_kib(self):
        """The most memory it ever had resident."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text("ascii")
        return int(re.search(r"VmHWM:\s+(\d+)", status).group(1))


class Fleet:
    """A broker and workers in a folder of their own."""

    def __init__(self, folder, transport="tcp"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.store = self.folder / "store.db"
        self.programs = []
        self.broker = self.hasher = self.fetcher = None
        if transport == "tcp":
            self.endpoints = {role: f"tcp://127.0.0.1:{free_port()}"
                              for role in ("client", "fetcher", "hasher")}
        else:
            self.endpoints = {role: f"ipc://{self.folder}/{role}.sock"
                              for role in ("client", "fetcher", "hasher")}

    def start(self, name, *args, label=None, env=None):
        log = self.folder / f"{label or name}.{len(self.programs)}.log"
        program = Program(name, args, log, env)
        self.programs.append(program)
        return program

    def start_broker(self, *args, **more):
        bind = []
        for role, endpoint in self.endpoints.items():
            bind += [f"--{role}-bind", endpoint]
        self.broker = self.start("urlsum-broker", *bind, "--store", self.store,
                                 *args, **more)
        self.broker.wait_event("broker.ready")
        return self.broker

    def start_fetcher(self, *args, **more):
        return self.start_worker("fetcher", args, more)

    def start_hasher(self, *args, **more):
        if "--threads" not in args:
            args += ("--threads", "1")
        return self.start_worker("hasher", args, more)

    def start_worker(self, role, args, more):
        name = f"{role}-{len(self.programs)}"
        worker = self.start(f"urlsum-{role}", "--broker", self.endpoints[role],
                            "--name", name, *args, **more)
        worker.worker_name = name
        worker.wait_event("link.live")
        return worker

    def start_keyed(self, keys, cacert):
        """A broker, a hasher and a fetcher with their keys, live."""
        self.start_broker(*keys.of_broker())
        self.hasher = self.start_hasher(*keys.of("hasher"))
        self.fetcher = self.start_fetcher(*keys.of("fetcher"), "--cacert",
                                          cacert)

    def client(self, *args, **more):
        return urlsum(*args, broker=self.endpoints["client"], **more)

    def status(self, batch):
        """One batch's numbers."""
        out = self.client("status", batch, "--json").stdout
        return json.loads(out)

    def end(self):
        """Ends all that was started. Workers first: a broker that goes away
        under them is another test's matter."""
        reports = [program.end() for program in reversed(self.programs)]
        reports = [report for report in reports if report]
        assert not reports, "\n\n".join(reports)


class Result:
    """What a run of the client printed."""

    def __init__(self, args, code, stdout, stderr):
        self.args = args
        self.code = code
        self.stdout = stdout
        self.stderr = stderr

    @property
    def lines(self):
        return self.stdout.decode("utf-8").splitlines()

    @property
    def errors(self):
        return self.stderr.decode("utf-8", "replace").splitlines()

    def sums(self):
        """url -> hex, from the format sum; a URL twice is an error."""
        found = {}
        for line in self.lines:
            hexes, url = line.split("  ", 1)
            assert url not in found, f"two records: {url}"
            found[url] = hexes
        return found

    def records(self):
        """The objects of the format jsonl."""
        return [json.loads(line) for line in self.lines]


def client_command(args, broker=None):
    command = [str(BUILD / "urlsum"), *map(str, args)]
    if broker:
        command += ["--broker", str(broker)]
    return command


def urlsum(*args, broker=None, stdin=b"", codes=(0,), seconds=None, env=None):
    """Runs the client to its end; its exit code must be one of these."""
    command = client_command(args, broker)
    if isinstance(stdin, str):
        stdin = stdin.encode("utf-8")
    run = subprocess.run(command, input=stdin, capture_output=True,
                         env=env or environment(),
                         timeout=seconds or 3 * GIVE_UP_S, check=False)
    result = Result(command, run.returncode, run.stdout, run.stderr)
    text = run.stderr.decode("utf-8", "replace")
    assert not REPORTS.search(text), text[-6000:]
    assert run.returncode in codes, \
        f"{command}: {run.returncode}\n{text[-3000:]}"
    return result


@contextlib.contextmanager
def started_client(*args, broker=None, stdin=subprocess.DEVNULL, env=None):
    """A client on its way; killed if it is still there afterwards."""
    process = subprocess.Popen(client_command(args, broker), stdin=stdin,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=env or environment())
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                pipe.close()


class OddOrigin:
    """origin.py as a process, or another server of its kind."""
    context = None  # to ask it by TLS

    def __init__(self, program=HERE / "origin.py", tls=None):
        """tls: (certificate, key, the CA's certificate)."""
        self.process = subprocess.Popen(
            [sys.executable, "-B", str(program), *map(str, (tls or ())[:2])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split("=")[1])
        self.base = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        if tls:
            self.context = ssl.create_default_context(cafile=tls[2])

    def url(self, path):
        return f"{self.base}/{path}"

    def get(self, path):
        """Asks it directly."""
        with contextlib.ExitStack() as stack:
            sock = stack.enter_context(
                socket.create_connection(("127.0.0.1", self.port), 10))
            if self.context:
                sock = stack.enter_context(self.context.wrap_socket(
                    sock, server_hostname="127.0.0.1"))
            request = f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n"
            sock.sendall(request.encode("ascii"))
            data = b""
            while b"\r\n\r\n" not in data:
                data += sock.recv(65536)
            head, content = data.split(b"\r\n\r\n", 1)
            length = int(re.search(rb"Content-Length: (\d+)", head).group(1))
            while len(content) < length:
                content += sock.recv(65536)
        return content

    def stats(self):
        return json.loads(self.get("stats"))

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Nginx:
    """A real web server: http and https, folders as they are."""

    CONFIG = """
daemon off;
master_process {master};
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
{user}
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/octet-stream;
    keepalive_requests 1000000;
    sendfile on;
    client_body_temp_path {folder}/t1;
    proxy_temp_path {folder}/t2;
    fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4;
    scgi_temp_path {folder}/t5;
    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.key;
    ssl_session_cache shared:x:1m;
    server {{
        listen 127.0.0.1:{http} backlog=4096;
        listen 127.0.0.1:{https} ssl;
        server_name localhost;
        large_client_header_buffers 4 128k;
        location /doc/ {{ alias /usr/share/doc/; disable_symlinks off; }}
        location /made/ {{ alias {folder}/made/; }}
        location /x {{ return 200 "x"; }}
        location ~ ^/downgrade/http:/(.*)$ {{ return 302 http://$1; }}
        location / {{ return 404 "none"; }}
    }}
}}
"""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.http = free_port()
        self.https = free_port()
        self.ca = self.folder / "ca.pem"
        self.made = self.folder / "made"
        self.made.mkdir()
        self.make_certificates()
        config = self.CONFIG.format(
            folder=self.folder, http=self.http, https=self.https,
            master="on", workers=1,
            user="user root;" if os.geteuid() == 0 else "")
        path = self.folder / "nginx.conf"
        path.write_text(config, encoding="ascii")
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        with open(self.folder / "nginx.out", "wb") as out:
            self.process = subprocess.Popen(
                [program, "-p", str(self.folder), "-e",
                 str(self.folder / "error.log"), "-c", str(path)],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        wait_until(self.answers, "nginx")

    def answers(self):
        assert self.process.poll() is None, \
            (self.folder / "nginx.out").read_text("utf-8")
        try:
            socket.create_connection(("127.0.0.1", self.http), 1).close()
        except OSError:
            return False
        return True

    def make_certificates(self):
        def openssl(*args):
            subprocess.run(["openssl", *map(str, args)], cwd=self.folder,
                           check=True, capture_output=True, timeout=60)

        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
               "-nodes"]
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem",
                "-days", 2, "-subj", "/CN=throw-away CA",
                "-addext", "basicConstraints=critical,CA:TRUE",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        openssl("req", *key, "-keyout", "server.key", "-out", "server.csr",
                "-subj", "/CN=localhost")
        (self.folder / "ext").write_text(
            "subjectAltName=DNS:localhost,IP:127.0.0.1\n"
            "basicConstraints=CA:FALSE\n", encoding="ascii")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey",
                "ca.key", "-CAcreateserial", "-days", 2, "-extfile", "ext",
                "-out", "server.pem")

    def url(self, path, scheme="http"):
        port = self.https if scheme == "https" else self.http
        return f"{scheme}://127.0.0.1:{port}/{path}"

    def end(self):
        self.process.terminate()
        self.process.wait(10)
