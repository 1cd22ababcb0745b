# SPDX-License-Identifier: Apache-2.0
"""What a tap's writer can set beside a frame's bytes."""
import socket
import struct

import pytest
from harness import EGRESS, INGRESS, PacketSocket, VnetHeader, proving, wait_for
from harness.frames import GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4, NEEDS_CSUM
from harness.shared import shared_node, two_of_a_tenant
from harness.ways import WAYS, fault_of, needs_udp_segments
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.utils import checksum
from test_floods import questions
from test_host import unsummed

GATEWAY_MAC = "02:70:6b:00:00:01"
TCP_CSUM = {"flags": NEEDS_CSUM, "csum_start": 34, "csum_offset": 16}
UDP_CSUM = {"flags": NEEDS_CSUM, "csum_start": 34, "csum_offset": 6}


HOST_TAP = "host-tap"		# the same guard, at the tap's own ingress
OWNER = 65534		# takes the tap, without any capability


@pytest.fixture(scope="module", params=(*WAYS, HOST_TAP))
def node(request):
    """The metadata are read in either way."""
    host_tap = request.param == HOST_TAP
    conf = {"attach": HOST_TAP} if host_tap else {"owner": OWNER}
    fault = "" if host_tap else fault_of(request.param)
    with shared_node(request, config={"nomad": None}, conf=conf, fault=fault) as node:
        yield node


@pytest.fixture
def pair(node):
    """Two endpoints of one namespace, their taps open."""
    with two_of_a_tenant(node) as (a, b), a.tap(credentials=(OWNER, OWNER)) as a.vmm, \
            b.tap(credentials=(OWNER, OWNER)) as b.vmm:
        for tap in (a.vmm, b.vmm):
            tap.drain()
        yield a, b


def tcp(a, b, port=80, payload=b"", flags="S"):
    return (Ether(src=a.mac, dst=GATEWAY_MAC) / IP(src=a.address(4), dst=b.address(4)) /
            TCP(sport=40000, dport=port, flags=flags) / payload)


def udp(a, b, payload=b"", port=9):
    return (Ether(src=a.mac, dst=GATEWAY_MAC) / IP(src=a.address(4), dst=b.address(4)) /
            UDP(sport=40000, dport=port) / payload)


def tcp6(a, b, payload=b""):
    return (Ether(src=a.mac, dst=GATEWAY_MAC) / IPv6(src=a.address(6), dst=b.address(6)) /
            TCP(sport=40000, dport=80, flags="S") / payload)


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


def is_ip(raw):
    return raw[12:14] == b"\x08\x00" and raw[23] in (6, 17)


def silent(tap):
    return tap.receive(is_ip, timeout=0.3) is None


def pseudo(packet, kind):
    """The frame with the pseudo-header's sum in its checksum field, as a guest with offload sends."""
    raw, number = bytearray(bytes(packet)), 6 if kind is TCP else 17
    l4 = 54 if raw[12:14] == b"\x86\xdd" else 34
    length = len(raw) - l4
    head = raw[22:54] + struct.pack("!II", length, number) if l4 == 54 else raw[26:34] + struct.pack("!BBH", 0, number, length)
    offset = l4 + (16 if kind is TCP else 6)
    raw[offset:offset + 2] = struct.pack("!H", ~checksum(bytes(head)) & 0xffff)
    return bytes(raw)


def right(raw):
    packet = Ether(raw)
    layer = TCP if TCP in packet else UDP
    fresh = packet.copy()
    del fresh[layer].chksum
    return Ether(bytes(fresh))[layer].chksum == packet[layer].chksum


def test_who_writes_has_no_privilege(pair):
    """Every frame below is written to the tap's descriptor by such a process."""
    a, _ = pair
    with open(f"/proc/{a.vmm.pid}/status", encoding="ascii") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    assert status["Uid"].split() == [str(OWNER)] * 4 and status["Gid"].split() == [str(OWNER)] * 4
    assert not status["Groups"].split()
    assert {int(status[which], 16) for which in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}


def test_the_honest_frame_arrives(pair):
    a, b = pair
    a.vmm.send(tcp(a, b))
    got = b.vmm.receive(is_ip)
    assert got and right(got) and Ether(got).ttl == 63


def test_source_mac(pair):
    """P01: a source MAC that isn't the endpoint's is dropped as spoofed-mac, and counted."""
    a, b = pair
    other = a.mac[:-2] + f"{(int(a.mac[-2:], 16) + 1) & 0xff:02x}"
    for frame in (udp(a, b), tcp6(a, b)):
        frame[Ether].src = other
        with proving(a.tables, a.slot, EGRESS, "spoofed-mac"):
            a.vmm.send(frame)
            assert silent(b.vmm)


