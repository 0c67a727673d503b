"""Names: how they are looked up, what is kept, and that trouble of the resolver
fails nobody."""
import os
import threading
import time
import urllib.request

import pytest

from dns_server import REFUSED, SERVFAIL, DnsServer
from harness import PATIENCE, environment, free_port, sha512, wait_until
from test_address_policy import FORBIDDEN, HOME, Watch
from test_commands import workers
from test_redirects import Site

HOSTS = 120


@pytest.fixture
def dns():
    server = DnsServer({f"host{n}.test": [HOME] for n in range(HOSTS)})
    yield server
    server.end()


@pytest.fixture(scope="module")
def site():
    ours = Site(HOME)
    yield ours
    ours.end()


@pytest.fixture
def named(new_fleet, dns):
    """A fleet that knows only what the DNS server says, and may go to HOME."""
    fleet = new_fleet()
    fleet.start_broker("--parallel-max-host", "64")
    fleet.start_hasher()
    fleet.fetcher = fleet.start_fetcher(
        "--dns-servers", dns.where, "--dns-timeout", "1", "--parallel-max",
        "300", env=environment(URLSUM_ALLOW_NET=HOME))
    return fleet


def url_of(site, host, path="x"):
    return f"http://{host}:{site.where.split(':')[1]}/{path}"


def records_of(fleet, urls, *args, retry="0", codes=(0, 1)):
    got = fleet.client("get", "--format", "jsonl", "--retry", retry, *args,
                       "-i", "-", stdin="\n".join(urls) + "\n",
                       codes=codes).records()
    return {record["url"]: record for record in got}


def events(fleet, name):
    return fleet.fetcher.text().count(f"event={name} ")


def test_kinds_of_names(named, dns, site):
    dns.names.update({
        "v4.test": [HOME],
        "both.test": ["::1", HOME], # nobody listens on the first
        "chain.test": ["cname chain1.test"],
        "chain1.test": ["cname chain2.test"],
        "chain2.test": ["cname v4.test"],
        "xn--bcher-kva.test": [HOME],
        "many.test": [HOME, *(f"127.0.3.{n}" for n in range(60))],
    })
    hosts = ["v4.test", "V4.Test", "v4.test.", "both.test", "chain.test",
             "bücher.test", "many.test"]
    urls = [url_of(site, host) for host in hosts]
    records = records_of(named, urls)
    for url in urls:
        assert records[url]["outcome"] == "ok", records[url]
        assert records[url]["remote"] == site.where
    assert records[urls[0]]["dns_us"] > 0


def test_what_does_not_exist_fails_at_once(named, dns, site):
    dns.names["empty.test"] = []
    urls = [url_of(site, host) for host in
            ("none.test", "empty.test", "some.invalid", "a..b.test",
             "x" * 64 + ".test")]
    begin = time.monotonic()
    records = records_of(named, urls)
    assert time.monotonic() - begin < 10
    for url in urls:
        assert records[url]["outcome"] in ("dns", "invalid_url"), records[url]
    assert records[urls[0]]["message"] == "the host's name does not exist"
    assert records[urls[0]]["curl_code"] == 6
    assert records[urls[1]]["message"] == "the host's name has no address"
    assert dns.count("none.test") == 2, "asked once in each family"
    assert dns.count("some.invalid") == 0
    records_of(named, [urls[0] + "again"])
    assert dns.count("none.test") == 2, "that it does not exist is kept"
    assert events(named, "dns.outage") == 0


def test_a_name_is_asked_once(named, dns, site):
    """However many URLs and connections it has."""
    urls = [url_of(site, "host0.test", f"{n}") for n in range(300)]
    records = records_of(named, urls)
    assert all(record["outcome"] == "ok" for record in records.values())
    assert dns.count("host0.test") == 2


def test_ttl(named, dns, site):
    """What is found is kept for its TTL, and an open connection needs none."""
    dns.ttl = 5 * PATIENCE
    urls = [url_of(site, "host1.test", f"{n}") for n in range(3)]
    assert records_of(named, urls[:1])[urls[0]]["outcome"] == "ok"
    time.sleep(dns.ttl + 1)
    assert records_of(named, urls[1:2])[urls[1]]["outcome"] == "ok"
    assert dns.count("host1.test") == 2, "the connection was still there"
    # This one's answer ends with its connection.
    close = url_of(site, "host2.test", "go?status=200&close=1")
    records_of(named, [close])
    records_of(named, [close + "&again=1"])
    assert dns.count("host2.test") == 2, "within its TTL"
    time.sleep(dns.ttl + 1)
    records_of(named, [close + "&again=2"])
    assert dns.count("host2.test") == 4


