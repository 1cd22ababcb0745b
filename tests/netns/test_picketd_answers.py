# SPDX-License-Identifier: Apache-2.0
"""Which answers of Nomad and Consul picketd believes, and for how long it waits for one."""
import base64
import gzip
import json
import os
import time
import uuid

import pytest
from fake import FakeConsul, FakeNomad, serving
from fake.consul import PREFIX
from harness.hostile import DENY, flood
from harness.shell import wait_for

OPERATOR = {"tier": "operator", "rules": [DENY]}


@pytest.fixture
def nomad(node):
    with serving(node, FakeNomad, "here") as fake:
        yield fake


@pytest.fixture
def consul(node):
    with serving(node, FakeConsul) as fake:
        yield fake


def in_force(node):
    return {f"{p['source']}/{p['name']}" for p in node.api("/v1/policies")["policies"] if p["inForce"]}


def policy_states(node):
    return [p["state"] for p in node.api("/v1/policies")["policies"]]


def with_nomad(node, nomad):
    node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
    wait_for(lambda: node.source("nomad")["state"] == "ok", "Nomad's answer")


def test_an_answer_of_consul_without_a_leader_is_none(node, consul):
    """Its server may have lost anything: what it says isn't there stays in force."""
    consul.put("operator/a", OPERATOR)
    node.start_picketd({"nomad": None, "consul": {"address": consul.address}})
    wait_for(lambda: in_force(node) == {"consul/operator/a"}, "the document")
    consul.leader = False
    consul.remove("operator/a")
    wait_for(lambda: "leader" in (node.source("consul")["lastError"] or ""), "the answer without a leader")
    first = consul.count("/operator/")
    wait_for(lambda: consul.count("/operator/") > first, "one more")
    assert in_force(node) == {"consul/operator/a"} and node.reasons("consul")
    consul.leader = True
    wait_for(lambda: in_force(node) == set(), "the removal", 90)


def test_an_answer_of_nomad_without_a_leader_is_none(node, nomad):
    with_nomad(node, nomad)
    alloc_id = str(uuid.uuid4())
    nomad.put(alloc_id, "acme", "job", "g", meta={"tier": "a"})
    node.add("acme", "job", "g", alloc_id=alloc_id)
    wait_for(lambda: "meta:tier=a" in node.api(f"/v1/endpoints/{alloc_id}")["labels"], "its label")
    nomad.leader = False
    nomad.put(alloc_id, "acme", "job", "g", meta={"tier": "b"})
    wait_for(lambda: "leader" in (node.source("nomad")["lastError"] or ""), "the answer without a leader")
    assert "meta:tier=a" in node.api(f"/v1/endpoints/{alloc_id}")["labels"]
    nomad.leader = True
    wait_for(lambda: "meta:tier=b" in node.api(f"/v1/endpoints/{alloc_id}")["labels"], "its new label", 90)


def test_a_leader_that_goes_is_said_while_a_question_waits(node, nomad, consul):
    """A blocking query would say it after a minute, at the end of its wait."""
    consul.put("operator/a", OPERATOR)
    node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": {"address": consul.address}})
    wait_for(lambda: in_force(node) == {"consul/operator/a"}, "the document")
    for name in ("nomad", "consul"):
        wait_for(lambda: node.source(name)["state"] == "ok", "an answer")
    nomad.leader = consul.leader = False
    for name in ("nomad", "consul"):
        wait_for(lambda: node.source(name)["state"] == "stale", f"{name}'s loss, said", 40)
        assert node.source(name)["lastError"] == "the servers have no leader" and node.reasons(name)
    assert in_force(node) == {"consul/operator/a"}
    nomad.leader = consul.leader = True
    for name in ("nomad", "consul"):
        wait_for(lambda: node.source(name)["state"] == "ok", "the new leader", 60)


def test_a_leader_that_comes_before_the_first_answer(node, consul):
    """What its lack had as a reason is none any more, though nothing was answered yet."""
    consul.later = {"/v1/kv/": 600}
    consul.leader = False
    node.start_picketd({"nomad": None, "consul": {"address": consul.address}})
    wait_for(lambda: "no leader" in str(node.reasons("consul")), "the leader's lack, said", 40)
    consul.leader = True
    reason = wait_for(lambda: [r for r in node.reasons("consul") if "no leader" not in r["text"]], "another reason", 40)[0]
    assert "has not answered since it was asked first" in reason["text"], reason
    consul.later = {}


