# SPDX-License-Identifier: Apache-2.0
"""Which answers of Nomad and Consul picketd believes, and for how long it waits for one."""
import os
import sys
import time
import uuid

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from fake import FakeConsul, FakeNomad, serving  # noqa: E402
from harness.hostile import DENY, flood  # noqa: E402
from harness.shell import wait_for  # noqa: E402

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
