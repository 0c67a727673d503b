"""The address policy: whatever a URL or a redirect calls it, a forbidden
address is not connected to. A listener there proves that nobody came."""
import contextlib
import socket
import struct
import threading

import pytest

from harness import (Fleet, environment, free_port, sha512, urlsum,
                     wait_until)
from test_redirects import Site

# Where the tests' own servers are allowed to be, and the address that is not.
HOME = "127.0.0.2"
FORBIDDEN = "127.0.0.1"

# Spellings of 127.0.0.1, and of addresses that lead there or to this host.
SPELLINGS = [
    "127.0.0.1", "2130706433", "0x7f000001", "0X7F000001", "017700000001",
    "0x7f.0.0.1", "0177.0.0.1", "0177.0x0.0.01", "127.1", "127.0.1", "0x7f.1",
    "00000177.1", "127.0.0.1.", "127.1.", "2130706433.",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::FFFF:7F00:0001]",
    "[0:0:0:0:0:ffff:127.0.0.1]", "[0000::ffff:7f00:1]", "[::127.0.0.1]",
    "[::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]", "[2001:0:7f00:1::1]", "[::1]", "[0:0:0:0:0:0:0:1]",
    "[::]", "0", "0.0.0.0", "0x0", "127.255.255.254",
    "localhost", "LocalHost", "localhost.", "any.localhost",
    # Digits, dots and circles that IDNA maps to ASCII.
    "１２７.０.０.１", "127。0。0。1", "１２７．０．０．１", "①②⑦.⓪.⓪.①",
    "𝟏𝟐𝟕.𝟎.𝟎.𝟏", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "%31%32%37.0.0.1", "127%2e0%2e0%2e1", "127.0.0.1%2e",
    "example.test@127.0.0.1", "127.0.0.1:{port}@127.0.0.1",
]
# Refused before anything is connected to, as no URL or no name.
OTHER_OUTCOMES = ("invalid_url", "dns", "scheme")


SO_RCVBUFFORCE = 33  # Python does not name it


class Watch:
    """A listener that counts who connects, and, where the system lets us look
    at packets, who tries to."""

    def __init__(self):
        self.tcp = socket.socket(socket.AF_INET6)
        self.tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.tcp.bind(("::", 0)) # every address of this host
        self.tcp.listen(128)
        self.tcp.setblocking(False)
        self.port = self.tcp.getsockname()[1]
        self.syns = 0
        try:
            self.packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                                         socket.htons(3))
        except (OSError, AttributeError):
            self.packets = None
        else:
            # All of the loopback's packets come: none is to be dropped while
            # the thread has no turn. Only root opens such a socket.
            self.packets.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
            self.packets.settimeout(0.2)
            self.is_over = False
            self.thread = threading.Thread(target=self.look)
            self.thread.start()

    def look(self):
        while not self.is_over:
            with contextlib.suppress(TimeoutError):
                self.syns += self.is_syn(self.packets.recv(65536))

    def is_syn(self, packet):
        at = (packet[0] & 15) * 4 if packet[0] >> 4 == 4 else 40
        protocol = packet[9] if packet[0] >> 4 == 4 else packet[6]
        if protocol != socket.IPPROTO_TCP or len(packet) < at + 14:
            return 0
        port = struct.unpack_from("!H", packet, at + 2)[0]
        return int(port == self.port and packet[at + 13] & 0x12 == 0x02)

    def accepted(self):
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self.tcp.accept()[0].close()
                count += 1
        return count

    def end(self):
        if self.packets:
            self.is_over = True
            self.thread.join()
            self.packets.close()
        self.tcp.close()


@pytest.fixture
def watch():
    ours = Watch()
    yield ours
    ours.end()


