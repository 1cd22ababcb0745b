# SPDX-License-Identifier: Apache-2.0
"""picketd and the fence together: what a source says is what packets meet, and only that."""
import http.client
import json
import os
import re
import signal
import socket
import struct
import uuid

import pytest
from fake import FakeConsul, FakeNomad, serving
from harness.servers import QUICK
from harness.shell import wait_for

ONLY_API = {"namespace": "acme", "rules": [{
    "description": "api may reach the database",
    "endpointSelector": {"matchLabels": {"nomad:job": "db"}},
    "ingress": [{"fromEndpoints": [{"matchLabels": {"nomad:job": "api"}}]}]}]}


@pytest.fixture
def node(make_node):
    """Process mode: a ping in the alloc's netns is the endpoint's own traffic."""
    return make_node(conf={"mode": "process"})


def reaches(source, target, family=4):
    return source.pings(target, family)


def is_kept_from(source, target, family=4):
    return not source.pings(target, family, timeout=QUICK)


def until(node, source, target, want):
    wait_for(lambda: is_kept_from(source, target) != want,
             lambda: f"{source.id[:8]} -> {target.id[:8]} {'allowed' if want else 'denied'}\n{node.log()[-800:]}")


def endpoint(node, alloc):
    return node.api(f"/v1/endpoints/{alloc.id}")


def confirmed(node, alloc, word):
    """The endpoint, once Nomad has said so: an ADD waits for that, but not longer than a busy machine may take."""
    return wait_for(lambda: (e := endpoint(node, alloc))["confirmed"] == word and e, f"{word} of {alloc.id}")


def in_step(node):
    counts = node.api("/v1/status")["endpoints"]
    return counts["open"] == counts["inStep"]


def revision(node):
    return node.api("/v1/status")["policyRevision"]


def test_policy_file_is_enforced_and_its_removal_too(node):
    node.start_picketd()
    api, batch, db = (node.add("acme", job, "g") for job in ("api", "batch", "db"))
    other = node.add("beta", "api", "g")
    assert reaches(api, db) and reaches(batch, db) and is_kept_from(other, db)

    node.policy("db.json", ONLY_API)
    until(node, batch, db, False)
    assert reaches(api, db) and reaches(batch, api) and is_kept_from(other, db)
    assert reaches(api, db, 6) and is_kept_from(batch, db, 6)
    assert endpoint(node, db)["policies"] == ["file/db"]
    assert endpoint(node, db)["ruleSet"] != endpoint(node, api)["ruleSet"]

    node.policy("db.json", None)
    until(node, batch, db, True)
    assert is_kept_from(other, db)
    assert endpoint(node, db)["ruleSet"] == endpoint(node, api)["ruleSet"]


