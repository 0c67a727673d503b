"""Workers that answer and move nothing lose their jobs; nothing of it is the
URL's fault."""
import sys

import pytest

import origin as odd
from batches import check_all, small_urls, submit
from harness import HERE, sha512, wait_until

TTL_S = "1"


def start_bad(fleet, kind):
    role = "fetcher" if kind in ("hold", "vouch") else "hasher"
    worker = fleet.start(sys.executable, "-B", HERE / "bad_worker.py", kind,
                         fleet.endpoints[role], f"bad-{kind}",
                         label=f"bad-{kind}")
    worker.wait_event("link.live")
    fleet.broker.wait_event("worker.joined", has=f"bad-{kind}")
    return worker


def test_fetcher_holds_jobs(new_fleet, nginx):
    """It answers PINGs and vouches for nothing: what it holds goes to another
    fetcher, and nothing more goes to it."""
    fleet = new_fleet()
    fleet.start_broker("--ttl", TTL_S)
    fleet.start_hasher()
    bad = start_bad(fleet, "hold")
    want = small_urls(nginx, 200)
    batch = submit(fleet, want)
    wait_until(lambda: fleet.status(batch)["fetching"] >= 1, "a lease")
    fleet.start_fetcher()
    fleet.broker.wait_event("job.lease_over", has="vouch")
    records = check_all(fleet, batch, want)
    assert {record["attempts"] for record in records} == {1}
    assert {record["fetcher"] for record in records} != {"bad-hold"}
    # Its session lives on: it is not silent.
    assert len(bad.events("link.live")) == 1
    assert not fleet.broker.events("worker.silent")


def test_fetcher_vouches_for_ever(new_fleet, nginx):
    """There is no total limit: what is vouched for stays where it is, until its
    fetcher is gone."""
    fleet = new_fleet()
    fleet.start_broker("--ttl", TTL_S)
    fleet.start_hasher()
    bad = start_bad(fleet, "vouch")
    held = nginx.url("x?held")
    batch = submit(fleet, [held])
    wait_until(lambda: fleet.status(batch)["fetching"] == 1, "a lease")
    # Another one's lease runs out meanwhile: as long would have been enough.
    holder = start_bad(fleet, "hold")
    second = submit(fleet, [nginx.url("x?other")])
    fleet.broker.wait_event("job.lease_over", has="bad-hold")
    assert fleet.status(batch)["fetching"] == 1
    assert not [line for line in fleet.broker.events("job.lease_over")
                if "bad-vouch" in line]
    bad.kill()
    holder.kill()
    fleet.start_fetcher()
    for number, url in ((batch, held), (second, nginx.url("x?other"))):
        (record,) = check_all(fleet, number, {url: sha512(b"x")})
        assert record["attempts"] == 1


@pytest.mark.parametrize("kind", ["swallow", "stuck"])
def test_hasher_gives_nothing(new_fleet, nginx, origin, kind):
    """Bodies that go in and of which nothing comes out are fetched again, for
    another hasher."""
    fleet = new_fleet()
    fleet.start_broker("--ttl", TTL_S)
    start_bad(fleet, kind)
    fleet.start_fetcher()
    want = small_urls(nginx, 100)
    want[origin.url("gen/3000000/1")] = odd.digest(3000000, 1)
    batch = submit(fleet, want)
    wait_until(lambda: fleet.status(batch)["hashing"] >= 1, "a body")
    fleet.start_hasher()
    event = "job.lease_over" if kind == "swallow" else "worker.stuck"
    fleet.broker.wait_event(event)
    records = check_all(fleet, batch, want)
    assert {record["attempts"] for record in records} == {1}
    assert f"bad-{kind}" not in {record["hasher"] for record in records}


def test_no_hasher_has_the_algorithm(new_fleet, nginx, origin):
    """The batch waits, and nothing is fetched in vain; others go on."""
    fleet = new_fleet()
    fleet.start_broker()
    bad = fleet.start(sys.executable, "-B", HERE / "pyworker.py", "hasher",
                      fleet.endpoints["hasher"], "python")
    bad.wait_event("link.live")
    fleet.start_fetcher()
    path = "gen/1000/5/waits"
    url = origin.url(path)
    asked = origin.stats()["by_path"].get("/" + path, 0)
    batch = submit(fleet, [url], "-a", "sha3-256")
    assert fleet.client("get", nginx.url("x")).code == 0
    assert fleet.status(batch)["done"] == 0
    assert origin.stats()["by_path"].get("/" + path, 0) == asked
    assert "sha3-256" in fleet.client("status", batch, "--stuck").stdout \
        .decode()
    fleet.start_hasher()
    fleet.client("wait", batch)
    (record,) = fleet.client("results", batch, "--format", "jsonl").records()
    assert record["digests"]["sha3-256"] == odd.digest(1000, 5, "sha3_256")


def test_suspect_survives_a_restart(new_fleet, nginx, origin):
    """Three lost fetchers, then a broker that was killed: the URL runs alone
    all the same, and succeeds."""
    fleet = new_fleet()
    fleet.start_broker()
    fleet.start_hasher()
    path = "gate/suspect/1000000/1"
    url = origin.url(path)
    batch = submit(fleet, [url])
    for lost in range(3):
        asked = origin.stats()["by_path"].get("/" + path, 0)
        fetcher = fleet.start_fetcher()
        wait_until(lambda before=asked: origin.stats()["by_path"]
                   .get("/" + path, 0) > before, f"try {lost}")
        fetcher.kill()
        fleet.broker.wait_event("worker.ended", count=lost + 1,
                                has="role=fetcher")
    # Committed after what the broker noted of the third loss.
    submit(fleet, [nginx.url("x")])
    fleet.broker.kill()
    fleet.start_broker()
    fleet.start_fetcher()
    fleet.broker.wait_event("suspect.runs", has="lost=3")
    origin.get("open/suspect")
    (record,) = check_all(fleet, batch, {url: odd.digest(1000000, 1)})
    assert record["attempts"] == 1
