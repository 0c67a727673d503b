"""Connections that never come to be."""
import contextlib
import http.server
import threading

import pytest

import origin as odd
from harness import free_port, sha512
from silent_host import silent_port, silent_socket


def test_sockets_that_never_connected(new_fleet, origin):
    """Their numbers are free for those that come next."""
    fleet = new_fleet()
    fleet.start_broker("--parallel-max-host", "8")
    fleet.start_hasher()
    fetcher = fleet.start_fetcher("--parallel-max", "8")
    with contextlib.ExitStack() as stack:
        # Eight origins, for to one nobody connects so often.
        urls = [f"http://127.0.0.1:{stack.enter_context(silent_port())}/"
                for _ in range(8)]
        fleet.client("get", "--connect-timeout", "1", "--retry", "0", *urls,
                     codes=(1,))
        want = {origin.url(f"slow/1000/{n}/5"): odd.digest(1000, n)
                for n in range(40)}
        assert fleet.client("get", "-i", "-", "--retry", "0",
                            stdin="\n".join(want)).sums() == want
    fetcher.check_alive()


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *_args):
        pass


def test_the_first_addresses_are_silent(mode):
    """The next one is tried, each in its share of the time."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(silent_socket()).getsockname()[1]
        stack.enter_context(silent_socket("127.0.0.2", port))
        server = stack.enter_context(
            http.server.ThreadingHTTPServer(("127.0.0.3", port), Answers))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://three.test:{port}/x"
        done = mode.get(
            "--connect-timeout", "4", "--retry", "0", "--resolve",
            f"three.test:{port}:127.0.0.1,127.0.0.2,127.0.0.3", url)
        server.shutdown()
    assert done.sums() == {url: sha512(b"/x")}


@pytest.mark.parametrize("name", ["fetcher", "hasher"])
def test_nobody_is_there(new_fleet, name):
    """A worker whose --broker is mistyped says so, and what it asked."""
    fleet = new_fleet()
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    worker = fleet.start(f"urlsum-{name}", "--broker", endpoint)
    line = worker.wait_event("link.waits")[0]
    assert f'endpoint="{endpoint}"' in line and f"{name}s?" in line
