"""A list of a million URLs: every program's memory stays where it was."""
import subprocess
import threading

import pytest

import harness
from harness import sha512

MIB = 1024 # in KiB
URLS = 1000000


@pytest.mark.slow
@pytest.mark.plain
def test_million(new_fleet, nginx):
    fleet = new_fleet()
    fleet.start_broker("--parallel-max-host", "64")
    fleet.start_hasher()
    fleet.start_fetcher()
    client = subprocess.Popen(
        harness.client_command(["get", "-i", "-"], fleet.endpoints["client"]),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=harness.environment())
    most = [0]

    def feed():
        base = nginx.url("x?")
        for first in range(0, URLS, 1000):
            client.stdin.write("".join(
                f"{base}{n}\n" for n in range(first, first + 1000)).encode())
        client.stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    want = sha512(b"x")
    seen = bytearray(URLS)
    for count, line in enumerate(client.stdout):
        hexes, url = line.decode().rstrip("\n").split("  ")
        assert hexes == want
        seen[int(url.rsplit("?", 1)[1])] += 1
        if count % 10000 == 0:
            most[0] = max(most[0], memory_kib(client.pid))
    assert client.wait(60) == 0
    feeder.join(10)
    assert seen == b"\x01" * URLS, "a URL without its one record"
    sizes = {program.name: program.memory_max_kib() // MIB
             for program in fleet.programs}
    print(f"client {most[0] // MIB} MiB, {sizes}")
    assert most[0] // MIB < 64
    assert sizes["urlsum-broker"] < 256 + 256
    assert sizes["urlsum-fetcher"] < 64 + 64
    assert sizes["urlsum-hasher"] < 64 + 64


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM"):
                return int(line.split()[1])
    return 0