def test_ethertypes(pair):
    """P13: whatever is neither IP nor ARP is dropped as ethertype, and counted."""
    a, b = pair
    frame = bytes(udp(a, b))
    for ethertype in (0x8864, 0x8847, 0x88cc, 0x888e, 0x88e5, 0x9000, 0x8035):
        with proving(a.tables, a.slot, EGRESS, "ethertype"):
            a.vmm.send(frame[:12] + struct.pack("!H", ethertype) + frame[14:])
    stp = bytes.fromhex("0180c2000000") + mac_bytes(a.mac) + b"\0\x26\x42\x42\x03" + bytes(35)
    with proving(a.tables, a.slot, EGRESS, "ethertype"):
        a.vmm.send(stp)
    assert b.vmm.receive(lambda raw: raw[6:12] == mac_bytes(GATEWAY_MAC), timeout=0.3) is None


@pytest.mark.parametrize("tag", ["vid 5", "vid 0", "802.1ad", "triple"])
def test_vlan(pair, tag):
    """P12: a tag of any kind around a valid packet is dropped as vlan; the kernel keeps it beside the bytes."""
    a, b = pair
    inner = tcp(a, b)
    ether, rest = Ether(src=a.mac, dst=GATEWAY_MAC), inner[IP]
    frame = {"vid 5": ether / Dot1Q(vlan=5) / rest, "vid 0": ether / Dot1Q(vlan=0) / rest,
             "802.1ad": ether / Dot1AD(vlan=5) / rest,
             "triple": ether / Dot1AD(vlan=5) / Dot1Q(vlan=6) / Dot1Q(vlan=7) / rest}[tag]
    with proving(a.tables, a.slot, EGRESS, "vlan"):
        a.vmm.send(frame)
        assert silent(b.vmm)