def test_verdicts_outlive_a_half_written_file(node):
    node.policy("db.json", ONLY_API)
    node.start_picketd()
    batch, db = node.add("acme", "batch", "g"), node.add("acme", "db", "g")
    assert is_kept_from(batch, db)
    before = endpoint(node, db)
    path = os.path.join(node.root, "etc/picket/policies.d/db.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(ONLY_API)[:70])
    wait_for(lambda: node.api("/v1/status")["documents"]["refused"] == 1, "the refusal")
    assert is_kept_from(batch, db)
    after = endpoint(node, db)
    assert (before["ruleSet"], before["revision"]) == (after["ruleSet"], after["revision"])
    node.policy("db.json", {**ONLY_API, "audit": True})
    until(node, batch, db, True)


def test_restart_changes_nothing_and_knows_everything(node):
    node.policy("db.json", ONLY_API)
    node.start_picketd()
    api, batch, db = (node.add("acme", job, "g") for job in ("api", "batch", "db"))
    wait_for(lambda: in_step(node), "every endpoint in step")
    words = [node.tables.word(a.slot) for a in (api, batch, db)]
    seen = {e["containerId"]: (e["name"], e["labels"], e["ruleSet"], e["identity"])
            for e in node.api("/v1/endpoints")["endpoints"]}

    node.kill_picketd()
    assert reaches(api, db) and is_kept_from(batch, db)
    node.start_picketd()
    assert in_step(node)
    assert [node.tables.word(a.slot) for a in (api, batch, db)] == words
    assert {e["containerId"]: (e["name"], e["labels"], e["ruleSet"], e["identity"])
            for e in node.api("/v1/endpoints")["endpoints"]} == seen
    assert reaches(api, db) and is_kept_from(batch, db)


def test_add_without_the_controller(node):
    node.start_picketd()
    old = node.add("acme", "api", "g")
    node.policy("db.json", ONLY_API)
    wait_for(lambda: revision(node) == 2, "the policy in force")
    node.kill_picketd()

    fresh, db, other = (node.add(*who, "g") for who in
                        (("acme", "api"), ("acme", "db"), ("beta", "api")))
    assert reaches(old, fresh) and reaches(fresh, old)
    assert is_kept_from(other, fresh) and is_kept_from(other, db)
    # A label set that nobody had before starts under its tenant's base: what might be denied is.
    assert is_kept_from(fresh, db)

    node.start_picketd()
    assert in_step(node)
    assert reaches(fresh, db) and reaches(old, fresh) and is_kept_from(other, db)


def test_add_on_a_node_without_any_controller(node):
    a, b, other = (node.add(*who, "g") for who in
                   (("acme", "api"), ("acme", "db"), ("beta", "api")))
    assert reaches(a, b) and is_kept_from(other, b) and is_kept_from(a, other)
    rule_sets = [node.tables.word(x.slot)[0] for x in (a, b, other)]
    node.start_picketd()
    assert in_step(node)
    # What the plugin compiled by itself is what the controller wants: found by its digest, not built again.
    assert [node.tables.word(x.slot)[0] for x in (a, b, other)] == rule_sets
    assert reaches(a, b) and is_kept_from(other, b)


def test_unconfirmed_claims_are_fenced_as_unknown(node):
    """Nomad is there but away, and so is picketd: job is a claim, a policy on it denies what it might."""
    with serving(node, FakeNomad, "here") as nomad:
        config = {"nomad": {"address": nomad.address, "node": "here"}, "consul": None}
        node.policy("db.json", ONLY_API)
        node.start_picketd(config)
        wait_for(lambda: nomad.count("/allocations") > 0, "Nomad's list")
        node.kill_picketd()
        api_id, db_id = str(uuid.uuid4()), str(uuid.uuid4())
        api = node.add("acme", "api", "g", alloc_id=api_id)
        db = node.add("acme", "db", "g", alloc_id=db_id)
        assert is_kept_from(api, db)         # it might be the database, and the peer might not be api
        nomad.put(api_id, "acme", "api", "g")
        nomad.put(db_id, "acme", "db", "g")
        node.start_picketd(config)
        until(node, api, db, True)
        assert endpoint(node, db)["confirmed"] == "yes"


def test_nomad_confirms_and_tells_the_rest(node):
    with serving(node, FakeNomad, "here") as nomad:
        node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
        node.policy("tier.json", {"namespace": "acme", "rules": [{
            "endpointSelector": {"matchLabels": {"meta:tier": "db"}},
            "ingress": [{"fromEndpoints": [{"matchLabels": {"consul:service": "api"}}]}]}]})
        wait_for(lambda: revision(node) >= 2, "the policy")
        api_id, db_id, odd_id = (str(uuid.uuid4()) for _ in range(3))
        nomad.put(api_id, "acme", "api/periodic-1", "g", parent="api",
                  services=[{"Name": "api", "PortLabel": "http", "Checks": [
                      {"Type": "http", "PortLabel": ""}]}], ports={"http": (21570, 8080)})
        nomad.put(db_id, "acme", "db", "g", meta={"tier": "db"}, hidden=True)
        nomad.put(odd_id, "acme", "odd", "g")
        api = node.add("acme", "api/periodic-1", "g", alloc_id=api_id)
        db = node.add("acme", "db", "g", alloc_id=db_id)
        odd = node.add("acme", "odd", "g", alloc_id=odd_id)

        told = confirmed(node, api, "yes")
        assert told["job"] == "api"      # a child has its parent's job
        assert told["services"] == ["api"] and told["ports"] == {"http": "8080"}
        assert told["checks"] == ["8080/tcp"] and "nomad:datacenter=dc1" in told["labels"]
        confirmed(node, db, "yes")                                      # asked for by its id
        assert nomad.count(f"/v1/allocation/{db_id}") >= 1
        until(node, api, db, True)
        assert is_kept_from(odd, db)

        nomad.put(odd_id, "acme", "odd", "g", services=[{"Name": "api", "PortLabel": "x"}])
        until(node, odd, db, True)
        nomad.set_mode(500)
        wait_for(lambda: node.api("/v1/status")["state"] == "degraded", "the reason", 60)
        assert reaches(api, db) and reaches(odd, db)
        node.kill_picketd()
        node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
        assert endpoint(node, odd)["services"] == ["api"]               # known from before
        assert in_step(node) and reaches(odd, db)


def test_nomad_contradicts(node):
    with serving(node, FakeNomad, "here") as nomad:
        node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
        node.policy("db.json", ONLY_API)
        wait_for(lambda: revision(node) >= 2, "the policy")
        liar_id, thief_id, db_id, late_id = (str(uuid.uuid4()) for _ in range(4))
        nomad.put(db_id, "acme", "db", "g")
        nomad.put(liar_id, "acme", "batch", "g")
        nomad.put(thief_id, "beta", "api", "g")
        db = node.add("acme", "db", "g", alloc_id=db_id)
        liar = node.add("acme", "api", "g", alloc_id=liar_id)       # claims the job that may
        thief = node.add("acme", "api", "g", alloc_id=thief_id)     # and another tenant's namespace
        assert confirmed(node, liar, "contradicted")["job"] == "batch" and is_kept_from(liar, db)
        stolen = confirmed(node, thief, "contradicted")
        assert stolen["quarantined"]
        assert stolen["namespace"] is None and stolen["tenant"] == 0
        assert is_kept_from(thief, db) and is_kept_from(thief, liar) and is_kept_from(liar, thief)

        late = node.add("acme", "api", "g", alloc_id=late_id)       # Nomad doesn't know it yet
        assert endpoint(node, late)["confirmed"] == "no" and is_kept_from(late, db)
        nomad.put(late_id, "acme", "api", "g")
        until(node, late, db, True)


def test_consul_policy_in_force_survives_every_bad_answer(node):
    with serving(node, FakeConsul) as consul:
        consul.put("tenants/acme/db", {"rules": ONLY_API["rules"]})
        node.start_picketd({"nomad": None, "consul": {"address": consul.address}})
        api, batch, db = (node.add("acme", job, "g") for job in ("api", "batch", "db"))
        until(node, batch, db, False)
        assert reaches(api, db)
        for mode in (500, "stale", 403):
            consul.set_mode(mode)
            before = consul.count("/v1/kv/")
            with consul.changed:
                consul.bump()
            wait_for(lambda: consul.count("/v1/kv/") >= before + 2, "more requests", 60)
            assert reaches(api, db) and is_kept_from(batch, db)
        consul.set_mode("ok")
        consul.remove("tenants/acme/db")
        until(node, batch, db, True)


def test_quarantine_opens_by_the_operators_word_on_init_alone(node):
    node.start_picketd()
    lost, friend = node.add(), node.add("acme", "api", "g")
    told = endpoint(node, lost)
    assert told["quarantined"] and told["labels"] == ["reserved:init"]
    assert is_kept_from(lost, friend) and is_kept_from(friend, lost)
    node.policy("all.json", {"namespace": "acme", "rules": [
        {"endpointSelector": {}, "ingress": [{"fromEntities": ["all"]}],
         "egress": [{"toEntities": ["all"]}]}]})
    wait_for(lambda: revision(node) == 2, "a tenant's policy")
    assert is_kept_from(lost, friend)
    node.policy("init.json", {"tier": "operator", "rules": [
        {"endpointSelector": {"matchLabels": {"reserved:init": ""}},
         "egress": [{"toEntities": ["cluster"]}], "ingress": [{"fromEntities": ["cluster"]}]},
        {"endpointSelector": {}, "ingress": [{"fromEntities": ["init"]}],
         "egress": [{"toEntities": ["init"]}]}]})
    until(node, lost, friend, True)
    node.policy("init.json", None)
    until(node, lost, friend, False)


def test_policy_that_does_not_fit_leaves_the_old_one(node):
    node.policy("db.json", ONLY_API)
    node.start_picketd()
    batch, db = node.add("acme", "batch", "g"), node.add("acme", "db", "g")
    assert is_kept_from(batch, db)
    for n in range(5):
        prefixes = [f"{20 + 30 * n + i // 16384}.{i // 64 % 256}.{i % 64 * 4}.128/25" for i in range(30000)]
        node.policy(f"huge{n}.json", {"tier": "operator", "rules": [
            {"endpointSelector": {}, "egressDeny": [{"toCIDR": prefixes}]}]})

    def said():
        """None while it compiles: on a slow machine that takes longer than a question waits."""
        status = node.picketd_answers()
        return status and [r for r in status["reasons"] if r["what"] == "apply"]

    reason = wait_for(said, "the refusal", 180)[0]
    assert "does not fit" in reason["text"] and "prefixes" in reason["text"], reason
    assert is_kept_from(batch, db) and endpoint(node, db)["ruleSet"]
    for n in range(5):
        node.picket("policy", "delete", f"huge{n}", check=False)  # by hand it would be held: too many
    wait_for(lambda: said() == [], "a set that fits", 180)
    wait_for(lambda: in_step(node), "every endpoint in step", 60)
    assert is_kept_from(batch, db)


TIMEOUTS_AT = 336               # of struct pk_node: timeout[]


def times(node):
    """New flows a second, and the time-outs of open TCP and of an answered DNS question."""
    raw = node.tables.get("node", struct.pack("I", 0))
    values = struct.unpack_from("11I", raw, TIMEOUTS_AT)
    return struct.unpack_from("I", raw, 28)[0], values[1], values[7]


def stored_settings(node):
    with open(node.path("var/lib/picket/node.json"), encoding="utf-8") as file:
        return json.load(file)


def test_time_outs_change_with_a_reload(node):
    node.start_picketd()
    assert times(node) == (500, 21600, 10)
    node.write_config({**node.options.config, "timeouts": {"tcpOpen": 600, "dns": 3},
                       "limits": {"newFlowsPerSecond": 7}})
    node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: times(node) == (7, 600, 3), "the new time-outs")
    wait_for(lambda: stored_settings(node).get("timeouts", {}).get("tcpOpen") == 600, "what a first load would take")
    node.write_config({**node.options.config, "timeouts": {"tcpOpen": 1}})
    node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: "timeouts.tcpOpen" in node.log(), "the refusal")
    assert times(node) == (7, 600, 3)


