# SPDX-License-Identifier: Apache-2.0
"""What other nodes say stays when Consul loses it or has no leader: a node with a Consul that others wrote to."""
import json

import pytest
from fake.consul import ROOT
from harness.shell import wait_for

NODES = f"/v1/kv/{ROOT}nodes/"
NOBODY = {"tier": "operator", "rules": [{"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["all"]}]}]}
ALONE = {"nomad": None, "fabric": "routed", "node": "n1", "blocks": {"range": ["10.64.0.0/16"]}}


def share(i, number, *addresses):
    """What node i says of acme's endpoints on it."""
    return {"version": 1, "number": number, "endpoints": [
        {"id": f"x{i}@eth0", "generation": 1, "labels": '["nomad:namespace=acme"]', "addresses": [a]} for a in addresses]}


def word(number, block):
    return {"version": 1, "number": number, "blocks": [block], "addresses": ["192.0.2.9"]}


@pytest.fixture(name="one")
def one_fixture(make_node, consul_of):
    """n1, which knows n2 and n3, and waits for more."""
    node = make_node("n1", pool=("10.64.1.0/24",), conf={"mode": "process"})
    consul = consul_of(node)
    consul.writable = ROOT
    for i in 2, 3:
        consul.say(f"nodes/n{i}", word(5, f"10.64.{i}.0/24"))
    node.start_picketd({**ALONE, "consul": {"address": consul.address}})
    wait_for(lambda: {"n1", "n2", "n3"} <= set(nodes(node)), "the others", 60)
    is_waiting(consul)
    return node, consul


def nodes(node):
    return {n["name"]: n for n in node.api("/v1/nodes")["nodes"]}


def is_waiting(consul):
    """It has heard all that there is, its own word too, and waits by the short question."""
    def waits():
        with consul.changed:
            index = consul.index_of(NODES)
        return ROOT + "nodes/n1" in consul.keys and consul.count(f"{NODES[:-1]}?keys=true&separator=/&stale=true&index={index}&")
    wait_for(waits, "picketd's next question", 60)


def held(node):
    return {name for name, n in nodes(node).items() if n["state"] == "held"}


def test_the_first_of_two_addresses_is_dead(make_node, consul_of):
    """The session is asked for and renewed at the next one, and this node's key is written there."""
    node = make_node("n1", pool=("10.64.1.0/24",), conf={"mode": "process"})
    consul = consul_of(node)
    consul.writable = ROOT
    node.start_picketd({**ALONE, "consul": {"address": ["http://127.0.0.1:1", consul.address]}})
    wait_for(lambda: ROOT + "nodes/n1" in consul.keys, lambda: node.log()[-1500:], 60)
    wait_for(lambda: consul.count("/v1/session/renew/"), lambda: node.log()[-1500:], 90)
    assert len(consul.sessions) == 1 and consul.held[ROOT + "nodes/n1"] == consul.sessions[0]


def test_the_first_of_two_addresses_falls_silent(make_node, consul_of):
    """A server that is frozen closes no connection: what waits there is asked at the other one before its own time is over."""
    node = make_node("n1", pool=("10.64.1.0/24",), conf={"mode": "process"})
    first, second = consul_of(node), consul_of(node)
    second.keys, second.touched, second.sessions, second.held = first.keys, first.touched, first.sessions, first.held
    first.writable = second.writable = ROOT
    node.start_picketd({**ALONE, "consul": {"address": [first.address, second.address]}})
    is_waiting(first)
    first.set_mode("hang")
    second.put("operator/x", NOBODY)
    second.say("nodes/n2", word(5, "10.64.2.0/24"))
    wait_for(lambda: "n2" in nodes(node), lambda: node.log()[-1500:], 60)
    wait_for(lambda: "x" in str(node.api("/v1/policies")), lambda: node.log()[-1500:], 60)
    assert f'server="{first.address}"' in node.log()
    wait_for(lambda: not node.reasons("cluster") and not node.reasons("consul"), lambda: node.api("/v1/status")["reasons"], 60)


def test_the_only_address_falls_silent(make_node, consul_of):
    """Which is said while the questions wait, and taken back."""
    node = make_node("n1", pool=("10.64.1.0/24",), conf={"mode": "process"})
    consul = consul_of(node)
    consul.writable = ROOT
    consul.say("nodes/n2", word(5, "10.64.2.0/24"))
    node.start_picketd({**ALONE, "consul": {"address": consul.address}})
    wait_for(lambda: "n2" in nodes(node), "the other", 60)
    is_waiting(consul)
    consul.set_mode("hang")
    for what in "consul", "cluster":
        wait_for(lambda: "does not answer" in str(node.reasons(what)), lambda: node.api("/v1/status")["reasons"], 60)
    assert nodes(node)["n2"]["blocks"] == ["10.64.2.0/24"]
    consul.set_mode("ok")
    wait_for(lambda: not node.reasons("cluster") and not node.reasons("consul"), lambda: node.api("/v1/status")["reasons"], 60)


@pytest.mark.parametrize("over, dead", [(False, False), (True, False), (True, True)], ids=["lives", "over", "over, behind a dead address"])
def test_a_session_that_a_renewal_does_not_find(make_node, consul_of, over, dead):
    """A leader that reads its log yet finds none: where it lives picketd stays its holder, else it takes another."""
    node = make_node("n1", pool=("10.64.1.0/24",), conf={"mode": "process"})
    consul = consul_of(node)
    consul.writable = ROOT
    config = {**ALONE, "consul": {"address": [*(["http://127.0.0.1:1"] if dead else []), consul.address]}}
    node.start_picketd(config)
    wait_for(lambda: ROOT + "nodes/n1" in consul.held, lambda: node.log()[-1500:], 60)
    first = consul.held[ROOT + "nodes/n1"]
    node.kill_picketd()
    if over:
        consul.session("destroy", first)
    consul.replays = True
    node.start_picketd(config)
    wait_for(lambda: consul.count(f"/v1/session/info/{first}?consistent=true"), "the second question", 60)
    consul.replays = False
    asked = consul.count("/v1/session/renew/")
    wait_for(lambda: consul.count("/v1/session/renew/") > asked, "the next renewal", 60)
    wait_for(lambda: consul.held.get(ROOT + "nodes/n1"), "its key", 60)
    assert len(consul.sessions) == 1 + over and consul.held[ROOT + "nodes/n1"] == consul.sessions[-1]


@pytest.mark.parametrize("said", ["<html>a proxy's page</html>", '[{"ID":'], ids=["a page", "cut short"])
def test_a_look_up_that_says_nothing(make_node, consul_of, said):
    """Only a list that is empty says that a session is over: any other answer is asked for again, and said."""
    node = make_node("n1", pool=("10.64.1.0/24",), conf={"mode": "process"})
    consul = consul_of(node)
    consul.writable = ROOT
    config = {**ALONE, "consul": {"address": consul.address}}
    node.start_picketd(config)
    wait_for(lambda: ROOT + "nodes/n1" in consul.held, lambda: node.log()[-1500:], 60)
    node.kill_picketd()
    consul.replays, consul.lookup = True, said
    node.start_picketd(config)
    wait_for(lambda: consul.count("/v1/session/info/") > 1, "the question, and once more", 60)
    wait_for(lambda: "name an agent's own address" in str(node.api("/v1/status")["reasons"]), lambda: node.api("/v1/status")["reasons"], 60)
    assert len(consul.sessions) == 1
    consul.replays, consul.lookup = False, None
    wait_for(lambda: not node.reasons("cluster"), lambda: node.api("/v1/status")["reasons"], 60)
    assert len(consul.sessions) == 1 and consul.held[ROOT + "nodes/n1"] == consul.sessions[0]


def test_a_restored_store_takes_nobodys_word(one):
    """A snapshot lacks n3 alone and has an older word of n2, and somebody writes at once: no index is behind."""
    node, consul = one
    with consul.changed:
        keys, touched, index = consul.snapshot()
        del keys[ROOT + "nodes/n3"]
        keys[ROOT + "nodes/n2"] = json.dumps(word(4, "10.64.9.0/24"))
        consul.restore((keys, touched, index - 1))
        consul.say("nodes/n4", word(1, "10.64.4.0/24"))
    wait_for(lambda: "n4" in nodes(node), "what was written since", 60)
    assert held(node) == {"n3"} and nodes(node)["n3"]["blocks"] == ["10.64.3.0/24"]
    consul.say("nodes/n4", word(2, "10.64.5.0/24"))
    wait_for(lambda: nodes(node)["n4"]["blocks"] == ["10.64.5.0/24"], "the next word", 60)
    assert held(node) == {"n3"} and nodes(node)["n2"]["blocks"] == ["10.64.2.0/24"], "nobody has written the older word again"
    consul.say("nodes/n2", word(4, "10.64.6.0/24"))
    wait_for(lambda: nodes(node)["n2"]["blocks"] == ["10.64.6.0/24"], "its owner's, whatever its number", 60)


def test_what_is_back_is_heard_soon(one):
    """A store that lost all of it, and has it again without a sign: while words are held none is waited for for a minute."""
    node, consul = one
    keys = {ROOT + f"nodes/n{i}": json.dumps(word(5, f"10.64.{i}.0/24")) for i in (2, 3)}
    with consul.changed:
        consul.restore()
    wait_for(lambda: held(node) == {"n2", "n3"}, "the hold", 60)
    is_waiting(consul)      # by now its own word is there again, which woke it
    with consul.changed:
        consul.touched.update(dict.fromkeys(keys, consul.index_of(NODES)))	# which wakes nobody
        consul.keys.update(keys)
    wait_for(lambda: not held(node), "what is back", 45)


def test_no_leader_is_said_of_other_nodes_keys(make_node, consul_of):
    """Also where no policies are asked for; what was said stays, and one question serves all."""
    node = make_node("n1", pool=("10.64.1.0/24",), conf={"mode": "process"})
    consul = consul_of(node)
    consul.writable = ROOT
    consul.say("nodes/n2", word(5, "10.64.2.0/24"))
    node.start_picketd({**ALONE, "consul": {"address": consul.address}, "policies": {"kv": False}})
    wait_for(lambda: "n2" in nodes(node), "the other", 60)
    is_waiting(consul)
    consul.leader = False
    wait_for(lambda: f'keys="{ROOT}nodes/" err="the servers have no leader"' in node.log(), "the loss, while the question waits", 40)
    assert "no leader" in str(node.reasons("cluster")) and nodes(node)["n2"]["blocks"] == ["10.64.2.0/24"]
    consul.leader = True
    wait_for(lambda: not node.reasons("cluster"), lambda: node.reasons("cluster"), 60)


@pytest.mark.parametrize("said", [True, False], ids=["a job's end", "keys that lack"])
def test_a_tenant_that_ends_everywhere_at_once(one, said):
    """Nodes say that they have no endpoint of it before their keys go; keys that lack without a word are held."""
    node, consul = one
    for i in range(2, 6):
        consul.say(f"nodes/n{i}", word(6, f"10.64.{i}.0/24"))
        consul.say(f"tenants/acme/n{i}", share(i, 1, f"10.64.{i}.9"))
    node.add("acme", "api", "web")
    wait_for(lambda: node.tables.count("remote") == 4, "all of the tenant's", 60)
    if said:
        for i in range(2, 6):
            consul.say(f"tenants/acme/n{i}", share(i, 2))
        wait_for(lambda: node.tables.count("remote") == 0, "their end", 60)
    with consul.changed:
        consul.bump()
        for i in range(2, 6):
            del consul.keys[f"{ROOT}tenants/acme/n{i}"]
            consul.touched[f"{ROOT}tenants/acme/n{i}"] = consul.index
    consul.say("tenants/acme/n6", share(6, 1, "10.64.6.9"))
    consul.say("nodes/n6", word(6, "10.64.6.0/24"))
    wait_for(lambda: node.tables.count("remote") == (1 if said else 5), "what was said since", 60)
    assert bool(node.reasons("cluster")) is not said, node.reasons("cluster")


def test_a_nodes_last_endpoint_is_said_to_be_gone(one):
    node, consul = one
    alloc = node.add("acme", "api", "web")
    key = f"{ROOT}tenants/acme/n1"
    wait_for(lambda: len(json.loads(consul.keys[key])["endpoints"]) == 1, "its word", 60)
    node.delete(alloc)
    wait_for(lambda: not json.loads(consul.keys[key])["endpoints"], "that there is none", 60)


def test_a_folder_without_keys_is_asked_by_name_alone(one):
    """Consul gives it the index of its whole store, so that every write anywhere ends the wait."""
    _, consul = one
    blocks = f"/v1/kv/{ROOT}blocks"

    def waits():
        with consul.changed:
            index = consul.index
        return consul.count(f"{blocks}?keys=true&separator=/&stale=true&index={index}&")
    wait_for(waits, "a question that waits", 60)
    whole = consul.count(f"{blocks}/?recurse")
    consul.write_elsewhere()
    wait_for(waits, "the next one", 60)
    assert whole and consul.count(f"{blocks}/?recurse") == whole


@pytest.mark.parametrize("how", ["as it was", "another text meanwhile", "its session is over"])
def test_a_restart_writes_what_changed_alone(one, how):
    """A share that is there as this node wrote it, under the session that lives, is left; any doubt has it written."""
    node, consul = one
    ends = node.add("beta", "api", "web")
    for tenant in "acme", "gamma":
        node.add(tenant, "api", "web")
    shares = {tenant: f"{ROOT}tenants/{tenant}/n1" for tenant in ("acme", "beta", "gamma")}
    wait_for(lambda: all(len(json.loads(consul.keys[key])["endpoints"]) == 1 for key in shares.values()), "the shares", 60)
    wait_for(lambda: node.api("/v1/status")["state"] == "ok", "all to be written", 60)
    node.kill_picketd()
    node.delete(ends)
    was, word = dict(consul.keys), consul.keys[ROOT + "nodes/n1"]
    if how == "another text meanwhile":
        consul.say("tenants/acme/n1", {"version": 1, "number": json.loads(was[shares["acme"]])["number"], "endpoints": []})
    elif how == "its session is over":
        consul.session("destroy", consul.held[shares["acme"]])
    written = len(consul.changes)
    node.start_picketd({**ALONE, "consul": {"address": consul.address}})
    wait_for(lambda: not json.loads(consul.keys[shares["beta"]])["endpoints"], "what ended meanwhile", 60)
    wait_for(lambda: consul.keys[ROOT + "nodes/n1"] != word and node.api("/v1/status")["state"] == "ok", "all to be written", 60)
    expected = {"as it was": set(), "another text meanwhile": {"acme"}, "its session is over": {"acme", "gamma"}}[how]

    def anew():
        return {tenant for tenant, key in shares.items() if ("PUT", key) in consul.changes[written:]}
    wait_for(lambda: anew() == expected | {"beta"}, anew, 60)
    asked = consul.count("/v1/session/renew/")
    wait_for(lambda: consul.count("/v1/session/renew/") > asked, "the next renewal, by which all that lacks is written", 60)
    assert anew() == expected | {"beta"}
    assert json.loads(consul.keys[shares["acme"]])["endpoints"] == json.loads(was[shares["acme"]])["endpoints"]
    node.add("acme", "more", "web")
    wait_for(lambda: len(json.loads(consul.keys[shares["acme"]])["endpoints"]) == 2, "a new one", 60)
    assert json.loads(consul.keys[shares["acme"]])["number"] > json.loads(was[shares["acme"]])["number"]
