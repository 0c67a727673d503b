"""Two batches at the same time, in one fetcher, whose options say different
things of where to connect and whom to trust: neither uses what the other one
made. The first batch is always still at work when the second one asks."""
import contextlib
import itertools

import pytest

import harness
import witness as web
from harness import wait_until
from test_http2 import Http2Nginx

NUMBERS = itertools.count()


@pytest.fixture
def pair(new_fleet):
    """One fetcher, one hasher, any proxy; one request at a time to a host."""
    fleet = new_fleet()
    fleet.start_broker("--parallel-max-host", "1")
    fleet.start_hasher()
    fleet.start_fetcher("--proxy-enforces-policy")
    return fleet


@pytest.fixture
def http2(tmp_path, origin):
    server = Http2Nginx(tmp_path, origin.base, "keepalive_requests 1;")
    yield server
    server.end()


@contextlib.contextmanager
def at_work(fleet, origin, urls, *options):
    """A batch that has these URLs' records, which are yielded, and waits for
    one more URL."""
    gate = f"gap-{next(NUMBERS)}"
    (batch,) = fleet.client(
        "submit", "-i", "-", "--retry", "0", *options,
        stdin="\n".join([*urls, origin.url(f"gate/{gate}/50000/1")])).lines

    def records():
        found = fleet.client("results", batch, "--format", "jsonl",
                             codes=(0, 1, 3)).records()
        return found if len(found) >= len(urls) else None

    yield wait_until(records, "the first batch's records")
    assert fleet.status(batch)["fetching"] == 1
    origin.get(f"open/{gate}")
    fleet.client("wait", batch, codes=(0, 1))


def ask(fleet, url, *options):
    (record,) = fleet.client("get", "--format", "jsonl", "--retry", "0",
                             *options, url, codes=(0, 1)).records()
    return record


def who(record):
    """Which of the two witnesses answered."""
    names = {harness.sha512(f"{name} /who".encode()): name
             for name in ("witness", "other")}
    return names[record["digests"]["sha512"]]


def test_resolve(pair, origin, witness):
    """libcurl alone would use the open connection: it goes by the host's
    name."""
    other = web.Witness("127.0.0.2", witness.port, "other")
    host = f"localhost:{witness.port}"
    url = f"http://{host}/who"
    try:
        with at_work(pair, origin, [url], "--resolve",
                     f"{host}:127.0.0.2") as (record,):
            assert who(record) == "other"
            assert who(ask(pair, url)) == "witness"
            assert who(ask(pair, url, "--resolve",
                           f"{host}:127.0.0.1")) == "witness"
            assert who(ask(pair, url, "--resolve",
                           f"{host}:127.0.0.2")) == "other"
    finally:
        other.end()


def test_families(pair, origin, witness):
    """A name of both families: one batch's connection is not of the family that
    the other one wants. (libcurl looks at that as well.)"""
    other = web.Witness("127.0.0.2", witness.port, "other")
    url = f"http://both.test:{witness.port}/who"
    resolve = ("--resolve", f"both.test:{witness.port}:127.0.0.2,::1")
    try:
        with at_work(pair, origin, [url], "-4", *resolve) as (record,):
            assert who(record) == "other"
            record = ask(pair, url, "-6", *resolve)
            assert record["outcome"] in ("connect", "blocked_address"), record
    finally:
        other.end()


def test_trust(pair, origin, tmp_path):
    """Connections and sessions that were made without a look at certificates,
    or with another CA. (libcurl compares these settings for both; that is all
    that is between the batches when they share connections.)"""
    pem, both = web.make_certificate(tmp_path)
    secure = web.Witness(pem=both)
    url = secure.url("/who")
    try:
        for trust in ("-k",), ("--cacert", pem):
            with at_work(pair, origin, [url, url], *trust) as records:
                assert {record["outcome"] for record in records} == {"ok"}
                assert ask(pair, url)["outcome"] == "tls"
                wrong, _ = web.make_certificate(tmp_path, name="wrong")
                assert ask(pair, url, "--cacert", wrong)["outcome"] == "tls"
    finally:
        secure.end()


