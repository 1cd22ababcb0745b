# SPDX-License-Identifier: Apache-2.0
"""
R7 and R8: what hostile input costs picketd, each in a node of its own: the longest turn of its loop,
in which nobody is answered, and its memory above what it had before.
"""
import contextlib
import os
import socket
import time
import uuid

from sides import FakeNomad, Node, NodeOptions

from fake import FakeConsul
from harness.cost import MIB, Cost
from harness.disk import Disk, can_hang
from harness.hostile import (DENY, FLOODS, MANY_KEYS, explosive, flood, node_lock_held,
                             put_large_allocs)
from harness.shell import wait_for

TURN_NS, MEMORY = 50e6, 64 * MIB


class Victim:
    """A node with one endpoint of each of two tenants, a Nomad and a Consul; its state on a disk of its own, where there can be one."""

    def __init__(self, build, stack):
        os.environ["PICKET_BUILD"] = os.path.abspath(build)
        self.node = stack.enter_context(contextlib.closing(Node("hostile", NodeOptions())))
        self.disk = Disk(self.node, "var") if can_hang() else None
        with self.node.inside():
            self.nomad, self.consul = FakeNomad("here"), FakeConsul()
        stack.callback(self.nomad.stop)
        stack.callback(self.consul.stop)
        self.node.start_picketd({"nomad": {"address": self.nomad.address, "node": "here"},
                                 "consul": {"address": self.consul.address}})
        self.allocs = {name: self.add(name) for name in ("bank", "evil")}
        wait_for(lambda: self.is_in_step("evil") and self.is_in_step("bank"), "both endpoints", 60)
        self.cost = Cost(self.node)

    def add(self, tenant):
        alloc_id = str(uuid.uuid4())
        self.nomad.put(alloc_id, tenant, "job", "g")
        return self.node.add(tenant, "job", "g", alloc_id=alloc_id)

    def endpoint(self, tenant):
        return self.node.api(f"/v1/endpoints/{self.allocs[tenant].id}")

    def is_in_step(self, tenant):
        return self.endpoint(tenant)["inStep"]

    def reasons(self, what):
        return [r for r in self.node.api("/v1/status")["reasons"] if r["what"] == what]

    def bank_is_served(self):
        """A change of another tenant, and one of the operator's, come into force meanwhile."""
        name = uuid.uuid4().hex[:8]
        self.consul.put(f"operator/{name}", {"tier": "operator", "rules": [DENY]})
        self.consul.put(f"tenants/bank/{name}", DENY)
        wanted = {f"consul/operator/{name}", f"consul/tenant/bank/{name}"}
        wait_for(lambda: wanted <= set(self.endpoint("bank")["policies"]) and self.is_in_step("bank"),
                 "bank's change", 60)


def meta_keys(v):
    v.nomad.put(v.allocs["evil"].id, "evil", "job", "g", meta=MANY_KEYS)
    wait_for(lambda: v.endpoint("evil")["labelsRefused"], "the refusal", 60)


def large_allocs(v):
    put_large_allocs(v.nomad)
    wait_for(lambda: "12 allocs" in next(s for s in v.node.api("/v1/status")["sources"]
                                         if s["name"] == "nomad")["detail"], "the allocs", 120)


def keys(what):
    def put(v):
        flood(v.consul, FLOODS[what])
        wait_for(lambda: v.reasons("tenant"), "the refusal", 60)
    return put


def too_large(v):
    v.consul.put("tenants/evil/large", explosive(1500))
    wait_for(lambda: v.reasons("apply"), "the refusal", 60)


def as_large_as_may_be(v):
    for salt in range(8):
        v.consul.put("tenants/evil/large", explosive(120, salt))
        time.sleep(1.2)


def held_lock(v):
    with node_lock_held(v.node):
        v.consul.put("operator/held", {"tier": "operator", "rules": [DENY]})
        wait_for(lambda: v.reasons("apply"), "the reason", 60)


def idle_readers(v):
    path = v.node.path("run/picket/picketd.sock")
    with contextlib.ExitStack() as stack:
        for _ in range(64):
            connection = stack.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(path)
        v.bank_is_served()


def hung_disk(v):
    if not v.disk:
        print("  no loop devices here: no disk can be made to hang")
        return
    v.disk.hang()
    try:
        for _ in range(3):
            v.bank_is_served()
        wait_for(lambda: v.reasons("store"), "the reason", 60)
    finally:
        v.disk.go_on()


INPUTS = {"meta": ("60,000 meta keys", meta_keys),
          "allocs": ("ten allocs with 8 MB of configuration each", large_allocs),
          "refused": ("30,000 refused documents", keys("30,000 keys of a byte")),
          "namesakes": ("30,000 documents of one name", keys("30,000 documents of one name")),
          "small": ("70,000 small documents", keys("70,000 small documents")),
          "toolarge": ("a rule set that is too large", too_large),
          "large": ("a rule set as large as may be, edited", as_large_as_may_be),
          "lock": ("a held node lock", held_lock),
          "readers": ("64 idle readers", idle_readers),
          "disk": ("a disk that hangs", hung_disk)}


def hostile(result, build):
    for name, (what, put) in INPUTS.items():
        with contextlib.ExitStack() as stack:
            victim = Victim(build, stack)
            put(victim)
            for _ in range(3):
                victim.bank_is_served()
            turns = victim.cost.turns
            print(f"  {what}: {victim.cost}")
            result.add(f"R7.{name}", f"longest turn under {what}", [turns.wall_ms * 1e6], limit=TURN_NS)
            result.add(f"R8.{name}", f"memory above idle under {what}",
                       [max(victim.cost.memory, 0)], limit=MEMORY, unit="bytes")
