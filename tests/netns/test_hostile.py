# SPDX-License-Identifier: GPL-2.0-only
"""What one tenant may write into Nomad or Consul costs nobody else anything: not their policy, not
picketd's memory, not its time. Each input prints what it cost."""
import contextlib
import json
import os
import sys
import uuid

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from fake import FakeConsul, FakeNomad  # noqa: E402
from harness.cost import MIB, Cost  # noqa: E402
from harness.shell import wait_for  # noqa: E402

MEMORY_MAX = 64 * MIB
WORK_MAX_MS = 250           # five times what the bench holds (R7), for a machine that does other things too


@contextlib.contextmanager
def serving(node, kind, *args):
    with node.inside():
        fake = kind(*args)
    try:
        yield fake
    finally:
        fake.stop()


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


def source(node, name):
    return next(s for s in node.api("/v1/status")["sources"] if s["name"] == name)


def endpoint(node, alloc):
    return next(e for e in node.api("/v1/endpoints")["endpoints"] if e["containerId"] == alloc)


def labels(node, alloc):
    return endpoint(node, alloc)["labels"]


def start(node, nomad):
    node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
    wait_for(lambda: source(node, "nomad")["state"] == "ok", "Nomad's answer")
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


DEEP = {"130": '"TaskResources": ' + '{"x":' * 130 + "1" + "}" * 130,
        "100,000": '"TaskResources": ' + "[" * 100000 + "]" * 100000}


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
    raw = '"TaskResources": {"args": [' + ",".join(['"x"'] * 2000000) + "]}"
    for i in range(10):
        nomad.put(f"large-{i}", "evil", "large", "g", raw=raw)
    wait_for(lambda: "11 allocs" in source(node, "nomad")["detail"], "the large allocs", 60)
    bank_is_served(node, nomad, bank)
    told("10 allocs of 8 MB", cost)


def test_one_bad_alloc_is_one(node, nomad, told):
    cost = start(node, nomad)
    bank = add(node, nomad, "bank", "ledger", "g")
    evil = add(node, nomad, "evil", "bad", "g", meta={"a": "b"})
    wait_for(lambda: "meta:a=b" in labels(node, evil.id), "its labels")
    nomad.put(evil.id, "evil", "bad", "g", meta={"a": 5})
    wait_for(lambda: "1 refused" in source(node, "nomad")["detail"], "the refusal")
    bank_is_served(node, nomad, bank)
    status = node.api("/v1/status")
    (reason,) = [r for r in status["reasons"] if r["what"] == "alloc"]
    assert evil.id in reason["text"] and "Meta" in reason["text"] and source(node, "nomad")["state"] == "ok"
    assert evil.id in node.log()
    assert "meta:a=b" in labels(node, evil.id)      # what it had
    nomad.put(evil.id, "evil", "bad", "g", meta={"a": "c"})
    wait_for(lambda: "meta:a=c" in labels(node, evil.id), "its labels again")
    assert not [r for r in node.api("/v1/status")["reasons"] if r["what"] == "alloc"]
    told("one bad alloc", cost)


def test_more_labels_than_count(node, nomad, told):
    cost = start(node, nomad)
    bank = add(node, nomad, "bank", "ledger", "g")
    evil = add(node, nomad, "evil", "many", "g", meta={f"key{i}": "x" for i in range(60000)})
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
    """Once the first three are used up, a second and more lies between two requests."""
    first = fake.count(part)
    wait_for(lambda: fake.count(part) >= first + more + 4, "more requests", 60)
    times = [at for at, path in zip(fake.times, fake.requests) if part in path][first + 3:]
    assert times[more] - times[0] >= 0.9 * more


def test_an_index_that_went_back_is_not_waited_for(node, nomad):
    """A server with another history: with the old index its changes would not be heard of."""
    start(node, nomad)
    bank = add(node, nomad, "bank", "ledger", "g")
    with nomad.changed:
        nomad.index = 5000
        nomad.bump()
    bank_is_served(node, nomad, bank)
    nomad.rewind(20)
    wait_for(lambda: source(node, "nomad")["index"] == 20, "the other history")
    bank_is_served(node, nomad, bank)
