# SPDX-License-Identifier: Apache-2.0
"""Whose words CNI_ARGS are: Nomad's from 1.9.4 on, a job's author's from 1.8.2 to 1.9.3, nobody's before."""
import json
import os
import uuid

import pytest

from harness.servers import QUICK
from harness.shell import wait_for


def config(nomad):
    return {"nomad": {"address": nomad.address, "node": nomad.node}, "consul": None}


def start(node, nomad, version):
    """An agent of that version, and picketd which has heard so."""
    nomad.version = version
    node.start_picketd(config(nomad))
    wait_for(lambda: node.api("/v1/status")["sources"][0]["state"] == "ok", "Nomad's answer")
    wait_for(lambda: settings(node).get("nomadVersion") == version, "node.json")


def settings(node):
    try:
        with open(os.path.join(node.root, "var/lib/picket/node.json"), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def row(node, alloc):
    return node.api(f"/v1/endpoints/{alloc.id}")


def place(node, nomad, namespace, own=None, known=True):
    """A job of a namespace whose author wrote own into its cni { args }; with the CNI_ARGS of nomad.version."""
    alloc = node.new_netns(str(uuid.uuid4()))
    if known:
        nomad.put(alloc.id, namespace, "api", "web")
    alloc.args = nomad.cni_args(alloc.id, namespace, "api", "web", own)
    alloc.result = node.cni("ADD", alloc.id, alloc.path, args=alloc.args, conf=node.plugin_conf(mode="process"))
    return alloc


@pytest.mark.parametrize("version", ("1.8.0", "1.8.2", "1.9.3"))
def test_an_old_agents_namespace_is_its_records_alone(node, nomad, version):
    start(node, nomad, version)
    a, b = place(node, nomad, "acme"), place(node, nomad, "acme")
    thief = place(node, nomad, "evil", {"NOMAD_NAMESPACE": "acme"})
    wait_for(lambda: all(row(node, x)["inStep"] and not row(node, x)["quarantined"] for x in (a, b, thief)),
             "Nomad's record of all three")
    assert [row(node, x)["namespace"] for x in (a, b, thief)] == ["acme", "acme", "evil"]
    assert row(node, a)["confirmed"] == "yes"
    assert a.pings(b) and not thief.pings(a, timeout=QUICK) and not a.pings(thief, timeout=QUICK)
    reason, = node.reasons("nomad")
    assert version in reason["text"] and "1.9.4" in reason["fix"], reason


@pytest.mark.parametrize("version", ("1.8.2", "1.9.3"))
def test_a_claim_by_an_old_agents_job_opens_nothing(node, nomad, version):
    """Nomad's record hasn't come, or never will: the author's word isn't taken in its place."""
    start(node, nomad, version)
    victim = place(node, nomad, "acme")
    thief = place(node, nomad, "evil", {"NOMAD_NAMESPACE": "acme"}, known=False)
    found = row(node, thief)
    assert found["quarantined"] and found["namespace"] is None and not thief.pings(victim, timeout=QUICK)
    assert "older than 1.9.4" in found["quarantineReason"] and "Nomad answers" in found["quarantineFix"], found
    node.kill_picketd()
    again = place(node, nomad, "evil", {"NOMAD_NAMESPACE": "acme"})
    assert not again.pings(victim, timeout=QUICK), "without picketd nobody asks Nomad, and the plugin knows whom it is called by"
    nomad.version = "1.11.2"
    start(node, nomad, "1.11.2")
    wait_for(lambda: row(node, again)["namespace"] == "evil", "Nomad's record")
    assert row(node, thief)["quarantined"], "its ADD was an old agent's: a later version says nothing of it"
    nomad.put(thief.id, "evil", "api", "web")
    wait_for(lambda: row(node, thief)["namespace"] == "evil", "Nomad's record")
    assert not again.pings(victim, timeout=QUICK) and not thief.pings(victim, timeout=QUICK)


@pytest.mark.parametrize("version", ("1.9.4", "1.11.2", "1.10.0+ent"))
def test_a_new_agents_word_is_believed_at_once(node, nomad, version):
    start(node, nomad, version)
    thief = place(node, nomad, "evil", {"NOMAD_NAMESPACE": "acme"}, known=False)
    assert row(node, thief)["namespace"] == "evil", "Nomad writes its own last"
    nomad.set_mode("hang")
    node.kill_picketd()
    a, b = place(node, nomad, "acme", known=False), place(node, nomad, "acme", known=False)
    assert a.pings(b), "what Nomad said of itself before stays said"
    node.start_picketd(config(nomad))
    wait_for(lambda: row(node, a)["namespace"] == "acme", "the record")
    assert a.pings(b) and not node.reasons("nomad") or "not answer" in node.reasons("nomad")[0]["text"]


@pytest.mark.parametrize("silent", (True, False))
def test_a_version_that_nobody_knows_is_none_to_believe(node, nomad, silent):
    """Nomad never answered picketd yet, or says no version: quarantine until its record comes."""
    nomad.version = "1.11.2" if silent else None
    nomad.set_mode("hang" if silent else "ok")
    node.start_picketd(config(nomad))
    a, b = place(node, nomad, "acme", known=False), place(node, nomad, "acme", known=False)
    assert not a.pings(b, timeout=QUICK) and row(node, a)["quarantined"]
    assert "wasn't known at its ADD" in row(node, a)["quarantineReason"] and row(node, a)["quarantineFix"]
    assert wait_for(lambda: node.reasons("nomad"), "the reason", 30)[0]["fix"]
    for alloc in (a, b):
        nomad.put(alloc.id, "acme", "api", "web")
    nomad.set_mode("ok")
    wait_for(lambda: row(node, a)["inStep"] and row(node, a)["namespace"] == row(node, b)["namespace"] == "acme",
             "Nomad's record", 60)
    wait_for(lambda: a.pings(b, timeout=QUICK), "the way between them")


def test_an_agent_that_becomes_older(node, nomad):
    """What the newer one's job claimed counts no more once nobody can tell whose words they were."""
    start(node, nomad, "1.9.4")
    a, b = place(node, nomad, "acme"), place(node, nomad, "acme", known=False)
    assert a.pings(b)
    nomad.version = "1.9.3"
    nomad.set_mode(500)
    wait_for(lambda: node.api("/v1/status")["sources"][0]["state"] == "stale", "the agent's restart")
    nomad.set_mode("ok")
    wait_for(lambda: row(node, b)["quarantined"], "the version", 30)
    assert row(node, a)["namespace"] == "acme" and not a.pings(b, timeout=QUICK)
    assert settings(node)["nomadVersion"] == "1.9.3"
