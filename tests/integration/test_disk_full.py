"""The store's disk is full, or fails: nothing is acknowledged that is not
committed, nothing is lost, and all goes on by itself when there is room."""
import itertools
import os

import pytest

import origin as odd
from batches import check_all, small_urls
from disks import FaultyDisk, SmallDisk, needs_root, needs_shim
from harness import sha512, started_client, urlsum, wait_until


@pytest.fixture
def disk(tmp_path):
    ours = SmallDisk(tmp_path / "disk")
    yield ours
    ours.end()


@pytest.fixture
def full_fleet(new_fleet, disk):
    """A fleet whose store is on the small disk."""
    fleet = new_fleet()
    fleet.store = disk.folder / "store.db"
    fleet.start_broker()
    fleet.start_hasher()
    fleet.start_fetcher()
    return fleet


gates = (f"full-{n}" for n in itertools.count()) # one, once open, stays open


def first_list(nginx, origin, gate):
    """Small ones, and some that cannot end before the room is gone: more than
    may find room in what the log has left."""
    want = small_urls(nginx, 1500)
    want.update({origin.url(f"gate/{gate}/1000/{n}"): odd.digest(1000, n)
                 for n in range(300)})
    return want


def long_list(nginx):
    """More than a full disk's log has room for: about 10 MB of URLs."""
    digests = [sha512((nginx.made / f"small-{n}").read_bytes())
               for n in range(2000)]
    return {nginx.url(f"made/small-{n % 2000}?{n}-{'x' * 1000}"):
            digests[n % 2000] for n in range(10000)}


def submit(fleet, batch, urls, *args, **more):
    return fleet.client("submit", "--id", batch, *args, "-i", "-",
                        stdin="\n".join(urls), **more)


def fill_up(fleet, disk, nginx, origin):
    """Work in progress, then no room. Returns the two lists, and how much of
    the second one was acknowledged."""
    gate = next(gates)
    first, second = first_list(nginx, origin, gate), long_list(nginx)
    submit(fleet, "first", first)
    wait_until(lambda: fleet.status("first")["done"] >= 100, "some records")
    disk.fill(leave_mib=6)
    got = submit(fleet, "second", second, "--broker-wait", "2", codes=(3,))
    assert "disk" in got.stderr.decode() or "room" in got.stderr.decode()
    fleet.broker.wait_event("store.refused")
    disk.fill()
    origin.get(f"open/{gate}")
    return first, second, fleet.status("second")["submitted"]


@needs_root
def test_full_disk(full_fleet, disk, nginx, origin):
    fleet = full_fleet
    first, second, acknowledged = fill_up(fleet, disk, nginx, origin)
    assert acknowledged < len(second)
    # Reading works, and what was shown as done is there.
    done = fleet.status("first")["done"]
    rows = fleet.client("results", "first", "--format", "jsonl",
                        codes=(0, 1, 3)).records()
    assert len(rows) >= done >= 100
    assert all(first[row["url"]] == row["digests"]["sha512"] for row in rows)
    fleet.broker.check_alive()
    assert not fleet.broker.events("store.works")
    disk.make_room()
    # The same list under the same id goes on where it was.
    assert fleet.status("second")["submitted"] == acknowledged
    submit(fleet, "second", second)
    fleet.broker.wait_event("store.works")
    check_all(fleet, "first", first)
    check_all(fleet, "second", second)


@needs_root
def test_records_wait_for_room(full_fleet, disk, nginx, origin, tmp_path):
    """Records that find no room are written when there is some, and meanwhile
    nothing new is begun."""
    fleet = full_fleet
    want = {origin.url(f"gate/room/50000/{n}"): odd.digest(50000, n)
            for n in range(4)}
    want.update({origin.url(f"hold/300/{n}"): sha512(b"held")
                 for n in range(200)})
    gates = [url for url in want if "gate" in url]
    submit(fleet, "held", gates + [url for url in want if url not in gates])
    wait_until(lambda: fleet.status("held")["done"] >= 4, "some records")
    disk.fill()
    # Fills what room the log has left in itself.
    names = tmp_path / "names"
    names.write_text("\n".join(long_list(nginx)), encoding="ascii")
    with started_client("submit", "--id", "filler", "-i", names,
                        broker=fleet.endpoints["client"]) as filler:
        fleet.broker.wait_event("store.refused")
        origin.get("open/room")
        # Once a record is parked, what runs ends and nothing follows it.
        wait_until(lambda: fleet.status("held")["fetching"] == 0 and
                   fleet.status("held")["hashing"] == 0, "a standstill")
        asked = origin.stats()["requests"]
        status = fleet.client("status", "held", codes=(0, 3))
        assert "disk is full" in (status.stdout + status.stderr).decode()
        done = fleet.status("held")["done"]
        assert done < len(want)
        # A beat later still nothing has been asked for.
        assert origin.stats()["requests"] - asked <= 1
        disk.make_room()
        assert filler.wait(120) == 0, filler.stderr.read()
    fleet.broker.wait_event("store.works")
    check_all(fleet, "held", want)
    check_all(fleet, "filler", long_list(nginx))