def test_a_tenants_rule_set_that_explodes_is_its_own(node):
    """Entries with holes times ports: the rule set would be the square of the document."""
    node.policy("beta.json", {**ONLY_API, "namespace": "beta"})
    node.start_picketd()
    a, b, c = (node.add("acme", job, "g") for job in ("api", "batch", "db"))
    api, batch, db = (node.add("beta", job, "g") for job in ("api", "batch", "db"))
    wait_for(lambda: in_step(node), "all six in step")      # no ADD waits for that longer than half a second
    assert reaches(a, b) and reaches(api, db) and is_kept_from(batch, db)
    before = [endpoint(node, e)["ruleSet"] for e in (a, b)]

    node.policy("bomb.json", {"namespace": "acme", "rules": [{"endpointSelector": {}, "egress": [
        {"toCIDRSet": [{"cidr": "0.0.0.0/0", "except": [f"1.0.{n >> 8}.{n & 255}"]}],
         "toPorts": [{"ports": [{"port": 3 * n + 1}]}]} for n in range(3000)]}]})
    wait_for(lambda: "too large" in json.dumps(node.api("/v1/status")), "the refusal", 90)
    assert [endpoint(node, e)["ruleSet"] for e in (a, b)] == before and reaches(a, b)

    node.policy("beta.json", None)
    until(node, batch, db, True)
    node.policy("bomb.json", {"namespace": "acme", "rules": [{"endpointSelector": {}, "egress": [{}]}]})
    until(node, a, c, False)
    # The pass that wrote it may still be under way.
    wait_for(lambda: "too large" not in json.dumps(node.api("/v1/status")), "the reason's end")


