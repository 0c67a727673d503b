"""A body's length moves nobody's memory."""
import subprocess
import time

import pytest

import harness
import origin as odd
from harness import GIVE_UP_S

MIB = 1024 # in KiB, as /proc has it
SIZE = 2 << 30


@pytest.mark.plain
def test_two_gigabytes_fleet(fleet, origin):
    """2 GiB made on the fly, never stored, through four processes."""
    small = origin.url("gen/1000/1")
    assert fleet.client("get", small).code == 0 # all caches are warm
    before = {program.name: program.memory_max_kib()
              for program in fleet.programs}
    url = origin.url(f"gen/{SIZE}/4")
    got = fleet.client("get", url, seconds=300)
    assert got.sums() == {url: odd.digest(SIZE, 4)}
    grown = {program.name: program.memory_max_kib() - before[program.name]
             for program in fleet.programs}
    # A stream's window at most, in each; the broker adds what ZeroMQ holds.
    assert grown["urlsum-fetcher"] < 48 * MIB, grown
    assert grown["urlsum-hasher"] < 48 * MIB, grown
    assert grown["urlsum-broker"] < 64 * MIB, grown


@pytest.mark.plain
def test_two_gigabytes_embedded(origin):
    url = origin.url(f"gen/{SIZE}/4")
    process = subprocess.Popen(harness.client_command(["get", url]),
                               stdout=subprocess.PIPE,
                               env=harness.environment())
    most = 0
    deadline = time.monotonic() + 300
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
                lines = dict(line.split(":", 1) for line in file)
            most = max(most, int(lines.get("VmHWM", "0 kB").split()[0]))
        except OSError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)
    out, _ = process.communicate(timeout=GIVE_UP_S)
    assert process.returncode == 0
    assert out.decode() == f"{odd.digest(SIZE, 4)}  {url}\n"
    assert 0 < most < 128 * MIB, most


@pytest.mark.plain
def test_many_large_bodies_at_once(new_fleet, nginx, origin):
    """Sixteen streams and one hasher: the broker's budget holds."""
    fleet = new_fleet()
    fleet.start_broker("--buffer-memory", "64M", "--parallel-max-host", "16")
    fleet.start_hasher()
    fleet.start_fetcher()
    want = {origin.url(f"gen/{64 << 20}/{seed}"): odd.digest(64 << 20, seed)
            for seed in range(8)}
    want[nginx.url("made/300M")] = harness.file_digests(
        [nginx.made / "300M"])[str(nginx.made / "300M")]
    got = fleet.client("get", "-i", "-", stdin="\n".join(want), seconds=300)
    assert got.sums() == want
    sizes = {program.name: program.memory_max_kib() // MIB
             for program in fleet.programs}
    assert sizes["urlsum-broker"] < 64 + 64, sizes
    assert sizes["urlsum-fetcher"] < 64 + 64, sizes
    assert sizes["urlsum-hasher"] < 64 + 64, sizes
