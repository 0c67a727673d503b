"""How hosts are treated that ask for a pause, are down, or have a limit."""
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

import pytest

from harness import (GIVE_UP_S, HERE, OddOrigin, free_port, started_client,
                     urlsum, wait_until)
from silent_host import filled_queue, silent_port

# What was under way when a host closed may still arrive for so long.
UNDER_WAY_S = 1


class PoliteOrigin(OddOrigin):
    """polite_origin.py as a process, at 127.0.0.1 and other addresses."""

    context = None

    def __init__(self, *addresses):
        self.process = subprocess.Popen(
            [sys.executable, "-B", str(HERE / "polite_origin.py"),
             "127.0.0.1", *addresses],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split("=")[1])
        self.base = f"http://127.0.0.1:{self.port}"

    def log(self, has=""):
        """[(seconds, address, path, status)] of requests whose path has it."""
        return [row for row in json.loads(self.get("log")) if has in row[2]]


@pytest.fixture
def polite():
    """Makes such hosts."""
    origins = []

    def make(*addresses):
        origins.append(PoliteOrigin(*addresses))
        return origins[-1]

    yield make
    for origin in origins:
        origin.end()


@pytest.fixture
def pair(new_fleet):
    """Two fetchers; the broker is to be started."""
    def make(*args):
        fleet = new_fleet()
        fleet.start_broker(*args)
        fleet.start_hasher()
        fleet.start_fetcher()
        fleet.start_fetcher()
        return fleet
    return make


def get(fleet, urls, *args, codes=(0,)):
    """url -> record."""
    records = fleet.client("get", "--format", "jsonl", *args, "-i", "-",
                           stdin="\n".join(urls), codes=codes).records()
    assert len(records) == len(urls)
    return {record["url"]: record for record in records}


def check_pause(log, pause_s):
    """Nobody asked between the first refusal and the end of its pause."""
    closed = min(row[0] for row in log if row[3] != 200)
    late = [row[0] - closed for row in log
            if UNDER_WAY_S < row[0] - closed < pause_s]
    assert not late, f"asked {late} s after it closed for {pause_s} s"
    assert max(row[0] for row in log) - closed >= pause_s


@pytest.mark.parametrize("value,status", [
    ("4", 429), ("4", 503), ("date1:4", 429), ("date2:4", 503),
    ("date3:4", 429)])
def test_retry_after(pair, polite, value, status):
    """Closes the host for both fetchers, and charges who got the answer."""
    host, other = polite(), polite()
    fleet = pair("--parallel-max-host", "4")
    busy = [host.url(f"busy/it/1/{status}/{value}/{n}") for n in range(60)]
    quick = [other.url(f"ok/{n}") for n in range(60)]
    with started_client("get", "-i", "-", stdin=-1, broker=fleet.endpoints[
            "client"]) as client:
        client.stdin.write("\n".join(busy + quick).encode())
        client.stdin.close()
        fleet.broker.wait_event("host.closed")
        (batch,) = [line.split()[0] for line in fleet.client(
            "status", "--unfinished").lines[1:]]
        text = "\n".join(fleet.client("status", batch, "--stuck").lines)
        assert f"http {status}; again in" in text, text
        assert f"its host answered {status} with Retry-After" in text, text
        wait_until(lambda: len(other.log()) == 60, "the others")
        assert client.wait(GIVE_UP_S) == 0
    # A date has whole seconds.
    check_pause(host.log(), 3 if value.startswith("date") else 4)
    records = fleet.client("results", batch, "--format", "jsonl").records()
    assert sorted(record["attempts"] for record in records) == [1] * 119 + [2]


def test_any_status_is_polite(pair, polite):
    """A 429 whose body is wanted closes its host all the same."""
    host = polite()
    fleet = pair("--parallel-max-host", "2")
    urls = [host.url(f"busy/it/1/429/3/{n}") for n in range(30)]
    records = get(fleet, urls, "--any-status", "--retry", "0")
    assert {record["outcome"] for record in records.values()} == {"ok"}
    statuses = [record["http_status"] for record in records.values()]
    assert sorted(statuses) == [200] * 29 + [429]
    assert len(fleet.broker.events("host.closed")) == 1
    check_pause(host.log(), 3)


