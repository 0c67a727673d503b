"""The broker dies at every cell of the life table, and nothing is lost.

For each cell and each point of common/fault.h a script of two workers and a
client brings a broker into that cell with the fault armed. It kills itself
there. Then the store is looked at as it lies, a broker without the fault goes
on with it, and every line must end with exactly one record.

The scenes do not depend on one another and mostly wait, so they are played
several at a time; the tests are their verdicts.
"""
import collections
import concurrent.futures
import hashlib
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

import msgpack
import pytest
import zmq

import harness
from harness import BUILD, GIVE_UP_S, PATIENCE
from pyworker import (ABORT, BODY, CONNECT, DIGESTS, DNS, ERROR, FETCHED, GAP,
                      HASH, HELLO, JOBS, LAST, NO_ALGORITHM, OK, PING, PONG,
                      VERSION, WELCOME, pack)
from test_api import api # pylint: disable=unused-import

FETCHER, HASHER = 1, 2
SEQ_BITS = 40
POINTS = ("commit-before", "commit-after", "send-before", "send-after",
          "reply-before", "reply-after")
AT_A_TIME = 6

Row = collections.namedtuple("Row", "tries lost")
Record = collections.namedtuple("Record", "outcome tries")

# What leads to a cell, and what the store has of the job before and after it
# (no after: the cell writes nothing). lines: how many URLs. fetch, hash: what
# the worker does with a job that it gets for the first time; none: nobody is
# there. cancel: the move after which the client cancels.
Scene = collections.namedtuple(
    "Scene", "before after lines fetch hash cancel",
    defaults=(Row(0, 0), None, 3, "ok", "ok", None))
CANCELLED = Record("cancelled", 0)
SCENES = {
    "NONE:LOADED": Scene(),
    "NONE:REFUSED": Scene(after=Record("invalid_url", 0), fetch="none"),
    # More than are read at once: the rest is read when it is cancelled.
    "NONE:CANCELLED": Scene(after=CANCELLED, lines=40, fetch="none",
                            cancel="NONE:LOADED"),
    "QUEUED:LEASED": Scene(),
    # More than one fetcher can have in hand before the host is parked.
    "QUEUED:GIVEN_UP": Scene(after=Record("host_down", 0), lines=24,
                             fetch="connect"),
    "QUEUED:CANCELLED": Scene(after=CANCELLED, fetch="none",
                              cancel="NONE:LOADED"),
    "LEASED:FETCHED": Scene(),
    "LEASED:FAILED_SOFT": Scene(after=Row(1, 0), fetch="dns"),
    "LEASED:FAILED_HARD": Scene(after=Record("connect", 1), fetch="connect"),
    "LEASED:LEASE_LOST": Scene(after=Row(0, 1), fetch="vanish"),
    "LEASED:CANCELLED": Scene(after=CANCELLED, fetch="hold",
                              cancel="QUEUED:LEASED"),
    "HASHING:DIGESTED": Scene(after=Record("ok", 1)),
    "HASHING:FAILED_HARD": Scene(after=Record("digest", 1), hash="lacks"),
    "HASHING:LEASE_LOST": Scene(after=Row(0, 1), hash="gap"),
    "HASHING:CANCELLED": Scene(after=CANCELLED, hash="hold",
                               cancel="LEASED:FETCHED"),
    "RETRY_WAIT:DUE": Scene(before=Row(1, 0), fetch="dns"),
    "RETRY_WAIT:CANCELLED": Scene(before=Row(1, 0),
                                  after=Record("cancelled", 1), fetch="dns",
                                  cancel="LEASED:FAILED_SOFT"),
}


def points_of(cell):
    """A cell that writes nothing has no reply that speaks of it."""
    return POINTS if SCENES[cell].after else POINTS[:4]


