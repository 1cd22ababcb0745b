# SPDX-License-Identifier: Apache-2.0
"""What a node says of a tenant's endpoints counts where Nomad has placed one of its allocs, as far as Nomad says."""
import uuid

import pytest
from fake import FakeNomad
from harness.attach import attach
from harness.fabric import made_cluster
from harness.shell import wait_for

ASKED = "/v1/allocations?namespace="


@pytest.fixture(name="cluster")
def cluster_fixture(request, fabric):
    with made_cluster(request.node.name, fabric) as made:
        yield made


@pytest.fixture(name="nomad")
def nomad_fixture(cluster):
    """Of the first node, which is called as it is there; the second one has none."""
    with cluster.nodes[0].inside():
        fake = FakeNomad(node="n1")
    yield fake
    fake.stop()


def start(cluster, nomad):
    one, two = cluster.nodes
    one.start_picketd(cluster.config(one, nomad={"address": nomad.address, "node": "n1"}), wait=False)
    two.start_picketd(cluster.config(two))
    one.picketd_serves()


def run(node, nomad, tenant):
    """An alloc that Nomad knows there, and its endpoint."""
    alloc = str(uuid.uuid4())
    nomad.put(alloc, tenant, "job", "group", node=None if node.name == "n1" else node.name)
    return node.add(tenant, "job", "group", alloc_id=alloc)


def of_two(node):
    return next((n for n in node.api("/v1/nodes")["nodes"] if n["name"] == "n2"), {"endpoints": 0, "refused": 0, "why": None})


def test_who_has_no_alloc_of_a_tenant_does_not_speak_of_it(cluster, nomad):
    one, two = cluster.nodes
    start(cluster, nomad)
    for tenant in "acme", "other":
        run(one, nomad, tenant)
    run(two, nomad, "acme")
    wait_for(lambda: of_two(one)["endpoints"] == 1, "acme's, which Nomad has there", 60)
    assert of_two(one)["refused"] == 0
    two.add("other", "job", "group")		# as a node says that lies
    wait_for(lambda: of_two(one)["refused"] == 1, lambda: of_two(one), 60)
    assert of_two(one)["why"] == "Nomad has no allocation of other on it" and of_two(one)["endpoints"] == 1
    wait_for(lambda: one.tables.count("remote") == 2 and "no allocation of other" in str(one.reasons("cluster")), "what counts, and why no more")
    asked = nomad.count(ASKED + "other")
    nomad.put(str(uuid.uuid4()), "other", "job", "group", node="n2")
    wait_for(lambda: of_two(one)["endpoints"] == 2 and not of_two(one)["refused"], "Nomad's newer word", 60)
    assert nomad.count(ASKED + "other") > asked
    assert not [path for path in nomad.requests if path.startswith("/v1/allocations") and "namespace=" not in path], "never all of them"


def test_a_nomad_that_is_silent_or_strange_takes_nothing(cluster, nomad):
    """No answer, no right to ask, and an answer without this node's own allocs are no word."""
    one, two = cluster.nodes
    nomad.denies = {"closed"}
    start(cluster, nomad)
    for tenant in "acme", "closed":
        run(one, nomad, tenant)
        two.add(tenant, "job", "group")
    wait_for(lambda: of_two(one)["endpoints"] == 1 and of_two(one)["refused"] == 1, lambda: of_two(one), 60)
    assert "Nomad doesn't say where its allocations" in one.log() and "tenant=closed" in one.log().replace('"', "")
    with nomad.changed:
        nomad.allocs.clear()
        nomad.denies = set()
        nomad.bump()
    asked = nomad.count(ASKED + "acme")
    wait_for(lambda: nomad.count(ASKED + "acme") >= asked + 2 and of_two(one)["endpoints"] >= 1, "Nomad to be asked again", 60)
    assert "no allocation of closed" not in str(one.reasons("cluster")), "it lacks this node's own"
    known = one.tables.count("remote")
    one.kill_picketd()
    nomad.stop()
    one.start_picketd(cluster.config(one, nomad={"address": nomad.address, "node": "n1"}))
    assert one.tables.count("remote") >= known, "what was believed is"


def test_what_was_attached_by_hand_is_none_of_nomads(cluster, nomad):
    """An answer that lacks it is Nomad's word all the same; a node without Nomad believes what this one says of it."""
    one, two = cluster.nodes
    start(cluster, nomad)
    two.add("acme", "job", "group")
    attach(one, "by-hand", "-tenant", "acme", "-label", "tier=db", "-mode", "process")
    wait_for(lambda: two.tables.count("remote") > 0, "it, on the other node", 60)
    wait_for(lambda: of_two(one)["refused"] == 1, lambda: of_two(one), 60)
    assert of_two(one)["why"] == "Nomad has no allocation of acme on it" and of_two(one)["endpoints"] == 0