def test_without_retry_after(pair, polite):
    """A minute, and it doubles; here only what is said of it."""
    host, other = polite(), polite()
    fleet = pair()
    urls = [host.url(f"busy/it/1000/503//{n}") for n in range(50)]
    (batch,) = fleet.client("submit", "--retry", "9", "-i", "-", stdin="\n".join(
        urls + [other.url(f"ok/{n}") for n in range(50)])).lines
    (line,) = fleet.broker.wait_event("host.closed")
    assert 60000 <= int(line.split("for_ms=")[1].split()[0]) <= 66000
    assert "incident=1" in line
    wait_until(lambda: fleet.status(batch)["done"] == 50, "the others")
    time.sleep(2)
    assert len(host.log()) <= 8, "it was asked while it was closed"
    assert len(fleet.broker.events("host.closed")) == 1


def test_others_statuses_close_nothing(pair, polite):
    host = polite()
    fleet = pair()
    for status in (403, 500, 502, 504):
        urls = [host.url(f"busy/x{status}/1000/{status}/60/{n}")
                for n in range(20)]
        records = get(fleet, urls, "--retry", "0", codes=(1,))
        assert {record["http_status"] for record in records.values()} == \
            {status}
    assert not fleet.broker.events("host.closed")


# What Retry-After says: for how many seconds its host is closed. None: as if
# it were not there, so for a minute. Dates are those of polite_origin.py, whose
# clock is hours off.
RETRY_AFTERS = {
    "1": 1, "120": 120, "000120": 120, "86400": 86400, "86401": 86400,
    "99999999999999999999999999": 86400, "0": 1,
    "date1:120": 120, "date2:120": 120, "date3:120": 120,
    "date1:-3600": 1, "date2:-3600": 1, "date3:-3600": 1,
    "date1:172800": 86400, "date2:172800": 86400, "date3:172800": 86400,
    "Fri, 31 Dec 9999 23:59:59 GMT": 86400,
    "Thu, 01 Jan 1970 00:00:00 GMT": 1,
    "-1": None, "-120": None, "+120": None, "1.5": None, "2s": None,
    "120, 60": None, "0x10": None, "1e3": None, "soon": None, "\xff": None,
    "Sun, 32 Nov 2094 08:49:37 GMT": None, "2094-11-06T08:49:37Z": None,
    "Sun, 06 Nov 2094 08:49:37": None, "Sun, 06 Nov 2094 08:49:37 CET": None,
    "": None,
}


@pytest.mark.parametrize("status", [429, 503])
def test_every_kind_of_retry_after(new_fleet, polite, status):
    """Each from a host of its own; the record says what it was, at one try."""
    addresses = [f"127.7.{status % 256}.{n + 1}"
                 for n in range(len(RETRY_AFTERS))]
    host = polite(*addresses)
    fleet = new_fleet()
    fleet.start_broker()
    fleet.start_hasher()
    fleet.start_fetcher()
    urls = [f"http://{address}:{host.port}/busy/{address}/1000/{status}/"
            f"{urllib.parse.quote(value, safe='', encoding='latin-1')}"
            for address, value in zip(addresses, RETRY_AFTERS)]
    for record in get(fleet, urls, "--retry", "0", codes=(1,)).values():
        assert record["outcome"] == "http" and record["attempts"] == 1
        assert record["http_status"] == status
    rows = {row["origin"]: row for row in fleet.client(
        "hosts", "--json").records()}
    for address, (value, seconds) in zip(addresses, RETRY_AFTERS.items()):
        row = rows.get(f"http://{address}:{host.port}", {"state": "open"})
        if seconds == 1: # over by now, or soon
            assert row.get("until_ms", 0) <= 1000, (value, row)
            continue
        assert row["state"] == "closed", (value, row)
        assert ("with Retry-After" in row["why"]) == (seconds is not None)
        least, most = (60, 66) if seconds is None else (seconds, seconds)
        # A date has whole seconds, on both sides; and time has passed.
        assert (least - 15) * 1000 < row["until_ms"] <= most * 1000, (
            value, row)


def test_redirected(pair, polite):
    """Who answered is closed, not who sent there."""
    host, target = polite(), polite()
    fleet = pair()
    path = f"to/{target.port}/busy/it/1/429/3"
    urls = [host.url(f"{path}/{n}") for n in range(3)]
    quick = [host.url(f"ok/{n}") for n in range(100)]
    get(fleet, urls + quick)
    (line,) = fleet.broker.events("host.closed")
    assert f":{target.port}\" " in line
    closed = min(row[0] for row in target.log() if row[3] == 429)
    assert max(row[0] for row in host.log("ok")) - closed < 3


