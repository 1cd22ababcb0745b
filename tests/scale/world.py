# SPDX-License-Identifier: Apache-2.0
"""The other nodes of the cluster: what they say in Consul, and how that changes. A seed decides all of it."""
import ipaddress
import json
import random
import uuid
from dataclasses import dataclass, field

ROOT = "picket/v1/scale/"
OWN = "node-0000"		# the real one
SESSION = "00000000-0000-4000-9000-{:012}"
BLOCKS4, BLOCKS6 = ipaddress.ip_network("10.64.0.0/10"), ipaddress.ip_network("fd64::/32")


@dataclass
class Size:
    """How large the cluster is; rates are per hour."""
    nodes: int = 1000
    endpoints: int = 50000
    tenants: int = 2000
    hosted: int = 20		# tenants with an endpoint on the real node
    own: int = 50			# its endpoints
    life: float = 1.0		# hours that an endpoint lives, before another one of its tenant comes elsewhere
    reboots: float = 1 / 168	# of each node: its keys are nobody's until it is back
    edits: float = 120		# of tenants' documents, anywhere


@dataclass
class Node:
    name: str
    number: int
    session: str
    blocks: tuple = ()
    shares: dict = field(default_factory=dict)	# tenant: {endpoint's id: Endpoint}
    next_host: int = 10
    free: list = field(default_factory=list)


@dataclass
class Endpoint:
    id: str
    tenant: str
    node: Node
    job: str
    host: int
    born: int

    @property
    def addresses(self):
        return [str(net[self.host]) for net in self.node.blocks]

    def text(self):
        labels = ["nomad:datacenter=dc1", "nomad:group=web", f"nomad:job={self.job}", f"nomad:namespace={self.tenant}",
                  f"nomad:node={self.node.name}", "nomad:nodepool=default", "nomad:region=global"]
        return {"id": f"{self.id}@eth0", "generation": self.born, "labels": json.dumps(sorted(labels), separators=(",", ":")),
                "ports": {"http": 8080}, "addresses": self.addresses}


