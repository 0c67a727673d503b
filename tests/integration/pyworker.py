#!/usr/bin/python3
"""A fetcher and a hasher written from proto/worker.md alone.

    pyworker.py fetcher|hasher ENDPOINT [NAME]

They prove that the text is enough. Simple before fast: a fetcher does one
transfer at a time; http only, no redirects.
"""
import hashlib
import http.client
import random
import signal
import socket
import sys
import time
import urllib.parse

import msgpack
import zmq

(HELLO, WELCOME, PING, PONG, JOBS, BODY, FETCHED, HASH, DIGESTS, CREDIT, ABORT,
 BYE, ERROR, SUITE, PROFILE) = range(1, 16)
VERSION = 2
LAST = 1
NO_SESSION = 1
(OK, INVALID_URL, SCHEME, DNS, CONNECT, TIMEOUT, HTTP, CUT, PROTOCOL,
 INTERNAL) = 0, 1, 3, 4, 5, 6, 9, 10, 12, 17
GAP, NO_ALGORITHM = 3, 5
FACT_STATUS, FACT_MESSAGE, FACT_TYPE = 2, 20, 22
ALGORITHMS = ["sha512", "sha256", "md5", "sha1", "sha384"]
BODY_MAX = 262144
WHOLE_MAX = 16384  # bodies that share a message


def pack(head):
    return msgpack.packb(head, use_bin_type=True)


class SessionLost(Exception):
    pass


class Left(Exception):
    """The broker let this worker go."""


class Link:
    """The session and its liveness."""

    def __init__(self, role, endpoint, name, capacity, algorithms):
        self.hello = [HELLO, VERSION, VERSION, role, name, capacity,
                      algorithms, random.randrange(1, 1 << 64), 0]
        self.endpoint = endpoint
        self.context = zmq.Context()
        self.socket = None
        self.is_ending = False # SIGTERM came
        self.is_draining = False # and BYE 0 was said
        self.session = 0
        self.ttl_ms = 0
        self.heard = 0.0

    def say(self, event, text=""):
        print(f"level=info event={event} {text}", file=sys.stderr, flush=True)

    def connect(self):
        if self.socket:
            self.socket.close(0)
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)
        self.socket.setsockopt(zmq.RECONNECT_IVL, -1) # one connection a socket
        self.socket.setsockopt(zmq.LINGER, 1000)
        self.socket.setsockopt(zmq.RCVHWM, 16)
        self.socket.connect(self.endpoint)

    def send(self, head, *raw):
        try:
            self.socket.send_multipart([pack(head), *raw], flags=zmq.NOBLOCK)
        except zmq.Again:
            raise SessionLost("cannot send") from None

    def greet(self):
        """Returns the WELCOME."""
        pause, failures = 0.1, 0
        self.hello[8] += 1
        while not self.is_ending:
            try:
                self.send(self.hello)
                failures = 0
            except SessionLost:
                failures += 1 # not connected yet, or not any more
                if failures > 1:
                    self.connect()
            until = time.monotonic() + pause * random.uniform(0.8, 1.2)
            while time.monotonic() < until:
                if not self.socket.poll(20):
                    continue
                head = msgpack.unpackb(self.socket.recv_multipart()[0])
                if head[0] == WELCOME and head[3] == self.hello[8]:
                    self.session, self.ttl_ms = head[2], head[4]
                    self.heard = time.monotonic()
                    self.say("link.live", f"session={head[2]}")
                    return head
                if head[0] == ERROR and head[1] != NO_SESSION:
                    self.say("link.refused", repr(head[2]))
                    time.sleep(5)
            pause = min(2 * pause, 5)
        return None

    def receive(self, wait_ms):
        """The next message that is not the link's own matter, or None."""
        if not self.socket.poll(wait_ms):
            if time.monotonic() - self.heard > self.ttl_ms / 1000:
                raise SessionLost("silence")
            return None
        head, *raw = self.socket.recv_multipart()
        self.heard = time.monotonic()
        head = msgpack.unpackb(head, strict_map_key=False)
        if head[0] == PING:
            self.ttl_ms = head[1]
            self.send([PONG, self.load(), self.vouch()])
            return None
        if head[0] == ERROR:
            self.say("link.error", repr(head))
            raise SessionLost(head[2])
        if head[0] == BYE:
            if self.is_draining:
                raise Left
            time.sleep(1)
            raise SessionLost("bye")
        if head[0] == WELCOME:
            # To a HELLO that was said again: nothing new, as a rule.
            if head[3] == self.hello[8] and head[2] != self.session:
                raise SessionLost("the broker began anew")
            return None
        return head, raw

    def run(self):
        signal.signal(signal.SIGTERM, self.on_stop)
        while not self.is_ending:
            self.connect()
            welcome = self.greet()
            if welcome is None:
                break
            self.begin(welcome)
            try:
                while True:
                    if self.is_ending and not self.is_draining:
                        self.send([BYE, 0])
                        self.is_draining = True
                    self.turn()
            except SessionLost as why:
                self.say("link.lost", repr(str(why)))
            except Left:
                self.say("link.left")
        self.socket.close()
        self.context.term()

    def vouch(self):
        return []

    def on_stop(self, *_):
        if self.is_ending:
            sys.exit(0) # its connection ends with it
        self.is_ending = True


