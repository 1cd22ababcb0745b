# SPDX-License-Identifier: Apache-2.0
"""
Harm that comes at random to a cluster under a real Nomad and Consul: any process killed, a node cut off, picketd's clock set to another time, the
plugin killed amid its work. The seed decides what comes and when; each harm ends with everything up again.
"""
import contextlib
import http.client
import os
import random
import signal
import stat
import subprocess
import time

from . import clock
from .fabric import routes
from .overlay import DEVICE
from .servers import QUICK, pings
from .shell import Failed, binary, wait_for
from .tenants import Tenants

JOB = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e/app.nomad.hcl")
STEADY, CHURN = ("acme", "beta"), ("acme", "gamma")	# tenants of jobs that stay, of jobs that come and go
BACK = 180	# seconds in which all that is allowed is there again

# The plugin, but for a call that is to be killed: the file says after how many seconds.
PLUGIN = """#!/bin/sh
after=$(cat {root}/kill-plugin 2>/dev/null) && rm {root}/kill-plugin && exec timeout --foreground -s KILL "$after" {real} "$@"
exec {real} "$@"
"""


class Soak:
    """Of a fleet that runs; run(seconds), then end(), which fails where something is left."""

    def __init__(self, fleet, seed):
        self.fleet, self.dice, self.said = fleet, random.Random(seed), []
        self.tenants, self.longest = Tenants(fleet, pause=0.1), 0
        self.churned = self.replaced = 0
        self.clocks = {node.name: clock.Clock(node) for node in fleet.nodes}
        for node in fleet.nodes:
            self.wrap_plugin(node)
            node.kill_picketd()
            self.start_picketd(node)

    # -- the parts

    @staticmethod
    def wrap_plugin(node):
        path = os.path.join(node.root, "opt/cni/bin/picket")
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(PLUGIN.format(root=node.root, real=binary("picket-cni")))
        os.chmod(path + ".new", stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
        os.rename(path + ".new", path)

    def start_picketd(self, node):
        node.start_picketd(self.fleet.config(node), env={**os.environ, **self.clocks[node.name].env})

    def kill(self, name):
        agent = self.fleet.agents.pop(name)
        agent.send_signal(signal.SIGKILL)
        agent.wait()

    def pause(self):
        time.sleep(self.dice.uniform(0.2, 3))

    # -- harms: each is over when it returns

    def kill_picketd(self, node):
        node.kill_picketd(at_once=True)
        self.unbroken()
        self.pause()
        self.start_picketd(node)

    def kill_client(self, node):
        self.kill(node.name)
        self.unbroken()
        self.pause()
        self.fleet.start_client(node)
        self.wrap_plugin(node)
        wait_for(self.fleet.clients_ready, "Nomad's clients", BACK)

    def kill_server(self, _):
        self.kill("server")
        self.unbroken()
        self.pause()
        self.fleet.start_server()

    def kill_consul(self, _):
        self.fleet.consul.kill()
        self.unbroken()
        self.pause()
        self.fleet.consul.start()

    def cut(self, node):
        number = int(node.name[1:])
        self.fleet.cut(number)
        self.pause()
        self.fleet.cut(number, heal=True)

    def jump(self, node):
        """Its clock goes a day on, then back to an hour before now, then to what it is."""
        for seconds in 86400, -3600, 0:
            self.clocks[node.name].set(seconds)
            self.unbroken()

    def churn(self, node):
        """A job ends where one runs, else it begins; one of its calls of the plugin is killed."""
        tenant = self.dice.choice(CHURN)
        with open(os.path.join(node.root, "kill-plugin"), "w", encoding="ascii") as file:
            file.write(f"{self.dice.uniform(0.001, 0.02):.4f}\n")
        with contextlib.suppress(Failed):	# the server may have no leader yet
            if self.dice.random() < 0.5:
                self.fleet.run_job(JOB, namespace=tenant, name="churn", count=3)
                self.churned += 1
            else:
                self.fleet.cli("job", "stop", "-detach", "-purge", f"-namespace={tenant}", "churn", check=False)

    # -- what must hold

    def learn(self):
        """Whose the addresses are that are there now, as each picketd says that answers."""
        for node in self.fleet.nodes:
            with contextlib.suppress(OSError, Failed, AttributeError, http.client.HTTPException):
                for endpoint in node.api("/v1/endpoints")["endpoints"]:
                    for address in endpoint["addresses"]:
                        self.tenants.learn(address, endpoint["namespace"])

    @staticmethod
    def pings(a, b, family):
        """None: who asks has just ended."""
        try:
            return pings(a, b.address(family), QUICK)
        except subprocess.SubprocessError:
            if a.is_there():
                raise
            return None

    def renew(self):
        """Nomad replaces what it takes for lost: a client that was killed before it wrote down what its plugin made knows nothing of it."""
        for tenant in STEADY:
            found = {alloc.id: alloc for alloc in self.fleet.running(tenant, "app", 3).values()}
            for alloc in self.steady[tenant]:
                if alloc.id not in found:
                    self.tenants.drop(alloc)
                    self.replaced += 1
            known = {alloc.id: alloc for alloc in self.steady[tenant]}
            self.steady[tenant] = [known.get(name) or self.tenants.add(alloc, tenant) for name, alloc in found.items()]

    def reach(self, patience):
        """All of a tenant's reach each other; one that Nomad has ended is no matter here."""
        for allocs in self.steady.values():
            for a in allocs:
                for b in allocs:
                    if a is not b:
                        wait_for(lambda a=a, b=b: not (a.is_there() and b.is_there()) or self.pings(a, b, 4) and self.pings(a, b, 6),
                                 lambda a=a, b=b: self.describe(a, b), patience)

    def describe(self, a, b):
        """Why one doesn't reach the other, as both nodes and Nomad see it."""
        said = [f"{a.node.name} {a.address(4)} to reach {b.node.name} {b.address(4)} after {self.said[-6:]}"]
        for node in a.node, b.node:
            said.append(node.picket("policy", "explain", a.address(4), b.address(4), "icmp:echo-request", check=False).stdout)
            said.append(node.picket("node", "list", check=False).stdout + node.picket("status", check=False).stdout)
            said.append(f"routes of {node.name}: {routes(node)}")
        said += [self.fleet.describe(tenant, "app") for tenant in STEADY]
        return "\n".join(said)

    def unbroken(self):
        """What is enforced stays so, whoever of those who made it is gone; a lost datagram is asked again."""
        self.reach(20)
        self.apart()

    def apart(self):
        one, other = (self.dice.choice(self.steady[tenant]) for tenant in STEADY)
        if one.is_there() and other.is_there():
            assert not self.pings(one, other, 4) and not self.pings(other, one, 6), "tenants are apart"
        assert not self.tenants.crossed, self.tenants.crossed[:5]

    def place(self):
        """The jobs that stay: an alloc on each node, which all send to other tenants' from now on."""
        for tenant in sorted({*STEADY, *CHURN}):
            self.fleet.cli("namespace", "apply", tenant)
        self.keys = set(self.fleet.consul.keys())
        for tenant in STEADY:
            self.fleet.run_job(JOB, namespace=tenant, count=3)
        self.steady = {tenant: [] for tenant in STEADY}
        self.renew()
        self.reach(BACK)

    # -- the whole

    def run(self, seconds):
        harms = [self.kill_picketd, self.kill_client, self.kill_server, self.kill_consul, self.cut, self.churn, self.churn, self.churn]
        if clock.is_there():
            harms.append(self.jump)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            harm, node = self.dice.choice(harms), self.dice.choice(self.fleet.nodes)
            self.said.append(f"{harm.__name__} {node.name}")
            print(f"soak: {self.said[-1]}", flush=True)
            harm(node)
            self.renew()
            self.learn()
            since = time.monotonic()
            self.reach(BACK)
            self.longest = max(self.longest, time.monotonic() - since)
        self.apart()

    def end(self):
        """All jobs go, and with them all that there was of them."""
        self.tenants.stop()
        for tenant, job in [*((t, "app") for t in STEADY), *((t, "churn") for t in CHURN)]:
            self.fleet.cli("job", "stop", "-detach", "-purge", f"-namespace={tenant}", job, check=False)
        wait_for(lambda: not self.fleet.consul.told(), self.fleet.consul.told, BACK)
        wait_for(lambda: not self.more_keys(), self.more_keys, BACK)
        for node in self.fleet.nodes:
            wait_for(lambda node=node: not self.left(node), lambda node=node: f"{node.name} has still: {self.left(node)}", BACK)

    def more_keys(self):
        """What Consul has that it had not before the jobs, but for tenants' empty words."""
        return {key for key in self.fleet.consul.keys() if not key.startswith("tenants/")} - self.keys

    def left(self, node):
        """What a node has of endpoints, though it has none."""
        links = {link["ifname"] for link in node.json(["ip", "-j", "link"])} - {"lo", "up0", *([DEVICE] if self.fleet.overlay is not None else [])}
        taken = {int.from_bytes(key, "little") for key, value in node.tables.items("endpoints") if any(value)}
        words = {int.from_bytes(key, "little") for key, word in node.tables.items("words") if any(word)}
        others = {block for other in self.fleet.nodes if other is not node for block in self.fleet.blocks_of(other)}
        netns = set(os.listdir(f"/proc/{node.holder.pid}/root/run/netns"))
        found = {"links": links, "slots": taken, "open words": words, "netns": netns, "routes": set(routes(node)) ^ others,
                 "records": set(node.records()), "leases": node.leases(), "remote": set(node.tables.items("remote")),
                 "locks": set(os.listdir(node.path("run/picket/lock"))) - {"node", "endpoints"},
                 "reachable by address": set(node.tables.items("addresses")) if "addresses" in node.tables.names() else set()}
        return {part: things for part, things in found.items() if things}
