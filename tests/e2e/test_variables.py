# SPDX-License-Identifier: Apache-2.0
"""A real Nomad with ACLs as the store, with the shipped policies: the operator's, a tenant's and picketd's own tokens."""
import json
import os

import pytest
from harness import Node, NodeOptions, wait_for
from harness.attach import attach, detach
from harness.nomad import peer
from harness.secured import NOMAD_NAMES, Secured
from harness.shell import TREE

DENY = {"tier": "operator", "rules": [{"endpointSelector": {}, "egressDeny": [{"toCIDR": ["192.0.2.0/24"]}]}]}


@pytest.fixture(scope="module")
def agents():
    nomad = peer("nomad")
    if not nomad:
        pytest.skip("no Nomad in PATH and no Go 1.26 to build one")
    with Node("node1", NodeOptions()) as node:
        made = Secured(node, nomad, None)
        made.start_nomad()
        made.bootstrap("nomad")
        made.cli("nomad", "namespace", "apply", "acme")
        yield made


def token(agents, *names):
    """(id, secret) of a new token with these files of examples/acl."""
    for name in names:
        agents.cli("nomad", "acl", "policy", "apply", name, os.path.join(TREE, f"examples/acl/{name}.hcl"))
    made = json.loads(agents.cli("nomad", "acl", "token", "create", "-type=client", f"-name={names[-1].split('-')[1]}",
                                 *(f"-policy={name}" for name in names), "-json").stdout)
    return made["AccessorID"], made["SecretID"]


def policies(node):
    return {f"{p['source']}/{p['name']}": p["state"] for p in node.api("/v1/policies")["policies"] if p["inForce"]}


def source(agents, path):
    """The key "nomad" of picketd.json; the token is in the file at path."""
    return {"address": agents.nomad_address, "serverName": NOMAD_NAMES[0], "node": agents.node.name, "tokenFile": path,
            "caFile": agents.authority.ca, "certFile": agents.cert, "keyFile": agents.key}


def with_token(agents, *names):
    """(path, id) of a new token's file."""
    path, (ident, secret) = os.path.join(agents.node.root, "etc/nomad.token"), token(agents, *names)
    with open(path, "w", encoding="utf-8") as file:
        file.write(secret)
    return path, ident


def parts(agents):
    """{path below the tenant: endpoints} of what this node says of it."""
    below = "picket/v1/default/tenants/acme/"
    found = agents.cli("nomad", "var", "list", "-out=json", below, check=False)
    paths = [v["Path"] for v in json.loads(found.stdout or "[]")] if found.returncode == 0 else []
    values = {path.removeprefix(below): json.loads(agents.cli("nomad", "var", "get", "-out=json", path).stdout) for path in paths}
    return {path: len(json.loads(value["Items"]["value"])["endpoints"]) for path, value in values.items()}


def test_a_share_in_several_variables(agents):
    """What Nomad refuses as one variable lies in more, by the shipped token; a restart knows them; what is left fits into one again."""
    node, own = agents.node, agents.node.name
    path, _ = with_token(agents, "nomad-picket", "nomad-store")
    settings = {"store": "nomad", "fabric": "routed", "blocks": {"range": ["10.40.0.0/16", "fd00:40::/32"]}, "nomad": source(agents, path)}
    node.start_picketd(settings)
    labels = [word for i in range(40) for word in ("-label", f"k{i:02}={120 * 'x'}")]
    made = [attach(node, f"vm{i}", "-tenant", "acme", "-mode", "process", *labels, "-label", f"own={i:050}") for i in range(14)]
    wait_for(lambda: len(parts(agents)) > 1 and sum(parts(agents).values()) == 14, lambda: f"{parts(agents)} {node.api('/v1/status')['reasons']}", 120)
    told = parts(agents)
    assert set(told) == {own, f"{own}/1"} and all(told.values()), told
    node.kill_picketd()
    for alloc in made[2:]:
        detach(node, alloc.id)
    node.start_picketd(settings)
    wait_for(lambda: parts(agents) in ({own: 2}, {own: 2, f"{own}/1": 0}), lambda: f"{parts(agents)} {node.log()[-1500:]}", 120)
    for alloc in made[:2]:
        detach(node, alloc.id)
    wait_for(lambda: not any(parts(agents).values()), lambda: parts(agents), 120)
    node.kill_picketd()


