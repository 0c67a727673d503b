"""Disks that are full, or fail."""
import os
import subprocess

import pytest

from harness import BUILD, SANITIZE, environment

DISK_MIB = 128
SHIM = BUILD / "tests" / "libfaulty_disk.so"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a tmpfs")
needs_shim = pytest.mark.skipif(
    not SHIM.exists() or bool(SANITIZE),
    reason="needs faulty_disk, which must be the first library")


class SmallDisk:
    """A file system of our own, that can be filled to the last byte."""

    def __init__(self, folder):
        self.folder = folder
        self.ballast = folder / "ballast"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m",
                        "urlsum-test", str(folder)], check=True, timeout=20)

    def fill(self, leave_mib=0):
        free = os.statvfs(self.folder)
        if leave_mib:
            size = free.f_bavail * free.f_frsize - (leave_mib << 20)
            self.ballast.write_bytes(bytes(size))
            return
        with open(self.ballast, "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass # no room for another piece of this size

    def make_room(self):
        self.ballast.unlink()

    def end(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=False,
                       timeout=20)


class FaultyDisk:
    """Calls that fail when we say so: tests/faulty_disk.c."""

    def __init__(self, folder):
        self.control = folder / "faults"
        self.environment = environment(LD_PRELOAD=str(SHIM),
                                       FAULTY_DISK=str(self.control))

    def fail(self, rule):
        fresh = self.control.with_suffix(".new")
        fresh.write_text(rule + "\n", encoding="ascii")
        fresh.rename(self.control)

    def work(self):
        self.control.unlink()
