"""HTTP/2 by a real nginx: one connection an origin, and what goes wrong with
it; TLS sessions; connections that are kept."""
import collections
import re
import signal
import socket
import struct
import threading
import time

import pytest

import harness
import origin as odd
import witness
from harness import wait_until
from silent_host import (late_for_the_first, silent_after_one,
                         silent_under_tls)

MIB = 1024 # in KiB, as /proc has it
FACTS = ("log_format facts '$status $server_protocol $connection "
         "$ssl_session_reused $request_uri'; "
         "access_log {folder}/access.log facts;")


class Http2Nginx(harness.Nginx):
    """nginx with HTTP/2 at every address of 127.0.0.0/8, which passes what is
    below /odd/ to another server and says what it saw."""

    def __init__(self, folder, upstream, *settings):
        more = " ".join([*settings, "server_name localhost;"])
        passing = (f"location /odd/ {{{{ proxy_pass {upstream}/; "
                   "proxy_http_version 1.1; proxy_buffering off; }} ")
        self.CONFIG = harness.Nginx.CONFIG \
            .replace("access_log off;", FACTS) \
            .replace("keepalive_requests 1000000;", "") \
            .replace("listen 127.0.0.1:{http} ", "listen {http} ") \
            .replace("listen 127.0.0.1:{https} ssl;",
                     "listen {https} ssl http2 backlog=4096;") \
            .replace("server_name localhost;", more) \
            .replace("location / {{", passing + "location / {{")
        super().__init__(folder)

    def make_certificates(self):
        super().make_certificates()
        names = ",".join(f"IP:127.0.0.{n}" for n in range(1, 41))
        (self.folder / "ext").write_text(
            f"subjectAltName=DNS:localhost,{names}\n"
            "basicConstraints=CA:FALSE\n", encoding="ascii")
        harness.subprocess.run(
            ["openssl", "x509", "-req", "-in", "server.csr", "-CA", "ca.pem",
             "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile",
             "ext", "-out", "server.pem"], cwd=self.folder, check=True,
            capture_output=True, timeout=60)

    def seen(self, count):
        """What the log says of that many requests."""
        row = collections.namedtuple(
            "row", "status protocol connection reused path")

        def lines():
            text = (self.folder / "access.log").read_text("utf-8")
            found = [row(*line.split(" ")) for line in text.splitlines()]
            return found if len(found) >= count else None
        return wait_until(lines, f"{count} lines of nginx' log")

    def get(self, urls, *args, codes=(0,), **more):
        done = harness.urlsum(
            "get", "--cacert", self.ca, "-i", "-", "--format", "jsonl", *args,
            stdin="\n".join(urls), codes=codes, **more)
        return {record["url"]: record for record in done.records()}


@pytest.fixture
def http2(tmp_path, origin):
    """Makes servers that end with the test."""
    servers = []

    def make(*settings, upstream=origin.base):
        folder = tmp_path / f"http2-{len(servers)}"
        folder.mkdir()
        servers.append(Http2Nginx(folder, upstream, *settings))
        return servers[-1]

    yield make
    for server in servers:
        server.end()


def test_an_origin_has_one_connection(http2):
    """Eight at once over one connection, which is kept for all that follow."""
    slow = harness.OddOrigin()
    try:
        server = http2(upstream=slow.base)
        urls = [server.url(f"odd/hold/300/{n}", "https") for n in range(40)]
        records = server.get(urls)
        assert slow.stats()["holding_max"] == 8
    finally:
        slow.end()
    assert {record["outcome"] for record in records.values()} == {"ok"}
    assert {record["http_version"] for record in records.values()} == {20}
    seen = server.seen(40)
    assert {row.protocol for row in seen} == {"HTTP/2.0"}
    assert len({row.connection for row in seen}) == 1


def test_bodies_of_all_sizes(http2):
    server = http2("http2_max_concurrent_streams 5;")
    want = {server.url(f"odd/{kind}/{size}/{size % 7}", "https"):
            odd.digest(size, size % 7)
            for kind in ("gen", "chunked", "close")
            for size in (0, 1, 16383, 16384, 131072, 131073, 3_000_000)}
    records = server.get(want)
    assert {url: record["digests"]["sha512"]
            for url, record in records.items()} == want


