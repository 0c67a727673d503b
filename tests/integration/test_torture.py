"""Ten thousand random servers that cut and lie: never a wrong digest."""
import sys

import harness

sys.path.insert(0, str(harness.ROOT / "tests" / "origin"))
from sins.torture import Plan  # noqa: E402


def torture(get, sinner, seeds):
    urls = {sinner.url(f"torture/{seed}"): Plan(seed) for seed in seeds}
    done = get("-i", "-", "--format", "jsonl", "--retry", "0",
               stdin="\n".join(urls) + "\n", codes=(1,))
    asked = sinner.stats()
    oks = resumed = 0
    wrong = []
    for record in done.records():
        url = record["url"]
        plan = urls.pop(url)
        count = asked[url.removeprefix(sinner.base + "/")]
        what = f"{plan.manner} {url}\n    {record}"
        if record["outcome"] != "ok":
            if plan.must_succeed():
                wrong.append(f"failed: {what}")
            continue
        oks += 1
        resumed += "resumes" in record
        if record["digests"]["sha512"] not in map(harness.sha512,
                                                  plan.right()):
            wrong.append(f"WRONG DIGEST: {what}")
        if record.get("resumes", 0) != count - 1:
            wrong.append(f"asked {count} times: {what}")
    assert not urls, f"without a record: {list(urls)[:5]}"
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:20])
    return oks, resumed


AT_ONCE = ("--parallel-max-host", "128")


def test_alone(sinner):
    patterns = 10000 if harness.PATIENCE == 1 else 2000
    oks, resumed = torture(lambda *args, **more: harness.urlsum(
        "get", *AT_ONCE, *args, **more), sinner, range(patterns))
    # It is no torture if nothing was resumed, and nothing could fail.
    assert patterns * 0.6 < oks < patterns * 0.95
    assert resumed > patterns * 0.3


def test_fleet(sinner, new_fleet):
    fleet = new_fleet()
    fleet.start_broker(*AT_ONCE)
    fleet.start_hasher()
    fleet.start_hasher()
    fleet.start_fetcher()
    oks, _resumed = torture(
        lambda *args, **more: fleet.client("get", *args, **more), sinner,
        range(20000, 21000))
    assert oks > 600
