"""Brokers by name and by either family of addresses."""
import os
import shutil
import socket
import subprocess

import pytest

import harness
from harness import free_port, sha512


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="there is no [::1] here")
needs_unshare = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"),
    reason="changes /etc/hosts for one program")


def check_works(fleet, nginx):
    got = fleet.client("get", nginx.url("made/small-1"))
    assert got.stdout.decode().startswith(
        sha512((nginx.made / "small-1").read_bytes()))


@needs_ipv6
def test_ipv6(new_fleet, nginx):
    fleet = new_fleet()
    fleet.endpoints = {role: f"tcp://[::1]:{free_port()}"
                       for role in fleet.endpoints}
    fleet.start_broker()
    fleet.start_hasher()
    fleet.start_fetcher()
    check_works(fleet, nginx)


@needs_ipv6
@needs_unshare
def test_name_of_both(new_fleet, nginx, tmp_path):
    """A name that has an IPv6 address beside the one where the broker is, as
    Debian's localhost has."""
    path = tmp_path / "hosts"
    path.write_text("::1 both\n127.0.0.1 both\n", encoding="ascii")
    fleet = new_fleet()
    fleet.start_broker()
    broker = {role: "tcp://both:" + endpoint.rsplit(":", 1)[1]
              for role, endpoint in fleet.endpoints.items()}
    inside = ["unshare", "--mount", "sh", "-c",
              'mount --bind "$0" /etc/hosts && exec "$@"', path]
    workers = [subprocess.Popen(
        [*inside, harness.BUILD / f"urlsum-{role}", "--broker", broker[role]],
        env=harness.environment(), stderr=subprocess.DEVNULL)
        for role in ("fetcher", "hasher")]
    try:
        got = subprocess.run(
            [*inside, harness.BUILD / "urlsum", "get", nginx.url("made/small-2"),
             "--broker", broker["client"]], env=harness.environment(),
            check=True, capture_output=True, timeout=harness.GIVE_UP_S)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(harness.GIVE_UP_S)
    assert got.stdout.decode().startswith(
        sha512((nginx.made / "small-2").read_bytes()))


def test_path_too_long():
    run = subprocess.run(
        [harness.BUILD / "urlsum", "workers", "--broker", "ipc:///" + "x" * 120],
        env=harness.environment(), capture_output=True, check=False, text=True,
        timeout=harness.GIVE_UP_S)
    assert run.returncode == 2
    assert "107 bytes" in run.stderr