def test_documents_by_the_tokens_that_are_shipped(agents):
    """Written by compare-and-set with the operator's token; a tenant's may write its own place alone; a revoked one changes nothing."""
    node = agents.node
    path, own = with_token(agents, "nomad-picket", "nomad-store")
    node.start_picketd({"store": "nomad", "nomad": source(agents, path)})
    document = os.path.join(node.root, "deny.json")
    with open(document, "w", encoding="utf-8") as file:
        json.dump(DENY, file)

    def policy(*words, secret):
        return node.picket("policy", *words, check=False,
                           env={"PATH": os.environ["PATH"], **agents.environment("nomad"), "NOMAD_TOKEN": secret})

    def variables():
        return next(s for s in node.api("/v1/status")["sources"] if s["name"] == "variables")

    operator, tenant = token(agents, "nomad-operator")[1], token(agents, "nomad-tenant")[1]
    wait_for(lambda: variables()["state"] == "ok", lambda: f"{variables()} {node.log()[-2000:]}", 120)
    refused = policy("apply", "-nomad", document, secret=tenant)
    assert refused.returncode == 2 and not refused.stdout, refused
    done = policy("apply", "-nomad", document, secret=operator)
    assert done.returncode == 0 and "deny: created (nomad:picket/v1/default/policies/operator/deny)" in done.stdout, done
    wait_for(lambda: list(policies(node)) == ["nomad/operator/deny"], "the document", 60)
    assert "unchanged" in policy("apply", "-nomad", document, secret=operator).stdout
    assert "deny" in policy("list", "-nomad", secret=operator).stdout
    wait_for(lambda: policy("rollout", "-nomad", secret=operator).returncode == 0,
             lambda: f"{policy('rollout', '-nomad', secret=operator)}", 60)
    with open(document, "w", encoding="utf-8") as file:
        json.dump({"namespace": "acme", "rules": [{"endpointSelector": {}, "ingress": [{}]}]}, file)
    done = policy("apply", "-nomad", "-namespace", "acme", document, secret=tenant)
    assert done.returncode == 0, done

    def history(*words, secret):
        return [(r["verb"], r["by"], bool(r["accessor"])) for r in json.loads(policy("history", "-nomad", "-json", *words, secret=secret).stdout)]

    assert history(secret=operator) == [("apply", "operator", True)], "who it was is Nomad's word"
    done = policy("rollback", "-nomad", "-namespace", "acme", "deny", secret=tenant)
    assert done.returncode == 0 and "deny: deleted" in done.stdout, done
    assert [row[0] for row in history("-namespace", "acme", secret=tenant)] == ["rollback", "apply"]
    done = policy("rollback", "-nomad", "-namespace", "acme", "deny", secret=tenant)
    assert done.returncode == 0 and "deny: created" in done.stdout, done
    agents.cli("nomad", "acl", "token", "delete", own)
    wait_for(lambda: variables()["state"] == "stale" and "403" in (variables()["lastError"] or ""), lambda: f"{variables()}", 120)
    assert "nomad/operator/deny" in policies(node), "what was in force stays so"
    with_token(agents, "nomad-picket", "nomad-store")
    wait_for(lambda: variables()["state"] == "ok", lambda: f"{variables()}", 120)
    agents.stop("nomad")
    agents._agent("nomad", os.path.join(node.root, "etc/nomad.hcl"))
    wait_for(lambda: variables()["state"] == "ok" and policy("delete", "-nomad", "deny", secret=operator).returncode == 0,
             lambda: f"{variables()}", 120)
    wait_for(lambda: "nomad/operator/deny" not in policies(node), "that it is gone", 60)
    node.kill_picketd()
