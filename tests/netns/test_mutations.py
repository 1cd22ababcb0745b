# SPDX-License-Identifier: Apache-2.0
"""
Frames and virtio headers that a hostile VMM makes up: valid ones with bytes changed, cut, padded,
written into one tenant's tap. None reaches the other tenant or the node's own sockets, its uplink passes
only what is for the world, and the other tenant's flows live on. The tenant's own policy lets it send to anybody, so that the
receivers' side is asked too.
"""
import os
import random
import socket

import pytest
from harness import VnetHeader, wait_for
from harness.frames import GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4
from harness.ways import WAYS, fault_of
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import Ether

GATEWAY_MAC = "02:70:6b:00:00:01"
MARK = b"EVILEVIL"
SO_RCVBUFFORCE = 33
FRAMES = 30000
SEED = int(os.environ.get("PICKET_SEED", "1"))
SENDS_ANYWHERE = {"namespace": "acme", "rules": [{"endpointSelector": {}, "egress": [
    {"toEndpoints": [{"matchLabels": {"nomad:namespace": "beta"}}]}, {"toEntities": ["all"]}]}]}


def packet(source, family, target):
    """Ethernet and IP to an endpoint or an address."""
    eth = Ether(src=source.mac, dst=GATEWAY_MAC)
    address = target if isinstance(target, str) else target.address(family)
    if family == 6:
        return eth / IPv6(src=source.address(6), dst=address)
    return eth / IP(src=source.address(), dst=address)


class Stage:
    """acme's endpoint writes; beta's two have flows; the node listens."""

    def __init__(self, node):
        self.node = node
        node.start_picketd()
        self.evil, self.x, self.y = (node.add(t, j, "g") for t, j in (
            ("acme", "a"), ("beta", "x"), ("beta", "y")))
        before = node.tables.word(self.evil.slot)
        node.policy("e.json", SENDS_ANYWHERE)
        wait_for(lambda: node.tables.word(self.evil.slot) != before, "the policy in force")
        self.taps = {e.id: e.tap() for e in (self.evil, self.x, self.y)}
        self.begun = set()  # datagrams whose first fragment went out
        for family in (4, 6):
            self.exchange(family, b"begin")
        with node.inside():
            self.sockets = [socket.socket(family, socket.SOCK_RAW, protocol)
                            for family, protocols in ((socket.AF_INET, (1, 6, 17)),
                                                      (socket.AF_INET6, (6, 17, 58)))
                            for protocol in protocols]
            self.uplink = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self.uplink.bind(("up0", 3))
        for each in (*self.sockets, self.uplink):
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)	# it is read now and then, and nothing is lost

    def exchange(self, family, text):
        """Both ways of beta's own flow."""
        for source, target in ((self.x, self.y), (self.y, self.x)):
            self.taps[source.id].send(packet(source, family, target) / UDP(sport=53, dport=53) / text)
            assert self.taps[target.id].receive(lambda raw: raw.endswith(text)), (family, text)

    def strangers(self):
        """What arrived that beta's endpoints didn't send each other."""
        gateway = bytes.fromhex(GATEWAY_MAC.replace(":", ""))
        for endpoint in (self.x, self.y):
            for raw in self.taps[endpoint.id].drain():
                if MARK in raw or raw[6:12] == gateway and raw[12:14] in (b"\x08\0", b"\x86\xdd"):
                    yield endpoint.id, raw.hex()
        for each in self.sockets:
            while True:
                try:
                    raw = each.recv(4000)
                except BlockingIOError:
                    break
                if MARK in raw:
                    yield "node", raw.hex()
        while True:
            try:
                raw = self.uplink.recv(4000)
            except BlockingIOError:
                break
            is_worlds = self.is_worlds(Ether(raw))  # of each: a first fragment may have lost its mark
            if MARK in raw and not is_worlds:
                yield "uplink", raw.hex()

    def is_worlds(self, frame):
        """
        What its policy lets out, to the world alone: masqueraded as the node, or, in IPv6, with its own
        address. And what the world says to that.
        """
        world = (self.node.world.address, self.node.world.address6)
        ip = frame.getlayer(IP) or frame.getlayer(IPv6)
        if ip is None:
            return False
        if ip.src in world:
            return True
        if IP in frame and (ip.frag or ip.flags.MF):
            return self.is_of_a_datagram(ip)
        if IPv6 in frame:
            return ip.src == self.evil.address(6) and not ip.dst.startswith("fd00:40:7:")
        return self.is_masqueraded(ip)

    def is_masqueraded(self, ip):
        ports = ip.getlayer(TCP) or ip.getlayer(UDP)
        return (ip.src == self.node.options.up_address.split("/")[0] and not ip.dst.startswith("10.40.7.")
                and (10000 <= ports.sport <= 19999 if ports else ICMP in ip))

    def is_of_a_datagram(self, ip):
        """Of fragments the first has what it is judged by; the others may follow it."""
        datagram = (ip.src, ip.dst, ip.id, ip.proto)
        if not ip.frag and self.is_masqueraded(ip):
            self.begun.add(datagram)
        return datagram in self.begun

    def close(self):
        for each in (*self.taps.values(), *self.sockets, self.uplink):
            each.close()


