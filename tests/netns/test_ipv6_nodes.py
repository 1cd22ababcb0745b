# SPDX-License-Identifier: Apache-2.0
"""Nodes whose only addresses are of IPv6, and Consul there; their endpoints have both families, on every fabric."""
import json
import os

import pytest
from harness import EGRESS, INGRESS, proving
from harness.fabric import made_cluster, routes
from harness.servers import QUICK, SILENCE, Mirror, ask, pings
from harness.shell import wait_for

FABRICS = {
    "segment": {},
    "router": {"routed": True},
    "overlay": {"routed": True, "overlay": {"underlay": "ipv6"}},
    "claimed": {"claim": True},
}


@pytest.fixture(name="cluster", params=FABRICS)
def cluster_fixture(request, fabric):
    name = request.node.name.translate({ord(c): "-" for c in "[]"})
    with made_cluster(name, fabric, families=(6,), **FABRICS[request.param]) as made:
        yield made


def start(cluster):
    for node in cluster.nodes:
        node.start_picketd(cluster.config(node), wait=False)
    for node in cluster.nodes:
        node.picketd_serves()


def handed(node):
    """The blocks that it has claimed and the plugin may take addresses from."""
    with open(os.path.join(node.root, "var/lib/picket/node.json"), encoding="utf-8") as file:
        return json.load(file)["claimed"]["blocks"]


def added(cluster, node, tenant, job, **runtime):
    """cluster.claim: a node without a block yet refuses."""
    if cluster.claim:
        wait_for(lambda: len(handed(node)) == 2, "its blocks", 90)
    return node.add(tenant, job, job, conf=node.plugin_conf(**({"runtimeConfig": runtime} if runtime else {})))


def all_reach(allocs, patience=60):
    for a in allocs:
        for b in allocs:
            for family in 4, 6:
                if a is not b:
                    wait_for(lambda a=a, b=b, family=family: pings(a, b.address(family), QUICK), lambda a=a, b=b, family=family:
                             f"{a.node.name} to reach {b.address(family)} {routes(a.node)}\n" +
                             a.node.picket("policy", "explain", a.address(family), b.address(family), "5000/tcp", check=False).stdout, patience)


def ways(cluster, node):
    """Where a node's routes to the other one lead, family by family."""
    if cluster.overlay is not None:
        return {"picket-vxlan"}
    own = int(node.name[1:])
    return {(cluster.gateways(own) if cluster.routed else cluster.addresses(3 - own))[0]}


def test_a_tenant_reaches_its_own_alone(cluster):
    """Of both families, by TCP and UDP; another tenant never; nodes hear each other; through a restart."""
    one, two = cluster.nodes
    start(cluster)
    a, b, c = added(cluster, one, "acme", "api"), added(cluster, two, "acme", "db"), added(cluster, two, "other", "x")
    all_reach([a, b])
    mirror = Mirror(b.inside(), 5000)
    try:
        for family in 4, 6:
            for kind in "tcp", "udp":
                assert ask(a, kind, b.address(family), 5000)[0] == a.address(family), "with its own address, never masqueraded"
    finally:
        mirror.close()
    for node in cluster.nodes:
        assert len(routes(node)) == 2 and set(routes(node).values()) == ways(cluster, node), routes(node)
    for family in 4, 6:
        with proving(one.tables, a.slot, EGRESS, "policy-denied"):
            assert not pings(a, c.address(family), QUICK)
        with proving(two.tables, c.slot, EGRESS, "policy-denied"):
            assert not pings(c, a.address(family), QUICK)
    for node in cluster.nodes:
        wait_for(lambda node=node: [n.get("reach") for n in node.api("/v1/nodes")["nodes"] if n["state"] != "this"] == ["up"],
                 lambda node=node: node.api("/v1/nodes"), 60)
        wait_for(lambda node=node: node.api("/v1/status")["state"] == "ok", lambda node=node: node.api("/v1/status")["reasons"], 60)
        other, = [n for n in node.api("/v1/nodes")["nodes"] if n["state"] != "this"]
        assert other["addresses"] == list(cluster.addresses(int(other["name"][1:])))
    found = one.picket("check", check=False).stdout
    assert "FAIL" not in found and "error" not in found, found
    two.kill_picketd()
    all_reach([a, b], 0)
    two.start_picketd(cluster.config(two))
    all_reach([a, b], 0)
    old = [b.address(family) for family in (4, 6)]
    two.delete(b)
    assert not any(pings(a, address, QUICK) for address in old), "at once"
    all_reach([a, added(cluster, two, "acme", "db")])


def test_a_stranger_writes_an_endpoints_ipv4(request, fabric):
    """Belief is by the neighbour that the route's next hop, of IPv6, names: another host of the segment is nobody."""
    with made_cluster(request.node.name, fabric, families=(6,)) as cluster:
        one, two = cluster.nodes
        start(cluster)
        a, b = added(cluster, one, "acme", "api"), added(cluster, two, "acme", "db")
        all_reach([a, b])
        stranger = cluster.stranger(9)
        for block, address in (cluster.blocks(1)[0], b.address(4)), (cluster.blocks(1)[1], b.address(6)):
            family = "-6" if ":" in block else "-4"
            stranger.run(["ip", "addr", "add", address, "dev", "lo"])
            stranger.run(["ip", family, "route", "add", block, *cluster.towards(block, 1), "src", address])
            with proving(one.tables, a.slot, INGRESS, "spoofed-remote"):
                stranger.run(["ping", "-c1", "-W1", a.address(6 if ":" in block else 4)], check=False)


def test_published_ports(request, fabric):
    """At the node's address: from a host of the segment, from endpoints of this node and of another, as their policies say."""
    with made_cluster(request.node.name, fabric, families=(6,), conf={"mode": "process", "masquerade": {"ipv6": True}}) as cluster:
        one, two = cluster.nodes
        start(cluster)
        ports = [{"hostPort": 28080, "containerPort": 80, "protocol": kind} for kind in ("tcp", "udp")]
        web = added(cluster, one, "acme", "web", portMappings=ports)
        near, far, other = added(cluster, one, "acme", "api"), added(cluster, two, "acme", "api"), added(cluster, one, "other", "x")
        world, there = cluster.stranger(9), cluster.addresses(1)[0]
        mirror = Mirror(web.inside(), 80)
        try:
            for kind in "tcp", "udp":
                assert ask(world, kind, there, 28080)[0] == cluster.addresses(9)[0]
                assert ask(near, kind, there, 28080)[0] == near.address(6)
                assert ask(two, kind, there, 28080)[0] == cluster.addresses(2)[0], "a process of another node"
                wait_for(lambda kind=kind: ask(far, kind, there, 28080, QUICK), "another node's endpoint, as its node")
                assert ask(other, kind, there, 28080, SILENCE) is None, "policy sees the endpoint behind the port"
        finally:
            mirror.close()
