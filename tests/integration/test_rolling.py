"""Everything is restarted while it works: nothing is lost, nothing is done
twice in the records, and no URL is charged for it."""
import contextlib
import pathlib
import random
import shutil
import sqlite3
import subprocess
import time

import pytest

import origin as odd
from harness import GIVE_UP_S, client_command, environment, sha512

ROUNDS = 2
SLOW_MS = 100 # a slow body's pieces


class Load:
    """Batches submitted one after another, each by a client that must not
    notice what happens to the broker."""

    def __init__(self, fleet, nginx, origin):
        self.fleet = fleet
        self.nginx = nginx
        self.origin = origin
        self.batches = {}
        self.clients = []
        self.digests = {n: sha512((nginx.made / f"small-{n}").read_bytes())
                        for n in range(400)}

    def add(self):
        """One more batch: small ones and a few slow ones."""
        number = len(self.batches)
        want = {self.nginx.url(f"made/small-{n}?{number}"): digest
                for n, digest in self.digests.items()}
        want.update({self.origin.url(
            f"slow/100000/{number * 10 + n}/{SLOW_MS}"):
            odd.digest(100000, number * 10 + n) for n in range(3)})
        names = self.fleet.folder / f"list-{number}"
        names.write_text("\n".join(want), encoding="ascii")
        self.batches[f"b{number}"] = want
        self.clients.append(subprocess.Popen(
            client_command(["submit", "--id", f"b{number}", "-i", names],
                           self.fleet.endpoints["client"]),
            env=environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))

    def add_more_than_can_run(self):
        """Slow ones that must wait for their host, and one more batch of which
        nobody knows how far it got."""
        number = len(self.batches)
        want = {self.origin.url(
            f"slow/1000/{number * 100 + n}/{SLOW_MS}"):
            odd.digest(1000, number * 100 + n) for n in range(30)}
        self.batches[f"b{number}"] = want
        self.fleet.client("submit", "--id", f"b{number}", "-i", "-",
                          stdin="\n".join(want))
        self.add()

    def end_clients(self):
        for client in self.clients:
            _, err = client.communicate(timeout=2 * GIVE_UP_S)
            assert client.returncode == 0, err.decode()

    def check(self):
        """Every line has one record, the right one, at the first attempt."""
        self.end_clients()
        for batch, want in self.batches.items():
            self.fleet.client("wait", batch, seconds=3 * GIVE_UP_S)
            records = self.fleet.client("results", batch, "--format",
                                        "jsonl").records()
            assert len(records) == len(want)
            assert {record["url"]: record["digests"]["sha512"]
                    for record in records} == want
            assert {record["attempts"] for record in records} == {1}


@contextlib.contextmanager
def under_load(fleet, nginx, origin):
    load = Load(fleet, nginx, origin)
    try:
        yield load
    finally:
        for client in load.clients:
            if client.poll() is None:
                client.kill()
                client.wait(10)
            client.stderr.close()


def nobody_is_charged(fleet):
    """What the queue says of the URLs that are still in it; asked of a copy,
    so that the broker finds what it left behind."""
    copy = fleet.folder / "copy.db"
    for end in ("", "-wal"):
        path = pathlib.Path(f"{fleet.store}{end}")
        if path.exists():
            shutil.copy(path, f"{copy}{end}")
        else:
            pathlib.Path(f"{copy}{end}").unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(copy)) as store:
        assert store.execute("SELECT count(*) FROM job WHERE tries > 0 OR "
                             "lost > 0").fetchone() == (0,)
        return store.execute("SELECT count(*) FROM job").fetchone()[0]


@pytest.mark.parametrize("grace", ["25", "0.3"],
                         ids=["long-enough", "too-short"])
def test_rolling_restart(new_fleet, nginx, origin, grace):
    """SIGTERM for one program after the other, and each exits 0."""
    fleet = new_fleet()
    args = ("--grace", grace)
    fleet.start_broker(*args)
    workers = {f"{role}-{n}": start(*args) for n in range(2) for role, start in
               (("hasher", fleet.start_hasher),
                ("fetcher", fleet.start_fetcher))}
    left = 0
    with under_load(fleet, nginx, origin) as load:
        for _ in range(ROUNDS):
            for name in [*workers, "broker"]:
                load.add()
                if name == "broker":
                    load.add_more_than_can_run()
                    fleet.broker.stop()
                    left += nobody_is_charged(fleet)
                    fleet.start_broker(*args)
                    for worker in workers.values():
                        worker.check_alive()
                    continue
                workers[name].stop()
                start = fleet.start_fetcher if "fetcher" in name \
                    else fleet.start_hasher
                workers[name] = start(*args)
        load.check()
    assert left > 0, "the broker was never stopped with work left to do"
    fleet.broker.stop()
    assert nobody_is_charged(fleet) == 0


def test_all_at_once(new_fleet, nginx, origin):
    """SIGTERM for everybody in the same moment, again and again."""
    fleet = new_fleet()
    with under_load(fleet, nginx, origin) as load:
        for _ in range(3):
            programs = [fleet.start_broker("--grace", "1"),
                        fleet.start_hasher("--grace", "1"),
                        fleet.start_fetcher("--grace", "1")]
            load.add()
            load.add()
            # They have begun, or not.
            time.sleep(0.2)
            for program in programs:
                program.process.terminate()
            for program in programs:
                program.wait_exit(0)
            nobody_is_charged(fleet)
        fleet.start_broker()
        fleet.start_hasher()
        fleet.start_fetcher()
        load.check()


def test_broker_killed_at_random(new_fleet, nginx, origin):
    """SIGKILL for the broker, twenty times, whatever it is doing."""
    fleet = new_fleet()
    fleet.start_broker()
    workers = [start() for _ in range(2)
               for start in (fleet.start_hasher, fleet.start_fetcher)]
    # The moment is to be random, so this is one that waits for time to pass.
    moments = random.Random(20)
    with under_load(fleet, nginx, origin) as load:
        for number in range(20):
            if number % 2 == 0:
                load.add()
            time.sleep(moments.uniform(0, 0.6))
            fleet.broker.kill()
            nobody_is_charged(fleet)
            fleet.start_broker()
        load.check()
    for worker in workers:
        worker.check_alive()
    fleet.broker.stop()
    assert nobody_is_charged(fleet) == 0
