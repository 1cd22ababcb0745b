# SPDX-License-Identifier: Apache-2.0
"""status says what is wrong, with its fix, and nothing that isn't this node's."""
import contextlib
import os
import signal
import socket
import time

import pytest
from harness.shell import wait_for

ALLOW = {"rules": [{"endpointSelector": {}, "ingress": [{}]}]}
OPERATOR = "picket/v1/default/policies/operator/"
TENANTS = "picket/v1/default/policies/tenants/"


def reload(node):
    before = node.log().count("op=reload")
    node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: node.log().count("op=reload") > before, "the reload")


@pytest.mark.parametrize("mode", ("hang", 500))
def test_a_consul_that_was_silent_from_the_start(node, consul, mode):
    consul.set_mode(mode)
    node.start_picketd({"nomad": None, "consul": {"address": consul.address}})
    reason = wait_for(lambda: node.reasons("consul"), "the reason", 30)[0]
    assert node.api("/v1/status")["state"] == "degraded"
    if mode == "hang":
        assert "has not answered since it was asked first" in reason["text"] and reason["fix"], reason
    consul.set_mode("ok")
    wait_for(lambda: node.api("/v1/status")["state"] == "ok", "an answer", 60)


def test_a_reload_touches_what_changed_alone(node, consul):
    config = {"nomad": None, "consul": {"address": consul.address}}
    node.start_picketd(config)
    wait_for(lambda: node.source("consul")["state"] == "ok", "an answer")
    consul.set_mode(500)
    wait_for(lambda: node.source("consul")["state"] == "stale", "the error")
    contact = node.source("consul")["lastContact"]
    node.write_config({**config, "baseline": "deny"})
    reload(node)
    after = node.source("consul")
    assert (after["state"], after["lastContact"]) == ("stale", contact), "it was silent before and is silent still"
    assert after["errors"] and node.reasons("consul")
    consul.set_mode("ok")
    wait_for(lambda: node.source("consul")["state"] == "ok", "the next answer")
    node.write_config({**config, "consul": {"address": consul.address, "prefix": "other"}})
    reload(node)
    wait_for(lambda: any("/kv/other/" in str(request) for request in consul.requests), "questions below the new prefix")


def test_nobody_is_confirmed(node, nomad):
    node.start_picketd({"nomad": {"address": nomad.address, "node": nomad.node}, "consul": None})
    a = node.add("acme", "api", "web")
    reason = wait_for(lambda: node.reasons("endpoints"), "the reason", 30)[0]
    assert "Nomad has confirmed none of 1 endpoints" in reason["text"] and "docs/install.md" in reason["fix"]
    nomad.put(a.id, "acme", "api", "web")
    wait_for(lambda: node.api("/v1/status")["state"] == "ok", "Nomad's word")


def test_all_are_in_quarantine(node):
    node.start_picketd()
    lost = node.add()
    reason = wait_for(lambda: node.reasons("endpoints"), "the reason", 30)[0]
    assert "all 1 endpoints are in quarantine" in reason["text"] and "no NOMAD_NAMESPACE" in reason["text"]
    assert "1.9.4" in reason["fix"]
    shown = node.picket("endpoint", "list").stdout
    assert f"{lost.id[:8]} is in quarantine: its CNI_ARGS have no NOMAD_NAMESPACE" in shown and "; fix: " in shown
    friend = node.add("acme", "api", "web")
    wait_for(lambda: len(node.api("/v1/endpoints")["endpoints"]) == 2, "both")
    explained = node.picket("policy", "explain", friend.id[:8], lost.id[:8], "80/tcp", check=False).stdout
    assert "in quarantine: its CNI_ARGS have no NOMAD_NAMESPACE" in explained and "; fix: " in explained, explained
    reason = wait_for(lambda: [r for r in node.reasons("endpoints") if "1 of 2" in r["text"]], "one among others", 30)[0]
    assert lost.id in reason["text"] and "no NOMAD_NAMESPACE" in reason["text"] and "1.9.4" in reason["fix"], reason
    node.delete(lost)
    wait_for(lambda: not node.reasons("endpoints"), "nobody in quarantine")


