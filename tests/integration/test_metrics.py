"""/metrics says what was done, and strangers at --http do no harm."""
import contextlib
import os
import random
import signal
import socket
import subprocess
import time

import pytest

from harness import ROOT, started_client, wait_until
from pages import address, ask, connect, get, metric, metrics, read_all

DAEMONS = ["urlsum-broker", "urlsum-fetcher", "urlsum-hasher"]
PEERS_MAX = 64 # of common/limits.h, with what comes on top
PEERS_SPARE = 16


@pytest.fixture
def served(new_fleet, nginx):
    fleet = new_fleet()
    fleet.where = {name: address() for name in DAEMONS}
    fleet.start_broker("--http", fleet.where["urlsum-broker"])
    fleet.start_hasher("--http", fleet.where["urlsum-hasher"],
                       "--threads", "2")
    fleet.start_fetcher("--http", fleet.where["urlsum-fetcher"],
                        "--cacert", nginx.ca)
    return fleet


def expect(page, prefix, **values):
    for name, value in values.items():
        name = f"urlsum_{prefix}_{name}"
        assert page[name] == value, f"{name} is {page[name]}, not {value}"


def by_label(page, name):
    """{label's value: number} of what is not 0."""
    return {key.split('"')[1]: value for key, value in page.items()
            if key.startswith(name + "{") and value}


def test_values(served, nginx, origin):
    """Every counter is what the batch and the web server say."""
    sizes = {path: path.stat().st_size
             for path in sorted(nginx.made.glob("small-*"))[:500]}
    big = nginx.made / "5M"
    urls = [nginx.url(f"made/{path.name}") for path in sizes]
    urls += [nginx.url("made/5M"), nginx.url("none"), "no url at all"]
    urls += [nginx.url("made/0")]
    got = served.client("get", "--retry", "2", "-i", "-",
                        origin.url("status/500"), stdin="\n".join(urls),
                        codes=(1,))
    total = sum(sizes.values()) + big.stat().st_size
    good = len(sizes) + 2
    assert len(got.lines) == good

    page = metrics(served.where["urlsum-broker"])
    expect(page, "broker", urls_submitted_total=len(urls) + 1,
           leases_total=good + 1 + 3, leases_lost_total=0,
           body_bytes_total=total, digested_bytes_total=total,
           digest_wait_seconds_count=good, batches_unfinished=0,
           jobs_in_memory=0, buffer_used_bytes=0, hash_backlog_bytes=0,
           records_unwritten=0, store_refuses=0,
           buffer_limit_bytes=256 << 20)
    assert by_label(page, "urlsum_broker_records_total") == {
        "ok": good, "http": 2, "invalid_url": 1}
    assert by_label(page, "urlsum_broker_retries_total") == {"http": 2}
    assert by_label(page, "urlsum_broker_urls") == {}
    assert by_label(page, "urlsum_broker_sessions") == {"fetcher": 1,
                                                       "hasher": 2}
    assert 0 < page["urlsum_broker_store_commits_total"] == \
        page["urlsum_broker_store_commit_seconds_count"]
    files = [served.store, served.store.with_name("store.db-wal")]
    # The broker looks every two seconds.
    wait_until(lambda: metrics(served.where["urlsum-broker"])[
        "urlsum_broker_store_file_bytes"] == sum(
            file.stat().st_size for file in files if file.exists()),
               "the size of the store")
    disk = os.statvfs(served.folder)
    assert page["urlsum_broker_store_free_bytes"] == pytest.approx(
        disk.f_bavail * disk.f_frsize, rel=0.2)

    page = metrics(served.where["urlsum-fetcher"])
    expect(page, "fetcher", body_bytes_total=total, transfers_in_flight=0,
           transfers_limit=256, body_size_bytes_count=good,
           body_size_bytes_sum=total, fetch_seconds_count=good + 4,
           transfers_dropped_total=0)
    assert by_label(page, "urlsum_fetcher_transfers_total") == {
        "ok": good, "http": 4}
    assert by_label(page, "urlsum_fetcher_responses_total") == {
        "2xx": good, "4xx": 1, "5xx": 3}
    assert 1 <= page["urlsum_fetcher_connections_total"] < 100
    assert page["urlsum_fetcher_first_byte_seconds_sum"] <= \
        page["urlsum_fetcher_fetch_seconds_sum"]

    page = metrics(served.where["urlsum-hasher"])
    expect(page, "hasher", bodies_total=good, body_bytes_total=total,
           body_size_bytes_sum=total, body_size_bytes_count=good, threads=2,
           streams=0, aborts_total=0)
    assert page["urlsum_hasher_hash_seconds_count"] >= 1
    expect(page, "worker", links=2, sessions_live=2, sessions_total=2,
           dials_total=2, sessions_lost_total=0)


