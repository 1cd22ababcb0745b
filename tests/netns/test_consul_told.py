# SPDX-License-Identifier: Apache-2.0
"""A tenant who has a Consul key and nothing else learns there what became of his documents."""
import json
import time

from fake.consul import STATUS
from harness.shell import wait_for

ALLOW = {"rules": [{"endpointSelector": {}, "ingress": [{}]}]}
TO_HOST = {"rules": [{"endpointSelector": {}, "egress": [{"toEntities": ["host"]}, {"toCIDR": ["169.254.169.254/32"]}]}]}


def start(node, consul, more=None, **keys):
    node.start_picketd({"nomad": None, "consul": {"address": consul.address, **keys}, **(more or {})})


def name_of(node):
    return node.api("/v1/status")["node"]


def test_each_document_has_its_own_word(node, consul):
    consul.put("tenants/acme/good", ALLOW)
    consul.put("tenants/acme/bad", {"rules": [{"endpointSelector": {}, "ingres": [{}]}]})
    consul.put("tenants/acme/host", TO_HOST)
    consul.put("tenants/other/x", ALLOW)
    consul.put("operator/o", ALLOW)
    start(node, consul)
    node.add("acme", "api", "web")
    me = name_of(node)
    told = wait_for(lambda: len(w := consul.written("acme")) == 3 and {v["enforced"] for v in w.values() if v["inForce"]} == {"yes"} and w,
                    "all three")
    assert set(told) == {f"good/{me}", f"bad/{me}", f"host/{me}"} and not consul.written("other"), "this node hosts acme alone"
    good, bad, host = (told[f"{n}/{me}"] for n in ("good", "bad", "host"))
    assert (good["state"], good["inForce"], good["enforced"], good["errors"], good["node"]) == ("active", True, "yes", [], me)
    assert bad["state"] == "refused" and not bad["inForce"] and bad["errors"][0]["line"] == 1, bad
    assert "ingres" in bad["errors"][0]["path"] and "ingress" in bad["errors"][0]["fix"], bad
    assert host["state"] == "unresolved" and [u["text"].split(":")[0] for u in host["unresolved"]] == \
        ["opens nothing to host", "opens nothing to 169.254.169.254/32"], host
    listed = {p["name"]: p for p in node.api("/v1/policies")["policies"]}
    assert listed["host"]["state"] == "unresolved" and "tenantReach" in listed["host"]["warnings"][0]["text"]
    assert "unresolved" in node.picket("policy", "list").stdout
    consul.put("tenants/acme/bad", ALLOW)
    wait_for(lambda: (bad := consul.written("acme")[f"bad/{me}"])["state"] == "active" and bad["enforced"] == "yes", "the mended one")
    consul.remove("tenants/acme/good")
    wait_for(lambda: f"good/{me}" not in consul.written("acme"), "nothing of one that is gone")
    wait_for(lambda: {p["enforced"] for p in node.api("/v1/policies")["policies"]} ==
             {v["enforced"] for v in consul.written("acme").values()} == {"yes"}, "what is left to be enforced, and told so")
    before = len(consul.changes)
    consul.put("tenants/acme/last", ALLOW)
    wait_for(lambda: f"last/{me}" in consul.written("acme"), "the last one")
    assert {key.split("/")[-2] for _verb, key in consul.changes[before:]} == {"last"}, "only what changed is written"
    assert not {key for _verb, key in consul.changes if not key.startswith(STATUS + "tenants/acme/")}


def test_the_operators_reach_opens_it(node, consul):
    consul.put("tenants/acme/host", TO_HOST)
    start(node, consul, {"tenantReach": ["host", "169.254.0.0/16"]})
    node.add("acme", "api", "web")
    me = name_of(node)
    told = wait_for(lambda: consul.written("acme").get(f"host/{me}"), "its word")
    assert told["state"] == "active" and not told["unresolved"] and not told["warnings"], told


def test_a_token_that_may_not_write(node, consul):
    consul.may_write = False
    for i in range(5):
        consul.put(f"tenants/acme/d{i}", ALLOW)
    start(node, consul)
    node.add("acme", "api", "web")
    wait_for(lambda: "can't be written below" in node.log(), "the log's line")
    consul.put("tenants/acme/d0", TO_HOST)
    wait_for(lambda: [p for p in node.api("/v1/policies")["policies"] if p["state"] == "unresolved"], "the change")
    time.sleep(4)
    assert len(consul.changes) == 1 and node.log().count("can't be written below") == 1, consul.changes
    assert "key_prefix" in node.log() and node.api("/v1/status")["state"] == "ok"


def test_it_is_bounded(node, consul):
    """In size and in rate, whatever a tenant writes."""
    wrong = {"rules": [{"endpointSelector": {}, f"wrong{i}": "x" * 200} for i in range(60)]}
    for i in range(8):
        consul.put(f"tenants/acme/d{i}", wrong)
    for i in range(300):
        consul.put(f"tenants/many/d{i}", ALLOW)
    start(node, consul)
    begun = time.monotonic()
    node.add("acme", "api", "web")
    node.add("many", "api", "web")
    me = name_of(node)
    wait_for(lambda: len(consul.written("acme")) == 8 and consul.written("many"), "all", 60)
    took = time.monotonic() - begun
    assert took > 3, "no more than one a second after the first ones"
    assert max(len(json.dumps(v)) for v in consul.written("acme").values()) < 16384
    assert consul.written("acme")[f"d0/{me}"]["moreErrors"] > 0
    over, = consul.written("many").values()
    assert over["state"] == "refused" and "256" in over["why"], over
    begun, writes = time.monotonic(), len(consul.changes)
    for i in range(20):
        consul.put("tenants/acme/d0", ALLOW if i % 2 else wrong)
        time.sleep(0.2)
    assert len(consul.changes) - writes <= 2 + (time.monotonic() - begun) / 10, "one key, every 10 s"


def test_what_an_earlier_picketd_wrote_goes_with_its_document(node, consul):
    consul.put("tenants/acme/a", ALLOW)
    consul.put("tenants/acme/b", ALLOW)
    start(node, consul)
    node.add("acme", "api", "web")
    me = name_of(node)
    wait_for(lambda: len(consul.written("acme")) == 2, "both")
    node.kill_picketd()
    with consul.changed:
        consul.keys[f"{STATUS}tenants/acme/b/another-node"] = "{}"
    consul.remove("tenants/acme/b")
    start(node, consul)
    wait_for(lambda: set(consul.written("acme")) == {f"a/{me}", "b/another-node"}, "its own alone")


def test_switched_off(node, consul):
    consul.put("tenants/acme/a", ALLOW)
    start(node, consul, status=False)
    node.add("acme", "api", "web")
    wait_for(lambda: node.api("/v1/policies")["policies"], "the document")
    time.sleep(3)
    assert not consul.changes
