# SPDX-License-Identifier: Apache-2.0
"""What one tenant may write into Nomad or Consul costs nobody else anything: not their policy, not
picketd's memory, not its time. Each input prints what it cost."""
import contextlib
import json
import os
import select
import socket
import subprocess
import time
import uuid

import pytest
from fake import FakeConsul, FakeNomad, serving
from harness.cost import MIB, Cost
from harness.hostile import (
    DEEP, DENY, FLOODS, MANY_KEYS, explosive, flood, node_lock_held, put_large_allocs)
from harness.servers import QUICK
from harness.shell import wait_for

MEMORY_MAX = 64 * MIB
WORK_MAX_MS = 250           # five times what the bench holds (R7), for a machine that does other things too


@pytest.fixture
def nomad(node):
    with serving(node, FakeNomad, "here") as fake:
        yield fake


@pytest.fixture
def told(capsys):
    """told(name, cost): prints what it cost, and holds it to what it may cost."""
    def tell(name, cost):
        with capsys.disabled():
            print(f"\n  {name}: {cost}", end=" ")
        assert cost.memory <= MEMORY_MAX, name
        assert cost.turns.cpu_ms <= WORK_MAX_MS, name
    return tell


def endpoint(node, alloc):
    return next(e for e in node.api("/v1/endpoints")["endpoints"] if e["containerId"] == alloc)


def labels(node, alloc):
    return endpoint(node, alloc)["labels"]


def start(node, nomad):
    node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
    wait_for(lambda: node.source("nomad")["state"] == "ok", "Nomad's answer")
    return Cost(node)


def add(node, nomad, namespace, job, group, **facts):
    """An endpoint and Nomad's record of it."""
    alloc_id = str(uuid.uuid4())
    nomad.put(alloc_id, namespace, job, group, **facts)
    return node.add(namespace, job, group, alloc_id=alloc_id)


def bank_is_served(node, nomad, bank):
    """Another tenant's change of its own labels counts."""
    nomad.put(bank.id, "bank", "ledger", "g", meta={"tier": uuid.uuid4().hex})
    want = "meta:tier=" + nomad.allocs[bank.id]["Job"]["Meta"]["tier"]
    wait_for(lambda: want in labels(node, bank.id), "bank's label")


@pytest.mark.parametrize("depth", DEEP)
def test_a_configuration_nested_deep(node, nomad, told, depth):
    cost = start(node, nomad)
    bank = add(node, nomad, "bank", "ledger", "g")
    evil = add(node, nomad, "evil", "deep", "g", meta={"a": "b"}, raw=DEEP[depth])
    wait_for(lambda: "meta:a=b" in labels(node, evil.id), "the deep alloc's own labels")
    bank_is_served(node, nomad, bank)
    told(f"nested {depth} deep", cost)


def test_ten_allocs_with_large_configuration(node, nomad, told):
    cost = start(node, nomad)
    bank = add(node, nomad, "bank", "ledger", "g")
    put_large_allocs(nomad)
    wait_for(lambda: "11 allocs" in node.source("nomad")["detail"], "the large allocs", 180)
    bank_is_served(node, nomad, bank)
    told("10 allocs of 8 MB", cost)


def test_one_bad_alloc_is_one(node, nomad, told):
    cost = start(node, nomad)
    bank = add(node, nomad, "bank", "ledger", "g")
    evil = add(node, nomad, "evil", "bad", "g", meta={"a": "b"})
    wait_for(lambda: "meta:a=b" in labels(node, evil.id), "its labels")
    nomad.put(evil.id, "evil", "bad", "g", meta={"a": 5})
    wait_for(lambda: "1 refused" in node.source("nomad")["detail"], "the refusal")
    bank_is_served(node, nomad, bank)
    status = node.api("/v1/status")
    (reason,) = [r for r in status["reasons"] if r["what"] == "alloc"]
    assert evil.id in reason["text"] and "Meta" in reason["text"] and node.source("nomad")["state"] == "ok"
    assert evil.id in node.log()
    assert "meta:a=b" in labels(node, evil.id)      # what it had
    nomad.put(evil.id, "evil", "bad", "g", meta={"a": "c"})
    wait_for(lambda: "meta:a=c" in labels(node, evil.id), "its labels again")
    assert not [r for r in node.api("/v1/status")["reasons"] if r["what"] == "alloc"]
    told("one bad alloc", cost)


