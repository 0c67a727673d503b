"""What was rendered, and how its parts find each other."""
import yaml

# The one in C, where there is one: it is ten times as fast.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text):
    return [document for document in yaml.load_all(text, Loader) if document]


def matches(selector, labels):
    """As a LabelSelector does; an empty one takes all, none takes nothing."""
    if selector is None:
        return False
    for name, value in selector.get("matchLabels", {}).items():
        if labels.get(name) != value:
            return False
    for rule in selector.get("matchExpressions", []):
        has = labels.get(rule["key"])
        fits = {"In": lambda: has in rule["values"],
                "NotIn": lambda: has not in rule["values"],
                "Exists": lambda: rule["key"] in labels,
                "DoesNotExist": lambda: rule["key"] not in labels}
        if not fits[rule["operator"]]():
            return False
    return True


class Workload:
    """A StatefulSet, Deployment or Job, by the pods it makes."""

    def __init__(self, document):
        self.document = document
        self.kind = document["kind"]
        self.name = document["metadata"]["name"]
        self.template = document["spec"]["template"]
        self.labels = self.template["metadata"]["labels"]
        self.pod = self.template["spec"]
        self.containers = self.pod.get("initContainers", []) + \
            self.pod["containers"]
        self.volumes = {volume["name"]: volume
                        for volume in self.pod.get("volumes", [])}
        self.claims = [claim["metadata"]["name"] for claim in
                       document["spec"].get("volumeClaimTemplates", [])]

    def ports(self):
        """name -> number"""
        return {port["name"]: port["containerPort"]
                for container in self.containers
                for port in container.get("ports", [])}


class Manifests:
    def __init__(self, documents):
        self.documents = documents
        self.workloads = [Workload(document) for document in documents
                          if document["kind"] in
                          ("StatefulSet", "Deployment", "Job")]

    def of(self, kind):
        return [document for document in self.documents
                if document["kind"] == kind]

    def get(self, kind, name):
        found = [document for document in self.of(kind)
                 if document["metadata"]["name"] == name]
        return found[0] if found else None

    def workload(self, name):
        return next(workload for workload in self.workloads
                    if workload.name == name)

    def selected(self, selector):
        """Names of the workloads whose pods it takes."""
        return [workload.name for workload in self.workloads
                if matches(selector, workload.labels)]


def settings(container, config_maps):
    """The container's environment, as the kubelet makes it."""
    env = {}
    for source in container.get("envFrom", []):
        name = source["configMapRef"]["name"]
        env.update(config_maps.get(name, {}))
    for item in container.get("env", []):
        if "value" in item:
            env[item["name"]] = item["value"]
        else:
            ref = item["valueFrom"]["configMapKeyRef"]
            env[item["name"]] = config_maps[ref["name"]][ref["key"]]
    return env


def command(container, env):
    """Its command line, with $(NAME) put in."""
    words = container["command"] + container.get("args", [])
    for name, value in env.items():
        words = [word.replace(f"$({name})", value) for word in words]
    return words
