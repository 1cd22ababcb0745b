# SPDX-License-Identifier: Apache-2.0
"""One real node among a hundred: it asks for what its own tenants need, no more often than it may, and knows exactly that."""
import collections

import pytest
from harness.shell import wait_for
from scale.run import Simulation
from scale.world import ROOT, Size

SMALL = Size(nodes=100, endpoints=5000, tenants=200, hosted=20, own=20)
BURST = 5	# questions of one watch beside one a second: its allowance, the first one and the next
EVENTS = 400


@pytest.fixture(name="s", scope="module")
def simulation_fixture():
    with Simulation(SMALL, seed=1) as made:
        yield made


def asked(s, part):
    """The paths below a part of the cluster's keys that were read, each with when."""
    found = collections.defaultdict(list)
    for a in s.requests():
        if a.method == "GET" and a.path.startswith(f"/v1/kv/{ROOT}{part}"):
            found[a.path.removeprefix(f"/v1/kv/{ROOT}{part}").rstrip("/")].append(a.at)
    return found


def test_it_asks_for_its_own_tenants_alone(s):
    hosted = set(s.world.hosted)
    assert set(asked(s, "tenants/")) == hosted
    assert {name.split("/")[0] for name in asked(s, "policies/tenants/")} - {""} == hosted
    assert not [a for a in s.requests() if "recurse" in a.query and a.path.endswith("policies/tenants/")], "names alone, of all"
    assert {a.query["namespace"] for a in s.requests() if a.path == "/v1/allocations"} <= hosted
    wait_for(s.all_wait, "all questions to wait", 60)
    of_all = [a for part in ("nodes", "blocks") for a in s.requests() if a.path.startswith(f"/v1/kv/{ROOT}{part}") and a.method == "GET"]
    assert not [a.target for a in of_all if "recurse" in a.query and "index" in a.query], "what all nodes say isn't told again at the end of each wait"
    assert {a.path for a in of_all if "keys" in a.query and "index" in a.query} == {f"/v1/kv/{ROOT}nodes", f"/v1/kv/{ROOT}blocks"}
    others = s.node.api("/v1/status")["others"]
    assert others["endpoints"] == sum(len(s.world.of_tenant[tenant]) for tenant in hosted) and others["tenants"] == len(hosted)
    assert others["nodes"] == SMALL.nodes - 1 and not others["refused"]
    assert s.node.tables.count("remote") == len(s.world.addresses(hosted))


def test_what_changes_is_known_exactly_and_asked_for_at_its_pace(s):
    """Moves, reboots and edits come as fast as the servers make them; of other tenants' nothing is heard."""
    def churn():
        for _ in range(EVENTS):
            s.world.step(s.world.now + 1)
    before = s.known()
    for _ in range(5):
        s.servers.do(churn)
    wait_for(s.is_known, lambda: sorted(s.known() ^ s.servers.do(s.world.addresses, s.world.hosted))[:20], 120)
    assert s.known() != before
    for part in "tenants/", "policies/tenants/", "policies/operator", "nodes", "blocks":
        for name, times in asked(s, part).items():
            assert len(times) <= times[-1] - times[0] + BURST, f"{part}{name}: {len(times)} questions in {times[-1] - times[0]:.1f} s"
    assert set(asked(s, "tenants/")) == set(s.world.hosted)


def test_a_leader_that_is_lost_is_no_storm(s):
    """A thousand nodes that all ask anew would keep the servers from electing one: who waits at any server goes on waiting, and one question tells."""
    services = s.consul, s.nomad
    wait_for(lambda: s.node.source("consul")["state"] == s.node.source("nomad")["state"] == "ok", "both to be heard")
    wait_for(s.all_wait, "all questions to wait", 60)
    at = max(a.at for a in s.requests())
    for service in services:
        s.servers.do(service.lose_leader)
    for service in services:
        wait_for(lambda service=service: sum(a.path == "/v1/status/leader" for a in service.asked if a.at > at) >= 4, "some questions for a leader", 59)
    for name in "consul", "nomad":
        wait_for(lambda name=name: s.node.source(name)["state"] == "stale" and "no leader" in s.node.source(name)["lastError"], f"{name}'s loss, said")
    read = [a for a in s.requests(at) if a.method == "GET" and f"{ROOT}status/" not in a.path]		# that is asked before it is written
    assert not [a.target for a in read if a.of_leader or ("recurse" in a.query and "index" not in a.query)], "nothing that all ask at once"
    for service in services:
        s.servers.do(service.find_leader)
    for name in "consul", "nomad":
        wait_for(lambda name=name: s.node.source(name)["state"] == "ok", f"{name}'s new leader")
    for _ in range(EVENTS):
        s.servers.do(s.world.step, s.world.now + 1)
    wait_for(s.is_known, lambda: sorted(s.known() ^ s.servers.do(s.world.addresses, s.world.hosted))[:20], 120)
    assert not [a.target for a in s.requests(at) if "recurse" in a.query and "index" not in a.query], "nor when there is one again"
