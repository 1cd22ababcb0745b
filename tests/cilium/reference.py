# SPDX-License-Identifier: Apache-2.0
"""
An evaluator of Cilium's rules (API of 1.18), written from its documentation and behaviour, and without a look
at Picket's engine: labels and selectors, entities, requirements, deny before allow, default deny. Two ways in:
`api_rules` for what its API takes (netreap), `kubernetes_rules` for CiliumNetworkPolicy objects, whose selectors
get the namespaces that Kubernetes' side adds.
"""
import copy
import dataclasses
import ipaddress

NAMESPACE = "io.kubernetes.pod.namespace"
NAMESPACE_LABELS = "io.cilium.k8s.namespace.labels."
CLUSTER = "io.cilium.k8s.policy.cluster"
PEERS = ("Endpoints", "CIDR", "CIDRSet", "Entities", "Groups", "Nodes", "Services", "FQDNs")
EMPTY_IS_NOBODY = ("Endpoints", "CIDR", "CIDRSet", "Entities", "Nodes")


@dataclasses.dataclass
class Identity:
    """Whoever a rule may speak of. labels: {(source, key): value}."""

    name: str
    labels: dict
    addresses: tuple = ()
    ports: dict = dataclasses.field(default_factory=dict)		# {name: (number, protocol)}
    world: bool = False


@dataclasses.dataclass
class Traffic:
    protocol: str		# TCP, UDP, SCTP, ICMP
    port: int = 0
    icmp_type: int = 0


def get_label(labels, key):
    """The value of a key that may name its source; None where it isn't there."""
    source, colon, name = key.partition(":")
    if not colon:
        source, name = "any", key
    for (its_source, its_name), value in labels.items():
        if its_name == name and source in ("any", its_source):
            return value
    return None


def requirements(selector):
    """[(key, operator, values)] of a label selector."""
    out = [(k, "In", [v]) for k, v in (selector.get("matchLabels") or {}).items()]
    return out + [(e["key"], e["operator"], e.get("values") or []) for e in selector.get("matchExpressions") or []]


def fulfils(labels, requirement):
    key, operator, values = requirement
    value = get_label(labels, key)
    return {"In": value is not None and value in values, "NotIn": value is None or value not in values,
            "Exists": value is not None, "DoesNotExist": value is None}[operator]


def matches(labels, needed):
    return all(fulfils(labels, r) for r in needed)


ENTITIES = {
    "all": [[]], "none": [[("reserved:none", "Exists", [])]],
    **{e: [[(f"reserved:{e}", "In", [""])]] for e in
       ("host", "remote-node", "init", "health", "ingress", "kube-apiserver", "unmanaged", "world")}}
ENTITIES["world-ipv4"] = ENTITIES["world-ipv6"] = ENTITIES["world"]
ENTITIES["cluster"] = [s for e in ("host", "remote-node", "init", "health", "ingress", "kube-apiserver", "unmanaged")
                       for s in ENTITIES[e]] + [[(f"k8s:{CLUSTER}", "In", ["default"])]]


def in_cidrs(identity, rules):
    """A CIDR means the world alone."""
    for text, holes in rules:
        inside = [a for a in identity.addresses if a in ipaddress.ip_network(text, strict=False)]
        if identity.world and any(not any(a in ipaddress.ip_network(h, strict=False) for h in holes) for a in inside):
            return True
    return False


def of_family(identity, entity):
    version = {"world-ipv4": 4, "world-ipv6": 6}.get(entity)
    return version is None or any(a.version == version for a in identity.addresses)


def matches_peers(entry, prefix, identity, required):
    """Any peer of the entry; None: it names no peers."""
    lists = {kind: entry[prefix + kind] for kind in PEERS if entry.get(prefix + kind) is not None}
    if any(not lists.get(kind, True) for kind in EMPTY_IS_NOBODY):
        return False
    if not any(lists.values()):
        return None
    if any(matches(identity.labels, requirements(s) + required) for s in lists.get("Endpoints", [])):
        return True
    for entity in lists.get("Entities", []):
        if of_family(identity, entity) and any(matches(identity.labels, s) for s in ENTITIES[entity]):
            return True
    cidrs = [(c, []) for c in lists.get("CIDR", [])]
    cidrs += [(c["cidr"], c.get("except") or []) for c in lists.get("CIDRSet", []) if "cidr" in c]
    return in_cidrs(identity, cidrs)	# groups, nodes, services, names: nobody in these worlds


def matches_port(port, traffic, destination):
    protocol = (port.get("protocol") or "ANY").upper()
    if traffic.protocol not in (("TCP", "UDP", "SCTP") if protocol == "ANY" else (protocol,)):
        return False
    text = str(port.get("port", "0")).lower()
    if any(c.isalpha() for c in text):
        return destination.ports.get(text) == (traffic.port, traffic.protocol)
    number = int(text, 0)
    return number == 0 or number <= traffic.port <= max(number, port.get("endPort") or 0)


