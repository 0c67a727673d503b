"""Where a batch's secrets go, and where they never do; what is refused."""
import base64
import os
import pathlib
import stat

import harness
import pytest
import witness as web

# In none of the other words, and also looked for as base64 has it.
SECRETS = ["topsecret-header-7", "topsecret-password-7", "topsecret-cookie-7",
           "topsecret-proxy-7", "topsecret-url-7"]


def traces(text):
    """Which of the secrets a text shows."""
    found = [secret for secret in SECRETS if secret in text]
    for user in (f"me:{SECRETS[1]}", f"them:{SECRETS[3]}"):
        if base64.b64encode(user.encode("ascii")).decode("ascii") in text:
            found.append(user)
    return found


def test_no_log_shows_them(new_fleet, witness):
    """Four programs at their most talkative, transfers that succeed, fail and
    are retried, and all that a client can ask for."""
    fleet = new_fleet()
    talk = ("--log-level", "debug")
    fleet.start_broker(*talk)
    fleet.start_hasher(*talk)
    fleet.start_fetcher(*talk, "--proxy-enforces-policy")
    args = ["--log-level", "debug", "-H", f"X-Key: {SECRETS[0]}", "-u",
            f"me:{SECRETS[1]}", "-H", f"Cookie: {SECRETS[2]}"]
    urls = [witness.url("/seen"), witness.url("/status/404"),
            witness.url("/status/503"), witness.url(f"/to/{witness.url('/b')}"),
            f"http://u:{SECRETS[4]}@127.0.0.1:{witness.port}/own",
            "http://127.0.0.1:1/refused", witness.url("/to/gopher://x/")]
    out = [fleet.client("submit", "--retry", "1", "--id", "own", *args, *urls)]
    proxy = f"http://them:{SECRETS[3]}@127.0.0.1:{witness.port}"
    out += [fleet.client("submit", "--id", "proxied", "--retry", "0", *args,
                         "-x", proxy, "http://far.test/through",
                         "https://far.test/tunnel"),
            fleet.client("submit", "--id", "lost", "--retry", "0", *args,
                         "-x", f"them:{SECRETS[3]}@proxy.invalid:1",
                         "http://far.test/nowhere"),
            fleet.client("submit", "--id", "broken", "--retry", "0", *args,
                         "-x", f"http://them:{SECRETS[3]}@[bad:99999",
                         "http://far.test/nowhere")]
    for batch in ("own", "proxied", "lost", "broken"):
        out += [fleet.client("wait", batch, codes=(0, 1)),
                fleet.client("status", batch, "--json"),
                fleet.client("results", batch, "--format", "jsonl",
                             codes=(0, 1)),
                fleet.client("results", batch, "--format", "csv",
                             codes=(0, 1))]
    out += [fleet.client("status"), fleet.client("status", "--json"),
            fleet.client("hosts"), fleet.client("workers"),
            fleet.client("retry", "own")]
    # They did go where they are for.
    assert SECRETS[0] in str(witness.headers("/seen"))
    assert traces(str(witness.headers("/through"))) != []
    assert "Proxy-Authorization" in witness.headers("/through")
    for result in out:
        text = (result.stdout + result.stderr).decode("utf-8")
        # A URL is shown as it was given; nothing else is.
        found = [one for one in traces(text) if one != SECRETS[4]]
        assert not found, (result.args[:2], found, text)
    for program in fleet.programs:
        assert not traces(program.text()), program.name


def test_store_is_private(new_fleet, witness):
    """The file is the owner's alone, and a removed batch leaves it empty of
    what it kept."""
    fleet = new_fleet()
    fleet.start_broker()
    fleet.client("submit", "--id", "one", "-u", f"me:{SECRETS[1]}",
                 witness.url("/never"))
    mode = os.stat(fleet.store).st_mode
    assert stat.S_IMODE(mode) == 0o600
    fleet.client("cancel", "one")
    assert SECRETS[1] not in fleet.client("status", "one", "--json").stdout \
        .decode("utf-8")
    fleet.client("rm", "one")
    fleet.broker.stop()
    for path in pathlib.Path(fleet.store).parent.glob("store.db*"):
        assert SECRETS[1].encode("ascii") not in path.read_bytes(), path


