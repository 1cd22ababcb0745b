# SPDX-License-Identifier: Apache-2.0
"""Nodes of one cluster: their endpoints reach each other as their policies say, and nobody in their place does."""
import json
import os
import shutil
import signal

import pytest
from harness import EGRESS, INGRESS, proving
from harness.fabric import made_cluster, routes
from harness.servers import QUICK, Mirror, ask, pings
from harness.shell import wait_for
from test_metrics import reload

NOBODY = {"tier": "operator", "rules": [{"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["all"]}]}]}


@pytest.fixture(name="cluster")
def cluster_fixture(request, fabric):
    with made_cluster(request.node.name.translate({ord(c): "-" for c in "[]"}), fabric) as made:
        yield made


@pytest.fixture(name="routed")
def routed_fixture(request, fabric):
    with made_cluster(request.node.name, fabric, routed=True) as made:
        yield made


def start(cluster):
    for node in cluster.nodes:
        node.start_picketd(cluster.config(node), wait=False)
    for node in cluster.nodes:
        node.picketd_serves()	# both load their programs at once


def knows(node, n):
    """It has so many addresses of others in its table, and a route to each block of others."""
    wait_for(lambda: node.tables.count("remote") == n, f"{node.name} to know {n} addresses of others", 90)
    wait_for(lambda: len(routes(node)) == 2, f"{node.name}'s routes")


def nodes_of(node):
    return {n["name"]: n for n in node.api("/v1/nodes")["nodes"]}


def test_a_tenant_reaches_its_own_alone(cluster):
    """By routes on a segment that all share; the verdict is made on both ends."""
    one, two = cluster.nodes
    start(cluster)
    a, b, c = one.add("acme", "api", "web"), two.add("acme", "db", "db"), two.add("other", "x", "x")
    knows(one, 2)
    knows(two, 2)
    assert routes(one) == dict(zip(cluster.blocks(2), cluster.addresses(2)))
    mirror = Mirror(b.inside(), 5000)
    try:
        for family in 4, 6:
            assert pings(a, b.address(family)) and pings(b, a.address(family))
            for kind in "tcp", "udp":
                assert ask(a, kind, b.address(family), 5000)[0] == a.address(family), "with its own address, never masqueraded"
    finally:
        mirror.close()
    for named in b.address(4), "acme/db", b.id[:8]:
        told = one.picket("policy", "explain", "acme/api", named, "5000/tcp").stdout
        assert told.startswith("allowed\n") and "into   acme/db/db n2/" in told and "another node's" in told, told
        assert "live tables, compiled rule sets and evaluator agree" in told, told
    assert "live tables and documents DIFFER" not in one.picket("policy", "explain", "acme/db", "acme/api", "5000/tcp").stdout
    for family in 4, 6:
        with proving(one.tables, a.slot, EGRESS, "policy-denied"):
            assert not pings(a, c.address(family), QUICK), "of the other tenant's nothing is known here"
        with proving(two.tables, c.slot, EGRESS, "policy-denied"):
            assert not pings(c, a.address(family), QUICK)
    listed = nodes_of(one)
    assert (listed["n1"]["state"], listed["n2"]["state"], listed["n2"]["endpoints"]) == ("this", "live", 1)
    assert listed["n2"]["blocks"] == list(cluster.blocks(2)) and listed["n2"]["addresses"] == list(cluster.addresses(2))
    others = one.api("/v1/status")["others"]
    assert {key: others[key] for key in ("nodes", "stale", "silent", "endpoints", "refused", "tenants")} == \
        {"nodes": 1, "stale": 0, "silent": 0, "endpoints": 1, "refused": 0, "tenants": 1}
    wait_for(lambda: one.api("/v1/status")["state"] == "ok", lambda: one.api("/v1/status")["reasons"])
    assert "n2" in one.picket("node", "list").stdout
    policy = {"name": "no-db", "rules": [{"endpointSelector": {"matchLabels": {"job": "api"}},
                                          "egressDeny": [{"toEndpoints": [{"matchLabels": {"job": "db"}}]}]}], "namespace": "acme"}
    path = os.path.join(one.root, "no-db.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(policy, file)
    planned = json.loads(one.picket("policy", "plan", path, "-json", check=False).stdout)
    assert any(change["from"].startswith("acme/api/web ") and change["to"].startswith("acme/db/db n2/") and
               change["after"] == "denied" and change["connectionsCut"] for change in planned["changes"]), planned
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"expect": [{"from": "acme/api", "to": "acme/db", "port": "5000/tcp", "verdict": "allow"}]}, file)
    assert one.picket("policy", "test", path).returncode == 0
    suggested = one.picket("policy", "suggest", "-namespace", "acme").stdout
    assert '"nomad:job": "db"' in suggested and '"nomad:job": "api"' in suggested, suggested
    one.policy("p.json", policy)
    wait_for(lambda: not pings(a, b.address(4), QUICK), "a policy that names what the other node says of it")
    assert one.picket("policy", "explain", "acme/api", "acme/db", "icmp:echo-request", check=False).returncode == 1


def test_a_node_that_lives_and_does_not_answer(cluster):
    """What one of them answers is lost on its way, to Consul all is well: both say so, no route goes, and it ends by itself."""
    one, two = cluster.nodes
    start(cluster)

    def reach(node, other):
        return nodes_of(node).get(other, {}).get("reach")

    for node, other in (one, "n2"), (two, "n1"):
        wait_for(lambda n=node, o=other: reach(n, o) == "up" and nodes_of(n)[o]["lastRoundTripMs"], "an answer", 60)
        assert nodes_of(node)[other]["roundTripMs"] > 0 and nodes_of(node)[other]["reachSince"]
    assert " ms " in one.picket("node", "list").stdout and reach(one, "n1") is None
    wait_for(lambda: len(routes(one)) == 2, "routes")
    four, six = cluster.addresses(1)
    two.run(["ip", "route", "add", "blackhole", f"{four}/32"])
    wait_for(lambda: nodes_of(one)["n2"]["probesLost"], "one that is lost", 60)
    two.run(["ip", "-6", "route", "add", "blackhole", f"{six}/128"])
    for node, other in (one, "n2"), (two, "n1"):
        wait_for(lambda n=node, o=other: reach(n, o) == "silent", lambda n=node: f"silence {nodes_of(n)}", 60)
        wait_for(lambda n=node, o=other: f"node {o} lives and doesn't answer this one" in str(n.reasons("cluster")), "the reason")
        assert nodes_of(node)[other]["state"] == "live" and node.api("/v1/status")["others"]["silent"] == 1
        assert 'picket_nodes{state="silent"} 1' in node.api_text("/metrics")
    assert len(routes(one)) == 2, "no question changes a route; the other node's own way is cut"
    two.run(["ip", "-6", "route", "del", "blackhole", f"{six}/128"])     # one family is enough
    for node, other in (one, "n2"), (two, "n1"):
        wait_for(lambda n=node, o=other: reach(n, o) == "up", lambda n=node: f"its return {nodes_of(n)}", 60)
    two.run(["ip", "route", "del", "blackhole", f"{four}/32"])
    for node in one, two:
        wait_for(lambda n=node: not n.reasons("cluster"), lambda n=node: n.reasons("cluster"))


REJECT = """
table inet fw {{
    chain {hook} {{ type filter hook {hook} priority 0; udp dport 33434 counter {how}; }}
}}
"""


@pytest.mark.parametrize("how", ["admin-prohibited", "port-unreachable", "host-unreachable"])
def test_a_firewall_that_refuses_answers(cluster, how):
    """Whatever it calls it, it speaks in its node's name."""
    one, two = cluster.nodes
    two.run(["nft", "-f", "-"], stdin=REJECT.format(hook="input", how=f"reject with icmpx type {how}"))
    start(cluster)
    wait_for(lambda: nodes_of(one).get("n2", {}).get("reach") == "up", lambda: nodes_of(one), 60)
    assert "packets 0" not in two.run(["nft", "list", "table", "inet", "fw"]).stdout, "it was asked"


def test_a_router_that_refuses_is_no_answer(routed):
    """Nothing of it is the other node's word."""
    one, _ = routed.nodes
    routed.fabric.node.run(["nft", "-f", "-"], stdin=REJECT.format(hook="forward", how="reject"))
    try:
        start(routed)
        wait_for(lambda: nodes_of(one).get("n2", {}).get("reach") == "silent", lambda: nodes_of(one), 60)
    finally:
        routed.fabric.node.run(["nft", "delete", "table", "inet", "fw"])


def test_another_tenants_is_denied_where_it_arrives(cluster):
    """A node that lets anything out: the other end's verdict holds."""
    one, two = cluster.nodes
    start(cluster)
    a, c = one.add("acme", "api", "web"), two.add("other", "x", "x")
    opened = {"rules": [{"endpointSelector": {"matchLabels": {"nomad:namespace": "acme"}},
                         "egress": [{"toEndpoints": [{"matchLabels": {"nomad:namespace": "other"}}]}]}]}
    one.policy("open.json", opened)
    wait_for(lambda: one.tables.count("remote") == 2, "a tenant that a policy names is asked for", 90)
    for node in one, two:
        wait_for(lambda: len(routes(node)) == 2, lambda: f"{node.name}'s routes: {routes(node)}", 90)
    with proving(two.tables, c.slot, INGRESS, "policy-denied"):
        assert not pings(a, c.address(4), QUICK)
    two.policy("open.json", {"rules": [{"endpointSelector": {"matchLabels": {"nomad:namespace": "other"}},
                                        "ingress": [{"fromEndpoints": [{"matchLabels": {"nomad:namespace": "acme"}}]}]}]})
    wait_for(lambda: pings(a, c.address(4), QUICK), "both ends' word", 90)


def test_a_stranger_in_the_fabric_is_nobody(cluster):
    """A host of the segment that writes an endpoint's address, before a flow and on a live one."""
    one, two = cluster.nodes
    start(cluster)
    a, b = one.add("acme", "api", "web"), two.add("acme", "db", "db")
    knows(one, 2)
    knows(two, 2)
    assert pings(a, b.address(4)) and pings(a, b.address(6))
    stranger = cluster.stranger(9)
    for family, prefix in (4, "32"), (6, "128"):
        stranger.run(["ip", "addr", "add", f"{b.address(family)}/{prefix}", "dev", "lo", *(["nodad"] if family == 6 else [])])
        stranger.run(["ip", f"-{family}", "route", "replace", cluster.blocks(1)[family == 6], "via", cluster.addresses(1)[family == 6]])
        with proving(one.tables, a.slot, INGRESS, "spoofed-remote"):
            assert stranger.run(["ping", "-c", "1", "-W", str(QUICK), "-I", b.address(family), a.address(family)],
                                check=False).returncode
    assert pings(a, b.address(4)) and pings(b, a.address(6)), "who is in their place is"


def test_behind_routers(routed):
    """Nodes whose networks are joined by a router: routes by the gateway; nobody else's are touched."""
    one, two = routed.nodes
    one.run(["ip", "route", "add", "10.99.0.0/24", "via", routed.gateways(1)[0], "proto", "static"])
    start(routed)
    a, b = one.add("acme", "api", "web"), two.add("acme", "db", "db")
    knows(one, 2)
    knows(two, 2)
    assert routes(one) == dict(zip(routed.blocks(2), routed.gateways(1)))
    assert pings(a, b.address(4)) and pings(b, a.address(6))
    one.run(["ip", "route", "del", routed.blocks(2)[0], "proto", "112"])
    wait_for(lambda: len(routes(one)) == 2, "a route that went to be there again")
    one.write_config(routed.config(one, fabric="none"))
    one.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: "fabric can't change (routed to none)" in str(one.reasons("config")), lambda: one.api("/v1/status")["reasons"])
    assert pings(a, b.address(4)) and pings(b, a.address(6)) and len(routes(one)) == 2, "while an endpoint lives it goes on as it was"
    one.write_config(routed.config(one, consul=None))
    one.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: not one.reasons("config"), "a node without its store")
    one.write_config(routed.config(one, consul=None, fabric="none"))
    one.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: "fabric can't change (routed to none)" in str(one.reasons("config")), "nor may it in two steps")
    one.write_config(routed.config(one, fabric="none"))
    one.delete(a)
    wait_for(lambda: not one.api("/v1/endpoints")["endpoints"], "its end")
    one.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: not routes(one) and one.tables.count("remote") == 0, "a node that is alone to know nobody", 90)
    wait_for(lambda: "n1" not in nodes_of(two) and two.tables.count("remote") == 0, "nobody to know it: it takes back what it said", 90)
    assert routed.consul.get("status/nodes/n1")["version"] == 1, "it reports all the same"
    a = one.add("acme", "api", "web")
    assert not pings(a, b.address(4), QUICK)
    assert one.json(["ip", "-j", "route", "show", "10.99.0.0/24"]), "somebody else's"


