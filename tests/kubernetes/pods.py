"""A fleet of the manifests themselves: the programs with exactly what is
rendered, a batch, keys that change, and connections that must not be."""
import base64
import concurrent.futures
import copy
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import traceback

import manifests
import node

ROOT = pathlib.Path(__file__).resolve().parents[2]
ORIGIN = f"{node.NET}.2"
PORT = 8080
FILES = 60


class Fleet:
    def __init__(self, report, work, build, rules):
        self.report = report
        self.work = pathlib.Path(work)
        self.build = build
        self.rules = rules
        self.node = node.Node(work, build, rules)
        self.origin = None
        self.sums = {}
        self.broker = self.fetcher = None
        self.hashers = []

    def workload(self, name):
        return self.rules.all.workload(name)

    def start_origin(self):
        """On the node's net, outside of the cluster."""
        folder = self.work / "www"
        folder.mkdir()
        for i in range(FILES):
            body = os.urandom(i * 5000)
            (folder / str(i)).write_bytes(body)
            url = f"http://{ORIGIN}:{PORT}/{i}"
            self.sums[url] = hashlib.sha512(body).hexdigest()
        self.origin = subprocess.Popen(
            [*self.node.inside(), sys.executable, "-m", "http.server",
             str(PORT), "--bind", ORIGIN, "--directory", str(folder)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)

    def start(self):
        self.node.start()
        self.start_origin()
        self.broker = self.node.pod(self.workload("broker"))
        self.broker.start()
        self.broker.wait_ready()
        # Opened as the manifests say one does: in the settings, and in a policy.
        self.fetcher = self.node.pod(self.workload("fetcher"), maps={
            "fetcher-settings": {"URLSUM_ALLOW_NET": "198.18.0.0/15"}})
        self.hashers = [self.node.pod(self.workload("hasher"))
                        for _ in range(2)]
        workers = [self.fetcher, *self.hashers]
        for pod in workers:
            pod.start()
        for pod in workers:
            pod.wait_ready()
        return []

    def end(self):
        self.node.end()
        if self.origin:
            self.origin.kill()
            self.origin.wait(10)

    # --- What must be true of it ---

    def confined(self):
        """The programs are what the manifests say, by the kernel's word."""
        for pod in (self.broker, self.fetcher, *self.hashers):
            status = pathlib.Path(f"/proc/{pod.process.pid}/status"
                                  ).read_text("ascii")
            for line in ("Uid:\t10001\t10001", "Gid:\t10001\t10001",
                         "CapEff:\t0000000000000000",
                         "CapBnd:\t0000000000000000", "NoNewPrivs:\t1",
                         f"Name:\turlsum-{pod.workload.name}"):
                if line not in status:
                    yield f"{pod.name}: not {line}"
            root = pathlib.Path(f"/proc/{pod.process.pid}/root/etc/try")
            try:
                root.write_text("x", "ascii")
                yield f"{pod.name}: its root can be written to"
            except OSError:
                pass

    def reach(self, *tries):
        """Each: whether it is allowed, from which pod, to where, which port.
        All at once, for what is dropped has to be waited for."""
        with concurrent.futures.ThreadPoolExecutor(len(tries)) as pool:
            reached = pool.map(lambda it: it[1].reaches(*it[2:]), tries)
            for (allowed, pod, address, port), made in zip(tries, reached):
                if made != allowed:
                    yield f"{pod.name} to {address}:{port}: not " \
                          f"{'let through' if allowed else 'stopped'}"

    def connections(self, client):
        broker, hasher = self.broker, self.hashers[0]
        tries = [(port == mine, pod, broker.address, port)
                 for pod, mine in ((client, 5550), (self.fetcher, 5551),
                                   (hasher, 5552))
                 for port in (5550, 5551, 5552, 5553)]
        tries += [(False, hasher, self.hashers[1].address, 5553),
                  (False, broker, self.fetcher.address, 5553)]
        tries += [(False, pod, ORIGIN, PORT)
                  for pod in (broker, hasher, client, self.fetcher)]
        return self.reach(*tries)

    def open_origin(self):
        """A policy of one's own, for an origin in a private network."""
        policy = copy.deepcopy(next(
            policy for policy in self.node.policies
            if policy["metadata"]["name"] == "fetcher"))
        policy["metadata"]["name"] = "fetcher-private"
        policy["spec"]["egress"] = [
            {"to": [{"ipBlock": {"cidr": "198.18.0.0/15"}}]}]
        self.node.policies = self.node.policies + [policy]
        self.node.apply_policies()
        return self.reach((True, self.fetcher, ORIGIN, PORT),
                          (False, self.hashers[0], ORIGIN, PORT))

    def job(self, client):
        """The Job: its first container submits, its second prints."""
        submit, = client.workload.pod["initContainers"]
        results, = client.workload.pod["containers"]
        for _ in range(2): # begun again, it goes on
            code, out, err = client.run(submit)
            if code or out != "list-1\n":
                yield f"submit: {code} {out} {err}"
        code, out, err = client.run(results)
        if code:
            yield f"results: {code} {err}"
        have = dict(reversed(line.split("  ", 1)) for line in out.splitlines())
        if have != self.sums:
            yield f"{len(have)} results of {len(self.sums)}, or wrong ones"

    def keys(self, client):
        """A key is let in, another goes, as README says; nothing restarts."""
        folder = self.work / "keys"
        container, = client.workload.pod["containers"]
        volume = self.broker.volumes["clients"]
        maker = [self.build / "urlsum", "keygen"]
        node.run(*maker, folder / "laptop")
        shutil.copy(folder / "laptop.pub", folder / "authorized" / "client")
        (folder / "authorized" / "client" / "client.pub").unlink()
        printed = subprocess.run(
            [ROOT / "deploy" / "kubernetes" / "fleet-keys", folder],
            env={**os.environ, "URLSUM": str(self.build / "urlsum")},
            check=True, capture_output=True, text=True).stdout
        again = manifests.Manifests(manifests.load(printed))
        secret = again.get("Secret", "broker-key")["data"]["broker.key"]
        if base64.b64decode(secret) != \
           self.rules.secrets["broker-key"]["broker.key"]:
            yield "fleet-keys made another key"
        data = again.get("ConfigMap", "authorized-client")["data"]
        if list(data) != ["laptop.pub"]:
            yield f"the list has {list(data)}"
        laptop = self.node.pod(client.workload, secrets={
            "client-key": {
                "client.key": (folder / "laptop.key").read_bytes(),
                "broker.pub": (folder / "broker.pub").read_bytes()}})
        code, _, err = laptop.run(container, ["workers"])
        if code != 3 or "refuses our key" not in err:
            yield f"before: {code} {err}"
        volume.write({name: text.encode() for name, text in data.items()})
        node.wait_until(lambda: "event=keys.removed" in
                        self.broker.log.read_text("utf-8"), "keys.removed")
        code, out, err = laptop.run(container, ["workers"])
        if code or "hasher" not in out:
            yield f"afterwards: {code} {err}"
        code, _, err = client.run(container, ["workers"])
        if code != 3 or "refuses our key" not in err:
            yield f"the removed one: {code} {err}"

    def restart(self):
        """The broker's pod is deleted: another one, with the same volume."""
        code, _ = self.broker.stop()
        if code:
            yield f"the broker ended with {code}"
        self.broker.start()
        self.broker.wait_ready()
        for pod in (self.fetcher, *self.hashers):
            pod.wait_ready()

    def stopping(self):
        for pod in (self.fetcher, *self.hashers, self.broker):
            code, seconds = pod.stop()
            if code:
                yield f"{pod.name} ended with {code} after {seconds:.0f} s:" \
                      f"\n{pod.tail()}"


def check_all(report, work, build, rules):
    why = node.why_not()
    if why:
        report.skip("pods of these manifests", why)
        return
    fleet = Fleet(report, work, build, rules)
    try:
        report.check("pods: broker, fetcher, hashers start and are ready",
                     fleet.start())
        report.check("pods: user, capabilities, read-only root",
                     fleet.confined())
        client = fleet.node.pod(fleet.workload("client"), maps={
            "client-list": {"batch": "list-1",
                            "urls.txt": "\n".join(fleet.sums)}})
        report.check("pods: connections that there should be, and no others",
                     fleet.connections(client))
        report.check("pods: a private origin is opened", fleet.open_origin())
        report.check("pods: the client's Job gets all digests right",
                     fleet.job(client))
        report.check("pods: a key is added, another removed",
                     fleet.keys(client))
        report.check("pods: the broker's pod is replaced", fleet.restart())
        report.check("pods: all stop with 0 in their time", fleet.stopping())
    except Exception: # pylint: disable=broad-except # whatever it was
        report.check("pods: the test itself", [traceback.format_exc(limit=-2)])
    finally:
        fleet.end()