def test_a_namespace_that_nomad_contradicts(node, nomad):
    node.start_picketd({"nomad": {"address": nomad.address, "node": nomad.node}, "consul": None})
    a = node.add("acme", "api", "web")
    nomad.put(a.id, "other", "api", "web")
    row = wait_for(lambda: [e for e in node.api("/v1/endpoints")["endpoints"] if e["quarantined"]], "the word")[0]
    assert row["quarantineReason"] == \
        "its CNI_ARGS say namespace acme, Nomad says that its allocation is of other", row
    assert "take it out" in row["quarantineFix"]


def test_fewer_in_step_than_open(node):
    """A rule set that is too large leaves its endpoint where it was: that is no ok."""
    node.start_picketd()
    node.add("acme", "db", "db")
    node.policy("db.json", {"namespace": "acme", "rules": [{"endpointSelector": {}, "egressDeny": [
        {"toCIDR": [f"20.{i // 128}.{i % 128 * 2}.0/24" for i in range(2048) if i >> bit & 1],
         "toPorts": [{"ports": [{"port": str(1000 + 100 * bit + 3 * i), "protocol": "TCP"} for i in range(20)]}]}
        for bit in range(11)]}]})
    reason = wait_for(lambda: node.reasons("endpoints"), "the reason", 90)[0]
    assert "1 of 1 open endpoints are not under what the documents make" in reason["text"] and reason["fix"]
    node.policy("db.json", None)
    wait_for(lambda: node.api("/v1/status")["state"] == "ok", "the old one again")


def test_a_tenants_broken_document_is_its_nodes_matter(node):
    """A version of it in force says whose it is; what never could be read is the operator's."""
    node.policy("a.json", {**ALLOW, "namespace": "elsewhere"})
    node.policy("b.json", {**ALLOW, "namespace": "acme"})
    node.start_picketd()
    wait_for(lambda: len(node.api("/v1/policies")["policies"]) == 2, "both")
    a = node.add("acme", "db", "db")
    node.policy("a.json", "{ broken")
    wait_for(lambda: node.api("/v1/status")["documents"]["refused"] == 1, "the refusal")
    assert not node.reasons("policy") and node.api("/v1/status")["state"] == "ok"
    node.policy("b.json", "{ broken")
    reason, = wait_for(lambda: node.reasons("policy"), "the reason")
    assert "1 document refused" in reason["text"], "acme's, which this node hosts"
    node.policy("c.json", "{ broken")
    wait_for(lambda: "2 documents refused" in node.reasons("policy")[0]["text"], "one that is nobody's yet")
    node.delete(a)


@contextlib.contextmanager
def notified(node, tmp_path):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(20)
        yield {**os.environ, "NOTIFY_SOCKET": path}, listener


def says_ready(listener, seconds):
    """Whether systemd hears so within that time, or has heard; it hears of more."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        listener.settimeout(left)
        with contextlib.suppress(TimeoutError):
            if b"READY=1" in listener.recv(1000).split(b"\n"):
                return True
    return False


@pytest.mark.parametrize("answers", (True, False))
def test_ready_is_said_after_the_first_answer(node, consul, tmp_path, answers):
    consul.set_mode("hang")
    with notified(node, tmp_path) as (env, listener):
        begun = time.monotonic()
        node.start_picketd({"nomad": None, "consul": {"address": consul.address}}, env=env, wait=False)
        if answers:
            wait_for(lambda: consul.requests, "the first question", pause=0.001)
            assert not says_ready(listener, 0.2)
            consul.set_mode("ok")
        assert says_ready(listener, 60)
        assert answers or time.monotonic() - begun > 4, "it waits for five seconds"
        wait_for(node.picketd_answers, "picketd's answer")
        wait_for(lambda: ("a source has not answered yet" in node.log()) != (node.source("consul")["state"] == "ok"), "what is so")
