# SPDX-License-Identifier: Apache-2.0
"""Random worlds and the policies of people who wrote them for Cilium, with netreap or in Kubernetes."""
import ipaddress

from .reference import CLUSTER, NAMESPACE, NAMESPACE_LABELS, Identity, Traffic

ACCOUNT = "io.cilium.k8s.policy.serviceaccount"
NAMESPACES, APPS, TIERS = ("a", "b"), ("x", "y", "z"), ("p", "q")
PORTS = {"http": (80, "TCP"), "dns": (53, "UDP")}
OUTSIDE = ("203.0.113.7", "192.168.5.5", "8.8.8.8")
CIDRS = ("203.0.113.0/24", "0.0.0.0/0", "192.168.0.0/16", "8.8.8.8/32", "10.20.0.0/16", "203.0.113.7")
TRAFFIC = (Traffic("TCP", 80), Traffic("TCP", 8081), Traffic("UDP", 53), Traffic("UDP", 80), Traffic("ICMP", icmp_type=8))


class World:
    """Endpoints and who is around them; the same people as Picket's expectations name them."""

    def __init__(self, rng, kubernetes, namespaces=NAMESPACES):
        self.kubernetes = kubernetes
        self.identities, self.endpoints = {}, []
        for i in range(6):
            self.add_endpoint(f"e{i}", f"10.20.0.{i + 1}", rng.choice(namespaces), rng.choice(APPS),
                              rng.choice((*TIERS, None)), rng.random() < 0.7)
        self.add("init", {("reserved", "init"): ""}, ["10.20.0.100"])
        self.endpoints.append({"name": "init", "labels": {}, "addresses": ["10.20.0.100"]})
        self.add("host", {("reserved", "host"): ""})
        self.add("remote-node", {("reserved", "remote-node"): ""})
        for address in OUTSIDE:
            self.add(f"world:{address}", {("reserved", "world"): ""}, [address], world=True)

    def add(self, name, labels, addresses=(), **more):
        self.identities[name] = Identity(name, labels, tuple(map(ipaddress.ip_address, addresses)), **more)

    def add_endpoint(self, name, address, namespace, app, tier, has_ports):
        labels = {"nomad:namespace": namespace, "nomad:job": f"job-{app}", "nomad:group": "g", "meta:app": app}
        if tier:
            labels["meta:tier"] = tier
        ports = PORTS if has_ports else {}
        self.endpoints.append({"name": name, "labels": labels, "addresses": [address],
                               "ports": {k: f"{n}/{p.lower()}" for k, (n, p) in ports.items()}})
        meta = {"app": app, **({"tier": tier} if tier else {})}
        if self.kubernetes:
            theirs = {("k8s", NAMESPACE): namespace, ("k8s", CLUSTER): "default",
                      ("k8s", NAMESPACE_LABELS + "kubernetes.io/metadata.name"): namespace,
                      ("k8s", ACCOUNT): "s" if int(name[1:]) % 2 else "t",
                      **{("k8s", k): v for k, v in meta.items()}}
        else:
            theirs = {("netreap", "nomad.namespace"): namespace, ("netreap", "nomad.job_id"): f"job-{app}",
                      ("netreap", "nomad.task_group_id"): "g", **{("nomad", k): v for k, v in meta.items()}}
        self.add(name, theirs, [address], ports=dict(ports))

    def subjects(self):
        return [e["name"] for e in self.endpoints if e["name"] != "init"]

    def connections(self):
        """(from, to, traffic): at least one of the two is an endpoint with a policy of its own."""
        subjects = set(self.subjects())
        for source in self.identities:
            for target in self.identities:
                if source == target or not {source, target} & subjects:
                    continue
                for traffic in TRAFFIC:
                    yield source, target, traffic


