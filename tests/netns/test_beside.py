# SPDX-License-Identifier: Apache-2.0
"""
What lies behind another device of the node than an uplink: another bridge's containers, and what a tun leads to, asked by an
endpoint and asking it, in both families, with the endpoint's own address; and routing rules that refuse.
"""
import fcntl
import os
import select
import struct
import threading

import pytest
from harness import EGRESS, proving, wait_for
from harness.servers import PATIENCE, SILENCE, Mirror, ask, connect, exchange, pings
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from test_uplinks import run
from test_world import IPV6, MODES, Place, stage  # noqa: F401 pylint: disable=unused-import

BESIDE = {4: ("203.0.113.1/24", "203.0.113.2/24"), 6: ("2001:db8:b::1/64", "2001:db8:b::2/64")}
TUN = {4: ("198.51.100.1/24", "198.51.100.9"), 6: ("2001:db8:c::1/64", "2001:db8:c::9")}
OPEN = {"namespace": "acme", "rules": [{"endpointSelector": {}, "ingress": [{"fromEntities": ["world"]}], "egress": [{"toEntities": ["world"]}]}]}


def forwards(node, device):
    """As docker and VPNs have the node: IPv6 is forwarded from a device where it is from all."""
    node.run(["sysctl", "-qw", f"net.ipv4.conf.{device}.forwarding=1", "net.ipv6.conf.all.forwarding=1"])


def addresses(device, of):
    """The commands that give the node's end its address of each family."""
    return [f"ip addr add {of[family][0]} dev {device} nodad" for family in (4, 6)]


def container(node):
    """One of another bridge's, as docker makes them: the bridge is its router."""
    run(node, "ip link add br-other type bridge", "ip link set br-other up",
        *addresses("br-other", BESIDE))
    place = Place(node, "other0", "192.0.2.77/32", BESIDE[4][1])
    run(node, "ip addr flush dev other0", "ip link set other0 master br-other")
    run(place, f"ip addr add {BESIDE[6][1]} dev eth0 nodad",
        *(f"ip -{f} route add default via {BESIDE[f][0].split('/')[0]}" for f in (4, 6)))
    forwards(node, "br-other")
    return place


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", (4, 6))
def test_another_bridges_container(stage, mode, family):
    """Outward and inward, TCP, UDP and ping: it sees the endpoint's own address, though the conflist masquerades."""
    s = stage(mode, **IPV6)
    s.node.start_picketd()
    s.node.policy("open.json", OPEN)
    place, a = container(s.node), s.add("acme", "api")
    there, own = BESIDE[family][1].split("/")[0], a.address(family)
    servers = [Mirror(place.inside(), 80), Mirror(a.inside(), 80)]
    try:
        for kind in ("tcp", "udp"):
            wait_for(lambda k=kind: (ask(a, k, there, 80, SILENCE * 2) or [None])[0] == own, f"{kind} outward")
            wait_for(lambda k=kind: (ask(place, k, own, 80, SILENCE * 2) or [None])[0] == there, f"{kind} inward")
        with connect(a, "tcp", there, 80) as lasting:
            assert all(exchange(lasting)[0] == own for _ in range(5))
            big = os.urandom(1 << 18)
            lasting.sendall(big)            # segments that the stack or the guard has to cut
            assert lasting.recv(100)
        assert pings(a, there) and pings(place, own)
        # A tenant that may not isn't let out by another device than an uplink, either.
        s.node.policy("shut.json", {"namespace": "acme", "rules": [{"endpointSelector": {}, "egressDeny": [{"toEntities": ["world"]}]}]})
        wait_for(lambda: s.denied(a, EGRESS, lambda: ask(a, "tcp", there, 80, SILENCE)), "the denial")
    finally:
        for server in servers:
            server.close()


class Tun(threading.Thread):
    """A device of the node without a link-layer header, whose other end answers pings and echoes UDP."""

    def __init__(self, node):
        super().__init__(daemon=True)
        with node.inside():
            self.fd = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(self.fd, 0x400454CA, struct.pack("16sH22x", b"tun7", 0x1001))  # IFF_TUN | IFF_NO_PI
        run(node, "ip link set tun7 up", *addresses("tun7", TUN))
        forwards(node, "tun7")
        self.seen, self.ended = [], False
        self.start()

    def run(self):
        while not self.ended:
            if select.select([self.fd], [], [], 0.2)[0]:
                self.answer(os.read(self.fd, 70000))

    def answer(self, raw):
        packet = IP(raw) if raw[0] >> 4 == 4 else IPv6(raw)
        kind = type(packet)
        self.seen.append(packet.src)
        back = kind(src=packet.dst, dst=packet.src)
        if UDP in packet:
            back /= UDP(sport=packet[UDP].dport, dport=packet[UDP].sport) / bytes(packet[UDP].payload)
        elif ICMP in packet and packet[ICMP].type == 8:
            back /= ICMP(type=0, id=packet[ICMP].id, seq=packet[ICMP].seq) / bytes(packet[ICMP].payload)
        elif ICMPv6EchoRequest in packet:
            echo = packet[ICMPv6EchoRequest]
            back /= ICMPv6EchoReply(id=echo.id, seq=echo.seq, data=echo.data)
        else:
            return
        os.write(self.fd, bytes(back))

    def close(self):
        self.ended = True
        self.join()
        os.close(self.fd)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", (4, 6))
def test_what_a_tun_leads_to(stage, mode, family):
    s = stage(mode, **IPV6)
    s.node.start_picketd()
    s.node.policy("open.json", OPEN)
    tun, a = Tun(s.node), s.add("acme", "api")
    there = TUN[family][1]
    try:
        with connect(a, "udp", there, 9) as asking:
            asking.settimeout(SILENCE)

            def answered():
                asking.send(b"hello")
                try:
                    return asking.recv(100) == b"hello"
                except OSError:
                    return False
            wait_for(answered, lambda: f"an answer; it saw {tun.seen}, {s.node.tables.counters(a.slot)}")
        assert pings(a, there)
        assert a.address(family) in tun.seen
    finally:
        tun.close()


@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("rule", ("prohibit", "blackhole", "unreachable"))
def test_a_rule_that_refuses(stage, family, rule):
    """What a routing rule refuses goes nowhere, whatever policy says, and is counted; others go on."""
    s = stage("process", **IPV6)
    s.node.start_picketd()
    a, b = s.add("acme", "api"), s.add("acme", "db")
    assert ask(a, "udp", s.world(family), 80)
    run(s.node, f"ip -{family} rule add from {a.address(family)} to {s.world(family)} pref 100 {rule}")
    # The kernel's answer to the guard is the same for IPv6's rules and for "unreachable" as for an address of the node's own.
    reason = "policy-denied" if rule == "unreachable" or family == 6 else "no-route"
    with connect(a, "udp", s.world(family), 80, SILENCE) as asking, proving(s.node.tables, a.slot, EGRESS, reason):
        asking.send(b"x")
    assert ask(b, "udp", s.world(family), 80, PATIENCE)
