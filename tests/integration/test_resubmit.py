"""submit that dies and begins again; another list under the same id; a broker
that cannot store, as a client sees it."""
import os
import random
import signal
import subprocess
import time

import pytest

import harness
from batches import submit
from disks import FaultyDisk, needs_shim
from harness import GIVE_UP_S, environment, started_client, wait_until


def write_list(path, count, first="http://127.0.0.1:1/"):
    path.write_text("".join(f"{first}{n}\n" for n in range(count)),
                    encoding="ascii")
    return path


@pytest.mark.parametrize("kills_broker", [False, True])
def test_killed_at_random(new_fleet, tmp_path, kills_broker):
    """200,000 lines, the client killed again and again (and the broker): the
    batch is the list, line by line."""
    fleet = new_fleet()
    fleet.start_broker()
    urls = write_list(tmp_path / "list", 200_000, "x:")
    args = ("submit", "--id", "again", "-i", urls)
    dice = random.Random(7)
    kills = 0
    while kills < 8:
        with started_client(*args,
                            broker=fleet.endpoints["client"]) as client:
            client.stdout.readline() # its id: the batch is there
            time.sleep(dice.uniform(0, 0.12)) # where it dies, not a wait
            if kills_broker and kills % 2:
                fleet.broker.kill()
                fleet.start_broker()
            client.kill()
            client.wait(GIVE_UP_S)
        kills += 1
    fleet.client(*args)
    status = fleet.status("again")
    assert status["submitted"] == 200_000 and status["closed"]
    got = fleet.client(*args) # and once more
    assert "had this list already: 200000 URLs" in got.stderr.decode()
    assert fleet.status("again")["submitted"] == 200_000
    fleet.start_hasher() # what is no URL fails without a fetcher
    fleet.client("wait", "again", codes=(1,))
    out = fleet.client("results", "again", "--ordered", "-q", "--format",
                       "csv", codes=(1,)).stdout.decode().splitlines()[1:]
    assert [line.split(",")[1] for line in out] == \
        urls.read_text("ascii").splitlines()


def test_another_list(module_fleet, tmp_path):
    """Under the id of a batch that is complete: told, and nothing changes."""
    urls = [f"http://127.0.0.1:1/{n}" for n in range(3000)]
    submit(module_fleet, urls, "--id", "one-list", "--retry", "0")
    before = module_fleet.client("wait", "one-list", codes=(1,))
    cases = {"shorter": urls[:-1], "longer": urls + ["http://127.0.0.1:1/x"],
             "different": urls[:2500] + ["http://127.0.0.1:1/x"] + urls[2501:],
             "reversed": urls[::-1], "empty": []}
    for name, lines in cases.items():
        got = module_fleet.client("submit", "--id", "one-list", "-i", "-",
                                  stdin="\n".join(lines), codes=(2,))
        text = got.stderr.decode()
        assert "not the one that batch one-list was begun with" in text, name
    status = module_fleet.status("one-list")
    assert status["submitted"] == status["done"] == 3000
    assert submit(module_fleet, urls, "--id", "one-list") == "one-list"
    assert before.code == 1
    for args in (("-a", "md5"), ("--retry", "9")):
        got = module_fleet.client("submit", "--id", "one-list", *args, "-i",
                                  "-", stdin="\n".join(urls), codes=(2,))
        assert "other algorithms or options" in got.stderr.decode()


def test_another_list_for_the_rest(module_fleet):
    """A submission that is continued with another list is refused before any
    of it gets in."""
    lines = "".join(f"http://127.0.0.1:1/{n}\n" for n in range(1000))
    with started_client("submit", "--id", "half", "-i", "-",
                        broker=module_fleet.endpoints["client"],
                        stdin=subprocess.PIPE) as client:
        client.stdin.write(lines.encode())
        client.stdin.flush()
        wait_until(lambda: module_fleet.client(
            "status", "half", codes=(0, 2)).code == 0 and
            module_fleet.status("half")["submitted"] == 1000, "the half")
        client.kill()
    other = lines.replace("/17\n", "/seventeen\n") + "http://127.0.0.1:1/more"
    got = module_fleet.client("submit", "--id", "half", "-i", "-", stdin=other,
                              codes=(2,))
    assert "its first 1000 URLs differ" in got.stderr.decode()
    assert module_fleet.status("half")["submitted"] == 1000
    assert not module_fleet.status("half")["closed"]
    submit(module_fleet, (lines + "http://127.0.0.1:1/more").splitlines(),
           "--id", "half")
    assert module_fleet.status("half")["submitted"] == 1001


