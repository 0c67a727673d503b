"""Redirects: each hop is a request that is looked at, the record tells of all
of them, and what was entrusted to one origin goes to no other."""
import http.server
import threading
import time
import urllib.parse

import pytest

import origin as odd
from conftest import Embedded
from harness import sha512


class Redirector(http.server.BaseHTTPRequestHandler):
    """/go?[to=URL][&close=1][&status=N][&bytes=N][&cut=1][&wait=MS]; anything else is a
    page that says its path. Headers of every request are kept, by path."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        self.server.seen.append((url.path, dict(self.headers)))
        if url.path != "/go":
            self.answer(200, url.path.encode("ascii"))
            return
        time.sleep(int(query.get("wait", 0)) / 1000)
        content = b"x" * int(query.get("bytes", 9))
        status = int(query.get("status", 302))
        self.answer(status, b"" if status == 304 else content, query)

    def answer(self, status, content, query=None):
        query = query or {}
        self.send_response(status)
        if "to" in query:
            # Servers send bytes; send_header() takes them as Latin-1.
            self.send_header("Location",
                             query["to"].encode("utf-8").decode("latin-1"))
        self.send_header("ETag", f'"{status}"')
        self.send_header("Content-Length", str(len(content)))
        if "close" in query:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if "cut" in query:
            content = content[:len(content) // 2]
            self.close_connection = True
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


class Site:
    def __init__(self, address):
        self.server = Server((address, 0), Redirector)
        self.server.seen = []
        self.where = f"{address}:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def url(self, path, user=""):
        return f"http://{user}{self.where}/{path}"

    def go(self, to, user="", **query):
        query["to"] = to
        return self.url("go?" + urllib.parse.urlencode(query), user)

    def headers(self, path):
        """Of the last request for that path."""
        return [headers for seen, headers in self.server.seen
                if seen == path][-1]

    def end(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def site():
    ours = Site("127.0.0.1")
    yield ours
    ours.end()


@pytest.fixture(scope="module")
def other():
    ours = Site("127.0.0.2")
    yield ours
    ours.end()


def record_of(mode, url, *args, codes=(0,)):
    record, = mode.get("--format", "jsonl", "--retry", "0", *args, url,
                       codes=codes).records()
    return record


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_statuses(mode, site, other, status):
    to = other.url(f"found-{status}")
    record = record_of(mode, site.go(to, status=status))
    assert record["digests"]["sha512"] == sha512(f"/found-{status}".encode())
    assert record["final_url"] == to
    assert record["redirects"] == 1
    assert record["http_status"] == 200
    assert record["etag"] == '"200"'
    assert record["remote"] == other.where


@pytest.mark.parametrize("status", [304, 305, 306])
def test_other_statuses_lead_nowhere(mode, site, status):
    record = record_of(mode, site.go(site.url("x"), status=status), codes=(1,))
    assert record["outcome"] == "http"
    assert record["http_status"] == status
    assert "redirects" not in record


def test_no_location(mode, site):
    for url in (site.url("go"), site.go("")):
        record = record_of(mode, url, codes=(1,))
        assert (record["outcome"], record["http_status"]) == ("http", 302)


def test_bodies_of_redirects_are_of_no_interest(mode, site):
    """Large ones, and such as are cut."""
    for query in ({"bytes": 10}, {"bytes": 70000}, {"bytes": 5 << 20},
                  {"bytes": 1000, "cut": 1}):
        record = record_of(mode, site.go("/found", **query))
        assert record["digests"]["sha512"] == sha512(b"/found"), query
        assert record["size"] == 6


def test_spaces_and_fragments(mode, site):
    record = record_of(mode, site.go("/two words#part"))
    assert record["final_url"] == site.url("two%20words#part")
    assert record["digests"]["sha512"] == sha512(b"/two%20words")


def test_not_a_url(mode, site):
    record = record_of(mode, site.go("http://[::1"), codes=(1,))
    assert record["outcome"] == "invalid_url"
    assert record["http_status"] == 302


def test_timings_are_sums(mode, origin, site):
    """Two hops wait 300 ms each; the whole of it shows."""
    slow = site.go(origin.url("hold/300/sums"), wait=300)
    record = record_of(mode, site.go(slow))
    assert record["redirects"] == 2
    assert record["total_us"] >= 600_000
    assert record["first_byte_us"] >= 600_000


def test_max_time_is_for_all_hops(mode, origin, site):
    if mode.name != "embedded":
        pytest.skip("an option of the fetcher")
    url = origin.url("hold/1500/max-time")
    for _ in range(3):
        url = site.go(url)
    record = record_of(mode, url, "--max-time", "0.7", codes=(1,))
    assert record["outcome"] == "timeout"
    assert record["redirects"] == 3


def test_max_redirs(mode, site):
    if mode.name != "embedded":
        pytest.skip("an option of the fetcher")
    url = site.url("end")
    for _ in range(3):
        url = site.go(url)
    record = record_of(mode, url, "--max-redirs", "3")
    assert record["redirects"] == 3
    record = record_of(mode, url, "--max-redirs", "2", codes=(1,))
    assert record["outcome"] == "redirects"
    assert record["redirects"] == 2
    assert record["message"] == "Maximum (2) redirects followed"
    record = record_of(mode, url, "--max-redirs", "0", codes=(1,))
    assert record["outcome"] == "redirects"


def test_credentials_stay_at_home(mode, site, other):
    """Those of the URL go with it to the same origin alone, and not again once
    it has been elsewhere."""
    basic = "Basic dTpw"
    record = record_of(mode, site.go("/same", user="u:p@"))
    assert site.headers("/go")["Authorization"] == basic
    assert site.headers("/same")["Authorization"] == basic
    assert record["final_url"] == site.url("same"), "credentials in a record"
    record_of(mode, site.go(site.url("absolute"), user="u:p@"))
    assert site.headers("/absolute")["Authorization"] == basic
    record_of(mode, site.go(other.url("away"), user="u:p@"))
    assert "Authorization" not in other.headers("/away")
    record_of(mode, site.go(other.go(site.url("back")), user="u:p@"))
    assert "Authorization" not in site.headers("/back")
    # The next job on the same handle has none.
    record_of(mode, site.url("next"))
    assert "Authorization" not in site.headers("/next")


def test_many_redirects_on_few_handles(mode, site, other):
    """Handles are used again: nothing of one job shows in another."""
    want = {}
    for number in range(60):
        to = (site, other)[number % 2].url(f"end-{number}")
        user = "u:p@" if number % 3 == 0 else ""
        url = to if number % 4 == 0 else site.go(to, user=user)
        want[url] = sha512(f"/end-{number}".encode())
    assert mode.get("-i", "-", stdin="\n".join(want)).sums() == want
    for number in range(1, 60, 2):
        assert "Authorization" not in other.headers(f"/end-{number}")


def test_https_to_http(nginx, site, origin):
    """Only where it is allowed."""
    downgrade = nginx.url("downgrade/" + origin.url("gen/9/9"), "https")
    mode = Embedded(nginx)
    record = record_of(mode, downgrade, codes=(1,))
    assert record["outcome"] == "scheme"
    assert record["message"] == "a redirect that leaves https is not followed"
    record = record_of(mode, downgrade, "--proto-redir", "http,https")
    assert record["digests"]["sha512"] == odd.digest(9, 9)
    record = record_of(mode, site.go(site.url("x")), "--proto-redir", "https",
                       codes=(1,))
    assert record["outcome"] == "scheme"
    for bad in ("ftp", "http", "https,", "file,https"):
        result = mode.get("--proto-redir", bad, site.url("x"), codes=(2,))
        assert "--proto-redir" in result.errors[0]
