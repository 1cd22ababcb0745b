# SPDX-License-Identifier: Apache-2.0
"""picketd beside agents that want a client's certificate and a token: real ones, the shipped ACL policies."""
import json
import os

import pytest

from harness import Node, NodeOptions, wait_for
from harness.secured import CONSUL_NAMES, NOMAD_NAMES, Secured
from harness.shell import TREE
from harness.tls import Authority
from harness.ways import nomad_and_consul

POLICY = '{"tier": "operator", "rules": [{"endpointSelector": {}, "egressDeny": [{"toCIDR": ["192.0.2.0/24"]}]}]}'


@pytest.fixture(scope="module")
def secured():
    nomad, consul = nomad_and_consul()
    with Node("node1", NodeOptions()) as node:
        agents = Secured(node, nomad, consul)
        agents.start()
        agents.cli("consul", "kv", "put", "picket/v1/default/policies/operator/deny-all", POLICY)
        prepare(agents)
        yield agents


def prepare(agents):
    """A token of each for picketd, by the shipped rules."""
    agents.ids, agents.files = {}, {}
    for name in ("nomad", "consul"):
        agents.files[name] = os.path.join(agents.node.root, f"etc/{name}.token")
        rotate(agents, name)


def rotate(agents, name):
    """A new token in the file, as Vault's agent writes one."""
    agents.ids[name], secret = agents.picket_token(
        name, os.path.join(TREE, f"examples/acl/{name}-picket.hcl"))
    with open(agents.files[name] + ".new", "w", encoding="utf-8") as file:
        file.write(secret)
    os.rename(agents.files[name] + ".new", agents.files[name])


def config(agents, **changes):
    """Both sources with all that they want; changes: of a source, or a key for both."""
    tls = {"caFile": agents.authority.ca, "certFile": agents.cert, "keyFile": agents.key}
    sources = {"nomad": {"address": agents.nomad_address, "serverName": NOMAD_NAMES[0],
                         "node": agents.node.name, **tls},
               "consul": {"address": agents.consul_address, "serverName": CONSUL_NAMES[0], **tls}}
    for name, source in sources.items():
        source["tokenFile"] = agents.files[name]
        source.update({k: v for k, v in changes.items() if k not in sources})
        source.update(changes.get(name, {}))
    return sources


@pytest.fixture
def picketd(secured):
    """picketd(config, env): a picketd that ends with the test."""
    node = secured.node

    def start(settings, **env):
        return node.start_picketd(settings, env=dict(os.environ, **env))

    yield start
    if node.picketd:
        node.kill_picketd()


def both_answer(node):
    wait_for(lambda: all(node.source(n)["state"] == "ok" for n in ("nomad", "consul")),
             lambda: f"both agents' answers: {node.api('/v1/status')['sources']}", 120)
    assert [p["name"] for p in node.api("/v1/policies")["policies"]] == ["deny-all"]


def reason(node, name, part, timeout=120):
    """The status' reason about a source, once it has this part."""
    def found():
        return next((r for r in node.api("/v1/status")["reasons"]
                     if r["what"] == name and part in r["text"]), None)
    return wait_for(found, lambda: f"{part!r} of {name}: {node.api('/v1/status')['reasons']}", timeout)


def test_certificates_and_tokens(secured, picketd):
    picketd(config(secured))
    both_answer(secured.node)
    found = json.loads(secured.node.picket("check", "-json", check=False).stdout)
    assert any(c["what"] == "nomad" and "not yet noticed network cni/picket" in c["text"] for c in found), found


def test_without_a_client_certificate(secured, picketd):
    picketd(config(secured, certFile=None, keyFile=None))
    for name in ("nomad", "consul"):
        assert "certFile" in reason(secured.node, name, "client certificate")["fix"]


def test_another_authority(secured, picketd, tmp_path):
    picketd(config(secured, caFile=Authority(str(tmp_path)).ca))
    for name in ("nomad", "consul"):
        assert "caFile" in reason(secured.node, name, "certificate")["fix"]