def test_truncated_answers_are_asked_for_by_tcp(named, dns, site):
    dns.is_truncated = True
    url = url_of(site, "host3.test")
    assert records_of(named, [url])[url]["outcome"] == "ok"
    assert dns.by_tcp > 0


def test_slow_answers_hold_up_nobody(named, dns, site):
    """Many names at once, on the threads that there are."""
    dns.delay_s = 0.7
    tasks = f"/proc/{named.fetcher.pid}/task"
    threads = len(os.listdir(tasks))
    most = [0]
    is_over = threading.Event()

    def count():
        while not is_over.wait(0.05):
            most[0] = max(most[0], len(os.listdir(tasks)))

    counter = threading.Thread(target=count)
    counter.start()
    begin = time.monotonic()
    records = records_of(named, [url_of(site, f"host{n}.test")
                                 for n in range(HOSTS)])
    seconds = time.monotonic() - begin
    is_over.set()
    counter.join()
    assert all(record["outcome"] == "ok" for record in records.values())
    assert all(record["dns_us"] > 600_000 for record in records.values())
    assert seconds < HOSTS * 0.7 / 4
    assert most[0] == threads


def test_a_dead_server_beside_a_good_one(new_fleet, dns, site):
    dead = DnsServer(address="127.0.0.3")
    dead.silent = True
    fleet = new_fleet()
    fleet.start_broker()
    fleet.start_hasher()
    fleet.fetcher = fleet.start_fetcher(
        "--dns-servers", f"{dead.where},{dns.where}", "--dns-timeout", "0.5",
        env=environment(URLSUM_ALLOW_NET=HOME))
    records = records_of(fleet, [url_of(site, f"host{n}.test")
                                 for n in range(20)])
    dead.end()
    assert all(record["outcome"] == "ok" for record in records.values())
    assert dead.asked and dns.asked
    assert events(fleet, "dns.outage") == 0