class World:
    """Its nodes, tenants and endpoints; tell(consul) writes them, step() is one event of their life."""

    def __init__(self, size, seed, now):
        self.size, self.dice, self.number, self.now = size, random.Random(seed), now * 1000, now
        self.tenants = [f"tenant-{i:04}" for i in range(size.tenants)]
        self.hosted = self.tenants[:size.hosted]
        self.nodes = [Node(f"node-{i:04}", i, SESSION.format(i)) for i in range(1, size.nodes)]
        nets4, nets6 = BLOCKS4.subnets(new_prefix=24), BLOCKS6.subnets(new_prefix=64)
        for node in self.nodes:
            node.blocks = next(nets4), next(nets6)
        self.endpoints, self.of_tenant = [], {tenant: {} for tenant in self.tenants}
        for i in range(size.endpoints - size.own):
            self.place(self.tenants[i % size.tenants])
        self.consul = None
        events = {self.move: len(self.endpoints) / size.life, self.reboot: size.nodes * size.reboots, self.edit: size.edits}
        self.kinds, self.weights = list(events), list(events.values())
        self.per_second = sum(self.weights) / 3600

    # -- who is where

    def place(self, tenant, nodes=None):
        """A new endpoint of the tenant, on one of the nodes that have room."""
        node = self.dice.choice(nodes or self.nodes)
        while not node.free and node.next_host > 250:
            node = self.dice.choice(nodes or self.nodes)
        host = node.free.pop() if node.free else node.next_host
        node.next_host = max(node.next_host, host + 1)
        endpoint = Endpoint(str(uuid.UUID(int=self.dice.getrandbits(128), version=4)), tenant, node, f"job-{self.dice.randrange(3)}", host, int(self.now))
        node.shares.setdefault(tenant, {})[endpoint.id] = endpoint
        self.of_tenant[tenant][endpoint.id] = endpoint
        self.endpoints.append(endpoint)
        return endpoint

    def drop(self, place):
        endpoint = self.endpoints[place]
        self.endpoints[place] = self.endpoints[-1]
        self.endpoints.pop()
        del endpoint.node.shares[endpoint.tenant][endpoint.id], self.of_tenant[endpoint.tenant][endpoint.id]
        endpoint.node.free.append(endpoint.host)
        return endpoint

    def addresses(self, tenants):
        """All that the tenants' endpoints have."""
        return {address for tenant in tenants for endpoint in self.of_tenant[tenant].values() for address in endpoint.addresses}

    def places(self, tenant):
        return [(endpoint.id, endpoint.node.name) for endpoint in self.of_tenant.get(tenant, {}).values()]

    # -- what is said

    def next_number(self):
        self.number += 1
        return self.number

    def text(self, **members):
        return json.dumps({"version": 1, "number": self.next_number(), **members}, separators=(",", ":")).encode()

    def say_share(self, node, tenant, held=True):
        name, share = f"{ROOT}tenants/{tenant}/{node.name}", node.shares.get(tenant)
        if share:
            self.consul.store.put(name, self.text(endpoints=[share[key].text() for key in sorted(share)]), node.session if held else None)
        else:
            node.shares.pop(tenant, None)
            self.consul.store.delete(name)

    def say_node(self, node, held=True):
        high, low = divmod(node.number, 256)
        self.consul.store.put(f"{ROOT}nodes/{node.name}",
                              self.text(blocks=[str(net) for net in node.blocks], addresses=[f"198.18.{high}.{low}", f"2001:db8::{node.number:x}"]),
                              node.session if held else None)

    def document(self, tenant):
        """What its jobs may be asked for by others of its own; an endpoint of tier db for something else."""
        ports = [{"ports": [{"port": str(self.dice.randrange(1024, 65535)), "protocol": "TCP"}]}]
        rules = [{"endpointSelector": {"matchLabels": {"nomad:job": "job-0"}},
                  "ingress": [{"fromEndpoints": [{"matchLabels": {"nomad:job": f"job-{i}"}}], "toPorts": ports} for i in (1, 2)]},
                 {"endpointSelector": {"matchLabels": {"meta:tier": "db"}},
                  "ingress": [{"fromEndpoints": [{"matchLabels": {"nomad:job": "job-2"}}]}]}]
        return {"rules": rules, "namespace": tenant}

    def say_document(self, tenant):
        self.consul.store.put(f"{ROOT}policies/tenants/{tenant}/web", json.dumps(self.document(tenant)).encode())

    def tell(self, consul):
        self.consul = consul
        for node in self.nodes:
            self.say_node(node)
            for net in node.blocks:
                self.consul.store.put(f"{ROOT}blocks/{net.network_address}_{net.prefixlen}",
                                      self.text(node=node.name, machine=f"{node.number:016x}"))
            for tenant in list(node.shares):
                self.say_share(node, tenant)
        for tenant in self.tenants:
            self.say_document(tenant)
        self.consul.store.put(f"{ROOT}policies/operator/base", json.dumps(
            {"name": "base", "rules": [{"endpointSelector": {}, "egressDeny": [{"toCIDR": ["203.0.113.0/24"]}]}]}).encode())

    # -- what happens

    def come_beside(self, tenant):
        """Another endpoint of the tenant, on a node that has one."""
        there = sorted({endpoint.node.number: endpoint.node for endpoint in self.of_tenant[tenant].values()}.items())
        endpoint = self.place(tenant, [node for _, node in there])
        self.say_share(endpoint.node, tenant)
        return endpoint

    def move(self):
        """An endpoint ends, and another one of its tenant begins elsewhere."""
        gone = self.drop(self.dice.randrange(len(self.endpoints)))
        self.say_share(gone.node, gone.tenant)
        come = self.place(gone.tenant)
        self.say_share(come.node, come.tenant)

    def reboot(self):
        """Its keys are nobody's, then its new session's."""
        node = self.dice.choice(self.nodes)
        self.say_node(node, held=False)
        for tenant in list(node.shares):
            self.say_share(node, tenant, held=False)
        node.session = SESSION.format(self.next_number())
        self.say_node(node)
        for tenant in list(node.shares):
            self.say_share(node, tenant)

    def edit(self):
        self.say_document(self.dice.choice(self.tenants))

    def step(self, now):
        self.now = now
        self.dice.choices(self.kinds, self.weights)[0]()
