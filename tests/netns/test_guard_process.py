# SPDX-License-Identifier: Apache-2.0
"""
Forged frames in process mode: root of the allocation, with CAP_NET_RAW, on its eth0.
There is no tap and no forwarder: the guard on the host end is all that stands there.
"""

import pytest
from harness import EGRESS, VnetHeader, proving, quiet
from harness.frames import GSO_TCPV4, NEEDS_CSUM, switch
from harness.shared import shared_node, two_of_a_tenant
from harness.ways import WAYS, fault_of
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_RA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

GATEWAY_MAC = "02:70:6b:00:00:01"
QUIET = 0.3


@pytest.fixture(scope="module", params=WAYS)
def node(request):
    """The metadata are read in either way."""
    with shared_node(request, conf={"mode": "process"}, config={"nomad": None},
                     fault=fault_of(request.param)) as node:
        yield node


@pytest.fixture
def pair(node):
    """Two process endpoints of one namespace: what a sends, what b sees."""
    with two_of_a_tenant(node) as (a, b), a.packets(vnet=True) as a.out, b.packets() as b.sniffer:
        yield a, b


def ether(a):
    return Ether(src=a.mac, dst=GATEWAY_MAC)


def udp(a, b):
    return ether(a) / IP(src=a.address(), dst=b.address()) / UDP(sport=40000, dport=9) / b"probe"


def udp6(a, b):
    return ether(a) / IPv6(src=a.address(6), dst=b.address(6)) / UDP(sport=40000, dport=9) / b"probe"


def changed(packet, layer, **fields):
    for name, value in fields.items():
        setattr(packet[layer], name, value)
    return packet


def from_gateway(raw):
    return raw[6:12] == bytes.fromhex(GATEWAY_MAC.replace(":", "")) and b"probe" in raw


def silent(b):
    return b.sniffer.receive(from_gateway, QUIET) is None


def test_the_honest_frame_arrives(pair):
    a, b = pair
    for frame in (udp(a, b), udp6(a, b)):
        a.out.send(frame)
        assert b.sniffer.receive(from_gateway)


FORGED = {
    "source MAC": ("spoofed-mac", lambda a, b: changed(udp(a, b), Ether, src=b.mac)),
    "source MAC, IPv6": ("spoofed-mac", lambda a, b: changed(udp6(a, b), Ether, src=b.mac)),
    "IPv4 source: the gateway": ("spoofed-ipv4", lambda a, b: changed(udp(a, b), IP, src=a.gateway)),
    "IPv4 source: loopback": ("spoofed-ipv4", lambda a, b: changed(udp(a, b), IP, src="127.0.0.1")),
    "IPv6 source: a link-local address": ("spoofed-ipv6", lambda a, b: changed(udp6(a, b), IPv6, src="fe80::99")),
    "IPv6 source: the neighbour": ("spoofed-ipv6", lambda a, b: changed(udp6(a, b), IPv6, src=b.address(6))),
    "ARP reply": ("spoofed-arp", lambda a, b: ether(a) / ARP(op=2, hwsrc=a.mac, psrc=a.gateway) / b"probe"),
    "neighbour advertisement": ("spoofed-nd", lambda a, b: ether(a) /
            IPv6(src=a.address(6), dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt="fe80::1") /
            ICMPv6NDOptDstLLAddr(lladdr=a.mac)),
    "router advertisement": ("spoofed-nd", lambda a, b: ether(a) /
            IPv6(src="fe80::1", dst="ff02::1", hlim=255) / ICMPv6ND_RA(routerlifetime=1800)),
    "VLAN tag": ("vlan", lambda a, b: ether(a) / Dot1Q(vlan=5) / udp(a, b)[IP]),
    "LLDP": ("ethertype", lambda a, b: changed(udp(a, b), Ether, type=0x88cc)),
    "broadcast": ("multicast", lambda a, b: changed(udp(a, b), IP, dst="255.255.255.255")),
    "the node itself": ("policy-denied", lambda a, b: changed(udp(a, b), IP, dst="192.0.2.2")),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_frame_is_denied(pair, case):
    a, b = pair
    reason, make = FORGED[case]
    frame = make(a, b)
    if reason == "multicast":		# the stack's own group reports are counted so too
        quiet(a)
    with proving(a.tables, a.slot, EGRESS, reason):
        a.out.send(frame)
        assert silent(b)


@pytest.mark.parametrize("start, offset", [(34, 2), (30, 0), (26, 0)])
def test_a_checksum_elsewhere(pair, start, offset):
    """Also by a task that turns its eth0's offloads on again, which its CAP_NET_ADMIN allows. P60: what is delivered is what was judged."""
    a, b = pair
    header = VnetHeader(flags=NEEDS_CSUM, csum_start=start, csum_offset=offset)
    for feature in (0x17, 0x19, 0x1f, 0x24):	# ETHTOOL_STXCSUM, SSG, STSO, SGSO
        switch(a.net, "eth0", feature, 1)
    with proving(a.tables, a.slot, EGRESS, "checksum"):
        a.out.send(udp(a, b), header)
        assert silent(b)


@pytest.mark.parametrize("size", [40, 100])
def test_small_segments(pair, size):
    a, b = pair
    frame = ether(a) / IP(src=a.address(), dst=b.address()) / TCP(dport=80) / (b"probe" * 1000)
    header = VnetHeader(flags=NEEDS_CSUM, gso_type=GSO_TCPV4, gso_size=size, hdr_len=54,
                        csum_start=34, csum_offset=16)
    with proving(a.tables, a.slot, EGRESS, "gso"):
        a.out.send(frame, header)
        assert silent(b)


def test_the_answers_arrive(pair):
    """At the allocation's own stack: as packets to this host, with right checksums."""
    a, _ = pair
    with a.packets() as seen:
        a.out.send(Ether(src=a.mac, dst="ff:ff:ff:ff:ff:ff") /
                   ARP(op=1, hwsrc=a.mac, psrc=a.address(), pdst="10.40.7.200"))
        reply = seen.receive(lambda raw: ARP in Ether(raw) and Ether(raw)[ARP].op == 2)
        assert Ether(reply)[ARP].hwsrc == GATEWAY_MAC and Ether(reply).dst == a.mac
    done = a.run(["ping", "-c", "1", "-W", "5", a.gateway], check=False)
    assert done.returncode == 0, done.stdout
