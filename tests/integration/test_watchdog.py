"""The service manager's watchdog: signs of life while every loop turns, none
while one hangs. NOTIFY_SOCKET is ours, as systemd's would be."""
import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import time

import pytest

from harness import GIVE_UP_S, PATIENCE, environment, urlsum, wait_until

PTRACE_DETACH = 17
PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
WALL = 0x40000000
# Silence that the manager would not bear; the programs tell twice as often.
WATCHDOG_S = 2.0 * PATIENCE


class Manager:
    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)

    def environment(self, **more):
        # Without WATCHDOG_PID, which nobody can know before the start.
        return environment(NOTIFY_SOCKET=self.path,
                           WATCHDOG_USEC=str(int(WATCHDOG_S * 1e6)), **more)

    def next(self, seconds):
        """What is said next, None when that is nothing for so long."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(4096).decode()
        except TimeoutError:
            return None

    def wait(self, text):
        """Waits for a message; returns what was said before it."""
        deadline = time.monotonic() + GIVE_UP_S
        before = []
        while time.monotonic() < deadline:
            got = self.next(GIVE_UP_S)
            if got == text:
                return before
            before.append(got)
        raise AssertionError(f"{text} was not said: {before}")

    def empty(self):
        while self.next(0.01):
            pass


@pytest.fixture
def manager(tmp_path):
    ours = Manager(tmp_path / "n")
    yield ours
    ours.socket.close()


def ptrace(request, tid):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, tid, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def one_thread_stopped(tid):
    """The thread hangs; the others of its process go on."""
    try:
        ptrace(PTRACE_SEIZE, tid)
    except PermissionError:
        pytest.skip("may not trace")
    ptrace(PTRACE_INTERRUPT, tid)
    os.waitpid(tid, WALL)
    try:
        yield
    finally:
        ptrace(PTRACE_DETACH, tid)


def threads(pid, name):
    """Ids of the process's threads of that name."""
    return [int(task.name) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
            if (task / "comm").read_text().strip() == name]


def start(fleet, role, env):
    bind = []
    if role == "broker":
        for name, endpoint in fleet.endpoints.items():
            bind += [f"--{name}-bind", endpoint]
        bind += ["--store", fleet.store]
    else:
        bind += ["--broker", fleet.endpoints[role]]
    if role == "hasher":
        bind += ["--threads", "3"]
    return fleet.start(f"urlsum-{role}", *bind, env=env)


def hangs(manager):
    """No sign of life for longer than the manager bears."""
    deadline = time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline:
        if manager.next(1.2 * WATCHDOG_S) is None:
            return True
    return False


@pytest.mark.parametrize("role", ["broker", "fetcher", "hasher"])
def test_signs_of_life(new_fleet, manager, role):
    """They come in time, end while the loop hangs, and begin again."""
    program = start(new_fleet(), role, manager.environment())
    manager.wait("READY=1")
    for _ in range(3):
        begin = time.monotonic()
        manager.wait("WATCHDOG=1")
        assert time.monotonic() - begin < WATCHDOG_S
    with one_thread_stopped(program.pid): # the main thread has the loop
        manager.empty()
        assert hangs(manager)
    manager.wait("WATCHDOG=1")
    program.stop()


@pytest.mark.alone
def test_a_hanging_lane_is_the_hashers(new_fleet, manager):
    """One thread of three hangs: nothing is sent though the main loop turns."""
    program = start(new_fleet(), "hasher", manager.environment())
    manager.wait("READY=1")
    lanes = wait_until(lambda: (found := threads(program.pid, "hasher")) and
                       len(found) == 3 and found, "three lanes")
    manager.wait("WATCHDOG=1")
    with one_thread_stopped(lanes[1]):
        assert hangs(manager)
    manager.wait("WATCHDOG=1")
    program.stop()


@pytest.mark.parametrize("env", [
    {"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": ""},
    {"WATCHDOG_USEC": "soon"}])
def test_who_is_not_watched_says_nothing(new_fleet, manager, env):
    program = start(new_fleet(), "fetcher", {**manager.environment(), **env})
    manager.wait("READY=1")
    assert manager.next(0.7 * WATCHDOG_S) is None
    program.stop()


@pytest.mark.parametrize("role", ["broker", "fetcher", "hasher"])
def test_hup_of_a_manager_ends_nothing(new_fleet, manager, role):
    """`systemctl reload` of what has nothing to read again."""
    program = start(new_fleet(), role, manager.environment())
    manager.wait("READY=1")
    program.process.send_signal(signal.SIGHUP)
    manager.wait("WATCHDOG=1")
    manager.wait("WATCHDOG=1")
    program.stop()


def test_reload_is_told(new_fleet, manager, tmp_path):
    """SIGHUP: RELOADING=1 with its time, then READY=1 (Type=notify-reload)."""
    keys = tmp_path / "keys"
    (keys / "authorized" / "client").mkdir(parents=True)
    fleet = new_fleet()
    urlsum("keygen", keys / "broker")
    broker = fleet.start_broker("--key-file", keys / "broker.key",
                                "--authorized", keys / "authorized",
                                env=manager.environment())
    manager.wait("READY=1")
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    broker.process.send_signal(signal.SIGHUP)
    said = [line for line in manager.wait("READY=1") if line != "WATCHDOG=1"]
    now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    reloading = [text for text in said if text.startswith("RELOADING=1\n")]
    assert len(reloading) == 1
    at_us = int(reloading[0].split("MONOTONIC_USEC=")[1])
    assert before_us <= at_us <= now_us
    broker.stop()
