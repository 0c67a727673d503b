"""Resident memory of processes, sampled."""
import pathlib
import threading

MIB = 1024 * 1024
WARM_SAMPLES = 16


def resident(pid):
    """(now, highest so far) in bytes, or None when it has ended."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = dict(line.split(":", 1) for line in text.splitlines())
    if "VmRSS" not in found:
        return None  # a zombie has none
    return tuple(int(found[name].split()[0]) * 1024
                 for name in ("VmRSS", "VmHWM"))


class Sampler:
    """Samples in a thread between start and stop."""

    def __init__(self, pids, every_s=0.5):
        self.pids = dict(pids)  # name -> pid
        self.every_s = every_s
        self.samples = {name: [] for name in self.pids}
        self.peaks = {name: 0 for name in self.pids}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()

    def stop(self):
        self.ended.set()
        self.thread.join()

    def _run(self):
        while True:
            for name, pid in self.pids.items():
                seen = resident(pid)
                if seen:
                    self.samples[name].append(seen[0])
                    self.peaks[name] = max(self.peaks[name], seen[1])
            if self.ended.wait(self.every_s):
                return

    def growth(self, name):
        """Highest of the last half less highest of the second eighth: what a
        process gains once it is warm. 0 of a run too short to have been so."""
        samples = self.samples[name]
        n = len(samples)
        if n < WARM_SAMPLES:
            return 0
        warm = samples[n // 8:n // 4]
        late = samples[n // 2:]
        return max(late) - max(warm)
