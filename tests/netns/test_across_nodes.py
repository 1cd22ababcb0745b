# SPDX-License-Identifier: Apache-2.0
"""Two tenants on two nodes, and nobody's policy between them: nothing of any protocol arrives, whichever guard is passed by."""
import pytest
from harness import EGRESS, INGRESS, PacketSocket
from harness.fabric import made_cluster
from harness.servers import QUICK, SILENCE, Mirror, ask, pings
from harness.shell import wait_for
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.sctp import SCTP, SCTPChunkInit

GATEWAY_MAC = "02:70:6b:00:00:01"
FABRICS = {"routed": {}, "vxlan": {"overlay": {}}}


@pytest.fixture(name="cluster", params=FABRICS)
def cluster_fixture(request, fabric):
    with made_cluster(f"across-{request.param}", fabric, **FABRICS[request.param]) as made:
        yield made


def sctp(source, target, family, gateway=GATEWAY_MAC):
    """A frame, as from the source's VM: its own kernel may have no SCTP."""
    ip = (IP if family == 4 else IPv6)(src=source.address(family), dst=target.address(family))
    with source.packets("eth0") as socket:
        socket.send(bytes(Ether(src=source.mac, dst=gateway) / ip / SCTP(sport=5000, dport=5000) / SCTPChunkInit()))


def of_both(frames, source, target):
    """Those between the two."""
    ends = {a.address(f) for a in (source, target) for f in (4, 6)}
    return [f for f in frames if (p := Ether(f)) and any(layer in p and {p[layer].src, p[layer].dst} <= ends for layer in (IP, IPv6))]


def every_protocol(source, target):
    """(how, what sends it); each is silence."""
    for family in 4, 6:
        yield f"tcp{family}", lambda family=family: ask(source, "tcp", target.address(family), 5000, SILENCE)
        yield f"udp{family}", lambda family=family: ask(source, "udp", target.address(family), 5000, SILENCE)
        yield f"ping{family}", lambda family=family: pings(source, target.address(family), QUICK) or None
        yield f"sctp{family}", lambda family=family: sctp(source, target, family)


def nothing_arrives(source, target, tables, slot, way, reason):
    """Each protocol is counted there, by that reason; the target sees nothing of it."""
    mirror = Mirror(target.inside(), 5000)
    try:
        with target.packets("eth0") as sniffer:
            for how, send in every_protocol(source, target):
                before = tables.counters(slot)
                assert send() is None, how
                wait_for(lambda: tables.counters(slot).get((way, reason), 0) > before.get((way, reason), 0), f"{how} to be counted as {reason}")
            assert of_both(sniffer.drain(), source, target) == []
    finally:
        mirror.close()


def pair(cluster):
    for node in cluster.nodes:
        node.start_picketd(cluster.config(node))
    one, two = cluster.nodes
    a, b = one.add("acme", "api", "web"), two.add("other", "x", "x")
    c, d = two.add("acme", "api", "web"), one.add("other", "x", "x")	# so that each node hears of both tenants
    for node in one, two:
        wait_for(lambda node=node: node.tables.count("remote") == 4, f"{node.name} to know both tenants' endpoints", 90)
    wait_for(lambda: pings(a, c.address(4), QUICK) and pings(b, d.address(6), QUICK), "tenants to reach their own", 60)
    return a, b


def test_denied_at_the_source(cluster):
    """P22: both ways, TCP, UDP, ping and SCTP of both families."""
    a, b = pair(cluster)
    for source, target in (a, b), (b, a):
        nothing_arrives(source, target, source.node.tables, source.slot, EGRESS, "policy-denied")


def test_with_a_source_that_lets_all_out(cluster):
    """P22: the source's node has a policy that opens its guard; the destination's denies each protocol where it arrives."""
    a, b = pair(cluster)
    a.node.policy("open.json", {"rules": [{"endpointSelector": {"matchLabels": {"nomad:namespace": "acme"}},
                                           "egress": [{"toEndpoints": [{"matchLabels": {"nomad:namespace": "other"}}]}, {"toEntities": ["all"]}]}]})
    wait_for(lambda: any(p["inForce"] for p in a.node.api("/v1/policies")["policies"]), "the policy")
    nothing_arrives(a, b, b.node.tables, b.slot, INGRESS, "policy-denied")


def test_without_the_sources_guard(request, fabric):
    """P22: the guard is taken off the source's device, so that its node's stack forwards; the destination's denies each protocol."""
    with made_cluster("across-unguarded", fabric) as cluster:
        a, b = pair(cluster)
        a.node.kill_picketd()	# it would put the guard back
        device = f"pk{a.slot}"
        a.node.run(["tc", "filter", "del", "dev", device, "ingress"])
        a.node.run(["sysctl", "-qw", "net.ipv6.conf.all.forwarding=1"])
        mac = a.node.json(["ip", "-j", "link", "show", "dev", device])[0]["address"]
        for family, gateway in (4, a.gateway), (6, "fe80::1"):
            a.run(["ip", f"-{family}", "neigh", "replace", gateway, "lladdr", mac, "dev", "eth0", "nud", "permanent"])
        before = b.node.tables.counters(b.slot)
        with b.packets("eth0") as sniffer, PacketSocket(b.node.net, "up0") as uplink:
            for kind in "tcp", "udp":
                for family in 4, 6:
                    assert ask(a, kind, b.address(family), 5000, SILENCE) is None
            for family in 4, 6:
                assert not pings(a, b.address(family), QUICK)
                sctp(a, b, family, mac)
            wait_for(lambda: b.node.tables.counters(b.slot).get((INGRESS, "policy-denied"), 0) >= before.get((INGRESS, "policy-denied"), 0) + 8,
                     lambda: f"its denials {b.node.tables.counters(b.slot)}")
            assert of_both(uplink.drain(), a, b), "it came as far as the node"
            assert of_both(sniffer.drain(), a, b) == []