def is_allowed(cell, point, found):
    """Whether the store may have this of the job whose move it was."""
    scene = SCENES[cell]
    if point == "commit-before":
        return found == scene.before
    # What follows may have come into the same commit; a message brings none.
    last = scene.after or scene.before
    at_end = isinstance(last, Row) and Record("ok", last.tries + 1)
    if point.startswith("send"):
        return found in (scene.before, scene.after)
    # Durable first: what a client can have heard of is there.
    return found in (last, at_end)


def url_of(cell, seq):
    if cell == "NONE:REFUSED":
        return b"http://no url/%d" % seq
    return b"http://origin.invalid/%d" % seq


def body_of(url):
    return b"what is at " + url


class Worker:
    """A fetcher or a hasher that does what the scene says."""

    def __init__(self, play, role, does):
        self.play = play
        self.role = role
        self.does = does
        self.socket = play.context.socket(zmq.DEALER)
        self.socket.connect(play.endpoints["fetcher" if role == FETCHER
                                           else "hasher"])
        self.seen = set()
        self.held = []
        self.is_live = False
        self.send([HELLO, VERSION, VERSION, role, f"python-{role}",
                   8 if role == FETCHER else 0,
                   [] if role == FETCHER else ["sha512"],
                   random.getrandbits(63) + 1, 1])

    def send(self, head, *raw):
        self.socket.send_multipart([pack(head), *raw])

    def receive(self):
        head, *raw = self.socket.recv_multipart()
        head = msgpack.unpackb(head)
        if head[0] == WELCOME:
            self.is_live = True
        elif head[0] == PING:
            self.send([PONG, len(self.held),
                       self.held if self.role == FETCHER else []])
        elif head[0] == JOBS:
            for job, attempt, url in head[2]:
                self.fetch(job, attempt, url)
        elif head[0] == HASH:
            self.hash(head[2], raw[0])
        elif head[0] == ABORT:
            gone = [[job, attempt] for job, attempt, _ in head[1]]
            self.held = [job for job in self.held if job not in gone]
        assert head[0] != ERROR, head

    def does_now(self, job):
        """What it is told, the first time; what is right, after that."""
        if job in self.seen:
            return "ok"
        self.seen.add(job)
        return self.does

    def fetch(self, job, attempt, url):
        does = self.does_now(job)
        data = body_of(url)
        if does == "ok":
            self.send([FETCHED, [[job, attempt, OK, len(data), {}]]])
            self.send([BODY, [[job, attempt, 0, len(data), LAST]]], data)
        elif does in ("dns", "connect"):
            outcome = DNS if does == "dns" else CONNECT
            self.send([FETCHED, [[job, attempt, outcome, 0, {}]]])
        else:
            self.held.append([job, attempt])
        if does == "vanish" and not self.socket.closed:
            self.play.replace(self)

    def hash(self, segments, raw):
        done = []
        at = 0
        for job, attempt, _, size, _, _ in segments:
            data = raw[at:at + size]
            at += size
            does = self.does_now(job)
            if does == "ok":
                done.append([job, attempt, size,
                             [hashlib.sha512(data).digest()]])
            elif does == "hold":
                self.held.append([job, attempt])
            else:
                reason = GAP if does == "gap" else NO_ALGORITHM
                self.send([ABORT, [[job, attempt, reason]]])
        self.send([DIGESTS, 1, done])


