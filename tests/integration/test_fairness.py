"""Politeness and sharing are the fleet's: they hold whatever the workers do."""
import json

import pytest

from harness import GIVE_UP_S, OddOrigin, started_client, wait_until


@pytest.fixture
def fresh_origin():
    """Its counters begin at 0."""
    server = OddOrigin()
    yield server
    server.end()


def test_parallel_max_host_fleet(new_fleet, fresh_origin):
    """Two fetchers with room for hundreds: never more than three at once."""
    fleet = new_fleet()
    fleet.start_broker("--parallel-max-host", "3")
    fleet.start_hasher()
    fleet.start_fetcher()
    fleet.start_fetcher()
    urls = [fresh_origin.url(f"hold/20/{n}") for n in range(120)]
    got = fleet.client("get", "-i", "-", stdin="\n".join(urls))
    assert len(got.sums()) == 120
    assert fresh_origin.stats()["holding_max"] == 3


def test_parallel_max_host_embedded(fresh_origin):
    from harness import urlsum
    urls = [fresh_origin.url(f"hold/20/{n}") for n in range(60)]
    got = urlsum("get", "--parallel-max-host", "5", "-i", "-",
                 stdin="\n".join(urls))
    assert len(got.sums()) == 60
    assert fresh_origin.stats()["holding_max"] == 5


def test_parallel_max(new_fleet, fresh_origin):
    """What a fetcher may hold binds as well."""
    fleet = new_fleet()
    fleet.start_broker("--parallel-max-host", "100")
    fleet.start_hasher()
    fleet.start_fetcher("--parallel-max", "4")
    urls = [fresh_origin.url(f"hold/20/{n}") for n in range(60)]
    assert len(fleet.client("get", "-i", "-",
                            stdin="\n".join(urls)).sums()) == 60
    assert fresh_origin.stats()["holding_max"] == 4


def test_slow_host_does_not_slow_others(new_fleet, fresh_origin, nginx):
    """Nine in ten of the URLs are at a host that never answers; the others
    are through while these hang."""
    fleet = new_fleet()
    fleet.start_broker("--parallel-max-host", "4")
    fleet.start_hasher()
    fleet.start_fetcher("--parallel-max", "16")
    hung = [fresh_origin.url(f"gate/hung/1000/{n}") for n in range(900)]
    quick = [nginx.url(f"x?{n}") for n in range(100)]
    with started_client("get", "-i", "-", stdin=-1,
                        broker=fleet.endpoints["client"]) as client:
        client.stdin.write("\n".join(hung + quick).encode())
        client.stdin.close()
        seen = {client.stdout.readline().split()[1].decode()
                for _ in range(100)}
        assert seen == set(quick)
        fresh_origin.get("open/hung")
        rest = client.stdout.read().decode().splitlines()
        assert len(rest) == 900
        assert client.wait(GIVE_UP_S) == 0


def test_few_behind_many(new_fleet, nginx):
    """5 URLs submitted behind 20,000 are there long before those are."""
    fleet = new_fleet()
    fleet.start_broker()
    fleet.start_hasher()
    many = "\n".join(nginx.url(f"x?{n}") for n in range(20000))
    (batch,) = fleet.client("submit", "-i", "-", stdin=many).lines
    fleet.start_fetcher()
    wait_until(lambda: fleet.status(batch)["done"] > 0, "the first of many")
    got = fleet.client("get", *[nginx.url(f"x?few{n}") for n in range(5)])
    assert len(got.sums()) == 5
    status = fleet.status(batch)
    assert status["done"] < 20000, "the many were first"
    fleet.client("wait", batch, seconds=6 * GIVE_UP_S)
    assert fleet.status(batch)["done"] == 20000


def test_two_batches_share(new_fleet, nginx):
    """Equal batches come along equally, whichever was first."""
    fleet = new_fleet()
    fleet.start_broker()
    fleet.start_hasher()
    ids = []
    for name in "ab":
        urls = "\n".join(nginx.url(f"x?{name}{n}") for n in range(3000))
        ids += fleet.client("submit", "-i", "-", stdin=urls).lines
    fleet.start_fetcher()
    wait_until(lambda: fleet.status(ids[1])["done"] >= 500, "the second batch")
    # Read after the second's 500: were it first come first served, 3000.
    listed = json.loads(fleet.client("status", ids[0], "--json").stdout)
    assert listed["done"] < 3000
    for batch in ids:
        fleet.client("wait", batch)
