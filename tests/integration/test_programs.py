"""What every program says of itself, to users and to a service manager, and
what it says to a wrong option."""
import contextlib
import pathlib
import re
import socket
import sqlite3
import subprocess

import pytest

from harness import BUILD, GIVE_UP_S, ROOT, environment, urlsum

PROGRAMS = ["urlsum", "urlsum-broker", "urlsum-fetcher", "urlsum-hasher"]
DAEMONS = PROGRAMS[1:]
COMMANDS = ["get", "submit", "status", "results", "wait", "retry", "cancel",
            "rm", "workers", "hosts", "health", "keygen"]


def run(*args, **env):
    return subprocess.run([str(BUILD / args[0]), *args[1:]], text=True,
                          capture_output=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL, env=environment(**env))


@pytest.mark.parametrize("program", PROGRAMS)
def test_version(program):
    got = run(program, "--version")
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    version = re.search(r"project\(urlsum VERSION ([0-9.]+)", cmake).group(1)
    assert got.returncode == 0
    assert got.stdout.splitlines()[0] == f"{program} {version}"


@pytest.mark.parametrize("args", [
    *[[program] for program in PROGRAMS],
    *[["urlsum", command] for command in COMMANDS]])
def test_help(args):
    got = run(*args, "--help")
    assert got.returncode == 0 and got.stderr == ""
    assert got.stdout.startswith("Usage: " + " ".join(args))
    for line in got.stdout.splitlines():
        assert len(line) < 80, line
        # An option, what is said of it, or a sentence at the margin.
        assert args == ["urlsum"] or \
            re.match(r"(?:  -\S, --| {6}--| {29}|)[^\s\]]|$", line), line


@pytest.mark.parametrize("program", DAEMONS)
def test_every_flag_is_a_variable(program):
    """--help tells each row's variable, and --print-config obeys it."""
    text = re.sub(r"\s+", " ", run(program, "--help").stdout)
    flags = set(re.findall(r" --([a-z][a-z0-9-]+)", text))
    flags -= {"help", "version", "print-config"}
    names = set(re.findall(r"env: (URLSUM_[A-Z0-9_]+)", text))
    assert {name[7:].lower().replace("_", "-") for name in names} <= flags
    config = run(program, "--print-config").stdout
    rows = dict(line.split("=", 1) for line in config.splitlines())
    assert {"URLSUM_" + row.upper().replace("-", "_") for row in rows} == names
    got = run(program, "--print-config", URLSUM_GRACE="7").stdout
    assert "grace=7 # environment\n" in got
    got = run(program, "--print-config", "--grace", "8", URLSUM_GRACE="7")
    assert "grace=8 # flag\n" in got.stdout


@pytest.mark.parametrize("program", DAEMONS)
@pytest.mark.parametrize("args", [
    ["--nonsense"], ["--grace"], ["--grace", "soon"], ["--grace", "-1"],
    ["unexpected"], ["--log-level", "loud"]])
def test_wrong_options(program, args):
    got = run(program, *args)
    assert got.returncode == 2
    assert got.stdout == ""
    assert got.stderr.startswith(program + ": ") or "level=error" in got.stderr


@pytest.mark.parametrize("program", DAEMONS)
def test_wrong_variable(program):
    got = run(program, URLSUM_GRACE="soon")
    assert got.returncode == 2
    assert f"{program}: URLSUM_GRACE: 'soon' is not" in got.stderr


@pytest.mark.parametrize("args", [
    [], ["--nonsense"], ["get"], ["get", "--nonsense"], ["get", "-a", ""],
    ["get", "--format", "xml", "http://127.0.0.1/"], ["results"], ["wait"],
    ["cancel"], ["get", "--retry", "x", "http://127.0.0.1/"]])
def test_wrong_client_options(args):
    got = run("urlsum", *args)
    assert got.returncode == 2, got
    assert got.stdout == "" and "urlsum" in got.stderr


def test_store_that_cannot_be(tmp_path):
    got = run("urlsum-broker", "--store", str(tmp_path),
              "--client-bind", f"ipc://{tmp_path}/c", "--fetcher-bind",
              f"ipc://{tmp_path}/f", "--hasher-bind", f"ipc://{tmp_path}/h")
    assert got.returncode in (2, 3)
    assert "store" in got.stderr