def test_a_certificate_for_another_name(secured, picketd):
    picketd(config(secured, serverName=None))
    for name in ("nomad", "consul"):
        assert "serverName" in reason(secured.node, name, "certificate")["fix"]


def test_a_file_that_is_not_there(secured, picketd):
    picketd(config(secured, keyFile="/nowhere.key"))
    for name in ("nomad", "consul"):
        reason(secured.node, name, "/nowhere.key: No such file")


def test_what_the_agents_own_tools_read(secured, picketd):
    env = {**secured.environment("nomad"), **secured.environment("consul")}
    env["CONSUL_HTTP_TOKEN_FILE"] = secured.files["consul"]
    with open(secured.files["nomad"], encoding="utf-8") as file:
        env["NOMAD_TOKEN"] = file.read()
    picketd({"nomad": {"node": secured.node.name}}, **env)
    both_answer(secured.node)


def test_the_next_address_and_a_socket(secured, picketd):
    dead = "https://127.0.0.1:1"
    picketd(config(secured, nomad={"address": [dead, dead, secured.nomad_address]},
                   consul={"address": [dead, f"unix://{secured.socket}"]}))
    both_answer(secured.node)


def test_by_an_IPv6_address_and_the_certificates_name(secured, picketd):
    """No certificate names an address: who it is says `serverName`."""
    picketd(config(secured, nomad={"address": "https://[::1]:4646"}, consul={"address": "https://[::1]:8501"}))
    both_answer(secured.node)


RIGHTS = {"consul": 'key_prefix "picket/" { policy = "read" }',
          "nomad": 'node { policy = "read" }\nnamespace "default" { capabilities = ["list-jobs", "read-job"] }'}
LACKS = {"consul": "may not see all of its instances; fix: service_prefix", "nomad": "fix: read-job in the service's namespace"}


@pytest.mark.parametrize("more", ["", 'service_prefix "" { policy = "read" }'], ids=["neither", "not-the-nodes"])
def test_services_with_a_token_that_lacks_a_right(secured, picketd, tmp_path, more):
    """It says which one. What may not be seen isn't taken for none, and with the right it counts."""
    node = secured.node
    secured.cli("nomad", "namespace", "apply", "infra")
    secured.cli("consul", "services", "register", "-name=pg", "-id=pg-1", "-address=10.9.0.5", "-port=5432")
    services = [{"name": name, "catalog": name, **({"namespace": "infra"} if name == "nomad" else {}), "within": ["10.9.0.0/24"], "tenants": ["acme"]}
                for name in RIGHTS]
    services[0]["name"] = "pg"
    for name, rules in RIGHTS.items():
        (tmp_path / name).write_text(f"{rules}\n{more if name == 'consul' else ''}", encoding="utf-8")
    poor = {"consul": secured.policy_token(f"poor-{bool(more)}", str(tmp_path / "consul"))}
    secured.cli("nomad", "acl", "policy", "apply", "poor", str(tmp_path / "nomad"))
    poor["nomad"] = json.loads(secured.cli("nomad", "acl", "token", "create", "-type=client", "-policy=poor", "-json").stdout)["SecretID"]
    for name, secret in poor.items():
        with open(secured.files[name], "w", encoding="utf-8") as file:
            file.write(secret)

    def of(name):
        return next(s for s in node.api("/v1/services")["services"] if s["catalog"] == name)
    node.policy("pg.json", {"namespace": "acme", "rules": [{"endpointSelector": {}, "egress": [
        {"toServices": [{"name": "pg"}, {"name": "nomad", "namespace": "infra"}]}]}]})
    alloc = node.add("acme", "api", "web")
    try:
        picketd({**config(secured), "services": services})
        for name, said in LACKS.items():
            wait_for(lambda n=name, s=said: s in (of(n)["lastError"] or ""), lambda n=name: f"what lacks: {of(n)}", 60)
            assert not of(name)["counts"]
        for name in RIGHTS:
            rotate(secured, name)
        wait_for(lambda: of("consul")["counts"] == 1 and of("nomad")["state"] == "ok", lambda: f"both: {of('consul')} {of('nomad')}", 120)
    finally:
        for name in RIGHTS:
            rotate(secured, name)
        node.policy("pg.json", None)
        node.delete(alloc)


