"""/livez and /readyz of every program, and `urlsum health` that asks them."""
import http.server
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import (BUILD, GIVE_UP_S, PATIENCE, ROOT, environment, free_port,
                     started_client, urlsum, wait_until)
from disks import FaultyDisk, SmallDisk, needs_root, needs_shim
from pages import address, get, metric

DAEMONS = ["urlsum-broker", "urlsum-fetcher", "urlsum-hasher"]


def health(where, *args, codes=(0,)):
    """What `urlsum health` prints."""
    got = urlsum("health", where, *args, codes=codes)
    return got.stdout.decode()


def becomes(where, code):
    """Waits until `urlsum health` exits so; returns what it prints."""
    def look():
        got = urlsum("health", where, codes=(0, 1, 3))
        return got if got.code == code else None
    return wait_until(look, f"health {code} of {where}").stdout.decode()


@pytest.fixture
def served(new_fleet):
    """A fleet whose programs all serve, and where."""
    fleet = new_fleet()
    where = {name: address() for name in DAEMONS}
    fleet.start_broker("--http", where["urlsum-broker"])
    fleet.start_fetcher("--http", where["urlsum-fetcher"])
    fleet.start_hasher("--http", where["urlsum-hasher"], "--threads", "2")
    fleet.where = where
    return fleet


def test_all_ready(served):
    for where in served.where.values():
        assert becomes(where, 0) == "ready\n"
        assert health(where, "--live") == "live\n"
        status, head, body = get(where, "/readyz")
        assert (status, body) == (200, "ready\n")
        assert "Connection: close" in head
        assert get(where, "/readyz", "HEAD")[::2] == (200, "")


def test_what_is_not_there(served):
    where = served.where["urlsum-broker"]
    assert get(where, "/")[0] == 404
    assert get(where, "/metrics/")[0] == 404
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        status, head, body = get(where, "/metrics", method)
        assert status == 405 and "Allow: GET, HEAD" in head and body
    status, head, body = get(where, "/metrics")
    assert status == 200 and body.endswith("\n")
    assert ("Content-Type: text/plain; version=0.0.4; charset=utf-8" in
            head.splitlines())


def test_workers_without_broker(served):
    """Workers live on when the broker goes, and are not ready."""
    served.broker.kill()
    for name in DAEMONS[1:]:
        text = becomes(served.where[name], 1)
        assert text.startswith("not ready: ") and "broker" in text
        assert health(served.where[name], "--live") == "live\n"
    assert becomes(served.where["urlsum-broker"], 3) == ""
    served.start_broker("--http", served.where["urlsum-broker"])
    for where in served.where.values():
        assert becomes(where, 0) == "ready\n"


@pytest.mark.parametrize("name", DAEMONS)
def test_draining(served, origin, name):
    """A program that is told to stop is not ready, and lives until it ends."""
    with started_client("get", origin.url("slow/5000000/1/500"),
                        broker=served.endpoints["client"]):
        role = name[len("urlsum-"):]
        wait_until(lambda: any(
            worker["jobs"] for worker in served.client(
                "workers", "--json").records()
            if role in ("broker", worker["role"])), "a job in hand")
        program = next(program for program in served.programs
                       if program.name == name)
        program.process.terminate()
        assert "about to stop" in becomes(served.where[name], 1)
        assert health(served.where[name], "--live") == "live\n"
        program.process.terminate()
        program.wait_exit()


def test_hung_program(served):
    """Who does not turn his loop answers nothing: a probe sees no answer."""
    program = served.programs[1]
    where = served.where["urlsum-fetcher"]
    os.kill(program.pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        urlsum("health", where, "--live", "--timeout", "0.3", codes=(3,))
        assert time.monotonic() - start < 20 * PATIENCE
    finally:
        os.kill(program.pid, signal.SIGCONT)
    assert becomes(where, 0) == "ready\n"


@needs_root
def test_check_of_the_image_below_an_init():
    """With `docker run --init` process 1 is not ours: its child is asked."""
    script = """urlsum-hasher --broker tcp://127.0.0.1:9 2>/dev/null &
        until urlsum health --live >/dev/null 2>&1; do sleep 0.1; done
        container-health
        echo "exit $?"
        kill $!
        wait"""
    path = f"{BUILD}:{ROOT / 'deploy'}:{os.environ['PATH']}"
    got = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script],
        env=environment(PATH=path, URLSUM_HTTP=address()), check=True,
        capture_output=True, text=True, timeout=GIVE_UP_S)
    assert "not ready" in got.stdout and got.stdout.endswith("exit 1\n")


@pytest.fixture
def disk(tmp_path):
    ours = SmallDisk(tmp_path / "disk")
    yield ours
    ours.end()


