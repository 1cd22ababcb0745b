# SPDX-License-Identifier: Apache-2.0
"""No rule of iptables or nftables, and no setting of the node or of a device that isn't Picket's, is ever changed."""
import pytest
from harness.servers import Mirror, ask, pings
from test_published import HOST, OWN, mapping
from test_uplinks import run
from test_world import IPV6, NODE, stage  # noqa: F401 pylint: disable=unused-import

OWN_SETTINGS = ("/conf/pk", "/neigh/pk")	# of the devices that Picket makes
LIVES = ("/netfilter/nf_conntrack_count",)	# says what passes, sets nothing


def settings(place):
    """{"file:line": value} of the network namespace."""
    lines = place.run(["grep", "-rsn", "", "/proc/sys/net"], check=False).stdout.splitlines()
    parts = (line.split(":", 2) for line in lines)
    return {f"{file}:{line}": value for file, line, value in parts
            if not any(own in file for own in OWN_SETTINGS) and not file.endswith(LIVES)}


def rules(place):
    ruleset = place.run(["nft", "list", "ruleset"]).stdout
    tables = [place.run(["sh", "-c", f"cat /proc/net/{name} 2>&1 || true"]).stdout for name in ("ip_tables_names", "ip6_tables_names")]
    return {"nft": ruleset, "iptables": tables[0], "ip6tables": tables[1]}


def everything(place):
    found = {**settings(place), **rules(place)}
    assert len(found) > 300, found.keys()
    return found


def changes(before, after):
    return {name: (before.get(name), after.get(name)) for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_what_is_looked_at_shows_a_change(node):
    before = everything(node)
    assert changes(before, everything(node)) == {}
    run(node, "sysctl -qw net.ipv4.conf.up0.route_localnet=1", "sysctl -qw net.ipv6.route.max_size=77", "nft add table inet other")
    assert changes(before, everything(node)).keys() == {"/proc/sys/net/ipv4/conf/up0/route_localnet:1", "/proc/sys/net/ipv6/route/max_size:1", "nft"}


@pytest.mark.parametrize("mode,more", (("process", {}), ("tap", {}), ("tap", {"attach": "host-tap"})), ids=("process", "tap", "host-tap"))
def test_an_endpoint_comes_lives_and_goes(stage, mode, more):
    """Load, ADD with published ports, picketd's start, traffic each way, DEL, sweep."""
    s = stage(mode, **IPV6, **more)
    node, before = s.node, everything(s.node)

    def unchanged(when):
        assert (seen := changes(before, everything(node))) == {}, (when, seen)

    def made(job, **conf):
        """A machine with a stack behind it; a host tap without."""
        return node.add("acme", job, job, conf=node.plugin_conf(**s.conf, **conf)) if more else s.add("acme", job, **conf)

    first = made("first")
    unchanged("the load and an ADD")
    web = made("web", runtimeConfig={"portMappings": mapping()})
    unchanged("an ADD with published ports")
    node.start_picketd()
    unchanged("picketd's start")
    if not more:
        server = Mirror(web.inside(), OWN)
        try:
            for family in (4, 6):
                assert ask(node.world, "tcp", NODE[family], HOST) and ask(web, "tcp", s.world(family), 80) and pings(first, web.address(family))
        finally:
            server.close()
        unchanged("traffic")
    for each in (first, web):
        alloc = getattr(each, "alloc", each)
        assert rules(alloc) == rules(node.world)
        node.check(alloc)
        node.delete(alloc)
    unchanged("DEL")
    node.kill_picketd()
    node.picket("sweep", "-all", "-apply")
    unchanged("the end of everything")
