"""`urlsum get`, embedded and with a fleet: every URL gets exactly one record,
and every digest is the one that sha512sum has."""
import base64
import csv
import gzip
import hashlib
import io
import socket
import subprocess

import pytest

import origin as odd
from conftest import SIZES
from harness import OddOrigin, file_digests, free_port, sha512, urlsum


def jsonl(mode, *args, codes=(0, 1), **more):
    """url -> record."""
    records = mode.get("--format", "jsonl", *args, codes=codes,
                       **more).records()
    by_url = {record["url"]: record for record in records}
    assert len(by_url) == len(records), "a URL has two records"
    return by_url


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_thousands_of_files(mode, nginx, real_files, scheme):
    want = {nginx.url(path, scheme): hexes for path, hexes in real_files}
    got = mode.get("-i", "-", stdin="\n".join(want) + "\n")
    assert got.sums() == want
    assert got.errors == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_sizes(mode, nginx, scheme):
    digests = file_digests(nginx.made / name for name in SIZES)
    want = {nginx.url(f"made/{name}", scheme): digests[str(nginx.made / name)]
            for name in SIZES}
    records = jsonl(mode, *want)
    assert {url: record["digests"]["sha512"]
            for url, record in records.items()} == want
    for name, size in SIZES.items():
        assert records[nginx.url(f"made/{name}", scheme)]["size"] == size


def test_sizes_around_edges(mode, origin):
    """Bodies about as long as a message, in chunks of any size."""
    sizes = [1 << n for n in range(0, 22, 3)]
    sizes += [size + d for size in (16384, 262144, 524288, 1 << 20)
              for d in (-1, 1)]
    want = {}
    for size in sizes:
        for kind in ("gen", "chunked", "close"):
            want[origin.url(f"{kind}/{size}/9")] = odd.digest(size, 9)
    assert mode.get("-i", "-", stdin="\n".join(want)).sums() == want


def test_kinds_of_answers(mode, origin):
    want = {
        origin.url("empty"): sha512(b""),
        origin.url("status/204"): sha512(b""),
        origin.url("redirect/4/70000/5"): odd.digest(70000, 5),
        origin.url("slow/50000/6/20"): odd.digest(50000, 6),
        # The digest is of what the server sent, as it sent it.
        origin.url("encoded"): sha512(odd.ENCODED),
    }
    records = jsonl(mode, *want, codes=(0,))
    assert {url: record["digests"]["sha512"]
            for url, record in records.items()} == want
    redirected = records[origin.url("redirect/4/70000/5")]
    assert redirected["final_url"] == origin.url("gen/70000/5")
    assert redirected["redirects"] == 4
    assert all(record["attempts"] == 1 for record in records.values())