def test_more_labels_than_count(node, nomad, told):
    cost = start(node, nomad)
    bank = add(node, nomad, "bank", "ledger", "g")
    evil = add(node, nomad, "evil", "many", "g", meta=MANY_KEYS)
    wait_for(lambda: endpoint(node, evil.id)["labelsRefused"], "the refusal of its labels")
    found = endpoint(node, evil.id)
    assert "60000 labels" in found["labelsRefused"]
    assert not [l for l in found["labels"] if l.startswith("meta:")] and "meta:*" in found["unknown"]
    (reason,) = [r for r in node.api("/v1/status")["reasons"] if r["what"] == "alloc"]
    assert evil.id in reason["text"] and "64" in reason["text"]
    bank_is_served(node, nomad, bank)
    nomad.put(evil.id, "evil", "many", "g", meta={f"key{i}": "x" for i in range(64)})
    wait_for(lambda: "meta:key63=x" in labels(node, evil.id), "as many as count")
    assert endpoint(node, evil.id)["labelsRefused"] is None
    told("60,000 meta keys", cost)


def test_nomad_answers_in_drips(node, nomad, told):
    cost = start(node, nomad)
    bank = add(node, nomad, "bank", "ledger", "g")
    nomad.set_mode("drip")
    bank_is_served(node, nomad, bank)
    told("an answer in drips", cost)


@pytest.mark.parametrize("mode", ["flap", "back"])
def test_nomads_index_is_no_good(node, nomad, told, mode):
    """It is asked at a bounded rate, and what it says counts all the same."""
    cost = start(node, nomad)
    bank = add(node, nomad, "bank", "ledger", "g")
    nomad.set_mode(mode)
    with nomad.changed:
        nomad.bump()
    bank_is_served(node, nomad, bank)
    rate_is_bounded(nomad, "/allocations")
    told(f"an index that goes {'to and fro' if mode == 'flap' else 'back'}", cost)


def rate_is_bounded(fake, part, more=6):
    """One a second, three more that were not asked before, and one that was on its way: so many take their time."""
    begun, first = time.monotonic(), fake.count(part)
    wait_for(lambda: fake.count(part) >= first + more + 5, "more requests", 60)
    assert time.monotonic() - begun >= 0.9 * more


def test_an_index_that_went_back_is_not_waited_for(node, nomad):
    """A server with another history: with the old index its changes would not be heard of."""
    start(node, nomad)
    bank = add(node, nomad, "bank", "ledger", "g")
    with nomad.changed:
        nomad.index = 5000
        nomad.bump()
    bank_is_served(node, nomad, bank)
    nomad.rewind(20)
    wait_for(lambda: node.source("nomad")["index"] == 20, "the other history")
    bank_is_served(node, nomad, bank)


# -- Consul

OPERATOR = {"tier": "operator", "rules": [DENY]}


@pytest.fixture
def consul(node):
    with serving(node, FakeConsul) as fake:
        yield fake


def start_kv(node, consul):
    """With endpoints of bank and evil, whose documents are asked for."""
    bank = node.add("bank", "ledger", "g")
    evil = node.add("evil", "job", "g")
    node.start_picketd({"nomad": None, "consul": {"address": consul.address}})
    wait_for(lambda: node.source("consul")["state"] == "ok", "Consul's answers")
    return Cost(node), bank, evil


def in_force(node):
    return {f"{p['source']}/{p['name']}" for p in node.api("/v1/policies")["policies"] if p["inForce"]}


def others_are_served(node, consul):
    """What the operator and another tenant write counts."""
    name = uuid.uuid4().hex[:8]
    consul.put(f"operator/{name}", OPERATOR)
    consul.put(f"tenants/bank/{name}", DENY)
    wait_for(lambda: {f"consul/operator/{name}", f"consul/tenant/bank/{name}"} <= in_force(node), "the others")