@needs_root
def test_store_refuses(disk, new_fleet, tmp_path):
    """A full disk: the broker is not ready and says why; then it is again."""
    fleet = new_fleet()
    where = address()
    fleet.store = disk.folder / "store.db"
    fleet.start_broker("--http", where)
    assert becomes(where, 0) == "ready\n"
    disk.fill()
    urls = tmp_path / "urls"
    urls.write_text("http://127.0.0.1:9/x\n" * 1000)
    with started_client("submit", "-i", urls,
                        broker=fleet.endpoints["client"]) as client:
        assert "disk is full" in becomes(where, 1)
        assert health(where, "--live") == "live\n"
        assert metric(where, "urlsum_broker_store_refuses") == 1
        assert metric(where, "urlsum_broker_store_refusals_total") > 0
        disk.make_room()
        assert client.wait(GIVE_UP_S) == 0
        assert becomes(where, 0) == "ready\n"
        assert metric(where, "urlsum_broker_store_refuses") == 0
    fleet.end()
    fleet.programs.clear()


@needs_shim
def test_store_hangs(new_fleet, tmp_path):
    """A disk that neither writes nor fails: nobody is told of an error, so the
    time tells."""
    disk = FaultyDisk(tmp_path)
    where = address()
    fleet = new_fleet()
    fleet.start_broker("--http", where, env=disk.environment)
    assert becomes(where, 0) == "ready\n"
    disk.fail("sync HANG .db-wal")
    with started_client("submit", "-i", os.devnull,
                        broker=fleet.endpoints["client"]) as client:
        assert "has not answered for" in becomes(where, 1)
        assert metric(where, "urlsum_broker_store_busy_seconds") > 15
        assert health(where, "--live") == "live\n"
        disk.work()
        assert client.wait(GIVE_UP_S) == 0
    assert becomes(where, 0) == "ready\n"


# --- Addresses ---

def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize("bind, asked", [
    ("[::1]:{}", ["[::1]:{}"]),
    ("[::]:{}", ["[::1]:{}", "127.0.0.1:{}", "[::]:{}"]),
    ("0.0.0.0:{}", ["127.0.0.1:{}", "0.0.0.0:{}"]),
    ("localhost:{}", ["localhost:{}"])])
def test_addresses(new_fleet, bind, asked):
    fleet = new_fleet()
    port = free_port()
    hasher = fleet.start("urlsum-hasher", "--broker", "tcp://127.0.0.1:9",
                         "--threads", "1", "--http", bind.format(port))
    hasher.wait_event("http.serves")
    for where in asked:
        assert health(where.format(port), "--live") == "live\n"


@pytest.mark.parametrize("name", DAEMONS)
@pytest.mark.parametrize("bad", ["", "1:2:3", "127.0.0.1:0", "127.0.0.1:99999",
                                 ":5553", "[::1", "a b:1", "127.0.0.1:*"])
def test_bad_address(tmp_path, name, bad):
    args = ["--store", tmp_path / "s.db", "--client-bind",
            f"tcp://127.0.0.1:{free_port()}"] if "broker" in name else []
    got = subprocess.run([BUILD / name, *args, f"--http={bad}"], timeout=60,
                         capture_output=True, env=environment(), check=False)
    assert got.returncode == 2
    assert b"http" in got.stderr and b"ADDRESS:PORT" in got.stderr


@pytest.mark.parametrize("name", DAEMONS)
def test_address_in_use(tmp_path, name):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        args = ["--store", tmp_path / "s.db"] if "broker" in name else []
        got = subprocess.run(
            [BUILD / name, *args, "--http", f"127.0.0.1:{port}"], timeout=60,
            capture_output=True, env=environment(), check=False)
    assert got.returncode == (3 if "broker" in name else 1)
    assert b"event=http.not_served" in got.stderr
    assert b"Address already in use" in got.stderr


# --- urlsum health ---

def test_health_usage():
    got = urlsum("health", codes=(2,))
    assert "URLSUM_HTTP" in got.stderr.decode()
    urlsum("health", "a:b:c", codes=(2,))
    urlsum("health", "127.0.0.1:1", "127.0.0.1:2", codes=(2,))
    got = urlsum("health", f"127.0.0.1:{free_port()}", codes=(3,))
    assert "no answer" in got.stderr.decode()


def test_health_environment(served):
    """URLSUM_HTTP says where, an argument wins, and no proxy is asked."""
    where = served.where["urlsum-broker"]
    dead = f"http://127.0.0.1:{free_port()}"
    env = environment(URLSUM_HTTP=where, http_proxy=dead, HTTP_PROXY=dead,
                      ALL_PROXY=dead, all_proxy=dead)
    assert urlsum("health", env=env).stdout == b"ready\n"
    urlsum("health", f"127.0.0.1:{free_port()}", env=env, codes=(3,))


class Stranger(http.server.BaseHTTPRequestHandler):
    def do_GET(self): # noqa: N802 (the library's name)
        self.send_response(404)
        self.end_headers()

    def log_message(self, format, *args): # noqa: A002
        pass


def test_health_of_another_server():
    with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        got = urlsum("health", f"127.0.0.1:{server.server_port}", codes=(3,))
        server.shutdown()
        thread.join()
    assert "no urlsum program" in got.stderr.decode()
