"""What a batch asks of its requests: -H, -u, --compressed and the others, in
both ways to get."""
import base64
import csv
import time

import harness
import pytest
import witness as web

SECRET = "hunter2-sesame"


@pytest.fixture(scope="module")
def stranger():
    """Another origin: another port."""
    server = web.Witness(name="stranger")
    yield server
    server.end()


def one(result):
    records = result.records()
    assert len(records) == 1
    return records[0]


def get(mode, url, *args, codes=(0,)):
    return one(mode.get("--format", "jsonl", "--retry", "0", *args, url,
                        codes=codes))


def test_headers(mode, witness, tmp_path):
    lines = tmp_path / "lines"
    lines.write_bytes(b"X-File: one\r\n\nX-More: two; 3\n")
    path = f"/headers-{mode.name}"
    get(mode, witness.url(path), "-H", "X-Own: a  b", "-H", "Accept:", "-H",
        "X-Empty;", "-H", f"@{lines}", "-H", "User-Agent: mine")
    headers = witness.headers(path)
    assert headers["X-Own"] == "a  b"
    assert headers["X-File"] == "one" and headers["X-More"] == "two; 3"
    assert headers["X-Empty"] == ""
    assert headers["User-Agent"] == "mine"
    assert "Accept" not in headers


def test_user_agent(mode, witness):
    for number, (agent, sent) in enumerate((("me/1", "me/1"), ("", None))):
        path = f"/agent-{mode.name}-{number}"
        get(mode, witness.url(path), "-A", agent)
        assert witness.headers(path).get("User-Agent") == sent
    # The next batch has the usual one again.
    get(mode, witness.url(f"/agent-{mode.name}"))
    assert witness.headers(f"/agent-{mode.name}")["User-Agent"].startswith(
        "urlsum/")


def basic(text):
    return "Basic " + base64.b64encode(text.encode("utf-8")).decode("ascii")


def test_user(mode, witness, tmp_path):
    file = tmp_path / "user"
    file.write_text("a:" + SECRET + ":b\nnot this\n", "utf-8")
    path = f"/user-{mode.name}"
    get(mode, witness.url(path), "-u", f"@{file}")
    assert witness.headers(path)["Authorization"] == basic(f"a:{SECRET}:b")
    get(mode, witness.url(path + "-none"))
    assert "Authorization" not in witness.headers(path + "-none")


@pytest.mark.parametrize("args", [
    ("-u", "me:" + SECRET), ("-H", "Authorization: Bearer " + SECRET),
    ("-H", "Cookie: id=" + SECRET), ("-H", "X-Api-Key: " + SECRET),
    ("-u", "me:" + SECRET, "-H", "Authorization: Bearer " + SECRET)])
def test_secrets_stay_at_home(mode, witness, stranger, args):
    """The same origin gets them after a redirect, another one does not, nor
    does home once it was left."""
    def shows(server, path):
        text = str(server.headers(path))
        return SECRET in text or basic("me:" + SECRET) in text

    tag = f"{mode.name}-{len(witness.asked)}"
    get(mode, witness.url(f"/to/{witness.url('/same-' + tag)}"), *args)
    assert shows(witness, f"/same-{tag}")
    get(mode, witness.url(f"/to//rel-{tag}"), *args) # a relative one
    assert shows(witness, f"/rel-{tag}")
    get(mode, witness.url(f"/to/{stranger.url('/away-' + tag)}"), *args)
    assert not shows(stranger, f"/away-{tag}")
    # Another name of the same machine is another origin as well.
    get(mode, witness.url(f"/to/http://localhost:{witness.port}/name-{tag}"),
        *args)
    assert not shows(witness, f"/name-{tag}")
    there = stranger.url(f"/to/{witness.url('/back-' + tag)}")
    get(mode, witness.url(f"/to/{there}"), *args)
    assert not shows(witness, f"/back-{tag}")
    # What holds no secret goes along.
    get(mode, witness.url(f"/to/{stranger.url('/along-' + tag)}"), *args,
        "-H", "Accept: text/x", "-A", "me/2")
    headers = stranger.headers(f"/along-{tag}")
    assert headers["Accept"] == "text/x" and headers["User-Agent"] == "me/2"