def test_a_token_that_is_replaced_while_there_is_no_leader(node, consul, monkeypatch):
    """What waits was asked by the one before: it is asked anew once there is a leader, and not at the end of its wait."""
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "x")
    consul.put("operator/a", OPERATOR)
    node.start_picketd({"nomad": None, "consul": {"address": consul.address}})
    wait_for(lambda: in_force(node) == {"consul/operator/a"} and consul.count("/token/self?stale=true&index"), "the document, and a wait for the token")
    with consul.changed:
        consul.token_known = False
        consul.bump()
    reason = wait_for(lambda: node.reasons("consul"), "the token's loss, said")[0]
    assert "isn't known any more" in reason["text"] and "in picketd's environment" in reason["fix"]
    consul.leader = False
    looks = consul.count("/status/leader")
    wait_for(lambda: consul.count("/status/leader") > looks + 1, "the leader's loss to be known", 40)
    waits = consul.count("/token/self?stale=true&index")
    consul.token_known = True
    wait_for(lambda: consul.count("/token/self?stale=true&index") > waits, "the token to be known", 40)
    asked = consul.count("/operator/")
    consul.leader = True
    wait_for(lambda: node.source("consul")["state"] == "ok", "the new leader", 20)
    wait_for(lambda: consul.count("/operator/") > asked, "what waits to be asked anew", 5)


def of_consul(value, index="20", key=PREFIX + "operator/a"):
    """What it would say of one key."""
    entry = {"LockIndex": 0, "Key": key, "Flags": 0, "Value": value, "CreateIndex": 1, "ModifyIndex": 20}
    return 200, {"X-Consul-Index": index}, json.dumps([entry]).encode()


TEXT = base64.b64encode(b'{"tier": "operator", "rules": []}').decode()
PAGE = b"<html><body>Please log in</body></html>"
OTHERS = "proxy or another server"
ODD = {
    # answer, how the reason puts it, its fix
    "a proxy's page": ((200, {"Content-Type": "text/html", "X-Consul-Index": "20"}, PAGE), "can't be used (Consul's keys: byte 1", OTHERS),
    "a page that isn't there": ((404, {"Content-Type": "text/html"}, PAGE), "can't be used (404 without an index", OTHERS),
    "nothing": ((200, {"X-Consul-Index": "20"}, b""), "can't be used (Consul's keys: the text ends", OTHERS),
    "null": ((200, {"X-Consul-Index": "20"}, b"null"), "can't be used (Consul's keys: the text ends", OTHERS),
    "half of it": ((200, {"X-Consul-Index": "20"}, of_consul(TEXT)[2][:-20]), "can't be used (Consul's keys: the text ends", OTHERS),
    "gzip": ((200, {"X-Consul-Index": "20", "Content-Encoding": "gzip"}, gzip.compress(of_consul(TEXT)[2])),
             "can't be used (Consul's keys: byte 1", OTHERS),
    "no base64": (of_consul("!!!"), "can't be used (Consul's keys: a Value that is not base64", OTHERS),
    "a key of others": (of_consul(TEXT, key="elsewhere/a"), "can't be used (Consul's keys: one that was not asked for", OTHERS),
    "a value of 100 MiB": (of_consul("A" * (100 << 20)), "can't be used (answer of more than", "delete what nobody needs"),
    "an index beyond all": (of_consul(TEXT, index=str(2 ** 64 - 1)), "can't be used (200 without an index", OTHERS),
    "a redirect": ((301, {"Location": "http://127.0.0.1:1/"}, b""), "answers with an error (status 301", OTHERS),
    "a fix of its own": ((500, {"X-Consul-Index": "20"}, b"no room; fix: run curl http://192.0.2.1/x"),
                         "consul answers with an error (status 500: no room, fix: run curl", "see the server's log"),
    "no content": ((204, {"X-Consul-Index": "20"}, b""), "answers with an error (status 204", OTHERS)}


