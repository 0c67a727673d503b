"""The rows of the table: how each program is run over a list."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from harness import measure
from harness.origin import free_port, wait_for_port

CONNECTIONS = 64


class Program:
    """One row. has_digests: its output is a manifest that is checked."""

    def __init__(self, key, title, command, has_digests=True, stdout=True):
        self.key = key
        self.title = title
        self.command = command  # (list, out) -> argv
        self.has_digests = has_digests
        self.stdout = stdout  # the manifest is what it prints

    def prepare(self, _origin, _case, _list):
        """What is not to be timed."""

    def run(self, listing, folder):
        """Runs over the list. Returns (Sample, manifest or None)."""
        out = folder / f"{self.key}.out"
        printed = out if self.stdout else folder / f"{self.key}.stdout"
        sample = measure.run(self.command(listing, out), printed,
                             folder / f"{self.key}.err")
        return sample, out if self.has_digests else None


class Curl(Program):
    """curl takes its URLs from a configuration, which is not its work to write."""

    def __init__(self):
        super().__init__(
            "curl", "curl -Z (fetch only)",
            lambda listing, _out: ["curl", "--disable", "-s", "-f", "-Z",
                                   "--parallel-immediate", "--parallel-max",
                                   str(CONNECTIONS), "-K", f"{listing}.curl"],
            has_digests=False)

    def prepare(self, origin, case, listing):
        with open(f"{listing}.curl", "w", encoding="ascii") as out:
            for i in range(case.count):
                out.write(f'url="{origin.url(case, i)}"\n'
                          'output="/dev/null"\n')


class FourProcesses(Program):
    """Broker with a durable store, fetcher and hasher stand ready before the
    client is timed; their CPU time counts from their start to their end."""

    def __init__(self, binaries, state, has_keys=False):
        super().__init__("four-keys" if has_keys else "four",
                         "urlsum, four processes over TCP"
                         f"{', with keys' if has_keys else ''}", None)
        self.binaries = binaries
        self.state = state
        self.has_keys = has_keys

    def run(self, listing, folder):
        out = folder / f"{self.key}.out"
        keys = Keys(self.binaries, folder) if self.has_keys else None
        with Fleet(self.binaries, self.state, folder, keys=keys) as fleet:
            sample = measure.run(
                [str(self.binaries / "urlsum"), "get", "--broker",
                 fleet.endpoint, *fleet.of("client"), "-i", str(listing),
                 "-o", str(out)],
                folder / f"{self.key}.stdout", folder / f"{self.key}.err")
            sample.cpu_s += fleet.stop()
        return sample, out


class Keys:
    """A key pair for each program, and the broker's list of them."""

    def __init__(self, binaries, folder):
        self.folder = folder / "keys"
        for name in ("broker", "client", "fetcher", "hasher"):
            directory = self.folder / name
            directory.mkdir(parents=True, exist_ok=True)
            subprocess.run(
                [str(binaries / "urlsum"), "keygen", "--if-missing",
                 str(directory / name)],
                check=True, capture_output=True, timeout=20)

    def of(self, role):
        """The options of who has that role."""
        own = ["--key-file", str(self.folder / role / f"{role}.key")]
        if role == "broker":
            return own + ["--authorized", str(self.folder)]
        return own + ["--broker-key-file",
                      str(self.folder / "broker" / "broker.pub")]


