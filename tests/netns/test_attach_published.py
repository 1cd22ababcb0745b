# SPDX-License-Identifier: Apache-2.0
"""The ports that `picket attach -publish` publishes: who reaches them, and when they are free again."""
import pytest
from harness import EGRESS, proving, wait_for
from harness.attach import attach, command, detach
from harness.fabric import made_cluster
from harness.servers import QUICK, SILENCE, Mirror, ask
from test_sock import cgroup  # noqa: F401 pylint: disable=unused-import
from test_world import NODE

HOST, OWN = 28080, 80
ACME = ("-tenant", "acme", "-mode", "process")
PUBLISH = ("-publish", f"{HOST}:{OWN}", "-publish", f"{HOST}:{OWN}/udp", "-publish", f"{HOST + 1}:{OWN}/tcp")


@pytest.fixture(name="site")
def site_fixture(node):
    """A node that has one network, and no picketd yet."""
    node.write_config()
    return node


def everybody(node, near, other):
    """From outside whoever asks; an endpoint of the node as the one behind the port lets it."""
    for kind in "tcp", "udp":
        for family, world in (4, node.world.address), (6, node.world.address6):
            seen = ask(node.world, kind, NODE[family], HOST)
            assert seen and seen[0] == world, "who asks is not hidden"
            seen = ask(near, kind, NODE[family], HOST)
            assert seen and seen[0] == near.address(family)
            assert ask(other, kind, NODE[family], HOST, SILENCE) is None
    assert ask(node.world, "tcp", NODE[4], HOST + 1) and ask(node.world, "udp", NODE[4], HOST + 1, SILENCE) is None


def test_it_is_reached(site, cgroup):  # noqa: F811
    """From the world, other VMs and processes of the node, without picketd and with it, over its restart; a policy closes it."""
    web = attach(site, "web", *ACME, *PUBLISH)
    near, other = attach(site, "near", *ACME), attach(site, "other", "-tenant", "other", "-mode", "process")
    mirror = Mirror(web.inside(), OWN)
    config = {"nomad": None, "consul": None, "cgroup": cgroup.path}
    try:
        everybody(site, near, other)
        for _ in range(2):
            site.start_picketd(config)
            wait_for(lambda: site.api("/v1/status")["endpoints"]["inStep"] == 3, "picketd's pass")
            everybody(site, near, other)
            for kind, address in ("tcp", NODE[4]), ("udp", NODE[6]), ("tcp", "127.0.0.1"):
                wait_for(lambda kind=kind, address=address: "peer" in cgroup.ask(kind, address, HOST), "a process of the node's")
            site.kill_picketd()
        site.start_picketd(config)
        site.policy("shut.json", {"namespace": "acme", "rules": [{"endpointSelector": {}, "ingress": [{"fromEndpoints": [{}]}]}]})
        wait_for(lambda: ask(site.world, "tcp", NODE[4], HOST, SILENCE) is None, "the denial")
        with proving(site.tables, other.slot, EGRESS, "policy-denied"):
            ask(other, "udp", NODE[4], HOST, SILENCE)
        assert ask(near, "tcp", NODE[4], HOST)
    finally:
        mirror.close()


def test_whose_it_is(site):
    """Who has it is named to the next one; detach frees it, and a reboot's attach has it again."""
    attach(site, "web", *ACME, *PUBLISH)
    refused = command(site, "attach", "again", *ACME, "-publish", f"{HOST}:{OWN}")
    assert refused.returncode == 2 and f"host port {HOST}" in refused.stderr and "web" in refused.stderr and "fix: " in refused.stderr, refused.stderr
    detach(site, "web")
    assert site.tables.items("published") == []
    attach(site, "again", *ACME, "-publish", f"{HOST}:{OWN}")
    site.reboot()
    again = attach(site, "again", *ACME, "-publish", f"{HOST}:{OWN}")
    mirror = Mirror(again.inside(), OWN)
    try:
        assert ask(site.world, "tcp", NODE[4], HOST)
    finally:
        mirror.close()


def test_from_another_node(request, fabric):
    """Its process, and its endpoints of whatever tenant as that node: the port is the node's, and the world's to ask."""
    with made_cluster(request.node.name, fabric) as cluster:
        one, two = cluster.nodes
        for node in cluster.nodes:
            node.start_picketd(cluster.config(node))
        web = attach(one, "web", *ACME, *PUBLISH)
        far, there = two.add("acme", "api", "api"), cluster.addresses(1)[0]
        mirror = Mirror(web.inside(), OWN)
        try:
            for kind in "tcp", "udp":
                assert ask(two, kind, there, HOST)[0] == cluster.addresses(2)[0]
                seen = wait_for(lambda kind=kind: ask(far, kind, there, HOST, QUICK), "another node's endpoint")
                assert seen[0] == cluster.addresses(2)[0], "masqueraded, as on its way to anywhere"
        finally:
            mirror.close()