# --- Down ---

def test_dead_host_fails_fast(pair, polite):
    """A few tries, then a reason; nobody else waits for it."""
    other = polite()
    fleet = pair("--give-up-host", "3")
    port = free_port()
    dead = [f"http://127.0.0.1:{port}/{n}" for n in range(2000)]
    quick = [other.url(f"ok/{n}") for n in range(100)]
    records = get(fleet, dead + quick, codes=(1,))
    assert all(records[url]["outcome"] == "ok" for url in quick)
    outcomes = [records[url]["outcome"] for url in dead]
    assert set(outcomes) == {"connect", "host_down"}
    assert outcomes.count("connect") <= 10
    down = next(record for record in records.values()
                if record["outcome"] == "host_down")
    assert down["attempts"] == 0
    assert "could not be connected to for 3 s" in down["message"]
    assert "connect" in down["message"]
    fleet.broker.wait_event("host.given_up")


def cost_s(fleet):
    """Seconds of one slot that the host which was given up had, in all."""
    (line,) = fleet.broker.wait_event("host.given_up")
    return int(line.split("cost_ms=")[1].split()[0]) / 1000


def tries(records):
    """Attempts of url -> record."""
    return sum(record["attempts"] for record in records.values())


@pytest.mark.parametrize("how", ["no SYN is answered", "no TLS"])
def test_silent_host_fails_fast(pair, polite, how):
    """Two tries, whatever --parallel-max-host is, and nobody else waits."""
    other = polite()
    fleet = pair("--give-up-host", "3", "--parallel-max-host", "50")
    with contextlib.ExitStack() as stack:
        if how == "no TLS":
            listener = stack.enter_context(socket.create_server(
                ("127.0.0.1", 0)))
            base = f"https://127.0.0.1:{listener.getsockname()[1]}"
        else:
            base = f"http://127.0.0.1:{stack.enter_context(silent_port())}"
        dead = [f"{base}/{n}" for n in range(2000)]
        quick = [other.url(f"ok/{n}") for n in range(100)]
        records = get(fleet, dead + quick, "--connect-timeout", "1",
                      codes=(1,))
    assert all(records[url]["outcome"] == "ok" for url in quick)
    assert tries({url: records[url] for url in dead}) == 2
    assert {records[url]["outcome"] for url in dead} <= {"timeout",
                                                        "host_down"}
    assert 1.9 < cost_s(fleet) < 4


def check_limit_at_once(fleet, host):
    """Eight that each wait for 3 s are under way together."""
    batch = submit(fleet, [host.url(f"wait/3000/{n}") for n in range(8)])
    wait_until(lambda: len(host.log("wait/3000")) == 8, "its answers")
    times = [row[0] for row in host.log("wait/3000")]
    assert max(times) - min(times) < 2
    fleet.client("wait", batch)


def test_slow_host_is_at_its_limit_at_once(pair, polite):
    """That somebody has connected is enough: no answer is waited for."""
    check_limit_at_once(pair(), polite())


def test_open_connections_are_a_host_that_is_there(pair, polite):
    """The broker has forgotten it, the fetcher has connections to it."""
    host = polite()
    fleet = pair()
    fleet.client("get", *(host.url(f"wait/200/{n}") for n in range(8)))
    check_limit_at_once(fleet, host)


def test_host_falls_silent(pair, polite):
    """In mid-batch, with bodies under way: those, and then two tries."""
    host = polite()
    fleet = pair("--give-up-host", "3")
    urls = [host.url(f"ok/{n}") for n in range(50)]
    urls += [host.url(f"wait/600000/{n}") for n in range(2000)]
    (batch,) = fleet.client(
        "submit", "--connect-timeout", "1", "--speed-time", "2", "-i", "-",
        stdin="\n".join(urls)).lines
    wait_until(lambda: len(host.log("ok")) == 50, "the first")
    wait_until(lambda: [row for row in fleet.client(
        "hosts", "--json").records() if row["running"] == 8], "its limit")
    host.process.send_signal(signal.SIGSTOP)
    with filled_queue(("127.0.0.1", host.port)):
        fleet.client("wait", batch, codes=(1,))
    host.process.send_signal(signal.SIGCONT)
    # Eight of 2 s and a bit (libcurl looks once a second), and the tries.
    assert cost_s(fleet) < 8 * 4 + 2 * 1.5
    records = fleet.client("results", batch, "--format", "jsonl",
                           codes=(1,)).records()
    assert tries({record["url"]: record for record in records}) <= 50 + 8 + 2


