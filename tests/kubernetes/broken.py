"""Mistakes in the manifests that the rules must notice, one at a time."""
import copy

from manifests import Manifests
from rules import Rules

LABEL = "app.kubernetes.io/component"
POD = ("spec", "template", "spec")
ONE = POD + ("containers", 0)
GONE = object()

# Which rule, the kind and name of what is changed, where, what is put there.
MISTAKES = [
    (Rules.names, "Service", "broker", ("metadata", "namespace"), "default"),
    (Rules.names, "Deployment", "hasher", ("metadata", "name"), "fetcher"),
    (Rules.names, "Deployment", "hasher", ("metadata", "name"), "Hasher"),
    (Rules.lists, "StatefulSet", "broker", ONE + ("env", 1, "name"),
     "URLSUM_CLIENT_BIND"),
    (Rules.lists, "StatefulSet", "broker", ONE + ("ports", 0, "name"),
     "a-name-that-is-too-long"),
    (Rules.selectors, "Deployment", "fetcher",
     ("spec", "selector", "matchLabels", LABEL), "hasher"),
    (Rules.selectors, "Deployment", "fetcher",
     ("spec", "selector", "matchLabels", LABEL), GONE),
    (Rules.selectors, "Service", "broker", ("spec", "selector", LABEL),
     "brokers"),
    (Rules.selectors, "Deployment", "hasher", POD + (
        "topologySpreadConstraints", 0, "labelSelector", "matchLabels", LABEL),
     "fetcher"),
    (Rules.selectors, "PodMonitor", "urlsum",
     ("spec", "selector", "matchExpressions", 1, "values"), ["broker"]),
    (Rules.budgets, "PodDisruptionBudget", "hasher",
     ("spec", "selector", "matchLabels", LABEL), "fetcher"),
    (Rules.budgets, "PodDisruptionBudget", "broker",
     ("spec", "maxUnavailable"), 0),
    (Rules.services, "Service", "broker",
     ("spec", "ports", 0, "targetPort"), "fetchers"),
    (Rules.services, "Service", "broker",
     ("spec", "ports", 0, "targetPort"), "client"),
    (Rules.services, "Service", "broker-headless", ("spec", "clusterIP"), GONE),
    (Rules.services, "StatefulSet", "broker", ("spec", "serviceName"),
     "broker"),
    (Rules.programs, "Deployment", "hasher", ONE + ("command",),
     ["urlsum-haser"]),
    (Rules.programs, "Deployment", "hasher", ONE + ("image",), "urlsum:0.0.9"),
    (Rules.options, "Deployment", "fetcher", ONE + ("env", 0, "name"),
     "URLSUM_BROKERS"),
    (Rules.options, "StatefulSet", "broker", ONE + ("env", 3, "name"),
     "URLSUM_TTL"),
    (Rules.options, "Job", "client", POD + ("initContainers", 0, "args", 1),
     "--batch=$(BATCH)"),
    (Rules.ports, "StatefulSet", "broker",
     ONE + ("ports", 1, "containerPort"), 5561),
    (Rules.ports, "StatefulSet", "broker", ONE + ("env", 0, "value"),
     "tcp://127.0.0.1"),
    (Rules.ports, "Deployment", "hasher", ONE + ("env", 1, "value"),
     "0.0.0.0:5554"),
    (Rules.probes, "Deployment", "hasher",
     ONE + ("livenessProbe", "httpGet", "path"), "/readyz"),
    (Rules.probes, "Deployment", "hasher",
     ONE + ("livenessProbe", "httpGet", "port"), "metrics"),
    (Rules.grace, "Deployment", "fetcher",
     POD + ("terminationGracePeriodSeconds",), 25),
    (Rules.resources, "StatefulSet", "broker",
     ONE + ("resources", "limits", "memory"), "500Mi"),
    (Rules.resources, "Deployment", "hasher",
     ONE + ("resources", "limits", "cpu"), GONE),
    (Rules.lookups, "Deployment", "fetcher", POD + ("dnsConfig",), GONE),
    (Rules.volumes, "StatefulSet", "broker",
     ONE + ("volumeMounts", 0, "name"), "stor"),
    (Rules.volumes, "StatefulSet", "broker",
     ONE + ("volumeMounts", 3, "subPath"), "client.pub"),
    (Rules.volumes, "Deployment", "hasher", ONE + ("volumeMounts",), []),
    (Rules.references, "Deployment", "hasher",
     POD + ("volumes", 0, "secret", "secretName"), "hashers-key"),
    (Rules.references, "StatefulSet", "broker",
     POD + ("volumes", 2, "configMap", "name"), "authorised-client"),
    (Rules.references, "StatefulSet", "broker",
     ONE + ("envFrom", 0, "configMapRef", "optional"), GONE),
    (Rules.references, "Job", "client",
     POD + ("volumes", 1, "configMap", "items", 0, "key"), "list"),
    (Rules.key_files, "Deployment", "hasher", ONE + ("env", 2, "value"),
     "/etc/urlsum/key/fetcher.key"),
    (Rules.key_files, "Deployment", "hasher",
     POD + ("volumes", 0, "secret", "defaultMode"), 0o644),
    (Rules.key_files, "StatefulSet", "broker",
     ONE + ("volumeMounts", 4, "mountPath"),
     "/etc/urlsum/authorized/fetchers"),
    (Rules.key_files, "StatefulSet", "broker", ONE + ("env", 6, "value"),
     "/etc/urlsum"),
    (Rules.restricted, "Deployment", "hasher",
     POD + ("securityContext", "runAsNonRoot"), GONE),
    (Rules.restricted, "Deployment", "hasher",
     POD + ("securityContext", "seccompProfile"), {"type": "Unconfined"}),
    (Rules.restricted, "Deployment", "hasher",
     ONE + ("securityContext", "allowPrivilegeEscalation"), GONE),
    (Rules.restricted, "Deployment", "hasher",
     ONE + ("securityContext", "capabilities"), {"drop": ["NET_RAW"]}),
    (Rules.restricted, "Deployment", "hasher", POD + ("hostNetwork",), True),
    (Rules.restricted, "StatefulSet", "broker", POD + ("volumes", 0),
     {"name": "tmp", "hostPath": {"path": "/tmp"}}),
    (Rules.more_rights, "Deployment", "hasher",
     POD + ("securityContext", "runAsUser"), 1000),
    (Rules.more_rights, "Deployment", "hasher",
     ONE + ("securityContext", "readOnlyRootFilesystem"), False),
    (Rules.more_rights, "Job", "client",
     POD + ("automountServiceAccountToken",), GONE),
    (Rules.more_rights, "Namespace", "urlsum",
     ("metadata", "labels", "pod-security.kubernetes.io/enforce"), "baseline"),
]


def changed(documents, kind, name, path, value):
    documents = copy.deepcopy(documents)
    for document in documents:
        if document["kind"] == kind and document["metadata"]["name"] == name:
            where = document
            for step in path[:-1]:
                where = where[step]
            if value is GONE:
                del where[path[-1]]
            else:
                where[path[-1]] = value
            break
    else:
        raise LookupError(f"{kind} {name}")
    return documents


def errors_of(rule, rules, mistake):
    """What the rule says of the changed manifests."""
    again = copy.copy(rules)
    if mistake[0] == "PodMonitor":
        again.extras = Manifests(changed(rules.extras.documents, *mistake))
    else:
        again.all = Manifests(changed(rules.all.documents, *mistake))
    return list(rule(again))


def check_all(report, rules):
    for rule, *mistake in MISTAKES:
        kind, name, path, value = mistake
        shown = "none" if value is GONE else value
        report.check(f"noticed: {kind} {name} "
                     f"{'.'.join(map(str, path))}: {shown}",
                     [] if errors_of(rule, rules, mistake)
                     else [f"{rule.__name__} says nothing"])