class Client:
    """Submits, asks how it goes, reads results; all without waiting."""

    def __init__(self, play, messages):
        self.messages = messages
        self.socket = play.context.socket(zmq.DEALER)
        self.socket.connect(play.endpoints["client"])
        self.asked = {} # id -> kind
        self.last_id = 0
        self.batch = None # as created
        self.acknowledged = 0
        self.is_cancelled = False
        self.records = {}
        self.cursor = 0
        self.is_end = False
        self.has_records = isinstance(play.scene.after, Record)

    def ask(self, kind, **what):
        self.last_id += 1
        self.asked[self.last_id] = kind
        request = self.messages.Request(id=self.last_id, version=1, **what)
        self.socket.send(request.SerializeToString())

    def create(self):
        self.ask("create", create=self.messages.CreateBatch(id="it"))

    def submit(self, first, urls):
        self.ask("submit", submit=self.messages.SubmitUrls(
            batch="it", first_seq=first, urls=urls))

    def close(self, size):
        self.ask("close", close=self.messages.CloseBatch(batch="it",
                                                         size=size))

    def cancel(self):
        self.is_cancelled = True
        self.ask("cancel", cancel=self.messages.CancelBatch(batch="it"))

    def keep_asking(self):
        """One question of a kind at a time. Where records come, it is they
        that the broker is to die over."""
        if not self.has_records and "status" not in self.asked.values():
            self.ask("status", status=self.messages.GetStatus(
                batch="it", wait_ms=100))
        if not self.is_end and "results" not in self.asked.values():
            self.ask("results", results=self.messages.GetResults(
                batch="it", after=self.cursor, max=2, wait_ms=1000))

    def receive(self):
        reply = self.messages.Reply.FromString(self.socket.recv())
        kind = self.asked.pop(reply.id)
        if kind == "create":
            self.batch = reply.batch
        elif kind == "submit" and not reply.error.code:
            self.acknowledged = max(self.acknowledged, reply.batch.submitted)
        elif kind == "results":
            self.cursor = reply.results.cursor
            self.is_end = reply.results.end
            for record in reply.results.records:
                assert record.seq not in self.records, "two records"
                self.records[record.seq] = record
        # A batch that was cancelled meanwhile takes nothing any more.
        assert kind in ("create", "submit", "close") or not reply.error.code, \
            reply


class Store:
    """What lies on the disk."""

    def __init__(self, path, folder):
        for end in ("", "-wal"):
            if (path.parent / (path.name + end)).exists():
                shutil.copy(f"{path}{end}", f"{folder}/copy.db{end}")
        base = sqlite3.connect(f"{folder}/copy.db")
        mask = (1 << SEQ_BITS) - 1
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        batch = base.execute("SELECT * FROM batch WHERE id='it'")
        names = [column[0] for column in batch.description]
        self.batch = dict(zip(names, batch.fetchone() or ()))
        self.jobs = {}
        for seq, tries, lost, url in base.execute(
                "SELECT seq,tries,lost,url FROM job"):
            assert seq not in self.jobs, "two rows of a line"
            self.jobs[seq] = (Row(tries, lost), url)
        self.records = {}
        for seq, name, tries, url, digests in base.execute(
                "SELECT seq,name,tries,url,digests FROM result"
                " JOIN outcome ON outcome.number=result.outcome"):
            assert seq not in self.records, "two records of a line"
            self.records[seq] = (Record(name, tries), url, digests)
        places = [key & mask for (key,) in
                  base.execute("SELECT key FROM place")]
        base.close()
        assert sorted(places) == sorted(self.records)

    def check(self, cell, acknowledged):
        """Each line that was accepted has its row or its record."""
        assert not set(self.jobs) & set(self.records), "row and record"
        submitted = self.batch["submitted"]
        assert sorted([*self.jobs, *self.records]) == list(range(submitted))
        assert submitted >= acknowledged, "an acknowledged URL is lost"
        assert len(self.records) == \
            self.batch["landed"] - self.batch.get("replaced", 0)
        for seq, (_, url, *_) in [*self.jobs.items(), *self.records.items()]:
            assert url == url_of(cell, seq)

    def of(self, seq):
        return (self.jobs.get(seq) or self.records[seq])[0]


