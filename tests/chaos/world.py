"""The programs of a run, what is done to them, and their end.

Every process is ours: started here, ended here by its number, and whoever
ends without being told to is a finding.
"""
import asyncio
import contextlib
import json
import pathlib
import re
import signal
import sys
import time

import bodies
import network
import proxy
import schedule
from harness import environment, free_port

HERE = pathlib.Path(__file__).resolve().parent
BATCH = "chaos"
GRACE_S = 5
# A stopped machine, a sanitizer's build: give them time, they have to end.
LATE_S = 10
BUFFER_MIB = 64
# Most memory a program may have resident: its base and what its windows take.
RSS_MAX_MIB = {"broker": 256 + BUFFER_MIB, "fetcher": 64 + BUFFER_MIB,
               "hasher": 64 + BUFFER_MIB, "client": 64}
# How clients are told to be patient: no outage of ours is longer.
PATIENT = ("--connect-wait", "300", "--broker-wait", "300")


class Program:
    """One of ours, again and again."""

    def __init__(self, world, name, role, command):
        self.world = world
        self.name = name
        self.role = role
        self.command = list(map(str, command))
        self.log = world.folder / f"{name}.log"
        self.lock = asyncio.Lock()  # one action at a time
        self.process = None
        self.is_ours_to_end = False
        self.is_stopped = False
        self.starts = 0

    async def start(self, stdin=asyncio.subprocess.DEVNULL, stdout=None,
                    more=()):
        self.starts += 1
        self.is_ours_to_end = False
        with open(self.log, "ab") as log:
            log.write(b"# start %d\n" % self.starts)
            log.flush()
            self.log_from = log.tell()
            # Should we die ourselves, nobody stays behind.
            prefix = ["setpriv", "--pdeathsig", "KILL"]
            self.process = await asyncio.create_subprocess_exec(
                *self.world.prefix(self.name), *prefix, *self.command, *more,
                stdin=stdin, stdout=stdout or log, stderr=log,
                env=self.world.env, start_new_session=True)
        self.world.watch(self)

    @property
    def is_running(self):
        return self.process is not None and self.process.returncode is None

    def signal(self, number):
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def kill(self):
        self.is_ours_to_end = True
        self.signal(signal.SIGKILL)
        if self.process:
            await self.process.wait()
        self.is_stopped = False

    async def terminate(self, twice=False):
        """Returns the exit code; killed, and a finding, when it does not
        end."""
        self.is_ours_to_end = True
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        if twice:
            await asyncio.sleep(0.3)
            self.signal(signal.SIGTERM)
        limit = (0 if twice else GRACE_S) + LATE_S
        try:
            await asyncio.wait_for(self.process.wait(), limit)
        except asyncio.TimeoutError:
            self.world.fault(f"{self.name} was told to stop and did not "
                             f"within {limit} s (grace {GRACE_S} s)")
            await self.kill()
            return None
        self.world.term_s = max(self.world.term_s, time.monotonic() - began)
        return self.process.returncode

    async def stop_for(self, seconds):
        self.signal(signal.SIGSTOP)
        self.is_stopped = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self.signal(signal.SIGCONT)
            self.is_stopped = False

    def text_since_start(self):
        with open(self.log, "rb") as log:
            log.seek(self.log_from)
            return log.read().decode("utf-8", "replace")

    def rss_mib(self):
        try:
            text = pathlib.Path(f"/proc/{self.process.pid}/status") \
                .read_text("ascii")
            return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024
        except (OSError, AttributeError):
            return 0  # gone, or going