def check_outage(fleet, dns, site, seconds, how):
    """Half of the names are looked up during an outage."""
    first = [url_of(site, f"host{n}.test") for n in range(HOSTS // 2)]
    second = [url_of(site, f"host{n}.test") for n in range(HOSTS // 2, HOSTS)]
    records = records_of(fleet, first)
    assert all(record["outcome"] == "ok" for record in records.values())
    begin = time.monotonic()
    timer = dns.outage(seconds, how)
    records = records_of(fleet, second)
    timer.join()
    assert time.monotonic() - begin > seconds * 0.9
    assert {record["outcome"] for record in records.values()} == {"ok"}
    assert {record["attempts"] for record in records.values()} == {1}
    assert events(fleet, "dns.outage") == 1
    assert events(fleet, "dns.back") == 1


@pytest.mark.parametrize("how", ["silent", SERVFAIL, REFUSED])
def test_an_outage_fails_nobody(named, dns, site, how):
    check_outage(named, dns, site, 12, how)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["silent", SERVFAIL])
def test_an_outage_of_a_minute(named, dns, site, how):
    check_outage(named, dns, site, 60, how)


@pytest.mark.slow
def test_who_waits_for_a_connection_keeps_its_lease(new_fleet, dns, site):
    """The first request to an https origin waits for the name, the second for
    the first, and longer than its own limits allow silence."""
    fleet = new_fleet()
    fleet.start_broker("--ttl", "1")
    fleet.start_hasher()
    fleet.fetcher = fleet.start_fetcher(
        "--dns-servers", dns.where, "--dns-timeout", "0.5",
        env=environment(URLSUM_ALLOW_NET=HOME))
    timer = dns.outage(18)
    urls = [url_of(site, "host1.test", f"{n}").replace("http:", "https:")
            for n in range(2)]
    records = records_of(fleet, urls, "--connect-timeout", "1", "--speed-time",
                         "1")
    timer.join()
    # The server speaks no TLS.
    assert {record["outcome"] for record in records.values()} == {"tls"}
    assert not fleet.broker.events("job.lease_over")


def test_an_outage_stops_nothing_that_needs_no_names(named, dns, site):
    """Addresses, names that are known, and connections that are open."""
    known = url_of(site, "host0.test")
    assert records_of(named, [known])[known]["outcome"] == "ok"
    timer = dns.outage(10)
    waiting = threading.Thread(target=records_of, args=(
        named, [url_of(site, "host1.test")]))
    waiting.start()
    wait_until(lambda: events(named, "dns.outage"), "dns.outage")
    urls = [site.url("a"), known + "1", known + "2"]
    begin = time.monotonic()
    records = records_of(named, urls)
    assert time.monotonic() - begin < 8
    assert all(record["outcome"] == "ok" for record in records.values())
    timer.join()
    waiting.join()


def test_an_outage_of_one_fetcher(new_fleet, dns, site):
    """The other one, whose servers answer, does all the work: also what waits
    already where none do."""
    dead = DnsServer()
    dead.silent = True
    fleet = new_fleet()
    try:
        fleet.start_broker("--parallel-max-host", "64", "--http",
                           f"127.0.0.1:{(port := free_port())}")
        fleet.start_hasher()
        start = {"env": environment(URLSUM_ALLOW_NET=HOME)}
        fleet.fetcher = fleet.start_fetcher(
            "--dns-servers", dead.where, "--dns-timeout", "0.5", **start)
        urls = [url_of(site, f"host{n}.test") for n in range(HOSTS)]
        batch, = fleet.client("submit", "--retry", "0", "-i", "-",
                              stdin="\n".join(urls)).lines
        # Alone it gets jobs as ever: not all of them need names.
        fleet.broker.wait_event("worker.pauses")
        status = wait_until(lambda: (got := fleet.status(batch)).get(
            "hindrance") and got, "a hindrance")
        assert status["hindrance"] == "no DNS server answers"
        (row,) = [row for row in workers(fleet) if row["role"] == "fetcher"]
        assert row["pauses"] == "no DNS server answers it"
        assert row["jobs"] == HOSTS
        assert records_of(fleet, [site.url("a")])[site.url("a")][
            "outcome"] == "ok"
        other = fleet.start_fetcher("--dns-servers", dns.where, **start)
        fleet.client("wait", batch)
        records = fleet.client("results", batch, "--format", "jsonl").records()
        assert {record["fetcher"] for record in records} == {
            other.worker_name}
        assert {record["attempts"] for record in records} == {1}
        assert "hindrance" not in fleet.status(batch)
        page = urllib.request.urlopen(
            f"http://127.0.0.1:{port}/metrics").read().decode()
        assert "\nurlsum_broker_fetchers_paused 1\n" in page
        # What comes from now on never goes there.
        urls = [url + "?again" for url in urls]
        begin = fleet.fetcher.text().count("event=fetch.start")
        assert {record["outcome"] for record in
                records_of(fleet, urls).values()} == {"ok"}
        assert fleet.fetcher.text().count("event=fetch.start") == begin
        assert "pausing" in fleet.client("workers").stdout.decode()
        # It comes back.
        dead.names = dns.names
        dead.silent = False
        fleet.broker.wait_event("worker.goes_on")
        assert "pausing" not in fleet.client("workers").stdout.decode()
    finally:
        dead.end()


def test_an_outage_has_an_end(new_fleet, dns, site):
    """--dns-outage: then URLs fail after all."""
    fleet = new_fleet()
    fleet.start_broker()
    fleet.start_hasher()
    fleet.fetcher = fleet.start_fetcher(
        "--dns-servers", dns.where, "--dns-timeout", "0.5", "--dns-outage",
        "3", env=environment(URLSUM_ALLOW_NET=HOME))
    dns.silent = True
    urls = [url_of(site, f"host{n}.test") for n in range(3)]
    records = records_of(fleet, urls)
    assert {record["outcome"] for record in records.values()} == {"dns"}
    assert records[urls[0]]["message"] == "no DNS server answered in time"


@pytest.mark.parametrize("how", [SERVFAIL, "silent"])
def test_a_broken_zone_stops_nobody(named, dns, site, how):
    dns.codes["broken.test"] = how
    bad = url_of(site, "broken.test")
    good = [url_of(site, f"host{n}.test") for n in range(HOSTS)]
    records = records_of(named, [bad, *good])
    assert records[bad]["outcome"] == "dns"
    assert all(records[url]["outcome"] == "ok" for url in good)
    assert events(named, "dns.outage") == 0


def test_a_broken_zone_alone(named, dns, site):
    """The root's servers tell that it is not the resolver."""
    dns.codes["broken.test"] = SERVFAIL
    url = url_of(site, "broken.test")
    record = records_of(named, [url])[url]
    assert record["outcome"] == "dns"
    assert "no DNS server could tell" in record["message"]
    assert events(named, "dns.outage") == 0
    # curl's own list: a name's failure is tried again while --retry lasts.
    assert record["attempts"] == 1


# --- The address policy, by what DNS says ---

@pytest.fixture
def watch():
    ours = Watch()
    yield ours
    ours.end()


def test_names_of_forbidden_addresses(named, dns, site, watch):
    answers = {
        "loop.test": [FORBIDDEN], "loop6.test": ["::1"],
        "both.test": [FORBIDDEN, "::1"], "mapped.test": ["::ffff:127.0.0.1"],
        "compatible.test": ["::127.0.0.1"], "nat64.test": ["64:ff9b::7f00:1"],
        "sixtofour.test": ["2002:7f00:1::1"], "this.test": ["0.0.0.0"],
        "metadata.test": ["169.254.169.254"], "unspecified.test": ["::"],
        "alias.test": ["cname alias1.test"], "alias1.test": ["cname loop.test"],
    }
    dns.names.update(answers)
    direct = [f"http://{host}:{watch.port}/" for host in answers]
    redirected = [site.go(url) for url in direct]
    records = records_of(named, direct + redirected)
    assert {record["outcome"] for record in records.values()} == \
        {"blocked_address"}
    assert watch.accepted() == 0 and watch.syns == 0


def test_an_allowed_address_among_forbidden_ones(named, dns, site, watch):
    dns.names["mixed.test"] = [FORBIDDEN, "::1", HOME, "10.0.0.1"]
    url = url_of(site, "mixed.test")
    record = records_of(named, [url])[url]
    assert record["outcome"] == "ok"
    assert record["remote"] == site.where


def test_rebinding(named, dns, site, watch):
    """A name that moves inside once it has been looked at."""
    answers = [[HOME], [FORBIDDEN]]
    moved = threading.Event()
    dns.names["moving.test"] = lambda: answers[moved.is_set()]
    dns.ttl = 0
    outside = url_of(site, "moving.test")
    assert records_of(named, [outside])[outside]["outcome"] == "ok"
    moved.set()
    time.sleep(1.5) # what was found is kept for a second
    urls = [f"http://moving.test:{watch.port}/{n}" for n in range(10)]
    urls.append(site.go(urls[0]))
    records = records_of(named, urls)
    assert {record["outcome"] for record in records.values()} == \
        {"blocked_address"}
    assert watch.accepted() == 0 and watch.syns == 0


# --- Options, and an embedded run ---

def test_an_embedded_run_has_names_too(mode, nginx, dns):
    if mode.name != "embedded":
        pytest.skip("the fleet's fetcher has others")
    dns.names["inside.test"] = ["127.0.0.1"]
    url = f"http://inside.test:{nginx.http}/x"
    assert mode.get("--dns-servers", dns.where, url).sums() == \
        {url: sha512(b"x")}
    dns.silent = True
    result = mode.get("--dns-servers", dns.where, "--dns-timeout", "0.3",
                      "--dns-outage", "2", "--retry", "0",
                      url.replace("inside", "outside"), codes=(1,))
    text = "\n".join(result.errors)
    assert "dns.outage" in text, "nobody was told what it waits for"
    assert "no DNS server answered in time" in text


@pytest.mark.parametrize("servers", ["nonsense", "127.0.0.1:port", "1.2.3.4,x",
                                     "1.2.3.4.5"])
def test_servers_are_checked(mode, servers):
    if mode.name != "embedded":
        pytest.skip("one program is enough")
    result = mode.get("--dns-servers", servers, "http://127.0.0.1/",
                      codes=(2,))
    assert f"--dns-servers {servers}: " in result.errors[0]
