"""The servers themselves: a test that trusts a broken one proves nothing."""
import hashlib
import json
import subprocess

import harness
import origin as odd
from conftest import SIZES


def fetch(url, *args, check=True):
    """By curl, which is not under test."""
    return subprocess.run(["curl", "-sS", "--max-time", "60", *args, url],
                          capture_output=True, timeout=90, check=check)


def test_nginx(nginx):
    for name, size in SIZES.items():
        if size <= 5 << 20:
            assert fetch(nginx.url(f"made/{name}")).stdout == odd.body(size, 1)
    https = fetch(nginx.url("x", "https"), "--cacert", str(nginx.ca))
    assert https.stdout == b"x"
    assert fetch(nginx.url("x", "https"), check=False).returncode == 60


def test_real_files(nginx, real_files):
    assert len(real_files) >= 2000
    path, hexes = real_files[0]
    got = fetch(nginx.url(path)).stdout
    assert hashlib.sha512(got).hexdigest() == hexes


def test_origin_bodies(origin):
    for size in (0, 1, 7, 1000, (1 << 20) - 1, 1 << 20, (1 << 21) + 5):
        want = odd.digest(size, 3)
        for kind in ("gen", "chunked", "close", "redirect/3"):
            got = fetch(origin.url(f"{kind}/{size}/3"), "-L").stdout
            assert hashlib.sha512(got).hexdigest() == want, (kind, size)
    assert odd.digest(1000, 3) != odd.digest(1000, 4)


def test_origin_faults(origin):
    def code(path, *args):
        return fetch(origin.url(path), "-L", "--max-redirs", "5", "-o",
                     "/dev/null", *args, check=False).returncode
    assert code("cut/1000/1") == 18
    assert code("cutchunked/1000/1") == 18
    assert code("loop") == 47
    assert code("to/ftp", "--proto-redir", "=http") == 1
    assert code("stall", "--max-time", "1") == 28
    assert code("garbage", "--http1.1") == 1
    assert fetch(origin.url("status/503"), "-w", "%{http_code}").stdout == \
        b"503"


def test_origin_counts():
    origin = harness.OddOrigin()  # whose counts no other test has touched
    before = origin.stats()["requests"]
    assert fetch(origin.url("flaky/self/1/503")).stdout == b"not now"
    assert fetch(origin.url("flaky/self/1/503")).stdout == b"at last"
    assert origin.stats()["requests"] == before + 3
    urls = [origin.url(f"hold/300/{n}") for n in range(4)]
    subprocess.run(["curl", "-sSZ", "--parallel-immediate", *urls],
                   check=True, timeout=30, capture_output=True)
    assert origin.stats()["holding_max"] == 4
    assert json.loads(origin.get("stats"))["by_path"]["/hold/300/0"] == 1
    origin.end()