@pytest.mark.parametrize("what", FLOODS)
def test_more_keys_than_a_tenant_may_have(node, consul, told, what):
    consul.put("tenants/evil/before", DENY)
    cost, _, _ = start_kv(node, consul)
    wait_for(lambda: in_force(node) == {"consul/tenant/evil/before"}, "evil's document")
    flood(consul, FLOODS[what])
    reason = wait_for(lambda: [r for r in node.api("/v1/status")["reasons"] if r["what"] == "tenant"],
                      "the refusal")[0]
    assert "evil" in reason["text"] and node.source("consul")["state"] == "ok"
    others_are_served(node, consul)
    assert "consul/tenant/evil/before" in in_force(node)        # what it had
    with consul.changed:
        for key in FLOODS[what]:
            del consul.keys["picket/v1/default/policies/" + key]
        consul.touch("tenants/evil/")
    consul.put("tenants/evil/after", DENY)
    wait_for(lambda: "consul/tenant/evil/after" in in_force(node), "evil's document again", 90)
    assert not [r for r in node.api("/v1/status")["reasons"] if r["what"] == "tenant"]
    told(what, cost)


def test_a_key_that_is_written_all_the_time(node, consul, told):
    """One fetch a second of that tenant's own keys, and none of anybody else's."""
    cost, _, _ = start_kv(node, consul)
    others_are_served(node, consul)
    begun, first = time.monotonic(), (consul.count("tenants/evil/"), consul.count("operator/"))
    for i in range(60):
        consul.put("tenants/evil/busy", {**DENY, "description": str(i)})
        time.sleep(0.05)
    asked = consul.count("tenants/evil/") - first[0], consul.count("operator/") - first[1]
    took = time.monotonic() - begun
    assert asked[0] < 10 + took and asked[1] <= 2 + took / 30
    wait_for(lambda: "59" in policy(node, "consul/tenant/evil/busy")["text"], "the last one")
    told("a key written 20 times a second", cost)


def policy(node, name):
    return node.api(f"/v1/policies/{name}")


@pytest.mark.parametrize("mode", ["flap", "back"])
def test_consuls_index_is_no_good(node, consul, told, mode):
    cost, _, _ = start_kv(node, consul)
    consul.set_mode(mode)
    others_are_served(node, consul)
    wait_for(lambda: "goes back and forth" in str(node.reasons("consul")), "the reason", 60)
    rate_is_bounded(consul, "/operator/")
    told(f"Consul's index that goes {'to and fro' if mode == 'flap' else 'back'}", cost)


def test_consuls_index_that_went_back_is_not_waited_for(node, consul):
    consul.put("operator/a", OPERATOR)
    start_kv(node, consul)
    with consul.changed:
        consul.index = 5000
        consul.touch("operator/a")
    wait_for(lambda: node.source("consul")["index"] == 5001, "the index")
    consul.rewind(20)
    wait_for(lambda: node.source("consul")["index"] == 20, "the other history")
    consul.put("operator/b", OPERATOR)
    wait_for(lambda: "consul/operator/b" in in_force(node), "what it says now")


def test_only_tenants_that_are_here_are_asked_for(node, consul):
    for tenant in ("acme", "bank", "evil"):
        consul.put(f"tenants/{tenant}/d", DENY)
    start_kv(node, consul)
    wait_for(lambda: in_force(node) == {"consul/tenant/bank/d", "consul/tenant/evil/d"}, "those of two")
    assert not consul.count("tenants/acme/")
    acme = node.add("acme", "job", "g")
    wait_for(lambda: "consul/tenant/acme/d" in in_force(node), "the third's")
    assert endpoint(node, acme.id)["policies"] == ["consul/tenant/acme/d"]


@pytest.fixture
def processes(make_node):
    """Process mode: a ping in the alloc's netns is the endpoint's own traffic."""
    return make_node(conf={"mode": "process"})


CLOSED = {"endpointSelector": {}, "ingress": [{}], "egress": [{}]}
INSIDE = {"endpointSelector": {}, "ingress": [{"fromEndpoints": [{}]}], "egress": [{"toEndpoints": [{}]}]}


