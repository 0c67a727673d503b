"""Programs die at the worst moment; nothing is lost and nothing is wrong."""
import contextlib
import json
import os
import signal
import socket
import threading
import time

import pytest

import origin as odd
from batches import check_all, small_urls, submit
from harness import GIVE_UP_S, PATIENCE, sha512, started_client, wait_until


def test_broker_killed(fleet, nginx):
    """SIGKILL in mid-run, restart on the same store: the batch goes on, and a
    client that waits does not notice."""
    want = small_urls(nginx, 2000)
    for extra in ("?a", "?b"):
        want.update(small_urls(nginx, 2000, extra))
    batch = submit(fleet, want)
    with started_client("results", batch, "--follow", "--format", "jsonl",
                        broker=fleet.endpoints["client"]) as client:
        wait_until(lambda: fleet.status(batch)["done"] >= 100, "some records")
        fleet.broker.kill()
        fleet.start_broker()
        out, err = client.communicate(timeout=3 * GIVE_UP_S)
        assert client.returncode == 0, err.decode()
    followed = [json.loads(line) for line in out.splitlines()]
    assert len(followed) == len(want), "a record is lost or came twice"
    assert {record["url"]: record["digests"]["sha512"]
            for record in followed} == want
    check_all(fleet, batch, want)


def test_broker_killed_again_and_again(fleet, nginx):
    want = {}
    for extra in ("", "?a", "?b", "?c"):
        want.update(small_urls(nginx, 2000, extra))
    batch = submit(fleet, want)
    seen = 0
    for _ in range(4):
        def moved():
            return fleet.status(batch)["done"] > seen
        wait_until(moved, "a record more")
        seen = fleet.status(batch)["done"]
        fleet.broker.kill()
        fleet.start_broker()
        # What was shown as done stays done.
        assert fleet.status(batch)["done"] >= seen
    records = check_all(fleet, batch, want)
    # The broker's death is nobody's fault.
    assert {record["attempts"] for record in records} == {1}


def test_broker_stopped_and_started(fleet, nginx, origin):
    """SIGTERM with transfers on their way: exit 0, and they begin anew."""
    want = {origin.url(f"slow/100000/{n}/100"): odd.digest(100000, n)
            for n in range(4)}
    want.update(small_urls(nginx, 300))
    batch = submit(fleet, want)
    wait_until(lambda: fleet.status(batch)["done"] >= 10, "some records")
    fleet.broker.stop()
    fleet.start_broker()
    check_all(fleet, batch, want)


@pytest.mark.parametrize("role", ["fetcher", "hasher"])
def test_worker_killed(fleet, nginx, origin, role):
    """One of two dies with bodies in hand; the other one does its work."""
    second = getattr(fleet, f"start_{role}")
    want = small_urls(nginx, 1000)
    want.update({origin.url(f"slow/2000000/{n}/50"): odd.digest(2000000, n)
                 for n in range(6)})
    victim = second(*(["--cacert", nginx.ca] if role == "fetcher" else []))
    batch = submit(fleet, want)
    wait_until(lambda: fleet.status(batch)["done"] >= 20, "some records")
    victim.kill()
    records = check_all(fleet, batch, want)
    # A lost worker is not the URL's fault.
    assert {record["attempts"] for record in records} == {1}


@pytest.mark.parametrize("role", ["fetcher", "hasher"])
def test_only_worker_killed(fleet, nginx, origin, role):
    """Its successor gets everything that it had in hand."""
    name = origin.url(f"gate/only-{role}/1000000/3")
    want = {name: odd.digest(1000000, 3), **small_urls(nginx, 500)}
    batch = submit(fleet, want)
    wait_until(lambda: fleet.status(batch)["done"] >= 1, "a record")
    victim = next(p for p in fleet.programs if p.name == f"urlsum-{role}")
    victim.kill()
    origin.get(f"open/only-{role}")
    getattr(fleet, f"start_{role}")()
    check_all(fleet, batch, want)


@pytest.mark.parametrize("role", ["fetcher", "hasher"])
def test_worker_stopped(fleet, nginx, origin, role):
    """SIGTERM: it finishes what it has, takes nothing new, and exits 0."""
    second = getattr(fleet, f"start_{role}")()
    want = {origin.url(f"slow/300000/{n}/60"): odd.digest(300000, n)
            for n in range(8)}
    want.update(small_urls(nginx, 500))
    batch = submit(fleet, want)
    wait_until(lambda: fleet.status(batch)["done"] >= 5, "some records")
    second.stop()
    records = check_all(fleet, batch, want)
    assert {record["attempts"] for record in records} == {1}
    assert fleet.broker.events("worker.ended")


def test_hung_worker(new_fleet, nginx, origin):
    """A fetcher that says nothing any more is lost after the ttl, and what it
    had goes to another."""
    fleet = new_fleet()
    fleet.start_broker("--ttl", "2")
    fleet.start_hasher()
    hung = fleet.start_fetcher()
    want = {origin.url(f"gate/hung/50000/{n}"): odd.digest(50000, n)
            for n in range(8)}
    batch = submit(fleet, want)
    wait_until(lambda: fleet.status(batch)["fetching"] >= 1, "a transfer")
    os.kill(hung.pid, signal.SIGSTOP)
    origin.get("open/hung")
    try:
        fleet.start_fetcher()
        fleet.broker.wait_event("worker.silent")
        check_all(fleet, batch, want)
    finally:
        os.kill(hung.pid, signal.SIGCONT)
    # It wakes, learns that it was given up, and takes part again.
    hung.wait_event("link.live", count=2)
    assert fleet.client("get", nginx.url("x")).sums() == \
        {nginx.url("x"): sha512(b"x")}


