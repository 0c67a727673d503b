"""Connections that never come to be, and thousands that all come at once."""
import origin as odd
from harness import sha512
from silent_host import silent_port


def test_sockets_that_never_connected(new_fleet, origin):
    """Their numbers are free for those that come next."""
    fleet = new_fleet()
    fleet.start_broker("--parallel-max-host", "8")
    fleet.start_hasher()
    fetcher = fleet.start_fetcher("--parallel-max", "8")
    with silent_port() as port:
        urls = [f"http://127.0.0.1:{port}/{n}" for n in range(8)]
        fleet.client("get", "--connect-timeout", "1", "--retry", "0", *urls,
                     codes=(1,))
        want = {origin.url(f"slow/1000/{n}/5"): odd.digest(1000, n)
                for n in range(40)}
        assert fleet.client("get", "-i", "-", "--retry", "0",
                            stdin="\n".join(want)).sums() == want
    fetcher.check_alive()
