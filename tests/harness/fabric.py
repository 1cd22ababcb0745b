# SPDX-License-Identifier: Apache-2.0
"""Nodes of one cluster, joined by a switch or by a router in a namespace of its own, with a real Consul."""
import contextlib
import json
import os
import subprocess
import tempfile
import urllib.error
import urllib.request

from .node import Node, NodeOptions, World
from .shell import TREE, wait_for


# A server that is alone waits for no other vote: by default it does so for ten seconds.
ELECTS_AT_ONCE = ("-hcl=performance { raft_multiplier = 1 }",)


def consul_program():
    found = subprocess.run([os.path.join(TREE, "scripts/peers"), "consul"], capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


def with_prefix(address):
    """As on a network of its own."""
    return f"{address}/{64 if ':' in address else 24}"


def routes(node):
    """{block: next hop, or the device that leads there} of other nodes' blocks: those that are picketd's."""
    found = [r for family in ("-4", "-6") for r in node.json(["ip", "-j", family, "route", "show", "proto", "112"])]
    return {r["dst"]: r.get("gateway") or r.get("via", {}).get("host") or r["dev"] for r in found}


class Consul:
    """A server in a node's namespaces; its data outlive its process. It answers at others, too."""

    handlers, headers = (), {}		# urllib's, by which it is asked

    def __init__(self, program, node, address, *others):
        self.program, self.node, self.address, self.process = program, node, address, None
        self.clients = " ".join((address, *others))
        self.url = f"http://{address}:8500"
        self.prefix = "picket/v1/default/"	# of the cluster that is asked about
        self.data = os.path.join(node.base, "consul")

    def words(self):
        """The agent's, of where it is asked."""
        return [f"-client={self.clients}"]

    def start(self):
        with open(self.data + ".log", "a", encoding="utf-8") as log:
            self.process = self.node.popen(
                [self.program, "agent", "-server", "-bootstrap-expect=1", f"-data-dir={self.data}", f"-bind={self.address}",
                 *self.words(), *ELECTS_AT_ONCE, "-node=consul", "-log-level=warn", "-disable-host-node-id"], stdout=log, stderr=log)
        wait_for(self.leader, "Consul's leader", 180)

    def leader(self):
        try:
            return json.loads(self.ask("GET", "/v1/status/leader"))
        except OSError:
            return None

    def kill(self):
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def ask(self, verb, path, body=None, headers=None):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *self.handlers)
        with self.node.inside():
            request = urllib.request.Request(self.url + path, data=body, method=verb, headers=headers or self.headers)
            with opener.open(request, timeout=60) as answer:
                return answer.read()

    def get(self, key):
        """The JSON below a key of the cluster's; None: there is none."""
        try:
            return json.loads(self.ask("GET", f"/v1/kv/{self.prefix}{key}?raw"))
        except urllib.error.HTTPError as e:
            if e.code == 404:
                return None
            raise

    def put(self, key, value):
        self.ask("PUT", f"/v1/kv/{self.prefix}{key}", json.dumps(value).encode())

    def keys(self, below=""):
        try:
            found = json.loads(self.ask("GET", f"/v1/kv/{self.prefix}{below}?keys"))
        except urllib.error.HTTPError as e:
            if e.code == 404:
                return []
            raise
        return [key.removeprefix(self.prefix) for key in found]

    def told(self):
        """The tenants' keys that name an endpoint: one that was told has an empty word for a while."""
        shares = {key: self.get(key) for key in self.keys("tenants/")}
        return {key for key, share in shares.items() if share and share["endpoints"]}


class Fabric:
    """A switch and a router in one namespace, and Consul, where there is a program, there at an address of each family; clusters come and go."""

    address, address6 = "198.51.100.1", "2001:db8:ff::1"

    def __init__(self, base, program, consul=Consul):
        """consul: the class, or one of it."""
        self.node = Node("fabric", NodeOptions(uplink=False), base=base)
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.default.rp_filter"):
            self.node.run(["sysctl", "-qw", f"{name}=1"])
        for address in f"{self.address}/32", f"{self.address6}/128":
            self.node.run(["ip", "addr", "add", address, "dev", "lo"])
        # Of its own: a bridge has its lowest port's else, and another one when that goes, which its neighbours learn only after half a minute.
        self.node.run(["ip", "link", "add", "br0", "address", "02:70:6b:00:00:fe", "type", "bridge"])
        self.node.run(["ip", "link", "set", "br0", "addrgenmode", "none", "up"])
        for address in ("192.0.2.1/24", "2001:db8::1/64", "fe80::ff/64"):
            self.node.run(["ip", "addr", "add", address, "dev", "br0", *(["nodad"] if ":" in address else [])])
        self.consul = consul(program, self.node, self.address, self.address6)
        if program:
            self.consul.start()

    def close(self):
        self.node.close()


