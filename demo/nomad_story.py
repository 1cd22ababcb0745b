# SPDX-License-Identifier: Apache-2.0
"""
Picket's main job under a real Nomad and a real Consul, step by step. Each step raises
AssertionError where it doesn't hold; demo/nomad tells the story, tests/e2e asserts it.
"""
import json
import os
import subprocess

from harness import Node, NodeOptions, wait_for
from harness.guest import files_for, kernel_words
from harness.nomad import Cluster
from harness.nomad_guest import NomadGuest
from harness.servers import Resolver
from harness.shell import TREE, Failed

TENANTS = ("acme", "beta")
GROUPS = ("api", "db")
WORLD = ("world",)
BOOT_SECONDS = 240		# two guests at a time, emulated, on a busy machine
POLICY = {
    "namespace": "acme",
    "rules": [{
        "description": "only api's SQL reaches db",
        "endpointSelector": {"matchLabels": {"nomad:group": "db"}},
        "ingress": [{"fromEndpoints": [{"matchLabels": {"nomad:group": "api"}}],
                     "toPorts": [{"ports": [{"port": "sql", "protocol": "TCP"}]}]}],
    }],
}
POLICY_KEY = "picket/v1/default/policies/tenants/acme/db-only-sql"
NAME, RESOLVED = "shop.example", "198.51.100.80"		# what the world's resolver knows
JOB = os.path.join(TREE, "examples/nomad/shop.nomad.hcl")


