"""retry, rm, status --stuck, help: what becomes of a batch afterwards."""
import re

import harness
import origin as odd
from batches import submit
from harness import GIVE_UP_S, ROOT, started_client, wait_until


def counts(got):
    return int(re.search(r"(\d+) failed URLs are queued again",
                         got.stderr.decode()).group(1))


def outcomes(fleet, batch, *args, codes=(0, 1)):
    records = fleet.client("results", batch, "--format", "jsonl", *args,
                           codes=codes).records()
    assert len({record["seq"] for record in records}) == len(records)
    return {record["url"]: record["outcome"] for record in records}


def test_retry_makes_good(module_fleet, origin):
    """Every failure that is good now gets its digest; nothing is fetched a
    second time that was good, and each line has one record."""
    flaky = [origin.url(f"flaky/retry-{n}/2/502") for n in range(30)]
    good = [origin.url(f"gen/1000/{n}/retry") for n in range(30)]
    batch = submit(module_fleet, [url for pair in zip(flaky, good)
                                  for url in pair], "--retry", "0")
    module_fleet.client("wait", batch, codes=(1,))
    assert module_fleet.status(batch)["failed"] == 30
    assert counts(module_fleet.client("retry", batch, "--only", "5xx")) == 30
    module_fleet.client("wait", batch, codes=(1,)) # the second 502 of each
    assert counts(module_fleet.client("retry", batch)) == 30
    module_fleet.client("wait", batch)
    status = module_fleet.status(batch)
    assert status["done"] == status["submitted"] == 60
    assert status["failed"] == 0 and status["state"] == "finished"
    found = outcomes(module_fleet, batch)
    assert len(found) == 60 and set(found.values()) == {"ok"}
    ordered = module_fleet.client("results", batch, "--ordered", "--format",
                                  "jsonl").records()
    assert [record["seq"] for record in ordered] == list(range(60))
    by_path = origin.stats()["by_path"]
    assert all(by_path[f"/gen/1000/{n}/retry"] == 1 for n in range(30))
    assert all(by_path[f"/flaky/retry-{n}/2/502"] == 3 for n in range(30))
    got = module_fleet.client("retry", batch)
    assert "nothing to retry: no URL has failed" in got.stderr.decode()


def test_retry_only(module_fleet, nginx, origin):
    urls = {nginx.url("x"): None, origin.url("status/404"): "404",
            origin.url("status/502"): "502", "http://127.0.0.1:1/": "connect",
            "nonsense": "invalid_url"}
    batch = submit(module_fleet, urls, "--retry", "0")
    module_fleet.client("wait", batch, codes=(1,))
    for only, count in (("404", 1), ("4xx,5xx", 2), ("http", 2),
                        ("connect,invalid_url", 2), ("http,404,4xx", 2)):
        got = module_fleet.client("retry", batch, "--only", only)
        assert counts(got) == count, only
        module_fleet.client("wait", batch, codes=(1,))
        assert len(outcomes(module_fleet, batch)) == 5
    got = module_fleet.client("retry", batch, "--only", "tls,408")
    assert "none of its 4 failures is of these kinds" in got.stderr.decode()
    for wrong in ("nonsense", "6xx", "50", "ok", ","):
        got = module_fleet.client("retry", batch, "--only", wrong, codes=(2,))
        assert "kind" in got.stderr.decode()


def test_retry_help_names_every_kind():
    text = harness.urlsum("retry", "--help").stdout.decode()
    table = (ROOT / "proto" / "fail.h").read_text("utf-8")
    names = re.findall(r'X\(\d+, \w+, "(\w+)"', table)
    assert len(names) > 15
    for name in names:
        if name not in ("ok", "cancelled"):
            assert re.search(rf"\b{name}\b", text), name


def test_retry_refused(module_fleet, origin):
    """Not of a cancelled batch, nor of one whose list is not complete."""
    batch = submit(module_fleet, [origin.url("gate/refused/10/1")])
    module_fleet.client("cancel", batch)
    module_fleet.client("wait", batch, codes=(3,))
    got = module_fleet.client("retry", batch, codes=(2,))
    assert "cancelled" in got.stderr.decode()
    got = module_fleet.client("retry", "no-such-batch", codes=(2,))
    assert "no such batch" in got.stderr.decode()


