"""Keys in volumes as Kubernetes mounts them: symbolic links, swapped at once.

What of these is not said here is in test_keys.py, with plain files."""
import os
import pathlib
import subprocess

import pytest

import harness
from harness import urlsum, wait_until
from kubelet import Volume

ROLES = ("client", "fetcher", "hasher")


class MountedKeys:
    """A volume a program with its keys, and one a role of who may connect."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.made = self.folder / "made"
        self.made.mkdir(parents=True)
        for name in ("broker", *ROLES, "late"):
            urlsum("keygen", self.made / name)
        self.mounts = {
            "broker": self.secret("broker", "broker.key"),
            **{role: self.secret(role, f"{role}.key", "broker.pub")
               for role in ROLES}}
        self.authorized = {
            role: Volume(self.folder / "authorized" / role,
                         self.read(f"{role}.pub")) for role in ROLES}

    def read(self, *names):
        return {name: (self.made / name).read_bytes() for name in names}

    def secret(self, mount, *names):
        """As with defaultMode 0440 and an fsGroup."""
        return Volume(self.folder / mount, self.read(*names), mode=0o440)

    def of_broker(self):
        return ["--key-file", self.folder / "broker" / "broker.key",
                "--authorized", self.folder / "authorized"]

    def of(self, role, name=None):
        key = (self.made if name else self.folder / role) / \
            f"{name or role}.key"
        return ["--key-file", key,
                "--broker-key-file", self.folder / role / "broker.pub"]


def test_secrets_for_kubernetes_are_whole(tmp_path):
    """A file that is missing is made anew or an error, never an empty Secret."""
    folder = tmp_path / "made"

    def make():
        return subprocess.run(
            [harness.ROOT / "deploy/kubernetes/fleet-keys", folder],
            env=harness.environment(URLSUM=str(harness.BUILD / "urlsum")),
            capture_output=True, text=True, check=False)

    assert make().returncode == 0
    public = (folder / "broker.pub").read_text().split()[-1]
    (folder / "broker.pub").unlink()
    got = make()
    assert got.returncode == 0 and "broker.pub: \n" not in got.stdout
    assert (folder / "broker.pub").read_text().split()[-1] == public
    (folder / "hasher.key").unlink()
    (folder / "hasher.key").mkdir()
    got = make()
    assert got.returncode != 0 and "hasher.key" in got.stderr
    assert got.stdout == ""


@pytest.fixture
def keys(tmp_path):
    return MountedKeys(tmp_path / "keys")


@pytest.fixture
def mounted(new_fleet, keys, nginx):
    """A fleet with such keys, live."""
    fleet = new_fleet()
    fleet.start_keyed(keys, nginx.ca)
    return fleet


def test_a_fleet_with_mounted_keys(mounted, keys, nginx, real_files):
    want = {nginx.url(path): digest for path, digest in real_files[:200]}
    got = mounted.client("get", *keys.of("client"), "-i", "-",
                         stdin="\n".join(want)).sums()
    assert got == want
    # Links and their hidden targets are one key each, and none is amiss.
    assert [line for line in mounted.broker.events("keys.loaded")
            if "client=1 fetcher=1 hasher=1 left_out=0" in line]


def test_a_key_is_added(mounted, keys):
    """By a swap, without a word to the broker."""
    got = mounted.client("workers", *keys.of("client", "late"), codes=(3,))
    assert "refuses our key" in got.errors[-1]
    keys.authorized["client"].write(keys.read("client.pub", "late.pub"))
    mounted.broker.wait_event("keys.added", has='name="late"')
    mounted.client("workers", *keys.of("client", "late"))
    mounted.client("workers", *keys.of("client"))


def test_a_key_is_removed(mounted, keys):
    """The only one of its role: the volume is empty then."""
    keys.authorized["hasher"].write({})
    mounted.broker.wait_event("worker.ended", has="role=hasher")
    line = mounted.hasher.wait_event("link.handshake")[0]
    assert "refuses our key" in line
    keys.authorized["hasher"].write(keys.read("hasher.pub"))
    mounted.broker.wait_event("worker.joined", count=2, has="role=hasher")


def test_a_key_is_replaced_under_its_name(mounted, keys):
    """The link's name stays; what it leads to is another key."""
    content = keys.read("late.pub")["late.pub"]
    keys.authorized["client"].write({"client.pub": content})
    mounted.broker.wait_event("keys.added", has='name="client"')
    mounted.client("workers", *keys.of("client"), codes=(3,))
    mounted.client("workers", *keys.of("client", "late"))


def test_many_swaps(mounted, keys):
    """Whoever may connect all the time is never out for a moment."""
    for i in range(20):
        more = ("late.pub",) if i % 2 else ()
        keys.authorized["hasher"].write(keys.read("hasher.pub", *more))
    keys.authorized["hasher"].write(keys.read("hasher.pub", "client.pub"))
    mounted.broker.wait_event("keys.added", has='role=hasher name="client"')
    assert not mounted.broker.events("worker.ended")


def test_a_secret_with_the_usual_mode_is_refused(keys, tmp_path):
    """0644 is Kubernetes' default: everybody may read that."""
    Volume(tmp_path / "open", keys.read("broker.key"))
    run = subprocess.run(
        [harness.BUILD / "urlsum-broker", *keys.of_broker(), "--key-file",
         tmp_path / "open" / "broker.key"], env=harness.environment(),
        capture_output=True, text=True, timeout=harness.GIVE_UP_S, check=False)
    assert run.returncode == 2
    assert "everybody may read" in run.stderr


def test_links_are_as_the_kubelet_makes_them(keys):
    """The double of the kubelet itself."""
    folder = keys.folder / "authorized" / "client"
    assert os.readlink(folder / "client.pub") == "..data/client.pub"
    first = os.readlink(folder / "..data")
    keys.authorized["client"].write(keys.read("late.pub"))
    assert os.readlink(folder / "..data") != first
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["..data", os.readlink(folder / "..data"), "late.pub"])
    wait_until(lambda: not (folder / first).exists(), "the old directory")
