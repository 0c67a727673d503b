"""Every sin of tests/origin gives the record that stands beside it."""
import json
import subprocess
import sys

import pytest

import harness

sys.path.insert(0, str(harness.ROOT / "tests" / "origin"))
import registry  # noqa: E402
import sins  # noqa: E402,F401 - registers them


def complaints(record, expect):
    """What of the record is not as expected."""
    for name, value in expect.items():
        got = record.get(name)
        if name == "body":
            digest = record.get("digests", {}).get("sha512")
            if digest != harness.sha512(value) or record["size"] != len(value):
                yield "another body"
        elif callable(value):
            if not value(got):
                yield f"{name}={got}"
        elif got != value:
            yield f"{name}={got} and not {value}"


def check(records, sins_of):
    """sins_of: url -> sin or door."""
    left = dict(sins_of)
    wrong = []
    for record in records:
        sin = left.pop(record["url"])
        wrong += [f"{record['url']}: {what}\n    {record}"
                  for what in complaints(record, sin.expect)]
    assert not left
    assert not wrong, "\n".join(wrong)


def groups():
    """options -> the sins that are committed with them."""
    found = {}
    for sin in registry.SINS.values():
        found.setdefault(sin.options, []).append(sin)
    return found


@pytest.mark.parametrize("options", groups(), ids=" ".join)
def test_every_sin(mode, sinner, options):
    sins_of = {sinner.url(sin.path): sin for sin in groups()[options]}
    done = mode.get("-i", "-", "--format", "jsonl", "--retry", "0",
                    "--want-digest", *options, stdin="\n".join(sins_of),
                    codes=(1,))
    check(done.records(), sins_of)


@pytest.fixture(scope="module")
def doors(nginx):
    """name -> URL of the server whose ports have the sins."""
    with subprocess.Popen(
            [sys.executable, "-B", harness.ROOT / "tests/origin/doors.py",
             nginx.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True) as process:
        yield json.loads(process.stdout.readline().removeprefix("ports="))
        process.stdin.close()


def test_every_door(mode, doors):
    sins_of = {doors[name]: door for name, door in registry.DOORS.items()}
    done = mode.get("-i", "-", "--format", "jsonl", "--retry", "0",
                    "--connect-timeout", "2", stdin="\n".join(sins_of),
                    codes=(1,))
    check(done.records(), sins_of)


@pytest.mark.plain
def test_floods_take_no_memory(new_fleet, sinner):
    """A hundred megabytes of header, forty times over: nobody keeps it."""
    fleet = new_fleet()
    programs = (fleet.start_broker("--parallel-max-host", "64"),
                fleet.start_hasher(), fleet.start_fetcher())
    names = [path for path, sin in registry.SINS.items()
             if path.startswith("floods/") and not sin.options]
    urls = [sinner.url(f"{path}?{number}") for path in names
            for number in range(40)]
    fleet.client("get", "-i", "-", "--retry", "0", "-q",
                 stdin="\n".join(urls), codes=(1,))
    for program in programs:
        assert program.memory_max_kib() < 48 * 1024, program.name


def test_answers_nobody_asked_for(module_fleet, sinner):
    """What follows an answer is not taken for the next one's."""
    for how in ("together", "no-body", "blank-lines"):
        urls = [sinner.url(f"more/{how}/{number}") for number in range(50)]
        records = module_fleet.client(
            "get", "--format", "jsonl", "--retry", "0", "-i", "-",
            stdin="\n".join(urls)).records()
        for record in records:
            path = record["url"].removeprefix(sinner.base)
            content = b"" if how == "no-body" else path.encode()
            assert record["digests"]["sha512"] == harness.sha512(content)
    # Also what comes while the connection waits for its next request.
    for number in range(3):
        path = f"more/apart/{number}"
        sums = module_fleet.client("get", sinner.url(path)).sums()
        assert sums[sinner.url(path)] == harness.sha512(f"/{path}".encode())
        harness.wait_until(lambda: sinner.stats().get("poison", 0) > number,
                           "the answer that nobody asked for")


def test_server_declares_another_digest(mode, sinner):
    """Its digest is printed, a line on stderr says so, and the exit code."""
    done = mode.get("-a", "md5", sinner.url("declared/wrong-md5-small"),
                    sinner.url("declared/md5-small"), codes=(1,))
    assert len(done.sums()) == 2
    assert len(done.errors) == 1
    assert "WARNING: its server declares (content-md5) md5 d41d8cd98f00" in \
        done.errors[0]
    quiet = mode.get("-q", "-a", "md5",
                     sinner.url("declared/wrong-md5-small"), codes=(1,))
    assert not quiet.errors
    # Not computed, so not compared.
    done = mode.get("--format", "jsonl",
                    sinner.url("declared/wrong-md5-small"))
    record = done.records()[0]
    assert "digest_agrees" not in record
    assert [item["algorithm"] for item in record["declared"]] == ["md5"]


def test_no_resume(mode, sinner):
    """Not gone on with: a cut is a cut, and the next try begins anew."""
    done = mode.get("--no-resume", "--format", "jsonl", "--retry", "1",
                    sinner.url("resume/whole-again"),
                    sinner.url("resume/whole-again-small"))
    for record in done.records():
        assert record["outcome"] == "ok"
        assert record["attempts"] == 2
        assert "resumes" not in record