@pytest.fixture(scope="module")
def site():
    ours = Site(HOME)
    yield ours
    ours.end()


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A fleet whose fetcher may go to HOME alone."""
    ours = Fleet(tmp_path_factory.mktemp("strict"))
    try:
        ours.start_broker()
        ours.start_hasher()
        ours.start_fetcher("--connect-timeout", "5",
                           env=environment(URLSUM_ALLOW_NET=HOME))
        yield ours
    finally:
        ours.end()


def records_of(fleet, urls, codes=(1,)):
    got = fleet.client("get", "--format", "jsonl", "--retry", "0", "-i", "-",
                       stdin="\n".join(urls) + "\n", codes=codes).records()
    return {record["url"]: record for record in got}


def check_blocked(records, watch, urls):
    assert set(records) == set(urls)
    wrong = {url: (record["outcome"], record.get("message"))
             for url, record in records.items()
             if record["outcome"] not in ("blocked_address", *OTHER_OUTCOMES)}
    assert not wrong
    assert watch.accepted() == 0
    assert watch.syns == 0


def test_spellings(strict, watch):
    urls = [f"http://{host.format(port=watch.port)}:{watch.port}/"
            for host in SPELLINGS]
    records = records_of(strict, urls)
    check_blocked(records, watch, urls)
    blocked = sum(record["outcome"] == "blocked_address"
                  for record in records.values())
    assert blocked > len(urls) / 2, "they were not even tried"
    record = records[urls[0]]
    assert "a loopback address" in record["message"]
    assert "--allow-net" in record["message"]
    assert record["attempts"] == 1


def test_spellings_after_a_redirect(strict, watch, site):
    urls = [site.go(f"http://{host.format(port=watch.port)}:{watch.port}/")
            for host in SPELLINGS]
    urls += [site.go(site.go(f"http://{FORBIDDEN}:{watch.port}/")),
             site.go(f"//{FORBIDDEN}:{watch.port}/x"),
             site.go(f"https://{FORBIDDEN}:{watch.port}/x")]
    check_blocked(records_of(strict, urls), watch, urls)


def test_metadata(strict):
    """Those that a cloud would answer, and one of its neighbours."""
    hosts = ["169.254.169.254", "[fd00:ec2::254]", "100.100.100.200",
             "168.63.129.16", "2852039166", "0xa9fea9fe",
             "[::ffff:169.254.169.254]", "169.254.1.1"]
    urls = [f"http://{host}/latest/meta-data/" for host in hosts]
    records = records_of(strict, urls)
    assert {record["outcome"] for record in records.values()} == \
        {"blocked_address"}


def test_the_listener_would_have_noticed(strict, watch):
    """What these tests see when the policy lets through."""
    url = f"http://{HOME}:{watch.port}/"
    thread = threading.Timer(1, watch.tcp.close)
    thread.start()
    records = records_of(strict, [url])
    assert records[url]["outcome"] != "blocked_address"
    if watch.packets:
        wait_until(lambda: watch.syns, "the packet that was seen")
    thread.join()


def test_allowed_addresses_are_fetched(strict, site):
    url = site.go(site.url("end"))
    records = records_of(strict, [url, site.url("x")], codes=(0,))
    assert records[url]["digests"]["sha512"] == sha512(b"/end")


def test_an_embedded_run_is_the_users_own(mode, nginx):
    if mode.name != "embedded":
        pytest.skip("a fleet is not")
    got = mode.get(nginx.url("x"), env=environment(URLSUM_ALLOW_NET=""))
    assert got.sums() == {nginx.url("x"): sha512(b"x")}


def start_fetcher(fleet, *args, **env):
    """Returns the exit code of one that does not start, and what it says."""
    program = fleet.start("urlsum-fetcher", "--broker",
                          f"tcp://127.0.0.1:{free_port()}", *args,
                          env=environment(**env))
    return program.process.wait(20), program.text()


@pytest.mark.parametrize("net", ["10.0.0.1/8", "localhost", "10.0.0.0/33", ""])
def test_networks_are_checked(fleet, net):
    code, text = start_fetcher(fleet, "--allow-net", net)
    assert code == 2
    assert f"--allow-net {net}: " in text


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "HTTPS_PROXY",
                                  "all_proxy", "ALL_PROXY"])
def test_a_proxy_is_refused(new_fleet, name):
    """It would connect where we cannot look."""
    code, text = start_fetcher(new_fleet(), **{name: "http://127.0.0.9:1"})
    assert code == 2
    assert f"{name} is set" in text and "--proxy-enforces-policy" in text


@pytest.mark.parametrize("proxy", ["ftp://me:sesame@127.0.0.9:1",
                                   "http://me:sesame@[bad",
                                   "http://me:sesame@127.0.0.9:99999"])
def test_a_proxy_that_is_none(new_fleet, proxy):
    """It is refused at once, for libcurl would say it with its password in the
    record of each URL."""
    for name in "http_proxy", "ALL_PROXY":
        code, text = start_fetcher(new_fleet(), "--proxy-enforces-policy",
                                   **{name: proxy})
        assert code == 2 and f"{name}: " in text and "sesame" not in text
        done = urlsum("get", "http://127.0.0.1:9/",
                      env=environment(**{name: proxy}), codes=(2,))
        said = " ".join(done.errors)
        assert name in said and "sesame" not in said


@pytest.mark.parametrize("proxies", [
    {"ALL_PROXY": "socks://127.0.0.1:9"},
    # Nobody asks the last one.
    {"http_proxy": "127.0.0.1:9", "HTTPS_PROXY": "127.0.0.1:9",
     "ALL_PROXY": "no proxy"}])
def test_a_proxy_as_libcurl_takes_it(proxies):
    (record,) = urlsum("get", "--retry", "0", "--format", "jsonl",
                       "http://127.0.0.8/", env=environment(**proxies),
                       codes=(1,)).records()
    assert record["outcome"] == "connect"


def test_a_proxy_that_enforces_the_policy(new_fleet, site):
    """It gets every URL, whatever no_proxy says and wherever it leads."""
    fleet = new_fleet()
    fleet.start_broker()
    fleet.start_hasher()
    fleet.start_fetcher(
        "--proxy-enforces-policy",
        env=environment(URLSUM_ALLOW_NET="", no_proxy="*",
                        http_proxy=f"http://{site.where}"))
    before = len(site.server.seen)
    url = "http://10.1.2.3/inside"
    plain = fleet.client("get", "--retry", "0", url).sums()
    assert len(site.server.seen) == before + 1
    assert plain == {url: sha512(b"/inside")}
    # https has no proxy: that one is still ours to refuse.
    records = records_of(fleet, ["https://10.1.2.3/inside"])
    assert [record["outcome"] for record in records.values()] == \
        ["blocked_address"]


