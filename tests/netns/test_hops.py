# SPDX-License-Identifier: Apache-2.0
"""A route with several next hops: which of them an endpoint's flows take (docs/datapath.md, "To the world and back")."""
import pytest
from test_uplinks import run, veth

from harness.frames import PacketSocket
from harness.shell import wait_for

HOPS = {"one": "198.51.100", "two": "203.0.113"}
DESTINATIONS = [f"8.8.{i}.{i + 7}" for i in range(40)]
SEND = """
import socket, sys
for port in (20001, 20002, 20003):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", port))
    for to in sys.argv[1:]:
        s.sendto(b"x", (to, 9))
"""


@pytest.mark.parametrize("policy", (0, 1), ids=("addresses", "ports-too"))
def test_a_pair_of_addresses_has_one_hop_and_destinations_spread(node, policy):
    """Whatever fib_multipath_hash_policy says: the guard asks by addresses alone. Ports of masquerading are the node's."""
    for device, net in HOPS.items():
        veth(node, device, f"{net}.2/24")
        run(node, f"ip neigh replace {net}.1 lladdr 02:00:00:00:00:09 dev {device} nud permanent")
    run(node, f"sysctl -qw net.ipv4.fib_multipath_hash_policy={policy}",
        "ip route replace default " + " ".join(f"nexthop via {net}.1 dev {device}" for device, net in HOPS.items()))
    alloc = node.add("acme", "api", "web", conf=node.plugin_conf(mode="process", limits={"newFlowsPerSecond": 1000}))
    taken = {}
    with PacketSocket(node.net, "onep") as one, PacketSocket(node.net, "twop") as two:
        alloc.run(["/usr/bin/python3", "-c", SEND, *DESTINATIONS])

        def seen():
            for device, packets in (("one", one), ("two", two)):
                for frame in packets.drain():
                    if frame[12:14] == b"\x08\x00" and frame[23] == 17:
                        to = ".".join(map(str, frame[30:34]))
                        taken.setdefault(to, []).append(device)
                        assert ".".join(map(str, frame[26:30])) == f"{HOPS[device]}.2", (device, frame)
            return sum(len(hops) for hops in taken.values()) == 3 * len(DESTINATIONS)
        wait_for(seen, lambda: f"each datagram, at one of the two: {taken}")
    assert all(len(set(hops)) == 1 for hops in taken.values()), taken
    spread = [hops[0] for hops in taken.values()]
    assert min(spread.count("one"), spread.count("two")) > 5, spread
