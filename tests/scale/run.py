# SPDX-License-Identifier: Apache-2.0
"""One real picketd in that cluster."""
import collections
import contextlib
import ipaddress
import json
import os
import time
import uuid

from harness import Node, NodeOptions
from harness.shell import wait_for

from .consul import Consul
from .nomad import Nomad
from .server import Servers
from .whole import Whole
from .world import BLOCKS4, BLOCKS6, OWN, ROOT, World


class Simulation:
    """with Simulation(size, seed) as s: the node runs, and knows what it should."""

    def __init__(self, size, seed):
        self.size = size
        self.world = World(size, seed, int(time.time()))
        self.consul, self.lives, self.whole, self.allocs = Consul(), False, None, []
        self.nomad = Nomad(OWN, self.world.places)
        self.world.tell(self.consul)
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with self.stack:
            self.begin()
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *exc):
        self.stack.close()

    def begin(self):
        self.node = self.stack.enter_context(Node(OWN, NodeOptions(pool=(), conf={"mode": "process"})))
        with self.node.inside():
            self.servers = Servers({"consul": self.consul, "nomad": self.nomad})
        self.stack.callback(self.servers.stop)
        self.node.start_picketd({"node": OWN, "cluster": "scale", "fabric": "routed", "capacity": {"endpoints": 256},
                                 "nomad": {"address": self.servers.address["nomad"], "node": OWN},
                                 "consul": {"address": self.servers.address["consul"]},
                                 "blocks": {"range": [str(BLOCKS4), str(BLOCKS6)], "claim": True}})
        wait_for(lambda: len(self.handed()) == 2, lambda: f"a block of each family\n{self.node.log()[-3000:]}", 60)
        for i in range(self.size.own):
            tenant = self.world.hosted[i % self.size.hosted]
            alloc = str(uuid.UUID(int=i + 1, version=4))
            self.servers.do(self.nomad.put, alloc, tenant, "job-0", "web")
            self.allocs.append(self.node.add(tenant, "job-0", "web", alloc_id=alloc))
        wait_for(self.is_known, lambda: f"what the others said\n{self.node.log()[-3000:]}", 120)

    # -- what the node knows

    def handed(self):
        """The blocks that the plugin takes addresses from."""
        with open(os.path.join(self.node.root, "var/lib/picket/node.json"), encoding="utf-8") as file:
            return json.load(file)["claimed"]["blocks"]

    def known(self):
        """Addresses in the table of other nodes' endpoints."""
        found = set()
        for key, _ in self.node.tables.items("remote"):
            address = ipaddress.IPv6Address(key)
            found.add(str(address.ipv4_mapped or address))
        return found

    def is_known(self):
        return self.known() == self.servers.do(self.world.addresses, self.world.hosted)

    def all_wait(self):
        """Each watch has heard all that there is, and its question waits for more."""
        def look():
            last = {a.path.rstrip("/"): a for a in self.consul.asked if "recurse" in a.query or "index" in a.query}
            own = [a for a in self.nomad.asked if a.path.endswith("/allocations") and a.path != "/v1/allocations"]
            return (all(a.index and a.index >= self.consul.index_of(a) for a in last.values()) and
                    own and own[-1].index >= self.nomad.index)
        return self.servers.do(look)

    # -- the others' life

    def live(self):
        """Events come as the seed says from now on, at the cluster's own rate."""
        self.lives = True
        self.servers.loop.call_soon_threadsafe(self._next)

    def _next(self):
        if self.lives:
            self.world.step(time.time())
            self.servers.loop.call_later(self.world.dice.expovariate(self.world.per_second), self._next)

    def rest(self):
        self.lives = False

    def count_whole(self):
        self.whole = self.servers.do(lambda: Whole(self.servers.loop, self.consul, ROOT))

    # -- what it cost

    def requests(self, since=0.0):
        return [a for service in (self.consul, self.nomad) for a in list(service.asked) if a.at >= since]

    def spent(self):
        """(bytes received, requests, seconds of processor, resident bytes)"""
        pid = self.node.picketd.pid
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            stat = file.read().rsplit(")", 1)[1].split()
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        asked = self.requests()
        return sum(a.sent for a in asked), len(asked), (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"), resident

    def kinds(self, since):
        """{what is asked for: [requests, bytes]}"""
        found = collections.defaultdict(lambda: [0, 0])
        for a in self.requests(since):
            parts = a.path.removeprefix("/v1/").removeprefix("kv/" + ROOT).split("/")
            name = f"{a.method} " + "/".join(parts[:2] if parts[0] in ("policies", "status") else parts[:1])
            found[name][0] += 1
            found[name][1] += a.sent
        return dict(found)
