"""NetworkPolicies as the cluster's network plug-in evaluates them: a model, and
what it has to say about a fleet."""
import copy
import ipaddress
import pathlib
import re

from manifests import matches

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMESPACE = "urlsum"


class Peer:
    """A pod, or, without labels, an address outside of the cluster."""

    def __init__(self, name, labels=None, namespace=NAMESPACE, address=None):
        self.name = name
        self.labels = labels
        self.namespace = namespace
        self.address = address and ipaddress.ip_address(address)

    def namespace_labels(self):
        return {"kubernetes.io/metadata.name": self.namespace}


def in_block(block, address):
    if address is None:
        return False
    def has(net):
        net = ipaddress.ip_network(net)
        return net.version == address.version and address in net
    return has(block["cidr"]) and not any(map(has, block.get("except", [])))


def is_peer(rule, peer):
    if "ipBlock" in rule:
        return peer.labels is None and in_block(rule["ipBlock"], peer.address)
    if peer.labels is None:
        return False
    if "namespaceSelector" in rule:
        if not matches(rule["namespaceSelector"], peer.namespace_labels()):
            return False
    elif peer.namespace != NAMESPACE:
        return False
    return matches(rule.get("podSelector", {}), peer.labels)


def is_port(rule, protocol, port):
    return rule.get("protocol", "TCP") == protocol and \
        rule.get("port", port) <= port <= rule.get("endPort",
                                                   rule.get("port", port))


def lets_through(policies, direction, pod, peer, protocol, port):
    """One side: a pod that no policy selects lets everything through."""
    if pod.labels is None or pod.namespace != NAMESPACE:
        return True
    rules = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}
    name, peers = rules[direction]
    mine = [policy["spec"] for policy in policies
            if direction in policy["spec"]["policyTypes"] and
            matches(policy["spec"]["podSelector"], pod.labels)]
    if not mine:
        return True
    for spec in mine:
        for rule in spec.get(name, []):
            if ("ports" not in rule or
                    any(is_port(one, protocol, port)
                        for one in rule["ports"])) and \
               (peers not in rule or
                    any(is_peer(one, peer) for one in rule[peers])):
                return True
    return False


# --- The fleet ---

def peers(manifests):
    labels = {name: manifests.workload(name).labels
              for name in ("broker", "fetcher", "hasher", "client")}
    inside = [Peer(name, its) for name, its in labels.items()]
    inside.append(Peer("stranger", {"app": "other"}))
    outside = [
        Peer("client elsewhere", labels["client"], "default"),
        Peer("hasher elsewhere", labels["hasher"], "default"),
        Peer("prometheus", {"app.kubernetes.io/name": "prometheus"},
             "monitoring"),
        Peer("dns", {"k8s-app": "kube-dns"}, "kube-system"),
        Peer("another of kube-system", {"k8s-app": "x"}, "kube-system"),
        Peer("internet", None, None, "93.184.215.14"),
        Peer("internet 6", None, None, "2606:2800:21f:cb07::1"),
        Peer("metadata", None, None, "169.254.169.254"),
        Peer("node", None, None, "10.0.0.4"),
        Peer("private 6", None, None, "fd00::4")]
    return inside, outside


PORTS = [("TCP", port) for port in (22, 53, 80, 443, 5550, 5551, 5552, 5553,
                                    8080, 10250)] + [("UDP", 53), ("UDP", 443)]


def expected():
    """Every flow that there has to be, and no others."""
    flows = {("client", "broker", "TCP", 5550),
             ("fetcher", "broker", "TCP", 5551),
             ("hasher", "broker", "TCP", 5552)}
    for who in ("client", "fetcher", "hasher"):
        flows |= {(who, "dns", "UDP", 53), (who, "dns", "TCP", 53)}
    for who in ("broker", "fetcher", "hasher"):
        flows.add(("prometheus", who, "TCP", 5553))
    for protocol, port in PORTS:
        if protocol == "TCP":
            flows |= {("fetcher", "internet", protocol, port),
                      ("fetcher", "internet 6", protocol, port)}
    return flows


def differences(policies, manifests):
    """Each side by itself: what one lets through the other need not stop."""
    inside, outside = peers(manifests)
    everybody, names = inside + outside, {peer.name for peer in inside}
    errors = []
    for direction, side in (("Egress", 0), ("Ingress", 1)):
        have = {(source.name, target.name, protocol, port)
                for source in everybody for target in everybody
                if (source, target)[side] in inside and source is not target
                for protocol, port in PORTS
                if lets_through(policies, direction, (source, target)[side],
                                (target, source)[side], protocol, port)}
        want = {flow for flow in expected() if flow[side] in names}
        errors += [f"{direction}: must not be: {flow}"
                   for flow in sorted(have - want)]
        errors += [f"{direction}: is not let through: {flow}"
                   for flow in sorted(want - have)]
    return errors


def weakened(policies):
    """Changes that have to be noticed, one at a time."""
    for i, policy in enumerate(policies):
        yield f"without {policy['metadata']['name']}", \
            policies[:i] + policies[i + 1:]
        for name in ("ingress", "egress"):
            for j, rule in enumerate(policy["spec"].get(name, [])):
                for key in ("ports", "from", "to"):
                    if key in rule:
                        changed = copy.deepcopy(policies)
                        del changed[i]["spec"][name][j][key]
                        yield f"{policy['metadata']['name']}: {name} " \
                              f"{j} without {key}", changed


def rows(table):
    """Networks of a table in fetcher/address_policy.c."""
    text = (ROOT / "fetcher" / "address_policy.c").read_text("utf-8")
    body = re.search(rf"row {table}\[\] = \{{(.*?)^\}};", text, re.S | re.M)
    return [ipaddress.ip_network(net)
            for net in re.findall(r'\{"([^"]+)",', body.group(1))]


def fetcher_differences(policies):
    """What a fetcher refuses the policy refuses, and the other way round."""
    spec = next(policy["spec"] for policy in policies
                if policy["metadata"]["name"] == "fetcher")
    blocks = [peer["ipBlock"] for rule in spec["egress"]
              for peer in rule["to"] if "ipBlock" in peer]
    refused = rows("denied_v4") + rows("denied_v6") + rows("metadata")
    errors = [] if len(refused) > 30 else ["address_policy.c was not read"]
    for net in refused:
        for block in blocks:
            whole = ipaddress.ip_network(block["cidr"])
            if whole.version != net.version or not whole.overlaps(net):
                continue
            if not any(net.subnet_of(ipaddress.ip_network(other))
                       for other in block["except"]
                       if ipaddress.ip_network(other).version == net.version):
                errors.append(f"{net} is open, though fetchers refuse it")
    for block in blocks:
        for other in map(ipaddress.ip_network, block["except"]):
            if not any(other.version == net.version and other.subnet_of(net)
                       for net in refused):
                errors.append(f"{other} is closed, though fetchers go there")
    return errors


def check_all(report, manifests):
    policies = manifests.of("NetworkPolicy")
    report.check("network: exactly the flows that are needed, of "
                 f"{len(expected())}", differences(policies, manifests))
    unnoticed = [what for what, changed in weakened(policies)
                 if not differences(changed, manifests)]
    report.check("network: each rule is needed, and its lack noticed",
                 unnoticed)
    report.check("network: fetchers are let out to where they go themselves",
                 fetcher_differences(policies))
    for policy in policies:
        name = policy["metadata"]["name"]
        report.check(f"network: policy {name} is for pods that there are",
                     [] if manifests.selected(policy["spec"]["podSelector"])
                     else ["it selects none"])
