# SPDX-License-Identifier: GPL-2.0-only
"""P09, P12, P18 to P20, P60: what a tap's writer can set beside a frame's bytes."""
import struct

import pytest
from harness import EGRESS, VnetHeader, proving
from harness.frames import GSO_TCPV4, GSO_UDP_L4, NEEDS_CSUM
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.utils import checksum

GATEWAY_MAC = "02:70:6b:00:00:01"
TCP_CSUM = {"flags": NEEDS_CSUM, "csum_start": 34, "csum_offset": 16}
UDP_CSUM = {"flags": NEEDS_CSUM, "csum_start": 34, "csum_offset": 6}


@pytest.fixture(params=["kfunc", "segmented"])
def pair(request, make_node):
    """Two endpoints of one namespace, their taps open, on each of the packet's ways."""
    node = make_node(config={"packetPath": request.param, "nomad": None})
    node.start_picketd()
    a, b = node.add("acme", "api", "web"), node.add("acme", "db", "db")
    a.path, a.tables, a.vmm = request.param, node.tables, a.tap()
    b.vmm = b.tap()
    for tap in (a.vmm, b.vmm):
        tap.drain()
    yield a, b
    a.vmm.close()
    b.vmm.close()


def tcp(a, b, port=80, payload=b"", flags="S"):
    return (Ether(src=a.mac, dst=GATEWAY_MAC) / IP(src=a.address(4), dst=b.address(4)) /
            TCP(sport=40000, dport=port, flags=flags) / payload)


def udp(a, b, payload=b"", port=9):
    return (Ether(src=a.mac, dst=GATEWAY_MAC) / IP(src=a.address(4), dst=b.address(4)) /
            UDP(sport=40000, dport=port) / payload)


def is_ip(raw):
    return raw[12:14] == b"\x08\x00" and raw[23] in (6, 17)


def silent(tap):
    return tap.receive(is_ip, timeout=0.3) is None


def pseudo(packet, kind):
    """The frame with the pseudo-header's sum in its checksum field, as a guest with offload sends."""
    raw = bytearray(bytes(packet))
    length = len(raw) - 34
    head = raw[26:34] + struct.pack("!BBH", 0, raw[23], length)
    offset = 34 + (16 if kind is TCP else 6)
    raw[offset:offset + 2] = struct.pack("!H", ~checksum(bytes(head)) & 0xffff)
    return bytes(raw)


def right(raw):
    packet = Ether(raw)
    layer = TCP if TCP in packet else UDP
    fresh = packet.copy()
    del fresh[layer].chksum
    return Ether(bytes(fresh))[layer].chksum == packet[layer].chksum


def test_the_honest_frame_arrives(pair):
    a, b = pair
    a.vmm.send(tcp(a, b))
    got = b.vmm.receive(is_ip)
    assert got and right(got) and Ether(got).ttl == 63


@pytest.mark.parametrize("tag", ["vid 5", "vid 0", "802.1ad", "triple"])
def test_p12_vlan(pair, tag):
    a, b = pair
    inner = tcp(a, b)
    ether, rest = Ether(src=a.mac, dst=GATEWAY_MAC), inner[IP]
    frame = {"vid 5": ether / Dot1Q(vlan=5) / rest, "vid 0": ether / Dot1Q(vlan=0) / rest,
             "802.1ad": ether / Dot1AD(vlan=5) / rest,
             "triple": ether / Dot1AD(vlan=5) / Dot1Q(vlan=6) / Dot1Q(vlan=7) / rest}[tag]
    with proving(a.tables, a.slot, EGRESS, "vlan"):
        a.vmm.send(frame)
        assert silent(b.vmm)


def test_p18_a_checksum_elsewhere_changes_nothing(pair):
    a, b = pair
    frame = bytes(tcp(a, b, 80, b"\0\0"))
    bad = [(34, 2), (30, 0), (26, 0), (34, 6), (38, 16)]
    for start, offset in bad:
        header = VnetHeader(flags=NEEDS_CSUM, csum_start=start, csum_offset=offset)
        if a.path == "kfunc":
            with proving(a.tables, a.slot, EGRESS, "checksum"):
                a.vmm.send(frame, header)
                assert silent(b.vmm)
            continue
        # The kernel has written the sum before the guard looks: judged is what is delivered.
        a.vmm.send(frame, header)
        got = b.vmm.receive(is_ip, timeout=0.3)
        if got:
            assert Ether(got).src == GATEWAY_MAC and Ether(got)[IP].src == a.address(4)
            assert Ether(got)[IP].dst == b.address(4)


def test_p18_a_rewritten_port_is_judged_as_it_is_delivered(pair):
    a, b = pair
    if a.path != "kfunc":
        pytest.skip("the kernel rewrites before the guard judges: the test above")
    frame = bytes(udp(a, b, b"\0\0"))
    with proving(a.tables, a.slot, EGRESS, "checksum"):
        a.vmm.send(frame, VnetHeader(flags=NEEDS_CSUM, csum_start=34, csum_offset=2))
        assert silent(b.vmm)


