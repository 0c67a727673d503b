"""Volumes as Kubernetes' kubelet lays Secrets and ConfigMaps out.

NAME is a symbolic link to ..data/NAME, and ..data one to a directory that has
what was last written. A change is a new directory, and ..data renamed onto it:
whoever reads sees the old or the new, never a mixture.
"""
import itertools
import os
import pathlib
import shutil


class Volume:
    """A mounted Secret or ConfigMap: name -> bytes."""

    numbers = itertools.count(1)

    def __init__(self, folder, data, mode=0o644, owner=None):
        self.folder = pathlib.Path(folder)
        self.mode = mode
        self.owner = owner # (user, group), or nobody in particular
        self.folder.mkdir(parents=True)
        self.write(data)

    def write(self, data):
        """Step by step, in the kubelet's order."""
        before = None
        if (self.folder / "..data").is_symlink():
            before = self.folder / os.readlink(self.folder / "..data")
        after = self.folder / f"..2026_11_25_00_00_00.{next(self.numbers)}"
        after.mkdir(mode=0o755)
        for name, content in data.items():
            path = after / name
            path.write_bytes(content)
            if self.owner:
                os.chown(path, *self.owner)
            path.chmod(self.mode)
        scratch = self.folder / "..data_tmp"
        scratch.symlink_to(after.name)
        scratch.rename(self.folder / "..data")
        for name in data:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        for path in self.folder.iterdir():
            if not path.name.startswith("..") and path.name not in data:
                path.unlink()
        if before:
            shutil.rmtree(before)