@needs_root
def test_broker_killed_on_full_disk(full_fleet, disk, nginx, origin):
    """SIGKILL without room; a start without room says so or serves; with room
    all is as it was acknowledged."""
    fleet = full_fleet
    first, second, acknowledged = fill_up(fleet, disk, nginx, origin)
    done = fleet.status("first")["done"]
    fleet.broker.kill()
    disk.make_room()
    fleet.start_broker()
    assert fleet.status("second")["submitted"] >= acknowledged
    assert fleet.status("first")["done"] >= done
    submit(fleet, "second", second)
    check_all(fleet, "first", first)
    check_all(fleet, "second", second)


@needs_root
def test_stopped_on_full_disk(full_fleet, disk, nginx, origin):
    """SIGTERM with records that find no room: the broker tries until --grace is
    over, says what it could not write, and exits 3; nothing is lost."""
    fleet = full_fleet
    fleet.broker.stop()
    fleet.start_broker("--grace", "2")
    first, second, _ = fill_up(fleet, disk, nginx, origin)
    # Whatever had room in the log has been written by now: some had none.
    wait_until(lambda: fleet.status("first")["fetching"] == 0, "a standstill")
    done = fleet.status("first")["done"]
    assert done < len(first)
    fleet.broker.stop(code=3)
    assert fleet.broker.events("broker.unrecorded")
    disk.make_room()
    fleet.start_broker()
    assert fleet.status("first")["done"] >= done
    submit(fleet, "second", second)
    check_all(fleet, "first", first)
    check_all(fleet, "second", second)


@needs_shim
@pytest.mark.parametrize("rule, why", [
    ("write ENOSPC store.db-wal", "the broker's disk is full"),
    ("write EIO store.db-wal", "the broker cannot write to its disk"),
    ("sync EIO store.db-wal", "the broker cannot write to its disk"),
    ("write,sync EIO store.db", "the broker cannot write to its disk")])
@pytest.mark.parametrize("is_killed", [False, True], ids=["", "killed"])
def test_failing_disk(new_fleet, nginx, tmp_path, rule, why, is_killed):
    """A write or an fsync fails for a while, in mid-run; or the broker is
    killed meanwhile."""
    fleet = new_fleet()
    faults = FaultyDisk(tmp_path)
    fleet.start_broker(env=faults.environment)
    fleet.start_hasher()
    fleet.start_fetcher()
    want = {nginx.url(f"made/small-{n % 2000}?{n}"):
            sha512((nginx.made / f"small-{n % 2000}").read_bytes())
            for n in range(12000)}
    names = tmp_path / "names"
    names.write_text("\n".join(want), encoding="ascii")
    with started_client("submit", "--id", "list", "-i", names,
                        broker=fleet.endpoints["client"]) as client:
        wait_until(lambda: "list" in fleet.client("status").stdout.decode(),
                   "the batch")
        wait_until(lambda: fleet.status("list")["done"] >= 100, "some records")
        faults.fail(rule)
        if rule.endswith("-wal"):
            fleet.broker.wait_event("store.refused", has=why)
        done = fleet.status("list")["done"]
        if is_killed:
            fleet.broker.kill()
            faults.work()
            fleet.start_broker(env=faults.environment)
            assert fleet.status("list")["done"] >= done
        else:
            wait_until(lambda: fleet.status("list")["done"] >= done, "reading")
            faults.work()
        _, err = client.communicate(timeout=120)
        assert client.returncode == 0, err
    check_all(fleet, "list", want)


@needs_root
def test_embedded_without_room(disk, nginx):
    """`urlsum get` with its temporary store on a full disk ends with 3, and
    what it printed is right."""
    want = long_list(nginx)
    disk.fill()
    got = urlsum("get", "-i", "-", "--broker-wait", "2",
                 stdin="\n".join(want), codes=(0, 3),
                 env={**os.environ, "TMPDIR": str(disk.folder),
                      "SQLITE_TMPDIR": str(disk.folder)})
    assert got.sums().items() <= want.items()
    if got.code:
        text = got.stderr.decode()
        assert f"no room for {disk.folder}/urlsum-" in text
        assert "TMPDIR" in text and "urlsum-broker" not in text
    os.truncate(disk.ballast, disk.ballast.stat().st_size - (1 << 20))
    got = urlsum("get", "-i", "-", "--broker-wait", "2",
                 stdin="\n".join(want), codes=(3,),
                 env={**os.environ, "TMPDIR": str(disk.folder)})
    assert got.sums().items() <= want.items()
    text = got.stderr.decode()
    assert "the temporary queue cannot be written" in text
    assert "set TMPDIR" in text and "next start" not in text
