"""The history is judged: every line its record, and nothing else."""
import base64
import collections
import json
import re
import sqlite3

import bodies
import harness
import world as worlds

# How a sanitizer's report and a failed assert begin.
REPORTS = re.compile(harness.REPORTS.pattern.encode("ascii") +
                     rb"|Assertion .*failed|assertion failed|"
                     rb"double free|corrupted|stack smashing")
# Log events that mean that a program broke the protocol or a promise.
DEFECTS = re.compile(rb" event=(job\.refused_event|job\.no_row|"
                     rb"worker\.bad_frame|worker\.bad_digest|link\.bad_frame|"
                     rb"batch\.no_memory|batch\.algorithms|fetch\.repeated|"
                     rb"fetcher\.gave_up|hasher\.failed) ")
SHOWN = 5


class Report:
    """Checks, counted; the first differences of each that fails."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, name, differences):
        differences = list(differences)
        if not differences:
            self.passed += 1
            print(f"ok - {name}")
            return
        self.failed += 1
        print(f"FAIL - {name}: {len(differences)}")
        for difference in differences[:SHOWN]:
            print(f"  {difference}")


def read_records(path):
    """The records of a whole or interrupted output, raw lines too."""
    with open(path, "rb") as file:
        for raw in file:
            if raw.endswith(b"\n"):
                yield json.loads(raw), raw


def url_of(record):
    if "url" in record:
        return record["url"].encode("utf-8")
    return base64.b64decode(record["url_bytes"])


def check_once(lines, records):
    """One record a line, in order, of the URL of that line."""
    if len(records) != len(lines):
        yield f"{len(records)} records of {len(lines)} lines"
    seen = collections.Counter(record["seq"] for record in records)
    for seq, count in seen.items():
        if count > 1:
            yield f"seq {seq} has {count} records"
    for seq in range(len(lines)):
        if seq not in seen:
            yield f"seq {seq} has no record: {lines[seq].url!r}"
    for place, record in enumerate(records):
        if place != record["seq"]:
            yield f"seq {record['seq']} is at place {place} of the list"
        elif place < len(lines) and url_of(record) != lines[place].url:
            yield f"seq {place} is {url_of(record)!r}, not {lines[place].url!r}"


def pairs(lines, records):
    for record in records:
        if record["seq"] < len(lines):
            yield lines[record["seq"]], record


def is_lost(record):
    return record["outcome"] == "worker_lost"


def check_lost(lines, records):
    """Reported apart: chaos that is denser than what a URL may survive."""
    for line, record in pairs(lines, records):
        if is_lost(record):
            yield f"seq {record['seq']} {line.path}"


def check_outcomes(lines, records):
    for line, record in pairs(lines, records):
        got = record["outcome"], record.get("http_status", 0)
        if got != (line.outcome, line.status) and not is_lost(record):
            yield (f"seq {record['seq']} {line.path or line.url}: {got}, not "
                   f"{(line.outcome, line.status)}: {record.get('message')}")


def check_digests(lines, records):
    content = memoryview(bodies.block())
    for line, record in pairs(lines, records):
        if record["outcome"] == "ok" and line.outcome == "ok":
            got = record["size"], record["digests"]["sha512"]
            if got != (line.size, line.digest(content)):
                yield (f"seq {record['seq']} {line.path}: size {got[0]}, "
                       f"digest {got[1]}")


def check_attempts(lines, records, faults):
    """Charged only by the origin's own faults, as many as it committed."""
    for line, record in pairs(lines, records):
        if is_lost(record) or not line.path:
            continue
        low, high = line.attempts()
        if line.faults:
            high = min(high, 1 + faults.get(line.path, 0))
        if not low <= record["attempts"] <= high:
            yield (f"seq {record['seq']} {line.path}: {record['attempts']} "
                   f"attempts, not {low} to {high}: {record}")


def check_follower(path, is_whole, raw_by_seq):
    """What a follower printed before it ended, each record once and final."""
    seen = set()
    for record, raw in read_records(path):
        if record["seq"] in seen:
            yield f"{path.name}: seq {record['seq']} twice"
        seen.add(record["seq"])
        if raw_by_seq.get(record["seq"]) != raw:
            yield f"{path.name}: seq {record['seq']} is another record: {raw!r}"
    if is_whole and len(seen) != len(raw_by_seq):
        yield f"{path.name}: {len(seen)} records of {len(raw_by_seq)}"


def check_status(lines, status):
    want = {"submitted": len(lines), "done": len(lines), "closed": True,
            "cancelled": 0, "fetching": 0, "hashing": 0, "retrying": 0,
            "failed": sum(line.outcome != "ok" for line in lines),
            "bytes": sum(line.size for line in lines if line.outcome == "ok")}
    for key, value in want.items():
        if key in status and status[key] != value:
            yield f"{key} is {status[key]}, not {value}"
    if not any(key in status for key in want):
        yield f"an unknown form: {status}"


def check_store(path, count):
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        for (text,) in database.execute("PRAGMA integrity_check"):
            if text != "ok":
                yield text
        for table, want in (("job", 0), ("place", count), ("result", count)):
            (got,), = database.execute(f"SELECT count(*) FROM {table}")
            if got != want:
                yield f"{table} has {got} rows, not {want}"
    finally:
        database.close()


def check_logs(folder, pattern):
    for path in sorted(folder.glob("*.log")):
        if path.name == "history.log":
            continue
        with open(path, "rb") as file:
            for raw in file:
                if pattern.search(raw):
                    yield f"{path.name}: {raw[:400].decode(errors='replace')}"


def check_memory(world):
    for role, rss in world.rss.items():
        if rss > worlds.RSS_MAX_MIB[role]:
            yield f"{role}: {rss:.0f} MiB, not {worlds.RSS_MAX_MIB[role]}"


def count_events(folder, event):
    """How often something is told in all logs."""
    found = f" event={event} ".encode("ascii")
    return sum(raw.count(found) for path in folder.glob("*.log")
               for raw in [path.read_bytes()])
