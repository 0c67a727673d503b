"""Manifests against the JSON Schemas in schemas/: every field known, of its
type, what is required there, values of a list in it. Needs no network."""
import copy
import json
import pathlib

import jsonschema

HERE = pathlib.Path(__file__).resolve().parent


class Schemas:
    def __init__(self, folder=HERE / "schemas"):
        self.validators = {}
        for file in sorted(folder.glob("*.json")):
            text = json.loads(file.read_text("utf-8"))
            for kind, name in text["kinds"].items():
                self.validators[kind] = jsonschema.Draft7Validator(
                    {"$ref": f"#/definitions/{name}",
                     "definitions": text["definitions"]})

    def errors(self, document):
        """What is wrong, a line each."""
        kind = f"{document.get('apiVersion')}/{document.get('kind')}"
        if kind not in self.validators:
            return [f"{kind}: there is no such kind"]
        return [f"{kind} {'.'.join(map(str, error.absolute_path))}: "
                f"{error.message[:300]}"
                for error in self.validators[kind].iter_errors(document)]


# --- The checker itself: it must refuse what is wrong ---

def at(document, path):
    for step in path:
        document = document[step]
    return document


# Maps whose keys are anybody's.
FREE = {"annotations", "data", "labels", "limits", "matchLabels", "nodeSelector",
        "requests"}


def is_free(document, path):
    """Whether the names of the fields there are not Kubernetes' own."""
    if path and path[-1] in FREE:
        return True
    if document["kind"] == "Service" and path == ("spec", "selector"):
        return True
    return document["kind"] == "ScaledObject" and path[-1:] == ("metadata",) \
        and "triggers" in path


def fields(document, path=()):
    """(path of the map, name) of every field that has a name of Kubernetes'."""
    node = at(document, path)
    if isinstance(node, dict):
        for name in node:
            if not is_free(document, path):
                yield path, name
                yield from fields(document, path + (name,))
    elif isinstance(node, list):
        for i in range(len(node)):
            yield from fields(document, path + (i,))


def misspelt(document):
    """Copies in each of which one field's name is wrong."""
    for path, name in fields(document):
        wrong = copy.deepcopy(document)
        where = at(wrong, path)
        where[name + "s"] = where.pop(name)
        yield ".".join(map(str, path + (name,))), wrong


# Where, what to put there (None: take it away). The kind is that of the first
# document that has the place.
WRONG = [
    ("a wrong type", "StatefulSet", "spec.replicas", "1"),
    ("a wrong type", "Deployment", "spec.template.spec.containers.0.ports", {}),
    ("a number where text must be", "Deployment",
     "spec.template.spec.containers.0.env.0.value", 5553),
    ("text where a truth value must be", "Deployment",
     "spec.template.spec.enableServiceLinks", "false"),
    ("a fraction", "StatefulSet",
     "spec.template.spec.terminationGracePeriodSeconds", 35.5),
    ("nothing where something must be", "Deployment", "spec.selector", None),
    ("nothing where something must be", "Deployment",
     "spec.template.spec.containers", None),
    ("nothing where something must be", "Deployment",
     "spec.template.spec.containers.0.name", None),
    ("nothing where something must be", "Service", "spec.ports.0.port", None),
    ("a wrong type", "NetworkPolicy", "spec.podSelector", "x"),
    ("nothing where something must be", "Job", "spec.template", None),
    ("a value that is none of those", "Deployment",
     "spec.template.spec.containers.0.imagePullPolicy", "Sometimes"),
    ("a value that is none of those", "NetworkPolicy", "spec.policyTypes.0",
     "ingress"),
    ("a value that is none of those", "Job",
     "spec.template.spec.restartPolicy", "never"),
    ("a value that is none of those", "PodDisruptionBudget",
     "spec.unhealthyPodEvictionPolicy", "Always"),
    ("a quantity that is none", "StatefulSet",
     "spec.template.spec.containers.0.resources.limits.memory", "1GiB"),
    ("a version that is gone", "PodDisruptionBudget", "apiVersion",
     "policy/v1beta1"),
    ("a version that is gone", "HorizontalPodAutoscaler", "apiVersion",
     "autoscaling/v2beta2"),
    ("a kind that is none", "Deployment", "kind", "Deploymnet"),
    ("a wrong type", "HorizontalPodAutoscaler", "spec.maxReplicas", "10"),
    ("nothing where something must be", "ScaledObject",
     "spec.triggers.0.metadata", None),
    ("a number where text must be", "ScaledObject",
     "spec.triggers.0.metadata.threshold", 1000),
    ("a wrong type", "PodMonitor", "spec.podMetricsEndpoints.0.path", ["/x"]),
]


def wrong(document, place, value):
    """A copy with that one thing changed."""
    changed = copy.deepcopy(document)
    *path, last = (int(step) if step.isdigit() else step
                   for step in place.split("."))
    where = at(changed, path)
    if value is None:
        del where[last]
    else:
        where[last] = value
    return changed


def check_all(report, schemas, documents):
    for document in documents:
        report.check(f"schema: {document['kind']} "
                     f"{document['metadata']['name']}",
                     schemas.errors(document))
    for what, kind, place, value in WRONG:
        document = next(doc for doc in documents if doc["kind"] == kind)
        report.check(f"the schema refuses {what}: {kind} {place}",
                     [] if schemas.errors(wrong(document, place, value))
                     else ["it is taken"])
    taken, tried, seen = [], 0, set()
    for document in documents:
        if document["kind"] in seen: # one of each will do
            continue
        seen.add(document["kind"])
        for place, changed in misspelt(document):
            tried += 1
            if not schemas.errors(changed):
                taken.append(f"{document['kind']} {place}s is taken")
    report.check(f"the schema refuses each of {tried} misspelt fields",
                 taken if tried > 200 else ["these are too few"])