def matches_ports(entry, traffic, destination):
    """None: it names neither ports nor ICMP types."""
    to_ports, icmps = entry.get("toPorts") or [], entry.get("icmps") or []
    if not to_ports and not icmps:
        return None
    if any(matches_port(p, traffic, destination) for rule in to_ports for p in rule.get("ports") or []):
        return True
    return traffic.protocol == "ICMP" and any(
        f.get("family", "IPv4") == "IPv4" and f["type"] == traffic.icmp_type for i in icmps for f in i["fields"])


class Policy:
    """Rules in force. Each of them: {"endpointSelector", "ingress", ...} with full label keys."""

    def __init__(self, rules):
        self.rules = [r for r in rules if r.get("endpointSelector") is not None]

    def about(self, identity):
        return [r for r in self.rules if matches(identity.labels, requirements(r["endpointSelector"]))]

    @staticmethod
    def matching(rules, key, prefix, peer, traffic, destination):
        """Does an entry of these lists match? Requirements count for all of them together."""
        entries = [e for r in rules for e in r.get(key) or []]
        required = [q for e in entries for s in e.get(prefix + "Requires") or [] for q in requirements(s)]
        for entry in entries:
            peers = matches_peers(entry, prefix, peer, required)
            ports = matches_ports(entry, traffic, destination)
            if (peers, ports) != (None, None) and peers in (True, None) and ports in (True, None):
                return True
        return False

    def allows(self, subject, ingress, peer, traffic):
        """One side's verdict: subject is an endpoint, peer whoever is at the other end."""
        key, prefix = ("ingress", "from") if ingress else ("egress", "to")
        destination = subject if ingress else peer
        rules = [r for r in self.about(subject) if r.get(key) or r.get(key + "Deny")]
        if self.matching(rules, key + "Deny", prefix, peer, traffic, destination):
            return False
        if not any((r.get("enableDefaultDeny") or {}).get(key, True) is not False for r in rules):
            return True
        return self.matching(rules, key, prefix, peer, traffic, destination)


API_KEYS = {k.lower(): k for k in (
    "endpointSelector ingress egress ingressDeny egressDeny enableDefaultDeny matchLabels matchExpressions key operator "
    "values toPorts ports port endPort protocol icmps fields family type cidr except " +
    " ".join(p + k for p in ("from", "to") for k in (*PEERS, "Requires"))).split()}


def fold_keys(value, names=True):
    """Go's JSON reader takes keys in any case; those of matchLabels are data."""
    if isinstance(value, list):
        return [fold_keys(v) for v in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for key, v in value.items():
        known = API_KEYS.get(key.lower(), key) if names else key
        if v is not None:
            out[known] = fold_keys(v, known != "matchLabels")
    return out


def api_rules(rules):
    return [fold_keys(r) for r in (rules if isinstance(rules, list) else [rules])]


def scoped(selector, namespace, about_init, requirement):
    """A peer selector of an object, confined as Kubernetes' side of Cilium confines it."""
    selector = copy.deepcopy(selector)
    keys = [k for k, _, _ in requirements(selector)]
    if not requirement and any(k.startswith("reserved:") for k in keys):
        return selector
    plain = [k.partition(":")[2] if k.startswith(("k8s:", "any:")) else k for k in keys]
    if NAMESPACE in plain:
        return selector
    if namespace is None:
        if not about_init:
            selector.setdefault("matchExpressions", []).append({"key": f"k8s:{NAMESPACE}", "operator": "Exists"})
    elif not any(k.startswith(NAMESPACE_LABELS) for k in plain):
        selector.setdefault("matchLabels", {})[f"k8s:{NAMESPACE}"] = namespace
    return selector


def kubernetes_rules(objects):
    rules = []
    for item in objects:
        namespace = None if "Clusterwide" in item["kind"] else item["metadata"].get("namespace", "default")
        specs = ([item["spec"]] if item.get("spec") else []) + (item.get("specs") or [])
        for spec in specs:
            rule = fold_keys(spec)
            subject = rule["endpointSelector"]
            about_init = any(k == "reserved:init" for k, _, _ in requirements(subject))
            if namespace is not None:
                subject.setdefault("matchLabels", {})[f"k8s:{NAMESPACE}"] = namespace
            for key, prefix in (("ingress", "from"), ("ingressDeny", "from"), ("egress", "to"), ("egressDeny", "to")):
                for entry in rule.get(key) or []:
                    for kind in ("Endpoints", "Requires"):
                        if entry.get(prefix + kind):
                            entry[prefix + kind] = [scoped(s, namespace, about_init, kind == "Requires")
                                                    for s in entry[prefix + kind]]
            rules.append(rule)
    return rules
