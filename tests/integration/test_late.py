"""What servers send late, or to the wrong request, over a connection that is
used again: nobody's answer but its own counts."""
import contextlib
import sys

import pytest

import harness

sys.path.insert(0, str(harness.ROOT / "tests" / "origin"))
from sins import late  # noqa: E402

SERVE = harness.ROOT / "tests" / "origin" / "serve.py"


@contextlib.contextmanager
def ended(odd):
    """The server, and its end."""
    try:
        yield odd
    finally:
        odd.end()


@pytest.fixture(scope="module")
def server():
    """The server of all these tests; see Counts."""
    with ended(harness.OddOrigin(SERVE)) as odd:
        yield odd


@pytest.fixture
def tls_server(nginx):
    folder = nginx.folder
    tls = (folder / "server.pem", folder / "server.key", nginx.ca)
    with ended(harness.OddOrigin(SERVE, tls)) as odd:
        yield odd


class Counts:
    """What a server has counted since."""

    def __init__(self, server):
        self.server = server
        self.before = server.stats()

    def __getitem__(self, name):
        return self.server.stats().get(name, 0) - self.before.get(name, 0)


def get(urls, *options, codes=(0,), at_once=1):
    """One after another, and so over the same connection where that can be."""
    done = harness.urlsum("get", "-i", "-", "--format", "jsonl", "--retry", "0",
                          "--parallel-max-host", str(at_once), *options,
                          stdin="\n".join(urls), codes=codes)
    return {record["url"]: record for record in done.records()}


def is_own(server, record):
    path = record["url"].removeprefix(server.base)
    return record["digests"]["sha512"] == harness.sha512(path.encode())


@pytest.mark.parametrize("how", late.JUNK)
def test_rest_of_an_answer(server, how):
    """Is not the next URL's failure; and a server that did so once is given
    no second opportunity."""
    counts = Counts(server)
    urls = [server.url(f"junk/{how}/{number}") for number in range(6)]
    for record in get(urls).values():
        assert record["outcome"] == "ok", record
        assert record["attempts"] == 1
        assert is_own(server, record)
    assert counts["junk sent"] == 1


@pytest.mark.parametrize("how", late.HEADS)
def test_nothing_behind_bodyless_answers(server, how):
    counts = Counts(server)
    urls = [server.url(f"bodyless/{how}/{number}") for number in range(6)]
    status = late.HEADS[how][0]
    failed = status == 304
    for record in get(urls, codes=(1,) if failed else (0,)).values():
        assert record["outcome"] == ("http" if failed else "ok"), record
        assert record["http_status"] == status
        assert failed or record["size"] == 0
    assert counts["poison"] == 0


def test_says_http2(server):
    """Its connection is not shared, as one of HTTP/2 would be."""
    counts = Counts(server)
    urls = [server.url(f"says-http2/{number}") for number in range(20)]
    for record in get(urls, codes=(1,), at_once=8).values():
        assert record["outcome"] == "protocol", record
        assert "HTTP/2" in record["message"]
    assert counts["at the same time"] == 0


def test_says_http2_by_tls(nginx, tls_server):
    """Nor is any other connection to that host."""
    urls = [tls_server.url(path) for path in
            ("slow/1", "says-http2/1", *(f"echo/{n}" for n in range(9)))]
    records = get(urls, "--cacert", nginx.ca, codes=(1,), at_once=2)
    for record in records.values():
        if "says-http2" in record["url"]:
            assert record["outcome"] == "protocol", record
        else:
            assert record["outcome"] == "ok", record
            assert is_own(tls_server, record)
    assert "at the same time" not in tls_server.stats()


def test_rest_within_tls(nginx, tls_server):
    urls = [tls_server.url(f"second-record/{number}") for number in range(6)]
    for record in get(urls, "--cacert", nginx.ca).values():
        assert record["outcome"] == "ok", record
        assert record["attempts"] == 1
        assert is_own(tls_server, record)
    assert "poison" not in tls_server.stats()


def test_reset_before_broken_chunks(server):
    """The one is libcurl's to repeat; of the other nothing goes on, though
    libcurl has one code for both, and keeps the first one's message."""
    counts = Counts(server)
    urls = [server.url("reset-next/1"), server.url("framing/chunk-bad")]
    records = get(urls, codes=(1,))
    assert counts["resets"] == 1
    assert records[urls[0]]["outcome"] == "ok"
    bad = records[urls[1]]
    assert bad["outcome"] == "cut", bad
    assert "resumes" not in bad
    assert "Recv failure" not in bad["message"]