def test_an_endpoint_that_lost_its_device_is_not_in_step(node):
    """A task's own root may delete eth0; the record says open, and nothing passes."""
    node.start_picketd()
    a = node.add("acme", "api", "web")
    wait_for(lambda: [e["inStep"] for e in node.api("/v1/endpoints")["endpoints"]] == [True], "the endpoint in step")
    a.run(["ip", "link", "del", "eth0"])
    said = wait_for(lambda: [r for r in node.api("/v1/status")["reasons"] if r["what"] == "device"], "the reason")
    assert f"acme/api/web ({a.id}) has no device: pk{a.slot} is gone" in said[0]["text"], said
    assert not node.api("/v1/endpoints")["endpoints"][0]["inStep"] and node.api("/v1/status")["endpoints"]["inStep"] == 0
    node.delete(a)
    wait_for(lambda: node.api("/v1/status")["state"] == "ok", "nothing to say")


def test_log_lines_carry_the_time(node):
    node.start_picketd()
    first = node.log().splitlines()[0]
    assert re.match(r"time=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=\w+ program=picketd ", first), first
    lines = len(node.log().splitlines())
    node.kill_picketd()
    own = os.stat(node.log_path)
    node.start_picketd(env={"JOURNAL_STREAM": f"{own.st_dev}:{own.st_ino}"})	# the journal has the time, and takes the level
    assert re.match(r"<\d>level=\w+ program=picketd ", node.log().splitlines()[lines]), node.log()
    lines = len(node.log().splitlines())
    node.kill_picketd()
    node.start_picketd(env={"JOURNAL_STREAM": f"{own.st_dev}:{own.st_ino + 1}"})	# a parent's: this is a plain file
    assert re.match(r"time=\S+ level=\w+ program=picketd ", node.log().splitlines()[lines]), node.log()