@pytest.mark.parametrize("kind", [TCP, UDP])
def test_p18_the_honest_partial_checksum_is_right_in_the_end(pair, kind):
    a, b = pair
    packet = tcp(a, b, payload=b"hello") if kind is TCP else udp(a, b, b"hello")
    a.vmm.send(pseudo(packet, kind), VnetHeader(**(TCP_CSUM if kind is TCP else UDP_CSUM)))
    got = b.vmm.receive(is_ip)
    assert got and right(got)


@pytest.mark.parametrize("size", [1, 8, 100])
def test_p19_small_segments(pair, size):
    a, b = pair
    frame = pseudo(tcp(a, b, payload=bytes(9000)), TCP)
    header = VnetHeader(gso_type=GSO_TCPV4, gso_size=size, hdr_len=54, **TCP_CSUM)
    if a.path == "kfunc":
        with proving(a.tables, a.slot, EGRESS, "gso"):
            a.vmm.send(frame, header)
            assert silent(b.vmm)
        return
    before = a.tables.counters(a.slot)
    a.vmm.send(frame, header)
    b.vmm.receive(lambda raw: False, timeout=0.3)
    assert sum(a.tables.counted(a.slot, before).values()) >= 1  # each segment judged and counted


def test_p20_segments_longer_than_the_mtu(pair):
    a, b = pair
    frame = pseudo(tcp(a, b, payload=bytes(9000)), TCP)
    for size in (1461, 4000):		# 1460 and 40 of headers are the MTU of 1500
        header = VnetHeader(gso_type=GSO_TCPV4, gso_size=size, hdr_len=54, **TCP_CSUM)
        if a.path == "kfunc":
            with proving(a.tables, a.slot, EGRESS, "length"):
                a.vmm.send(frame, header)
                assert silent(b.vmm)
        else:				# what is longer than eth0's own MTU stops there
            a.vmm.send(frame, header)
            got = b.vmm.receive(is_ip, timeout=0.3)
            assert got is None or len(got) <= 1514


@pytest.mark.parametrize("what", ["udp", "arp", "ipv6", "no checksum"])
def test_p19_p60_segments_that_do_not_fit(pair, what):
    a, b = pair
    if a.path != "kfunc":
        pytest.skip("the kernel drops or finishes these before the guard looks")
    header = VnetHeader(gso_type=GSO_TCPV4, gso_size=1448, hdr_len=54, **TCP_CSUM)
    frame = {"udp": udp(a, b, bytes(4000)), "no checksum": tcp(a, b, payload=bytes(4000)),
             "arp": Ether(src=a.mac, dst=GATEWAY_MAC) / ARP(hwsrc=a.mac, psrc=a.address(4)) /
                    bytes(4000),
             "ipv6": Ether(src=a.mac, dst=GATEWAY_MAC) /
                     IPv6(src=a.address(6), dst=b.address(6)) / TCP(dport=80) / bytes(4000)}[what]
    if what == "no checksum":
        header = VnetHeader(gso_type=GSO_TCPV4, gso_size=1448, hdr_len=54)
    before = a.tables.counters(a.slot)
    try:
        a.vmm.send(frame, header)
    except OSError:
        return  # the tap itself refuses it
    assert silent(b.vmm)
    counted = a.tables.counted(a.slot, before)
    assert not counted.get((EGRESS, "ok")), counted


def test_p20_ports_outside_the_linear_part(pair):
    a, b = pair
    for length in (1400, 9000):
        for linear in (0, 34):
            frame = bytes(udp(a, b, bytes(length - 42)))
            header = VnetHeader(hdr_len=linear)
            if length > 1514 and a.path == "segmented":
                a.vmm.send(frame, header)  # eth0's own MTU stops it, before the guard
                assert silent(b.vmm)
            elif length > 1514:
                with proving(a.tables, a.slot, EGRESS, "length"):
                    a.vmm.send(frame, header)
                    assert silent(b.vmm)
            else:
                a.vmm.send(frame, header)
                got = b.vmm.receive(is_ip)
                assert got and got[34:] == frame[34:]


def test_p09_short_frames(pair):
    a, b = pair
    whole = bytes(tcp(a, b))
    for length in range(14, 54):
        before = a.tables.counters(a.slot)
        try:
            a.vmm.send(whole[:length])
        except OSError:
            continue  # the tap refuses it
        assert silent_quickly(b.vmm)
        counted = a.tables.counted(a.slot, before)
        assert not counted.get((EGRESS, "ok")), (length, counted)


def silent_quickly(tap):
    return tap.receive(is_ip, timeout=0.02) is None


def test_segments_arrive_whole(pair):
    a, b = pair
    frame = pseudo(tcp(a, b, payload=bytes(4000)), TCP)
    a.vmm.send(frame, VnetHeader(gso_type=GSO_TCPV4, gso_size=1448, hdr_len=54, **TCP_CSUM))
    got, left = b.vmm.receive(is_ip), 4000
    while got:
        left -= len(Ether(got)[TCP].payload)
        got = b.vmm.receive(is_ip, timeout=0.3) if left > 0 else None
    assert left == 0


def test_udp_segments(pair):
    a, b = pair
    frame = pseudo(udp(a, b, bytes(3000)), UDP)
    header = VnetHeader(gso_type=GSO_UDP_L4, gso_size=1000, hdr_len=42, **UDP_CSUM)
    a.vmm.send(frame, header)
    assert b.vmm.receive(is_ip)