class Play:
    """One scene with one death in it."""

    def __init__(self, messages, cell, point, folder):
        self.messages = messages
        self.cell = cell
        self.point = point
        self.scene = SCENES[cell]
        self.fleet = harness.Fleet(folder, "ipc")
        self.endpoints = self.fleet.endpoints
        self.urls = [url_of(cell, seq) for seq in range(self.scene.lines)]
        self.context = None
        self.client = None
        self.workers = []
        self.broker = None
        self.is_closed = False

    def start(self, name, fetch, hashing, env=None):
        bind = []
        for role, endpoint in self.endpoints.items():
            bind += [f"--{role}-bind", endpoint]
        self.broker = self.fleet.start(name, *bind, "--store",
                                       self.fleet.store, "--ttl", "2",
                                       "--give-up-host", "1",
                                       "--log-level", "debug", env=env)
        self.broker.wait_event("broker.ready")
        self.context = zmq.Context()
        self.context.setsockopt(zmq.LINGER, 0)
        self.client = Client(self, self.messages)
        self.workers = []
        if fetch != "none":
            self.workers = [Worker(self, HASHER, hashing),
                            Worker(self, FETCHER, fetch)]
            self.turn_until(lambda: all(w.is_live for w in self.workers),
                            "sessions")

    def replace(self, worker):
        """It dies without a word; another comes, and is better."""
        worker.socket.close()
        self.workers.remove(worker)
        self.workers.append(Worker(self, worker.role, "ok"))

    def has_moved(self, cell):
        state, event = cell.split(":")
        return any(f" from={state} on={event} " in line
                   for line in self.broker.events("job.moved"))

    def is_dead(self):
        return self.broker.process.poll() is not None

    def turn_until(self, check, what, more=lambda: None):
        deadline = time.monotonic() + GIVE_UP_S
        while not check() and not self.is_dead():
            assert time.monotonic() < deadline, f"gave up waiting for {what}"
            more()
            for side in [self.client, *self.workers]:
                while not side.socket.closed and side.socket.poll(0):
                    side.receive()
            poller = zmq.Poller()
            for side in [self.client, *self.workers]:
                poller.register(side.socket, zmq.POLLIN)
            poller.poll(20)

    def act(self):
        """What the client does next, when it is time for it."""
        client, kinds = self.client, set(self.client.asked.values())
        client.keep_asking()
        if client.acknowledged == len(self.urls) and not client.is_cancelled:
            if self.scene.cancel:
                if self.has_moved(self.scene.cancel):
                    client.cancel()
            elif not self.is_closed and "submit" not in kinds:
                self.is_closed = True
                client.close(len(self.urls))

    def die(self):
        env = harness.environment(URLSUM_FAULT=f"{self.cell} {self.point}")
        self.start("urlsum-broker-faulty", self.scene.fetch, self.scene.hash,
                   env)
        self.client.create()
        self.turn_until(lambda: self.client.batch, "the batch")
        step = (len(self.urls) + 3) // 4
        for first in range(0, len(self.urls), step):
            self.client.submit(first, self.urls[first:first + step])
        self.turn_until(lambda: False, "the broker's death", self.act)
        code = self.broker.process.wait(10)
        assert code == -signal.SIGKILL, f"{code}\n{self.broker.tail()}"
        self.broker.is_killed = True
        (died,) = self.broker.events("fault.died")
        assert f" cell={self.cell} point={self.point} " in died
        # What it had sent before its end is heard.
        while self.client.socket.poll(50):
            self.client.receive()
        return int(died.split(" job=1/")[1])

    def go_on(self, heard, left):
        """A broker without the fault, workers that do all right."""
        self.context.destroy(0)
        self.start("urlsum-broker", "ok", "ok")
        client = self.client
        client.create()
        self.turn_until(lambda: client.batch, "the batch")
        assert not self.is_dead(), self.broker.tail()
        assert client.batch.number == 1
        assert client.batch.submitted == left.batch["submitted"]
        client.acknowledged = client.batch.submitted
        self.is_closed = client.batch.closed
        if self.is_closed:
            assert client.acknowledged == len(self.urls)
        elif client.acknowledged < len(self.urls):
            client.submit(client.acknowledged, self.urls[client.acknowledged:])

        def more():
            client.keep_asking()
            if client.acknowledged == len(self.urls) and not self.is_closed:
                self.is_closed = True
                client.close(len(self.urls))

        self.turn_until(lambda: client.is_end, "the end", more)
        assert not self.is_dead(), self.broker.tail()
        for seq, record in heard.items():
            assert client.records[seq] == record, "a record changed"

    def check_end(self, left):
        """Every line has one record, and the right one."""
        records = self.client.records
        assert sorted(records) == list(range(len(self.urls)))
        for seq, record in records.items():
            found = Record(record.outcome, record.attempts)
            assert record.url == self.urls[seq]
            if seq in left.records:
                assert found == left.records[seq][0], "a record changed"
                assert b"".join(record.digests) == left.records[seq][2]
            else:
                tries = left.jobs[seq][0].tries if seq in left.jobs else 0
                assert found == self.end_of(tries), (seq, left.jobs)
            digest = hashlib.sha512(body_of(record.url)).digest()
            assert list(record.digests) == \
                ([digest] if record.outcome == "ok" else [])

    def end_of(self, tries):
        """The record of a line that had none when the broker died."""
        if self.scene.cancel:
            return Record("cancelled", tries)
        if self.cell == "NONE:REFUSED":
            return Record("invalid_url", 0)
        return Record("ok", tries + 1)

    def run(self):
        try:
            seq = self.die()
            left = Store(self.fleet.store, self.fleet.folder)
            heard = self.client.records
            left.check(self.cell, self.client.acknowledged)
            assert is_allowed(self.cell, self.point, left.of(seq)), \
                left.of(seq)
            for told, record in heard.items():
                assert left.of(told) == Record(record.outcome,
                                               record.attempts), "told early"
            self.go_on(heard, left)
            self.check_end(left)
            self.broker.stop()
            last = Store(self.fleet.store, self.fleet.folder)
            last.check(self.cell, len(self.urls))
            assert not last.jobs and last.batch["finished_ms"]
        finally:
            if self.context:
                self.context.destroy(0)
            self.fleet.end()


