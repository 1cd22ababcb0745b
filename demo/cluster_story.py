# SPDX-License-Identifier: Apache-2.0
"""
The demo of a cluster: a real Nomad and Consul, nodes in network namespaces behind a router. Each step
prints what it saw and checks every claim that it makes.
"""
import json
import os
import shutil
import tempfile
import time

from harness.fabric import Fabric
from harness.fleet import NAME, Fleet
from harness.guest import files_for, kernel_words
from harness.nomad_guest import NomadGuest
from harness.secured_cluster import SecuredConsul
from harness.shell import Failed, wait_for
import reach

HERE = os.path.dirname(os.path.abspath(__file__))
TENANTS = {"acme": "02:70:00:00:0a:01", "beta": "02:70:00:00:0b:01"}
BOOT_SECONDS = 240
# Seconds that a guest waits for an answer: by whether there is to be one. What is denied is proven by its guard's own word, not by silence.
PATIENCE = {True: 10, False: 1}
ONLY_TCP = {"name": "only-tcp", "namespace": "acme", "rules": [
    {"endpointSelector": {}, "ingress": [{"fromEndpoints": [{}], "toPorts": [{"ports": [{"port": "8080", "protocol": "TCP"}]}]}]}]}


class Vm:
    """A guest where Nomad has placed it."""

    def __init__(self, placed, guest):
        self.placed, self.guest = placed, guest
        self.tenant, self.node = placed.record["Namespace"], placed.node

    @property
    def address(self):
        return self.placed.address(4)

    def __str__(self):
        return f"{self.tenant} on {self.node.name}"