ONLY_80 = {"name": "only-80", "namespace": "acme", "rules": [{
    "endpointSelector": {"matchLabels": {"nomad:job": "db"}},
    "ingress": [{"fromEndpoints": [{}], "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}, {"port": "80", "protocol": "UDP"}]}]}]}]}


@pytest.fixture
def only80(pair):
    """The pair, and b takes port 80 alone: TCP and UDP."""
    a, b = pair
    before = a.tables.word(b.slot)
    b.node.policy("only-80.json", ONLY_80)
    wait_for(lambda: a.tables.word(b.slot) != before, "the policy in force")
    yield a, b
    before = a.tables.word(b.slot)
    b.node.policy("only-80.json", None)
    wait_for(lambda: a.tables.word(b.slot) != before, "the policy no more in force")


def sum_at(frame, start, wanted):
    """The frame with two bytes of payload more, so that its sum from start is written as wanted."""
    raw = bytes(frame)
    raw += struct.pack("!H", checksum(raw[start:]))	# what makes the sum 0xffff, of even length
    rest = struct.unpack("!H", raw[-2:])[0] + (~wanted & 0xffff)
    return raw[:-2] + struct.pack("!H", (rest & 0xffff) + (rest >> 16))


@pytest.mark.parametrize("make", [lambda a, b: tcp(a, b, 80), lambda a, b: udp(a, b, b"", 80)],
                         ids=["tcp", "udp"])
def test_a_port_that_the_checksum_rewrites(only80, make):
    """Port 80 when it was sent, port 22 when the kernel has written the sum. P18: it is denied as checksum, and port 22 hears nothing."""
    a, b = only80
    a.vmm.send(make(a, b))
    assert b.vmm.receive(is_ip), "port 80 is open"
    frame = sum_at(make(a, b), 34, 22)
    header = VnetHeader(flags=NEEDS_CSUM, csum_start=34, csum_offset=2)
    with proving(a.tables, a.slot, EGRESS, "checksum"):
        a.vmm.send(frame, header)
        assert silent(b.vmm)


@pytest.mark.parametrize("start, offset", [(34, 0), (34, 6), (38, 16), (30, 0), (26, 0)])
def test_a_checksum_elsewhere_changes_nothing(pair, start, offset):
    """P18: a sum into an address, a port or another protocol's place is denied. P60: also where the metadata are read by probes."""
    a, b = pair
    with proving(a.tables, a.slot, EGRESS, "checksum"):
        a.vmm.send(bytes(tcp(a, b, 80, b"\0\0")),
                   VnetHeader(flags=NEEDS_CSUM, csum_start=start, csum_offset=offset))
        assert silent(b.vmm)


@pytest.mark.parametrize("start, offset", [(26, 0), (26, 2), (30, 0), (30, 2)])
def test_an_address_that_the_checksum_rewrites(pair, start, offset):
    """P18: the sum would write another tenant's endpoint, or the world, into the source or the destination: it is denied as checksum, and none of them hears it."""
    a, b = pair
    c = a.node.add("beta", "other", "web")
    half = socket.inet_aton(c.address())[2:] if offset else bytes([198, 51])
    frame = sum_at(tcp(a, b, 80, b"marked"), start, int.from_bytes(half, "big"))
    with c.tap(credentials=(OWNER, OWNER)) as other, PacketSocket(a.node.net, "up0") as uplink:
        with proving(a.tables, a.slot, EGRESS, "checksum"):
            a.vmm.send(frame, VnetHeader(flags=NEEDS_CSUM, csum_start=start, csum_offset=offset))
            for each in b.vmm, other, uplink:
                assert each.receive(lambda raw: b"marked" in raw, 0.3) is None
    a.node.delete(c)


@pytest.mark.parametrize("kind", [TCP, UDP])
def test_the_honest_partial_checksum_is_right_in_the_end(pair, kind):
    """P18: at its protocol's own place it passes, and arrives right."""
    a, b = pair
    packet = tcp(a, b, payload=b"hello") if kind is TCP else udp(a, b, b"hello")
    a.vmm.send(pseudo(packet, kind), VnetHeader(**(TCP_CSUM if kind is TCP else UDP_CSUM)))
    got = b.vmm.receive(is_ip)
    assert got and right(got)


@pytest.mark.parametrize("size, family", [(1, 4), (8, 4), (100, 4), (421, 4),
                                          (1, 6), (8, 6), (495, 6), (1179, 6)])
def test_small_segments(pair, size, family):
    """No amplification, on either way: none is made, one frame is counted. P19: they are denied as gso, and the peer sees nothing."""
    a, b = pair
    packet = tcp(a, b, payload=bytes(9000)) if family == 4 else tcp6(a, b, bytes(9000))
    header = VnetHeader(gso_type=GSO_TCPV4 if family == 4 else GSO_TCPV6, gso_size=size,
                        hdr_len=54 if family == 4 else 74, flags=NEEDS_CSUM,
                        csum_start=34 if family == 4 else 54, csum_offset=16)
    with proving(a.tables, a.slot, EGRESS, "gso"):
        a.vmm.send(bytes(packet), header)
        assert b.vmm.receive(lambda raw: TCP in Ether(raw), timeout=0.3) is None


def test_segments_longer_than_the_mtu(pair):
    a, b = pair
    frame = pseudo(tcp(a, b, payload=bytes(9000)), TCP)
    for size in (1461, 4000):		# 1460 and 40 of headers are the MTU of 1500
        header = VnetHeader(gso_type=GSO_TCPV4, gso_size=size, hdr_len=54, **TCP_CSUM)
        with proving(a.tables, a.slot, EGRESS, "length"):
            a.vmm.send(frame, header)
            assert silent(b.vmm)


@pytest.mark.parametrize("what", ["udp", "arp", "ipv6", "no checksum"])
def test_segments_that_do_not_fit(pair, what):
    """P19: TCP's segmentation of UDP, ARP or the other family is denied as gso. P60: so is one without a partial checksum."""
    a, b = pair
    header = VnetHeader(gso_type=GSO_TCPV4, gso_size=1448, hdr_len=54,
                        **({} if what == "no checksum" else TCP_CSUM))
    frame = {"udp": udp(a, b, bytes(4000)), "no checksum": tcp(a, b, payload=bytes(4000)),
             "arp": Ether(src=a.mac, dst=GATEWAY_MAC) / ARP(hwsrc=a.mac, psrc=a.address(4)) /
                    bytes(4000),
             "ipv6": Ether(src=a.mac, dst=GATEWAY_MAC) /
                     IPv6(src=a.address(6), dst=b.address(6)) / TCP(dport=80) / bytes(4000)}[what]
    with proving(a.tables, a.slot, EGRESS, "gso"):
        a.vmm.send(frame, header)
        assert silent(b.vmm)


@pytest.mark.parametrize("port, opened", [(80, True), (81, False)])
def test_ports_outside_the_linear_part(only80, port, opened):
    """
    The same verdicts as the linear twin's; nothing longer than the MTU.
    P20: a frame whose ports lie outside of its linear part gets the verdict of its twin; one longer than the MTU is dropped as length.
    """
    a, b = only80
    for linear in (0, 34):
        frame, header = bytes(udp(a, b, bytes(1400 - 42), port)), VnetHeader(hdr_len=linear)
        if not opened:
            with proving(a.tables, b.slot, INGRESS, "policy-denied"):
                a.vmm.send(frame, header)
                assert silent(b.vmm)
            continue
        a.vmm.send(frame, header)
        got = b.vmm.receive(is_ip)
        assert got and got[34:] == frame[34:]
        frame = bytes(udp(a, b, bytes(9000 - 42), port))
        with proving(a.tables, a.slot, EGRESS, "length"):
            a.vmm.send(frame, header)
            assert silent(b.vmm)


@pytest.fixture(scope="module")
def jumbo(request):
    """Its endpoints' MTU is large: the kernel keeps short frames in one piece, whatever their header says."""
    with shared_node(request, config={"nomad": None}, conf={"owner": OWNER, "mtu": 9000}) as node:
        yield node


def test_ports_outside_the_linear_part_of_a_large_frame(jumbo):
    """P20: of 9,000 bytes, the first 34 in one piece: the closed port is denied as its linear twin is, the open one's arrives as it was."""
    with two_of_a_tenant(jumbo) as (a, b), a.tap(credentials=(OWNER, OWNER)) as out, b.tap(credentials=(OWNER, OWNER)) as into:
        before = a.tables.word(b.slot)
        jumbo.policy("only-80.json", ONLY_80)
        wait_for(lambda: a.tables.word(b.slot) != before, "the policy in force")
        for linear in 34, 0, 34:
            closed, opened = (bytes(udp(a, b, bytes(9000 - 42), port)) for port in (81, 80))
            with proving(a.tables, b.slot, INGRESS, "policy-denied"):
                out.send(closed, VnetHeader(hdr_len=linear))
                assert silent(into)
            out.send(opened, VnetHeader(hdr_len=linear))
            got = into.receive(is_ip)
            assert got and got[34:] == opened[34:]
        jumbo.policy("only-80.json", None)


@pytest.mark.parametrize("kind", ["ping", "ping6", "arp", "nd", "dhcp"])
def test_a_question_that_is_not_in_one_piece_is_answered(jumbo, kind):
    """P61: 8,000 bytes of padding behind it, and the linear part ends with the Ethernet header: the gateway's answer is right."""
    with two_of_a_tenant(jumbo) as (a, _), a.tap(credentials=(OWNER, OWNER)) as tap:
        for linear in 14, 0:
            tap.drain()
            tap.send(bytes(questions(a)[kind]) + bytes(8000), VnetHeader(hdr_len=linear))
            answer = tap.receive(lambda raw: raw[:6] == mac_bytes(a.mac) and raw[6:12] == mac_bytes(GATEWAY_MAC))
            assert answer and bytes(unsummed(Ether(answer))) == answer, linear


def headers(a, b):
    """A frame of each kind and the length of its headers."""
    six = Ether(src=a.mac, dst=GATEWAY_MAC) / IPv6(src=a.address(6), dst=b.address(6))
    four = Ether(src=a.mac, dst=GATEWAY_MAC) / IP(src=a.address(4), dst=b.address(4))
    return {"arp": (Ether(src=a.mac, dst=GATEWAY_MAC) /
                    ARP(hwsrc=a.mac, psrc=a.address(4), pdst=b.address(4)), 42),
            "tcp": (four / TCP(dport=80, flags="S", options=[("MSS", 1460)]), 58),
            "udp": (four / UDP(sport=9, dport=80) / b"x", 42),
            "icmp": (four / ICMP(id=7), 42),
            "tcp6": (six / TCP(dport=80, flags="S"), 74),
            "udp6": (six / UDP(sport=9, dport=80) / b"x", 62),
            "icmp6": (six / ICMPv6EchoRequest(id=7), 62)}


@pytest.mark.parametrize("kind", ["arp", "tcp", "udp", "icmp", "tcp6", "udp6", "icmp6"])
def test_every_cut_of_a_header(pair, kind):
    """P09: a frame cut within any header is dropped as truncated, from 14 bytes on."""
    a, b = pair
    frame, whole = headers(a, b)[kind]
    frame = bytes(frame)
    for length in range(14, whole):
        with proving(a.tables, a.slot, EGRESS, "truncated"):
            a.vmm.send(frame[:length])
    assert b.vmm.receive(lambda raw: raw[6:12] == mac_bytes(GATEWAY_MAC), timeout=0.3) is None


@pytest.mark.parametrize("size", [422, 1448])
def test_segments_arrive_whole(pair, size):
    """Also the smallest that an honest path leaves."""
    a, b = pair
    frame = pseudo(tcp(a, b, payload=bytes(4000)), TCP)
    a.vmm.send(frame, VnetHeader(gso_type=GSO_TCPV4, gso_size=size, hdr_len=54, **TCP_CSUM))
    got, left = b.vmm.receive(is_ip), 4000
    while got:
        left -= len(Ether(got)[TCP].payload)
        got = b.vmm.receive(is_ip) if left > 0 else None
    assert left == 0


def test_udp_segments(pair):
    a, b = pair
    needs_udp_segments(a.vmm)
    frame = pseudo(udp(a, b, bytes(3000)), UDP)
    header = VnetHeader(gso_type=GSO_UDP_L4, gso_size=1000, hdr_len=42, **UDP_CSUM)
    a.vmm.send(frame, header)
    assert b.vmm.receive(is_ip)