class Hasher(Link):
    def __init__(self, endpoint, name):
        super().__init__(2, endpoint, name, 0, ALGORITHMS)
        self.begin(None)

    def begin(self, _welcome):
        self.streams = {} # (job, attempt) -> [offset, states]; None: given up
        self.taken = 0
        self.bytes = 0
        self.done = []

    def load(self):
        return len(self.streams)

    def turn(self):
        is_idle = not self.socket.poll(0)
        if self.taken and (is_idle or self.bytes >= 1 << 20):
            self.send([DIGESTS, self.taken, self.done])
            self.taken, self.bytes, self.done = 0, 0, []
        message = self.receive(50)
        if message is None:
            return
        head, raw = message
        if head[0] == HASH:
            self.taken += 1
            self.bytes += len(raw[0])
            at = 0
            for segment in head[2]:
                self.take(head[1], segment, raw[0][at:at + segment[3]])
                at += segment[3]
            assert at == len(raw[0])
        elif head[0] == ABORT:
            for job, attempt, _ in head[1]:
                self.streams.pop((job, attempt), None)

    def take(self, suites, segment, data):
        job, attempt, offset, _, flags, index = segment
        names = suites[index].split(",")
        if (job, attempt) not in self.streams:
            if not set(names) <= set(ALGORITHMS):
                self.give_up(job, attempt, NO_ALGORITHM)
            else:
                self.streams[job, attempt] = \
                    [0, [hashlib.new(name) for name in names]]
        stream = self.streams[job, attempt]
        if stream is None:
            return
        if stream[0] != offset:
            self.give_up(job, attempt, GAP)
            return
        for state in stream[1]:
            state.update(data)
        stream[0] += len(data)
        if flags & LAST:
            self.done.append([job, attempt, stream[0],
                              [state.digest() for state in stream[1]]])
            del self.streams[job, attempt]

    def give_up(self, job, attempt, reason):
        self.streams[job, attempt] = None
        self.send([ABORT, [[job, attempt, reason]]])


class Aborted(Exception):
    pass


class Failed(Exception):
    def __init__(self, outcome, message, facts=None):
        super().__init__(message)
        self.outcome = outcome
        self.facts = {**(facts or {}),
                      FACT_MESSAGE: str(message).encode()[:511]}


