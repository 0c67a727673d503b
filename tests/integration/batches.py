"""Lists, their submission, and what must have come of them."""
from harness import GIVE_UP_S, sha512


def small_urls(nginx, count, extra=""):
    """url -> digest of so many of nginx's small files."""
    return {nginx.url(f"made/small-{n}{extra}"):
            sha512((nginx.made / f"small-{n}").read_bytes())
            for n in range(count)}


def submit(fleet, urls, *args, **more):
    """The batch's id."""
    got = fleet.client("submit", *args, "-i", "-", stdin="\n".join(urls),
                       **more)
    (batch,) = got.lines
    return batch


def check_all(fleet, batch, want):
    """The batch ends, and its records, which are returned, are these, each
    once."""
    fleet.client("wait", batch, seconds=3 * GIVE_UP_S)
    records = fleet.client("results", batch, "--format", "jsonl").records()
    assert len(records) == len(want), "a record is lost or came twice"
    assert {record["url"]: record["digests"]["sha512"]
            for record in records} == want
    return records
