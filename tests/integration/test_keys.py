"""Keys: who is let in, who is refused and told so, and what a removed key
ends."""
import fnmatch
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
import zmq

import harness
from harness import urlsum, wait_until
from test_api import Client, api # pylint: disable=unused-import # a fixture

ROLES = ("client", "fetcher", "hasher")
CURVE_GREETING = (b"\xff" + bytes(8) + b"\x7f\x03\x00" +
                  b"CURVE".ljust(20, b"\0") + bytes(32))


class Keys:
    """Key pairs in a folder, and a broker's list of them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.authorized = self.folder / "authorized"
        for role in ROLES:
            (self.authorized / role).mkdir(parents=True)
        self.make("broker")
        for role in ROLES:
            self.make(role)
            self.allow(role, role)

    def make(self, name):
        urlsum("keygen", self.folder / name)

    def path(self, name, kind="key"):
        return self.folder / f"{name}.{kind}"

    def public(self, name):
        return self.path(name, "pub").read_text("ascii").split()[-1]

    def allow(self, name, role):
        """As an operator should: nobody sees half a file."""
        scratch = self.authorized / role / f".{name}.tmp"
        shutil.copy(self.path(name, "pub"), scratch)
        scratch.rename(self.authorized / role / f"{name}.pub")

    def remove(self, name, role):
        (self.authorized / role / f"{name}.pub").unlink()

    def of_broker(self):
        return ["--key-file", self.path("broker"),
                "--authorized", self.authorized]

    def of(self, name, broker="broker"):
        return ["--key-file", self.path(name),
                "--broker-key-file", self.path(broker, "pub")]


@pytest.fixture
def keys(tmp_path):
    (tmp_path / "keys").mkdir()
    return Keys(tmp_path / "keys")


@pytest.fixture
def keyed(new_fleet, keys, nginx):
    """A fleet with keys, live."""
    fleet = new_fleet()
    fleet.start_keyed(keys, nginx.ca)
    return fleet


def refusals(fleet, reason):
    return [line for line in fleet.broker.events("peer.refused")
            if f"reason={reason}" in line]


def wait_refusal(fleet, reason, role):
    return fleet.broker.wait_event("peer.refused",
                                   has=f"reason={reason}") and wait_until(
        lambda: [line for line in refusals(fleet, reason)
                 if f"role={role}" in line], reason)[0]


# --- Who comes in ---

def test_a_fleet_with_keys(keyed, keys, nginx, real_files):
    some = real_files[:500]
    want = {nginx.url(path): digest for path, digest in some}
    got = keyed.client("get", *keys.of("client"), "-i", "-",
                       stdin="\n".join(want)).sums()
    assert got == want
    joined = keyed.broker.events("worker.joined")
    assert any('key="fetcher"' in line for line in joined)
    assert any('key="hasher"' in line for line in joined)
    # No secret is anywhere.
    secrets = [keys.path(name).read_text("ascii").split()[-1]
               for name in ("broker", *ROLES)]
    for program in keyed.programs:
        assert not any(secret in program.text() for secret in secrets)


@pytest.mark.parametrize("command", ["workers", "hosts", "status"])
def test_questions_with_keys(keyed, keys, command):
    keyed.client(command, *keys.of("client"))


def test_print_config_names_files_only(keys):
    run = subprocess.run(
        [harness.BUILD / "urlsum-broker", *keys.of_broker(), "--print-config"],
        capture_output=True, env=harness.environment(), check=True, text=True)
    assert f"key-file={keys.path('broker')} # flag" in run.stdout
    secret = keys.path("broker").read_text("ascii").split()[-1]
    assert secret not in run.stdout + run.stderr


def test_secrets_made_in_the_tree_stay_there():
    """What README.md makes below the tree is in no commit and in no image."""
    secrets = ("keys/broker.key", "deploy/keys/urlsum.key", "deploy/far.tar",
               "laptop.key", "deploy/kubernetes/laptop.key")
    if not (harness.ROOT / ".git").exists():
        pytest.skip("no repository")
    ignored = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", harness.ROOT, "check-ignore",
         *secrets], capture_output=True, text=True, check=False)
    assert ignored.stdout.split() == list(secrets)
    # As the engine reads it: a path is out when it or a folder above it is.
    lines = (harness.ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    for secret in secrets:
        path = pathlib.PurePath(secret)
        assert any(part.match(pattern[3:]) if pattern.startswith("**/")
                   else fnmatch.fnmatch(str(part), pattern)
                   for part in (path, *path.parents)
                   for pattern in patterns), secret


@pytest.mark.parametrize("role", ROLES)
def test_wrong_role(keyed, keys, role):
    """A key of another role is refused, and the log says whose it is."""
    other = "client" if role != "client" else "hasher"
    if role == "client":
        got = keyed.client("workers", *keys.of(other), codes=(3,))
        assert "refuses our key" in got.errors[-1]
    else:
        worker = keyed.start(f"urlsum-{role}", "--broker",
                             keyed.endpoints[role], *keys.of(other),
                             "--name", 'a" why="b')
        line = worker.wait_event("link.handshake")[0]
        assert "level=error" in line and "refuses our key" in line
        # A name cannot make a field of its own.
        assert r'worker="a\x22 why=\x22b' in line
        assert f'endpoint="{keyed.endpoints[role]}"' in line
    line = wait_refusal(keyed, "wrong_role", role)
    assert 'address="127.0.0.1"' in line and f'name="{other}"' in line
    assert keys.public(other) in line


def test_unknown_key(keyed, keys):
    keys.make("stranger")
    got = keyed.client("workers", *keys.of("stranger"), codes=(3,))
    assert "refuses our key" in got.errors[-1]
    line = wait_refusal(keyed, "unknown_key", "client")
    assert 'address="127.0.0.1"' in line
    assert keys.public("stranger") in line


def test_no_key(keyed):
    got = keyed.client("workers", codes=(3,))
    assert "wants keys" in got.errors[-1]
    line = wait_refusal(keyed, "no_key", "client")
    assert re.search(r'address="(127\.0\.0\.1:\d+|unknown)"', line)


@pytest.mark.alone
def test_worker_without_key(keyed):
    worker = keyed.start("urlsum-hasher", "--broker",
                         keyed.endpoints["hasher"], "--threads", "1")
    assert "wants keys" in worker.wait_event("link.handshake")[0]
    wait_refusal(keyed, "no_key", "hasher")


def test_wrong_broker_key(keyed, keys):
    got = keyed.client("workers", *keys.of("client", broker="hasher"),
                       "--connect-wait", "1", codes=(3,))
    assert "--broker-key-file" in got.errors[-1]
    wait_refusal(keyed, "wrong_broker_key", "client")
    worker = keyed.start("urlsum-fetcher", "--broker",
                         keyed.endpoints["fetcher"],
                         *keys.of("fetcher", broker="hasher"))
    assert "--broker-key-file" in worker.wait_event("link.handshake")[0]


# Its connection may end before its greeting is read, and then it is not known
# which of the two has no keys.
NO_KEYS = re.compile("has no keys|has it keys")


def test_broker_without_keys(fleet, keys):
    """Those who bring keys to a broker that has none are told so."""
    got = fleet.client("workers", *keys.of("client"), codes=(3,))
    assert NO_KEYS.search(got.errors[-1])
    worker = fleet.start("urlsum-hasher", "--broker",
                         fleet.endpoints["hasher"], *keys.of("hasher"))
    assert NO_KEYS.search(worker.wait_event("link.handshake")[0])


def test_keys_over_ipc(new_fleet, keys, nginx):
    fleet = new_fleet("ipc")
    fleet.start_broker(*keys.of_broker())
    fleet.start_hasher(*keys.of("hasher"))
    fleet.start_fetcher(*keys.of("fetcher"))
    got = fleet.client("get", *keys.of("client"), nginx.url("x"))
    assert got.lines[0].startswith(harness.sha512(b"x"))
    got = fleet.client("workers", *keys.of("hasher"), codes=(3,))
    assert "refuses our key" in got.errors[-1]


# --- The list changes ---

def test_added_and_removed(new_fleet, keys, nginx):
    """A key that is added lets in who waits; removed, it is out."""
    fleet = new_fleet()
    keys.remove("hasher", "hasher")
    fleet.start_broker(*keys.of_broker())
    hasher = fleet.start("urlsum-hasher", "--broker",
                         fleet.endpoints["hasher"], "--threads", "1",
                         *keys.of("hasher"))
    hasher.wait_event("link.handshake")
    keys.allow("hasher", "hasher")
    hasher.wait_event("link.live")
    fleet.broker.wait_event("keys.added", has="role=hasher")
    keys.remove("hasher", "hasher")
    fleet.broker.wait_event("keys.removed", has="role=hasher")
    fleet.broker.wait_event("worker.ended", has="its key is not in the list")
    hasher.wait_event("link.lost")
    hasher.wait_event("link.handshake", count=2, has="refuses our key")


def test_directories_made_later(new_fleet, keys):
    shutil.rmtree(keys.authorized)
    fleet = new_fleet()
    fleet.start_broker(*keys.of_broker())
    fleet.broker.wait_event("keys.loaded", has="client=0 fetcher=0 hasher=0")
    fleet.broker.wait_event("keys.none", has=f'path="{keys.authorized}"')
    keys.authorized.mkdir()
    (keys.authorized / "client").mkdir()
    keys.allow("client", "client")
    fleet.broker.wait_event("keys.added", has="role=client")
    fleet.client("workers", *keys.of("client"))


def test_another_directory_in_its_place(new_fleet, keys):
    """While it is away nobody may connect; that is soon over."""
    fleet = new_fleet()
    fleet.start_broker(*keys.of_broker())
    away = keys.authorized.with_name("away")
    keys.authorized.rename(away)
    fleet.broker.wait_event("keys.none")
    away.rename(keys.authorized)
    came = time.monotonic()
    fleet.broker.wait_event("keys.added", has="role=client")
    assert time.monotonic() - came < 4 # it is looked for all 0.5 s, not all 5
    keys.remove("client", "client") # and watched again
    fleet.broker.wait_event("keys.removed", has="role=client", count=2)


def test_sighup(keyed):
    count = len(keyed.broker.events("keys.loaded"))
    os.kill(keyed.broker.pid, signal.SIGHUP)
    keyed.broker.wait_event("keys.loaded", count=count + 1)
    keyed.client("workers", codes=(3,)) # it lives, and refuses still


def test_swapped_like_kubernetes(new_fleet, keys):
    """A mounted Secret: ..data is a link, and all files are links into it."""
    data = keys.authorized / "hasher"
    for name, members in (("..1", ["hasher"]), ("..2", [])):
        (data / name).mkdir()
        for member in members:
            shutil.copy(keys.path(member, "pub"), data / name)
    (data / "..data").symlink_to("..1")
    (data / "hasher.pub").unlink()
    (data / "hasher.pub").symlink_to("..data/hasher.pub")
    fleet = new_fleet()
    fleet.start_broker(*keys.of_broker())
    fleet.start_hasher(*keys.of("hasher"))
    (data / "..data_tmp").symlink_to("..2")
    (data / "..data_tmp").rename(data / "..data")
    fleet.broker.wait_event("keys.removed", has="role=hasher")
    fleet.broker.wait_event("worker.ended")


def test_bad_files_are_left_out(new_fleet, keys):
    folder = keys.authorized / "client"
    (folder / "empty.pub").write_text("")
    (folder / "garbage.pub").write_bytes(os.urandom(300))
    (folder / "large.pub").write_bytes(b"#" * 100000)
    shutil.copy(keys.path("hasher"), folder / "secret.pub")
    (folder / "folder.pub").mkdir()
    (folder / "dangling.pub").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.pub")
    (folder / "notes.txt").write_text("not a key")
    (folder / ".hidden.pub").write_text("not a key")
    fleet = new_fleet()
    fleet.start_broker(*keys.of_broker())
    fleet.broker.wait_event("keys.loaded", has="client=1 fetcher=1 hasher=1 "
                                               "left_out=7")
    assert len(fleet.broker.events("keys.bad_file")) == 7
    fleet.client("workers", *keys.of("client"))


# --- A removed key in the middle of a batch ---

@pytest.mark.parametrize("role", ["fetcher", "hasher"])
def test_revoked_worker_loses_nothing(keyed, keys, nginx, real_files, role):
    some = real_files[:2000]
    want = {nginx.url(path): digest for path, digest in some}
    listed = keyed.folder / "list"
    listed.write_text("\n".join(want))
    keys.make("second")
    keys.allow("second", role)
    args = keys.of("second")
    if role == "fetcher":
        args += ["--cacert", nginx.ca]
    batch = keyed.client("submit", *keys.of("client"), "-i",
                         listed).stdout.decode().strip()
    wait_until(lambda: keyed.client(
        "results", *keys.of("client"), batch, codes=(0, 3)).lines, "records")
    keyed.start_worker(role, args, {})
    keys.remove(role, role)
    keyed.broker.wait_event("worker.ended", has="its key is not in the list")
    got = keyed.client("results", *keys.of("client"), "--follow",
                       batch).sums()
    assert got == want
    records = keyed.client("results", *keys.of("client"), "--format", "jsonl",
                           batch).records()
    assert all(record["attempts"] == 1 for record in records)


def test_revoked_client(keyed, keys, origin):
    """It ends with a clear line, at once; its batch goes on."""
    url = origin.url("stall")
    with harness.started_client(
            "get", *keys.of("client"), url,
            broker=keyed.endpoints["client"]) as process:
        keyed.broker.wait_event("batch.created")
        keys.make("other")
        keys.allow("other", "client")
        keyed.broker.wait_event("keys.added", has='name="other"')
        keys.remove("client", "client")
        _, errors = process.communicate(timeout=harness.GIVE_UP_S)
    assert process.returncode == 3
    assert b"refuses our key" in errors
    got = keyed.client("status", *keys.of("other"), "--json")
    assert len(got.records()) == 1


# --- Beyond this machine ---

@pytest.mark.parametrize("flag", ["--client-bind", "--fetcher-bind",
                                  "--hasher-bind"])
@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0", "tcp://*", "tcp://lo"])
def test_refuses_to_serve_strangers(new_fleet, tmp_path, flag, endpoint):
    fleet = new_fleet("ipc")
    bind = []
    for role, path in fleet.endpoints.items():
        bind += [f"--{role}-bind", path]
    run = subprocess.run(
        [harness.BUILD / "urlsum-broker", *bind, "--store", tmp_path / "s.db",
         flag, endpoint],
        capture_output=True, env=harness.environment(), check=False,
        timeout=harness.GIVE_UP_S, text=True)
    assert run.returncode == 2
    for word in (flag, "--key-file", "--authorized", "--insecure"):
        assert word in run.stderr


def test_insecure(new_fleet, tmp_path):
    fleet = new_fleet()
    fleet.endpoints["client"] = f"tcp://*:{harness.free_port('0.0.0.0')}"
    fleet.start_broker("--insecure")
    port = fleet.endpoints["client"].rsplit(":", 1)[1]
    urlsum("workers", broker=f"tcp://127.0.0.1:{port}")


def test_keys_beyond_this_machine(new_fleet, keys):
    fleet = new_fleet()
    port = harness.free_port("0.0.0.0")
    fleet.endpoints["client"] = f"tcp://0.0.0.0:{port}"
    fleet.start_broker(*keys.of_broker())
    urlsum("workers", *keys.of("client"), broker=f"tcp://127.0.0.1:{port}")


# --- Settings that cannot be ---

def broker_says(*args):
    run = subprocess.run([harness.BUILD / "urlsum-broker", *args],
                         capture_output=True, env=harness.environment(),
                         timeout=harness.GIVE_UP_S, check=False, text=True)
    assert run.returncode == 2, run
    return run.stderr


def test_broker_settings(keys, tmp_path):
    assert "go together" in broker_says("--key-file", keys.path("broker"))
    assert "go together" in broker_says("--authorized", keys.authorized)
    assert "secret one" in broker_says(
        "--key-file", keys.path("broker", "pub"), "--authorized",
        keys.authorized)
    assert "No such file" in broker_says(
        "--key-file", tmp_path / "none", "--authorized", keys.authorized)
    keys.path("broker").chmod(0o644)
    assert "chmod 600" in broker_says(*keys.of_broker())


@pytest.mark.parametrize("program", ["urlsum-fetcher", "urlsum-hasher",
                                     "urlsum"])
def test_settings_of_who_connects(keys, program):
    def says(*args):
        run = subprocess.run(
            [harness.BUILD / program, *(["workers"] if program == "urlsum"
                                        else []), *args],
            capture_output=True, env=harness.environment(),
            timeout=harness.GIVE_UP_S, check=False, text=True)
        assert run.returncode == 2, run
        return run.stderr

    assert "without --broker-key-file" in says("--key-file",
                                               keys.path("client"))
    assert "without --key-file" in says("--broker-key-file",
                                        keys.path("broker", "pub"))
    assert "secret one" in says("--key-file", keys.path("client", "pub"),
                                "--broker-key-file",
                                keys.path("broker", "pub"))
    assert "public one" in says("--key-file", keys.path("client"),
                                "--broker-key-file", keys.path("broker"))
    keys.path("client").chmod(0o604)
    assert "everybody may read" in says(*keys.of("client"))
    keys.path("client").chmod(0o440) # as containers are given secrets
    keys.path("broker", "pub").write_text("urlsum-public-key short\n")
    assert "40 characters" in says(*keys.of("client"))


def test_embedded_run_needs_no_keys(keys, nginx):
    env = harness.environment(URLSUM_KEY_FILE=str(keys.path("broker")))
    urlsum("get", nginx.url("x"), env=env)
    got = urlsum("get", *keys.of("client"), nginx.url("x"), codes=(2,))
    assert "--broker" in got.errors[0]


# --- Others ---

def test_client_in_another_language(keyed, keys, api):
    """As proto/urlsum.proto says: three options before it connects."""
    ours = Client(api, keyed.endpoints["client"], curve=(
        keys.public("broker"), keys.public("client"),
        keys.path("client").read_text("ascii").split()[-1]))
    reply = ours.ask(workers=api.GetWorkers())
    assert {worker.role for worker in reply.workers.workers} == \
        {"fetcher", "hasher"}
    ours.close()


STRANGERS = 200


def besiege(fleet, keys, rounds):
    """Strangers with keys of their own, without, with another broker's; and
    some who stop in the middle of it. Waits until all were refused."""
    for _ in range(rounds):
        context = zmq.Context()
        monitors = []
        for n in range(STRANGERS):
            role = ROLES[n % 3]
            dealer = context.socket(zmq.DEALER)
            dealer.linger = 0
            dealer.setsockopt(zmq.RECONNECT_IVL, -1)
            dealer.curve_publickey, dealer.curve_secretkey = \
                zmq.curve_keypair()
            dealer.curve_serverkey = keys.public(
                "client" if n % 4 == 0 else "broker").encode("ascii")
            monitors.append((dealer, dealer.get_monitor_socket(
                zmq.EVENT_DISCONNECTED)))
            dealer.connect(fleet.endpoints[role])
        silent = []
        for role in ROLES:
            port = int(fleet.endpoints[role].rsplit(":", 1)[1])
            for sent in (b"", b"\xff", CURVE_GREETING, CURVE_GREETING +
                         b"\x04\xc8\x05HELLO\x01\x00" + bytes(192)):
                peer = socket.create_connection(("127.0.0.1", port))
                peer.sendall(sent)
                silent.append(peer)
        for dealer, monitor in monitors:
            assert monitor.poll(harness.GIVE_UP_S * 1000)
            dealer.disable_monitor()
            dealer.close()
        for peer in silent:
            peer.close()
        context.destroy(0)


def resident_kib(program):
    text = pathlib.Path(f"/proc/{program.pid}/status").read_text("ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1))


@pytest.mark.plain
def test_hostile_crowd_does_not_grow_memory(keyed, keys, nginx):
    besiege(keyed, keys, 2)
    before = resident_kib(keyed.broker)
    besiege(keyed, keys, 6)
    assert resident_kib(keyed.broker) < before + 16 * 1024
    got = keyed.client("get", *keys.of("client"), nginx.url("x"))
    assert got.lines[0].startswith(harness.sha512(b"x"))
    # Their lines are rationed, too.
    assert len(keyed.broker.events("peer.refused")) < 8 * STRANGERS / 4


# --- keygen ---

def test_keys_of_a_fleet_whose_broker_lost_its_volume(tmp_path):
    """The others' volumes know a broker that is no more."""
    def fleet_keys(*args):
        path = f"{harness.BUILD}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh", harness.ROOT / "deploy/fleet-keys", *args], check=True,
            env=os.environ | {"PATH": path, "FLEET_KEYS": str(tmp_path)},
            capture_output=True, text=True, timeout=30).stdout.splitlines()

    def content(*names):
        return [(tmp_path / name).read_text("ascii") for name in names]

    for volume in ("broker", *ROLES):
        (tmp_path / volume).mkdir()
    fleet_keys()
    secrets = content(*(f"{role}/{role}.key" for role in ROLES))
    fleet_keys("revoke", "hasher")
    fleet_keys()
    assert fleet_keys("list") == ["client client", "fetcher fetcher"]
    shutil.rmtree(tmp_path / "broker")
    (tmp_path / "broker").mkdir()
    fleet_keys()
    assert fleet_keys("list") == [f"{role} {role}" for role in ROLES]
    assert set(content(*(f"{role}/broker.pub" for role in ROLES))) == \
        set(content("broker/broker.pub"))
    assert content(*(f"{role}/{role}.key" for role in ROLES)) == secrets