def test_options_outlive_the_broker(new_fleet, witness):
    """A batch that waited in the store is fetched as it asked to be."""
    fleet = new_fleet()
    fleet.start_broker()
    fleet.client("submit", "--id", "kept", "-u", f"me:{SECRETS[1]}", "-H",
                 "X-Kept: yes", witness.url("/kept"))
    fleet.broker.kill()
    fleet.start_broker()
    fleet.start_hasher()
    fleet.start_fetcher()
    fleet.client("wait", "kept")
    headers = witness.headers("/kept")
    assert headers["X-Kept"] == "yes" and "Authorization" in headers
    # The same words find the batch, others do not.
    fleet.client("submit", "--id", "kept", "-u", f"me:{SECRETS[1]}", "-H",
                 "X-Kept: yes", witness.url("/kept"))
    again = fleet.client("submit", "--id", "kept", "-H", "X-Kept: no",
                         witness.url("/kept"), codes=(2,))
    assert "other" in again.stderr.decode("utf-8")


def test_many_profiles(new_fleet, witness):
    """More batches than a fetcher has places: each is fetched in its way."""
    fleet = new_fleet()
    fleet.start_broker()
    for number in range(40):
        fleet.client("submit", "--id", f"b{number}", "-H", f"X-B: {number}",
                     *(witness.url(f"/many-{number}-{line}")
                       for line in range(3)))
    fleet.start_hasher()
    fleet.start_fetcher("--parallel-max", "4")
    for number in range(40):
        fleet.client("wait", f"b{number}")
        for line in range(3):
            assert witness.headers(f"/many-{number}-{line}")["X-B"] == \
                str(number)


# --- Proxies ---

def test_proxy_needs_leave(new_fleet, witness):
    """A fleet's fetcher takes no batch's proxy, unless it may; and the proxy's
    own address is looked at."""
    fleet = new_fleet()
    fleet.start_broker()
    fleet.start_hasher()
    fetcher = fleet.start_fetcher()
    args = ("get", "--format", "jsonl", "--retry", "0", "-x",
            f"127.0.0.1:{witness.port}", "http://far.test/proxied-1")
    record = fleet.client(*args, codes=(1,)).records()[0]
    assert record["outcome"] == "blocked_address"
    assert "--proxy-enforces-policy" in record["message"]
    fetcher.stop()
    fetcher = fleet.start_fetcher("--proxy-enforces-policy",
                                  env=harness.environment(URLSUM_ALLOW_NET=""))
    record = fleet.client(*args, codes=(1,)).records()[0]
    assert record["outcome"] == "blocked_address"
    assert not [asked for asked, _ in witness.asked if "proxied" in asked]
    fetcher.stop()
    fleet.start_fetcher("--proxy-enforces-policy")
    record = fleet.client(*args).records()[0]
    assert record["outcome"] == "ok"
    # Another batch's password is not for the next one's proxy.
    for number, user in enumerate(("them:x@", "", "us:y@")):
        fleet.client("get", "-x", f"{user}127.0.0.1:{witness.port}",
                     f"http://far.test/whose-{number}")
        sent = witness.headers(f"/whose-{number}").get("Proxy-Authorization")
        assert sent == (user and "Basic " + base64.b64encode(
            user[:-1].encode("ascii")).decode("ascii") or None)
    # Without it the next batch goes its own way.
    record = fleet.client("get", "--format", "jsonl", "--retry", "0",
                          witness.url("/direct")).records()[0]
    assert record["outcome"] == "ok"
    assert "/direct" in [asked for asked, _ in witness.asked]


def test_proxy_embedded(witness):
    result = harness.urlsum("get", "-x", f"http://a:b@127.0.0.1:{witness.port}",
                            "http://far.test/proxied-2")
    assert len(result.lines) == 1
    headers = witness.headers("/proxied-2")
    assert headers["Host"] == "far.test"
    assert headers["Proxy-Authorization"] == "Basic YTpi"
    assert "Authorization" not in headers


