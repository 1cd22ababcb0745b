# SPDX-License-Identifier: Apache-2.0
"""A new build of the programs under traffic that crosses an uplink."""
import socket

from test_connectivity import YES, Echo, asks
from test_published import mapping
from test_uplinks import program_id
from test_upgrade import Traffic, take_over
from test_world import NODE


def test_a_new_build_takes_over_what_crosses_an_uplink(make_node):
    """What is masqueraded and what comes in by a published port loses no packet, though the uplink's program is another one, too."""
    node = make_node(conf={"mode": "process"})
    node.start_picketd()
    a = node.add("acme", "api", "web", conf=node.plugin_conf(runtimeConfig={"portMappings": mapping(host=9000, own=9000)}))
    ways = (a, node.world.address), (node.world, NODE[4])
    echoes = [Echo(place.inside()) for place in (a, node.world)]
    old, before = program_id(node, "up0"), node.tables.counters(a.slot)
    traffic = [Traffic(*way) for way in ways]
    for each in traffic:
        each.start()
    try:
        take_over(node, (a.slot,))
        new = program_id(node, "up0")
        assert len(new) == 1 and new != old, (old, new)
        for place, target in ways:
            with place.inside():
                assert asks(socket.SOCK_STREAM, target, 9000, YES)		# a new flow
    finally:
        for each in traffic:
            each.end()
        for each in echoes:
            each.close()
    assert all(each.sent > 100 and each.lost == 0 for each in traffic), [(each.sent, each.lost) for each in traffic]
    seen = node.tables.counted(a.slot, before)
    assert all(reason in ("ok", "multicast") for _, reason in seen), seen
