# SPDX-License-Identifier: Apache-2.0
"""
Datagrams in pieces, by real stacks: long pings, long UDP datagrams and a long answer to a question, between
endpoints, with the node, and with the world by masquerade and published ports.
"""
import os
import socket
import struct
import threading

import pytest
from harness import EGRESS, INGRESS, wait_for
from harness.servers import PATIENCE, SILENCE, connect, pings
from test_published import HOST, OWN, mapping
from test_world import IPV6, MODES, NODE, stage  # noqa: F401 pylint: disable=unused-import

LONG = 4000			# bytes: three fragments at an MTU of 1500
SIZES = (1473, LONG, 60000)


class Echo(threading.Thread):
    """Sends each datagram back, from the address that it came to; a question of 4 bytes gets LONG of them."""

    def __init__(self, inside, port):
        super().__init__(daemon=True)
        with inside:
            self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            self.socket.bind(("::", port))
        self.start()

    def run(self):
        while True:
            try:
                data, told, _, peer = self.socket.recvmsg(65535, 100)
            except OSError:
                return
            self.socket.sendmsg([data if len(data) > 4 else data * (LONG // 4)], told, 0, peer)

    def close(self):
        self.socket.close()


def answer(place, address, port, data, timeout=PATIENCE):
    with connect(place, "udp", address, port, timeout) as s:
        try:
            s.send(data)
            return s.recv(65535)
        except OSError:
            return None


def long_ones_pass(place, address, port):
    """There and back, of several lengths; and a short question with a long answer."""
    for size in SIZES:
        data = os.urandom(size)
        assert answer(place, address, port, data) == data, (address, size)
    assert answer(place, address, port, b"long") == b"long" * (LONG // 4), address


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", (4, 6))
def test_between_endpoints(stage, mode, family):  # noqa: F811
    """P15: a whole set is delivered where policy lets the first in; where it doesn't, none of the set is."""
    s = stage(mode)
    a, b, other = s.add("acme", "api"), s.add("acme", "db"), s.add("beta", "api")
    echo = Echo(b.inside(), 53)
    try:
        long_ones_pass(a, b.address(family), 53)
        assert pings(a, b.address(family), size=LONG)
        # Whom policy keeps out it keeps out in pieces too: of both the first is denied, and the rest with it.
        before, at_b = s.node.tables.counters(other.alloc.slot), s.node.tables.counters(b.alloc.slot)
        assert answer(other, b.address(family), 53, os.urandom(LONG), SILENCE) is None
        assert not pings(other, b.address(family), 1, size=LONG)

        def all_are_judged():
            counted = s.node.tables.counted(other.alloc.slot, before)
            return counted.get((EGRESS, "fragment"), 0) >= 4 and counted.get((EGRESS, "policy-denied"), 0) >= 2

        wait_for(all_are_judged, lambda: f"the denials: {s.node.tables.counted(other.alloc.slot, before)}")
        assert not s.node.tables.counted(b.alloc.slot, at_b).get((INGRESS, "ok"))
    finally:
        echo.close()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", (4, 6))
def test_with_the_world(stage, mode, family):  # noqa: F811
    """Out behind the node's address, and in by a published port."""
    s = stage(mode, **IPV6)
    echo = Echo(s.node.world.inside(), 53)
    a = s.add("acme", "api")
    web = s.add("acme", "web", runtimeConfig={"portMappings": mapping()})
    served = Echo(web.inside(), OWN)
    try:
        long_ones_pass(a, s.world(family), 53)
        assert pings(a, s.world(family), size=LONG)
        long_ones_pass(s.node.world, NODE[family], HOST)
        long_ones_pass(a, NODE[family], HOST)
    finally:
        echo.close()
        served.close()


def pieces(source, destination, ident, data):
    """A UDP datagram to port 53 in two pieces, as a stack would cut it that says this id; without a checksum."""
    whole = struct.pack("!HHHH", 40000, 53, 8 + len(data), 0) + data
    for at, flags in ((0, 0x2000), (1480, 1480 // 8)):
        part = whole[at:at + 1480]
        yield struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(part), ident, flags, 64, socket.IPPROTO_UDP, 0,
                          socket.inet_aton(source), socket.inet_aton(destination)) + part


def test_two_say_one_id(stage):  # noqa: F811
    """
    Two endpoints behind one address send pieces of one id to one destination at once: what the receiver
    puts together is what each of them sent.
    """
    s = stage("process")
    ends, raw = [s.add("acme", "api"), s.add("beta", "api")], []
    sent = [bytes([65 + n]) * 2000 for n in range(len(ends))]
    with s.node.world.inside():
        world = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        world.bind(("0.0.0.0", 53))
        world.settimeout(PATIENCE)
    for end in ends:
        with end.inside():
            raw.append(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
    try:
        cut = [list(pieces(end.address(), s.world(4), 0x4711, data)) for end, data in zip(ends, sent)]
        for nr in range(2):
            for end, part in zip(raw, cut):
                end.sendto(part[nr], (s.world(4), 0))
        assert sorted(world.recv(65535) for _ in ends) == sent
    finally:
        for one in (world, *raw):
            one.close()


@pytest.mark.parametrize("mode", MODES)
def test_a_long_answer_of_the_nodes_resolver(stage, mode):  # noqa: F811
    s = stage(mode, dns={"servers": ["10.53.0.1"]})
    s.node.run(["ip", "addr", "add", "10.53.0.1/32", "dev", "lo"])
    echo = Echo(s.node.inside(), 53)
    a = s.add("acme", "api")
    try:
        long_ones_pass(a, "10.53.0.1", 53)
    finally:
        echo.close()


@pytest.mark.parametrize("mode", MODES)
def test_a_long_ping_of_the_gateway(stage, mode):  # noqa: F811
    a = stage(mode).add("acme", "api")
    assert pings(a, "10.40.7.1", size=LONG)
    assert a.run(["ping", "-6", "-c", "1", "-W", "10", "-s", str(LONG), "fe80::1%eth0"], check=False).returncode == 0