def play(messages, cell, point):
    with tempfile.TemporaryDirectory(prefix="urlsum-door-") as folder:
        Play(messages, cell, point, folder).run()


@pytest.fixture(scope="module")
def verdicts(request, api): # pylint: disable=redefined-outer-name
    """(cell, point) -> the future of its play, of all that were asked for."""
    wanted = [item.callspec.params for item in request.session.items
              if item.fspath == request.fspath and hasattr(item, "callspec")]
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {(one["cell"], one["point"]):
               pool.submit(play, api, one["cell"], one["point"])
               for one in wanted}


def test_all_cells_have_a_scene():
    out = subprocess.run([str(BUILD / "urlsum-broker-faulty"), "--print-life"],
                         check=True, capture_output=True, timeout=60).stdout
    rows = [line.split("|")[1:3] for line in out.decode().splitlines()[2:]]
    cells = {":".join(name.strip() for name in row) for row in rows}
    assert cells == set(SCENES)


def test_fault_must_be_known():
    """A fault that is not armed would prove nothing."""
    for bad in ("QUEUED:LEASED", "QUEUED:LEASED sometimes",
                "QUEUED:LEASED send-after 0"):
        run = subprocess.run([str(BUILD / "urlsum-broker-faulty")],
                             env=harness.environment(URLSUM_FAULT=bad),
                             capture_output=True, timeout=60, check=False)
        assert run.returncode == 2 and b"URLSUM_FAULT" in run.stderr


@pytest.mark.parametrize("cell,point", [(cell, point) for cell in SCENES
                                        for point in points_of(cell)])
def test_dies_there(verdicts, cell, point): # pylint: disable=redefined-outer-name
    verdicts[cell, point].result(timeout=300 * PATIENCE)
