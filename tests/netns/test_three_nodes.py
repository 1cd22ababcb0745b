# SPDX-License-Identifier: Apache-2.0
"""Three nodes behind a router: a partition, a killed picketd and an alloc that moves, while no frame ever crosses tenants."""
import pytest
from harness import overlay
from harness.servers import PINGED, QUICK, pings
from harness.shell import wait_for
from harness.tenants import Tenants


@pytest.fixture(name="cluster", params=["routed", "vxlan"])
def cluster_fixture(request, fabric):
    with overlay.made(request, fabric, count=3, routed=True, overlay={} if request.param == "vxlan" else None) as made:
        yield made


def all_reach_all(vms, seconds=30):
    patience = QUICK if seconds else PINGED		# asked again, or once
    for a in vms:
        for b in vms:
            if a is not b:
                wait_for(lambda a=a, b=b: pings(a, b.address(4), patience) and pings(a, b.address(6), patience), "tenants to reach their own", seconds)


def test_no_frame_crosses_tenants(cluster):
    one, two, three = cluster.nodes
    for node in cluster.nodes:
        node.start_picketd(cluster.config(node), wait=False)
    for node in cluster.nodes:
        node.picketd_serves()
    tenants = Tenants(cluster)
    try:
        vms = [tenants.add(node.add("acme", "api", "web"), "acme") for node in cluster.nodes]
        for node in one, two:
            tenants.add(node.add("other", "x", "x"), "other")
        all_reach_all(vms)
        cluster.cut(3)
        assert not pings(vms[0], vms[2].address(4), QUICK)
        all_reach_all(vms[:2], 0)
        moved = tenants.add(three.add("acme", "api", "web"), "acme")	# what comes meanwhile is its tenant's at once
        assert pings(vms[2], moved.address(4))
        cluster.cut(3, heal=True)
        all_reach_all([*vms, moved], 60)
        two.kill_picketd()
        all_reach_all(vms, 0)
        two.start_picketd(cluster.config(two))
        all_reach_all(vms, 0)
        three.delete(moved)	# it is drained, and comes again on another node
        assert not pings(vms[0], moved.address(4), QUICK) and not pings(vms[2], moved.address(6), QUICK), "at once"
        all_reach_all([*vms, tenants.add(one.add("acme", "api", "web"), "acme")])
    finally:
        tenants.stop()
    assert tenants.crossed == [] and tenants.within and tenants.sent > 100


def both_ways(tenant, other):
    """Lets a tenant's endpoints and another's talk to each other, on this one's side."""
    def peers(name):
        return [{"matchLabels": {"nomad:namespace": name}}]
    return {"endpointSelector": peers(tenant)[0], "egress": [{"toEndpoints": peers(other)}], "ingress": [{"fromEndpoints": peers(other)}]}


def test_a_frame_that_crosses_is_seen(cluster):
    """Where policies open two tenants to each other, the watch that finds nothing elsewhere finds their frames."""
    for node in cluster.nodes[:2]:
        node.start_picketd(cluster.config(node))
        node.policy("open.json", {"rules": [both_ways("acme", "other"), both_ways("other", "acme")]})
    tenants = Tenants(cluster)
    try:
        for node, tenant in zip(cluster.nodes, ("acme", "other")):
            tenants.add(node.add(tenant, "x", "x"), tenant)
        wait_for(lambda: {"p1", "p2", "eth0"} <= {where for where, *_ in tenants.crossed}, "what crosses to be seen on the fabric and where it arrives", 59)
    finally:
        tenants.stop()
