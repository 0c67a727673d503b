"""The origin: an nginx of its own that serves files out of memory.

Files are noise, no two alike, so that a digest written beside the wrong URL is
seen. Their digests come from sha512sum itself.
"""
import os
import pathlib
import pwd
import resource
import shutil
import socket
import subprocess
import tempfile
import time

CONNECTIONS_MAX = 4096

CONFIG = """\
worker_processes auto;
worker_rlimit_nofile {descriptors};
daemon off;
pid {root}/nginx.pid;
error_log {root}/error.log;
{user}
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 10000000;
    keepalive_timeout 600s;
    open_file_cache max={cached} inactive=1h;
    open_file_cache_valid 1h;
    default_type application/octet-stream;
    client_body_temp_path {root}/temp;
    proxy_temp_path {root}/temp;
    fastcgi_temp_path {root}/temp;
    uwsgi_temp_path {root}/temp;
    scgi_temp_path {root}/temp;
    server {{
        listen 127.0.0.1:{port} reuseport backlog=4096;
        root {root}/files;
    }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, seconds=20):
    """Returns when something listens on the port of the loopback."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None:
                raise RuntimeError(f"{process.args[0]} ended with "
                                   f"{process.returncode}") from None
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody listens on {port}") from None
            time.sleep(0.02)


def memory_folder(bytes_needed):
    """A folder in tmpfs if there is room, else in the page cache's reach."""
    try:
        if shutil.disk_usage("/dev/shm").free > 2 * bytes_needed:
            return tempfile.mkdtemp(prefix="urlsum-bench.", dir="/dev/shm")
    except OSError:
        pass
    return tempfile.mkdtemp(prefix="urlsum-bench.")


class Origin:
    """Use as a context: files for the cases exist and are served inside it."""

    def __init__(self, cases):
        self.cases = cases
        self.port = free_port()
        self.process = None
        self.root = None
        self.sums = {}  # path -> digest

    def __enter__(self):
        total = sum(min(c.files, c.count) * c.bytes for c in self.cases)
        self.root = pathlib.Path(memory_folder(total))
        try:
            self.root.chmod(0o755)
            (self.root / "temp").mkdir()
            for case in self.cases:
                self._write_files(case)
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            self.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def _write_files(self, case):
        folder = self.root / "files" / case.key
        folder.mkdir(parents=True)
        for i in range(min(case.files, case.count)):
            (folder / f"{i:06d}").write_bytes(os.urandom(case.bytes))
        listing = subprocess.run(
            "find . -type f -print0 | xargs -0 -P0 -n 500 sha512sum",
            shell=True, cwd=folder, check=True, text=True, capture_output=True)
        for line in listing.stdout.splitlines():
            digest, name = line.split("  ./")
            self.sums[f"{case.key}/{name}"] = digest

    def _start(self):
        # As root its workers would otherwise be somebody who cannot read here.
        user = f"user {pwd.getpwuid(os.geteuid()).pw_name};" \
            if os.geteuid() == 0 else ""
        config = self.root / "nginx.conf"
        # Every file stays open in nginx, if the limit on descriptors allows.
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        descriptors = 65536 if hard < 0 else min(hard, 65536)
        config.write_text(CONFIG.format(
            root=self.root, port=self.port, user=user,
            descriptors=descriptors, connections=CONNECTIONS_MAX,
            cached=max(1, descriptors - 2 * CONNECTIONS_MAX)))
        self.process = subprocess.Popen(
            ["nginx", "-p", str(self.root), "-e",
             str(self.root / "error.log"), "-c", str(config)])
        wait_for_port(self.port, self.process)

    def complaint(self):
        """What nginx has logged, which should be nothing: an origin that is in
        trouble makes numbers of no worth."""
        with open(self.root / "error.log", encoding="utf-8") as log:
            return log.readline().strip()

    def url(self, case, i):
        files = min(case.files, case.count)
        query = "" if case.count <= files else f"?n={i}"
        return (f"http://127.0.0.1:{self.port}/{case.key}/"
                f"{i % files:06d}{query}")

    def expected(self, case):
        """The manifest's lines, sorted."""
        files = min(case.files, case.count)
        return sorted(
            f"{self.sums[f'{case.key}/{i % files:06d}']}  {self.url(case, i)}"
            for i in range(case.count))

    def write_list(self, case):
        path = self.root / f"{case.key}.list"
        with open(path, "w", encoding="ascii") as out:
            for i in range(case.count):
                out.write(self.url(case, i) + "\n")
        return path

    def cpu_seconds(self):
        """CPU time nginx has used so far, its workers included."""
        return sum(process_cpu(pid) for pid in tree(self.process.pid))


def tree(pid):
    """The process and its children."""
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return [pid]
    return [pid] + [int(child) for child in children.split()]


def process_cpu(pid):
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