def test_more_tenants_than_are_asked_for(cluster):
    """It is said while it is so, and what lives here comes first."""
    one, two = cluster.nodes
    start(cluster)
    a, b = one.add("acme", "api", "web"), two.add("acme", "db", "db")
    knows(one, 2)
    knows(two, 2)
    names = [f"t{i}" for i in range(64)]
    one.policy("many.json", {"tier": "operator", "rules": [{"endpointSelector": {}, "egress": [{"toEndpoints": [
        {"matchExpressions": [{"key": "nomad:namespace", "operator": "In", "values": names}]}]}]}]})
    found = wait_for(lambda: [r for r in one.reasons("cluster") if "more than 64 tenants" in r["text"]], lambda: one.api("/v1/status")["reasons"])
    assert "spread the tenants" in found[0]["fix"] and one.api("/v1/status")["others"]["tenants"] == 64
    assert one.tables.count("remote") == 2 and pings(b, a.address(4))
    one.policy("many.json", None)
    wait_for(lambda: one.api("/v1/status")["state"] == "ok" and one.api("/v1/status")["others"]["tenants"] == 1, lambda: one.api("/v1/status"))


def test_outages(cluster):
    """Consul, and another node's controller: what is known stays, and says since when it is stale."""
    one, two = cluster.nodes
    start(cluster)
    a, b = one.add("acme", "api", "web"), two.add("acme", "db", "db")
    knows(one, 2)
    knows(two, 2)
    cluster.consul.kill()
    wait_for(lambda: one.api("/v1/status")["state"] == "degraded", "status says it", 90)
    assert pings(a, b.address(4)) and pings(b, a.address(6))
    one.kill_picketd()
    one.start_picketd(cluster.config(one))
    assert one.tables.count("remote") == 2 and pings(a, b.address(4)) and len(routes(one)) == 2, "from what is stored"
    assert nodes_of(one)["n2"]["state"] == "stale"
    cluster.consul.start()
    for node in cluster.nodes:
        wait_for(lambda: node.api("/v1/status")["state"] == "ok", f"{node.name} to be well without a restart", 90)
    wait_for(lambda: nodes_of(one)["n2"]["state"] == "live", "n2 is live", 90)
    two.kill_picketd()
    key = f"/v1/kv/{cluster.consul.prefix}nodes/n2"
    session = json.loads(cluster.consul.ask("GET", key))[0]["Session"]
    cluster.consul.ask("PUT", f"/v1/session/destroy/{session}")	# what its time to live does within two minutes
    wait_for(lambda: nodes_of(one)["n2"]["state"] == "stale" and nodes_of(one)["n2"]["since"], "n2 to be stale", 90)
    assert one.tables.count("remote") == 2 and pings(a, b.address(4)) and len(routes(one)) == 2, "silent isn't gone"
    two.start_picketd(cluster.config(two))
    wait_for(lambda: nodes_of(one)["n2"]["state"] == "live", "n2 to be live", 90)
    assert pings(a, b.address(4))


