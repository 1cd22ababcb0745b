# SPDX-License-Identifier: Apache-2.0
"""
The demo with nothing but the machine itself: no Nomad, no Consul. Each step prints what it saw and
checks every claim that it makes.
"""
import os
import shutil
import signal
import subprocess
import time

from harness import CniError, Failed, Guest, Node, NodeOptions, Snapshot, wait_for
from harness.guest import accelerator, files_for
from harness.servers import Resolver
from harness.shell import binary

import reach

HERE = os.path.dirname(os.path.abspath(__file__))
VMS = (("acme", "api"), ("acme", "db"), ("beta", "api"), ("beta", "db"))
OPENED = ("beta/api", "acme/db", "tcp")
CLOSED = ("acme/api", "acme/db", "ping")
OWNER = 65534
PINGS = 60
NAME, ADDRESS = "shop.example", "198.51.100.80"	# the world's resolver knows it
PUBLISHED = 24000			# and up: the node's port for each guest's 8080


class Story:
    def __init__(self, screen):
        self.screen = screen
        self.guests, self.targets, self.allocs = {}, {}, {}
        self.empty = self.base = self.with_policy = None
        # The taps belong to nobody (65534), as whom QEMU runs.
        self.node = Node("demo", NodeOptions(conf={"owner": OWNER}))

    def close(self):
        self.node.close()

    # -- 1: attach and boot

    def attach(self):
        node, screen = self.node, self.screen
        files_for(node)
        # The conflist names no resolver, as shipped: guests are told what the node itself asks.
        node.write_root("etc/resolv.conf", f"nameserver {node.world.address}\n")
        Resolver(node.world.inside(), ADDRESS)
        self.empty = Snapshot(node)
        node.start_picketd()
        for place in (node, node.world):
            place.popen(["busybox", "nc", "-ll", "-p", "8080", "-e", "cat"],
                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        took = {}
        for tenant, job in VMS:
            name = f"{tenant}/{job}"
            start = time.monotonic()
            ports = {"portMappings": [{"hostPort": PUBLISHED + len(took), "containerPort": 8080,
                                       "protocol": "tcp"}]}
            self.allocs[name] = node.add(tenant, job, job, conf=node.plugin_conf(runtimeConfig=ports))
            took[name] = (time.monotonic() - start) * 1000
        start = time.monotonic()
        self.guests = {name: Guest(alloc) for name, alloc in self.allocs.items()}
        screen.say(f"{'guest':<10} {'address':<12} {'IPv6':<14} {'MAC':<18} {'ADD':>6}  up after")
        leased = True
        for name, guest in self.guests.items():
            alloc = self.allocs[name]
            lease = guest.boot()
            leased &= lease[0].split("/")[0] == alloc.address()
            screen.say(f"{name:<10} {alloc.address():<12} {alloc.address(6):<14} {alloc.mac:<18} "
                       f"{took[name]:3.0f} ms  {time.monotonic() - start:.1f} s")
            self.targets[name] = alloc.address()
        screen.check(leased, "each guest got its address by DHCP, from the guard in the kernel")
        self.targets["host"] = node.options.up_address.split("/")[0]
        self.targets["world"] = node.world.address

    # -- 2: who reaches whom

    def table(self):
        self.base = reach.table(self.node, self.guests, self.targets)
        reach.show(self.screen, self.base)
        self._judge(self.base)
        self._same_over_ipv6()
        self._names()
        self._published()

    def _expected(self, source, target):
        if target == "world":
            return "allowed", "ok"
        if source.split("/")[0] == target.split("/")[0]:
            return "allowed", "ok"
        return "denied", "policy-denied"

    def _judge(self, cells):
        wrong = [f"{s} -> {t} {p}: {cell.verdict}, {cell.reason}" for (s, t, p), cell in
                 cells.items() if (cell.verdict, cell.reason) != self._expected(s, t)]
        self.screen.check(not wrong, "a tenant reaches itself and the world; other tenants and the "
                          "host are denied", "\n".join(wrong))

    def _same_over_ipv6(self):
        targets = {name: alloc.address(6) for name, alloc in self.allocs.items()}
        asked = {(s, t): guest.start("ping", targets[t]) for s, guest in self.guests.items()
                 for t in targets if s != t}
        wrong = []
        for (source, target), question in asked.items():
            reached = self.guests[source].wait(question, 60)[0] == "ok"
            if reached != (self._expected(source, target)[0] == "allowed"):
                wrong.append(f"{source} -> {target}: {'reached' if reached else 'denied'}")
        self.screen.check(not wrong, "over IPv6 the same", "\n".join(wrong))

    def _names(self):
        """By the resolver of the node's resolv.conf, which each guest heard of by DHCP."""
        asked = {name: guest.start("resolve", NAME) for name, guest in self.guests.items()}
        answers = {name: self.guests[name].wait(question, 60) for name, question in asked.items()}
        wrong = [f"{name}: {' '.join(words)}" for name, words in answers.items()
                 if words != ["ok", ADDRESS]]
        self.screen.check(not wrong, f"each guest resolves {NAME} at the node's own resolver, "
                          f"{self.targets['world']}, which DHCP named", "\n".join(wrong))

    def _published(self):
        """From the world, at the node's address and each guest's own port of it."""
        wrong, node = [], self.targets["host"]
        for number, name in enumerate(self.guests):
            done = self.node.world.run(["busybox", "nc", "-w", "5", node, str(PUBLISHED + number)],
                                       stdin=f"hello {name}\n", check=False)
            if done.stdout != f"hello {name}\n":
                wrong.append(f"{name}: {done.stdout!r}")
        self.screen.check(not wrong, "the world reaches each guest by its published port",
                          "\n".join(wrong))

    # -- 3: a policy

    def policy(self):
        screen, node = self.screen, self.node
        screen.say("demo/policy.json: beta/api may use acme/db's TCP 8080; acme/db takes no ping")
        before = self._words()
        start = time.monotonic()
        shutil.copy(os.path.join(HERE, "policy.json"), os.path.join(node.root, "policy.new"))
        os.rename(os.path.join(node.root, "policy.new"),
                  os.path.join(node.root, "etc/picket/policies.d/demo.json"))
        selected = ("acme/db", "beta/api")
        try:
            wait_for(lambda: all(self._words()[n] != before[n] for n in selected),
                     "the policy to be in force", timeout=10, pause=0.001)
        except Failed as late:
            screen.check(False, "the policy is in force within 10 s",
                         f"{late}\n{node.log()[-1500:]}")
            return
        took = time.monotonic() - start
        screen.check(True, f"in force {took * 1000:.0f} ms after the file was there")
        self.with_policy = reach.table(node, self.guests, self.targets)
        self._show_changes()

    def _words(self):
        return {name: self.node.tables.word(alloc.slot) for name, alloc in self.allocs.items()}

    def _show_changes(self):
        base, now = self.base, self.with_policy
        changed = reach.changes(base, now)
        for key in changed:
            source, target, protocol = key
            self.screen.say(f"{source:<10} {target:<10} {protocol:<5} "
                            f"{self.screen.verdict(base[key].verdict)} -> "
                            f"{self.screen.verdict(now[key].verdict)} {now[key].reason} "
                            f"{now[key].rule}".rstrip())
        self.screen.check(
            set(changed) == {OPENED, CLOSED} and now[OPENED].verdict == "allowed"
            and now[CLOSED].verdict == "denied",
            f"the table changed there and nowhere else ({len(base) - len(changed)} of {len(base)} "
            "as before)", "\n".join(f"{' '.join(k)}: {now[k].verdict}, {now[k].reason}"
                                    for k in changed))

    # -- 4: a controller that dies

    def kill(self):
        screen, node = self.screen, self.node
        known = self._known()
        question = self.guests["acme/db"].start("pings", self.targets["acme/api"], PINGS)
        time.sleep(1.5)
        node.kill_picketd(signal.SIGKILL)
        time.sleep(1.5)
        node.start_picketd()
        _, sent, received, *missing = self.guests["acme/db"].wait(question, 60)
        screen.check(int(sent) == PINGS and received == sent,
                     f"acme/db pinged acme/api ten times a second: {sent} sent, {received} answered",
                     " ".join(missing))
        try:
            wait_for(lambda: self._known() == known, "picketd to know all again")
            same = True
        except Failed:
            same = False
        screen.check(same, f"it came back knowing its {len(self.allocs)} endpoints and its policy",
                     f"before: {known}\nnow:    {self._known()}")
        again = reach.table(node, self.guests, self.targets)
        wrong = reach.changes(self.with_policy or self.base, again)
        screen.check(not wrong, "the table is the same as before",
                     "\n".join(" ".join(key) for key in wrong))

    def _known(self):
        endpoints = self.node.api("/v1/endpoints")["endpoints"]
        policies = self.node.api("/v1/policies")["policies"]
        return (sorted((e["name"], e["state"], tuple(e["addresses"])) for e in endpoints),
                sorted((p["name"], p["state"]) for p in policies))

    # -- 5: all goes

    def remove(self):
        screen, node = self.screen, self.node
        for name, guest in self.guests.items():
            guest.off()
            try:
                node.delete(self.allocs[name])
            except (CniError, Failed) as error:
                screen.check(False, f"DEL of {name}", str(error))
        os.unlink(os.path.join(node.root, "etc/picket/policies.d/demo.json"))
        node.kill_picketd(signal.SIGTERM)
        node.run([binary("picket"), "-root", node.root, "sweep", "-all", "-apply"], check=False)
        left = self.empty.differences(Snapshot(node))
        leases = os.listdir(os.path.join(node.root, "var/lib/picket/leases"))
        screen.check(not left and not leases,
                     "nothing is left: links, network namespaces, routes, neighbours, pins, "
                     "maps, records, leases, driver files",
                     "\n".join(left + [f"lease {name}" for name in leases]))
        base, inode = node.base, node.mnt_inode
        node.close()
        gone = not os.path.exists(base) and not _lives(inode)
        screen.check(gone, "the node itself is gone: its namespaces, processes and files")


def _lives(inode):
    from harness import netns
    return netns.processes_of(inode, "mnt")


def accel():
    return accelerator()[0]