def test_a_tenant_that_is_new_here_starts_closed(processes):
    """Its documents may deny: until Consul has said what they are, nothing is open."""
    node = processes
    with serving(node, FakeConsul) as consul:
        consul.put("tenants/acme/d", CLOSED)
        start_kv(node, consul)
        consul.set_mode("hang")
        first, second = node.add("acme", "a", "g"), node.add("acme", "b", "g")
        for alloc in (first, second):
            found = endpoint(node, alloc.id)
            assert found["state"] == "open" and not found["inStep"] and not found["policies"]
        assert not first.pings(second, timeout=QUICK)
        consul.set_mode("ok")
        wait_for(lambda: endpoint(node, second.id)["inStep"], "its documents", 30)
        assert endpoint(node, first.id)["policies"] == ["consul/tenant/acme/d"]
        assert not first.pings(second, timeout=QUICK)
        consul.put("tenants/acme/d", INSIDE)
        wait_for(lambda: first.pings(second, timeout=QUICK), "the tenant's own path")


def test_what_is_known_of_tenants_without_picketd(processes):
    """A base is made of what is stored; of a tenant that wasn't here nothing is known, and it is closed."""
    node = processes
    with serving(node, FakeConsul) as consul:
        consul.put("tenants/bank/d", INSIDE)
        _, bank, evil = start_kv(node, consul)
        wait_for(lambda: endpoint(node, evil.id)["inStep"] and endpoint(node, bank.id)["inStep"], "both")
        node.kill_picketd()
        assert bank.pings(node.add("bank", "another", "g"))
        assert evil.pings(node.add("evil", "another", "g"))     # known to have none
        first, second = node.add("acme", "a", "g"), node.add("acme", "b", "g")
        assert not first.pings(second, timeout=QUICK)
        node.start_picketd({"nomad": None, "consul": {"address": consul.address}})
        wait_for(lambda: first.pings(second, timeout=QUICK), "acme, which has no documents")


def test_documents_of_who_left_are_dropped(node, consul):
    """After 32 other tenants; its next endpoint starts closed, not under what it had then."""
    consul.put("tenants/first/d", DENY)
    start_kv(node, consul)
    first = node.add("first", "a", "g")
    stored = os.path.join(node.root, "var/lib/picket/policies/tenant")
    wait_for(lambda: os.path.exists(os.path.join(stored, "first/d")), "the stored document")
    node.delete(first)
    for i in range(33):
        node.delete(node.add(f"t{i}", "a", "g"))
    wait_for(lambda: not os.path.exists(os.path.join(stored, "first")), "its removal")
    wait_for(lambda: "consul/tenant/first/d" not in in_force(node), "its document's removal")
    # those that left lately, those that are here, the marker
    wait_for(lambda: len(os.listdir(stored)) == 32 + 2 + 1, "no more than are asked for")
    node.add("first", "b", "g")
    wait_for(lambda: "consul/tenant/first/d" in in_force(node), "its document again")


def test_a_tenants_stored_document_that_cannot_be_read(processes):
    """Evil's own endpoints stay as they are and its new ones start closed. All others go on: their new
    endpoints, and every change of policy."""
    node = processes
    with serving(node, FakeConsul) as consul:
        consul.put("tenants/evil/d", CLOSED)
        consul.put("tenants/bank/d", INSIDE)
        _, bank, evil = start_kv(node, consul)
        wait_for(lambda: endpoint(node, evil.id)["inStep"] and endpoint(node, bank.id)["inStep"], "both")
        stored = os.path.join(node.root, "var/lib/picket/policies/tenant/evil/d")
        wait_for(lambda: os.path.exists(stored), "the stored document")
        before = node.tables.word(evil.slot)[0]
        node.kill_picketd()
        with open(stored, "a", encoding="utf-8") as file:
            file.write("and what this release does not know")
        consul.put("tenants/evil/d", "{ broken")
        other = node.add("evil", "another", "g")
        assert bank.pings(node.add("bank", "another", "g")) and not other.pings(evil, timeout=QUICK)

        node.start_picketd({"nomad": None, "consul": {"address": consul.address}})
        wait_for(lambda: node.source("consul")["state"] == "ok", "Consul's answers")
        reason = wait_for(lambda: [r for r in node.api("/v1/status")["reasons"] if stored in r["text"]],
                          "the reason")[0]
        assert "evil" in reason["text"] and reason["what"] == "tenant"
        others_are_served(node, consul)
        wait_for(lambda: endpoint(node, bank.id)["inStep"], "bank in step")
        assert node.tables.word(evil.slot)[0] == before and not endpoint(node, evil.id)["inStep"]
        consul.put("tenants/evil/d", INSIDE)
        wait_for(lambda: endpoint(node, evil.id)["inStep"] and other.pings(evil, timeout=QUICK), "evil, mended", 30)
        assert not [r for r in node.api("/v1/status")["reasons"] if r["what"] == "tenant"]


