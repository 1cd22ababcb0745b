# SPDX-License-Identifier: Apache-2.0
"""
Three nodes under one real Nomad and Consul, by certificates and the policies that are shipped: what a drain moves is fenced where it comes, and
gone where it was; each right is needed, and none is too wide; a node that is purged, and one that comes back with what it knew.
"""
import contextlib
import json
import os

import pytest
from harness.fabric import routes
from harness.secured_cluster import rules_of
from harness.servers import pings
from harness.shell import TREE, wait_for
from harness.tenants import Tenants

QUICK = 1	# seconds of silence that are taken for a denial
COUNTS = {"acme": 2, "beta": 3}	# allocations of each tenant
JOB = os.path.join(TREE, "tests/e2e/app.nomad.hcl")
OVERLAY = pytest.mark.parametrize("fleet", ["vxlan"], indirect=True)	# the other fabric has its turn in test_soak.py


def all_reach(allocs, seconds=90):
    for a in allocs.values():
        for b in allocs.values():
            if a is not b:
                wait_for(lambda a=a, b=b: pings(a, b.address(4), QUICK) and pings(a, b.address(6), QUICK), "a tenant to reach its own", seconds)


def none_reaches(allocs, others):
    for a in allocs.values():
        for b in others.values():
            assert not pings(a, b.address(4), QUICK) and not pings(b, a.address(6), QUICK), "tenants are apart"


def node_id(fleet, node):
    return next(n["ID"] for n in fleet.get("/v1/nodes") if n["Name"] == node.name)


def jobs(fleet):
    """Both tenants' allocations, one a node: whichever test of the file is the first begins them."""
    for tenant, count in COUNTS.items():
        if not fleet.answer(f"/v1/job/app?namespace={tenant}"):
            fleet.cli("namespace", "apply", tenant)
            fleet.run_job(JOB, namespace=tenant, count=count)
    return [fleet.running(tenant, "app", count) for tenant, count in COUNTS.items()]


def end_drain(fleet, node):
    fleet.cli("node", "drain", "-disable", "-yes", node_id(fleet, node))
    fleet.cli("node", "eligibility", "-enable", node_id(fleet, node))


@OVERLAY
def test_a_drain(fleet):
    """An alloc moves: its old address answers nothing, at once; who talks to it learns the new one; other tenants never, and no frame crosses."""
    acme, beta = jobs(fleet)
    with contextlib.ExitStack() as undo, contextlib.closing(Tenants(fleet, pause=0.1)) as tenants:
        for tenant, allocs in ("acme", acme), ("beta", beta):
            for alloc in allocs.values():
                tenants.add(alloc, tenant)
        all_reach(acme)
        all_reach(beta)
        none_reaches(acme, beta)
        for node in fleet.nodes:
            wait_for(lambda node=node: all(e["confirmed"] == "yes" for e in node.api("/v1/endpoints")["endpoints"]), "Nomad's word on each", 60)
            assert not [n for n in node.api("/v1/nodes")["nodes"] if n["refused"]] and "Nomad doesn't say" not in node.log()
        left, stays = sorted(acme.values(), key=lambda a: a.node.name)
        free, = [node for node in fleet.nodes if node.name not in acme]
        old = left.address(4), left.address(6)
        tenants.drop(left)
        tenants.drop(beta[left.node.name])
        undo.callback(end_drain, fleet, left.node)
        fleet.drain(left.node)
        wait_for(lambda: left.endpoint() is None, "the end of what moves", 120)
        assert not pings(stays, old[0], QUICK) and not pings(stays, old[1], QUICK), "at once, whoever knows of it still"
        acme = fleet.running("acme", "app", 2)
        assert set(acme) == {stays.node.name, free.name} and acme[stays.node.name].id == stays.id
        tenants.add(acme[free.name], "acme")
        all_reach(acme)
        beta = fleet.running("beta", "app", 2)	# its third one has no other node to go to
        all_reach(beta)
        none_reaches(acme, beta)
        wait_for(lambda: left.node.api("/v1/endpoints")["endpoints"] == [], "nothing on the node that is drained", 60)
        for node in fleet.nodes:
            wait_for(lambda node=node: not [n for n in node.api("/v1/nodes")["nodes"] if n["name"] == left.node.name and n["endpoints"]],
                     "nobody to know anything there", 60)
    assert tenants.crossed == [] and tenants.within and tenants.sent > 100