def test_host_that_comes_back(pair, polite):
    """One transfer at a time tries; when it succeeds, all go on."""
    fleet = pair()
    port = free_port()
    urls = [f"http://127.0.0.1:{port}/?{n}" for n in range(100)]
    with started_client("get", "--format", "jsonl", "-i", "-", stdin=-1,
                        broker=fleet.endpoints["client"]) as client:
        client.stdin.write("\n".join(urls).encode())
        client.stdin.close()
        fleet.broker.wait_event("host.parked")
        with PoliteServerAt(port):
            fleet.broker.wait_event("host.back")
            records = [json.loads(line) for line in client.stdout]
            assert client.wait(GIVE_UP_S) == 1
    outcomes = [record["outcome"] for record in records]
    assert outcomes.count("connect") <= 8
    assert outcomes.count("ok") == 100 - outcomes.count("connect")


@contextlib.contextmanager
def PoliteServerAt(port):
    """nothing but 200 at that port"""
    process = subprocess.Popen(
        [sys.executable, "-B", "-m", "http.server", "--bind", "127.0.0.1",
         "--directory", "/usr/share/doc", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


# --- What outlives a restart ---

def test_closed_after_a_restart(pair, polite):
    """A broker that is killed does not forget who asked for a long pause."""
    host = polite()
    fleet = pair()
    urls = [host.url(f"busy/it/1000/429/3600/{n}") for n in range(40)]
    (batch,) = fleet.client("submit", "-i", "-", stdin="\n".join(urls)).lines
    fleet.broker.wait_event("host.closed")
    wait_until(lambda: fleet.status(batch)["fetching"] == 0, "the last answer")
    asked = len(host.log())
    assert asked <= 8
    # Its note is a commit of its own: in a moment.
    wait_until(lambda: fleet.client("hosts", "--json").records(), "the hosts")
    fleet.broker.stop()
    fleet.start_broker()
    fleet.broker.wait_event("host.restored", has="closed=1")
    fleet.start_fetcher()
    (row,) = fleet.client("hosts", "--json").records()
    assert row["state"] == "closed" and row["status"] == 429
    assert 3500000 < row["until_ms"] <= 3600000
    time.sleep(2)
    assert len(host.log()) == asked


# --- hosts ---

def test_hosts(pair, polite):
    """Closed ones first, whatever else there is; page by page."""
    addresses = [f"127.3.0.{n}" for n in range(1, 41)]
    host, busy = polite(*addresses), polite()
    fleet = pair("--parallel-max-host", "1", "--give-up-host", "0")
    dead = free_port()
    urls = [busy.url(f"busy/it/9/429/600/{n}") for n in range(5)]
    urls += [f"http://127.0.0.1:{dead}/{n}" for n in range(20)]
    urls += [f"http://{address}:{host.port}/wait/600000/{n}"
             for address in addresses for n in range(3)]
    (batch,) = fleet.client("submit", "-i", "-", stdin="\n".join(urls)).lines
    fleet.broker.wait_event("host.parked")
    fleet.broker.wait_event("host.closed")
    wait_until(lambda: fleet.status(batch)["fetching"] == 40, "the others")
    rows = fleet.client("hosts", "--json").records()
    assert len(rows) == 42
    assert [row["state"] for row in rows[:2]] == ["closed", "parked"]
    assert {row["state"] for row in rows[2:]} == {"open"}
    assert "answered 429 with Retry-After" in rows[0]["why"]
    assert rows[0]["waiting"] + rows[0]["retrying"] == 5
    assert rows[1]["last_error"] == "connect" and rows[1]["failures"] >= 5
    assert rows[1]["failed"] >= 5
    for row in rows[2:]:
        assert (row["running"], row["waiting"]) == (1, 2), row
        assert "1 transfers, the limit" in row["why"]
    lines = fleet.client("hosts", "-n", "3").lines
    assert lines[0] == "42 hosts: 1 closed, 1 parked, 0 given up"
    assert len(lines) == 5 and lines[2].startswith("closed")
    fleet.client("hosts", "no-such-batch", codes=(2,))
    (other,) = fleet.client(
        "submit", f"http://{addresses[0]}:{host.port}/wait/600000").lines
    wait_until(lambda: len(fleet.client("hosts", other,
                                        "--json").records()) == 1, "one host")
    fleet.client("cancel", batch)
    fleet.client("cancel", other)


# --- Limits ---

def gaps(log):
    times = sorted(row[0] for row in log)
    return [after - before for before, after in zip(times, times[1:])]


def test_rate_of_the_fleet(pair, polite):
    """Two fetchers, one host, five a second; the other host has its own."""
    host, other = polite(), polite()
    fleet = pair("--rate", "5/s")
    urls = [origin.url(f"ok/{n}") for n in range(12)
            for origin in (host, other)]
    begin = time.monotonic()
    get(fleet, urls)
    assert time.monotonic() - begin >= 11 * 0.2
    for origin in (host, other):
        # They are begun 200 ms apart; what happens on the way is the network's.
        assert sum(gaps(origin.log())) >= 11 * 0.2 - 0.15


def test_rate_embedded(polite):
    host = polite()
    urlsum("get", "--rate", "600/m", *[host.url(f"ok/{n}") for n in range(6)])
    assert sum(gaps(host.log())) >= 5 * 0.1 - 0.05


@pytest.mark.parametrize("rate", ["5", "5/", "/s", "5/d", "-1/s", "1e3/s",
                                  "5/s ", "2000000/s"])
def test_rate_wants_a_unit(rate):
    got = urlsum("get", "--rate", rate, "http://x/", codes=(2,))
    assert "--rate" in got.errors[0] and "2/s" in got.errors[0]


@pytest.mark.parametrize("by,running", [("origin", 8), ("host", 4)])
def test_group_by_host(pair, polite, by, running):
    """Two ports of one host."""
    first, second = polite(), polite()
    fleet = pair("--parallel-max-host", "4", "--group-by", by)
    urls = [origin.url(f"wait/600000/{n}") for n in range(10)
            for origin in (first, second)]
    (batch,) = fleet.client("submit", "-i", "-", stdin="\n".join(urls)).lines
    wait_until(lambda: fleet.status(batch)["fetching"] >= running, "transfers")
    time.sleep(1)
    assert fleet.status(batch)["fetching"] == running
    rows = fleet.client("hosts", "--json").records()
    assert {row["group_running"] for row in rows} == {4}
    fleet.client("cancel", batch)


def test_group_by_domain(pair, polite):
    """libcurl knows what *.localhost is; the list of suffixes does not, so
    its last label is one."""
    host = polite()
    fleet = pair("--parallel-max-host", "2", "--group-by", "domain")
    names = ["x.one", "y.one", "z.y.one", "x.two"]
    urls = [f"http://{name}.localhost:{host.port}/wait/200/{n}"
            for n in range(6) for name in names]
    with started_client("get", "--format", "jsonl", "-i", "-", stdin=-1,
                        broker=fleet.endpoints["client"]) as client:
        client.stdin.write("\n".join(urls).encode())
        client.stdin.close()
        rows = wait_until(lambda: fleet.client("hosts", "--json").records(),
                          "the hosts")
        assert {row["group_origins"] for row in rows} <= {1, 3}
        records = [json.loads(line) for line in client.stdout]
        assert client.wait(GIVE_UP_S) == 0
    assert len(records) == 24
    # 18 of one domain, two at a time, 200 ms each.
    assert sum(gaps(host.log())) >= 8 * 0.2


def test_group_by_ip(pair, polite):
    """Two names, one address: from the first answers on one limit."""
    host = polite()
    fleet = pair("--parallel-max-host", "2", "--group-by", "ip")
    names = ["one", "two", "three"]
    first = [f"http://{name}.localhost:{host.port}/ok" for name in names]
    get(fleet, first)
    urls = [f"http://{name}.localhost:{host.port}/wait/600000/{n}"
            for n in range(6) for name in names]
    (batch,) = fleet.client("submit", "-i", "-", stdin="\n".join(urls)).lines
    wait_until(lambda: fleet.status(batch)["fetching"] >= 2, "transfers")
    time.sleep(1)
    assert fleet.status(batch)["fetching"] == 2
    fleet.client("cancel", batch)


def test_another_group_by(pair, polite):
    """A store of a broker that grouped otherwise: nothing is lost."""
    host = polite("127.3.0.1", "127.3.0.2")
    fleet = pair("--group-by", "origin", "--parallel-max-host", "1")
    urls = [f"http://{address}:{host.port}/wait/100/{n}" for n in range(20)
            for address in ("127.0.0.1", "127.3.0.1", "127.3.0.2")]
    (batch,) = fleet.client("submit", "-i", "-", stdin="\n".join(urls)).lines
    for by in ("domain", "ip", "host", "origin"):
        wait_until(lambda: fleet.status(batch)["done"] > 0, "some")
        fleet.broker.stop()
        fleet.start_broker("--group-by", by)
        fleet.start_fetcher()
        fleet.start_hasher()
    fleet.client("wait", batch)
    status = fleet.status(batch)
    assert (status["done"], status["failed"]) == (60, 0)


# --- The figures that were promised; minutes ---

def other_hosts(count):
    return [f"127.4.{n // 250}.{n % 250 + 1}" for n in range(count)]


def submit(fleet, urls):
    (batch,) = fleet.client("submit", "-i", "-", stdin="\n".join(urls)).lines
    return batch


def last_answer(origin, has):
    """Seconds from the first of these requests to the last."""
    times = [row[0] for row in origin.log(has)]
    return max(times) - min(times)


@pytest.fixture
def four(new_fleet):
    def make(*args):
        fleet = new_fleet()
        fleet.start_broker(*args)
        fleet.start_hasher()
        for _ in range(4):
            fleet.start_fetcher("--parallel-max", "300")
        return fleet
    return make


@pytest.mark.slow
@pytest.mark.plain
def test_one_of_a_thousand(four, polite):
    """429 with Retry-After: 30, four fetchers: nobody asks it for 30 s, and
    the other 999 are done within 5 % of the time without it."""
    seconds = {}
    for is_busy in (False, True):
        hosts, busy = polite(*other_hosts(999)), polite()
        fleet = four("--parallel-max-host", "1")
        quick = [f"http://{host}:{hosts.port}/wait/3000/{n}"
                 for n in range(8) for host in other_hosts(999)]
        if is_busy:
            quick[500:500] = [busy.url(f"busy/it/1/429/30/{n}")
                              for n in range(20)]
        batch = submit(fleet, quick)
        fleet.client("wait", batch, seconds=600)
        assert fleet.status(batch)["failed"] == 0
        seconds[is_busy] = last_answer(hosts, "wait")
        fleet.end()
    check_pause(busy.log("busy"), 30)
    print(f"others: {seconds[False]:.2f} s alone, {seconds[True]:.2f} s beside")
    assert seconds[True] <= 1.05 * seconds[False]


@pytest.mark.slow
@pytest.mark.plain
def test_nine_tenths_at_a_slow_host(four, polite):
    """The others within 10 % of a run without it; it at its limit at once."""
    seconds = {}
    for is_slow in (False, True):
        hosts, slow = polite(*other_hosts(100)), polite()
        fleet = four()
        urls = [f"http://{host}:{hosts.port}/wait/3000/{n}"
                for n in range(56) for host in other_hosts(100)]
        if is_slow:
            urls = [url for n, quick in enumerate(urls)
                    for url in [*(slow.url(f"wait/5000/{n}/{k}")
                                  for k in range(9)), quick]]
        batch = submit(fleet, urls)
        wait_until(lambda: len(hosts.log()) == 5600, "the others", 600)
        seconds[is_slow] = last_answer(hosts, "wait")
        if is_slow:
            begin = min(row[0] for row in hosts.log())
            at_once = [row for row in slow.log() if row[0] - begin < 2]
            assert len(at_once) == 8, "not at its limit from the start"
        fleet.client("cancel", batch)
        fleet.end()
    print(f"others: {seconds[False]:.2f} s alone, {seconds[True]:.2f} s beside")
    assert seconds[True] <= 1.10 * seconds[False]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["refuses", "silent"])
def test_ten_thousand_at_a_dead_host(pair, how):
    """Less than 60 s of one slot, whatever way it is dead; with the defaults,
    until it is given up."""
    fleet = pair()
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(silent_port()) if how == "silent" \
            else free_port()
        urls = [f"http://127.0.0.1:{port}/{n}" for n in range(10000)]
        records = get(fleet, urls, codes=(1,))
    print(f"{how}: {cost_s(fleet):.1f} s of one slot, "
          f"{tries(records)} tries")
    assert cost_s(fleet) < 60
    assert tries(records) <= 15