@pytest.fixture
def faulty(new_fleet, tmp_path):
    """A fleet whose store fails when told so."""
    fleet = new_fleet()
    fleet.faults = FaultyDisk(tmp_path)
    fleet.start_broker(env=fleet.faults.environment)
    fleet.start_hasher()
    fleet.start_fetcher()
    return fleet


FULL = "write ENOSPC .db-wal"


@needs_shim
def test_submit_waits_for_room(faulty, tmp_path):
    urls = write_list(tmp_path / "list", 20_000)
    submit(faulty, ["http://127.0.0.1:1/"], "--retry", "0")
    faulty.faults.fail(FULL)
    with started_client("submit", "-i", urls,
                        broker=faulty.endpoints["client"]) as client:
        line = client.stderr.readline().decode()
        assert "the broker's disk is full; nothing is lost" in line
        faulty.faults.work()
        _, err = client.communicate(timeout=GIVE_UP_S)
    assert client.returncode == 0
    assert err.decode() == "urlsum: the broker works again\n"


@needs_shim
def test_clients_give_up_in_time(faulty, nginx, origin, tmp_path):
    """Longer than --broker-wait: exit 3, one line why, one line that it is
    over."""
    batch = submit(faulty, [origin.url("gate/given-up/10/1")])
    wait_until(lambda: faulty.status(batch)["fetching"], "the transfer")
    faulty.faults.fail(FULL)
    origin.get("open/given-up")
    wait_until(lambda: faulty.status(batch).get("store_refuses"), "trouble")
    (row,) = faulty.client("status", batch, "--stuck", "--json").records()
    assert row["why"] == \
        "the store refuses its record: the broker's disk is full"
    urls = write_list(tmp_path / "list", 10)
    for args in (("wait", batch), ("results", batch, "--follow"),
                 ("submit", "-i", urls), ("get", nginx.url("x"))):
        got = faulty.client(*args, "--broker-wait", "4", codes=(3,))
        text = got.stderr.decode()
        assert text.count("nothing is lost, waiting") == 1, text
        assert text.count("the broker's disk is full") >= 2, text
    assert "in the way  the broker's disk is full" in \
        faulty.client("status", batch).stdout.decode()
    with started_client("results", batch, "--follow",
                        broker=faulty.endpoints["client"]) as client:
        assert b"disk is full" in client.stderr.readline()
        faulty.faults.work()
        out, err = client.communicate(timeout=GIVE_UP_S)
    assert client.returncode == 0 and out
    assert err.decode() == "urlsum: the broker works again\n"


def test_no_noise_when_the_reader_goes(module_fleet, nginx):
    """As sha512sum does: SIGPIPE, nothing on stderr."""
    urls = "\n".join(nginx.url(f"made/small-{n}") for n in range(2000))
    batch = submit(module_fleet, urls.splitlines())
    module_fleet.client("wait", batch)
    for args in (("results", batch), ("status", "--json"),
                 ("get", "-i", "-")):
        reader, writer = os.pipe()
        os.close(reader)
        run = subprocess.run(
            harness.client_command(args, module_fleet.endpoints["client"]),
            input=urls.encode(), stdout=writer, stderr=subprocess.PIPE,
            env=environment(), timeout=GIVE_UP_S, check=False)
        os.close(writer)
        assert run.returncode == -signal.SIGPIPE, (args, run)
        assert run.stderr == b"", args


def test_sigterm(module_fleet, origin):
    batch = submit(module_fleet, [origin.url("gate/term/10/1")])
    for args in (("wait", batch), ("results", batch, "--follow")):
        with started_client(*args,
                            broker=module_fleet.endpoints["client"]) as client:
            wait_until(lambda: int(open(f"/proc/{client.pid}/status")
                                   .read().split("SigBlk:\t")[1][:16], 16)
                       & 1 << (signal.SIGTERM - 1), "the signal's handling")
            client.send_signal(signal.SIGTERM)
            client.communicate(timeout=GIVE_UP_S)
        assert client.returncode == 143
    origin.get("open/term")
    module_fleet.client("wait", batch)
