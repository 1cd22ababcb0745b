# SPDX-License-Identifier: Apache-2.0
"""
What somebody in the world can use up of an endpoint's limits by its published port, on a real uplink: SYNs under others'
addresses, answered by a real stack, beside the endpoint's own connections and honest clients.
"""
import pytest
from harness import EGRESS, INGRESS, PacketSocket, wait_for
from harness.servers import Mirror, ask, connect, exchange
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from test_published import HOST, OWN, mapping
from test_world import Stage

PLACES = 16
OUTSIDE = PLACES - PLACES // 4
LIMITED = {"nomad": None, "consul": None, "limits": {"flowsPerEndpoint": PLACES, "newFlowsPerSecond": 0}}


@pytest.fixture
def stage(node):
    node.start_picketd(LIMITED)
    s = Stage(node)
    s.web = s.add("acme", "web", runtimeConfig={"portMappings": mapping(protocols=("tcp",))})
    server = Mirror(s.web.inside(), OWN)
    yield s
    server.close()
    s.close()


def flood(s, count, first=1):
    """SYNs of so many sources that don't exist: nobody hears the answers."""
    s.node.world.run(["ip", "route", "replace", "blackhole", "198.18.0.0/15"])
    mac = next(link["address"] for link in s.node.json(["ip", "-j", "link", "show", "up0"]))
    with PacketSocket(s.node.world.net, "down0") as wire:
        for i in range(first, first + count):
            wire.send(bytes(Ether(dst=mac) / IP(src=f"198.18.{i >> 8}.{i & 255}", dst="192.0.2.2") /
                            TCP(sport=40000, dport=HOST, flags="S", seq=i)))


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