def test_resolve_and_the_policy(new_fleet, witness):
    """What --resolve says is looked at like any address: no way in."""
    fleet = new_fleet()
    fleet.start_broker()
    fleet.start_hasher()
    fleet.start_fetcher(env=harness.environment(URLSUM_ALLOW_NET=""))
    before = len(witness.peers)
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254",
                    "10.0.0.1,192.168.0.1"):
        url = f"http://inner.test:{witness.port}/inner"
        record = fleet.client("get", "--format", "jsonl", "--retry", "0",
                              "--resolve",
                              f"inner.test:{witness.port}:{address}", url,
                              codes=(1,)).records()[0]
        assert record["outcome"] == "blocked_address", address
    assert len(witness.peers) == before


# --- Refusals ---

BAD = [("-H", "X-A: b\r\nX-B: c"), ("-H", "X-A: b\nX-B: c"), ("-H", "X-A"),
       ("-H", "Range: bytes=0-1"), ("-H", "Content-Length: 5"), ("-u", "me"),
       ("-u", "me:a\nb"), ("-A", "a\nb"), ("-x", "ftp://x"),
       ("--resolve", "x:80"), ("-4", "-6"), ("--http2", "--http1.1"),
       ("-H", "@/nowhere"), ("-u", "@/nowhere")]


BAD_FILES = {
    "user-nul": ("-u", b"me:pass\0word\n"), "user-none": ("-u", b""),
    "user-long": ("-u", b"me:" + b"x" * 3000),
    "header-nul": ("-H", b"X-Key: a\0b\n"),
    "header-long": ("-H", b"X: " + b"x" * 70000)}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_refused(tmp_path, name):
    """A NUL, for one, must not end early what is sent."""
    flag, content = BAD_FILES[name]
    (tmp_path / "file").write_bytes(content)
    result = harness.urlsum("submit", flag, f"@{tmp_path / 'file'}",
                            "http://x/", codes=(2,),
                            broker="tcp://127.0.0.1:1")
    assert len(result.errors) == 1 and result.errors[0].startswith(
        f"urlsum: {flag}")


@pytest.mark.parametrize("args", BAD, ids=lambda args: args[0])
def test_client_refuses(args):
    for verb in ("get", "submit"):
        result = harness.urlsum(verb, *args, "http://127.0.0.1:1/", codes=(2,),
                                broker="tcp://127.0.0.1:1")
        assert result.stdout == b"" and len(result.errors) == 1


def test_client_looks_at_certificates(tmp_path, nginx):
    """A file that is none is refused at once, with a fleet and without; so is
    one that a batch cannot carry, which one process can use."""
    url = f"https://localhost:{nginx.https}/x"
    good = nginx.ca.read_text("ascii") if hasattr(nginx.ca, "read_text") \
        else open(nginx.ca, encoding="ascii").read()
    files = {name: tmp_path / name for name in ("text", "torn", "large")}
    files["text"].write_text("no certificate\n", "ascii")
    files["torn"].write_text(good + good.replace("\nM", "\n!", 1), "ascii")
    files["large"].write_text(good * (130 * 1024 // len(good) + 1), "ascii")
    for name, words in ("text", "no PEM file"), ("torn", "damaged"):
        for verb, broker in (("get", None), ("get", "tcp://127.0.0.1:1"),
                             ("submit", "tcp://127.0.0.1:1")):
            result = harness.urlsum(verb, "--cacert", files[name], url,
                                    codes=(2,), broker=broker)
            assert len(result.errors) == 1 and words in result.errors[0]
    result = harness.urlsum("submit", "--cacert", files["large"], url,
                            codes=(2,), broker="tcp://127.0.0.1:1")
    assert "more than 128 KiB" in result.errors[0]
    assert "start the fetchers with --cacert" in result.errors[0]
    harness.urlsum("get", "--cacert", files["large"], url)


def test_not_shown_by_print_config():
    result = harness.urlsum("get", "-u", "me:" + SECRETS[1], "-H",
                            "X: " + SECRETS[0], "--print-config")
    assert not traces(result.stdout.decode("utf-8"))
    assert "not shown" in result.stdout.decode("utf-8")


def test_warns_of_a_plain_way():
    """To a broker elsewhere without keys."""
    result = harness.urlsum("submit", "-u", "me:x", "--connect-wait", "0.1",
                            "http://x/", codes=(3,), broker="tcp://192.0.2.1")
    assert "in the clear" in result.errors[0]