def test_a_reload_of_the_files_directory_alone(cluster, tmp_path):
    """What asks Consul and what writes there go on by it: both nodes' next endpoints, a document, and this node's word of it."""
    one, two = cluster.nodes
    start(cluster)
    a, b = one.add("acme", "api", "web"), two.add("acme", "db", "db")
    knows(one, 2)
    knows(two, 2)
    for name in "first", "second":
        os.mkdir(tmp_path / name)
        reload(one, cluster.config(one, policies={"directory": str(tmp_path / name)}))
    assert one.api("/v1/config")["config"]["policies.directory"]["value"] == str(tmp_path / "second")
    two.add("acme", "more", "more")
    knows(one, 4)
    one.add("acme", "more", "more")
    knows(two, 4)
    assert pings(a, b.address(4)) and pings(b, a.address(6))
    said = cluster.consul.get("status/nodes/n1")
    cluster.consul.put("policies/operator/none", NOBODY)
    wait_for(lambda: not pings(b, a.address(4), QUICK), "the document", 90)
    wait_for(lambda: cluster.consul.get("status/nodes/n1") not in (None, said), "its word of the document", 90)
    wait_for(lambda: nodes_of(one)["n1"]["policy"] == "current", lambda: nodes_of(one), 90)
    assert one.kill_picketd(signal.SIGTERM) == 0