class Author:
    """Writes rules. odd: the share of entries with something unusual in them."""

    def __init__(self, rng, kubernetes, namespace=None, odd=0.2):
        self.rng, self.kubernetes, self.namespace, self.odd = rng, kubernetes, namespace, odd

    def often(self, share):
        return self.rng.random() < share

    def pick(self, *choices):
        return self.rng.choice(choices)

    # -- labels

    def key(self, name):
        if name == "namespace":
            return self.pick(f"k8s:{NAMESPACE}", f"k8s:{NAMESPACE}", f"k8s:{NAMESPACE_LABELS}kubernetes.io/metadata.name") \
                if self.kubernetes else "netreap:nomad.namespace"
        if name == "job":
            return "netreap:nomad.job_id"
        return self.pick(name, f"k8s:{name}", f"any:{name}") if self.kubernetes else f"nomad:{name}"

    def value(self, name):
        return self.rng.choice({"namespace": NAMESPACES, "job": [f"job-{a}" for a in APPS], "app": APPS, "tier": TIERS}[name])

    def expression(self, name):
        operator = self.pick("In", "NotIn", "Exists", "DoesNotExist")
        values = {"values": sorted({self.value(name) for _ in range(2)})} if operator in ("In", "NotIn") else {}
        return {"key": self.key(name), "operator": operator, **values}

    def names(self):
        """What a selector may read: meta only where the namespace is known (an operator's document refuses it)."""
        return ["app", "tier"] if self.namespace else ["job", "namespace"] if not self.kubernetes else ["namespace"]

    def selector(self, peer):
        labels, expressions = {}, []
        for name in self.names():
            if self.often(0.35):
                labels[self.key(name)] = self.value(name)
            elif self.often(0.25):
                expressions.append(self.expression(name))
        if not self.namespace and labels and self.often(0.3):
            named = f"k8s:{NAMESPACE}" if self.kubernetes else "netreap:nomad.namespace"
            labels.update({named: self.value("namespace"), self.key("app"): self.value("app")})
        if self.kubernetes and self.namespace and peer and self.often(0.2):
            if self.often(0.7):
                labels[self.key("namespace")] = self.value("namespace")
            else:
                expressions.append(self.expression("namespace"))
        if self.often(self.odd / 2):
            self.add_odd(labels, expressions, peer)
        return {**({"matchLabels": labels} if labels else {}), **({"matchExpressions": expressions} if expressions else {})}

    def add_odd(self, labels, expressions, peer):
        entity = self.pick("host", "world", "remote-node", "init", "health", "kube-apiserver")
        choice = self.rng.randrange(4)
        if choice == 0 and self.kubernetes:
            labels["k8s:" + CLUSTER] = "default"
        elif choice == 1 and peer:
            labels.clear()
            expressions.clear()
            labels["reserved:" + entity] = ""
        elif choice == 2:
            expressions.append(self.pick({"key": "reserved:" + entity, "operator": "DoesNotExist"},
                                         {"key": "reserved:" + entity, "operator": "NotIn", "values": [""]}))
        elif choice == 3 and peer:
            labels[ACCOUNT] = self.pick("s", "t")

    # -- entries

    def port(self):
        choice = self.rng.randrange(6)
        port = [{"port": "80"}, {"port": "8080", "endPort": 8090}, {"port": self.pick("http", "HTTP", "Http", "dns")},
                {"port": "0"}, {"port": "53"}, {"port": "80", "endPort": 0}][choice]
        return {**port, **self.pick({}, {"protocol": "TCP"}, {"protocol": "UDP"}, {"protocol": "ANY"}, {"protocol": "tcp"})}

    def to_ports(self, deny):
        rules = [{"ports": [self.port() for _ in range(self.rng.randint(1, 2))]} for _ in range(self.rng.randint(1, 2))]
        if self.often(self.odd):
            rules[0]["rules"] = self.pick({"http": [{"method": "GET"}]}, {"dns": [{"matchPattern": "*"}]}, {})
        if self.often(self.odd / 3) and not deny:
            rules[0]["serverNames"] = ["example.com"]
        if self.often(self.odd / 3):
            rules[0]["ports"] = []
        return rules

    def peers(self, prefix, deny):
        choice = self.rng.randrange(8)
        if choice < 4:
            return {prefix + "Endpoints": [self.selector(True) for _ in range(self.rng.randint(0 if self.often(0.1) else 1, 2))]}
        if choice == 4:
            names = ["all", "world", "cluster", "host", "remote-node", "init", "world-ipv4", "none", "health"]
            odd = [] if deny and self.kubernetes else ["kube-apiserver", "ingress"]
            return {prefix + "Entities": self.rng.sample(names + odd, self.rng.randint(1, 2))}
        if choice == 5:
            return {prefix + "CIDR": self.rng.sample(CIDRS, self.rng.randint(1, 2))}
        if choice == 6:
            return {prefix + "CIDRSet": [self.pick({"cidr": "0.0.0.0/0", "except": ["192.168.0.0/16"]}, {"cidr": "203.0.113.0/24"},
                                                   {"cidr": "192.168.0.0/16", "except": []})]}
        return {}

    def entry(self, ingress, deny):
        prefix = "from" if ingress else "to"
        if self.often(0.08):
            return {}
        entry = self.peers(prefix, deny)
        if not entry or self.often(0.5):
            if self.often(0.8):
                entry["toPorts"] = self.to_ports(deny)
            else:
                entry["icmps"] = [{"fields": [{"type": self.pick(8, 0), "family": "IPv4"}]}]
        if self.often(self.odd):
            self.add_oddity(entry, prefix, ingress, deny)
        return entry

    def add_oddity(self, entry, prefix, ingress, deny):
        choice = self.rng.randrange(8)
        if choice in (0, 1, 7) and not deny:
            entry[prefix + "Requires"] = [self.selector(True) for _ in range(self.rng.randint(1, 2))]
        elif choice == 2 and not deny:
            entry["authentication"] = {"mode": self.pick("required", "disabled")}
        elif choice == 3:
            entry[prefix + "Requires"] = self.pick([], None)
        elif choice == 4:
            entry["toPorts" if "icmps" not in entry else "icmps"] = self.pick([], None) if len(entry) > 1 else None
        elif choice == 5 and not deny and not ingress:
            entry.clear()
            entry["toFQDNs"] = [{"matchPattern": self.pick("*", "*.", "*.example.com")}]
        elif choice == 6 and not deny:
            entry.clear()
            entry[prefix + "Groups"] = [{"aws": {"securityGroupsIds": ["sg-1"]}}]

    def rule(self):
        rule = {"endpointSelector": self.selector(False)}
        for key in ("ingress", "egress"):
            if self.often(0.6):
                rule[key] = [self.entry(key == "ingress", False) for _ in range(self.rng.randint(0 if self.often(0.1) else 1, 2))]
            if self.often(0.3):
                rule[key + "Deny"] = [self.entry(key == "ingress", True) for _ in range(self.rng.randint(1, 2))]
        if self.often(0.15):
            rule["enableDefaultDeny"] = {d: self.often(0.5) for d in ("ingress", "egress") if self.often(0.7)}
        if self.often(0.1):
            rule["labels"] = [{"key": "owner", "value": "me"}]
        return self.other_case(rule) if not self.kubernetes and self.often(0.05) else rule

    def other_case(self, value):
        """Go takes these keys too."""
        return {k.lower() if k in ("ingressDeny", "egressDeny", "endpointSelector") else k: v for k, v in value.items()}


def kubernetes_object(rng, i):
    clusterwide = rng.random() < 0.3
    namespace = None if clusterwide else rng.choice(NAMESPACES)
    author = Author(rng, True, namespace)
    return {"apiVersion": "cilium.io/v2", "kind": "CiliumClusterwideNetworkPolicy" if clusterwide else "CiliumNetworkPolicy",
            "metadata": {"name": f"p{i}", **({"namespace": namespace} if namespace else {})},
            **({"spec": author.rule()} if rng.random() < 0.7 else {"specs": [author.rule() for _ in range(2)]})}