def test_retry_of_a_running_batch(module_fleet, origin):
    """A batch whose other URLs are still under way at the same host: none of
    them is fetched twice."""
    gates = [origin.url(f"gate/running/2000/{n}") for n in range(5)]
    batch = submit(module_fleet, [origin.url("flaky/running/1/502"), *gates,
                                  origin.url("flaky/running2/1/502")],
                   "--retry", "0")
    wait_until(lambda: module_fleet.status(batch)["failed"] == 2, "failures")
    assert counts(module_fleet.client("retry", batch)) == 2
    wait_until(lambda: module_fleet.status(batch)["done"] == 2, "retries")
    origin.get("open/running")
    module_fleet.client("wait", batch)
    assert set(outcomes(module_fleet, batch).values()) == {"ok"}
    by_path = origin.stats()["by_path"]
    assert all(by_path[f"/gate/running/2000/{n}"] == 1 for n in range(5))


def test_retry_survives_the_broker(new_fleet, origin):
    """What was queued again is queued again after SIGKILL, too."""
    fleet = new_fleet()
    fleet.start_broker()
    fleet.start_hasher()
    fetcher = fleet.start_fetcher()
    urls = [origin.url(f"flaky/killed-{n}/1/502") for n in range(50)]
    batch = submit(fleet, urls, "--retry", "0")
    fleet.client("wait", batch, codes=(1,))
    fetcher.stop()
    assert counts(fleet.client("retry", batch)) == 50
    fleet.broker.kill()
    fleet.start_broker()
    assert fleet.status(batch)["done"] == 0
    fleet.start_fetcher()
    fleet.client("wait", batch)
    found = outcomes(fleet, batch)
    assert len(found) == 50 and set(found.values()) == {"ok"}


def test_results_follow_a_retried_batch(module_fleet, origin):
    batch = submit(module_fleet, [origin.url("flaky/follow-retried/1/502")],
                   "--retry", "0")
    module_fleet.client("wait", batch, codes=(1,))
    module_fleet.client("retry", batch)
    got = module_fleet.client("results", batch, "--follow")
    assert len(got.lines) == 1
    assert "502" not in got.stderr.decode()


def test_rm(module_fleet, nginx, origin):
    batch = submit(module_fleet, [nginx.url("x")])
    other = submit(module_fleet, [origin.url("gate/rm/10/1")])
    module_fleet.client("wait", batch)
    got = module_fleet.client("rm", other, batch, codes=(2,))
    assert f"urlsum cancel {other}" in got.stderr.decode()
    assert f"batch {batch} is removed" in got.stderr.decode()
    for command in ("status", "results", "wait", "rm", "retry"):
        got = module_fleet.client(command, batch, codes=(2,))
        assert "no such batch" in got.stderr.decode()
    assert batch not in module_fleet.client("status").stdout.decode()
    # The id is free at once.
    assert submit(module_fleet, [nginx.url("x?2")], "--id", batch) == batch
    module_fleet.client("wait", batch)
    assert len(module_fleet.client("results", batch).lines) == 1
    origin.get("open/rm")
    module_fleet.client("wait", other)
    module_fleet.client("rm", "-q", other, batch)


def stuck(fleet, batch):
    rows = fleet.client("status", batch, "--stuck", "--json").records()
    return {row["url"]: row for row in rows}


def test_stuck(module_fleet, origin):
    gated = origin.url("gate/stuck/1000/1")
    again = origin.url("status/502")
    batch = submit(module_fleet, [gated, again, origin.url("gen/1/1/stuck")])
    rows = wait_until(
        lambda: (lambda rows: rows if again in rows and gated in rows and
                 rows[again]["state"] == "RETRY_WAIT" and
                 rows[gated]["state"] == "LEASED" else None)
        (stuck(module_fleet, batch)), "both states")
    assert re.fullmatch(r"http 502; again in \d+ s", rows[again]["why"])
    assert rows[again]["attempts"] >= 1 and rows[again]["due_ms"] > 0
    assert rows[gated]["fetcher"].startswith("fetcher-")
    assert rows[gated]["seq"] == 0
    text = module_fleet.client("status", batch, "--stuck",
                               "-n", "1").stdout.decode()
    assert gated in text and again not in text and "1 more at hand" in text
    wait_until(lambda: re.match("nothing of its body for [0-9]+ s: the server",
                                stuck(module_fleet, batch)[gated]["why"]),
               "the reason")
    module_fleet.client("cancel", batch)
    origin.get("open/stuck")
    module_fleet.client("wait", batch, codes=(3,))
    text = module_fleet.client("status", batch, "--stuck").stdout.decode()
    assert "for nothing" in text
    got = module_fleet.client("status", "--stuck", codes=(2,))
    assert "wants a BATCH" in got.stderr.decode()


