"""Every sin of tests/origin gives the record that stands beside it."""
import sys

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


def check(records, base):
    found = {record["url"]: record for record in records}
    wrong = []
    for path, sin in registry.SINS.items():
        record = found.pop(f"{base}/{path}")
        wrong += [f"{path}: {what}\n    {record}"
                  for what in complaints(record, sin.expect)]
    assert not found
    assert not wrong, "\n".join(wrong)


def test_every_sin(mode, sinner):
    urls = "".join(sinner.url(path) + "\n" for path in registry.SINS)
    done = mode.get("-i", "-", "--format", "jsonl", "--retry", "0",
                    "--want-digest", stdin=urls, codes=(1,))
    check(done.records(), sinner.base)


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
