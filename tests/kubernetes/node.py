"""A cluster's node in little: pods as the kubelet starts them.

A pod is a network namespace on a bridge in one of its own, that no packet
leaves. Its container sees this machine's root read-only, with the programs under
test in it, volumes as the kubelet lays them out, the manifest's command and
variables, and runs as the manifest's user without any capability. What its
NetworkPolicies do not let through is dropped."""
import contextlib
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

import flows
from manifests import command, settings

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] /
                    "integration"))
from kubelet import Volume # pylint: disable=wrong-import-position

GIVE_UP_S = 60
NET = "198.18.0" # for tests of networks (RFC 2544)
PROGRAMS = ("urlsum", "urlsum-broker", "urlsum-fetcher", "urlsum-hasher")

# $1: a folder to build the container's root in. The rest comes from mounts().
BEGIN = """set -eu
mount --make-rprivate /
mount -t tmpfs pod "$1"
mkdir -p "$1/image/usr/bin" "$1/image/etc" "$1/root"
"""
END = """mount -t overlay overlay -o "lowerdir=$1/image:/" "$1/root"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
"""


def run(*args):
    return subprocess.run([str(arg) for arg in args], check=True, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=30).stdout


def why_not():
    """Why there can be no pods here, or None."""
    if os.geteuid() != 0:
        return "not root"
    for program in ("curl", "ip", "iptables", "nsenter", "setpriv", "unshare"):
        if not shutil.which(program):
            return f"no {program}"
    try:
        run("unshare", "--net", "sh", "-ec", "ip link add br0 type bridge; "
            "ip link add veth1 type veth peer name veth2; iptables -P INPUT DROP")
        run("unshare", "--mount", "sh", "-ec", "mount --make-rprivate /; "
            "mount -t tmpfs t /mnt; mkdir /mnt/a /mnt/b; "
            "mount -t overlay overlay -o lowerdir=/mnt/a:/ /mnt/b")
    except subprocess.CalledProcessError as error:
        return error.stderr.strip().splitlines()[-1]
    return None


def wait_until(check, what, seconds=GIVE_UP_S):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        got = check()
        if got:
            return got
        time.sleep(0.05)
    raise TimeoutError(what)


class Node:
    def __init__(self, work, build, rules):
        self.work = pathlib.Path(work) / "node"
        self.work.mkdir(mode=0o755)
        self.build = build
        self.rules = rules
        self.name = f"urlsum-kube-{os.getpid()}"
        self.pods = []
        self.spaces = []
        # What else has an address in this net: peers outside of the cluster.
        self.outside = [flows.Peer("origin", address=f"{NET}.2")]
        self.policies = rules.all.of("NetworkPolicy")

    def start(self):
        self.add_space(self.name)
        for words in ("link add br0 type bridge", "link set br0 up",
                      "link set lo up", f"address add {NET}.1/24 dev br0",
                      f"address add {NET}.2/24 dev br0"):
            run("ip", "-n", self.name, *words.split())

    def add_space(self, name):
        run("ip", "netns", "add", name)
        self.spaces.append(name)

    def inside(self):
        """What a command begins with to run on the node itself."""
        return ["nsenter", f"--net=/run/netns/{self.name}"]

    def pod(self, workload, **more):
        pod = Pod(self, workload, len(self.pods) + 1, **more)
        self.pods.append(pod)
        pod.start_network()
        self.apply_policies()
        return pod

    def apply_policies(self):
        for pod in self.pods:
            pod.filter()

    def end(self):
        for pod in self.pods:
            pod.kill()
        for name in self.spaces:
            with contextlib.suppress(subprocess.CalledProcessError):
                run("ip", "netns", "del", name)