def test_cut_streams_are_no_success(http2):
    """The server behind nginx cuts, so nginx resets the stream."""
    server = http2()
    kinds = ("cut", "cutchunked")
    cut = [server.url(f"odd/{kind}/{size}/{n}", "https") for kind in kinds
           for size in (1000, 100_000, 2_000_000) for n in range(3)]
    good = {server.url(f"odd/gen/200000/{n}", "https"): odd.digest(200000, n)
            for n in range(20)}
    records = server.get([*cut, *good], "--retry", "0", codes=(1,))
    for url in cut:
        assert records[url]["outcome"] == "cut", records[url]
        assert "digests" not in records[url]
    for url, hexes in good.items(): # beside them on the connection
        assert records[url]["digests"]["sha512"] == hexes
    assert 20 in {record.get("http_version") for record in records.values()}


def test_bodies_without_length_have_a_certain_end(http2):
    """libcurl 7.88 takes a reset for an end when others' bodies come beside:
    such origins are asked by HTTP/1.1, the first requests twice."""
    server = http2()
    want = {server.url(f"odd/{kind}/{size}/{n}", "https"): odd.digest(size, n)
            for kind in ("chunked", "close") for size in (0, 1000, 200_000)
            for n in range(10)}
    want |= {server.url(f"odd/gen/200000/{n}", "https"):
             odd.digest(200_000, n) for n in range(20)}
    cut = [server.url(f"odd/cutchunked/{size}/{n}", "https")
           for size in (0, 1000, 100_000) for n in range(10)]
    order = sorted([*want, *cut], key=lambda url: url[-1])
    records = server.get(order, "--retry", "0", codes=(1,))
    assert {records[url]["outcome"] for url in cut} == {"cut"}
    for url, hexes in want.items():
        assert records[url]["outcome"] == "ok", records[url]
        assert records[url]["digests"]["sha512"] == hexes


def test_cut_streams_go_on(http2, sinner):
    """As over HTTP/1.1, where the validator is strong."""
    server = http2(upstream=sinner.base)
    paths = ["resume/honest", "resume/date"]
    records = server.get([server.url(f"odd/{path}", "https")
                          for path in paths], "--retry", "0")
    for record in records.values():
        assert record["outcome"] == "ok", record
        assert record["resumes"] >= 1
        assert record["http_version"] == 20


@pytest.mark.parametrize("settings", [
    ["keepalive_requests 7;"],
    ["keepalive_requests 3;", "http2_max_concurrent_streams 1;"],
])
def test_connections_that_end_cost_no_attempt(http2, settings):
    """nginx says GOAWAY; who came too late asks elsewhere."""
    server = http2(*settings)
    want = {server.url(f"made/{n}?{n}", "https"): n for n in range(300)}
    for n in range(300):
        (server.made / str(n)).write_bytes(odd.body(n * 100, n))
    records = server.get(want, "--retry", "0", "--parallel-max-host", "40")
    for url, n in want.items():
        assert records[url]["outcome"] == "ok", records[url]
        assert records[url]["digests"]["sha512"] == odd.digest(n * 100, n)
        assert records[url]["attempts"] == 1


def test_a_reload_costs_no_attempt(http2):
    """nginx ends its old workers' connections when it can."""
    server = http2()
    urls = [server.url(f"odd/hold/30/{n}", "https") for n in range(200)]
    with harness.started_client(
            "get", "--cacert", server.ca, "-i", "-", "--format", "jsonl",
            "--retry", "0", stdin=harness.subprocess.PIPE) as process:
        process.stdin.write("\n".join(urls).encode("ascii"))
        process.stdin.close()
        process.stdin = None
        for count in (20, 80, 140):
            server.seen(count)
            server.process.send_signal(signal.SIGHUP)
        out, _ = process.communicate(timeout=harness.GIVE_UP_S)
    assert process.returncode == 0
    assert out.count(b'"outcome":"ok"') == out.count(b'"attempts":1') == 200
    assert len({row.connection for row in server.seen(200)}) > 1