def seeds(stage):
    evil, found = stage.evil, []
    for family in (4, 6):
        echo = ICMPv6EchoRequest(data=MARK) if family == 6 else ICMP() / MARK
        hosts = ("2001:db8::2", "2001:db8::1") if family == 6 else ("192.0.2.2", "192.0.2.1", "10.40.7.1")
        for target in (stage.x, stage.y, *hosts):
            found += [packet(evil, family, target) / l4 for l4 in (
                UDP(sport=53, dport=53) / MARK, TCP(sport=53, dport=22, flags="S") / MARK,
                TCP(sport=53, dport=53, flags="A") / MARK, echo)]
        for source, target in ((stage.x, stage.y), (stage.y, stage.x)):
            quoted = packet(source, family, target).payload / UDP(sport=53, dport=53) / MARK
            error = ICMPv6PacketTooBig() if family == 6 else ICMP(type=3, code=4)
            found.append(packet(evil, family, source) / error / quoted)
    return [bytes(frame) for frame in found]


def values(stage):
    """What a byte or a field is changed to."""
    yield from (b"\0", b"\1", b"\x7f", b"\x80", b"\xff", b"\0\0", b"\x06", b"\x11", b"\x2c", b"\x3a",
                b"\x3c", b"\x45", b"\x4f", b"\x60", b"\x08\0", b"\x08\x06", b"\x86\xdd", b"\x81\0")
    for each in (stage.x, stage.y):
        yield socket.inet_aton(each.address())
        yield socket.inet_pton(socket.AF_INET6, each.address(6))
        yield bytes.fromhex(each.mac.replace(":", ""))


def mutated(rnd, frames, changes):
    frame = bytearray(rnd.choice(frames))
    for _ in range(rnd.choice((0, 1, 1, 2, 3))):
        value = rnd.choice(changes) if rnd.random() < 0.7 else bytes([rnd.randrange(256)])
        at = rnd.randrange(min(len(frame), 80))
        frame[at:at + len(value)] = value
    if rnd.random() < 0.1:
        del frame[rnd.randrange(1, len(frame)):]
    return bytes(frame) + bytes(rnd.randrange(3000) if rnd.random() < 0.1 else 0)


def header(rnd):
    if rnd.random() < 0.5:
        return VnetHeader()
    return VnetHeader(
        flags=rnd.randrange(4), gso_type=rnd.choice((0, GSO_TCPV4, 3, GSO_TCPV6, GSO_UDP_L4, 0x81)),
        hdr_len=rnd.choice((0, 14, 34, 54, rnd.randrange(200))),
        gso_size=rnd.choice((0, 1, 500, 1200, 1448, rnd.randrange(65536))),
        csum_start=rnd.choice((0, 14, 34, 54, rnd.randrange(100))),
        csum_offset=rnd.choice((0, 6, 16, 2, rnd.randrange(40))))


@pytest.mark.parametrize("way", WAYS)
def test_mutated_frames_reach_nobody_else(make_node, way):
    stage = Stage(make_node(config={"nomad": None, "consul": None}, fault=fault_of(way)))
    rnd, frames, changes = random.Random(SEED), seeds(stage), list(values(stage))
    written = 0
    try:
        before = stage.node.tables.counters(stage.evil.slot)
        for number in range(FRAMES):
            try:
                stage.taps[stage.evil.id].send(mutated(rnd, frames, changes), header(rnd))
                written += 1
            except OSError:     # the kernel's own check of the header
                continue
            if number % 500 == 0:
                assert not list(stage.strangers()), f"PICKET_SEED={SEED}"
        assert not list(stage.strangers()), f"PICKET_SEED={SEED}"
        for family in (4, 6):
            stage.exchange(family, b"still there")
        counted = stage.node.tables.counted(stage.evil.slot, before)
        assert sum(counted.values()) > written / 2 and len(counted) > 10, (written, counted)
    finally:
        stage.close()
