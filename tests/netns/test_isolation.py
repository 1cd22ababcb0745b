# SPDX-License-Identifier: Apache-2.0
"""What one tenant's frames reach of another's, on one node."""
import json
import socket

import pytest
from harness import EGRESS, INGRESS, PacketSocket, proving, quiet, wait_for
from harness.frames import PATIENCE
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA,
                                ICMPv6NDOptDstLLAddr, ICMPv6NDOptPrefixInfo,
                                ICMPv6NDOptSrcLLAddr, IPv6)
from scapy.layers.l2 import ARP, Ether
from scapy.layers.sctp import SCTP, SCTPChunkInit

GATEWAY_MAC = "02:70:6b:00:00:01"
BROADCAST = "ff:ff:ff:ff:ff:ff"
QUIET = 0.3		# seconds in which a delivered frame would long have been seen


class Pair:
    """Two endpoints with open taps, and a sniffer on each: node, a (acme), b (beta)."""

    def __init__(self, node, tenants=("acme", "beta")):
        self.node = node
        self.a, self.b = (node.add(t, "job", "group") for t in tenants)
        self.taps = {e.id: e.tap(credentials=(65534, 65534)) for e in (self.a, self.b)}

    def send(self, endpoint, frame):
        self.taps[endpoint.id].send(frame)

    def arrives(self, endpoint, want, timeout=PATIENCE):
        return self.taps[endpoint.id].receive(lambda raw: want(Ether(raw)), timeout)

    def close(self):
        for tap in self.taps.values():
            tap.close()


@pytest.fixture
def pair(make_node):
    made = []

    def make(tenants=("acme", "beta"), **options):
        pair = Pair(make_node(conf={"owner": 65534}, **options), tenants)
        made.append(pair)
        return pair
    yield make
    for each in made:
        each.close()


def to(source, target, family=4, ttl=64):
    """Ethernet and IP from one endpoint to another, as its guest would send."""
    eth = Ether(src=source.mac, dst=GATEWAY_MAC)
    if family == 6:
        return eth / IPv6(src=source.address(6), dst=target.address(6), hlim=ttl)
    return eth / IP(src=source.address(), dst=target.address(), ttl=ttl)


def probes(family):
    echo = ICMPv6EchoRequest(id=7) if family == 6 else ICMP(type=8, id=7)
    return {"tcp": TCP(sport=40000, dport=8080, flags="S"), "udp": UDP(sport=40000, dport=53) / b"x",
            "echo": echo / b"probe", "sctp": SCTP(sport=40000, dport=8080) / SCTPChunkInit()}


@pytest.mark.parametrize("family", (4, 6))
def test_two_namespaces_exchange_nothing(pair, family):
    """P21: TCP, UDP, echo and SCTP of both families, both ways: nothing is delivered, each is counted at the source."""
    p = pair()
    for source, target in ((p.a, p.b), (p.b, p.a)):
        for name, probe in probes(family).items():
            with proving(p.node.tables, source.slot, EGRESS, "policy-denied"):
                p.send(source, to(source, target, family) / probe)
            assert p.arrives(target, lambda f: f.src != GATEWAY_MAC or IP in f or IPv6 in f,
                             QUIET) is None, name


@pytest.mark.parametrize("family", (4, 6))
def test_one_namespace_exchanges_everything(pair, family):
    p = pair(("acme", "acme"))
    for name, probe in probes(family).items():
        frame = to(p.a, p.b, family) / probe
        with proving(p.node.tables, p.a.slot, EGRESS, "ok"):
            p.send(p.a, frame)
        got = Ether(p.arrives(p.b, lambda f: f.dst == p.b.mac))
        assert got.src == GATEWAY_MAC, name
        assert bytes(got.payload.payload)[:4] == bytes(frame.payload.payload)[:4], name


def allow(namespace, direction, peer_namespace, name):
    peers = {"ingress": "fromEndpoints", "egress": "toEndpoints"}[direction]
    return {"name": name, "namespace": namespace, "rules": [{
        "endpointSelector": {},
        direction: [{peers: [{"matchLabels": {"nomad:namespace": peer_namespace}}]}]}]}


def revision(node, endpoint):
    return node.tables.word(endpoint.slot)


