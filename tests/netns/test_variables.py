# SPDX-License-Identifier: Apache-2.0
"""Nomad's Variables as the store: documents of operators and tenants, and what becomes of them."""
import json
import signal

import pytest
from harness.shell import wait_for

DENY = {"tier": "operator", "rules": [{"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["all"]}]}]}
DENY_DB = {"rules": [{"endpointSelector": {"matchLabels": {"nomad:job": "db"}}, "ingress": [{}]}]}
BACK_S = 90     # until a store that was replaced is heard: the list waits for 20 s


def config(nomad, **more):
    return {"nomad": {"address": nomad.address, "node": nomad.node}, "store": "nomad", **more}


def policies(node):
    return {f"{p['source']}/{p['name']}": p for p in node.api("/v1/policies")["policies"]}


def in_force(node):
    return {name for name, p in policies(node).items() if p["inForce"]}


def held(node):
    return {name for name, p in policies(node).items() if p["state"] == "held"}


def source(node):
    return next(s for s in node.api("/v1/status")["sources"] if s["name"] == "variables")


def reasons(node):
    return json.dumps(node.api("/v1/status")["reasons"])


def start(node, nomad, tenant="acme"):
    """With an endpoint of a tenant, whose documents are asked for then."""
    node.start_picketd(config(nomad))
    endpoint = node.add(tenant, "db", "db")
    nomad.put(endpoint.id, tenant, "db", "db")
    wait_for(lambda: source(node)["state"] == "ok", lambda: f"{source(node)} {node.log()[-2000:]}", 60)
    return endpoint


def test_documents_come_change_and_go(node, nomad):
    """Of the operators and of a tenant, each from its own namespace."""
    nomad.put_document("operator/deny", DENY)
    nomad.put_document("tenants/acme/db", DENY_DB)
    nomad.put_document("tenants/other/db", DENY_DB)
    nomad.set_variable("policies/operator/evil", {"document": json.dumps(DENY)}, "acme")
    nomad.set_variable("policies/tenants/acme/evil", {"document": json.dumps(DENY_DB)}, "other")
    start(node, nomad)
    wait_for(lambda: in_force(node) == {"nomad/operator/deny", "nomad/tenant/acme/db"}, lambda: f"both {policies(node)}", 60)
    assert policies(node)["nomad/tenant/acme/db"]["path"] == "nomad:picket/v1/default/policies/tenants/acme/db"
    wait_for(lambda: "of namespace acme" in reasons(node), "who writes in another's place is named", 90)
    before = policies(node)["nomad/tenant/acme/db"]["sha"]
    nomad.put_document("tenants/acme/db", {"rules": 2 * DENY_DB["rules"]})
    wait_for(lambda: (p := policies(node)["nomad/tenant/acme/db"])["sha"] != before and p["inForce"], "the change", 60)
    nomad.put_document("tenants/acme/db", None)
    wait_for(lambda: in_force(node) == {"nomad/operator/deny"}, "one that is deleted", 60)
    node.kill_picketd()
    node.start_picketd(config(nomad))
    assert in_force(node) == {"nomad/operator/deny"}


def test_what_became_of_a_document_is_told(node, nomad):
    nomad.put_document("tenants/acme/db", DENY_DB)
    nomad.put_document("tenants/acme/bad", "{ broken")
    start(node, nomad)

    def told(name):
        found = [v for (namespace, path), v in list(nomad.variables.items())
                 if namespace == "acme" and path.startswith(f"picket/v1/default/status/tenants/acme/{name}/")]
        return found and json.loads(found[0]["Items"]["value"])

    wait_for(lambda: told("db") and told("bad") and told("bad")["state"] == "refused", lambda: f"{nomad.variables}", 60)
    nomad.put_document("tenants/acme/bad", None)
    wait_for(lambda: not told("bad"), "it goes with its document", 60)


def test_the_first_of_two_addresses_is_dead(node, nomad):
    """It is left once; what is asked after a good answer doesn't go there again."""
    nomad.put_document("operator/deny", DENY)
    node.start_picketd({"nomad": {"address": ["http://127.0.0.1:1", nomad.address], "node": nomad.node}, "store": "nomad"})
    wait_for(lambda: in_force(node) == {"nomad/operator/deny"} and node.api("/v1/status")["state"] == "ok", lambda: reasons(node), 60)
    failed = node.log().count("127.0.0.1 port 1 ")
    assert failed
    for i in range(3):
        nomad.put_document(f"operator/n{i}", DENY)
        wait_for(lambda: f"nomad/operator/n{i}" in in_force(node), lambda: node.log()[-2000:], 60)
    assert node.log().count("127.0.0.1 port 1 ") == failed


def test_a_variable_without_a_document(node, nomad):
    nomad.set_variable("policies/operator/x", {"text": "{}"})
    start(node, nomad)
    entry = wait_for(lambda: policies(node).get("nomad/operator/x"), lambda: f"{policies(node)}", 60)
    assert entry["state"] == "refused" and "no item" in json.dumps(entry), entry


def test_what_the_token_may_not_see_is_no_absence(node, nomad):
    nomad.put_document("operator/deny", DENY)
    nomad.put_document("tenants/acme/db", DENY_DB)
    start(node, nomad)
    both = {"nomad/operator/deny", "nomad/tenant/acme/db"}
    wait_for(lambda: in_force(node) == both, "both", 60)
    nomad.unseen.add("acme")
    nomad.wake()
    wait_for(lambda: "may not read" in reasons(node) and "capabilities" in reasons(node), lambda: f"what it may not {reasons(node)}", 60)
    assert in_force(node) == both
    nomad.unseen.clear()
    nomad.wake()
    wait_for(lambda: source(node)["state"] == "ok", "all is well again", 60)
    nomad.token = "x"
    nomad.wake()
    wait_for(lambda: source(node)["state"] == "stale", "a token that is revoked", 60)
    assert in_force(node) == both


@pytest.mark.parametrize("writes", (False, True))
def test_a_restored_snapshot_is_held(node, nomad, writes):
    """Its index goes back; or somebody writes meanwhile, and a text in force is older than it was."""
    nomad.put_document("operator/one", DENY)
    before = nomad.snapshot()
    nomad.put_document("operator/one", {**DENY, "rules": 2 * DENY["rules"]})
    for name in "two", "three":
        nomad.put_document(f"operator/{name}", DENY)
    start(node, nomad)
    all_three = {f"nomad/operator/{name}" for name in ("one", "two", "three")}
    wait_for(lambda: in_force(node) == all_three, "all three", 60)
    sha = policies(node)["nomad/operator/one"]["sha"]
    nomad.restore(before)
    if writes:
        nomad.wake()
    wait_for(lambda: "older" in reasons(node), lambda: f"an older history {reasons(node)}", BACK_S)
    assert in_force(node) == all_three and policies(node)["nomad/operator/one"]["sha"] == sha
    node.picket("policy", "release", "nomad")
    wait_for(lambda: in_force(node) == {"nomad/operator/one"}, "the operator's word", 60)


def test_many_that_go_at_once_are_held(node, nomad):
    for i in range(4):
        nomad.put_document(f"operator/n{i}", DENY)
    start(node, nomad)
    wait_for(lambda: len(in_force(node)) == 4, "all four", 60)
    with nomad.changed:
        nomad.variables.clear()
    nomad.wake()
    wait_for(lambda: len(held(node)) == 4, lambda: f"{policies(node)}", 60)
    assert "picket policy release nomad" in reasons(node)


def test_a_tenant_over_its_budget_keeps_what_it_had(node, nomad):
    nomad.put_document("operator/deny", DENY)
    nomad.put_document("tenants/acme/db", DENY_DB)
    start(node, nomad)
    wait_for(lambda: len(in_force(node)) == 2, "both", 60)
    with nomad.changed:
        for i in range(400):
            nomad.variables["acme", f"picket/v1/default/policies/tenants/acme/n{i}"] = \
                {"Items": {"document": "{}"}, "CreateIndex": 50 + i, "ModifyIndex": 50 + i}
        nomad.index = 500
    nomad.wake()
    wait_for(lambda: "more than 256 keys" in reasons(node), lambda: f"{reasons(node)}", 60)
    nomad.put_document("operator/more", DENY)
    wait_for(lambda: in_force(node) == {"nomad/operator/deny", "nomad/operator/more", "nomad/tenant/acme/db"},
             "others are as they were", 60)


def fill(nomad, keys):
    """keys: (namespace, path below the cluster's) that somebody writes at once."""
    with nomad.changed:
        for n, (namespace, path) in enumerate(keys):
            nomad.variables[namespace, f"picket/v1/default/{path}"] = \
                {"Items": {"value": "{}"}, "CreateIndex": 50 + n, "ModifyIndex": 50 + n}
        nomad.index = 200000
    nomad.wake()


def test_tenants_with_many_keys_cost_nobody_else_theirs(node, nomad):
    nomad.put_document("operator/deny", DENY)
    start(node, nomad)
    wait_for(lambda: in_force(node) == {"nomad/operator/deny"}, "the document", 60)
    fill(nomad, ((f"a{t}", f"policies/tenants/a{t}/n{i}") for t in range(270) for i in range(250)))
    nomad.put_document("operator/more", DENY)
    wait_for(lambda: in_force(node) == {"nomad/operator/deny", "nomad/operator/more"}, lambda: f"{policies(node)}", 90)


def test_a_list_with_too_many_keys_is_no_word(node, nomad):
    """None is passed over, which would seem to be gone."""
    nomad.put_document("operator/deny", DENY)
    start(node, nomad)
    wait_for(lambda: in_force(node) == {"nomad/operator/deny"}, "the document", 60)
    fill(nomad, (("default", f"blocks/x{i}") for i in range(65536)))
    wait_for(lambda: "more than 65536 variables" in reasons(node), lambda: reasons(node), 90)
    assert in_force(node) == {"nomad/operator/deny"}


@pytest.mark.parametrize("mode", ("hang", "cut", 500, 429))
def test_an_outage_changes_nothing(node, nomad, mode):
    nomad.put_document("operator/deny", DENY)
    start(node, nomad)
    wait_for(lambda: in_force(node) == {"nomad/operator/deny"}, "the document", 60)
    nomad.set_mode(mode)
    if mode != "hang":
        nomad.wake()
        wait_for(lambda: source(node)["state"] == "stale", lambda: f"{source(node)}", 60)
    assert in_force(node) == {"nomad/operator/deny"}
    nomad.set_mode("ok")
    nomad.put_document("operator/more", DENY)
    wait_for(lambda: "nomad/operator/more" in in_force(node), "what came meanwhile", 90)


def test_another_store_is_the_operators_word(node, nomad, consul):
    """Each store's documents are its own: a change of "store" takes the first one's away, and the second's come."""
    consul.put("operator/one", DENY)
    nomad.put_document("operator/two", DENY)
    node.start_picketd({**config(nomad), "store": "consul", "consul": {"address": consul.address}})
    wait_for(lambda: in_force(node) == {"consul/operator/one"}, lambda: f"{policies(node)}", 60)
    node.write_config({**config(nomad), "consul": {"address": consul.address}})
    node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: in_force(node) == {"nomad/operator/two"}, lambda: f"{policies(node)}", 60)
    node.kill_picketd()
    node.start_picketd({**config(nomad), "consul": {"address": consul.address}})
    assert in_force(node) == {"nomad/operator/two"}