class Cluster:
    """
    n1, n2, …; each has the block 10.64.N.0/24 and fd64:N::/64, or claims some. Joined by the switch, or by the router.
    overlay: the word "vxlan" of picketd.json, where the network knows the nodes' own addresses alone. families: of these; (6,) has no IPv4
    between the nodes, whose endpoints have both.
    """

    def __init__(self, base, fabric, name, count=2, routed=False, claim=False, conf=None, overlay=None, families=(4, 6)):
        self.base, self.fabric, self.name, self.routed, self.claim, self.overlay = base, fabric, name, routed, claim, overlay
        self.families = families
        self.conf = {"mode": "process"} if conf is None else conf
        self.nodes, self.ports = [], []
        self.consul = fabric.consul
        self.consul.prefix = f"picket/v1/{name}/"
        for i in range(1, count + 1):
            self.more(i)

    def more(self, i, name=None):
        """One more node, on the segment in the i-th place."""
        pool = () if self.claim else self.blocks(i)
        self.nodes.append(Node(name or f"n{i}", NodeOptions(uplink=False, pool=pool, conf=self.conf, root=f"{self.base}/n{i}"),
                               base=self.base))
        self.join(self.nodes[-1], i)
        return self.nodes[-1]

    def rejoin(self, node):
        """Its uplink went with its namespaces."""
        i = int(node.name[1:])
        self.fabric.node.run(["ip", "link", "del", f"p{i}"], check=False)
        self.ports.remove(f"p{i}")
        self.join(node, i)

    @staticmethod
    def blocks(i):
        return (f"10.64.{i}.0/24", f"fd64:{i}::/64")

    def of_families(self, four, six):
        return tuple(address for family, address in ((4, four), (6, six)) if family in self.families)

    def addresses(self, i):
        return self.of_families(*((f"192.0.{10 + i}.2", f"2001:db8:{i}::2") if self.routed else (f"192.0.2.{10 + i}", f"2001:db8::{10 + i}")))

    def gateways(self, i):
        return self.of_families(*((f"192.0.{10 + i}.1", f"2001:db8:{i}::1") if self.routed else ("192.0.2.1", "2001:db8::1")))

    def towards(self, block, i):
        """ip's words for the way to a block of the i-th node: IPv4 by way of IPv6, where there is nothing else."""
        via = next((a for a in self.addresses(i) if (":" in a) == (":" in block)), None)
        return ["via", via] if via else ["via", "inet6", self.addresses(i)[0]]

    def join(self, place, i):
        """place's up0: on the switch, or on a network of its own behind the router."""
        fabric = self.fabric.node
        self.ports.append(f"p{i}")
        # A host that boots has the address that it had.
        place.run(["ip", "link", "add", "up0", "address", f"02:70:6b:00:01:{i:02x}", "type", "veth", "peer", "name", f"p{i}", "netns", str(fabric.holder.pid)])
        place.run(["ip", "link", "set", "up0", "addrgenmode", "none"])
        # Neighbour discovery for what the node forwards is asked from its link-local address.
        for address in *map(with_prefix, self.addresses(i)), f"fe80::{i}/64":
            place.run(["ip", "addr", "add", address, "dev", "up0", *(["nodad"] if ":" in address else [])])
        place.run(["ip", "link", "set", "up0", "up"])
        fabric.run(["ip", "link", "set", f"p{i}", "addrgenmode", "none"])
        fabric.run(["ip", "link", "set", f"p{i}", *([] if self.routed else ["master", "br0"]), "up"])
        if self.routed:
            for address in *map(with_prefix, self.gateways(i)), "fe80::ff/64":
                fabric.run(["ip", "addr", "add", address, "dev", f"p{i}", *(["nodad"] if ":" in address else [])])
            for block in self.blocks(i) if self.overlay is None else ():
                fabric.run(["ip", f"-{6 if ':' in block else 4}", "route", "add", block, *self.towards(block, i)])
        for via in self.gateways(i):
            place.run(["ip", f"-{6 if ':' in via else 4}", "route", "add", "default", "via", via])

    def cut(self, i, heal=False):
        """All between the i-th node and the router, Consul behind it too."""
        verb = "del" if heal else "add"
        for family in "46":
            self.fabric.node.run(["ip", f"-{family}", "rule", verb, "iif", f"p{i}", "pref", "10", "blackhole"])
        for there in *self.addresses(i), *self.blocks(i):
            self.fabric.node.run(["ip", f"-{6 if ':' in there else 4}", "rule", verb, "to", there, "pref", "10", "blackhole"])

    def stranger(self, i):
        """A host of the segment that is no node."""
        world = World(self.nodes[0], "", "")
        self.join(world, i)
        return world

    def config(self, node, **more):
        fabric = {"fabric": "routed"} if self.overlay is None else {"fabric": "vxlan", "vxlan": self.overlay}
        url = self.consul.url if 4 in self.families else f"http://[{self.fabric.address6}]:8500"
        return {"node": node.name, "cluster": self.name, "nomad": None, "consul": {"address": url}, **fabric,
                "blocks": {"range": ["10.64.0.0/16", "fd64::/16"], **({"claim": True, "size": 29} if self.claim else {})}, **more}

    def close(self):
        for port in self.ports:	# a namespace's end takes its time
            self.fabric.node.run(["ip", "link", "del", port], check=False)
        for node in reversed(self.nodes):
            node.close()


@contextlib.contextmanager
def made_cluster(name, fabric, kind=Cluster, **how):
    """In a directory whose name is short: an address of a unix socket holds 107 bytes. kind: the class, or one of it."""
    with tempfile.TemporaryDirectory(prefix="picket-") as base:
        os.chmod(base, 0o755)
        made = kind(base, fabric, name, **how)
        try:
            yield made
            for node in made.nodes:
                print(f"--- picketd of {node.name}\n{node.log()[-4000:]}")
        finally:
            made.close()
