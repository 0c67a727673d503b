"""One run of a command: wall time, and CPU time of it and all it started."""
import dataclasses
import os
import signal
import subprocess
import threading
import time


@dataclasses.dataclass
class Sample:
    wall_s: float
    cpu_s: float
    others: float = 0.0  # share of the machine that neither we nor nginx used


class Failed(Exception):
    """The command did not do its work; the text says what was seen."""


def finish(process):
    """Waits. Returns (exit code, CPU seconds with all waited-for children)."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime


def kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(command, stdout, stderr, timeout_s=600, env=None):
    """Runs the command with its output in the file stdout. Returns a Sample."""
    with open(stdout, "wb") as out, open(stderr, "wb") as err:
        begin = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=err, env=env,
                                   start_new_session=True)
        timer = threading.Timer(timeout_s, kill_group, [process])
        timer.start()
        try:
            code, cpu_s = finish(process)
        except BaseException:
            kill_group(process)
            raise
        finally:
            timer.cancel()
        wall_s = time.monotonic() - begin
    if code:
        with open(stderr, "rb") as text:
            said = text.read()[-400:].decode(errors="replace").strip()
        raise Failed(f"{command[0]}: exit {code}: {said}")
    return Sample(wall_s, cpu_s)


def busy_seconds():
    """CPU time of the whole machine that was not idle."""
    with open("/proc/stat", encoding="ascii") as stat:
        fields = [int(f) for f in stat.readline().split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")