def test_what_ends_answers_nothing(cluster):
    """An endpoint that is deleted, and one that comes to its address on another tenant's word."""
    one, two = cluster.nodes
    start(cluster)
    a, b, c = one.add("acme", "api", "web"), two.add("acme", "db", "db"), two.add("acme", "two", "two")
    knows(one, 4)
    knows(two, 2)
    assert pings(a, b.address(4)) and pings(a, c.address(4))
    address = b.address(4)
    two.delete(b)
    assert not pings(a, address, QUICK), "at once, whatever the other node knows"
    knows(one, 2)
    with proving(one.tables, a.slot, EGRESS, "policy-denied"):
        assert not pings(a, address, QUICK)
    two.delete(c)
    wait_for(lambda: one.tables.count("remote") == 0, "its entries are gone", 90)
    wait_for(lambda: "tenants/acme/n2" not in cluster.consul.told(), "and it is said", 90)


def test_a_lying_node_speaks_for_itself_alone(cluster):
    """Whoever writes below another name in Consul: no address of others, no tenant of others, no block of others."""
    one, two = cluster.nodes
    start(cluster)
    a, b = one.add("acme", "api", "web"), two.add("acme", "db", "db")
    knows(one, 2)
    knows(two, 2)
    liar = {"version": 1, "number": 1, "blocks": ["10.64.9.0/24", "10.64.2.0/25", "10.64.1.0/24", "8.8.8.0/24"], "addresses": ["192.0.2.99"]}
    cluster.consul.put("nodes/liar", liar)

    def endpoint(tenant, *addresses, generation=2 ** 40):
        return {"id": "x@eth0", "generation": generation, "addresses": addresses,
                "labels": json.dumps([f"nomad:namespace={tenant}"], separators=(",", ":"))}

    cluster.consul.put("tenants/acme/liar", {"version": 1, "number": 1, "endpoints": [
        endpoint("acme", b.address(4)), endpoint("acme", "10.64.9.7"), endpoint("acme", a.address(4)), endpoint("acme", "8.8.8.8")]})
    wait_for(lambda: one.tables.count("remote") == 3, "the one that is its own to say", 90)
    wait_for(lambda: [nodes_of(one)["liar"][key] for key in ("blocks", "endpoints", "refused")] == [["10.64.9.0/24"], 1, 6],
             lambda: nodes_of(one)["liar"])
    wait_for(lambda: sorted(routes(one)) == ["10.64.2.0/24", "10.64.9.0/24", "fd64:2::/64"], "and no other part of the world")
    reasons = [r for r in one.api("/v1/status")["reasons"] if r["what"] == "cluster"]
    assert reasons and "liar" in reasons[0]["text"] and "range" in reasons[0]["fix"], reasons
    assert pings(a, b.address(4))
    cluster.consul.put("nodes/liar", {**liar, "number": 2, "blocks": ["10.64.9.0/24"]})
    cluster.consul.put("tenants/acme/liar", {"version": 1, "number": 2, "endpoints": [endpoint("other", "10.64.9.7")]})
    wait_for(lambda: "another tenant" in (nodes_of(one)["liar"]["why"] or ""), "who speaks of another tenant isn't heard", 90)
    cluster.consul.put("tenants/acme/liar", {"version": 2, "number": 3, "endpoints": [], "new": 1})
    wait_for(lambda: "version" in (nodes_of(one)["liar"]["why"] or ""), "nor who speaks another version", 90)
    cluster.consul.put("tenants/acme/liar", {"version": 1, "number": 4, "endpoints": [], "new": 1})
    wait_for(lambda: one.tables.count("remote") == 2, "a key that isn't known is passed over", 90)