class Fleet:
    """Broker, fetcher and hasher on free ports of the loopback."""

    def __init__(self, binaries, state, folder, options=(), keys=None):
        self.binaries = binaries
        self.state = pathlib.Path(state)
        self.folder = folder
        self.options = list(options)  # of the broker
        self.keys = keys
        self.processes = {}
        self.store = self.state / f"bench-{os.getpid()}.db"
        self.endpoint = None

    def __enter__(self):
        self._remove_store()
        client, fetcher, hasher = (free_port() for _ in range(3))
        self.endpoint = f"tcp://127.0.0.1:{client}"
        try:
            self._start("broker", "--store", str(self.store),
                        "--client-bind", self.endpoint,
                        "--fetcher-bind", f"tcp://127.0.0.1:{fetcher}",
                        "--hasher-bind", f"tcp://127.0.0.1:{hasher}",
                        "--parallel-max-host", str(CONNECTIONS), *self.options)
            wait_for_port(client, self.processes["broker"])
            self._start("fetcher", "--broker", f"tcp://127.0.0.1:{fetcher}",
                        "--parallel-max", str(CONNECTIONS))
            self._start("hasher", "--broker", f"tcp://127.0.0.1:{hasher}")
            self._wait_for_workers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            measure.kill_group(process)
            process.wait()
        self.processes = {}
        self._remove_store()

    def of(self, role):
        """The options for its key."""
        return self.keys.of(role) if self.keys else []

    def _start(self, role, *options):
        with open(self.folder / f"{role}.err", "wb") as err:
            self.processes[role] = subprocess.Popen(
                [str(self.binaries / f"urlsum-{role}"), *options,
                 *self.of(role)],
                stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                start_new_session=True,
                # Where the origin is; older binaries do not know the option.
                env=dict(os.environ, URLSUM_ALLOW_NET="127.0.0.0/8"))

    def _wait_for_workers(self, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            for role, process in self.processes.items():
                if process.poll() is not None:
                    raise measure.Failed(
                        f"urlsum-{role} ended with {process.returncode}")
            seen = subprocess.run(
                [str(self.binaries / "urlsum"), "workers", "--json",
                 "--broker", self.endpoint, *self.of("client")],
                capture_output=True, text=True, check=False, timeout=20)
            if seen.returncode == 0 and {"fetcher", "hasher"} <= roles(
                    seen.stdout):
                return
            if time.monotonic() > deadline:
                raise measure.Failed("the workers have not come: "
                                     f"{seen.stdout}{seen.stderr}")
            time.sleep(0.05)

    def stop(self):
        """Stops them, workers first. Returns their CPU seconds."""
        total = 0.0
        for role in ("fetcher", "hasher", "broker"):
            process = self.processes.pop(role)
            process.send_signal(signal.SIGTERM)
            code, cpu_s = measure.finish(process)
            total += cpu_s
            if code:
                raise measure.Failed(f"urlsum-{role} ended with {code}")
        return total

    def _remove_store(self):
        for path in self.state.glob(self.store.name + "*"):
            path.unlink()


def roles(text):
    """The roles named in what `urlsum workers --json` prints (a document or a
    line each)."""
    found = set()

    def walk(value):
        if isinstance(value, dict):
            if isinstance(value.get("role"), str):
                found.add(value["role"].lower())
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    try:
        walk(json.loads(text))
    except ValueError:
        for line in text.splitlines():
            try:
                walk(json.loads(line))
            except ValueError:
                pass
    return found


def all_programs(bench, peers, binaries, state):
    """Every row, the one that the others are compared to second."""
    asyncio_peer = bench / "peers" / "asyncio_pipeline.py"
    return [
        Program("asyncio", "asyncio + uvloop + process pool",
                lambda listing, _out: [sys.executable, str(asyncio_peer),
                                       "--connections", str(CONNECTIONS),
                                       str(listing)]),
        Program("go", "Go net/http + crypto/sha512",
                lambda listing, _out: [str(peers / "gopipe"), "--connections",
                                       str(CONNECTIONS), str(listing)]),
        Curl(),
        Program("bare", "libcurl multi alone, one thread (fetch only)",
                lambda listing, _out: [str(peers / "bare_curl"), str(listing),
                                       str(CONNECTIONS)],
                has_digests=False),
        Program("embedded", "urlsum, embedded",
                lambda listing, out: [str(binaries / "urlsum"), "get", "-i",
                                      str(listing), "--parallel-max-host",
                                      str(CONNECTIONS), "--parallel-max",
                                      str(CONNECTIONS), "-o", str(out)],
                stdout=False),
        FourProcesses(binaries, state),
    ]


def keys_programs(binaries, state):
    """The rows of what keys cost."""
    return [FourProcesses(binaries, state),
            FourProcesses(binaries, state, has_keys=True)]
