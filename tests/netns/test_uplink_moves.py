# SPDX-License-Identifier: Apache-2.0
"""An uplink that moves to another device, under traffic by real stacks."""
import pytest
from harness import PacketSocket, wait_for
from harness.servers import Mirror, ask, connect, exchange
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from test_uplinks import run, uplinks
from test_world import IPV6, MODES, NODE, TWO, Place, is_nodes, stage  # noqa: F401 pylint: disable=unused-import


def senders(sniffer):
    """Who sent TCP or UDP there; but not the resets by which the node's own stack answers what the world sends again to a flow that has ended."""
    frames = [Ether(raw) for raw in sniffer.drain()]
    return {frame[layer].src for frame in frames for layer in (IP, IPv6) if layer in frame
            and (UDP in frame or (TCP in frame and frame[TCP].flags != "R"))}


def replace_route(node, _):
    run(node, *(f"ip -{f} route replace default via {TWO[f]['via']}" for f in (4, 6)))


def add_rule(node, endpoint):
    """Both stay uplinks: the endpoint's routes alone go by the other one."""
    for f in (4, 6):
        run(node, f"ip -{f} route add default via {TWO[f]['via']} table 99", f"ip -{f} rule add from {endpoint.address(f)} table 99")


MOVES = {"the default route": (replace_route, ["two"]), "a rule": (add_rule, ["up0", "two"])}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", (4, 6))
def test_an_uplink_that_moves_under_traffic(stage, mode, family, move):
    """The route goes to another device: what left by the old one ends, and no frame of it goes by the new one with the old address."""
    moves, after = MOVES[move]
    s, to = stage(mode, **IPV6), TWO[family]
    second = Place(s.node, "two", "198.51.100.2/24", "198.51.100.1/24")
    run(s.node, "ip addr add 2001:db8:2::2/64 dev two nodad")
    run(second, "ip addr add 2001:db8:2::1/64 dev eth0 nodad")
    for where in (s.node.world, second):
        run(where, "ip link set lo up", f"ip addr add {to['near']} dev lo")
    servers = [Mirror(where.inside(), 9001, name=name) for where, name in ((s.node.world, "first"), (second, "second"))]
    if len(after) > 1:
        run(s.node, *(f"ip -{f} route add default via {TWO[f]['via']} metric 4096" for f in (4, 6)))
    s.node.start_picketd()
    a = s.add("acme", "api")
    old = {kind: connect(a, kind, to["near"], 9001) for kind in ("tcp", "udp")}
    gone = {NODE[4], NODE[6], a.address(), a.address(6)}
    try:
        assert all(is_nodes(seen := exchange(each), family) and seen[2] == "first" for each in old.values())
        with PacketSocket(s.node.world.net, "down0") as at_first, PacketSocket(second.net, "eth0") as at_second:
            moves(s.node, a)
            wait_for(lambda: sorted(uplinks(s.node)) == sorted(after), "the uplinks")
            for each in old.values():
                each.settimeout(0.1)

            def moved():
                """Both send, and nothing leaves by up0: the connection's goes nowhere, a datagram begins a new flow."""
                at_first.drain()
                told = exchange(old["tcp"]), exchange(old["udp"])
                return told[0] is None and is_nodes(told[1], family, to["own"]) and told[1][2] == "second" and not senders(at_first) & gone

            wait_for(moved, "the end of the old flows")
            wait_for(moved, "the same once more")
            for kind in ("tcp", "udp"):
                wait_for(lambda k=kind: is_nodes(seen := ask(a, k, to["near"], 9001, 2), family, to["own"]) and seen[2] == "second", f"a new {kind} flow")
            left = senders(at_second)
        assert to["own"] in left and not left & gone, left
    finally:
        for each in (*old.values(), *servers):
            each.close()