def test_tls_sessions_are_used_again(http2):
    """One whole handshake an origin, though its connections end, and though
    there are many more origins than libcurl keeps sessions for."""
    server = http2("keepalive_requests 1;")
    urls = [f"https://127.0.0.{1 + n % 40}:{server.https}/x?{n}"
            for n in range(200)]
    server.get(urls, "--parallel-max", "4")
    seen = server.seen(200)
    assert {row.protocol for row in seen} == {"HTTP/2.0"}
    assert collections.Counter(row.reused for row in seen) == \
        {".": 40, "r": 160}


class CountingRelay(threading.Thread):
    """Passes one connection on to a server at 127.0.0.1, and counts the
    segments with data that came from the client."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.segments = None
        self.to = ("127.0.0.1", port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        client, _ = self.listener.accept()
        self.listener.close()
        with client, socket.create_connection(self.to) as server:
            back = threading.Thread(target=witness.Relay.copy, daemon=True,
                                    args=(server, client))
            back.start()
            witness.Relay.copy(client, server)
            back.join()
            info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
            # tcpi_data_segs_in of struct tcp_info, <linux/tcp.h>
            self.segments = struct.unpack_from("=I", info, 152)[0]


def test_requests_of_a_turn_leave_together(http2):
    """32 streams of a connection, whose answers come at about the same time:
    their next requests share packets. A segment a request, and those of the
    handshake, would it be else."""
    server = http2()
    relay = CountingRelay(server.https)
    count = 320
    urls = [f"https://127.0.0.1:{relay.port}/x?{n}" for n in range(count)]
    server.get(urls, "--parallel-max-host", "32")
    relay.join(harness.GIVE_UP_S)
    assert {row.protocol for row in server.seen(count)} == {"HTTP/2.0"}
    assert 10 < relay.segments < count * 3 / 4


@pytest.mark.plain
def test_slow_hasher_and_many_streams(new_fleet, http2):
    """Streams without credit stay in the kernel and at the server, and not in
    libcurl, which would take up to 32 MiB of each."""
    server = http2()
    size, count = 16 << 20, 60
    with open(server.made / "large", "wb") as file:
        file.write(odd.body(1 << 20, 1))
        file.truncate(size)
    want = harness.file_digests([server.made / "large"])
    fleet = new_fleet()
    fleet.start_broker("--buffer-memory", "8M", "--parallel-max-host",
                       str(count))
    hasher = fleet.start_hasher()
    fetcher = fleet.start_fetcher("--cacert", server.ca)
    urls = [server.url(f"made/large?{n}", "https") for n in range(count)]
    with harness.started_client(
            "get", "-i", "-", broker=fleet.endpoints["client"],
            stdin=harness.subprocess.PIPE) as process:
        process.stdin.write("\n".join(urls).encode("ascii"))
        process.stdin.close()
        process.stdin = None
        begun = time.monotonic()
        while time.monotonic() - begun < 3: # 10 % of a hasher
            hasher.process.send_signal(signal.SIGSTOP)
            time.sleep(0.09)
            hasher.process.send_signal(signal.SIGCONT)
            time.sleep(0.01)
        out, _ = process.communicate(timeout=3 * harness.GIVE_UP_S)
    assert process.returncode == 0
    hexes = set(re.findall(rb"^([0-9a-f]{128})  https", out, re.M))
    assert hexes == {next(iter(want.values())).encode("ascii")}
    assert out.count(b"\n") == count
    most = fetcher.memory_max_kib() // MIB
    print(f"fetcher: {most} MiB")
    assert most < 42 # 50 and more when libcurl keeps what is paused


def test_connections_that_are_kept_are_bounded(new_fleet, http2, tmp_path):
    """Thousands of origins, each asked once: idle connections end before they
    are as many again as transfers may run."""
    server = http2()
    fleet = new_fleet()
    fleet.start_broker()
    fleet.start_hasher()
    fetcher = fleet.start_fetcher("--parallel-max", "64")
    descriptors = harness.pathlib.Path(f"/proc/{fetcher.pid}/fd")
    before = most = len(list(descriptors.iterdir()))
    urls = [f"http://127.1.{n // 250}.{1 + n % 250}:{server.http}/x"
            for n in range(3000)]
    listing = tmp_path / "urls"
    listing.write_text("\n".join(urls))
    with harness.started_client(
            "get", "-i", listing, "-o", tmp_path / "out",
            broker=fleet.endpoints["client"]) as process:
        while process.poll() is None:
            most = max(most, len(list(descriptors.iterdir())))
            time.sleep(0.01)
        assert process.wait(harness.GIVE_UP_S) == 0
    assert len((tmp_path / "out").read_text("ascii").splitlines()) == 3000
    print(f"{before} descriptors before, {most} at most")
    assert 64 < most - before <= 2 * 64 + 1 + 2 # libcurl's own two


def test_versions_asked_for(http2):
    """--http2 is HTTP/2 where TLS agrees to it; --http1.1 never."""
    server = http2()
    url = f"https://localhost:{server.https}/x"
    plain = f"http://localhost:{server.http}/x"
    for flags, version in ((), 20), (("--http2",), 20), (("--http1.1",), 11):
        (record,) = harness.urlsum("get", "--cacert", server.ca, "--format",
                                   "jsonl", *flags, url).records()
        assert record["http_version"] == version, flags
    (record,) = harness.urlsum("get", "--format", "jsonl", "--http2",
                               plain).records()
    assert record["http_version"] == 11


def test_nobody_waits_for_silent_strangers(http2):
    """Requests that wait for their origin's first connection: those of silent
    origins, which are many, keep no other's back. The URLs of one that answers
    come last in the list and first in the results."""
    slow = harness.OddOrigin()
    try:
        server = http2(upstream=slow.base)
        good = [server.url(f"odd/hold/700/{n}", "https") for n in range(8)]
        with silent_under_tls(60) as silent:
            urls = [f"https://{address}:{port}/{n}" for n in range(2)
                    for address, port in silent]
            done = harness.urlsum(
                "get", "--cacert", server.ca, "-i", "-", "--format", "jsonl",
                "--retry", "0", "--connect-timeout", "2", "--parallel-max",
                "256", stdin="\n".join([*urls, *good]), codes=(1,))
    finally:
        slow.end()
    records = done.records()
    assert [record["outcome"] for record in records] == \
        ["ok"] * 8 + ["timeout"] * 120


def test_who_waits_for_a_connection_keeps_its_lease(new_fleet, http2):
    """An origin that is there goes silent. A batch with connections of its own
    waits for one that tries, not for one after another, and the fetcher vouches
    for those that wait."""
    server = http2()
    fleet = new_fleet()
    fleet.start_broker("--ttl", "1", "--parallel-max-host", "20")
    fleet.start_hasher()
    fleet.start_fetcher("--cacert", server.ca)
    with silent_after_one(server.folder / "server.pem",
                          server.folder / "server.key") as (port, asked):
        base = f"https://localhost:{port}/"
        (first,) = fleet.client("submit", base).lines
        assert asked.wait(harness.GIVE_UP_S)
        records = fleet.client(
            "get", "-k", "--format", "jsonl", "--retry", "0",
            "--connect-timeout", "1", "--speed-time", "1",
            *(f"{base}{n}" for n in range(20)), codes=(1,)).records()
        fleet.client("wait", first)
    assert {(record["outcome"], record["attempts"])
            for record in records} == {("timeout", 1)}
    assert not fleet.broker.events("job.lease_over")


def test_time_in_line_counts(http2):
    """The second request waits for the first one's connection, and its record
    says so."""
    server = http2()
    with late_for_the_first(server.folder / "server.pem",
                            server.folder / "server.key", 1.5) as port:
        records = harness.urlsum(
            "get", "--cacert", server.ca, "--format", "jsonl", "--retry", "0",
            *(f"https://localhost:{port}/{n}" for n in range(2))).records()
    assert [record["outcome"] for record in records] == ["ok"] * 2
    assert all(record["total_us"] > 1_200_000 for record in records)