class Story:
    def __init__(self, nomad, consul, say=lambda *words: None):
        self.say, self.guests, self.addresses, self.published = say, {}, {}, {}
        address = NodeOptions.up_address.split("/")[0]
        self.node = Node("node1", NodeOptions(
            conf={"allowJobArgs": ["picket.mac"]},
            config={"nomad": {"address": f"http://{address}:4646"},
                    "consul": {"address": "http://127.0.0.1:8500"}}))
        try:
            self.cluster = Cluster(self.node, nomad, consul)
        except BaseException:
            self.node.close()
            raise

    def close(self):
        for guest in self.guests.values():
            guest.off()
        self.node.close()

    # -- steps

    def start(self):
        self.cluster.start()
        self.node.start_picketd()
        self.open_world()
        for tenant in TENANTS:
            self.cluster.namespace(tenant)

    def open_world(self):
        """
        What lies behind the uplink echoes TCP on port 8080, as each guest does, and resolves names. The
        conflist names no resolver, as shipped, so guests are told what the node itself asks.
        """
        self.node.write_root("etc/resolv.conf", f"nameserver {self.node.world.address}\n")
        Resolver(self.node.world.inside(), RESOLVED)
        self.node.world.popen(["busybox", "nc", "-ll", "-p", "8080", "-e", "cat"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.addresses[WORLD] = self.node.world.address

    def run_jobs(self):
        """nomad job run, in both namespaces: four microVMs."""
        kernel, initramfs = files_for(self.node)
        with open(os.path.join(self.cluster.images, "disk.img"), "wb") as disk:
            disk.truncate(65536)
        for tenant in TENANTS:
            self.cluster.run_job(JOB, namespace=tenant, kernel=kernel, initramfs=initramfs,
                                 run=self.cluster.images, words=kernel_words())
            self.meet_tenant(tenant)

    def meet_tenant(self, tenant):
        for alloc in self.cluster.running(tenant, "shop", 2):
            group = alloc["TaskGroup"]
            guest = NomadGuest(os.path.join(self.cluster.images, f"{tenant}-{group}.sock"))
            lease = guest.ready(BOOT_SECONDS)
            address = alloc["NetworkStatus"]["Address"]
            assert lease and lease[0].split("/")[0] == address, \
                f"{tenant}/{group}: the guest leased {lease}, Nomad says {address}"
            self.guests[tenant, group] = guest
            self.addresses[tenant, group] = address
            ports = alloc["AllocatedResources"]["Shared"]["Ports"]
            self.published[tenant, group] = [(p["HostIP"], p["Value"]) for p in ports]

    def reach(self, expected):
        """{((tenant, group), (tenant, group), protocol): bool}, asked side by side."""
        asked = {}
        for (source, target, protocol) in expected:
            port = ["8080"] if protocol == "tcp" else []
            asked[source, target, protocol] = self.guests[source].start(
                protocol, self.addresses[target], *port)
        wrong = []
        for (source, target, protocol), question in asked.items():
            got = self.guests[source].wait(question, 20)[0] == "ok"
            want = expected[source, target, protocol]
            self.say(f"  {'/'.join(source):<10} -> {'/'.join(target):<10} {protocol:<5} "
                     f"{'reached' if got else 'denied'}")
            if got != want:
                wrong.append(f"{source} -> {target} {protocol}: {got}, expected {want}")
        return wrong

    def expect(self, expected, timeout=60):
        """The table holds, within a bounded wait where a change is on its way."""
        said, self.say = self.say, lambda *words: None
        try:
            wait_for(lambda: not self.reach(expected), "the table", timeout)
        except Failed:
            pass
        finally:
            self.say = said
        wrong = self.reach(expected)
        assert not wrong, "\n".join(wrong + [self.node.log()[-3000:]])

    def tenants_are_fenced(self):
        api, db = ("acme", "api"), ("acme", "db")
        self.expect({(api, db, "ping"): True, (api, db, "tcp"): True, (db, api, "tcp"): True,
                     (api, ("beta", "api"), "ping"): False, (api, ("beta", "db"), "tcp"): False,
                     (("beta", "db"), db, "tcp"): False,
                     (("beta", "api"), ("beta", "db"), "tcp"): True})

    def world_and_back(self):
        """
        Each guest reaches the world, resolves a name there, and is reached by its published port.
        """
        self.expect({(guest, WORLD, protocol): True for guest in self.guests
                     for protocol in ("ping", "tcp")})
        wrong = self.unresolved()
        for guest in self.guests:
            assert len(self.published[guest]) == 1, f"{guest}: publishes {self.published[guest]}"
            address, port = self.published[guest][0]
            words = f"hello {'/'.join(guest)}\n"
            done = self.node.world.run(["busybox", "nc", "-w", "5", address, str(port)],
                                       stdin=words, check=False)
            reached = done.stdout == words
            self.say(f"  {'world':<10} -> {'/'.join(guest):<10} tcp   "
                     f"{'reached' if reached else 'denied'}, by {address}:{port}")
            if not reached:
                wrong.append(f"{guest} by {address}:{port}: {done.stdout!r}")
        assert not wrong, "\n".join(wrong + [self.node.log()[-3000:]])

    def unresolved(self):
        """Which guests don't resolve NAME by the resolver that DHCP named."""
        asked = {guest: self.guests[guest].start("resolve", NAME) for guest in self.guests}
        wrong = []
        for guest, question in asked.items():
            words = self.guests[guest].wait(question, 20)
            self.say(f"  {'/'.join(guest):<10} resolves {NAME}: {words[-1]}")
            if words != ["ok", RESOLVED]:
                wrong.append(f"{guest} resolves {NAME}: {words}")
        return wrong

    def policy_in_consul(self):
        """One key: api's SQL and nothing else reaches db; deleted, all is as before."""
        api, db = ("acme", "api"), ("acme", "db")
        others = {(("beta", "api"), ("beta", "db"), "ping"): True, (db, api, "ping"): True}
        self.cluster.kv_put(POLICY_KEY, json.dumps(POLICY))
        self.expect({(api, db, "tcp"): True, (api, db, "ping"): False, **others})
        self.cluster.kv_delete(POLICY_KEY)
        self.expect({(api, db, "tcp"): True, (api, db, "ping"): True, **others})

    def agent_restart(self):
        """The client agent goes and comes; the VMs run on and lose no packet."""
        before = {tenant: {a["ID"] for a in self.cluster.running(tenant, "shop", 2)}
                  for tenant in TENANTS}
        guest = self.guests["acme", "api"]
        question = guest.start("pings", self.addresses["acme", "db"], "60")
        self.cluster.stop_agent("client")
        self.cluster.start_client()
        sent, received = guest.wait(question, 60)[1:3]
        assert sent == received, f"{sent} pings, {received} replies over the agent's restart"
        for tenant in TENANTS:
            now = {a["ID"] for a in self.cluster.running(tenant, "shop", 2)}
            assert now == before[tenant], f"{tenant}: other allocations after the restart"
        self.tenants_are_fenced()
        self.world_and_back()

    def job_stop(self, tenant="beta"):
        self.cluster.stop_job(tenant, "shop")
        for group in GROUPS:
            self.guests.pop((tenant, group)).off()
        wait_for(lambda: self.endpoints(tenant) == [], f"the end of {tenant}'s endpoints",
                 timeout=120)

    def endpoints(self, tenant):
        return [e for e in self.node.api("/v1/endpoints")["endpoints"]
                if e["namespace"] == tenant]

    def reboot(self):
        """Power off: processes, namespaces, bpffs and /run are gone; then all is started again."""
        for guest in self.guests.values():
            guest.off()
        self.guests = {}
        self.node.reboot()
        self.cluster.start()
        self.node.start_picketd()
        self.open_world()
        wait_for(lambda: len(self.endpoints("acme")) == 2, "Nomad to attach acme again", 180)
        self.meet_tenant("acme")
        api, db = ("acme", "api"), ("acme", "db")
        self.expect({(api, db, "tcp"): True, (db, api, "ping"): True})
        assert len(set(self.addresses[g] for g in (api, db))) == 2, "an address twice"
        self.world_and_back()

    def nothing_left(self):
        self.cluster.stop_job("acme", "shop")
        wait_for(lambda: self.endpoints("acme") == [], "the end of acme's endpoints", timeout=120)
        wait_for(lambda: not self.left(), lambda: f"an empty node; left: {self.left()}", timeout=120)

    def left(self):
        links = [link["ifname"] for link in self.node.json(["ip", "-j", "link"])
                 if link["ifname"].startswith("pk")]
        records = self.node.records()
        files = os.listdir(self.node.path("run/picket/vm"))
        tables = [name for name in ("by_address", "slots") if self.node.tables.count(name)]
        return links + records + files + tables