class Pod:
    """secrets, maps: Secrets and ConfigMaps, name -> data; those of the rules
    unless given."""

    def __init__(self, node, workload, number, secrets=None, maps=None):
        self.node = node
        self.workload = workload
        self.secrets = secrets or node.rules.secrets
        self.maps = {**node.rules.maps, **(maps or {})}
        self.name = f"{workload.name}-{number}"
        self.space = f"{node.name}-{number}"
        self.address = f"{NET}.{10 + number}"
        self.peer = flows.Peer(self.name, workload.labels,
                               address=self.address)
        self.folder = node.work / self.name
        self.folder.mkdir()
        self.process = None
        self.log = self.folder / "log"
        self.volumes = {}
        self.owner = (0, workload.pod["securityContext"]["fsGroup"])
        for name, volume in workload.volumes.items():
            self.make_volume(name, volume)
        for name in workload.claims:
            self.make_folder(name)

    # --- Volumes ---

    def make_folder(self, name):
        folder = self.folder / "volumes" / name
        folder.mkdir(parents=True)
        os.chown(folder, *self.owner)
        folder.chmod(0o2775)

    def make_volume(self, name, volume):
        folder = self.folder / "volumes" / name
        if "secret" in volume:
            data = self.secrets[volume["secret"]["secretName"]]
            mode = volume["secret"]["defaultMode"]
        elif "configMap" in volume:
            data = {key: text.encode() for key, text in
                    self.maps[volume["configMap"]["name"]].items()}
            mode = 0o644
            for item in volume["configMap"].get("items", []):
                data = {item["path"]: data[item["key"]]}
        else:
            self.make_folder(name)
            return
        self.volumes[name] = Volume(folder, data, mode, self.owner)

    # --- Network ---

    def start_network(self):
        self.node.add_space(self.space)
        link = f"v{self.address.rsplit('.', 1)[1]}"
        run("ip", "-n", self.space, "link", "add", "eth0", "type", "veth",
            "peer", "name", link, "netns", self.node.name)
        for words in (f"link set {link} master br0", f"link set {link} up"):
            run("ip", "-n", self.node.name, *words.split())
        for words in (f"address add {self.address}/24 dev eth0",
                      "link set lo up", "link set eth0 up"):
            run("ip", "-n", self.space, *words.split())

    def filter(self):
        """Both directions, from the manifests' policies; the node comes in."""
        lines = ["*filter", ":INPUT DROP", ":OUTPUT DROP", ":FORWARD DROP",
                 "-A INPUT -i lo -j ACCEPT", "-A OUTPUT -o lo -j ACCEPT",
                 f"-A INPUT -s {NET}.1 -j ACCEPT",
                 f"-A OUTPUT -d {NET}.1 -j ACCEPT"]
        others = [pod.peer for pod in self.node.pods if pod is not self]
        for peer in others + self.node.outside:
            for protocol, port in flows.PORTS:
                chains = {"Ingress": f"INPUT -s {peer.address}",
                          "Egress": f"OUTPUT -d {peer.address}"}
                for direction, back in (("Ingress", "Egress"),
                                        ("Egress", "Ingress")):
                    if flows.lets_through(self.node.policies, direction,
                                          self.peer, peer, protocol, port):
                        lines += [
                            f"-A {chains[direction]} -p {protocol.lower()} "
                            f"--dport {port} -j ACCEPT",
                            f"-A {chains[back]} -p {protocol.lower()} "
                            f"--sport {port} -j ACCEPT"]
        subprocess.run(["nsenter", f"--net=/run/netns/{self.space}",
                        "iptables-restore"], input="\n".join(
                            lines + ["COMMIT", ""]), check=True, text=True,
                       capture_output=True, timeout=30)

    def reaches(self, address, port):
        """Whether a connection can be made from here."""
        return subprocess.run(
            ["nsenter", f"--net=/run/netns/{self.space}", "timeout", "1",
             "bash", "-c", f"</dev/tcp/{address}/{port}"],
            capture_output=True, check=False).returncode == 0

    # --- Programs ---

    def mounts(self, container):
        """Lines that put the container's root together, in "$1"."""
        image, root = '"$1/image"', '"$1/root"'
        broker = next((pod for pod in self.node.pods
                       if pod.workload.name == "broker"), self)
        lines = [BEGIN]
        lines += [f"cp {shlex.quote(str(self.node.build / name))} "
                  f"{image}/usr/bin/" for name in PROGRAMS]
        lines.append(f"printf '127.0.0.1 localhost\\n{broker.address} "
                     f"broker\\n' >{image}/etc/hosts")
        mounted = [(mount, shlex.quote(mount["mountPath"]))
                   for mount in container.get("volumeMounts", [])]
        lines += [f"mkdir -p {image}{path}" for _, path in mounted]
        lines.append(END)
        for mount, path in mounted:
            source = self.folder / "volumes" / mount["name"]
            lines.append(f"mount --bind {shlex.quote(str(source))} "
                         f"{root}{path}")
            if mount.get("readOnly"):
                lines.append(f"mount -o remount,bind,ro {root}{path}")
        return "\n".join(lines)

    def popen(self, container, words=None, **more):
        """words: instead of the container's arguments."""
        env = settings(container, self.maps)
        asked = command(container, env)
        if words:
            asked = asked[:1] + list(words)
        context = self.workload.pod["securityContext"]
        user = ["setpriv", f"--reuid={context['runAsUser']}",
                f"--regid={context['runAsGroup']}",
                f"--groups={context['fsGroup']}", "--no-new-privs",
                "--inh-caps=-all", "--bounding-set=-all"]
        into = ["env", "-i", "PATH=/usr/bin:/bin:/usr/sbin:/sbin",
                f"HOSTNAME={self.name}",
                *(f"{name}={value}" for name, value in env.items())]
        script = self.mounts(container) + "\nexec chroot \"$1/root\" " + \
            shlex.join(into + user + asked)
        scratch = self.folder / "root"
        scratch.mkdir(exist_ok=True)
        return subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.space}", "unshare", "--mount",
             "sh", "-c", script, "sh", str(scratch)],
            stdin=subprocess.DEVNULL, **more)

    def start(self):
        container, = self.workload.pod["containers"]
        with open(self.log, "ab") as log:
            self.process = self.popen(container, stdout=log, stderr=log)

    def run(self, container, words=None):
        """Runs one to its end: (exit code, stdout, stderr)."""
        process = self.popen(container, words, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        try:
            out, err = process.communicate(timeout=GIVE_UP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return process.returncode, out, err

    def probe(self, name):
        """As the kubelet does, from the node: whether the answer is 200."""
        container, = self.workload.pod["containers"]
        get = container[name]["httpGet"]
        port = self.workload.ports()[get["port"]]
        return subprocess.run(
            [*self.node.inside(), "curl", "-sf", "--noproxy", "*",
             "--max-time", str(container[name]["timeoutSeconds"]),
             f"http://{self.address}:{port}{get['path']}"],
            capture_output=True, check=False).returncode == 0

    def wait_ready(self):
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            wait_until(lambda name=name: self.probe(name) or self.is_over(),
                       f"{name} of {self.name}")

    def is_over(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with "
                               f"{self.process.returncode}:\n{self.tail()}")

    def tail(self):
        return self.log.read_text("utf-8", "replace")[-2000:]

    def stop(self):
        """SIGTERM; the exit code, and how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(
            self.workload.pod["terminationGracePeriodSeconds"])
        return code, time.monotonic() - began

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