@pytest.mark.parametrize("open_side", ("egress", "ingress"))
def test_one_side_alone_opens_nothing(pair, open_side):
    """Egress allowed and ingress not, and the reverse: denied both times, each by its own side. P23: the reason is that of the side which denies."""
    p = pair()
    p.node.start_picketd()
    owner, other = (p.a, p.b) if open_side == "egress" else (p.b, p.a)
    before = revision(p.node, owner)
    names = {p.a.id: "acme", p.b.id: "beta"}
    p.node.policy("one-side.json", allow(names[owner.id], open_side, names[other.id], "one-side"))
    wait_for(lambda: revision(p.node, owner) != before, "the policy in force")
    frame = to(p.a, p.b) / TCP(sport=40000, dport=8080, flags="S")
    slot, direction = (p.b.slot, INGRESS) if open_side == "egress" else (p.a.slot, EGRESS)
    with proving(p.node.tables, slot, direction, "policy-denied"):
        p.send(p.a, frame)
        assert p.arrives(p.b, lambda f: TCP in f, QUIET) is None


def neighbours(run):
    """Who has which address, by which device; not how long ago that was heard."""
    return {(n["dst"], n["dev"], n.get("lladdr")) for n in json.loads(run(["ip", "-j", "neigh", "show"]).stdout or "[]")}


# A request for its own address goes to nobody, like any frame for all; a reply isn't the guest's to give.
FORGED = {"reply for the gateway": "spoofed-arp", "reply for a neighbour": "spoofed-arp", "request as the gateway": "spoofed-arp",
          "request as a neighbour": "spoofed-arp", "gratuitous request": "multicast", "gratuitous reply": "spoofed-arp"}


@pytest.mark.parametrize("case", FORGED)
def test_forged_arp_changes_nobodys_table(pair, case):
    """P04: replies for the gateway and a neighbour, and gratuitous ones, are dropped and counted; the host's and the neighbour's tables stay."""
    p = pair(("acme", "acme"))
    quiet(p.a)
    sender = {"gateway": p.a.gateway, "neighbour": p.b.address()}.get(case.split()[-1], p.a.address())
    frame = Ether(src=p.a.mac, dst=BROADCAST) / ARP(op=1 if "request" in case else 2, hwsrc=p.a.mac, psrc=sender, hwdst=BROADCAST, pdst=sender)
    before = neighbours(p.node.run), neighbours(p.b.run)
    counted = p.node.tables.counters(p.a.slot)
    with proving(p.node.tables, p.a.slot, EGRESS, FORGED[case]):
        p.send(p.a, frame)
        assert p.arrives(p.b, lambda f: ARP in f, QUIET) is None
    assert (neighbours(p.node.run), neighbours(p.b.run)) == before
    assert {key: n for key, n in p.node.tables.counted(p.a.slot, counted).items() if key[0] == EGRESS} == {(EGRESS, FORGED[case]): 1}


def foreign(p, family):
    """Sources that aren't a's, by what they are."""
    if family == 4:
        return {"the neighbour's": p.b.address(), "the gateway's": p.a.gateway, "the node's": p.node.options.up_address.split("/")[0],
                "a loopback": "127.0.0.1", "nobody's": "0.0.0.0", "all": "255.255.255.255", "a group": "224.0.0.1"}
    return {"the neighbour's": p.b.address(6), "its link-local": f"fe80::{p.a.address(6).rsplit(':', 1)[1]}", "nobody's": "::", "a loopback": "::1",
            "a group": "ff02::1", "IPv4-mapped": f"::ffff:{p.a.address()}"}


@pytest.mark.parametrize("family", (4, 6))
def test_no_foreign_source_leaves(pair, family):
    """P02, P03: every foreign source, whatever the packet and whoever it is for, is dropped as spoofed; no neighbour, no socket of the node and no wire sees it."""
    p = pair(("acme", "acme"))
    quiet(p.a)
    ip = IPv6 if family == 6 else IP
    targets = [p.b.address(family), (p.node.options.up_address if family == 4 else p.node.options.up_address6).split("/")[0],
               p.node.world.address if family == 4 else p.node.world.address6]
    with p.node.inside():
        listener = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    listener.bind(("::", 53))
    listener.setblocking(False)
    with PacketSocket(p.node.net, "up0") as uplink, listener:
        for whose, source in foreign(p, family).items():
            frames = [Ether(src=p.a.mac, dst=GATEWAY_MAC) / ip(src=source, dst=target) / probe for target in targets for probe in probes(family).values()]
            with proving(p.node.tables, p.a.slot, EGRESS, f"spoofed-ipv{family}", len(frames)):
                for frame in frames:
                    p.send(p.a, frame)
            assert p.arrives(p.b, lambda f: (IP in f or IPv6 in f) and f.src == GATEWAY_MAC, QUIET) is None, whose
        assert not [raw for raw in uplink.drain() if (f := Ether(raw)) and any(layer in f for layer in (TCP, UDP, SCTP))]
        with pytest.raises(BlockingIOError):
            listener.recv(100)


