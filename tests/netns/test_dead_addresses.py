# SPDX-License-Identifier: Apache-2.0
"""Of several addresses some are dead: each asker finds one that answers and stays there, and goes on once that one dies."""
import json
import os
import re
import uuid

import pytest
from fake import FakeNomad
from fake.consul import ROOT, STATUS
from harness.shell import wait_for

ALLOW = {"rules": [{"endpointSelector": {}, "ingress": [{}]}]}
TENANTS = [f"t{i}" for i in range(3)]
PLACED = "/v1/allocations?namespace="
KINDS = {"session": ("/v1/session/",), "told": (f"/v1/kv/{STATUS}tenants/",), "claim": (f"/v1/kv/{ROOT}blocks/",),
         "published": (f"/v1/kv/{ROOT}tenants/", f"/v1/kv/{ROOT}nodes/", f"/v1/kv/{STATUS}nodes/")}


def asked(consul, what):
    """Writes, and what concerns the session, that came there; a question for keys says what it wants of them."""
    return sum(path.startswith(KINDS[what]) and not any(word in path for word in ("recurse", "keys=", "consistent")) for path in list(consul.requests))


def blocks(node):
    path = os.path.join(node.root, "var/lib/picket/node.json")
    with open(path, encoding="utf-8") as file:
        return json.load(file).get("claimed", {}).get("blocks", [])


def die(consul, how):
    """The page is a proxy's, which answers whatever is asked with 200."""
    if how == "page":
        consul.odd = (200, {"Content-Type": "text/html"}, b"<html>under maintenance</html>")
        consul.set_mode("ok")       # who waits there is answered
    else:
        consul.set_mode(how)


@pytest.mark.parametrize("how", [500, "page"])
def test_writes_stay_where_they_were_taken(make_node, consul_of, how):
    """A dead first address is tried once by each who writes; once the second one dies, the first is found again."""
    node = make_node("n1", pool=(), conf={"mode": "process"})
    first, second = consul_of(node), consul_of(node)
    first.keys, first.touched, first.sessions, first.held = second.keys, second.touched, second.sessions, second.held
    first.writable = second.writable = ROOT
    die(first, how)
    for tenant in TENANTS:
        second.put(f"tenants/{tenant}/x", ALLOW)
    node.start_picketd({"nomad": None, "fabric": "routed", "node": "n1", "consul": {"address": [first.address, second.address]},
                        "blocks": {"range": ["10.64.0.0/16", "fd64::/16"], "claim": True, "size": 29}})
    wait_for(lambda: len(blocks(node)) >= 2, lambda: node.log()[-1500:], 120)
    for tenant in TENANTS:
        node.add(tenant, "api", "web")
        wait_for(lambda: f"{ROOT}tenants/{tenant}/n1" in second.keys and second.written(tenant), f"what {tenant} is told and told of", 120)
    wait_for(lambda: asked(second, "session") >= 2, "a renewal", 120)
    came = {what: (asked(first, what), asked(second, what)) for what in KINDS}
    assert all(tried <= 1 and taken >= 2 for tried, taken in came.values()), came
    if how == "page":
        assert re.search("op=blocks err=\"a block can't be claimed: what answers a write is neither true nor false: [^\"]*\" fix=\"name an agent's own address", node.log())
    with first.changed:
        first.index = first.newest = second.index + 1000
    first.odd = None
    first.set_mode("ok")
    die(second, how)
    node.add("last", "api", "web")
    wait_for(lambda: f"{ROOT}tenants/last/n1" in first.keys, lambda: node.log()[-1500:], 120)


def test_placements_are_asked_where_they_were_answered(make_node, consul_of):
    """One that is dead for one tenant is for all."""
    node = make_node("n1", pool=("10.64.1.0/24",), conf={"mode": "process"})
    consul = consul_of(node)
    consul.writable = ROOT
    with node.inside():
        dead, lives = FakeNomad(node="n1"), FakeNomad(node="n1")
    dead.set_mode(500)
    try:
        consul.say("nodes/n2", {"version": 1, "number": 5, "blocks": ["10.64.2.0/24"], "addresses": ["192.0.2.9"]})
        for i, tenant in enumerate(TENANTS):
            for where in "n1", "n2":
                alloc = str(uuid.uuid4())
                lives.put(alloc, tenant, "job", "group", node=None if where == "n1" else where)
                if where == "n1":
                    node.add(tenant, "job", "group", alloc_id=alloc)
            consul.say(f"tenants/{tenant}/n2", {"version": 1, "number": 1, "endpoints": [
                {"id": f"x{i}@eth0", "generation": 1, "labels": f'["nomad:namespace={tenant}"]', "addresses": [f"10.64.2.{i + 9}"]}]})
        node.start_picketd({"nomad": {"address": [dead.address, lives.address], "node": "n1"}, "fabric": "routed", "node": "n1",
                            "consul": {"address": consul.address}, "blocks": {"range": ["10.64.0.0/16"]}})
        wait_for(lambda: all(lives.count(PLACED + tenant) for tenant in TENANTS), lambda: node.log()[-1500:], 120)
        wait_for(lambda: node.tables.count("remote") == len(TENANTS), "all of them, believed", 60)
        assert dead.count(PLACED) == 1, dead.requests
        dead.set_mode("ok")
        dead.allocs, dead.raw = lives.allocs, lives.raw
        lives.set_mode(500)
        with dead.changed:
            dead.bump()
        consul.say("nodes/n3", {"version": 1, "number": 5, "blocks": ["10.64.3.0/24"], "addresses": ["192.0.2.10"]})
        lives.put(str(uuid.uuid4()), TENANTS[0], "job", "group", node="n3")
        consul.say(f"tenants/{TENANTS[0]}/n3", {"version": 1, "number": 1, "endpoints": [
            {"id": "y@eth0", "generation": 1, "labels": f'["nomad:namespace={TENANTS[0]}"]', "addresses": ["10.64.3.9"]}]})
        wait_for(lambda: dead.count(PLACED) > 1, lambda: node.log()[-1500:], 120)
        wait_for(lambda: node.tables.count("remote") == len(TENANTS) + 1, "the one that came meanwhile", 60)
    finally:
        dead.stop()
        lives.stop()
