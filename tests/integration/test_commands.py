"""submit, status, results, wait, cancel, workers: a batch that outlives its
client."""
import json
import os
import signal
import subprocess
import threading

import harness
import origin as odd
from batches import small_urls, submit
from harness import GIVE_UP_S, sha512, started_client, wait_until


def test_submit_and_results(module_fleet, nginx):
    want = small_urls(nginx, 400)
    batch = submit(module_fleet, want)
    module_fleet.client("wait", batch)
    status = module_fleet.status(batch)
    assert status["submitted"] == status["done"] == 400
    assert status["failed"] == 0
    assert module_fleet.client("results", batch).sums() == want
    # As often as one likes, in any format.
    assert module_fleet.client("results", batch).sums() == want
    ordered = module_fleet.client("results", batch, "--ordered").lines
    assert [line.split("  ")[1] for line in ordered] == list(want)
    records = module_fleet.client("results", batch, "--format",
                                  "jsonl").records()
    assert {record["url"]: record["digests"]["sha512"]
            for record in records} == want


def test_exit_codes(module_fleet, nginx):
    batch = submit(module_fleet, [nginx.url("x"), nginx.url("missing")])
    module_fleet.client("wait", batch, codes=(1,))
    got = module_fleet.client("results", batch, codes=(1,))
    assert got.sums() == {nginx.url("x"): sha512(b"x")}
    for command in ("wait", "results", "status", "cancel"):
        got = module_fleet.client(command, "no-such-batch", codes=(1, 2, 3))
        assert got.stdout == b"" and "no-such-batch" in got.stderr.decode()


def test_results_of_an_unfinished_batch(module_fleet, nginx, origin):
    """results tells what is there (exit 3: incomplete); --follow the rest."""
    gated = origin.url("gate/follow/200000/1")
    batch = submit(module_fleet, [nginx.url("x"), gated])
    wait_until(lambda: module_fleet.status(batch)["done"] == 1, "one record")
    got = module_fleet.client("results", batch, codes=(3,))
    assert got.sums() == {nginx.url("x"): sha512(b"x")}
    with started_client("results", batch, "--follow",
                        broker=module_fleet.endpoints["client"]) as client:
        assert client.stdout.readline().endswith(b"/x\n")
        origin.get("open/follow")
        out, _ = client.communicate(timeout=GIVE_UP_S)
    assert client.returncode == 0
    assert out.decode() == f"{odd.digest(200000, 1)}  {gated}\n"


def test_wait_waits(module_fleet, origin):
    batch = submit(module_fleet, [origin.url("gate/wait/10/1")])
    with started_client("wait", batch,
                        broker=module_fleet.endpoints["client"]) as client:
        wait_until(lambda: module_fleet.status(batch)["fetching"] == 1,
                   "the transfer")
        assert client.poll() is None
        origin.get("open/wait")
        client.communicate(timeout=GIVE_UP_S)
    assert client.returncode == 0


def test_cancel(module_fleet, nginx, origin):
    """Every URL has its record all the same, and nothing is left running."""
    urls = [origin.url(f"gate/never/300000/{n}") for n in range(20)]
    batch = submit(module_fleet, [nginx.url("x"), *urls])
    wait_until(lambda: module_fleet.status(batch)["done"] == 1, "one record")
    module_fleet.client("cancel", batch)
    module_fleet.client("wait", batch, codes=(3,)) # not all of it is there
    status = module_fleet.status(batch)
    assert status["done"] == status["submitted"] == 21
    assert status["cancelled_urls"] == 20
    records = module_fleet.client("results", batch, "--format", "jsonl",
                                  codes=(3,)).records()
    outcomes = {record["url"]: record["outcome"] for record in records}
    assert len(records) == len(outcomes) == 21
    assert outcomes.pop(nginx.url("x")) == "ok"
    assert set(outcomes.values()) == {"cancelled"}
    wait_until(lambda: all(worker["jobs"] == 0
                           for worker in workers(module_fleet)), "idle workers")


def workers(fleet):
    return fleet.client("workers", "--json").records()


def test_workers(module_fleet):
    listed = workers(module_fleet)
    roles = sorted(worker["role"] for worker in listed)
    assert roles == ["fetcher", "hasher", "hasher"] # two threads, two sessions
    for worker in listed:
        assert worker["name"].startswith(worker["role"] + "-")
    text = module_fleet.client("workers").stdout.decode()
    assert all(worker["name"] in text for worker in listed)


def test_status_lists_batches(module_fleet, nginx):
    batch = submit(module_fleet, [nginx.url("x")])
    module_fleet.client("wait", batch)
    assert batch in module_fleet.client("status").stdout.decode()
    assert batch in module_fleet.client("status", batch).stdout.decode()
    listed = module_fleet.client("status", "--json").records()
    assert batch in [each["id"] for each in listed]


def test_submit_with_an_id(module_fleet, nginx):
    assert submit(module_fleet, [nginx.url("x")], "--id", "mine-1") == "mine-1"
    module_fleet.client("wait", "mine-1")
    got = module_fleet.client("results", "mine-1")
    assert got.sums() == {nginx.url("x"): sha512(b"x")}