class Lines:
    """GET /v1/flows?follow=1, line by line."""

    def __init__(self, node, query="follow=1&last=0"):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(node.path("run/picket/picketd.sock"))
        self.socket.sendall(f"GET /v1/flows?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        self.answer = http.client.HTTPResponse(self.socket)
        self.answer.begin()
        assert self.answer.getheader("Content-Type") == "application/x-ndjson"

    def until(self, wanted):
        while True:
            line = self.answer.readline()
            assert line, "the stream ended"
            event = json.loads(line)
            if wanted(event):
                return event

    def close(self):
        self.answer.close()
        self.socket.close()


def test_denials_have_names_and_the_rule_or_its_absence(node):
    node.policy("db.json", {"namespace": "acme", "rules": [*ONLY_API["rules"], {
        "endpointSelector": {"matchLabels": {"nomad:job": "db"}}, "log": {"value": "never batch"},
        "ingressDeny": [{"fromEndpoints": [{"matchLabels": {"nomad:job": "batch"}}]}]}]})
    node.start_picketd()
    batch, odd, db = (node.add("acme", job, "g") for job in ("batch", "odd", "db"))
    lines = Lines(node)
    assert is_kept_from(batch, db)
    ruled = lines.until(lambda e: e["reason"] == "policy-denied" and e["source"].get("job") == "batch")
    assert ruled["verdict"] == "denied" and ruled["direction"] == "ingress"
    assert ruled["policy"] == "file/db" and ruled["kind"] == "deny" and ruled["tier"] == "tenant"
    assert ruled["rule"]["log"] == "never batch" and ruled["rule"]["line"] >= 1
    assert ruled["destination"]["name"] == "acme/db/g"
    assert ruled["destination"]["ip"] == db.address() and ruled["source"]["alloc"] == batch.id
    assert is_kept_from(odd, db)
    absent = lines.until(lambda e: e["reason"] == "policy-denied" and e["source"].get("job") == "odd")
    assert absent["policy"] is None and absent["rule"] is None and absent["kind"] == "default"
    assert absent["defaultDenyBy"] == "file/db"
    lines.close()

    node.written()
    with open(os.path.join(node.root, "var/log/picket/flows.jsonl"), encoding="utf-8") as file:
        kept = [json.loads(line) for line in file]
    assert any(e["reason"] == "policy-denied" and e["source"].get("job") == "odd" for e in kept)
    wait_for(lambda: node.api("/v1/status")["events"]["subscribers"] == 0, "the reader's end seen")
    last = Lines(node, "last=1000")
    assert last.until(lambda e: e["reason"] == "policy-denied")
    last.close()
    counters = node.api(f"/v1/counters?slot={db.slot}&reason=policy-denied")["counters"]
    assert counters and counters[0]["direction"] == "ingress" and counters[0]["packets"] >= 2


def test_what_endpoints_leave_is_swept(node, no_leaks):
    node.start_picketd()
    # The rule sets and numbers of tenants that come back are kept; endpoints leave nothing else.
    no_leaks(node, ignore=("table bases", "table labels", "table cidr", "table verdicts"))
    gone, deleted = node.add("acme", "api", "g"), node.add("acme", "db", "g")
    node.drop_netns(gone)           # Nomad was killed: no DEL ever
    node.delete(deleted)
    wait_for(lambda: node.api("/v1/endpoints") == {"endpoints": []}, "both gone")
    wait_for(lambda: not node.records(), "their records")


def test_an_open_endpoint_without_its_record_is_said(node):
    """Somebody emptied the state directory: policy can't reach the endpoint, DEL still closes it."""
    node.start_picketd()
    stray, other = node.add("acme", "api", "g"), node.add("acme", "db", "g")
    wait_for(lambda: in_step(node), "both known")
    os.unlink(os.path.join(node.root, f"var/lib/picket/endpoints/{stray.id}@eth0@{stray.slot}"))
    node.delete(other)              # a device that goes is when picketd looks
    reason, = wait_for(lambda: node.api("/v1/status")["reasons"], "the reason")
    assert f"pk{stray.slot} is open and its record is gone" in reason["text"]
    assert node.tables.word(stray.slot) != (0, 0, 0)
    node.delete(stray)
    assert node.tables.word(stray.slot) == (0, 0, 0)
    wait_for(lambda: not node.api("/v1/status")["reasons"], "no reason any more")


def test_world_is_what_the_tools_need(node):
    node.policy("db.json", ONLY_API)
    node.start_picketd()
    node.add("acme", "api", "g")
    world = node.api("/v1/world")
    assert world["baseline"] == "tenant" and world["pools"] == ["10.40.7.0/24", "fd00:40:7::/64"]
    assert world["endpoints"][0]["labels"]["nomad:job"] == "api"
    assert world["endpoints"][0]["ruleSet"] and world["endpoints"][0]["slot"]
    assert [p["name"] for p in world["policies"]] == ["db"]
    assert json.loads(world["policies"][0]["text"]) == ONLY_API
    rules = node.api("/v1/rules")["rules"]
    assert any(r["document"] == "db" and r["description"] == "api may reach the database"
               for r in rules)
    assert node.api("/v1/identities")["identities"][0]["endpoints"] == 1