def test_secrets_and_tls(mode, witness, tmp_path):
    """From https to http of the same host is another origin too."""
    pem, both = web.make_certificate(tmp_path)
    secure = web.Witness(pem=both)
    try:
        path = f"/plain-{mode.name}"
        record = get(mode, secure.url(f"/to/{witness.url(path)}"),
                     "-u", "me:" + SECRET, "--cacert", pem, codes=(0, 1))
        assert record["outcome"] == "scheme" # not followed at all
        get(mode, witness.url(f"/to/{secure.url(path)}"),
            "-u", "me:" + SECRET, "--cacert", pem)
        assert "Authorization" not in secure.headers(path)
    finally:
        secure.end()


def test_resume_keeps_headers(mode, witness):
    """A body that is cut goes on with the user's headers, and the digest is
    that of the whole."""
    path = f"/cut-once/{mode.name}"
    record = get(mode, witness.url(path), "-H", "Accept-Encoding: identity",
                 "-H", "X-Key: 1", "-u", "me:x")
    assert record["resumes"] == 1
    assert record["digests"]["sha512"] == harness.sha512(web.LONG)
    headers = witness.headers(path)
    assert headers["Range"] == "bytes=200000-"
    assert headers["If-Range"] == '"one"'
    assert headers["X-Key"] == "1" and headers["Authorization"] == basic("me:x")
    assert headers["Accept-Encoding"] == "identity"


# --- --compressed ---

@pytest.mark.parametrize("path", ["/gzip", "/deflate", "/raw", "/members"])
def test_decoded(mode, witness, path):
    record = get(mode, witness.url(path), "--compressed")
    assert "gzip" in witness.headers(path)["Accept-Encoding"]
    assert record["digests"]["sha512"] == harness.sha512(web.PLAIN)
    assert record["size"] == len(web.PLAIN)
    assert record["decoded"] is True
    assert record["content_encoding"] == web.ENCODED[path][0]
    assert "unframed" not in record


def test_not_decoded(mode, witness):
    """Without it the bytes are digested as they come."""
    record = get(mode, witness.url("/gzip"))
    assert "Accept-Encoding" not in witness.headers("/gzip")
    assert record["digests"]["sha512"] == \
        harness.sha512(web.ENCODED["/gzip"][1])
    assert record["content_encoding"] == "gzip" and "decoded" not in record
    record = get(mode, witness.url("/plain"), "--compressed")
    assert record["digests"]["sha512"] == harness.sha512(b"witness /plain")
    assert "decoded" not in record and "content_encoding" not in record
    record = get(mode, witness.url("/empty"), "--compressed")
    assert record["size"] == 0


@pytest.mark.parametrize("path", ["/broken", "/cut", "/behind", "/brotli"])
def test_bad_encodings(mode, witness, path):
    record = get(mode, witness.url(path), "--compressed", codes=(1,))
    assert record["outcome"] == "protocol"


def test_bomb(mode, witness):
    record = get(mode, witness.url("/bomb"), "--compressed", "--max-filesize",
                 "1M", codes=(1,))
    assert record["outcome"] == "too_large"
    record = get(mode, witness.url("/bomb"), "--compressed")
    assert record["digests"]["sha512"] == harness.sha512(bytes(64 << 20))


# --- --any-status ---

def test_any_status(mode, witness):
    for status in (404, 403, 500, 418):
        url = witness.url(f"/status/{status}")
        assert get(mode, url, codes=(1,))["outcome"] == "http"
        record = get(mode, url, "--any-status")
        assert record["outcome"] == "ok" and record["http_status"] == status
        assert record["digests"]["sha512"] == \
            harness.sha512(f"page {status}".encode())
    # A redirect is still followed.
    record = get(mode, witness.url(f"/to/{witness.url('/there')}"),
                 "--any-status")
    assert record["http_status"] == 200