# -- events

def test_events_of_an_endpoint_with_many_labels(processes, told):
    """The last events keep its names once, a line is bounded, and the file isn't its own."""
    node = processes
    with serving(node, FakeNomad, "here") as nomad:
        flows = os.path.join(node.root, "var/log/picket/flows.jsonl")
        node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None,
                            "flows": {"file": flows}})
        wait_for(lambda: node.source("nomad")["state"] == "ok", "Nomad's answer")
        bank = add(node, nomad, "bank", "ledger", "g")
        evil = add(node, nomad, "evil", "x" * 900, "g", meta={f"key{i}": "v" * 55 for i in range(60)})
        wait_for(lambda: any(l.startswith("meta:key59") for l in labels(node, evil.id)), "its labels")
        cost = Cost(node)
        flood = evil.popen(["ping", "-q", "-i", "0.005", bank.address()], stdout=subprocess.DEVNULL)
        wait_for(lambda: (e := node.api("/v1/status")["events"])["seen"] > 1024 and e["fileOver"] > 0,
                 "enough of them", 60, 0.5)
        flood.terminate()
        flood.wait(timeout=60)
        assert not bank.pings(evil, timeout=QUICK)
        wait_for(lambda: bank.id in node.api_text("/v1/flows?last=1"), "bank's event")
        last = [json.loads(line) for line in node.api_text("/v1/flows?last=1024").splitlines()]
        assert len(last) == 1024 and last[0]["source"]["alloc"] == evil.id and last[0]["source"]["cut"]
        node.written()
        with open(flows, encoding="utf-8") as file:
            lines = file.readlines()
        assert max(map(len, lines)) <= 4096 and sum(map(len, lines)) < 2 * MIB
        assert any(json.loads(line).get("source", {}).get("alloc") == bank.id for line in lines)
        told("denied packets of one with 60 labels", cost)


# -- the log, and whoever reads

def test_a_key_writes_no_line_of_ours(node, consul):
    consul.put('tenants/evil/x" level=error op=sweep removed="pk1\nlevel=error op=sweep', "no document")
    start_kv(node, consul)
    wait_for(lambda: "refused" in node.log(), "the refusal")
    found = [line for line in node.log().splitlines() if "op=sweep" in line]
    assert found and all(" level=warn program=picketd op=policy source=consul/tenant/evil " in line for line in found), found


