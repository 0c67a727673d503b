"""What no schema says: that the parts of the manifests fit each other, and the
programs, the image and the metrics that they are for."""
import base64
import pathlib
import re
import subprocess

import flows
from manifests import Manifests, command, matches, settings

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMESPACE = "urlsum"
# What Kubernetes' profile "restricted" lets a pod mount.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral",
           "persistentVolumeClaim", "projected", "secret"}


def read(path):
    return (ROOT / path).read_text("utf-8")


def size(text):
    """Bytes: 256M of ours, 1Gi of Kubernetes'."""
    number, unit = re.fullmatch(r"(\d+)([KMGT]?)i?", text).groups()
    return int(number) << 10 * " KMGT".index(unit or " ")


class Rules:
    """manifests: base and client; keys: what fleet-keys printed; extras: all
    else that was rendered."""

    def __init__(self, build, manifests, keys, extras):
        self.build = pathlib.Path(build)
        self.all = manifests
        self.keys = Manifests(keys)
        self.extras = Manifests(extras)
        self.maps = {document["metadata"]["name"]: document.get("data", {})
                     for document in manifests.of("ConfigMap") +
                     self.keys.of("ConfigMap")}
        self.secrets = {
            document["metadata"]["name"]:
            {name: base64.b64decode(value)
             for name, value in document["data"].items()}
            for document in self.keys.of("Secret")}

    def each(self):
        for workload in self.all.workloads:
            for container in workload.containers:
                yield workload, container, \
                    f"{workload.name}/{container['name']}"

    def print_config(self, container, more=()):
        """name -> (value, where it is from), by the program itself."""
        env = settings(container, self.maps)
        words = command(container, env)
        if words[0] == "urlsum": # URLs and batches are no matter of settings
            words = words[:2] + [word for word in words[2:]
                                 if word.startswith("-")]
        run = subprocess.run(
            [self.build / words[0], *words[1:], *more, "--print-config"],
            env={"PATH": "/usr/bin:/bin", **env}, capture_output=True,
            text=True, timeout=20, check=False)
        if run.returncode != 0:
            return None, run.stderr
        return dict((name, (value, source)) for name, value, source in
                    re.findall(r"^([\w-]+)=(.*) # (\w+)", run.stdout, re.M)), ""

    # --- Names ---

    def names(self):
        seen = set()
        documents = self.all.documents + self.extras.documents
        for document in documents:
            kind, meta = document["kind"], document["metadata"]
            if (kind, meta["name"]) in seen:
                yield f"there are two: {kind} {meta['name']}"
            seen.add((kind, meta["name"]))
            if not re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?",
                                meta["name"]):
                yield f"{kind} {meta['name']}: no DNS label"
            where = meta["name"] if kind == "Namespace" else \
                meta.get("namespace")
            if where != NAMESPACE:
                yield f"{kind} {meta['name']} is in {where}"

    def lists(self):
        """Lists whose items have a name: each once."""
        for _, container, what in self.each():
            for key in ("env", "ports", "volumeMounts"):
                names = [item.get("mountPath", item["name"])
                         for item in container.get(key, [])]
                if len(set(names)) != len(names):
                    yield f"{what}: {key} has a name twice"
            for port in container.get("ports", []):
                if not re.fullmatch(r"[a-z0-9-]{1,15}", port["name"]):
                    yield f"{what}: port {port['name']} is no port's name"

    # --- Who selects whom ---

    def selectors(self):
        for workload in self.all.workloads:
            selector = workload.document["spec"].get("selector")
            if selector and self.all.selected(selector) != [workload.name]:
                yield f"{workload.name} selects {self.all.selected(selector)}"
            for spread in workload.pod.get("topologySpreadConstraints", []):
                if not matches(spread["labelSelector"], workload.labels):
                    yield f"{workload.name} does not spread its own pods"
        for kind in ("PodDisruptionBudget", "Service"):
            for document in self.all.of(kind):
                name, selector = document["metadata"]["name"], \
                    document["spec"]["selector"]
                if kind == "Service":
                    selector = {"matchLabels": selector}
                if len(self.all.selected(selector)) != 1:
                    yield f"{kind} {name}: selects " \
                          f"{self.all.selected(selector)}"
        for document in self.extras.of("PodMonitor"):
            found = self.all.selected(document["spec"]["selector"])
            if sorted(found) != ["broker", "fetcher", "hasher"]:
                yield f"PodMonitor selects {found}"

    def budgets(self):
        have = [name for budget in self.all.of("PodDisruptionBudget")
                for name in self.all.selected(budget["spec"]["selector"])]
        if sorted(have) != ["broker", "fetcher", "hasher"]:
            yield f"there are budgets for {sorted(have)}"
        for budget in self.all.of("PodDisruptionBudget"):
            if budget["spec"].get("maxUnavailable") in (None, 0, "0%"):
                yield f"{budget['metadata']['name']}: no node can be drained"

    def services(self):
        for service in self.all.of("Service"):
            spec, name = service["spec"], service["metadata"]["name"]
            ports = self.all.workload("broker").ports()
            for port in spec["ports"]:
                if ports.get(port["targetPort"]) != port["port"]:
                    yield f"{name}: port {port['name']} leads to " \
                          f"{ports.get(port['targetPort'])}"
        for workload in self.all.workloads:
            if workload.kind == "StatefulSet":
                name = workload.document["spec"]["serviceName"]
                service = self.all.get("Service", name)
                if not service or service["spec"].get("clusterIP") != "None":
                    yield f"{workload.name}: {name} is no headless service"

    # --- Programs ---

    def programs(self):
        made = re.findall(r"/build/(urlsum[\w-]*)", read("deploy/Dockerfile"))
        version = subprocess.run([self.build / "urlsum", "--version"],
                                 capture_output=True, text=True, check=True
                                 ).stdout.split()[1]
        for _, container, what in self.each():
            if container["command"][0] not in made:
                yield f"{what}: no {container['command'][0]} in the image"
            if container["image"] != f"urlsum:{version}":
                yield f"{what}: image {container['image']}, not {version}"

    def options(self):
        """Each variable is a setting of its program, with a value it takes."""
        for _, container, what in self.each():
            config, error = self.print_config(container)
            if config is None:
                yield f"{what}: {error}"
                continue
            for item in container["env"]:
                name = item["name"]
                if not name.startswith("URLSUM_"):
                    continue
                option = name[len("URLSUM_"):].lower().replace("_", "-")
                if config.get(option, ("", ""))[1] != "environment":
                    yield f"{what}: {name} is no variable of its program"

    def ports(self):
        """Those that the programs listen on, unless told otherwise."""
        config, _ = self.print_config(
            self.all.workload("broker").containers[0])
        text = subprocess.run([self.build / "urlsum-broker", "--help"],
                              capture_output=True, text=True, check=True).stdout
        text = " ".join(text.split())
        for option, name in (("client-bind", "clients"),
                             ("fetcher-bind", "fetchers"),
                             ("hasher-bind", "hashers")):
            port = re.search(rf"--{option}=.*?port (\d+) unless", text).group(1)
            if self.all.workload("broker").ports()[name] != int(port):
                yield f"{name} is not {port}"
            if config[option][0] != "tcp://0.0.0.0":
                yield f"{option}: {config[option][0]}"
        for workload in self.all.workloads:
            if workload.kind == "Job":
                continue
            config, _ = self.print_config(workload.containers[0])
            if config["http"][0] != f"0.0.0.0:{workload.ports()['http']}":
                yield f"{workload.name}: http is not at {config['http'][0]}"
            if workload.name != "broker" and \
               config["broker"][0] != "tcp://broker":
                yield f"{workload.name}: broker {config['broker'][0]}"
        if not self.all.get("Service", "broker"):
            yield "there is no Service broker"

    def probes(self):
        want = {"startupProbe": "/livez", "livenessProbe": "/livez",
                "readinessProbe": "/readyz"}
        for workload, container, what in self.each():
            if workload.kind == "Job":
                continue
            for probe, path in want.items():
                get = container[probe]["httpGet"]
                if get["path"] != path or get["port"] != "http":
                    yield f"{what}: {probe} asks {get}"

    def grace(self):
        """Kubernetes waits longer than the program does."""
        for workload in self.all.workloads:
            if workload.kind == "Job":
                continue
            config, _ = self.print_config(workload.containers[0])
            if workload.pod["terminationGracePeriodSeconds"] <= \
               float(config["grace"][0]):
                yield f"{workload.name}: killed before its --grace is over"

    def resources(self):
        for workload, container, what in self.each():
            have = container["resources"]
            for kind, name in (("requests", "cpu"), ("requests", "memory"),
                               ("limits", "memory")):
                if name not in have.get(kind, {}):
                    yield f"{what}: no {kind} of {name}"
        broker = self.all.workload("broker").containers[0]
        config, _ = self.print_config(broker)
        if size(broker["resources"]["limits"]["memory"]) < \
           2 * size(config["buffer-memory"][0]):
            yield "broker: less memory than twice its --buffer-memory"
        hasher = self.all.workload("hasher").containers[0]
        if "cpu" not in hasher["resources"]["limits"]:
            yield "hasher: without a limit it has a thread for each CPU"

    def lookups(self):
        """Fetchers do not look for origins in the cluster's domains."""
        options = self.all.workload("fetcher").pod.get("dnsConfig", {}).get(
            "options", [])
        if {"name": "ndots", "value": "1"} not in options:
            yield f"fetcher: DNS options {options}"

    # --- Keys and other volumes ---

    def volumes(self):
        for workload, container, what in self.each():
            known = set(workload.volumes) | set(workload.claims)
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in known:
                    yield f"{what}: there is no volume {mount['name']}"
                if "subPath" in mount:
                    yield f"{what}: {mount['name']} would never change"
        for workload in self.all.workloads:
            used = {mount["name"] for container in workload.containers
                    for mount in container.get("volumeMounts", [])}
            for name in (set(workload.volumes) | set(workload.claims)) - used:
                yield f"{workload.name}: nobody mounts {name}"

    def files(self, workload, container):
        """Paths that the volumes bring, and what they hold."""
        found = {}
        for mount in container.get("volumeMounts", []):
            volume = workload.volumes.get(mount["name"], {})
            data, items = {}, None
            if "secret" in volume:
                data = self.secrets.get(volume["secret"]["secretName"], {})
            elif "configMap" in volume:
                data = self.maps.get(volume["configMap"]["name"], {})
                items = volume["configMap"].get("items")
            for item in items or [{"key": key, "path": key} for key in data]:
                found[f"{mount['mountPath']}/{item['path']}"] = \
                    data.get(item["key"])
        return found

    def references(self):
        for workload, container, what in self.each():
            for source in container.get("envFrom", []):
                ref = source["configMapRef"]
                if not ref.get("optional") and ref["name"] not in self.maps:
                    yield f"{what}: there is no ConfigMap {ref['name']}"
            for item in container["env"]:
                ref = item.get("valueFrom", {}).get("configMapKeyRef")
                if ref and ref["key"] not in self.maps.get(ref["name"], {}):
                    yield f"{what}: there is no {ref}"
            for path, content in self.files(workload, container).items():
                if content is None:
                    yield f"{what}: {path} would not be there"
        for workload in self.all.workloads:
            for name, volume in workload.volumes.items():
                if "secret" in volume and \
                   volume["secret"]["secretName"] not in self.secrets:
                    yield f"{workload.name}: no Secret for volume {name}"
                if "configMap" in volume and \
                   volume["configMap"]["name"] not in self.maps:
                    yield f"{workload.name}: no ConfigMap for volume {name}"

    def key_files(self):
        """Where programs look for keys there are keys, that are for them."""
        for workload, container, what in self.each():
            files = self.files(workload, container)
            env = settings(container, self.maps)
            secret = files.get(env["URLSUM_KEY_FILE"], b"")
            if b"\nurlsum-secret-key " not in secret:
                yield f"{what}: no secret key at {env['URLSUM_KEY_FILE']}"
            if sum(b"secret-key" in content for content in files.values()
                   if isinstance(content, bytes)) != 1:
                yield f"{what}: it is given other secrets than its own"
            if workload.name != "broker":
                public = files.get(env["URLSUM_BROKER_KEY_FILE"], b"")
                if b"\nurlsum-public-key " not in public:
                    yield f"{what}: no key of the broker"
                continue
            for role in ("client", "fetcher", "hasher"):
                path = f"{env['URLSUM_AUTHORIZED']}/{role}/{role}.pub"
                if not files.get(path, "").startswith("urlsum-public-key "):
                    yield f"{what}: no {path}"
        for workload in self.all.workloads:
            for volume in workload.volumes.values():
                if "secret" in volume and \
                   volume["secret"].get("defaultMode") != 0o440:
                    yield f"{workload.name}: a secret is not for its group"

    # --- Rights ---

    def restricted(self):
        """Kubernetes' Pod Security Standard "restricted"."""
        for workload in self.all.workloads:
            pod, name = workload.pod, workload.name
            context = pod["securityContext"]
            for key in ("hostNetwork", "hostPID", "hostIPC"):
                if pod.get(key):
                    yield f"{name}: {key}"
            if context.get("runAsNonRoot") is not True:
                yield f"{name}: may run as root"
            if context.get("seccompProfile", {}).get("type") != \
               "RuntimeDefault":
                yield f"{name}: no seccomp"
            for volume in pod.get("volumes", []):
                if not VOLUMES & set(volume):
                    yield f"{name}: volume {volume}"
        for _, container, what in self.each():
            context = container["securityContext"]
            if context.get("allowPrivilegeEscalation") is not False:
                yield f"{what}: may gain privileges"
            if context.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{what}: capabilities {context.get('capabilities')}"
            if context.get("privileged") or \
               any("hostPort" in port for port in container.get("ports", [])):
                yield f"{what}: privileged, or a port of the host"

    def more_rights(self):
        """What we ask beyond."""
        user = int(re.search(r"--uid (\d+)", read("deploy/Dockerfile"))[1])
        for workload in self.all.workloads:
            context = workload.pod["securityContext"]
            for key in ("runAsUser", "runAsGroup", "fsGroup"):
                if context.get(key) != user:
                    yield f"{workload.name}: {key} is not the image's {user}"
            if workload.pod.get("automountServiceAccountToken") is not False:
                yield f"{workload.name}: has a token for the API server"
            if workload.pod.get("enableServiceLinks") is not False:
                yield f"{workload.name}: services set its variables"
        for _, container, what in self.each():
            if container["securityContext"].get("readOnlyRootFilesystem") \
               is not True:
                yield f"{what}: may write to its root"
        labels = self.all.of("Namespace")[0]["metadata"]["labels"]
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield "the namespace lets others in"


CHECKS = [
    ("names: each once, and in one namespace", Rules.names),
    ("lists: no name twice", Rules.lists),
    ("selectors: each takes the pods that it is for", Rules.selectors),
    ("budgets: one for each, and nodes can be drained", Rules.budgets),
    ("services: ports lead to ports", Rules.services),
    ("programs: in the image, and of this version", Rules.programs),
    ("options: the programs take every variable", Rules.options),
    ("ports: as the programs listen", Rules.ports),
    ("probes: /livez and /readyz", Rules.probes),
    ("stopping: longer than --grace", Rules.grace),
    ("resources: requests, and limits that fit the settings",
     Rules.resources),
    ("names of origins are looked up as they are", Rules.lookups),
    ("volumes: each is there and mounted", Rules.volumes),
    ("references: all Secrets and ConfigMaps have the keys",
     Rules.references),
    ("keys: where programs look for them", Rules.key_files),
    ("rights: the profile `restricted`", Rules.restricted),
    ("rights: read-only root, the image's user, no token", Rules.more_rights),
]


def check_all(report, rules):
    for what, check in CHECKS:
        report.check(what, check(rules))
    flows.check_all(report, rules.all)
