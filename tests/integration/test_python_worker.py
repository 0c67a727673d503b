"""Workers written from proto/worker.md alone take part in a fleet."""
import sys

import pytest

import origin as odd
import witness as web
from harness import HERE, sha512


def start_python(fleet, role):
    worker = fleet.start(sys.executable, "-B", HERE / "pyworker.py", role,
                         fleet.endpoints[role], f"python-{role}",
                         label=f"python-{role}")
    worker.wait_event("link.live")
    return worker


@pytest.mark.parametrize("python", ["fetcher", "hasher", "fetcher hasher"])
def test_take_part(new_fleet, nginx, origin, python):
    fleet = new_fleet()
    fleet.start_broker()
    workers = []
    for role in ("hasher", "fetcher"):
        if role in python:
            workers.append(start_python(fleet, role))
        else:
            fleet.start_worker(role, (), {})
    want = {nginx.url("x"): sha512(b"x"),
            nginx.url("made/0"): sha512(b""),
            nginx.url("made/5M"): odd.digest(5 << 20, 1)}
    for name in ("256K-1", "256K", "256K+1"):
        data = (nginx.made / name).read_bytes()
        want[nginx.url(f"made/{name}")] = sha512(data)
    for n in range(300):
        data = (nginx.made / f"small-{n}").read_bytes()
        want[nginx.url(f"made/small-{n}")] = sha512(data)
    failing = {nginx.url("missing"): "http", "http://name.invalid/": "dns",
               origin.url("cut/300000/1"): "cut"}
    got = fleet.client("get", "--retry", "0", "--format", "jsonl", "-i", "-",
                       stdin="\n".join([*want, *failing]), codes=(1,))
    records = {record["url"]: record for record in got.records()}
    assert len(records) == len(got.records()) == len(want) + len(failing)
    for url, outcome in failing.items():
        assert records[url]["outcome"] == outcome, records[url]
    assert {url: records[url]["digests"]["sha512"] for url in want} == want
    for role in python.split():
        assert records[nginx.url("x")][role] == f"python-{role}"
    # Not one frame of theirs was refused.
    assert not fleet.broker.events("worker.bad_frame")
    for worker in workers:
        assert len(worker.events("link.live")) == 1
        worker.stop()


def test_request_options(new_fleet):
    """What PROFILE says reaches the servers."""
    fleet = new_fleet()
    fleet.start_broker()
    fleet.start_hasher()
    fetcher = start_python(fleet, "fetcher")
    witness = web.Witness()
    try:
        for number in range(3):
            fleet.client("get", "-H", f"X-N: {number}", "-A", f"me/{number}",
                         witness.url(f"/{number}"))
            headers = witness.headers(f"/{number}")
            assert headers["X-N"] == str(number)
            assert headers["User-Agent"] == f"me/{number}"
        fleet.client("get", witness.url("/plain"))
        assert "X-N" not in witness.headers("/plain")
    finally:
        witness.end()
    assert len(fetcher.events("link.live")) == 1


def test_python_hasher_and_suites(new_fleet, nginx):
    """It lists few algorithms; what it lacks goes to one that has it."""
    fleet = new_fleet()
    fleet.start_broker()
    start_python(fleet, "hasher")
    fleet.start_hasher()
    fleet.start_fetcher()
    (record,) = fleet.client("get", "-a", "sha3-256,sha512", "--format",
                             "jsonl", nginx.url("x")).records()
    assert record["digests"]["sha512"] == sha512(b"x")
    assert record["hasher"] != "python-hasher"