def test_forged_neighbour_discovery_changes_nobodys_table(pair):
    """P06: forged NA and NS are dropped as spoofed-nd; no neighbour table changes."""
    p = pair(("acme", "acme"))
    eth = Ether(src=p.a.mac, dst="33:33:00:00:00:01")
    ip = IPv6(src=p.a.address(6), dst="ff02::1", hlim=255)
    forged = [eth / ip / ICMPv6ND_NA(tgt="fe80::1", R=1, S=0, O=1) /
              ICMPv6NDOptDstLLAddr(lladdr=p.a.mac),
              eth / ip / ICMPv6ND_NA(tgt=p.b.address(6), R=0, S=0, O=1) /
              ICMPv6NDOptDstLLAddr(lladdr=p.a.mac),
              Ether(src=p.a.mac, dst="33:33:ff:00:00:01") /
              IPv6(src=p.a.address(6), dst="ff02::1:ff00:1", hlim=255) /
              ICMPv6ND_NS(tgt="fe80::1") / ICMPv6NDOptSrcLLAddr(lladdr="02:70:00:00:00:99")]
    before = neighbours(p.node.run), neighbours(p.b.run)
    for frame in forged:
        with proving(p.node.tables, p.a.slot, EGRESS, "spoofed-nd"):
            p.send(p.a, frame)
        assert p.arrives(p.b, lambda f: IPv6 in f, QUIET) is None
    assert (neighbours(p.node.run), neighbours(p.b.run)) == before


def test_router_advertisement_reaches_neither_host_nor_peer(pair):
    """P07: it is dropped, though the host would accept it; the host's routes stay."""
    p = pair(("acme", "acme"))
    p.node.run(["sh", "-c", "for f in /proc/sys/net/ipv6/conf/*/accept_ra; do echo 2 > $f; done"])
    for source in ("fe80::1", p.a.address(6)):
        frame = (Ether(src=p.a.mac, dst="33:33:00:00:00:01") / IPv6(src=source, dst="ff02::1", hlim=255) /
                 ICMPv6ND_RA(routerlifetime=1800) /
                 ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::", prefixlen=64))
        with proving(p.node.tables, p.a.slot, EGRESS, "spoofed-nd"):
            p.send(p.a, frame)
        assert p.arrives(p.b, lambda f: IPv6 in f, QUIET) is None
    routes = p.node.run(["ip", "-6", "route", "show", "table", "all"]).stdout
    assert "2001:db8:bad" not in routes and "proto ra" not in routes, routes


def multicast_listeners(node):
    """UDP sockets of the host that would take a broadcast or multicast from any interface."""
    listeners = []
    with node.inside():
        for port in (1900, 5353, 5355, 9999):
            s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("::", port))
            s.setblocking(False)
            listeners.append(s)
    return listeners


def test_broadcast_and_multicast_reach_nobody(pair):
    """P24: no other endpoint and no socket of the host receives broadcast, multicast, mDNS, LLMNR or SSDP."""
    p = pair(("acme", "acme"))
    quiet(p.a)
    listeners = multicast_listeners(p.node)
    subnet = p.a.address().rsplit(".", 1)[0] + ".255"
    four = [("255.255.255.255", 9999), (subnet, 9999), ("224.0.0.1", 9999), ("224.0.0.251", 5353),
            ("224.0.0.252", 5355), ("239.255.255.250", 1900)]
    six = [("ff02::1", 9999), ("ff02::fb", 5353), ("ff02::1:3", 5355), ("ff02::c", 1900)]
    try:
        for address, port in four + six:
            version = IPv6(src=p.a.address(6), dst=address) if ":" in address else \
                IP(src=p.a.address(), dst=address)
            for mac in (BROADCAST, GATEWAY_MAC):
                # The block's own broadcast address, in a frame for the gateway, is nobody's.
                reason = "policy-denied" if (address, mac) == (subnet, GATEWAY_MAC) else "multicast"
                with proving(p.node.tables, p.a.slot, EGRESS, reason):
                    p.send(p.a, Ether(src=p.a.mac, dst=mac) / version /
                           UDP(sport=9, dport=port) / b"x")
        assert p.arrives(p.b, lambda f: IP in f or IPv6 in f, QUIET) is None
        for listener in listeners:
            with pytest.raises(BlockingIOError):
                listener.recv(2000)
    finally:
        for listener in listeners:
            listener.close()