def test_document(served, tmp_path):
    """What is printed is what docs/metrics.md says, both ways."""
    args = []
    for name in DAEMONS:
        page = tmp_path / name
        page.write_text(get(served.where[name], "/metrics")[2],
                        encoding="utf-8")
        args.append(f"{name}={page}")
    got = subprocess.run([ROOT / "tests" / "check_metrics", *args], text=True,
                         capture_output=True, timeout=60, check=False)
    assert got.returncode == 0, got.stderr
    # The check can fail: what one program prints is not what another should.
    got = subprocess.run([ROOT / "tests" / "check_metrics",
                          f"urlsum-hasher={tmp_path / 'urlsum-broker'}"],
                         capture_output=True, timeout=60, check=False)
    assert got.returncode == 1


def test_process(served):
    """The process families tell of the process."""
    for program in served.programs:
        page = metrics(served.where[program.name])
        assert len(os.listdir(f"/proc/{program.pid}/fd")) == pytest.approx(
            page["process_open_fds"], abs=4)
        assert page["process_start_time_seconds"] == pytest.approx(
            time.time(), abs=300)
        assert 1 << 20 < page["process_resident_memory_bytes"] < \
            page["process_virtual_memory_bytes"]
        assert 0 < page["process_cpu_seconds_total"] < 300


def test_queue(new_fleet):
    """What waits is told, also by the next broker."""
    fleet = new_fleet()
    where = address()
    fleet.start_broker("--http", where)
    fleet.client("submit", "--id", "b", "-i", "-",
                 stdin="http://127.0.0.1:9/x\n" * 5000)
    page = metrics(where)
    assert by_label(page, "urlsum_broker_urls") == {"queued": 5000}
    assert page["urlsum_broker_batches_unfinished"] == 1
    fleet.broker.kill()
    fleet.start_broker("--http", where)
    page = metrics(where)
    assert by_label(page, "urlsum_broker_urls") == {"queued": 5000}
    assert page["urlsum_broker_urls_submitted_total"] == 0
    fleet.client("cancel", "b")
    wait_until(lambda: not by_label(metrics(where), "urlsum_broker_urls"),
               "the end of the batch")
    assert by_label(metrics(where), "urlsum_broker_records_total") == {
        "cancelled": 5000}


def test_retry_command(served, nginx):
    """Records that are taken back are open again: nothing is counted twice."""
    where = served.where["urlsum-broker"]
    served.client("submit", "--id", "b", "-i", "-",
                  stdin=nginx.url("x") + "\n" + nginx.url("none") + "\n")
    served.client("wait", "b", codes=(1,))
    for _ in range(2):
        served.client("retry", "b")
        served.client("wait", "b", codes=(1,))
    page = metrics(where)
    assert by_label(page, "urlsum_broker_urls") == {}
    assert by_label(page, "urlsum_broker_records_total") == {
        "ok": 1, "http": 3}


def test_hosts(served, origin):
    """A host that wants to be left alone is told as closed."""
    where = served.where["urlsum-broker"]
    served.client("get", "--retry", "0", origin.url("status/503"), codes=(1,))
    page = metrics(where)
    assert by_label(page, "urlsum_broker_hosts") == {"closed": 1}
    assert by_label(page, "urlsum_broker_hosts_changes_total") == {"closed": 1}


