"""Workers that are told to stop: they finish, hand back, and exit with 0."""
import time

import pytest

import origin as odd
from harness import wait_until

ROLES = ("fetcher", "hasher")


def submit_gate(fleet, origin, name):
    """A transfer that stays half done until the gate opens."""
    (batch,) = fleet.client("submit",
                            origin.url(f"gate/{name}/500000/1")).lines
    wait_until(lambda: fleet.status(batch)["fetching"] == 1, "the transfer")
    return batch


def check_digest(fleet, batch):
    fleet.client("wait", batch)
    (record,) = fleet.client("results", batch, "--format", "jsonl").records()
    assert record["digests"]["sha512"] == odd.digest(500000, 1)
    assert record["attempts"] == 1


@pytest.fixture
def trio(new_fleet):
    """A broker that cannot miss anybody, a hasher and a fetcher."""
    fleet = new_fleet()
    fleet.start_broker("--ttl", "60")
    return (fleet, fleet.start_hasher("--grace", "3000"),
            fleet.start_fetcher("--grace", "3000"))


def leave_in_mid_work(trio, origin, role, gate):
    """A worker is told to stop while it has a transfer in hand."""
    fleet, hasher, fetcher = trio
    batch = submit_gate(fleet, origin, gate)
    worker = fetcher if role == "fetcher" else hasher
    worker.process.terminate()
    fleet.broker.wait_event("worker.drains")
    return fleet, worker, batch


def test_nothing_in_hand(trio):
    for worker in trio[1:]:
        start = time.monotonic()
        worker.stop()
        assert time.monotonic() - start < 3
        assert worker.events("link.left")
    wait_until(lambda: len(trio[0].broker.events("worker.ended")) == 2,
               "both to be let go")


def test_no_broker(trio):
    """Nothing is in hand without a session: nothing is waited for."""
    fleet, *workers = trio
    fleet.broker.kill()
    for worker in workers:
        worker.wait_event("link.lost")
        worker.stop()


@pytest.mark.parametrize("role", ROLES)
def test_finishes_what_it_has(trio, origin, role):
    """It gets nothing new meanwhile, and is let go with the last of it."""
    fleet, worker, batch = leave_in_mid_work(trio, origin, role,
                                             f"finish-{role}")
    (other,) = fleet.client("submit", origin.url(f"gen/1000/{len(role)}")).lines
    assert not worker.events("link.left")
    origin.get(f"open/finish-{role}")
    worker.wait_exit()
    assert worker.events("link.left")
    check_digest(fleet, batch)
    assert fleet.status(other)["done"] == 0
    fleet.start_worker(role, (), {})
    fleet.client("wait", other)


@pytest.mark.parametrize("role", ROLES)
def test_broker_leaves_meanwhile(trio, origin, role):
    """Its BYE ends the waiting; the work is fetched again."""
    fleet, worker, batch = leave_in_mid_work(trio, origin, role,
                                             f"meanwhile-{role}")
    fleet.broker.process.terminate()
    fleet.broker.wait_event("broker.drains")
    fleet.broker.stop() # a second time: now
    (line,) = fleet.broker.events("broker.stopped")
    assert "leases=0" not in line
    worker.wait_exit()
    fleet.start_broker("--ttl", "60")
    origin.get(f"open/meanwhile-{role}")
    fleet.start_worker(role, (), {})
    check_digest(fleet, batch)


@pytest.mark.parametrize("role", ROLES)
def test_twice_is_now(trio, origin, role):
    fleet, worker, batch = leave_in_mid_work(trio, origin, role,
                                             f"twice-{role}")
    worker.stop()
    # A BYE and no crash: the URL is not charged, nor suspected.
    origin.get(f"open/twice-{role}")
    fleet.start_worker(role, (), {})
    check_digest(fleet, batch)


@pytest.mark.parametrize("role, event", [("fetcher", "fetcher.grace_over"),
                                         ("hasher", "hasher.drain_timeout")])
def test_grace_is_the_limit(new_fleet, origin, role, event):
    fleet = new_fleet()
    fleet.start_broker("--ttl", "60")
    workers = {name: fleet.start_worker(name, ("--grace", "1"), {})
               for name in ROLES}
    batch = submit_gate(fleet, origin, f"grace-{role}")
    workers[role].stop()
    assert workers[role].events(event)
    origin.get(f"open/grace-{role}")
    fleet.start_worker(role, (), {})
    check_digest(fleet, batch)
