# SPDX-License-Identifier: GPL-2.0-only
"""P52 at random: verbs in any order, killed anywhere, netns that move, reboots. Nothing is lost or left."""
import json
import os
import random
import re
import uuid

import pytest
from harness import Failed, wait_for
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

    def call(self, verb, alloc, killed=0.5):
        """A verb, with that chance killed at a point; where the point isn't on its way, to its end."""
        env = {"CNI_CONTAINERID": alloc.id, "CNI_NETNS": alloc.path, "CNI_IFNAME": "eth0",
               "CNI_ARGS": ARGS if verb == "ADD" else ""}
        if self.random.random() < killed:
            env["PICKET_FAULT"] = f"{self.random.choice(POINTS)}:{self.random.choice((1, 1, 2))}"
        done = self.node.cni_raw(verb, env, json.dumps(self.node.plugin_conf()),
                                 binary_name=PLUGIN)
        self.log.append((verb, alloc.id[:4], env.get("PICKET_FAULT"), done.returncode))
        assert done.returncode in (0, -9), f"{done.stdout}{done.stderr}{self.log}"

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

    def end(self):
        for alloc in self.allocs.values():
            self.call("DEL", alloc, killed=0)
            self.node.drop_netns(alloc)


@pytest.mark.parametrize("seed", (1, 2, 20, 112))
def test_P52_random_lives(make_node, seed):
    if not POINTS:
        pytest.skip("no test build of the plugin: make FAULTS=1 all")
    node = make_node(uplink=False, pool=("10.40.7.0/28", "fd00:40:7::/64"))
    life = Life(node, seed)
    for _ in range(STEPS):
        life.step()
    life.end()
    wait_for(lambda: "pk" not in node.run(["ip", "-o", "link"]).stdout, "the devices to go")
    last = node.add("acme", "last", "one")		# buries what waits
    left = {name.split("@")[0] for name in os.listdir(node.path("var/lib/picket/endpoints"))
            if not name.startswith(".")}
    leases = {name for name in os.listdir(node.path("var/lib/picket/leases"))
              if not name.startswith(".") and not re.search(r"\.\d+\.[0-9a-f]{32}$", name)}
    assert left == {last.id}, life.log
    assert leases == {last.address(), last.address(6)}, life.log
    assert last.slot == 1, life.log
    assert node.tables.count("slots") == 1 and node.tables.count("by_address") == 2, life.log