def test_interrupted_submission_goes_on(module_fleet, nginx):
    """A client that dies half way loses nothing: the same command with the
    same --id submits the rest, and no URL is there twice."""
    want = small_urls(nginx, 2000)
    lines = "".join(url + "\n" for url in want).encode()
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as pipe:
        with started_client("submit", "--id", "cut-off", "-i", "-",
                            broker=module_fleet.endpoints["client"],
                            stdin=reader) as client:
            os.close(reader)
            pipe.write(lines[:len(lines) // 2])
            pipe.flush()

            def submitted():
                # Until the first submission there is no such batch.
                got = module_fleet.client("status", "cut-off", "--json",
                                          codes=(0, 1, 2, 3))
                return got.code == 0 and json.loads(got.stdout)["submitted"]
            wait_until(submitted, "a part of the list")
            client.kill()
            client.wait(10)
    status = module_fleet.status("cut-off")
    assert 0 < status["submitted"] < 2000 and not status["closed"]
    assert submit(module_fleet, want, "--id", "cut-off") == "cut-off"
    module_fleet.client("wait", "cut-off")
    assert module_fleet.status("cut-off")["submitted"] == 2000
    assert module_fleet.client("results", "cut-off").sums() == want


def test_interrupt_leaves_the_batch(module_fleet, origin):
    """^C ends the client with 130 and the batch's id; the batch goes on."""
    url = origin.url("gate/interrupt/100000/2")
    with started_client("get", url,
                        broker=module_fleet.endpoints["client"]) as client:
        wait_until(lambda: "/gate/interrupt/100000/2"
                   in origin.stats()["by_path"], "the request")
        client.send_signal(signal.SIGINT)
        out, err = client.communicate(timeout=GIVE_UP_S)
    assert client.returncode == 130 and out == b""
    batch = module_fleet.client("status", "--json").records()[-1]["id"]
    assert batch in err.decode()
    origin.get("open/interrupt")
    module_fleet.client("wait", batch)
    got = module_fleet.client("results", batch)
    assert got.sums() == {url: odd.digest(100000, 2)}


def test_interrupt_embedded(origin):
    """Without a broker there is nobody to go on: 130, and nothing is left."""
    url = origin.url("gate/embedded/100000/2")
    with started_client("get", url) as client:
        wait_until(lambda: "/gate/embedded/100000/2"
                   in origin.stats()["by_path"], "the request")
        client.send_signal(signal.SIGINT)
        out, _ = client.communicate(timeout=GIVE_UP_S)
    assert client.returncode == 130 and out == b""


def test_reader_that_goes_away(module_fleet, nginx):
    """`urlsum get ... | head -1` ends, without a crash."""
    urls = "\n".join(small_urls(nginx, 2000)).encode()
    client = subprocess.Popen(
        harness.client_command(["get", "-i", "-"],
                               module_fleet.endpoints["client"]),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=harness.environment())
    feed = threading.Thread(target=give, args=(client.stdin, urls))
    feed.start()
    client.stdout.readline()
    client.stdout.close()
    assert client.wait(GIVE_UP_S) in (0, 1, 3, -signal.SIGPIPE, 141)
    feed.join(GIVE_UP_S)
    assert not harness.REPORTS.search(client.stderr.read().decode())
    client.stderr.close()


def give(pipe, data):
    try:
        pipe.write(data)
        pipe.close()
    except BrokenPipeError:
        pass


def test_list_that_comes_slowly(module_fleet, nginx):
    """What is at hand is fetched although the list has no end yet."""
    with started_client("get", "-i", "-", stdin=subprocess.PIPE,
                        broker=module_fleet.endpoints["client"]) as client:
        for n in range(3):
            client.stdin.write(nginx.url(f"x?{n}").encode() + b"\n")
            client.stdin.flush()
            assert client.stdout.readline().endswith(f"x?{n}\n".encode())
        out, _ = client.communicate(timeout=GIVE_UP_S)
        assert client.returncode == 0 and out == b""


def test_ipc(new_fleet, nginx):
    fleet = new_fleet("ipc")
    fleet.start_broker()
    fleet.start_hasher()
    fleet.start_fetcher()
    want = small_urls(nginx, 100)
    assert fleet.client("get", "-i", "-", stdin="\n".join(want)).sums() == want


def test_broker_from_the_environment(module_fleet, nginx):
    env = harness.environment(URLSUM_BROKER=module_fleet.endpoints["client"])
    got = harness.urlsum("submit", nginx.url("x"), env=env)
    (batch,) = got.lines
    harness.urlsum("wait", batch, env=env)
    assert harness.urlsum("results", batch, env=env).sums() == \
        {nginx.url("x"): sha512(b"x")}


def test_shorthand(nginx):
    """`urlsum URL...` is `urlsum get URL...`."""
    got = harness.urlsum(nginx.url("x"), nginx.url("made/1"))
    assert got.sums() == {nginx.url("x"): sha512(b"x"),
                          nginx.url("made/1"): odd.digest(1, 1)}
