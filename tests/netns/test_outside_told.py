# SPDX-License-Identifier: Apache-2.0
"""
What the node as a router says to those outside of what they send to a published port: too long, or at its last hop; and what becomes of a
published port's connection when the node loses the address that its client asked.
"""
import socket

import pytest
from harness import EGRESS, PacketSocket, wait_for
from harness.servers import Mirror, connect
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from test_published import HOST, mapping
from test_routers import NARROW, hop, learns_what_fits
from test_uplinks import run, uplinks
from test_world import IPV6, MODES, NODE, Lasting, stage  # noqa: F401 pylint: disable=unused-import

@pytest.fixture(name="web")
def _web(stage):  # noqa: F811
    s = stage("process", **IPV6, mtu=NARROW)
    machine = s.add("acme", "web", runtimeConfig={"portMappings": mapping()})
    server = Mirror(machine.inside(), 80)
    yield machine
    server.close()


@pytest.mark.parametrize("family", (4, 6))
def test_a_client_learns_the_endpoints_MTU(web, family):
    """A datagram that may not be cut and is longer than the endpoint's MTU: its sender is told of that, and then sends what fits."""
    with connect(web.node.world, "udp", NODE[family], HOST) as s:
        learns_what_fits(s, family)


@pytest.mark.parametrize("family", (4, 6))
def test_a_client_traces_to_a_published_port(web, family):
    """The node is a hop, and says so by its own address."""
    exceeded = (11, 3)[family == 6]
    assert hop(web.node.world, family, 1, NODE[family], HOST) == (NODE[family], exceeded)


OLD = {4: "192.0.2.2", 6: "2001:db8::2"}


def renumber(node):
    run(node, "ip addr del 192.0.2.2/24 dev up0", "ip addr add 192.0.2.9/24 dev up0",
        "ip route replace default via 192.0.2.1", "ip addr del 2001:db8::2/64 dev up0",
        "ip addr add 2001:db8::9/64 dev up0 nodad", "ip -6 route replace default via 2001:db8::1")
    wait_for(lambda: uplinks(node)["up0"] == (1500, "192.0.2.9", "2001:db8::9"), "the other address")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", (4, 6))
def test_what_a_client_asked_at_an_address_that_the_node_loses(stage, mode, family):  # noqa: F811
    """Its connection ends, and what the endpoint sends to it no longer leaves with the lost address."""
    s = stage(mode, **IPV6, runtimeConfig={"portMappings": mapping()})
    s.node.start_picketd()
    a = s.add("acme", "api")
    with a.inside():
        answers = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    answers.bind(("::", 80))
    with answers, Lasting(a, 80, s.node.world, OLD[family], HOST) as lasting, connect(s.node.world, "udp", OLD[family], HOST) as asks, \
            PacketSocket(s.node.world.net, "down0") as sniffer:
        for said, heard in (lasting.client, lasting.server), (asks, answers):
            said.sendall(b"x")
            heard.settimeout(20)
            data, peer = heard.recvfrom(10)
            assert data == b"x"
        renumber(s.node)

        def ended():
            """What comes of the connection's next segment, and of the next datagram."""
            lasting.server.sendall(b"still here")
            answers.sendto(b"answer", peer)
            return s.node.tables.counters(a.slot).get((EGRESS, "no-flow"), 0) > denied
        denied = s.node.tables.counters(a.slot).get((EGRESS, "no-flow"), 0)
        wait_for(ended, "the end of the connection")
        sniffer.drain()
        denied = s.node.tables.counters(a.slot).get((EGRESS, "no-flow"), 0)
        wait_for(ended, "its segment, sent again")
        left = {frame[layer].src for frame in map(Ether, sniffer.drain()) for layer in (IP, IPv6) if layer in frame}
        assert OLD[family] not in left and left & {"192.0.2.9", "2001:db8::9"}, left