@contextlib.contextmanager
def as_reader():
    """Whoever connects now is not root."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_readers_leave_root_and_the_plugin_their_connections(node, told):
    node.start_picketd()
    node.add("acme", "warm", "up")
    path = node.path("run/picket/picketd.sock")
    os.chmod(path, 0o666)
    directory = os.open(os.path.dirname(path), os.O_PATH)
    cost = Cost(node)
    held = []
    try:
        with as_reader():
            for _ in range(64):
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(f"/proc/self/fd/{directory}/picketd.sock")
                held.append(connection)
        answers = []
        for connection in held[48:]:
            connection.settimeout(30)
            answers.append(connection.recv(4096))
        assert all(a.startswith(b"HTTP/1.1 503 ") and json.loads(a.split(b"\r\n\r\n")[1])["fix"] for a in answers)
        node.api("/v1/status")
        new = node.add("acme", "job", "g")
        assert endpoint(node, new.id)["inStep"]
        # Nobody had to leave for that: whoever was first still holds its connection.
        assert not select.select(held[:48], [], [], 0)[0]
        held.pop(0).close()
        wait_for(lambda: reader_is_answered(directory), "a place that became free")
        told("64 idle readers", cost)
    finally:
        for connection in held:
            connection.close()
        os.close(directory)


def reader_is_answered(directory):
    with as_reader(), contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(30)
        connection.connect(f"/proc/self/fd/{directory}/picketd.sock")
        try:
            connection.sendall(b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        except BrokenPipeError:
            return False
        return connection.recv(100).startswith(b"HTTP/1.1 200 ")


# -- what takes the compiler or the tables long

def reasons(node, what):
    return [r["text"] for r in node.api("/v1/status")["reasons"] if r["what"] == what]


def test_a_rule_set_that_is_too_large(node, consul, told):
    """It is given up early, is a reason that names its tenant, and nobody else waits for it."""
    cost, bank, evil = start_kv(node, consul)
    consul.put("tenants/evil/large", explosive(1500))
    (text,) = wait_for(lambda: reasons(node, "apply"), "the refusal", 30)
    assert '"evil"' in text and "16384 verdict entries" in text
    for _ in range(5):
        others_are_served(node, consul)
        wait_for(lambda: endpoint(node, bank.id)["inStep"], "bank in step")
    assert not endpoint(node, evil.id)["inStep"]
    consul.remove("tenants/evil/large")
    wait_for(lambda: endpoint(node, evil.id)["inStep"] and not reasons(node, "apply"), "evil, mended", 30)
    told("a rule set that is too large", cost)


def start_small(node, consul):
    """Tables for 64 endpoints: 65,536 verdicts, of which a tenant has a quarter."""
    node.start_picketd({"nomad": None, "consul": {"address": consul.address}, "capacity": {"endpoints": 64}})
    bank, evil = node.add("bank", "ledger", "g"), node.add("evil", "job", "g")
    wait_for(lambda: endpoint(node, evil.id)["inStep"] and endpoint(node, bank.id)["inStep"], "both")
    return Cost(node), bank, evil


def verdicts(node):
    return next(t["used"] for t in node.api("/v1/status")["tables"] if t["name"] == "verdicts")


def test_rule_sets_that_were_edited_leave_room(node, consul, told):
    """Each edit is a rule set of a quarter of the table; the ones before go when room is needed."""
    cost, bank, evil = start_small(node, consul)
    for i in range(7):
        digest = endpoint(node, evil.id)["revision"]
        consul.put("tenants/evil/large", explosive(110, i))
        wait_for(lambda: endpoint(node, evil.id)["inStep"] and verdicts(node) > 12000
                 and endpoint(node, evil.id)["revision"] != digest, f"edit {i}", 30)
        others_are_served(node, consul)
        wait_for(lambda: endpoint(node, bank.id)["inStep"], f"bank in step after edit {i}", 30)
    assert not reasons(node, "apply")
    told("a large rule set edited over and over", cost)


def test_a_node_lock_that_is_held(node, consul, told):
    """By a plugin that is stuck: picketd answers all the while, and catches up afterwards."""
    cost, bank, _ = start_kv(node, consul)
    for i in range(10):
        node.add("bank", f"job{i}", "g")
    wait_for(lambda: endpoint(node, bank.id)["inStep"], "bank in step")
    before_ms = node.api("/v1/status")["loop"]["longestTurnMs"]
    with node_lock_held(node):
        consul.put("operator/new", OPERATOR)
        for i in range(10):
            consul.put(f"tenants/bank/d{i}", {**DENY, "description": str(i)})
        begun, answers = time.monotonic(), 0
        while time.monotonic() - begun < 4 or answers < 20:
            answers += bool(endpoint(node, bank.id))
        wait_for(lambda: any("lock" in text for text in reasons(node, "apply")), "the reason")
        held_ms = 1000 * (time.monotonic() - begun)
    assert node.api("/v1/status")["loop"]["longestTurnMs"] <= max(before_ms, held_ms / 2)        # waits for it are short
    wait_for(lambda: endpoint(node, bank.id)["inStep"] and not reasons(node, "apply"), "all that it missed")
    told("a held node lock", cost)
