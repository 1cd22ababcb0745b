# SPDX-License-Identifier: Apache-2.0
"""
A node whose own firewall drops what no rule accepts, in what it takes in and in what it forwards: what goes through the programs alone
passes; what needs the node's stack `picket check` names, chain by chain, and its fix opens.
"""
import json
import shlex

import pytest
from harness import wait_for
from harness.servers import SILENCE, Mirror, Resolver, ask, connect, pings
from test_published import HOST, OWN, mapping
from test_uplinks import run
from test_world import IPV6, NODE, Place, is_nodes, query, stage  # noqa: F401 pylint: disable=unused-import

NFT = """
table inet fw {
	chain in {
		type filter hook input priority 0; policy drop
		iifname "lo" accept
		meta l4proto ipv6-icmp accept
	}
	chain through {
		type filter hook forward priority 0; policy drop
		oifname "pk*" drop
	}
}
"""
LEGACY = [["iptables-legacy", "-P", chain, "DROP"] for chain in ("INPUT", "FORWARD")]
OPEN = {"rules": [{"endpointSelector": {}, "ingress": [{"fromEntities": ["host", "world"]}, {"fromEndpoints": [{}]}]}]}
RESOLVER = "10.53.0.1"


def close_by_nft(node):
    node.run(["nft", "-f", "-"], stdin=NFT)


def close_by_legacy(node):
    if node.run(["iptables-legacy", "-L"], check=False).returncode:
        pytest.skip("this kernel has no tables of iptables-legacy")
    for words in LEGACY:
        node.run(words)


FIREWALLS = {"nft": (close_by_nft, "nft: chain {} of table inet fw", ("in", "through")),
             "legacy": (close_by_legacy, "iptables-legacy: chain {} of table filter", ("INPUT", "FORWARD"))}


def firewall(node):
    found = json.loads(node.picket("check", "-json", check=False, env={"NOMAD_ADDR": "http://127.0.0.1:1"}).stdout)
    return [line for line in found if line["what"] == "firewall"]


def asks_a_name(machine):
    with connect(machine, "udp", RESOLVER, 53, SILENCE) as asking:
        try:
            asking.send(query("www.example.com"))
            return asking.recv(512)
        except OSError:
            return None


@pytest.mark.parametrize("kind", FIREWALLS)
def test_a_firewall_that_drops(stage, kind):  # noqa: F811
    close, named, chains = FIREWALLS[kind]
    s = stage("process", dns={"servers": [RESOLVER]}, **IPV6)
    node = s.node
    run(node, f"ip addr add {RESOLVER}/32 dev lo", "ip addr add fe80::2/64 dev up0 nodad")
    assert [line["state"] for line in firewall(node)] == ["ok"]
    Resolver(node.inside())
    other = Place(node, "br7", "198.51.100.1/24", "198.51.100.2/24")		# a bridge's container, for which the node forwards
    run(other, "ip route add default via 198.51.100.1")
    run(node, "sysctl -qw net.ipv4.conf.br7.forwarding=1")
    node.policy("open.json", OPEN)
    node.start_picketd({"nomad": None, "consul": None, "resolvers": [RESOLVER]})
    web = s.add("acme", "web", runtimeConfig={"portMappings": mapping()})
    api = s.add("acme", "api")
    server = Mirror(web.inside(), OWN)
    needs_the_stack = {
        "the node's own process": lambda: ask(node, "tcp", web.address(), OWN, SILENCE),
        "a question to the node": lambda: asks_a_name(api),
        "what the node forwards": lambda: ask(other, "tcp", web.address(), OWN, SILENCE),
    }
    try:
        for what, works in needs_the_stack.items():
            wait_for(works, f"{what} without a firewall")
        assert ask(other, "tcp", web.address(), OWN)[0] == "198.51.100.2"		# world, by its own source
        close(node)
        for family in (4, 6):
            for protocol in ("tcp", "udp"):
                assert is_nodes(ask(api, protocol, s.world(family), 80), family), protocol
                assert ask(api, protocol, web.address(family), OWN)[0] == api.address(family)
                assert ask(node.world, protocol, NODE[family], HOST)[0] == s.world(family)
                assert ask(api, protocol, NODE[family], HOST)[0] == api.address(family)
                assert ask(web, protocol, NODE[family], HOST)[0] == NODE[family]
            assert pings(api, s.world(family)) and pings(api, web.address(family))
        assert not any(works() for works in needs_the_stack.values())
        said = firewall(node)
        assert [(line["state"], line["text"].split(" drops what ")[0]) for line in said] == [
            ("warn", named.format(chain)) for chain in chains], said
        for line in said:
            node.run(shlex.split(line["fix"]))
        for what, works in needs_the_stack.items():
            wait_for(works, f"{what} with the fix")
        assert [line["state"] for line in firewall(node)] == ["ok", "ok"]
    finally:
        server.close()