def test_a_tenant_with_his_own_rights_alone_learns_what_became_of_his_document(secured, picketd):
    """The shipped rules of both: picketd may write it, the tenant may read it, and nothing of another's."""
    token = secured.policy_token("picket-acme", os.path.join(TREE, "examples/acl/consul-tenant.hcl"))
    node = secured.node
    below = "picket/v1/default/{}/tenants/acme/"
    before = len(node.log())	# of picketds whose tokens lacked rights
    picketd(config(secured))
    both_answer(node)
    alloc = node.add("acme", "api", "web")
    wrong = '{"rules": [{"endpointSelector": {}, "ingres": [{}]}]}'
    secured.cli("consul", "kv", "put", below.format("policies") + "mine", wrong, token=token)
    key = f"{below.format('status')}mine/{node.api('/v1/status')['node']}"

    def told():
        done = secured.cli("consul", "kv", "get", key, token=token, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {}
    found = wait_for(told, "its word", 120)
    assert found["state"] == "refused" and "ingress" in found["errors"][0]["fix"], found
    secured.cli("consul", "kv", "put", below.format("policies") + "mine", wrong.replace("ingres", "ingress"), token=token)
    wait_for(lambda: told().get("state") == "active" and told()["enforced"] == "yes", "the mended one", 120)
    for argv in (("put", key, "forged"), ("get", key.replace("acme", "other")), ("delete", key)):
        done = secured.cli("consul", "kv", *argv, token=token, check=False)
        assert done.returncode and ("Permission denied" in done.stderr or "No key" in done.stderr), (argv, done)
    secured.cli("consul", "kv", "delete", below.format("policies") + "mine", token=token)
    wait_for(lambda: not told(), "nothing of one that is gone", 120)
    assert "can't be written" not in node.log()[before:]
    node.delete(alloc)


def test_documents_are_written_with_the_rights_of_the_examples(secured, picketd, tmp_path):
    """By the real transactions, ACLs and TLS: the operator's and a tenant's own, and nothing of another's."""
    node = secured.node
    operator = secured.policy_token("picket-operator", os.path.join(TREE, "examples/acl/consul-operator.hcl"))
    tenant = secured.policy_token("picket-acme", os.path.join(TREE, "examples/acl/consul-tenant.hcl"))
    deny, mine = str(tmp_path / "fleet-deny.json"), str(tmp_path / "own.json")
    with open(deny, "w", encoding="utf-8") as file:
        file.write(POLICY)
    with open(mine, "w", encoding="utf-8") as file:
        file.write('{"rules": [{"endpointSelector": {}, "ingress": [{}]}]}')
    token_file = str(tmp_path / "token")

    def policy(token, *words):
        with open(token_file, "w", encoding="utf-8") as file:
            file.write(token + "\n")
        env = {**os.environ, **secured.environment("consul"), "CONSUL_HTTP_TOKEN_FILE": token_file}
        return node.picket("policy", *words, check=False, env=env)

    picketd(config(secured))
    both_answer(node)
    assert "fleet-deny: created" in policy(operator, "apply", "-consul", deny).stdout
    assert "own: created" in policy(tenant, "apply", "-consul", "-namespace", "acme", mine).stdout
    wait_for(lambda: any(p["name"] == "fleet-deny" for p in node.api("/v1/policies")["policies"]), "the document on the node", 30)
    for token, namespace in ((tenant, ()), (tenant, ("-namespace", "other")), ("00000000-0000-0000-0000-000000000001", ())):
        done = policy(token, "apply", "-consul", *namespace, mine)
        assert done.returncode == 2 and "fix: " in done.stderr and \
            ("Permission denied" in done.stderr or "ACL not found" in done.stderr), done
    # A change by Consul's own tool in between is seen by its index.
    key = "picket/v1/default/policies/tenants/acme/own"
    before = json.loads(policy(tenant, "list", "-consul", "-namespace", "acme", "-json").stdout)[0]["index"]
    secured.cli("consul", "kv", "put", key, '{"rules": []}', token=tenant)
    assert json.loads(policy(tenant, "list", "-consul", "-namespace", "acme", "-json").stdout)[0]["index"] > before
    assert "own: changed" in policy(tenant, "apply", "-consul", "-namespace", "acme", mine).stdout
    # Consul says who it was; a tenant finds his own past, and nobody else's.
    rows = json.loads(policy(tenant, "history", "-namespace", "acme", "own", "-json").stdout)
    assert [r["verb"] for r in rows] == ["apply", "found", "apply"] and rows[0]["accessor"] and rows[1]["by"] is None, rows
    assert rows[0]["accessor"] != json.loads(policy(operator, "history", "fleet-deny", "-json").stdout)[0]["accessor"]
    for words in (("history",), ("list", "-consul")):
        done = policy(tenant, *words)
        assert done.returncode == 2 and "hides keys" in done.stderr and 'policy = "read"' in done.stderr, done
    assert "own: changed" in policy(tenant, "rollback", "-namespace", "acme", "own").stdout
    # The longest document that is promised fits into Consul's transaction.
    with open(mine, "a", encoding="utf-8") as file:
        file.write(" " * (385024 - file.tell()))
    assert "own: created" in policy(operator, "apply", "-consul", mine).stdout
    # One act after the other: the node takes what goes at one moment for one loss, and holds it.
    for token, words, left in ((tenant, ("-namespace", "acme", "own"), 3), (operator, ("own", "fleet-deny"), 1)):
        done = policy(token, "delete", "-consul", *words)
        assert done.returncode == 0, done
        wait_for(lambda left=left: len(node.api("/v1/policies")["policies"]) == left, lambda: node.api("/v1/policies"))
    env = secured.environment("consul")
    done = node.picket("policy", "list", "-consul", check=False, env={**os.environ, **env, "CONSUL_CACERT": secured.cert})
    assert done.returncode == 2 and "CONSUL_CACERT" in done.stderr, done
    without = {k: v for k, v in env.items() if "CLIENT" not in k}
    done = node.picket("policy", "list", "-consul", check=False, env={**os.environ, **without})
    assert done.returncode == 2 and "CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY" in done.stderr, done


def test_a_rollout_with_the_rights_of_the_examples(secured, picketd, tmp_path):
    """picketd reports under its session, the operator reads it; a tenant reads no other's name there, and writes nothing."""
    node, below = secured.node, "picket/v1/default/status/nodes/"
    before = len(node.log())
    operator = secured.policy_token("picket-operator", os.path.join(TREE, "examples/acl/consul-operator.hcl"))
    tenant = secured.policy_token("picket-acme", os.path.join(TREE, "examples/acl/consul-tenant.hcl"))
    document = str(tmp_path / "rolled-out.json")
    with open(document, "w", encoding="utf-8") as file:
        file.write(POLICY)

    def policy(token, *words):
        env = {**os.environ, **secured.environment("consul"), "CONSUL_HTTP_TOKEN": token}
        return node.picket("policy", *words, check=False, env=env)

    picketd(config(secured))
    both_answer(node)
    done = policy(operator, "apply", "-consul", "-wait", "90s", document)
    assert done.returncode == 0 and "1 of 1 nodes enforce it" in done.stderr, done
    row, = json.loads(policy(operator, "rollout", "-json").stdout)["nodes"]
    assert row["state"] == "current" and row["node"] == node.api("/v1/status")["node"]
    done = policy(tenant, "rollout", "-namespace", "acme")
    assert done.returncode == 2 and "no live node says" in done.stderr and row["node"] not in done.stdout, done
    for verb, *more in ("put", "{}"), ("delete",):
        assert "Permission denied" in secured.cli("consul", "kv", verb, below + row["node"], *more, token=tenant, check=False).stderr
    done = policy(operator, "delete", "-consul", "-wait", "90s", "rolled-out")
    assert done.returncode == 0 and "can't be written" not in node.log()[before:], done


def test_nomad_is_asked_where_other_nodes_tenants_run(secured, picketd):
    """With the rights of the examples; a node that Nomad has placed nothing on isn't believed, though it may write the key."""
    node, root = secured.node, "picket/v1/forged/"
    range_, label = ["10.64.0.0/16"], '["nomad:namespace=ghosts"]'
    share = {"version": 1, "number": 1, "endpoints": [
        {"id": "c@eth0", "generation": 5, "labels": label, "ports": {}, "addresses": ["10.64.9.9"]}]}
    word = {"version": 1, "number": 1, "blocks": ["10.64.9.0/24"], "addresses": ["192.0.2.9"]}
    picketd({**config(secured), "cluster": "forged", "fabric": "routed", "blocks": {"range": range_}})
    node.policy("ghosts.json", {"rules": [{"endpointSelector": {}, "egress": [
        {"toEndpoints": [{"matchLabels": {"nomad:namespace": "ghosts"}}]}]}]})
    for key, value in ("nodes/ghost", word), ("tenants/ghosts/ghost", share):
        secured.cli("consul", "kv", "put", root + key, json.dumps(value))

    def ghost():
        return next((n for n in node.api("/v1/nodes")["nodes"] if n["name"] == "ghost"), {})
    wait_for(lambda: ghost().get("why") == "Nomad has no allocation of ghosts on it", ghost, 120)
    assert ghost()["endpoints"] == 0 and ghost()["blocks"] == ["10.64.9.0/24"] and "Nomad doesn't say" not in node.log()
    node.policy("ghosts.json", None)
    secured.cli("consul", "kv", "delete", "-recurse", root)


# A task of the host's network whose service Nomad has in its own catalogue, at an address of the operator's.
DATABASE = """
job "db" {
  namespace = "infra"
  group "db" {
    service {
      name     = "db"
      provider = "nomad"
      port     = "5432"
      address  = "10.9.1.5"
    }
    task "db" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["infinity"]
      }
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
"""
SERVICES = [{"name": "pg", "within": ["10.9.0.0/24"], "tenants": ["acme"]},
            {"name": "db", "catalog": "nomad", "namespace": "infra", "within": ["10.9.1.0/24"], "tenants": ["acme"]}]
TO_SERVICES = {"namespace": "acme", "rules": [{"endpointSelector": {}, "egress": [
    {"toServices": [{"name": "pg"}, {"name": "db", "namespace": "infra"}], "toPorts": [{"ports": [{"port": "5432"}]}]}]}]}


@pytest.fixture(name="registered")
def registered_fixture(secured, tmp_path):
    """An instance in each catalogue, and an endpoint of acme whose policy names both services."""
    node, path = secured.node, str(tmp_path / "db.nomad.hcl")
    with open(path, "w", encoding="utf-8") as file:
        file.write(DATABASE)
    # What the agent takes out of the catalogue it takes out by a token of its own.
    secured.cli("consul", "acl", "set-agent-token", "default", secured.tokens["consul"])
    secured.cli("nomad", "namespace", "apply", "infra")
    secured.cli("nomad", "job", "run", "-detach", path)
    secured.cli("consul", "services", "register", "-name=pg", "-id=pg-1", "-address=10.9.0.5", "-port=5432")
    node.policy("services.json", TO_SERVICES)
    yield
    node.policy("services.json", None)
    secured.cli("nomad", "job", "stop", "-purge", "-namespace=infra", "db", check=False)
    for name in "pg-1", "pg-2":
        secured.cli("consul", "services", "deregister", f"-id={name}", check=False)


def service(node, name):
    found, = [s for s in node.api("/v1/services")["services"] if s["name"] == name]
    return found


def added(secured, picketd, settings):
    """An endpoint of acme, once both agents have answered: before that Nomad's version isn't known, nor whether its arguments count."""
    picketd(settings)
    node = secured.node
    wait_for(lambda: all(node.source(n)["state"] == "ok" for n in ("nomad", "consul")), lambda: node.api("/v1/status")["sources"], 120)
    return node.add("acme", "api", "web")


def counts(node, name, *addresses):
    wait_for(lambda: {i["address"] for i in service(node, name)["instances"] if i["state"] == "counts"} == set(addresses),
             lambda: f"{name} at {addresses}: {service(node, name)}", 120)


def explain(node, alloc, address):
    return node.picket("policy", "explain", alloc.id[:8], f"world:{address}", "5432/tcp", check=False)


def opens(node, alloc, address):
    return explain(node, alloc, address).returncode == 0


def test_declared_services_with_the_rights_of_the_examples(secured, picketd, registered):
    """Both catalogues, over TLS; what comes and goes there opens and closes, and nothing beside it."""
    node = secured.node
    alloc = added(secured, picketd, {**config(secured), "services": SERVICES})
    counts(node, "pg", "10.9.0.5")
    counts(node, "db", "10.9.1.5")
    wait_for(lambda: opens(node, alloc, "10.9.0.5") and opens(node, alloc, "10.9.1.5"),
             lambda: "".join(str(explain(node, alloc, address)) for address in ("10.9.0.5", "10.9.1.5")), 60)
    assert not opens(node, alloc, "10.9.0.6") and not opens(node, alloc, "10.9.1.6")
    secured.cli("consul", "services", "register", "-name=pg", "-id=pg-2", "-address=10.9.0.6", "-port=5432")
    counts(node, "pg", "10.9.0.5", "10.9.0.6")
    secured.cli("consul", "services", "deregister", "-id=pg-1")
    counts(node, "pg", "10.9.0.6")
    wait_for(lambda: opens(node, alloc, "10.9.0.6") and not opens(node, alloc, "10.9.0.5"), "the one that is left", 60)
    assert node.reasons("services") == [] and all(s["state"] == "ok" for s in node.api("/v1/services")["services"])
    node.delete(alloc)


def test_a_token_that_is_revoked_and_replaced(secured, picketd):
    """It is said while every question waits, before any of them ends after its minute; and so is that another one is good."""
    node = secured.node
    picketd(config(secured))
    both_answer(node)
    secured.cli("nomad", "acl", "token", "delete", secured.ids["nomad"])
    secured.cli("consul", "acl", "token", "delete", f"-accessor-id={secured.ids['consul']}")
    for name in ("nomad", "consul"):
        assert "tokenFile" in reason(node, name, "status 403", 30)["fix"]
    assert [p["inForce"] for p in node.api("/v1/policies")["policies"]] == [True], "what it said stays"
    for name in ("nomad", "consul"):
        rotate(secured, name)
    wait_for(lambda: all(node.source(n)["state"] == "ok" for n in ("nomad", "consul")), lambda: node.api("/v1/status")["sources"], 30)
    secured.cli("consul", "kv", "put", "picket/v1/default/policies/operator/another", POLICY)
    wait_for(lambda: len(node.api("/v1/policies")["policies"]) == 2, "what comes by the new one", 120)
    secured.cli("consul", "kv", "delete", "picket/v1/default/policies/operator/another")
    wait_for(lambda: len(node.api("/v1/policies")["policies"]) == 1, "its end", 120)


def test_a_token_that_is_replaced_and_then_revoked(secured, picketd):
    """As Vault does it: nobody is alarmed."""
    node = secured.node
    picketd(config(secured))
    both_answer(node)
    wait_for(lambda: node.source("consul")["index"] and node.source("nomad")["index"], "questions that wait")
    old, before = dict(secured.ids), len(node.log())
    for name in ("nomad", "consul"):
        rotate(secured, name)
    secured.cli("nomad", "acl", "token", "delete", old["nomad"])
    secured.cli("consul", "acl", "token", "delete", f"-accessor-id={old['consul']}")
    secured.cli("consul", "kv", "put", "picket/v1/default/policies/operator/another", POLICY)
    wait_for(lambda: len(node.api("/v1/policies")["policies"]) == 2, "what comes by the new one", 120)
    assert "isn't known any more" not in node.log()[before:]
    secured.cli("consul", "kv", "delete", "picket/v1/default/policies/operator/another")
    wait_for(lambda: len(node.api("/v1/policies")["policies"]) == 1, "its end", 120)
