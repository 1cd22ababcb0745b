# SPDX-License-Identifier: Apache-2.0
"""The plugin killed at random: verbs in any order, killed anywhere, netns that move, reboots. Nothing is lost or left."""
import json
import os
import random
import subprocess
import uuid

import pytest
from harness import Failed, wait_for
from harness.netns import entering
from harness.shell import binary, run

PLUGIN = "faults/picket-cni"
ARGS = "NOMAD_NAMESPACE=acme"
STEPS = 60


def points():
    try:
        return run([binary(PLUGIN), "--list-faults"]).stdout.split()
    except Failed:
        return []


POINTS = points()


class Life:
    """Up to eight container ids of a node, each in a netns, and what is done to them."""

    def __init__(self, node, seed):
        self.node, self.random, self.allocs, self.log = node, random.Random(seed), {}, []

    def start(self, verb, alloc, killed=0.5):
        """A verb, with that chance killed at a point; where the point isn't on its way, to its end."""
        env = {"PATH": os.environ["PATH"], "CNI_COMMAND": verb, "CNI_CONTAINERID": alloc.id,
               "CNI_NETNS": alloc.path, "CNI_IFNAME": "eth0",
               "CNI_ARGS": ARGS if verb == "ADD" else ""}
        if self.random.random() < killed:
            env["PICKET_FAULT"] = f"{self.random.choice(POINTS)}:{self.random.choice((1, 1, 2))}"
        self.log.append((verb, alloc.id[:4], env.get("PICKET_FAULT")))
        process = subprocess.Popen(
            [binary(PLUGIN)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
            preexec_fn=entering(self.node.net, self.node.mnt))
        process.stdin.write(json.dumps(self.node.plugin_conf()))
        process.stdin.close()
        return process

    def finish(self, process):
        with process:
            said = process.stdout.read()
        assert process.returncode in (0, -9), f"{said}{self.log}"

    def call(self, verb, alloc, killed=0.5):
        self.finish(self.start(verb, alloc, killed))

    def new(self):
        if len(self.allocs) < 8:
            alloc_id = str(uuid.UUID(int=self.random.getrandbits(128)))
            self.allocs[alloc_id] = self.node.new_netns(alloc_id)
            self.call("ADD", self.allocs[alloc_id])

    def any(self):
        return self.allocs[self.random.choice(sorted(self.allocs))]

    def add(self):
        self.call("ADD", self.any())

    def delete(self):
        self.call("DEL", self.any())

    def move(self):
        alloc = self.any()
        self.node.run(["umount", "-l", alloc.path])
        self.node.run(["unshare", f"--net={alloc.path}", "true"])
        self.call("ADD", alloc)

    def drop(self):
        alloc = self.any()
        self.call("DEL", alloc, killed=0)
        self.node.drop_netns(self.allocs.pop(alloc.id))

    def reboot(self):
        ids = sorted(self.allocs)
        self.node.reboot()
        self.log.append("reboot")
        for alloc_id in ids:
            self.allocs[alloc_id] = self.node.new_netns(alloc_id)
            self.call("ADD", self.allocs[alloc_id])

    def step(self):
        doings = [self.new] * 4
        if self.allocs:
            doings += [self.add, self.add, self.delete, self.delete, self.drop, self.move] * 2
            doings.append(self.reboot)
        self.random.choice(doings)()

    def together(self):
        """Six containers at once, some of them twice at once."""
        while len(self.allocs) < 8:
            alloc_id = str(uuid.UUID(int=self.random.getrandbits(128)))
            self.allocs[alloc_id] = self.node.new_netns(alloc_id)
        running = []
        for alloc_id in self.random.sample(sorted(self.allocs), 6):
            verb = self.random.choice(("ADD", "ADD", "DEL"))
            running += [self.start(verb, self.allocs[alloc_id], killed=0.3)
                        for _ in range(self.random.choice((1, 1, 2)))]
        for process in running:
            self.finish(process)

    def nothing_is_shared(self):
        """Each open endpoint has its addresses, and their leases, for itself."""
        seen, directory = set(), self.node.path("var/lib/picket/endpoints")
        for name in self.node.records():
            if name.startswith("closed/"):
                continue
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                record = json.load(file)
            if self.node.tables.word(record["slot"])[2] == 0:
                continue
            for address in (record["ipv4"], record["ipv6"]):
                assert address not in seen, self.log
                seen.add(address)
                lease = self.node.path(f"var/lib/picket/leases/{address}")
                with open(lease, encoding="ascii") as file:
                    assert file.read() == name.rsplit("@", 1)[0], self.log

    def end(self):
        for alloc in self.allocs.values():
            self.call("DEL", alloc, killed=0)
            self.node.drop_netns(alloc)


def nothing_is_left(node, life):
    life.end()
    wait_for(lambda: "pk" not in node.run(["ip", "-o", "link"]).stdout, "the devices to go")
    last = node.add("acme", "last", "one")		# buries what waits
    assert node.records() == [f"{last.id}@eth0@{last.slot}"], life.log
    assert node.leases() == {last.address(), last.address(6)}, life.log
    assert last.slot == 1, life.log
    assert node.tables.count("slots") == 1 and node.tables.count("by_address") == 2, life.log


@pytest.fixture
def node(make_node):
    if not POINTS:
        pytest.skip("no test build of the plugin: make FAULTS=1 all")
    return make_node(uplink=False, pool=("10.40.7.0/28", "fd00:40:7::/64"))


@pytest.mark.parametrize("seed", (1, 2, 20, 112))
def test_random_lives(node, seed):
    life = Life(node, seed)
    for _ in range(STEPS):
        life.step()
    nothing_is_left(node, life)


@pytest.mark.parametrize("seed", (1, 2))
def test_random_lives_side_by_side(node, seed):
    life = Life(node, seed)
    life.new()
    for _ in range(12):
        life.together()
        life.nothing_is_shared()
        life.drop()
    nothing_is_left(node, life)