def test_any_status_tries_again(mode, witness):
    """A status that is worth another try gets it first."""
    path = "/status/502"
    before = sum(asked == path for asked, _ in witness.asked)
    result = mode.get("--format", "jsonl", "--retry", "1", "--any-status",
                      witness.url(path))
    record = one(result)
    after = sum(asked == path for asked, _ in witness.asked)
    assert after - before == 2 and record["attempts"] == 2
    assert record["outcome"] == "ok" and record["http_status"] == 502
    assert record["digests"]["sha512"] == harness.sha512(b"page 502")


# --- Where to, and whom to trust ---

def test_resolve(mode, witness):
    record = get(mode, f"http://somewhere.test:{witness.port}/resolved",
                 "--resolve", f"somewhere.test:{witness.port}:127.0.0.1")
    assert record["outcome"] == "ok"
    assert record["remote"] == f"127.0.0.1:{witness.port}"
    assert witness.headers("/resolved")["Host"] == \
        f"somewhere.test:{witness.port}"
    record = get(mode, f"http://any.test:{witness.port}/star",
                 "--resolve", f"*:{witness.port}:127.0.0.1")
    assert record["outcome"] == "ok"


def test_resolve_is_of_one_batch(mode, witness):
    """A connection that was made by --resolve serves no other batch: the same
    host and port lead elsewhere there."""
    others = web.Witness("127.0.0.2", witness.port, "other")
    try:
        url = f"http://twins.test:{witness.port}/who"
        for address, name in (("127.0.0.1", "witness"), ("127.0.0.2", "other"),
                              ("127.0.0.1", "witness")):
            record = get(mode, url, "--resolve",
                         f"twins.test:{witness.port}:{address}")
            assert record["digests"]["sha512"] == \
                harness.sha512(f"{name} /who".encode())
        # localhost is known without asking anybody, and kept alive.
        url = f"http://localhost:{witness.port}/who"
        mine = harness.sha512(b"witness /who")
        assert get(mode, url)["digests"]["sha512"] == mine
        assert get(mode, url, "--resolve",
                   f"localhost:{witness.port}:127.0.0.2")[
                       "digests"]["sha512"] == harness.sha512(b"other /who")
        assert get(mode, url)["digests"]["sha512"] == mine
    finally:
        others.end()


def test_insecure(mode, tmp_path):
    """A connection that nobody verified serves no batch that verifies, and the
    other way round."""
    pem, both = web.make_certificate(tmp_path)
    secure = web.Witness(pem=both)
    try:
        url = secure.url("/x")
        assert get(mode, url, codes=(1,))["outcome"] == "tls"
        record = get(mode, url, "-k")
        assert record["outcome"] == "ok" and record["tls_version"] == 13
        assert get(mode, url, codes=(1,))["outcome"] == "tls"
        assert get(mode, url, "--cacert", pem)["outcome"] == "ok"
        assert get(mode, url, codes=(1,))["outcome"] == "tls"
        assert get(mode, url, "-k")["outcome"] == "ok"
    finally:
        secure.end()


def test_cacert_is_the_only_one(mode, nginx, tmp_path):
    """Of a batch that trusts another CA the fetcher's own is not trusted."""
    other, _ = web.make_certificate(tmp_path)
    url = f"https://localhost:{nginx.https}/x"
    assert get(mode, url)["outcome"] == "ok"
    record = one(mode.get("--format", "jsonl", "--retry", "0", "--cacert",
                          other, url, codes=(1,)))
    assert record["outcome"] == "tls"
    assert get(mode, url)["outcome"] == "ok"