class Fetcher(Link):
    def __init__(self, endpoint, name):
        super().__init__(1, endpoint, name, 32, [])
        self.begin([0] * 7)

    def begin(self, welcome):
        self.window, self.job_window = welcome[5:7]
        self.jobs = []
        self.current = None
        self.current_window = 0
        self.is_aborted = False
        self.whole = [] # [segment, bytes, fetched]
        self.profiles = {} # by place

    def load(self):
        return len(self.jobs) + len(self.whole) + (self.current is not None)

    def vouch(self):
        # One transfer at a time, with time limits of its own: whoever waits
        # here waits for it.
        held = [job[:2] for job in self.jobs]
        held += [segment[:2] for segment, _, _ in self.whole]
        return held + ([list(self.current)] if self.current else [])

    def turn(self):
        self.handle(0 if self.jobs else 50)
        if not self.jobs:
            self.flush()
            return
        job, attempt, url, profile = self.jobs.pop(0)
        self.current = (job, attempt)
        self.current_window = self.job_window
        self.is_aborted = False
        try:
            self.transfer(job, attempt, url, profile)
        except Aborted:
            pass
        except Failed as failed:
            self.send([FETCHED, [[job, attempt, failed.outcome, 0,
                                  failed.facts]]])
        self.current = None

    def handle(self, wait_ms):
        message = self.receive(wait_ms)
        if message is None:
            return
        head, _ = message
        if head[0] == JOBS:
            place = head[1].get(10)
            profile = {} if place is None else self.profiles.get(place)
            self.jobs += [[*job, profile] for job in head[2]]
        elif head[0] == PROFILE:
            self.profiles.pop(head[1], None)
            if head[2]:
                self.profiles[head[1]] = head[2]
        elif head[0] == CREDIT:
            self.window += head[1]
            for job, attempt, size in head[2]:
                if (job, attempt) == self.current:
                    self.current_window += size
        elif head[0] == ABORT:
            gone = {(job, attempt) for job, attempt, _ in head[1]}
            self.jobs = [job for job in self.jobs if tuple(job[:2]) not in gone]
            self.whole = [w for w in self.whole if tuple(w[0][:2]) not in gone]
            self.is_aborted = self.is_aborted or self.current in gone

    def wait_credit(self, size, is_stream):
        while self.window < size or (is_stream and self.current_window < size):
            self.handle(50)
            if self.is_aborted:
                raise Aborted
        self.window -= size
        if is_stream:
            self.current_window -= size

    def flush(self):
        """Sends the whole bodies gathered, FETCHED first."""
        size = sum(len(data) for _, data, _ in self.whole)
        if not self.whole:
            return
        while self.window < size:
            self.handle(50)
            size = sum(len(data) for _, data, _ in self.whole)
        if not self.whole:
            return # aborted, all of them
        self.window -= size
        self.send([FETCHED, [fetched for _, _, fetched in self.whole]])
        self.send([BODY, [segment for segment, _, _ in self.whole]],
                  b"".join(data for _, data, _ in self.whole))
        self.whole = []

    def transfer(self, job, attempt, url, profile):
        connection, answer = self.open(url, self.headers(profile))
        facts = {FACT_STATUS: answer.status}
        if answer.getheader("Content-Type"):
            facts[FACT_TYPE] = answer.getheader("Content-Type").encode()
        try:
            chunk = self.read(answer)
            offset = 0
            while True:
                following = self.read(answer) if chunk else b""
                size = offset + len(chunk)
                flags = 0 if following else LAST
                segment = [job, attempt, offset, len(chunk), flags]
                fetched = [job, attempt, OK, size, facts]
                if flags and offset == 0 and size <= WHOLE_MAX:
                    self.whole.append([segment, chunk, fetched])
                    if len(self.whole) == 8:
                        self.flush()
                    return
                self.flush()
                self.wait_credit(len(chunk), True)
                if flags:
                    self.send([FETCHED, [fetched]])
                self.send([BODY, [segment]], chunk)
                if flags:
                    return
                self.handle(0)
                if self.is_aborted:
                    raise Aborted
                offset, chunk = size, following
        finally:
            connection.close()

    def headers(self, profile):
        """Of a profile with nothing but headers: it can no more."""
        if profile is None or set(profile) - {10, 20}:
            raise Failed(INTERNAL, "these request options are not for me")
        lines = [line.decode("latin-1").split(":", 1)
                 for line in profile.get(20, [])]
        if 10 in profile:
            lines.append(["User-Agent", profile[10].decode("latin-1")])
        return {name: value.strip() for name, value in lines}

    def open(self, url, headers):
        try:
            parts = urllib.parse.urlsplit(url.decode("ascii"))
            port = parts.port
        except ValueError as why:
            raise Failed(INVALID_URL, why) from None
        if parts.scheme != "http":
            raise Failed(SCHEME, parts.scheme)
        connection = http.client.HTTPConnection(parts.hostname, port,
                                                timeout=5)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
        except socket.gaierror as why:
            raise Failed(DNS, why) from None
        except TimeoutError as why:
            raise Failed(TIMEOUT, why) from None
        except OSError as why:
            raise Failed(CONNECT, why) from None
        except http.client.HTTPException as why:
            raise Failed(PROTOCOL, why) from None
        if not 200 <= answer.status < 300:
            raise Failed(HTTP, answer.reason, {FACT_STATUS: answer.status})
        return connection, answer

    def read(self, answer):
        """Up to a message of bytes; empty at the end."""
        try:
            data = answer.read(BODY_MAX)
        except http.client.IncompleteRead as why:
            raise Failed(CUT, why) from None
        except OSError as why:
            raise Failed(TIMEOUT, why) from None
        # http.client ends a body that is too short as if it were whole.
        if len(data) < BODY_MAX and answer.length:
            raise Failed(CUT, f"{answer.length} bytes are missing")
        return data


def main():
    role, endpoint, *name = sys.argv[1:]
    kinds = {"fetcher": Fetcher, "hasher": Hasher}
    kinds[role](endpoint, name[0] if name else f"python-{role}").run()


if __name__ == "__main__":
    main()