class World:
    def __init__(self, folder, build, seed, count, has_root, log_level):
        self.folder = folder
        self.build = build
        self.seed = seed
        self.count = count
        self.has_root = has_root
        self.log_level = log_level
        self.faults = []
        self.counts = dict.fromkeys(("kill", "term", "stop", "cut", "fill",
                                     "restart"), 0)
        self.rss = {}
        self.term_s = 0
        self.started = time.monotonic()
        self.spaces = {}
        self.disk = None
        self.disk_was_full = -1000.0
        self.cables = {}
        self.programs = {}
        self.watchers = set()
        self.tasks = []
        self.status = None  # the last that a client was told
        self.submitted = asyncio.Event()
        self.follows = []  # (file, exit code or None) of each follower
        self.share_to_feed = 0.0
        # The origin's address, also as namespaces see it (network.py).
        # Its namespaces' network is nobody else's: no keys.
        self.env = environment(URLSUM_ALLOW_NET="127.0.0.0/8\n198.18.0.0/15",
                               URLSUM_INSECURE="yes")
        self.is_over = False

    # --- What is found ---

    def now(self):
        return time.monotonic() - self.started

    def note(self, text):
        with open(self.folder / "history.log", "a", encoding="utf-8") as log:
            log.write(f"{self.now():8.3f} {text}\n")

    def fault(self, text):
        self.note("FAULT " + text)
        self.faults.append(f"at {self.now():.1f} s: {text}")

    # --- Starting ---

    async def start(self):
        address = "127.0.0.1"
        store = self.folder / "store"
        if self.has_root:
            for number, name in enumerate(schedule.IN_NAMESPACE):
                self.spaces[name] = network.Namespace(number)
                self.spaces[name].start()
            address = self.spaces[schedule.IN_NAMESPACE[0]].ours
            self.disk = network.Disk(store, (128 << 20) + self.count * 2000)
            self.disk.start()
        else:
            store.mkdir()
        self.store = store / "store.db"
        await self.start_origin(address)
        self.ports = {role: free_port(address)
                      for role in ("client", "fetcher", "hasher")}
        self.direct = {role: f"tcp://{address}:{port}"
                       for role, port in self.ports.items()}
        await self.start_cables(address)
        self.lines = bodies.make_lines(self.seed, self.count, self.bases)
        self.make_programs()
        for name in ("broker", *schedule.WORKERS):
            await self.start_program(name)
        self.tasks = [asyncio.ensure_future(self.guard(task)) for task in (
            self.submit(), self.follow(), self.wait_for_end(),
            self.poll_status(), self.sample_memory())]

    async def start_origin(self, address):
        with open(self.folder / "origin.log", "wb") as log:
            self.origin = await asyncio.create_subprocess_exec(
                sys.executable, "-B", str(HERE / "origin.py"), address,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=log, start_new_session=True)
        line = await self.origin.stdout.readline()
        ports = line.decode("ascii").strip().split("=")[1].split(",")
        self.origin_at = (address, int(ports[0]))
        self.bases = [f"http://{address}:{port}" for port in ports]

    async def start_cables(self, address):
        for name in (*schedule.WORKERS, "client"):
            if name in self.spaces:
                continue
            cable = proxy.Cable(name, address,
                                (address, self.ports[self.role_of(name)]))
            await cable.start()
            self.cables[name] = cable

    @staticmethod
    def role_of(name):
        return {"f": "fetcher", "h": "hasher"}.get(name[0], "client")

    def make_programs(self):
        bind = [arg for role, endpoint in self.direct.items()
                for arg in (f"--{role}-bind", endpoint)]
        common = ["--log-level", self.log_level, "--grace", GRACE_S]
        self.add("broker", "broker", [
            *bind, "--store", self.store, "--buffer-memory", f"{BUFFER_MIB}M",
            "--parallel-max-host", 24, *common])
        for name in schedule.WORKERS:
            role = self.role_of(name)
            cable = self.cables.get(name)
            endpoint = cable.endpoint if cable else self.direct[role]
            self.add(name, role, [
                "--broker", endpoint, "--name", name, *common,
                *(("--threads", 1) if role == "hasher" else ())])
        client = ["--broker", self.cables["client"].endpoint, *PATIENT]
        self.add("submit", "client", ["submit", "--id", BATCH, "-i", "-", "-q",
                                      "--retry", bodies.RETRIES, *client])
        self.add("follow", "client", ["results", BATCH, "--follow", "-q",
                                      "--format", "jsonl", *client])
        self.add("wait", "client", ["wait", BATCH, "-q", *client])

    def add(self, name, role, args):
        program = "urlsum" if role == "client" else f"urlsum-{role}"
        self.programs[name] = Program(self, name, role,
                                      [self.build / program, *args])

    def prefix(self, name):
        return self.spaces[name].command() if name in self.spaces else []

    async def start_program(self, name):
        program = self.programs[name]
        if name != "broker":
            await program.start()
            return
        # A broker cannot start on a full disk; who supervises it tries again.
        until = self.now() + 120
        while True:
            await program.start()
            while program.is_running and \
                    " event=broker.ready " not in program.text_since_start():
                if self.now() > until:
                    self.fault("the broker is not ready after 120 s")
                    return
                await asyncio.sleep(0.02)
            if program.is_running:
                return
            await asyncio.sleep(0.3)
            if program.is_ours_to_end:
                return

    def watch(self, program):
        """Notices who ends without being told to."""
        process = program.process

        async def watcher():
            code = await process.wait()
            if program.is_ours_to_end or program.role == "client":
                return
            if program.name == "broker" and code == 3 and \
                    self.now() - self.disk_was_full < 2 and \
                    " event=broker.ready " not in program.text_since_start():
                self.note("the broker did not start on a full disk")
                return
            self.fault(f"{program.name} ended by itself with {code}: "
                       f"{program.text_since_start()[-600:]}")
            # A finding; what else there is to find needs it running.
            await asyncio.sleep(1)
            async with program.lock:
                if not program.is_running and program.starts < 500 and \
                        not self.is_over:
                    await self.start_program(program.name)
        task = asyncio.ensure_future(watcher())
        self.watchers.add(task)
        task.add_done_callback(self.watchers.discard)

    async def guard(self, work):
        """A task of ours that breaks must not do so silently."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception as error:  # pylint: disable=broad-except
            self.fault(f"the run itself: {error!r}")
            raise

    # --- Clients ---

    async def submit(self):
        """Submits until all is submitted; the list comes little by little."""
        program = self.programs["submit"]
        text = [line.url + b"\n" for line in self.lines]
        while True:
            async with program.lock:
                await program.start(stdin=asyncio.subprocess.PIPE)
                feeder = asyncio.ensure_future(
                    self.feed(program.process.stdin, text))
            code = await program.process.wait()
            feeder.cancel()
            await asyncio.gather(feeder, return_exceptions=True)
            with contextlib.suppress(OSError):
                await program.process.stdin.wait_closed()
            if code == 0:
                break
            await self.ended_client(program, code)
        self.submitted.set()
        self.note("submitted")

    async def feed(self, pipe, text):
        at = 0
        with contextlib.suppress(OSError):
            while at < len(text):
                to = min(int(self.share_to_feed * len(text)), at + 2000)
                if to > at:
                    pipe.write(b"".join(text[at:to]))
                    await pipe.drain()
                    at = to
                else:
                    await asyncio.sleep(0.05)
            pipe.close()

    async def ended_client(self, program, code, good=()):
        if code in good:
            return
        if not program.is_ours_to_end:
            self.fault(f"{program.name} ended with {code}: "
                       f"{program.text_since_start()[-600:]}")
            # Not again and again in a hurry.
            await asyncio.sleep(2)
        async with program.lock:
            pass  # whoever ended it says when to start it again
        if program.starts > 500:
            raise RuntimeError(f"{program.name} was started too often")

    async def follow(self):
        """Follows the results until one follower saw them all."""
        program = self.programs["follow"]
        while not (self.status or {}).get("submitted"):
            await asyncio.sleep(0.1)
        while True:
            path = self.folder / f"follow.{program.starts}.jsonl"
            async with program.lock:
                with open(path, "wb") as out:
                    await program.start(stdout=out)
            code = await program.process.wait()
            self.follows.append((path, code))
            if code == 1 and not program.is_ours_to_end:
                return  # some URL fails in every run
            await self.ended_client(program, code)

    async def wait_for_end(self):
        program = self.programs["wait"]
        while not (self.status or {}).get("submitted"):
            await asyncio.sleep(0.1)
        await program.start()
        code = await program.process.wait()
        if code != 1 and not program.is_ours_to_end:
            self.fault(f"wait ended with {code}: "
                       f"{program.text_since_start()[-600:]}")
        self.note(f"wait ended with {code}")

    async def client(self, *args, seconds=60):
        """Runs a client on the undisturbed endpoint: code, stdout, stderr."""
        process = await asyncio.create_subprocess_exec(
            str(self.build / "urlsum"), *args, "--broker",
            self.direct["client"], stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=self.env, start_new_session=True)
        try:
            out, err = await asyncio.wait_for(process.communicate(), seconds)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        return process.returncode, out, err

    async def poll_status(self):
        """What was once told as done stays done, whoever dies."""
        while not self.is_over:
            with contextlib.suppress(asyncio.TimeoutError):
                code, out, err = await self.client(
                    "status", BATCH, "--json", "--connect-wait", "2",
                    "--broker-wait", "2", seconds=20)
                if code == 0:
                    self.on_status(json.loads(out))
                elif code not in (2, 3) or code == 2 and self.status:
                    self.fault(f"status ended with {code}: {err[-300:]}")
            await asyncio.sleep(1)

    def on_status(self, status):
        if self.status:
            for field in ("submitted", "done", "failed"):
                if status[field] < self.status[field]:
                    self.fault(f"{field} went back from {self.status[field]} "
                               f"to {status[field]}")
        self.status = status
        self.note("status " + " ".join(
            f"{key}={status.get(key)}" for key in
            ("submitted", "done", "failed", "fetching", "hashing",
             "retrying")))

    async def sample_memory(self):
        while not self.is_over:
            for program in self.programs.values():
                if program.is_running:
                    role = program.role
                    self.rss[role] = max(self.rss.get(role, 0),
                                         program.rss_mib())
            await asyncio.sleep(0.5)

    async def ask_origin(self, path):
        reader, writer = await asyncio.open_connection(*self.origin_at)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode("ascii"))
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head).group(1)
            return await reader.readexactly(int(length))
        finally:
            writer.close()

    # --- Actions ---

    async def act(self, action):
        """Does one action to its end: whoever was ended runs again."""
        if action.kind == "cut":
            await self.cut(action)
        elif action.kind == "fill":
            await self.fill(action.number("for"))
        else:
            name = action.target
            if name == "client":
                name = "follow" if self.submitted.is_set() else "submit"
            program = self.programs[name]
            async with program.lock:
                if not program.is_running:
                    self.note(f"nothing to do: {action}")
                    return
                await getattr(self, "on_" + action.kind)(program, action)

    async def on_kill(self, program, action):
        self.note(f"kill {program.name}")
        await program.kill()
        self.counts["kill"] += 1
        await self.restart(program, action)

    async def on_term(self, program, action):
        twice = action.args["twice"] == "1" or action.args["twice"] == 1
        self.note(f"term {program.name}")
        code = await program.terminate(twice)
        good = (0, 1, 143) if program.role == "client" else (0,)
        text = program.text_since_start()
        if "event=store.refused" in text and "event=broker.unrecorded" in text:
            good += (3,) # on a full disk: it says what it could not record
        if code is not None and code not in good:
            self.fault(f"{program.name} was told to stop and ended with "
                       f"{code}{', told twice' if twice else ''}: "
                       f"{program.text_since_start()[-600:]}")
        self.counts["term"] += 1
        await self.restart(program, action)

    async def restart(self, program, action):
        await asyncio.sleep(action.number("pause"))
        self.counts["restart"] += 1
        if program.role != "client":  # these have a task each
            await self.start_program(program.name)
            self.note(f"started {program.name}")

    async def on_stop(self, program, action):
        self.note(f"stop {program.name} for {action.number('for')}")
        self.counts["stop"] += 1
        await program.stop_for(action.number("for"))
        self.note(f"continued {program.name}")

    async def cut(self, action):
        name = action.target.removesuffix("-cable")
        way, seconds = action.args["way"], action.number("for")
        self.note(f"cut {name} {way} for {seconds}")
        self.counts["cut"] += 1
        if name in self.cables:
            await self.cables[name].cut(way, seconds)
        else:
            space, port = self.spaces[name], self.ports[self.role_of(name)]
            space.filter("-A", way, port)
            try:
                await asyncio.sleep(seconds)
            finally:
                space.filter("-D", way, port)
        self.note(f"healed {name}")

    async def fill(self, seconds):
        self.note(f"fill for {seconds}")
        self.counts["fill"] += 1
        self.disk_was_full = float("inf")
        try:
            self.disk.fill()
            await asyncio.sleep(seconds)
        finally:
            self.disk.free()
            self.disk_was_full = self.now()
        self.note("room again")

    # --- The end ---

    async def stop_programs(self):
        """SIGTERM to everybody, one after another: all end with 0."""
        self.is_over = True
        for name in (*schedule.WORKERS, "broker"):
            program = self.programs[name]
            if program.is_running:
                code = await program.terminate()
                if code:
                    self.fault(f"{name} ended with {code} at the end")

    async def end(self):
        """Whatever happened before: nothing stays behind."""
        self.is_over = True
        for task in (*self.tasks, *self.watchers):
            task.cancel()
        for program in self.programs.values():
            if program.is_running:
                program.is_ours_to_end = True
                program.signal(signal.SIGCONT)
                program.signal(signal.SIGKILL)
                await program.process.wait()
        await asyncio.gather(*self.tasks, *self.watchers,
                             return_exceptions=True)
        for cable in self.cables.values():
            await cable.end()
        if getattr(self, "origin", None):
            self.origin.stdin.close()
            with contextlib.suppress(ProcessLookupError):
                self.origin.kill()
            await self.origin.wait()
        for space in self.spaces.values():
            space.end()
        if self.disk:
            self.disk.end()