def test_in_hand(served, origin):
    """A URL that is being fetched is told so; a lost fetcher as well."""
    where = served.where["urlsum-broker"]
    with started_client("get", origin.url("slow/5000000/1/1000"),
                        broker=served.endpoints["client"]):
        wait_until(lambda: by_label(metrics(where), "urlsum_broker_urls") ==
                   {"fetching": 1}, "a URL in hand")
        wait_until(lambda: metric(served.where["urlsum-fetcher"],
                                  "urlsum_fetcher_transfers_in_flight") == 1,
                   "its transfer")
        wait_until(lambda: metric(served.where["urlsum-hasher"],
                                  "urlsum_hasher_streams") == 1, "a stream")
        served.programs[2].kill()
        lost = ('urlsum_broker_sessions_ended_total'
                '{role="fetcher",how="lost"}')
        wait_until(lambda: metric(where, lost) == 1, "the fetcher's loss")
        page = metrics(where)
        assert page["urlsum_broker_leases_lost_total"] == 1
        assert by_label(page, "urlsum_broker_urls") == {"queued": 1}
        assert by_label(page, "urlsum_broker_sessions") == {"hasher": 2}
    served.programs[1].stop()
    left = 'urlsum_broker_sessions_ended_total{role="hasher",how="left"}'
    wait_until(lambda: metric(where, left) == 2, "the hashers' leave")


# --- Strangers ---

def test_garbage(served):
    """Bytes that are no HTTP, requests that are too long: each ends, and the
    next one is answered."""
    numbers = random.Random(1)
    where = served.where["urlsum-fetcher"]
    pieces = [b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
              b"GET /metrics HTTP/1.1\r\n\r\n", b"\0" * 100,
              b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
              b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
              b"POST /metrics HTTP/1.1\r\nHost: x\r\n"
              b"Content-Length: 99999999999\r\n\r\n" + b"x" * 50000,
              b"GET /metrics?a=%00&b=%zz HTTP/1.1\r\nHost: x\r\n\r\n",
              b"GET /..%2f/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"]
    pieces += [numbers.randbytes(numbers.randrange(1, 3000)) + b"\r\n\r\n"
               for _ in range(50)]
    for piece in pieces:
        with connect(where) as sock:
            with contextlib.suppress(OSError): # it may have ended already
                sock.sendall(piece)
                sock.shutdown(socket.SHUT_WR)
            got = read_all(sock)
        assert b"root:" not in got
        assert get(where, "/livez")[0] == 200


def test_crowd(served):
    """Hundreds that connect and say nothing, or half a word, or do not read:
    probes and scrapers are answered all the same, and what they hold is
    bounded."""
    where = served.where["urlsum-broker"]
    before = metric(where, "process_open_fds")
    with contextlib.ExitStack() as stack:
        for i in range(400):
            sock = stack.enter_context(connect(where))
            with contextlib.suppress(ConnectionError):
                if i % 3 == 1:
                    sock.sendall(b"GET /metrics HTTP/1.1\r\nHo")
                elif i % 3 == 2:
                    sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            if i % 40 == 0:
                assert get(where, "/livez")[0] == 200
        assert get(where, "/readyz")[0] == 200
        page = metrics(where)
        assert page["process_open_fds"] <= before + PEERS_MAX + PEERS_SPARE + 4
        assert page["urlsum_http_cut_total"] > 100
        assert get(where, "/livez")[0] == 200
    wait_until(lambda: metric(where, "process_open_fds") <= before + 4,
               "the end of their connections")


def test_slow_reader(served):
    """Whoever sends a byte now and then is ended all the same."""
    where = served.where["urlsum-hasher"]
    start = time.monotonic()
    with connect(where) as sock, contextlib.suppress(ConnectionError):
        while time.monotonic() - start < 60:
            sock.sendall(b"G")
            time.sleep(0.2)
    assert 5 < time.monotonic() - start < 50


@pytest.mark.plain
def test_memory(served):
    """Thousands of scrapes and of broken connections cost no memory."""
    where = served.where["urlsum-broker"]

    def crowd(number):
        for i in range(number):
            if i % 2:
                assert get(where, "/metrics")[0] == 200
            else:
                with connect(where) as sock:
                    sock.sendall(b"GET /metrics HT")
        return metric(where, "process_resident_memory_bytes")

    first = crowd(500)
    assert crowd(4000) < first + (2 << 20)


def test_stopped_program(served):
    """A program that stands still does not answer; the others do."""
    hasher = served.programs[1]
    os.kill(hasher.pid, signal.SIGSTOP)
    try:
        with connect(served.where["urlsum-hasher"], 1) as sock:
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(TimeoutError):
                sock.recv(1)
        assert get(served.where["urlsum-broker"], "/livez")[0] == 200
    finally:
        os.kill(hasher.pid, signal.SIGCONT)
    assert ask(served.where["urlsum-hasher"],
               b"GET /livez HTTP/1.0\r\n\r\n").endswith(b"live\n")