def test_install(tmp_path):
    """cmake --install puts the four programs in place, their manual pages and
    completions."""
    subprocess.run(["cmake", "--install", str(BUILD), "--prefix",
                    str(tmp_path)], check=True, timeout=60,
                   capture_output=True)
    installed = {path.name for path in pathlib.Path(tmp_path, "bin").iterdir()}
    assert installed == set(PROGRAMS)
    share = tmp_path / "share"
    for program in PROGRAMS:
        for path in (f"man/man1/{program}.1", f"zsh/site-functions/_{program}",
                     f"bash-completion/completions/{program}",
                     f"fish/vendor_completions.d/{program}.fish"):
            assert (share / path).stat().st_size > 500


class Manager:
    """The socket of a service manager."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + path[1:] if path[0] == "@" else path)
        self.socket.settimeout(GIVE_UP_S)
        self.environment = environment(NOTIFY_SOCKET=path)

    def wait(self, line):
        """Waits for a line; returns what was said before it."""
        before = []
        while True:
            for got in self.socket.recv(4096).decode().splitlines():
                if got == line:
                    return before
                before.append(got)

    def is_silent(self):
        self.socket.setblocking(False)
        try:
            return not self.socket.recv(4096)
        except BlockingIOError:
            return True


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    path = f"@{tmp_path}" if request.param == "abstract" \
        else str(tmp_path / "notify")
    ours = Manager(path)
    yield ours
    ours.socket.close()


def test_broker_notifies(new_fleet, manager):
    """READY=1 once clients are served, STOPPING=1 at the first SIGTERM."""
    fleet = new_fleet()
    broker = fleet.start_broker(env=manager.environment)
    before = manager.wait("READY=1")
    assert any(line.startswith("STATUS=") for line in before)
    assert fleet.client("status").code == 0
    broker.process.terminate()
    assert "READY=1" not in manager.wait("STOPPING=1")
    broker.wait_exit(0)
    assert manager.is_silent()


def test_broker_that_fails_is_never_ready(new_fleet, manager):
    fleet = new_fleet()
    fleet.store.write_bytes(b"this is not a database" * 100)
    broker = fleet.start("urlsum-broker", "--store", fleet.store, *(
        arg for role, endpoint in fleet.endpoints.items()
        for arg in (f"--{role}-bind", endpoint)), env=manager.environment)
    broker.wait_exit(3)
    assert manager.is_silent()


@pytest.mark.parametrize("role", ["fetcher", "hasher"])
def test_workers_notify(new_fleet, manager, role):
    """A worker is ready without its broker, which may come later."""
    fleet = new_fleet()
    worker = fleet.start(f"urlsum-{role}", "--broker", fleet.endpoints[role],
                         env=manager.environment)
    manager.wait("READY=1")
    worker.process.terminate()
    manager.wait("STOPPING=1")
    worker.wait_exit(0)


def test_embedded_run_notifies_nobody(nginx, manager):
    """A client in somebody's unit is not the service."""
    got = urlsum("get", nginx.url("x"), env=manager.environment)
    assert got.code == 0 and manager.is_silent()


def age(fleet, days):
    """Makes every finished batch of the store older."""
    with contextlib.closing(sqlite3.connect(fleet.store)) as store:
        store.execute("UPDATE batch SET finished_ms = finished_ms - ? "
                      "WHERE finished_ms > 0", (int(days * 86400000),))
        store.commit()


def test_keep(new_fleet, nginx):
    """--keep DAYS removes what finished longer ago, and nothing else."""
    fleet = new_fleet()
    fleet.start_broker()
    fleet.start_hasher()
    fleet.start_fetcher()
    def run(name):
        fleet.client("submit", "--id", name, nginx.url("x"))
        fleet.client("wait", name)

    run("old")
    run("older")
    fleet.broker.stop()
    age(fleet, 2)
    broker = fleet.start_broker() # without it, they stay for ever
    run("new")
    assert fleet.status("old")["done"] == 1
    broker.stop()
    broker = fleet.start_broker("--keep", "1.5")
    broker.wait_event("batch.removed", has="batches=2")
    fleet.client("status", "old", codes=(2,))
    fleet.client("status", "older", codes=(2,))
    assert fleet.status("new")["done"] == 1