# What picketd says where one of the rules of examples/acl/consul-picket.hcl is not its token's, or of nomad-picket.hcl.
LACKS = {
    ("consul", 'key_prefix "picket/"'): "lacks permission 'key:read' on \"picket/v1/default/policies/",
    ("consul", 'key_prefix "picket/v1/default/status/"'): 'key_prefix "picket/v1/default/status/" { policy = "write" }',
    ("consul", 'key_prefix "picket/v1/default/nodes/"'): "lacks permission 'key:write' on \"picket/v1/default/nodes/",
    ("consul", 'key_prefix "picket/v1/default/tenants/"'): "lacks permission 'key:write' on \"picket/v1/default/tenants/",
    ("consul", 'key_prefix "picket/v1/default/blocks/"'): 'key_prefix "picket/v1/default/blocks/" { policy = "write" }',
    ("consul", 'session_prefix ""'): "give picketd's token the rights that examples/acl lists",
    ("nomad", "node"): "status 403",
    ("nomad", 'namespace "*"'): "read-job",
}
# Of services, which test_secured.py declares.
ELSEWHERE = {("consul", 'service_prefix ""'), ("consul", 'node_prefix ""')}


def restart(fleet, node):
    node.kill_picketd()
    node.start_picketd(fleet.config(node))


def is_well(node):
    wait_for(lambda: node.api("/v1/status")["state"] == "ok", lambda: f"{node.name} to be well: {node.api('/v1/status')['reasons']}", 120)


def said(node, since):
    return "\n".join([*(f"{r['text']} {r['fix']}" for r in node.api("/v1/status")["reasons"]), node.log()[since:].replace('\\"', '"')])


@OVERLAY
def test_each_right_is_needed(fleet):
    """Without it picketd says which one lacks; with it again all is well, without a restart."""
    rules = {(program, name): rule for program in ("consul", "nomad") for name, rule in rules_of(f"{program}-picket").items()}
    assert set(LACKS) | ELSEWHERE == set(rules), "each rule that is shipped"
    node = next(iter(jobs(fleet)[0].values())).node
    for (program, name), text in LACKS.items():
        others = "\n".join(rule for key, rule in rules.items() if key[0] == program and key != (program, name))
        fleet.give_tokens(node, **{program: others})
        if "blocks" in name:	# a claim that is there is only read
            for key in fleet.consul.keys("blocks/"):
                if fleet.consul.get(key)["node"] == node.name:
                    fleet.consul.ask("DELETE", f"/v1/kv/{fleet.consul.prefix}{key}")
        if "tenants" in name:	# likewise a share that is as it was
            for key in fleet.consul.keys("tenants/"):
                if key.endswith(f"/{node.name}"):
                    fleet.consul.ask("DELETE", f"/v1/kv/{fleet.consul.prefix}{key}")
        since = len(node.log())
        try:
            restart(fleet, node)
            wait_for(lambda text=text, since=since: text in said(node, since), lambda name=name, since=since: f"without {name}: {said(node, since)}", 90)
        finally:
            fleet.give_tokens(node)
        is_well(node)


def writes(fleet, token, *keys):
    """Those that Consul lets this token write."""
    return {key for key in keys if fleet.consul.status(token, "PUT", f"/v1/kv/{fleet.consul.prefix}{key}", b"{}") == 200}


def puts(fleet, token, *paths):
    """The same of Nomad's Variables; each with its namespace."""
    return {(namespace, path) for namespace, path in paths
            if fleet.status(token, "PUT", f"/v1/var/picket/v1/default/{path}?namespace={namespace}", {"Items": {"value": "{}"}}) == 200}