class Link:
    """A TCP link that can be cut without either end hearing of it, as when a
    cable is pulled."""

    def __init__(self, endpoint):
        host, port = endpoint[len("tcp://"):].rsplit(":", 1)
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "tcp://%s:%d" % self.listener.getsockname()
        self.is_cut = threading.Event()
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target)
                self.sockets += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self.pump, args=pair,
                                     daemon=True).start()

    def pump(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.is_cut.is_set():
                    return # keeps both connections, and passes nothing on
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def end(self):
        for sock in (self.listener, *self.sockets):
            sock.close()


@pytest.mark.parametrize("how", ["killed", "stopped", "cut"])
@pytest.mark.parametrize("ttl", [pytest.param(None, marks=pytest.mark.slow),
                                 "2"], ids=["default", "short"])
def test_lost_jobs_are_back_in_time(new_fleet, origin, how, ttl):
    """A fetcher is lost: within the ttl, and the beat that sees it, another one
    has its jobs. With the ttl that nobody set, that is less than 10 seconds."""
    fleet = new_fleet()
    fleet.start_broker(*(["--ttl", ttl] if ttl else []))
    fleet.start_hasher()
    link = Link(fleet.endpoints["fetcher"])
    victim = fleet.start("urlsum-fetcher", "--broker", link.endpoint)
    victim.wait_event("link.live")
    path = f"gate/{how}-{ttl}/500000/7"
    batch = submit(fleet, [origin.url(path)])

    def asked():
        return origin.stats()["by_path"].get("/" + path, 0)

    try:
        wait_until(lambda: asked() == 1, "the first try")
        fleet.start_fetcher()
        start = time.monotonic()
        if how == "killed":
            victim.kill()
        elif how == "stopped":
            os.kill(victim.pid, signal.SIGSTOP)
        else:
            link.is_cut.set()
        wait_until(lambda: asked() == 2, "the second try")
        seconds = time.monotonic() - start
        origin.get(f"open/{how}-{ttl}")
        records = check_all(fleet, batch, {origin.url(path):
                                           odd.digest(500000, 7)})
        assert records[0]["attempts"] == 1
        limit = 10 if ttl is None else 10 * float(ttl) / 8
        slack = 0 if ttl is None else 2 # of 10 s it has plenty
        assert seconds < limit + slack + (PATIENCE - 1) * 10, "too late"
    finally:
        if how == "stopped":
            os.kill(victim.pid, signal.SIGCONT)
        link.end()


def test_url_that_kills_workers(new_fleet, nginx, origin):
    """In hand at three lost workers: it runs alone, and fails as worker_lost when
    two more are lost, too."""
    fleet = new_fleet()
    fleet.start_broker()
    fleet.start_hasher()
    poison = origin.url("gate/poison/1000000/1")
    batch = submit(fleet, [poison, nginx.url("x")])
    for lost in range(1, 6):
        asked = origin.stats()["by_path"].get("/gate/poison/1000000/1", 0)
        fetcher = fleet.start_fetcher()
        wait_until(lambda: origin.stats()["by_path"].get(
            "/gate/poison/1000000/1", 0) > asked, f"try {lost}")
        # The other URL must not be in hand when the worker is lost.
        wait_until(lambda: fleet.status(batch)["done"] == 1, "the other one")
        fetcher.kill()
    fleet.start_fetcher()
    fleet.client("wait", batch, codes=(1,))
    records = fleet.client("results", batch, "--format", "jsonl",
                           codes=(1,)).records()
    assert {record["url"]: record["outcome"] for record in records} == \
        {poison: "worker_lost", nginx.url("x"): "ok"}


def test_broker_comes_late(new_fleet, nginx):
    """Workers that were started first find their broker."""
    fleet = new_fleet()
    workers = [fleet.start(f"urlsum-{role}", "--broker",
                           fleet.endpoints[role], "--name", role)
               for role in ("hasher", "fetcher")]
    fleet.start_broker()
    for worker in workers:
        worker.wait_event("link.live")
    assert fleet.client("get", nginx.url("x")).code == 0


def test_all_stop(fleet, nginx):
    """SIGTERM to everybody at once: exit 0, in any order."""
    assert fleet.client("get", nginx.url("x")).code == 0
    for program in fleet.programs:
        program.process.terminate()
    for program in fleet.programs:
        program.wait_exit(0)


def test_two_brokers_one_store(fleet, new_fleet):
    """The second one refuses to start: 3."""
    other = new_fleet()
    second = other.start("urlsum-broker", "--store", fleet.store, *(
        arg for role, endpoint in other.endpoints.items()
        for arg in (f"--{role}-bind", endpoint)))
    second.wait_exit(3)
    assert "store" in second.text()


def test_port_taken(fleet, new_fleet):
    other = new_fleet()
    other.endpoints = dict(fleet.endpoints)
    second = other.start("urlsum-broker", "--store", other.store, *(
        arg for role, endpoint in other.endpoints.items()
        for arg in (f"--{role}-bind", endpoint)))
    second.wait_exit(3)


def test_truncated_store(new_fleet, tmp_path):
    """A file that is no store is refused, not overwritten."""
    fleet = new_fleet()
    fleet.store.write_bytes(b"this is not a database" * 100)
    broker = fleet.start("urlsum-broker", "--store", fleet.store, *(
        arg for role, endpoint in fleet.endpoints.items()
        for arg in (f"--{role}-bind", endpoint)))
    broker.wait_exit(3)
    assert fleet.store.read_bytes().startswith(b"this is not")
