"""Fixtures; README.md beside this file says what there is."""
import os
import pathlib
import urllib.parse

import pytest

import harness
import witness as web
import origin as odd

FILES_MAX = 4000
SIZES = {"0": 0, "1": 1, "256K-1": 262143, "256K": 262144, "256K+1": 262145,
         "5M": 5 << 20, "300M": 300 << 20}


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true",
                     help="also the tests that take minutes")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes minutes; needs --slow")
    config.addinivalue_line(
        "markers", "plain: means nothing, or takes too long, with sanitizers")
    config.addinivalue_line(
        "markers", "alone: takes the whole machine; run after all others")


def pytest_collection_modifyitems(config, items):
    slow = pytest.mark.skip(reason="needs --slow")
    plain = pytest.mark.skip(reason="not with sanitizers")
    for item in items:
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(slow)
        if "plain" in item.keywords and harness.SANITIZE:
            item.add_marker(plain)


@pytest.fixture(scope="session")
def nginx(tmp_path_factory):
    """A real web server with generated files of all sizes under made/."""
    server = harness.Nginx(tmp_path_factory.mktemp("nginx"))
    for name, size in SIZES.items():
        with open(server.made / name, "wb") as file:
            if size <= 5 << 20:
                file.write(odd.body(size, 1))
            else: # bytes at both ends, a hole between
                file.write(odd.body(1 << 20, 2))
                file.seek(size - 1)
                file.write(b"!")
    for number in range(2000): # where /usr/share/doc has little
        path = server.made / f"small-{number}"
        path.write_bytes(odd.body(number * 7 % 5000, number % 5))
    yield server
    server.end()


@pytest.fixture(scope="session")
def real_files(nginx):
    """[(path below the server, digest)] of thousands of files, by sha512sum.
    Paths are quoted as a URL wants them."""
    paths = {}
    for folder, _, names in os.walk("/usr/share/doc", followlinks=False):
        for name in names:
            path = pathlib.Path(folder) / name
            if path.is_file() and os.access(path, os.R_OK):
                below = urllib.parse.quote(str(path)[len("/usr/share/doc/"):])
                paths[str(path)] = "doc/" + below
    kept = dict(sorted(paths.items())[:FILES_MAX])
    for path in sorted(nginx.made.glob("small-*")):
        kept[str(path)] = "made/" + path.name
    digests = harness.file_digests(kept)
    return [(kept[path], digests[path]) for path in kept]


@pytest.fixture(scope="session")
def origin():
    """The web server that misbehaves."""
    server = harness.OddOrigin()
    yield server
    server.end()


@pytest.fixture
def sinner():
    """The web server with a path for every sin; new for each test, because it
    counts how often each was asked for."""
    server = harness.OddOrigin(harness.ROOT / "tests/origin/serve.py")
    yield server
    server.end()


@pytest.fixture(scope="module")
def witness():
    """A web server that remembers what it was asked."""
    server = web.Witness()
    yield server
    server.end()


@pytest.fixture
def new_fleet(tmp_path):
    """Makes fleets that end with the test; nothing in them runs yet."""
    fleets = []

    def make(transport="tcp"):
        # A path of a socket is short: tmp_path would not do for ipc.
        folder = tmp_path / f"fleet{len(fleets)}"
        fleets.append(harness.Fleet(folder, transport))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.end()


@pytest.fixture
def fleet(new_fleet, nginx):
    """Broker, fetcher and hasher, live."""
    ours = new_fleet()
    ours.start_broker()
    ours.start_hasher()
    ours.start_fetcher("--cacert", nginx.ca)
    return ours


class Embedded:
    """`urlsum get` that brings its own broker and workers."""
    name = "embedded"

    def __init__(self, nginx):
        self.nginx = nginx

    def get(self, *args, **more):
        return harness.urlsum("get", "--cacert", self.nginx.ca, *args, **more)


class Fleeted:
    """`urlsum get` with a broker and workers beside it."""
    name = "fleet"

    def __init__(self, fleet):
        self.fleet = fleet

    def get(self, *args, **more):
        return self.fleet.client("get", *args, **more)


@pytest.fixture(scope="module")
def module_fleet(tmp_path_factory, nginx):
    """One fleet for all tests of a module that break nothing."""
    ours = harness.Fleet(tmp_path_factory.mktemp("fleet"))
    try:
        ours.start_broker("--give-up-host", "1")
        ours.start_hasher("--threads", "2")
        ours.start_fetcher("--cacert", nginx.ca)
        yield ours
    finally:
        ours.end()


@pytest.fixture(params=["embedded", "fleet"])
def mode(request, nginx):
    """Both ways to get; what a test says of one must hold for the other."""
    if request.param == "embedded":
        return Embedded(nginx)
    return Fleeted(request.getfixturevalue("module_fleet"))
