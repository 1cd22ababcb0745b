# SPDX-License-Identifier: Apache-2.0
"""Three nodes under one real Nomad and Consul: what a drain moves is fenced where it comes, and gone where it was."""
import os

from harness.servers import pings
from harness.shell import TREE, wait_for

QUICK = 1	# seconds of silence that are taken for a denial
JOB = os.path.join(TREE, "tests/e2e/app.nomad.hcl")


def all_reach(allocs, seconds=90):
    for a in allocs.values():
        for b in allocs.values():
            if a is not b:
                wait_for(lambda a=a, b=b: pings(a, b.address(4), QUICK) and pings(a, b.address(6), QUICK), "a tenant to reach its own", seconds)


def none_reaches(allocs, others):
    for a in allocs.values():
        for b in others.values():
            assert not pings(a, b.address(4), QUICK) and not pings(b, a.address(6), QUICK), "tenants are apart"


def test_a_drain(fleet):
    """An alloc moves: its old address answers nothing, at once; who talks to it learns the new one; other tenants never."""
    for tenant, count in ("acme", 2), ("beta", 3):
        fleet.cli("namespace", "apply", tenant)
        fleet.run_job(JOB, namespace=tenant, count=count)
    acme, beta = fleet.running("acme", "app", 2), fleet.running("beta", "app", 3)
    all_reach(acme)
    all_reach(beta)
    none_reaches(acme, beta)
    for node in fleet.nodes:
        wait_for(lambda node=node: all(e["confirmed"] == "yes" for e in node.api("/v1/endpoints")["endpoints"]), "Nomad's word on each", 60)
        assert not [n for n in node.api("/v1/nodes")["nodes"] if n["refused"]] and "Nomad doesn't say" not in node.log()
    left, stays = sorted(acme.values(), key=lambda a: a.node.name)
    free, = [node for node in fleet.nodes if node.name not in acme]
    old = left.address(4), left.address(6)
    fleet.drain(left.node)
    wait_for(lambda: left.endpoint() is None, "the end of what moves", 120)
    assert not pings(stays, old[0], QUICK) and not pings(stays, old[1], QUICK), "at once, whoever knows of it still"
    acme = fleet.running("acme", "app", 2)
    assert set(acme) == {stays.node.name, free.name} and acme[stays.node.name].id == stays.id
    all_reach(acme)
    beta = fleet.running("beta", "app", 2)	# its third one has no other node to go to
    all_reach(beta)
    none_reaches(acme, beta)
    wait_for(lambda: left.node.api("/v1/endpoints")["endpoints"] == [], "nothing on the node that is drained", 60)
    for node in fleet.nodes:
        wait_for(lambda node=node: not [n for n in node.api("/v1/nodes")["nodes"] if n["name"] == left.node.name and n["endpoints"]],
                 "nobody to know anything there", 60)