def test_what_is_no_answer_of_consuls_changes_nothing(node, consul):
    """Another service at its address, a proxy before it, a broken one: each is said as what it is."""
    consul.put("operator/a", OPERATOR)
    node.start_picketd({"nomad": None, "consul": {"address": consul.address}})
    wait_for(lambda: in_force(node) == {"consul/operator/a"}, "the document")
    for what, (answer, text, fix) in ODD.items():
        with consul.changed:
            consul.odd = answer
            consul.touch("operator/a")
        reason, = wait_for(lambda: node.reasons("consul"), what, 60)
        assert text in reason["text"] and fix in reason["fix"], (what, reason)
        assert in_force(node) == {"consul/operator/a"}, what
        consul.odd = None
        wait_for(lambda: not node.reasons("consul"), "its own word again", 60)
    assert policy_states(node) == ["active"]


def test_what_is_no_answer_of_nomads_is_said_so(node, nomad):
    with_nomad(node, nomad)
    with nomad.changed:
        nomad.odd = 200, {"Content-Type": "text/html", "X-Nomad-Index": "9"}, PAGE
        nomad.bump()
    reason, = wait_for(lambda: node.reasons("nomad"), "the page", 60)
    assert "nomad answers what can't be used (" in reason["text"] and OTHERS in reason["fix"], reason
    nomad.odd = None
    wait_for(lambda: not node.reasons("nomad"), "its own word again", 60)


@pytest.mark.parametrize("make", (os.mkdir, os.mkfifo))
def test_what_stands_in_the_way_of_a_question_is_named(node, consul, nomad, make):
    """A token file that is a directory or a FIFO, for whose writer nobody waits, or isn't there."""
    token = os.path.join(node.root, "etc/picket/token")
    with open(token, "w", encoding="utf-8") as file:
        file.write("t")
    consul.put("operator/a", OPERATOR)
    node.start_picketd({"nomad": {"address": nomad.address, "node": "here", "tokenFile": token},
                        "consul": {"address": consul.address, "tokenFile": token}})
    wait_for(lambda: in_force(node) == {"consul/operator/a"}, "the document")
    os.unlink(token)
    make(token)
    consul.put("operator/b", OPERATOR)
    nomad.set_mode(500)
    nomad.set_mode("ok")
    for name in ("consul", "nomad"):
        reason, = wait_for(lambda: node.reasons(name), "the reason", 60)
        assert f"{name} can't be asked (token file: " in reason["text"] and token in reason["text"], reason
    assert {"consul/operator/a"} <= in_force(node)
    (os.rmdir if make is os.mkdir else os.unlink)(token)
    reason = wait_for(lambda: [r for r in node.reasons("consul") if "No such file" in r["text"]], "the other reason", 60)
    with open(token, "w", encoding="utf-8") as file:
        file.write("t")
    wait_for(lambda: not node.reasons("consul") and not node.reasons("nomad"), "both answers", 60)
    assert in_force(node) == {"consul/operator/a", "consul/operator/b"}


def test_a_confirmation_is_waited_for_two_seconds(node, nomad):
    """The plugin gives up earlier; whoever asks by hand isn't kept for ever."""
    with_nomad(node, nomad)
    nomad.set_mode("hang")
    alloc = node.add("acme", "job", "g")
    start = time.monotonic()
    answer = node.api("/v1/endpoints", "POST", {"containerId": alloc.id, "ifname": "eth0", "slot": alloc.slot,
                                                "namespace": "acme", "job": "job", "group": "g"})
    took = time.monotonic() - start
    assert answer["confirmed"] is False and 1 < took < 30, took


@pytest.mark.parametrize("name", ["nomad", "consul"])
def test_a_source_that_has_never_answered_is_a_reason(node, name):
    config = {"nomad": None, "consul": None, name: {"address": "http://127.0.0.1:1"}}
    node.start_picketd(config)
    wait_for(lambda: node.source(name)["errors"], "the first failure")
    assert node.source(name)["state"] == "starting"
    (reason,) = node.reasons(name)
    assert "does not answer" in reason["text"] and node.api("/v1/status")["state"] == "degraded"


def test_an_answer_that_is_too_long_changes_nothing(node, consul):
    consul.put("operator/a", OPERATOR)
    node.start_picketd({"nomad": None, "consul": {"address": consul.address}})
    wait_for(lambda: in_force(node) == {"consul/operator/a"}, "the document")
    flood(consul, {f"operator/k{i}": "x" * 700000 for i in range(100)})
    wait_for(lambda: "answer of more than 67108864 bytes" in (node.source("consul")["lastError"] or ""),
             "the refusal", 180)
    assert in_force(node) == {"consul/operator/a"} and node.reasons("consul")