@pytest.fixture(scope="module")
def deaf():
    """A port that is bound and does not listen: refused for sure."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def test_failures(mode, nginx, origin, deaf):
    """Each one is one record that says why, and stops nothing else."""
    long_url = origin.url("gen/1/" + "1" * 70000)
    want = {
        nginx.url("missing"): "http",
        origin.url("status/500"): "http",
        origin.url("loop"): "redirects",
        origin.url("cut/100000/1"): "cut",
        origin.url("cutchunked/100000/1"): "cut",
        origin.url("garbage"): "protocol",
        f"http://127.0.0.1:{deaf}/": "connect",
        "http://name.invalid/": "dns",
        "ftp://127.0.0.1/x": "scheme",
        "file:///etc/passwd": "scheme",
        "http://": "invalid_url",
        "http://a b/": "invalid_url",
        "http://127.0.0.1:99999/": "invalid_url",
        "not a url": "invalid_url",
        nginx.url("x", "https").replace("127.0.0.1", "127.0.0.2"): None,
    }
    good = {nginx.url("x"): sha512(b"x"),
            origin.url("gen/5/5"): odd.digest(5, 5)}
    records = jsonl(mode, "--retry", "0", "-i", "-",
                    stdin="\n".join([*want, long_url, *good]), codes=(1,))
    assert len(records) == len(want) + 1 + len(good)
    for url, outcome in want.items():
        record = records.pop(url)
        if outcome:
            assert record["outcome"] == outcome, (url, record)
        assert record["outcome"] != "ok", record
        assert "digests" not in record
    for url, hexes in good.items():
        assert records.pop(url)["digests"]["sha512"] == hexes
    (url, record), = records.items()
    assert record["outcome"] == "url_too_long"
    # Cut, but long enough to be recognised.
    assert long_url.startswith(url) and len(url) > 1000


@pytest.fixture
def own_origin():
    """One that may be closed for a while."""
    server = OddOrigin()
    yield server
    server.end()


def test_http_statuses(mode, own_origin):
    codes = (400, 401, 403, 404, 410, 429, 500, 503)
    urls = {own_origin.url(f"status/{code}"): code for code in codes}
    records = jsonl(mode, "--retry", "0", *urls, codes=(1,))
    for url, code in urls.items():
        assert records[url]["http_status"] == code
        assert records[url]["outcome"] == "http"
        assert records[url]["attempts"] == 1


def test_retry(mode, origin):
    """Soft failures are tried again, hard ones are not."""
    soft = origin.url(f"flaky/{mode.name}-soft/1/500")
    hard = origin.url(f"flaky/{mode.name}-hard/1/404")
    records = jsonl(mode, "--retry", "2", soft, hard, codes=(1,))
    assert records[soft]["outcome"] == "ok"
    assert records[soft]["attempts"] == 2
    assert records[soft]["digests"]["sha512"] == sha512(b"at last")
    assert records[hard]["http_status"] == 404
    assert records[hard]["attempts"] == 1


def test_unsafe_redirect(mode, origin):
    """http and https only, on every hop."""
    urls = [origin.url(f"to/{scheme}") for scheme in ("ftp", "file", "gopher")]
    records = jsonl(mode, "--retry", "0", *urls, codes=(1,))
    assert all(record["outcome"] in ("scheme", "redirects", "protocol",
                                     "invalid_url")
               for record in records.values()), records


def test_untrusted_certificate(nginx, origin):
    """Without --cacert nobody knows the throw-away CA."""
    from harness import urlsum
    got = urlsum("get", "--retry", "0", "--format", "jsonl",
                 nginx.url("x", "https"), nginx.url("x"), codes=(1,))
    outcomes = {record["url"]: record["outcome"] for record in got.records()}
    assert outcomes == {nginx.url("x", "https"): "tls", nginx.url("x"): "ok"}


def test_failures_on_stderr(mode, nginx):
    """stdout holds digests alone; one line each says what failed."""
    got = mode.get(nginx.url("x"), nginx.url("missing"),
                   "http://name.invalid/", "--retry", "0", codes=(1,))
    assert got.sums() == {nginx.url("x"): sha512(b"x")}
    assert len(got.errors) == 2
    missing, = (e for e in got.errors if "missing" in e)
    assert missing == f"urlsum: {nginx.url('missing')}: http 404"
    nowhere, = (e for e in got.errors if "name.invalid" in e)
    assert nowhere.startswith("urlsum: http://name.invalid/: dns")


def test_same_url_many_times(mode, nginx):
    """One record an input line, also for lines that are equal."""
    records = mode.get("--format", "jsonl", *[nginx.url("x")] * 50).records()
    assert sorted(record["seq"] for record in records) == list(range(50))


def test_ordered(mode, origin, nginx):
    """Input order, although the first one is the last to be ready."""
    urls = [origin.url("slow/5000/1/30")]
    urls += [nginx.url(f"made/small-{n}") for n in range(300)]
    urls.insert(150, nginx.url("missing"))
    got = mode.get("--ordered", "-i", "-", stdin="\n".join(urls), codes=(1,))
    urls.remove(nginx.url("missing"))
    assert [line.split("  ", 1)[1] for line in got.lines] == urls


def test_several_algorithms(mode, origin):
    names = ["sha512", "sha256", "md5"]
    url = origin.url("gen/300000/8")
    (record,) = jsonl(mode, "-a", ",".join(names), url).values()
    assert record["digests"] == {name: odd.digest(300000, 8, name)
                                 for name in names}
    got = mode.get("-a", ",".join(names), url)
    assert got.lines == [f"{odd.digest(300000, 8, name)}  {url}"
                         for name in names]


@pytest.mark.parametrize("name", ["sha1", "sha3-256", "blake2b512", "sha384"])
def test_any_algorithm(mode, origin, name):
    python = {"sha3-256": "sha3_256", "blake2b512": "blake2b"}.get(name, name)
    url = origin.url("gen/70001/2")
    assert mode.get("-a", name, url).sums() == \
        {url: odd.digest(70001, 2, python)}


def test_unknown_algorithm(mode, nginx):
    got = mode.get("-a", "sha513", nginx.url("x"), codes=(1, 2, 3))
    assert got.stdout == b""
    assert "sha513" in got.stderr.decode()


def test_format_tag(mode, nginx):
    url = nginx.url("x")
    got = mode.get("--format", "tag", url, "-a", "sha512,md5").lines
    md5 = hashlib.md5(b"x").hexdigest()
    assert got == [f"SHA512 ({url}) = {sha512(b'x')}", f"MD5 ({url}) = {md5}"]


def test_format_csv(mode, nginx):
    url = nginx.url("x?a=1,2")
    got = mode.get("--format", "csv", url, nginx.url("missing"),
                   codes=(1,)).stdout.decode()
    assert got.count("\r\n") == got.count("\n") == 3
    rows = {row["url"]: row for row in csv.DictReader(io.StringIO(got))}
    assert rows[url]["sha512"] == sha512(b"x")
    assert rows[url]["size"] == "1"
    assert rows[nginx.url("missing")]["http_status"] == "404"


def test_format_sri(mode, nginx):
    digest = base64.b64encode(hashlib.sha512(b"x").digest()).decode()
    got = mode.get("--format", "sri", nginx.url("x")).stdout.decode()
    assert got == f"sha512-{digest}  {nginx.url('x')}\n"


def test_sum_is_what_sha512sum_reads(mode, nginx, tmp_path):
    """`sha512sum -c` takes our lines for files of such names."""
    url = nginx.url("x") + "?back\\slash"
    line = mode.get(url).stdout
    assert line == b"\\" + sha512(b"x").encode() + b"  " + \
        url.replace("\\", "\\\\").encode() + b"\n"
    folder = tmp_path / f"http:/127.0.0.1:{nginx.http}"
    folder.mkdir(parents=True)
    (folder / "x?back\\slash").write_bytes(b"x")
    subprocess.run(["sha512sum", "-c", "-"], input=line, cwd=tmp_path,
                   check=True, timeout=30, capture_output=True)


def test_output_file(mode, nginx, tmp_path):
    path = tmp_path / "sums"
    got = mode.get("-o", path, nginx.url("x"))
    assert got.stdout == b""
    assert path.read_text() == f"{sha512(b'x')}  {nginx.url('x')}\n"


def pack(kind, data):
    if kind == "gzip":
        half = len(data) // 2 # two members, as `cat a.gz b.gz` makes
        return gzip.compress(data[:half]) + gzip.compress(data[half:])
    if kind == "zstd":
        return subprocess.run(["zstd", "-qc"], input=data, check=True,
                              capture_output=True, timeout=30).stdout
    return data


@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd"])
def test_lists(mode, nginx, tmp_path, kind):
    """Comments, blank lines, CRLF, a byte order mark, no end of line."""
    urls = [nginx.url(f"made/small-{n}") for n in range(1, 20)]
    lines = ["\ufeff" + urls[0] + "\r", "# a comment", "", "   ", "\r",
             *[url + "\r" for url in urls[1:10]], "#" + urls[3], *urls[10:]]
    data = pack(kind, "\n".join(lines).encode())
    path = tmp_path / "list"
    path.write_bytes(data)
    want = {url: sha512((nginx.made / url.rsplit("/", 1)[1]).read_bytes())
            for url in urls}
    assert mode.get("-i", path).sums() == want
    assert mode.get("-i", "-", stdin=data).sums() == want


def test_lists_and_urls(mode, nginx, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(nginx.url(f"x?{name}") + "\n")
    got = mode.get("--ordered", "-i", tmp_path / "a", "-i", tmp_path / "b",
                   nginx.url("x?c"))
    assert [line[-1] for line in got.lines] == ["a", "b", "c"]


def test_empty_list(mode):
    got = mode.get("-i", "-", stdin=b"# nothing\n")
    assert got.stdout == b""


def test_missing_list(mode, tmp_path):
    got = mode.get("-i", tmp_path / "none", codes=(1, 2))
    assert "none" in got.stderr.decode()


@pytest.mark.parametrize("command", ["get", "submit"])
@pytest.mark.parametrize("name", ["urls.txt", "-"])
def test_list_without_its_flag(tmp_path, command, name):
    """As sha512sum takes it: the reader is told how it is meant here."""
    if name != "-":
        name = tmp_path / name
        name.write_text("http://127.0.0.1:1/\n", "ascii")
    got = urlsum(command, name, codes=(2,))
    assert got.stdout == b""
    assert got.errors == [
        f"urlsum: {name} is not a URL; -i {name} reads a list from there"]


def test_bytes_that_are_not_utf8(mode, nginx):
    """What is in the list stands in the result, byte for byte."""
    url = nginx.url("x?").encode() + b"\xff\xfe"
    got = mode.get("-i", "-", stdin=url + b"\n", codes=(0, 1))
    if got.code == 0:
        assert got.stdout == sha512(b"x").encode() + b"  " + url + b"\n"
    (record,) = mode.get("-i", "-", "--format", "jsonl", stdin=url + b"\n",
                         codes=(0, 1)).records()
    assert base64.b64decode(record["url_bytes"]) == url


def test_stall_and_slowness(mode, origin):
    """A server that stops sending costs a timeout, not a worker."""
    records = jsonl(mode, "--retry", "0", "--max-time", "1",
                    origin.url("stall"), origin.url("gen/10/1"), codes=(1,))
    assert records[origin.url("stall")]["outcome"] == "timeout"
    assert records[origin.url("gen/10/1")]["outcome"] == "ok"


def test_max_filesize(mode, origin):
    records = jsonl(mode, "--retry", "0", "--max-filesize", "1000",
                    origin.url("gen/1001/1"), origin.url("chunked/5000/1"),
                    origin.url("gen/1000/1"), codes=(1,))
    assert records[origin.url("gen/1001/1")]["outcome"] == "too_large"
    assert records[origin.url("chunked/5000/1")]["outcome"] == "too_large"
    assert records[origin.url("gen/1000/1")]["outcome"] == "ok"


def test_results_stream(nginx, origin):
    """A result is on stdout before the slow rest is there."""
    import harness
    with harness.started_client("get", nginx.url("x"),
                                origin.url("gate/stream/100000/1")) as client:
        line = client.stdout.readline()
        assert line == f"{sha512(b'x')}  {nginx.url('x')}\n".encode()
        assert client.poll() is None
        origin.get("open/stream")
        out, _ = client.communicate(timeout=harness.GIVE_UP_S)
        assert client.returncode == 0
        assert out.startswith(odd.digest(100000, 1).encode())


def test_no_broker(nginx):
    """Exit code 3: nobody is there to ask."""
    from harness import urlsum
    got = urlsum("get", nginx.url("x"), codes=(3,),
                 broker=f"tcp://127.0.0.1:{free_port()}")
    assert got.stdout == b"" and got.errors


@pytest.mark.parametrize("retry", [0, 1, 2])
def test_tries_of_a_failure(mode, origin, retry):
    """--retry N: N further tries, then the last failure is the record."""
    url = origin.url(f"flaky/{mode.name}-{retry}/{retry + 1}/502")
    (record,) = jsonl(mode, "--retry", retry, url, codes=(1,)).values()
    assert record["http_status"] == 502
    assert record["attempts"] == retry + 1
    assert origin.stats()["by_path"][f"/flaky/{mode.name}-{retry}/"
                                     f"{retry + 1}/502"] == retry + 1
