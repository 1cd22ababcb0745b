# SPDX-License-Identifier: Apache-2.0
"""A router between the nodes of an overlay carries less than their uplinks: what its word to the node becomes for the endpoints."""
import contextlib
import socket

import pytest
from harness.overlay import made, pair, reach, send_much
from harness.servers import Mirror, connect, pings
from harness.shell import wait_for

NARROW = 1400
TAKES = {"ipv4": 50, "ipv6": 70}
LEVEL, DISCOVER, MTU = {4: socket.IPPROTO_IP, 6: socket.IPPROTO_IPV6}, {4: 10, 6: 23}, {4: 14, 6: 24}
SIZE = 8 << 20


def narrow(cluster, i):
    """The router's way to the i-th node is this wide from now on; the devices stay as they are."""
    for address in cluster.addresses(i):
        cluster.fabric.node.run(["ip", f"-{6 if ':' in address else 4}", "route", "replace", address, "dev", f"p{i}", "mtu", "lock", str(NARROW)])


@pytest.fixture(name="narrowed", params=TAKES)
def narrowed_fixture(request, fabric):
    """(the cluster, its two VMs, the MTU that is left to them)"""
    with made(request, fabric, routed=True, overlay={"underlay": request.param}) as cluster:
        a, b = pair(cluster)
        assert reach(a, b)
        for i in 1, 2:
            narrow(cluster, i)
        yield cluster, a, b, NARROW - TAKES[request.param]


def test_an_endpoints_own_MTU(narrowed):
    """Where nobody says another: the uplink's, less what the overlay takes, whatever lies behind."""
    _, *ends, left = narrowed
    assert [end.links()["eth0"]["mtu"] for end in ends] == [1500 - (NARROW - left)] * 2


def test_endpoints_learn_the_path(narrowed):
    """TCP goes on, at its new size; a datagram that must not be cut is refused with what fits, and one that may be arrives."""
    cluster, a, b, left = narrowed
    assert cluster.nodes[0].json(["ip", "-j", "link", "show", "dev", "up0"])[0]["mtu"] == 1500
    for family in 4, 6:
        send_much(a, b, b.address(family), SIZE)
        assert f"mtu {left}" in a.run(["ip", "route", "get", b.address(family)]).stdout, "the endpoint's stack knows"
        send_much(b, a, a.address(family), SIZE)
    for family in 4, 6:
        with contextlib.closing(Mirror(b.inside(), 9001)), connect(a, "udp", b.address(family), 9001) as s:
            s.setsockopt(LEVEL[family], DISCOVER[family], 2)		# never fragment
            with pytest.raises(OSError):
                s.send(bytes(1400))
            assert s.getsockopt(LEVEL[family], MTU[family]) == left
            s.setsockopt(LEVEL[family], DISCOVER[family], 1)
            s.settimeout(30)
            s.send(bytes(4000))
            assert s.recv(8192)
    assert pings(a, b.address(4)) and pings(b, a.address(6))


def test_a_datagram_is_told_at_once_or_a_second_later(narrowed):
    """The first one that doesn't fit tells the node; what its flow sends from then on tells the endpoint."""
    _, a, b, left = narrowed
    for family in 4, 6:
        with contextlib.closing(Mirror(b.inside(), 9001)), connect(a, "udp", b.address(family), 9001) as s:
            s.setsockopt(LEVEL[family], DISCOVER[family], 2)

            def refused(s=s):
                try:
                    s.send(bytes(1350))
                except OSError:
                    return True
                return False
            wait_for(refused, "the guard's word", 20)
            assert s.getsockopt(LEVEL[family], MTU[family]) == left
