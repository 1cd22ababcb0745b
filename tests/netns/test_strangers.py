# SPDX-License-Identifier: Apache-2.0
"""
What somebody in the world can use up of an endpoint's limits by its published port, on a real uplink: SYNs under others'
addresses, answered by a real stack, beside the endpoint's own connections and honest clients.
"""
import pytest
from harness import EGRESS, INGRESS, PacketSocket, wait_for
from harness.servers import Mirror, ask, connect, exchange
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from test_published import HOST, OWN, mapping
from test_world import Stage

PLACES = 16
OUTSIDE = PLACES - PLACES // 4
LIMITED = {"nomad": None, "consul": None, "limits": {"flowsPerEndpoint": PLACES, "newFlowsPerSecond": 0},
	"timeouts": {"tcpOpening": 3600, "tcpClosing": 3600, "udp": 3600}}


@pytest.fixture
def stage(node):
    node.start_picketd(LIMITED)
    s = Stage(node)
    s.web = s.add("acme", "web", runtimeConfig={"portMappings": mapping(protocols=("tcp", "udp"))})
    s.server = Mirror(s.web.inside(), OWN)
    yield s
    s.server.close()
    s.close()


def syn(i):
    return [TCP(sport=40000, dport=HOST, flags="S", seq=i)]


def opened_by_guess(i):
    """
    What a stack drops in silence (wrong checksums), a number that nobody said, and a RST beside the one that the stack
    awaits, which it answers by an ACK (RFC 5961).
    """
    return [*syn(i), *(TCP(sport=40000, dport=HOST, flags=flags, seq=i + 1, ack=77, chksum=1) for flags in ("A", "FA", "PA")),
            TCP(sport=40000, dport=HOST, flags="R", seq=i + 9), TCP(sport=40000, dport=HOST, flags="A", seq=i + 1, ack=78, chksum=1)]


def flood(s, count, first=1, of=syn):
    """Packets of so many sources that don't exist: nobody hears the answers."""
    s.node.world.run(["ip", "route", "replace", "blackhole", "198.18.0.0/15"])
    mac = next(link["address"] for link in s.node.json(["ip", "-j", "link", "show", "up0"]))
    with PacketSocket(s.node.world.net, "down0") as wire:
        for i in range(first, first + count):
            for said in of(i):
                wire.send(bytes(Ether(dst=mac) / IP(src=f"198.18.{i >> 8}.{i & 255}", dst="192.0.2.2") / said))


def counted(s, direction, reason):
    return s.node.tables.counters(s.web.slot).get((direction, reason), 0)


def test_the_endpoint_goes_on_by_itself(stage):
    """Its published port's places are gone; its own connections find theirs."""
    s = stage
    flood(s, 3 * PLACES)
    wait_for(lambda: counted(s, INGRESS, "flow-budget") >= 2 * PLACES, lambda: s.node.tables.counters(s.web.slot))
    for _ in range(PLACES - OUTSIDE):
        assert ask(s.web, "udp", s.world(), 80)
    assert not counted(s, EGRESS, "flow-budget")


def test_who_is_there_stays_and_who_comes_gets_in(stage):
    """An honest client's connection lives through it; another one is let in once the flood's SYNs are five seconds old."""
    s = stage
    with connect(s.node.world, "tcp", "192.0.2.2", HOST) as lasting:
        assert exchange(lasting)
        flood(s, 3 * PLACES)
        wait_for(lambda: counted(s, INGRESS, "flow-budget") > 0, lambda: s.node.tables.counters(s.web.slot))
        assert exchange(lasting)
        with connect(s.node.world, "tcp", "192.0.2.2", HOST, timeout=60) as late:	# its stack asks again for so long
            late.settimeout(60)
            assert exchange(late)
        assert exchange(lasting)


def test_who_guesses_holds_no_place_either(stage):
    """An ACK of a number that he wasn't told, a FIN with it, a RST that the endpoint challenges: none opens a connection."""
    s = stage
    flood(s, PLACES, of=opened_by_guess)
    wait_for(lambda: counted(s, INGRESS, "flow-budget") > 0, lambda: s.node.tables.counters(s.web.slot))
    with connect(s.node.world, "tcp", "192.0.2.2", HOST, timeout=60) as late:	# the places would be theirs for an hour and more
        late.settimeout(60)
        assert exchange(late)


def test_a_datagram_that_nobody_answers_holds_none(stage):
    """Nobody serves that port: a client who asks is let in once the others' datagrams are five seconds old."""
    s = stage
    s.server.close()
    flood(s, 2 * PLACES, of=lambda _: [UDP(sport=40000, dport=HOST) / b"?"])
    wait_for(lambda: counted(s, INGRESS, "flow-budget") > 0, lambda: s.node.tables.counters(s.web.slot))
    s.server = Mirror(s.web.inside(), OWN)
    wait_for(lambda: ask(s.node.world, "udp", "192.0.2.2", HOST), lambda: s.node.tables.counters(s.web.slot))