@OVERLAY
def test_no_right_is_too_wide(fleet):
    """Who may write where: nodes their words, operators all documents, a tenant his own; nobody what is another's."""
    tokens = {name: fleet.consul.token(f"wide-{name}", "\n".join(rules_of(f"consul-{name}").values())) for name in ("picket", "operator", "tenant")}
    words, documents = {"nodes/x", "tenants/acme/x", "blocks/10.64.250.0_24", "status/nodes/x"}, {"policies/operator/x", "policies/tenants/beta/x", "history/operator/log/x"}
    own = {"policies/tenants/acme/x", "history/tenants/acme/log/x"}
    allowed = {"picket": words, "operator": documents | own, "tenant": own}
    for name, token in tokens.items():
        assert writes(fleet, token, *words, *documents, *own, "x", "../other/nodes/x") == allowed[name], name
        for verb, path, body in ("PUT", "/v1/catalog/register", b'{"Node": "x", "Address": "192.0.2.1"}'), ("PUT", "/v1/agent/service/register", b'{"Name": "x"}'), \
                ("GET", "/v1/acl/tokens", None), ("PUT", "/v1/kv/picket/v1/other/nodes/x", b"{}"), ("GET", "/v1/kv/somebody/elses", None), \
                ("DELETE", "/v1/kv/picket/?recurse", None):
            assert fleet.consul.status(token, verb, path, body) == 403, (name, path)
        assert fleet.consul.status(token, "PUT", "/v1/session/create", b"{}") == (200 if name == "picket" else 403)
    for key in words | documents | own:
        fleet.consul.ask("DELETE", f"/v1/kv/{fleet.consul.prefix}{key}")

    def nomads(*names):
        return fleet.nomad_token(f"wide-{names[-1]}", "\n".join(rule for name in names for rule in rules_of(f"nomad-{name}").values()))
    words, documents = {("default", f"{part}/x") for part in ("nodes", "tenants/acme", "blocks", "status/nodes")} | {("acme", "status/tenants/acme/x/n")}, {("default", "policies/operator/x"), ("default", "history/operator/x")}
    own = {("acme", "policies/tenants/acme/x"), ("acme", "history/tenants/acme/x")}
    allowed = {"picket": set(), "store": words, "operator": documents, "tenant": own}
    ident = node_id(fleet, fleet.nodes[0])
    alloc, job = next(iter(jobs(fleet)[0].values())).id, fleet.get("/v1/job/app?namespace=acme")
    for name, may in allowed.items():
        token = nomads(name)
        assert puts(fleet, token, *words, *documents, *own, ("beta", "policies/tenants/beta/x"), ("default", "x")) == may, name
        for verb, path in ("POST", "/v1/jobs"), ("DELETE", "/v1/job/app?namespace=acme"), ("POST", f"/v1/node/{ident}/drain"), \
                ("POST", f"/v1/node/{ident}/purge"), ("POST", f"/v1/allocation/{alloc}/stop?namespace=acme"), ("GET", "/v1/acl/tokens"), ("GET", "/v1/agent/self"):
            assert fleet.status(token, verb, path, {"Job": job, "NodeID": ident, "DrainSpec": {"Deadline": 1}} if verb == "POST" else None) == 403, (name, path)
    for namespace, path in words | documents | own:
        fleet.ask("DELETE", f"/v1/var/picket/v1/default/{path}?namespace={namespace}")


def a_week_passes(node):
    """What it had claimed counted for a day after its picketd was last there."""
    path = os.path.join(node.root, "var/lib/picket/node.json")
    with open(path, encoding="utf-8") as file:
        settings = json.load(file)
    settings["claimed"]["until"] -= 7 * 86400
    with open(path, "w", encoding="utf-8") as file:
        json.dump(settings, file)


@OVERLAY
def test_a_node_that_is_purged_and_comes_back(fleet):
    """Its blocks and words go by the operator's two commands; a week later its block is another's, and it takes a new one before it says or hands out anything."""
    beta = jobs(fleet)[1]
    gone = next(n for n in fleet.nodes if n.name in beta)
    others = [n for n in fleet.nodes if n is not gone]
    had, ident = fleet.blocks_of(gone), node_id(fleet, gone)
    # What its tenants were told of documents that another test wrote goes by its own hand.
    wait_for(lambda: not [key for key in fleet.consul.keys() if key.startswith("status/tenants/")], "no word of a tenant's documents")
    fleet.agents.pop(gone.name)
    gone.kill_picketd()
    gone.stop_all()		# the machine is off
    wait_for(lambda: fleet.get(f"/v1/node/{ident}")["Status"] == "down", "Nomad to miss it", 120)
    fleet.post(f"/v1/node/{ident}/purge", {})
    fleet.cli("system", "gc")
    assert ident not in {n["ID"] for n in fleet.get("/v1/nodes")}
    done = others[0].picket("node", "remove", "-force", gone.name)
    assert "2 blocks rest" in done.stdout, done
    assert not [key for key in fleet.consul.keys() if key.split("/")[-1] == gone.name]
    assert all("returned" in fleet.consul.get(f"blocks/{block.replace('/', '_')}") for block in had)
    for node in others:
        wait_for(lambda node=node: gone.name not in {n["name"] for n in node.api("/v1/nodes")["nodes"]}, f"{node.name} to forget it", 60)
        wait_for(lambda node=node: not had & set(routes(node)), lambda node=node: f"their routes to go from {node.name}: {routes(node)}")
    two = fleet.running("beta", "app", 2)
    all_reach(two)
    for block in had:
        fleet.consul.put(f"blocks/{block.replace('/', '_')}", {"version": 1, "number": 2 ** 50, "node": others[0].name, "machine": "x"})
    a_week_passes(gone)
    gone.start()
    fleet.rejoin(gone)
    fleet.start_client(gone)
    wait_for(fleet.clients_ready, lambda: f"its client\n{fleet.log(gone.name)}", 120)
    gone.start_picketd(fleet.config(gone))
    beta = fleet.running("beta", "app", 3)
    all_reach(beta)
    now = fleet.blocks_of(gone)
    assert len(now) == 2 and not now & had and not set(fleet.consul.get(f"nodes/{gone.name}")["blocks"]) & had
    own = [beta[gone.name].address(4), beta[gone.name].address(6)]
    wait_for(lambda: [e["addresses"] for e in gone.api("/v1/endpoints")["endpoints"]] == [own], "its old endpoints to be gone", 90)