def test_stuck_behind_the_limit_of_a_host(module_fleet, origin):
    urls = [origin.url(f"gate/limit/10/{n}") for n in range(20)]
    batch = submit(module_fleet, urls)
    rows = wait_until(
        lambda: (lambda rows: rows if sum(
            row["state"] == "LEASED" for row in rows.values()) == 8 else None)
        (stuck(module_fleet, batch)), "eight transfers")
    queued = [row for row in rows.values() if row["state"] == "QUEUED"]
    assert len(queued) == 12
    assert {row["why"] for row in queued} == \
        {"its host has 8 transfers, the limit"}
    assert [row["state"] for row in rows.values()] == \
        ["LEASED"] * 8 + ["QUEUED"] * 12
    origin.get("open/limit")
    module_fleet.client("wait", batch)


def test_said_once_who_is_missing(new_fleet, origin):
    """No fetcher, then no hasher: status shows it, a waiting client says it
    once and goes on by itself."""
    fleet = new_fleet()
    fleet.start_broker()
    batch = submit(fleet, [origin.url("gen/100/1/missing")])
    assert fleet.status(batch)["hindrance"] == "no fetcher is connected"
    with started_client("results", batch, "--follow",
                        broker=fleet.endpoints["client"]) as client:
        line = client.stderr.readline().decode()
        assert line == f"urlsum: batch {batch} waits: no fetcher is connected\n"
        fleet.start_fetcher()
        line = client.stderr.readline().decode()
        assert line == f"urlsum: batch {batch} waits: no hasher is connected\n"
        (row,) = stuck(fleet, batch).values()
        assert row["why"] == "no hasher is connected"
        fleet.start_hasher()
        out, err = client.communicate(timeout=GIVE_UP_S)
    assert client.returncode == 0 and err == b""
    assert out.startswith(odd.digest(100, 1).encode())
    assert "hindrance" not in fleet.status(batch)


def test_open_batch_is_told(module_fleet):
    """Nobody completes it: whoever waits is told what to do."""
    with started_client("submit", "--id", "left-open", "-i", "-",
                        broker=module_fleet.endpoints["client"],
                        stdin=harness.subprocess.PIPE) as client:
        client.stdin.write(b"http://127.0.0.1:1/\n")
        client.stdin.flush()
        wait_until(lambda: module_fleet.client(
            "status", "left-open", codes=(0, 2)).code == 0 and
            module_fleet.status("left-open")["submitted"], "the URL")
        client.kill()
    with started_client("results", "left-open", "--follow", "-q",
                        broker=module_fleet.endpoints["client"]) as client:
        line = client.stderr.readline().decode()
        assert "batch left-open is open" in line
        assert "urlsum cancel left-open" in line
        module_fleet.client("cancel", "left-open")
        client.communicate(timeout=GIVE_UP_S)
    assert client.returncode == 1 # its one URL failed; none was cancelled


def test_help():
    whole = harness.urlsum("help").stdout
    assert whole == harness.urlsum("--help").stdout
    for command in ("get", "submit", "status", "results", "wait", "retry",
                    "cancel", "rm", "workers"):
        assert command in whole.decode()
        assert harness.urlsum("help", command).stdout == \
            harness.urlsum(command, "--help").stdout
    got = harness.urlsum("help", "no", codes=(2,)).stderr
    assert b"'no' is not a subcommand" in got
    got = harness.urlsum("help", "get", "rm", codes=(2,)).stderr
    assert b"one subcommand" in got


def test_what_an_endpoint_looks_like():
    got = harness.urlsum("status", "--broker", "ftp://x", codes=(2,))
    assert "tcp://HOST" in got.stderr.decode()
    got = harness.urlsum("status", "--broker", "tcp://127.0.0.1:1",
                         "--connect-wait", "0.3", codes=(3,))
    assert "tcp://HOST:PORT" in got.stderr.decode()