def test_clusters_that_share_a_consul(cluster):
    """Of one tenant and one Consul, under two names: neither hears a word of the other's."""
    one, two = cluster.nodes
    one.start_picketd(cluster.config(one), wait=False)
    two.start_picketd(cluster.config(two, cluster=cluster.name + "-other"))
    one.picketd_serves()
    for node in one, two:
        node.add("acme", "api", "web")
    other = f"picket/v1/{cluster.name}-other/"
    wait_for(lambda: json.loads(cluster.consul.ask("GET", f"/v1/kv/{other}?keys")) and
             f"{other}tenants/acme/n2" in json.loads(cluster.consul.ask("GET", f"/v1/kv/{other}?keys")), "n2's word, in its own cluster", 60)
    wait_for(lambda: "tenants/acme/n1" in cluster.consul.keys(), "n1's", 60)
    assert not [key for key in cluster.consul.keys() if key.endswith("/n2")]
    cluster.consul.put("policies/operator/deny", {"rules": [{"endpointSelector": {}, "egressDeny": [{"toCIDR": ["203.0.113.0/24"]}]}]})
    wait_for(lambda: "deny" in one.picket("policy", "list").stdout, "its document", 60)
    for node in one, two:
        wait_for(lambda node=node: node.api("/v1/status")["state"] == "ok", lambda node=node: node.api("/v1/status")["reasons"], 60)
        assert set(nodes_of(node)) == {node.name} and node.tables.count("remote") == 0 and not routes(node)
    assert "deny" not in two.picket("policy", "list", check=False).stdout


def test_consul_that_lost_its_data(cluster):
    """Nobody's entries go because a store was wiped; each writes its own again."""
    one, two = cluster.nodes
    start(cluster)
    a, b = one.add("acme", "api", "web"), two.add("acme", "db", "db")
    knows(one, 2)
    knows(two, 2)
    cluster.consul.kill()
    two.kill_picketd()
    shutil.rmtree(cluster.consul.data)
    cluster.consul.start()
    wait_for(lambda: "tenants/acme/n1" in cluster.consul.keys(), "n1's word again", 180)
    assert one.tables.count("remote") == 2 and pings(a, b.address(4)), "n2 says nothing, and stays"
    wait_for(lambda: nodes_of(one)["n2"]["state"] == "held" and one.api("/v1/status")["state"] == "degraded", "the hold", 120)	# a question for a later index waits a minute
    assert [r for r in one.api("/v1/status")["reasons"] if r["what"] == "cluster" and "release consul" in (r["fix"] or "")]
    one.picket("policy", "release", "consul")
    wait_for(lambda: one.tables.count("remote") == 0, "the operator's word", 90)
