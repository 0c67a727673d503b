"""Transfers that no longer move: who ends them, and when."""
import os
import signal
import time

import pytest

import origin as odd
from harness import wait_until

# Silence that a transfer may keep up, in the tests that wait for its end.
SPEED_TIME_S = 2


def only_record(fleet, *args, codes=(0,)):
    (record,) = fleet.client("get", "--format", "jsonl", "--retry", "0", *args,
                             codes=codes).records()
    return record


@pytest.fixture
def pair(new_fleet):
    """One fetcher, one hasher, and leases of 6 seconds."""
    fleet = new_fleet()
    fleet.start_broker("--ttl", "2")
    fleet.start_hasher()
    fleet.start_fetcher()
    return fleet


@pytest.mark.parametrize("path", ["hold/3600000", "stall", "gate/half/50000/1"])
def test_silence_is_a_timeout(pair, origin, path):
    """Never a header; half a header; half a body."""
    start = time.monotonic()
    record = only_record(pair, "--speed-time", str(SPEED_TIME_S),
                         origin.url(path), codes=(1,))
    assert record["outcome"] == "timeout", record
    assert record["attempts"] == 1
    assert time.monotonic() - start >= SPEED_TIME_S - 1
    assert not pair.broker.events("job.stuck")


def test_slow_is_not_stuck(pair, origin):
    """Ten times longer than --speed-time, but above --speed-limit."""
    record = only_record(pair, "--speed-time", "1", "--speed-limit", "100",
                         origin.url("slow/20000/3/700"))
    assert record["digests"]["sha512"] == odd.digest(20000, 3)
    assert record["attempts"] == 1


def test_below_the_limit(pair, origin):
    record = only_record(pair, "--speed-time", "2", "--speed-limit", "1M",
                         origin.url("slow/20000/4/1000"), codes=(1,))
    assert record["outcome"] == "timeout", record


def test_silent_within_its_limits(pair, origin):
    """Longer than a lease lasts: the fetcher vouches for it."""
    path = "gate/vouched/50000/2"
    (batch,) = pair.client("submit", "--speed-time", "60",
                           origin.url(path)).lines
    wait_until(lambda: pair.status(batch)["fetching"] == 1, "the transfer")
    time.sleep(8)
    assert pair.status(batch)["fetching"] == 1
    origin.get("open/vouched")
    pair.client("wait", batch)
    (record,) = pair.client("results", batch, "--format", "jsonl").records()
    assert record["digests"]["sha512"] == odd.digest(50000, 2)
    assert origin.stats()["by_path"]["/" + path] == 1


def test_credit_is_no_silence(new_fleet, origin):
    """A transfer that must wait for the hasher is not the origin's fault."""
    fleet = new_fleet()
    fleet.start_broker("--ttl", "30", "--buffer-memory", "8M")
    hasher = fleet.start_hasher("--threads", "1")
    fleet.start_fetcher()
    path = "gen/60000000/5"
    (batch,) = fleet.client("submit", "--speed-time", "1", "--speed-limit",
                            "1000", "--retry", "0", origin.url(path)).lines
    os.kill(hasher.pid, signal.SIGSTOP)
    wait_until(lambda: fleet.status(batch)["fetching"] == 1, "the transfer")
    time.sleep(5)
    os.kill(hasher.pid, signal.SIGCONT)
    fleet.client("wait", batch)
    (record,) = fleet.client("results", batch, "--format", "jsonl").records()
    assert record["digests"]["sha512"] == odd.digest(60000000, 5), record
    assert origin.stats()["by_path"]["/" + path] == 1