def test_families(mode, witness, new_fleet):
    """localhost has both; a connection of one family serves no batch that wants
    the other."""
    six = web.Witness("::1", witness.port, "six")
    if mode.name == "fleet": # one that may go to ::1 too
        fleet = new_fleet()
        fleet.start_broker()
        fleet.start_hasher()
        fleet.start_fetcher(env=harness.environment(
            URLSUM_ALLOW_NET="127.0.0.0/8\n::1/128"))
        mode = type("", (), {"get": lambda self, *args, **more:
                             fleet.client("get", *args, **more)})()
    try:
        for flag, name in ("-4", "witness"), ("-6", "six"), ("-4", "witness"):
            for host in "localhost", "both.test":
                record = get(mode, f"http://{host}:{witness.port}/family", flag,
                             "--resolve",
                             f"both.test:{witness.port}:127.0.0.1,::1")
                assert record["digests"]["sha512"] == \
                    harness.sha512(f"{name} /family".encode())
    finally:
        six.end()


def test_no_such_family(mode, witness):
    record = get(mode, f"http://four.test:{witness.port}/", "-6", "--resolve",
                 f"four.test:{witness.port}:127.0.0.1", codes=(1,))
    assert record["outcome"] == "dns"


def test_http_versions(mode, nginx):
    url = f"https://localhost:{nginx.https}/x"
    assert get(mode, url, "--http1.1")["http_version"] == 11
    assert get(mode, url, "--http2")["http_version"] == 11 # it has no other
    assert get(mode, url, "--http1.1")["http_version"] == 11


def test_facts(mode, nginx, witness):
    """What a record tells of a transfer over a connection of its own."""
    url = f"https://localhost:{nginx.https}/made/256K"
    record = get(mode, url, "--http1.1", "-A", mode.name)
    assert record["remote"] == f"127.0.0.1:{nginx.https}"
    # nginx's own default is TLS 1.2 for long.
    assert record["http_version"] == 11 and record["tls_version"] in (12, 13)
    assert record["content_type"] == "application/octet-stream"
    assert record["etag"].startswith('"') and "GMT" in record["last_modified"]
    assert record["connect_us"] <= record["tls_us"] \
        <= record["first_byte_us"] <= record["total_us"]
    record = get(mode, witness.url(f"/to/{witness.url('/end')}"))
    assert record["redirects"] == 1
    assert record["final_url"] == witness.url("/end")
    assert "tls_version" not in record
    line = mode.get("--format", "csv", "--http1.1", url).lines
    row, = csv.DictReader(line)
    assert row["tls_version"] in ("12", "13") and row["decoded"] == ""


# --- --limit-rate ---

def test_limit_rate(mode, nginx, new_fleet):
    """All transfers together take no more; large bodies and many small ones."""
    size = 5 << 20
    rate = size // 2 # a second: the first quarter of one is free
    urls = [nginx.url("made/5M"), *(nginx.url(f"made/small-{n}")
                                    for n in range(100))]
    args = ("get", "--format", "jsonl", *urls)
    began = time.monotonic()
    if mode.name == "embedded":
        result = harness.urlsum(*args, "--limit-rate", rate)
    else:
        fleet = new_fleet()
        fleet.start_broker()
        fleet.start_hasher()
        fleet.start_fetcher("--limit-rate", rate)
        began = time.monotonic()
        result = fleet.client(*args)
        # It is no batch's to say.
        other = fleet.client(*args, "--limit-rate", rate, codes=(2,))
        assert "urlsum-fetcher" in other.errors[0]
    took_s = time.monotonic() - began
    assert all(record["outcome"] == "ok" for record in result.records())
    # Less the first quarter of a second's, and a delivery of 64 KiB a transfer.
    assert took_s > 2 - 0.25 - 0.1


def test_limit_rate_is_no_silence(nginx):
    """Who waits for it is not too slow (-Y, -y), nor lost."""
    result = harness.urlsum("get", "--format", "jsonl", "--limit-rate", "100K",
                            "-Y", "1M", "-y", "1", "--retry", "0",
                            nginx.url("made/256K"))
    assert all(record["outcome"] == "ok" for record in result.records())