def test_keygen(tmp_path):
    name = tmp_path / "pair"
    urlsum("keygen", name)
    key, pub = tmp_path / "pair.key", tmp_path / "pair.pub"
    assert key.stat().st_mode & 0o777 == 0o600
    assert pub.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == \
        ["pair.key", "pair.pub"]
    before = key.read_bytes(), pub.read_bytes()
    got = urlsum("keygen", name, codes=(1,))
    assert "is there already" in got.errors[0]
    urlsum("keygen", "--if-missing", name)
    assert (key.read_bytes(), pub.read_bytes()) == before
    line = pub.read_text("ascii").splitlines()[-1]
    for path in (key, pub):
        assert urlsum("keygen", "--public", path).lines == [line]
    # A run that was killed between the two files is completed.
    pub.unlink()
    urlsum("keygen", name, codes=(1,))
    urlsum("keygen", "--if-missing", name)
    assert pub.read_text("ascii").splitlines()[-1] == line


def test_keygen_refuses(tmp_path):
    urlsum("keygen", tmp_path / "a")
    urlsum("keygen", tmp_path / "b")
    shutil.copy(tmp_path / "b.pub", tmp_path / "a.pub")
    got = urlsum("keygen", "--if-missing", tmp_path / "a", codes=(1,))
    assert "not the public half" in got.errors[0]
    (tmp_path / "b.key").unlink()
    got = urlsum("keygen", "--if-missing", tmp_path / "b", codes=(1,))
    assert "without its .key" in got.errors[0]
    assert not (tmp_path / "b.key").exists()
    urlsum("keygen", tmp_path / "none" / "c", codes=(1,))
    for args in ([], ["x", "y"], [tmp_path / "x.key"], [f"{tmp_path}/"],
                 ["--public", tmp_path / "a.pub", "x"]):
        urlsum("keygen", *args, codes=(2,))
    assert not (tmp_path / "x.key.key").exists()


def test_keygen_at_once(tmp_path):
    """Many containers of one volume start together: one pair comes of it."""
    runs = [subprocess.Popen([harness.BUILD / "urlsum", "keygen",
                              "--if-missing", tmp_path / "k"],
                             env=harness.environment(),
                             stderr=subprocess.PIPE) for _ in range(16)]
    for run in runs:
        _, errors = run.communicate(timeout=harness.GIVE_UP_S)
        assert run.returncode == 0, errors
    assert sorted(path.name for path in tmp_path.iterdir()) == \
        ["k.key", "k.pub"]
    assert urlsum("keygen", "--public", tmp_path / "k.key").lines == \
        urlsum("keygen", "--public", tmp_path / "k.pub").lines