def test_tls_sessions(pair, origin, http2):
    """A session is offered to nobody but whom it was agreed upon with: libcurl
    alone would take the name for the server."""
    host = f"localhost:{http2.https}"
    urls = [f"https://{host}/x?{n}" for n in range(4)]
    trust = ("--cacert", http2.ca)

    def reused():
        return {row.path: row.reused for row in http2.seen(1)}

    with at_work(pair, origin, urls[:2], *trust, "--resolve",
                 f"{host}:127.0.0.1"):
        assert sorted(reused().values()) == [".", "r"] # it would be taken
        assert ask(pair, urls[2], *trust, "--resolve",
                   f"{host}:127.0.0.2")["outcome"] == "ok"
        assert ask(pair, urls[3], *trust)["outcome"] == "ok"
        seen = wait_until(lambda: len(reused()) == 4 and reused(),
                          "all requests")
        assert seen["/x?2"] == seen["/x?3"] == "."


def test_proxy_passwords(pair, origin, nginx):
    """A tunnel was opened by somebody, and serves nobody else. (libcurl looks at
    the password as well, since CVE-2026-3784.)"""
    proxy = web.Tunnels()
    url = f"https://localhost:{nginx.https}/x"
    trust = ("--cacert", nginx.ca)
    try:
        with at_work(pair, origin, [url], *trust, "-x",
                     f"http://them:1@127.0.0.1:{proxy.port}") as (record,):
            assert record["outcome"] == "ok"
            assert ask(pair, url, *trust, "-x",
                       f"http://us:2@127.0.0.1:{proxy.port}")["outcome"] == "ok"
            assert ask(pair, url, *trust)["outcome"] == "ok"
            assert proxy.users == ["them:1", "us:2"]
    finally:
        proxy.end()


def test_logins(pair, origin, witness):
    """A login is a request's, also where batches share connections: there is
    Basic only, and none that a connection would be bound to."""
    asked = ("/status/401?ntlm", "/who?user")
    with at_work(pair, origin, [witness.url(path) for path in asked], "-u",
                 "me:secret"):
        for path in asked:
            assert witness.headers(path)["Authorization"].startswith("Basic ")
        assert ask(pair, witness.url("/who?none"))["outcome"] == "ok"
        assert "Authorization" not in witness.headers("/who?none")
    assert sum(path == asked[0] for path, _ in witness.asked) == 1


def test_nothing_is_remembered_of_answers(pair, origin, witness, tmp_path):
    """Neither cookies, nor that a host wants https (HSTS), nor that it is
    elsewhere as well (Alt-Svc)."""
    pem, both = web.make_certificate(tmp_path, subject="localhost")
    secure = web.Witness(pem=both)
    first = f"https://localhost:{secure.port}/remember/1"
    try:
        with at_work(pair, origin, [first], "-k") as (record,):
            assert record["outcome"] == "ok"
            for args in (), ("-k",):
                record = ask(pair, f"http://localhost:{witness.port}/who",
                             *args)
                assert record["outcome"] == "ok" # by http
                assert "Cookie" not in witness.headers("/who")
            assert ask(pair, f"https://localhost:{secure.port}/remember/2",
                       "-k")["outcome"] == "ok"
            assert "Cookie" not in secure.headers("/remember/2")
    finally:
        secure.end()


def test_connections_are_kept(new_fleet, origin, tmp_path):
    """A batch with connections of its own keeps as many as any other, though
    open files are few and others' connections are idle."""
    server = Http2Nginx(tmp_path, origin.base)
    fleet = new_fleet()
    fleet.start_broker("--parallel-max-host", "1")
    fleet.start_hasher()
    fleet.start("/usr/bin/prlimit", "--nofile=200:200",
                harness.BUILD / "urlsum-fetcher", "--broker",
                fleet.endpoints["fetcher"], "--parallel-max",
                "64").wait_event("link.live")
    try:
        for before, options in (0, ()), (400, ("--http1.1",)), (800, ()):
            urls = [f"http://127.0.0.{1 + n % 40}:{server.http}/x?{n}"
                    for n in range(before, before + 400)]
            assert len(fleet.client("get", "-i", "-", *options,
                                    stdin="\n".join(urls)).lines) == 400
            seen = server.seen(before + 400)[before:]
            # 40 hosts, and a few that end until others' have made room: up to
            # 112 on a busy machine, 266 where they do not.
            assert len({row.connection for row in seen}) < 200, options
    finally:
        server.end()