class Story:
    def __init__(self, screen, nomad, consul):
        self.screen, self.vms = screen, {}
        self.base = tempfile.mkdtemp(prefix=f"picket-{os.getpid()}-")
        os.chmod(self.base, 0o755)
        self.fabric = self.fleet = None
        try:
            self.fabric = Fabric(self.base, consul, SecuredConsul)
            self.fleet = Fleet(self.base, self.fabric, NAME, nomad, conf={"allowJobArgs": ["picket.mac"]})
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        for vm in self.vms.values():
            vm.guest.off()
        for made in self.fleet, self.fabric:
            if made:
                made.close()
        shutil.rmtree(self.base, ignore_errors=True)

    # -- 1: the cluster

    def start(self):
        self.fleet.start()
        for node in self.fleet.nodes:
            own = self.fleet.addresses(int(node.name[1:]))[0]
            self.screen.say(f"{node.name}  {own:<12} has the block {self.fleet.blocks(int(node.name[1:]))[0]}")
        self.screen.check(True, "each node knows the two others: their blocks, by routes")

    # -- 2: microVMs

    def run_jobs(self):
        kernel, initramfs = files_for(self.fleet.nodes[0])
        with open(os.path.join(self.fleet.images, "disk.img"), "wb") as disk:
            disk.truncate(65536)
        for tenant, mac in TENANTS.items():
            self.fleet.cli("namespace", "apply", tenant)
            self.fleet.run_job(os.path.join(HERE, "cluster.nomad.hcl"), namespace=tenant, mac=mac, kernel=kernel, initramfs=initramfs,
                               run=self.fleet.images, words=kernel_words())
        for tenant in TENANTS:
            self.meet(tenant)
        self.screen.check(len(self.vms) == 4, "each guest has its address by DHCP, from the guard in the kernel")

    def meet(self, tenant):
        """The tenant's guests as they run now; those that are known already stay as they are."""
        placed = self.fleet.running(tenant, "vm", 2)
        for ident in [i for i, vm in self.vms.items() if vm.tenant == tenant and i not in {p.id for p in placed.values()}]:
            self.vms.pop(ident).guest.off()
        for p in placed.values():
            if p.id in self.vms:
                continue
            guest = NomadGuest(os.path.join(self.fleet.images, f"{p.id}.sock"))
            lease = guest.ready(BOOT_SECONDS)
            assert lease[0].split("/")[0] == p.address(4), f"the guest leased {lease}, picketd has {p.address(4)}"
            self.vms[p.id] = Vm(p, guest)
            self.screen.say(f"{tenant}  on {p.node.name}  {p.address(4)}")

    def of(self, tenant):
        return sorted((vm for vm in self.vms.values() if vm.tenant == tenant), key=lambda vm: vm.node.name)

    # -- 3: who reaches whom

    def wrong(self, wanted):
        """wanted: {(from, to, protocol): reached?}. Says what is otherwise; a denial has its guard's reason."""
        start = self.fleet.nodes[0].now()
        asked = {key: key[0].guest.start(key[2], key[1].address, *(["8080"] if key[2] == "tcp" else []), PATIENCE[reached])
                 for key, reached in wanted.items()}
        got = {key: key[0].guest.wait(question, 30)[0] == "ok" for key, question in asked.items()}
        bad = [f"{a} -> {b} {protocol}: {'reached' if got[a, b, protocol] else 'not reached'}"
               for (a, b, protocol), reached in wanted.items() if got[a, b, protocol] != reached]
        return bad or self.unexplained([key for key, reached in wanted.items() if not reached], start)

    def unexplained(self, denied, start):
        """Those of which no guard says that it denied them."""
        left = []

        def explained():
            events = {node: reach.denials(node, start) for node in self.fleet.nodes}
            left[:] = [f"{a} -> {b} {protocol}: no guard says that it denied it" for a, b, protocol in denied
                       if not any(reach.reason(events[node], a.address, b.address, protocol) for node in (a.node, b.node))]
            return not left
        try:
            wait_for(explained, "the reasons", 10, pause=0.2)
        except Failed:
            pass
        return left

    def expect(self, text, wanted, seconds=60):
        """The claim holds, soon; says how long that took."""
        begin = time.monotonic()
        last = []

        def holds():
            last[:] = self.wrong(wanted)
            return not last
        try:
            wait_for(holds, text, seconds, pause=0.2)
        except Failed:
            pass
        return self.screen.check(not last, f"{text} ({time.monotonic() - begin:.1f} s)", "\n".join(last))

    def table(self, ping=True):
        """All pairs, both protocols; ping: what policy says of it within acme."""
        wanted = {}
        for a in self.vms.values():
            for b in self.vms.values():
                if a is not b:
                    same = a.tenant == b.tenant
                    wanted[a, b, "tcp"] = same
                    wanted[a, b, "ping"] = same and (ping or a.tenant != "acme")
        return wanted

    def tenants_are_fenced(self):
        self.expect("ping and TCP between all four, both ways: as it should be", self.table())

    # -- 4: a policy

    def policy_command(self, *words):
        node = self.fleet.nodes[0]
        return node.picket("policy", *words, check=False,
                           env={"PATH": os.environ["PATH"], **self.fleet.secrets.environment("consul", self.fabric.consul.url)})

    def said(self, done):
        self.screen.say("\n".join(line[:74] for line in done.stderr.strip().splitlines()))

    def policy(self):
        path = os.path.join(self.base, "only-tcp.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(ONLY_TCP, file)
        self.screen.say("picket policy apply -consul -wait 60s only-tcp.json")
        done = self.policy_command("apply", "-consul", "-wait", "60s", path)
        self.said(done)
        self.screen.check(done.returncode == 0, "all nodes enforce it", done.stdout + done.stderr)
        self.expect("within acme TCP passes and ping doesn't; beta is as before", self.table(ping=False))

    # -- 5: a drain

    def drain(self):
        left, stays = self.of("acme")
        old = left.address
        begin = time.monotonic()
        self.screen.say(f"{left.node.name} is drained: {old} of acme ends there")
        self.fleet.drain(left.node)
        wait_for(lambda: left.placed.endpoint() is None, "the end of what moves", 120, pause=0.02)
        ended, question = time.monotonic() - begin, stays.guest.start("tcp", old, "8080")
        for tenant in TENANTS:		# the moved guests boot meanwhile
            self.meet(tenant)
        self.screen.check(stays.guest.wait(question, 30)[0] != "ok", f"its old address answered nothing, at once (after {ended:.1f} s)")
        moved = next(vm for vm in self.of("acme") if vm.placed.id != stays.placed.id)
        self.screen.check(moved.node is not left.node, f"it runs on {moved.node.name} ({time.monotonic() - begin:.0f} s after the drain began)")
        self.expect("the other nodes know it, its tenant reaches it, the other doesn't", self.table(ping=False))

    # -- 6: a partition

    def partition(self):
        cut = self.of("acme")[-1]
        other = self.of("acme")[0]
        self.fleet.cut(int(cut.node.name[1:]))
        self.screen.say(f"between {cut.node.name} and all others nothing passes; the policy is deleted meanwhile")
        question = other.guest.start("tcp", cut.address, "8080")
        done = self.policy_command("delete", "-consul", "-wait", "6s", "only-tcp")
        reached = other.guest.wait(question, 30)[0] == "ok"
        self.said(done)
        self.screen.check(not reached and done.returncode == 1 and f"{cut.node.name} lags" in done.stderr,
                          f"{cut.node.name} isn't reached, and the rollout names it", done.stdout + done.stderr)
        self.fleet.cut(int(cut.node.name[1:]), heal=True)
        begin = time.monotonic()
        done = self.policy_command("rollout", "-wait", "90s", "-q")
        self.screen.check(done.returncode == 0, f"healed: all nodes enforce what stands in Consul ({time.monotonic() - begin:.1f} s)",
                          done.stdout + done.stderr)
        self.expect("ping passes again, on all nodes", self.table())
