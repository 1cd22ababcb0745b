# SPDX-License-Identifier: Apache-2.0
"""The wall clock is set to another time, forward and back, while picketd runs: what counts time goes on, nothing opens, nothing hangs."""
import datetime
import json
import os
import time

import pytest
from harness import EGRESS, CniError, proving
from harness.clock import Clock, is_there
from harness.fabric import made_cluster
from harness.servers import QUICK, pings
from harness.shell import wait_for

pytestmark = pytest.mark.skipif(not is_there(), reason="no libfaketime")

HOUR, DAY = 3600, 86400
JUMPS = {"forward": DAY, "back": -HOUR, "far-back": -30 * DAY}
OPEN = {"rules": [{"endpointSelector": {}, "ingress": [{"fromEndpoints": [{}]}]}]}
SHUT = {"rules": [{"endpointSelector": {}, "ingressDeny": [{"fromEndpoints": [{}]}]}]}


def start(node, clock, config):
    return node.start_picketd(config, env={**os.environ, **clock.env})


def session(cluster, key):
    return json.loads(cluster.consul.ask("GET", f"/v1/kv/{cluster.consul.prefix}{key}"))[0].get("Session")


def handed(node):
    with open(os.path.join(node.root, "var/lib/picket/node.json"), encoding="utf-8") as file:
        return json.load(file)["claimed"]["blocks"]


def documents(node):
    return {p["name"] for p in node.api("/v1/policies")["policies"] if p["inForce"]}


def state(node, other):
    return next(n["state"] for n in node.api("/v1/nodes")["nodes"] if n["name"] == other)


@pytest.mark.parametrize("jump", JUMPS)
def test_picketd_alone(request, fabric, jump):
    """Verdicts, sessions, what is said to other nodes and to tenants; in the middle of it picketd is killed and starts at that time."""
    with made_cluster(f"clock-{jump}", fabric) as cluster:
        one, two = cluster.nodes
        clock = Clock(one)
        start(one, clock, cluster.config(one))
        two.start_picketd(cluster.config(two))
        a, b, c = one.add("acme", "api", "web"), two.add("acme", "db", "db"), two.add("other", "x", "x")
        cluster.consul.put("policies/tenants/acme/mine", OPEN)

        def reach():
            return all(pings(x, y.address(family), QUICK) for x, y in ((a, b), (b, a)) for family in (4, 6))

        def apart():
            for family in 4, 6:
                with proving(one.tables, a.slot, EGRESS, "policy-denied"):
                    assert not pings(a, c.address(family), QUICK)

        def told(state_):
            found = cluster.consul.get("status/tenants/acme/mine/n1")
            return found and found["state"] == "active" and found["enforced"] == state_

        def lives_a_life():
            """An endpoint comes and goes, and the other node hears both."""
            known = two.tables.count("remote")
            new = one.add("acme", "new", "new")
            wait_for(lambda: two.tables.count("remote") == known + 2, "the other node to hear of it", 60)
            wait_for(lambda: pings(b, new.address(4), QUICK) and pings(new, b.address(6), QUICK), "a new one to be reached")
            one.delete(new)
            assert not pings(b, new.address(4), QUICK), "at once"
            wait_for(lambda: two.tables.count("remote") == known, "the other node to hear of its end", 60)
            return new

        wait_for(reach, "a tenant's own", 60)
        wait_for(lambda: told("yes"), "what became of its document", 60)
        held = session(cluster, "nodes/n1")
        assert held
        resting = lives_a_life().address(4)
        clock.set(JUMPS[jump])
        begin = time.monotonic()
        assert reach()
        apart()
        assert resting in one.resting() or time.monotonic() - begin > 30, "an address rests by time that passes"
        lives_a_life()
        one.policy("shut.json", {**SHUT, "namespace": "acme"})
        wait_for(lambda: not pings(b, a.address(4), QUICK), "a document that comes then")
        one.policy("shut.json", None)
        wait_for(reach, "its end")
        before = cluster.consul.get("status/tenants/acme/mine/n1")
        cluster.consul.put("policies/tenants/acme/mine", {"rules": []})
        wait_for(lambda: cluster.consul.get("status/tenants/acme/mine/n1") != before, "another text's word", 60)
        seen = json.loads(one.picket("flows", "-json", "-last", "1", "-verdict", "denied").stdout.splitlines()[-1])["time"]
        seen = datetime.datetime.fromisoformat(seen.replace("Z", "+00:00")).timestamp()
        assert abs(seen - time.time() - JUMPS[jump]) < HOUR / 2, "an event is told by the clock that there is now"
        assert state(two, "n1") == "live" and session(cluster, "nodes/n1") == held, "a session doesn't end by it"
        one.kill_picketd()
        cluster.consul.ask("PUT", f"/v1/session/destroy/{held}")	# what its time to live does within two minutes
        start(one, clock, cluster.config(one))
        assert reach()
        apart()
        wait_for(lambda: state(two, "n1") == "live", "a start at that time to be heard", 60)
        wait_for(lambda: session(cluster, "nodes/n1") not in (None, held), "its session", 60)
        lives_a_life()
        cluster.consul.put("policies/tenants/acme/mine", OPEN)
        wait_for(lambda: told("yes"), "what became of its document then", 60)
        clock.set(0)
        assert reach()
        apart()
        lives_a_life()
        for node in cluster.nodes:
            wait_for(lambda node=node: node.api("/v1/status")["state"] == "ok", lambda node=node: node.api("/v1/status")["reasons"], 60)


@pytest.mark.parametrize("jump", ("forward", "back"))
def test_the_machines(request, fabric, jump):
    """picketd's and the plugin's: claimed blocks are handed out again within a minute, and are nobody else's."""
    with made_cluster(f"machine-{jump}", fabric, claim=True) as cluster:
        one, two = cluster.nodes
        one.clock = clock = Clock(one)
        start(one, clock, cluster.config(one))
        two.start_picketd(cluster.config(two))
        for node in cluster.nodes:
            wait_for(lambda node=node: len(handed(node)) >= 2, "blocks", 60)
        a, b = one.add("acme", "api", "web"), two.add("acme", "db", "db")
        wait_for(lambda: pings(a, b.address(4), QUICK), "a tenant's own", 60)
        blocks = set(cluster.consul.keys("blocks/"))
        clock.set(3 * JUMPS[jump] if jump == "forward" else -2 * HOUR)

        def added():
            try:
                return one.add("acme", "new", "new")
            except CniError as refused:
                assert refused.code == 11 and "confirmed too long ago" in refused.msg, refused
                return None
        new = wait_for(added, "its claims to count again", 100, pause=1)
        wait_for(lambda: pings(b, new.address(4), QUICK) and pings(a, b.address(6), QUICK), "them to be reached", 60)
        assert set(cluster.consul.keys("blocks/")) == blocks
        clock.set(0)
        wait_for(added, "its claims to count again", 100, pause=1)
        assert set(cluster.consul.keys("blocks/")) >= blocks


def test_a_node_that_comes_back_after_a_week(request, fabric):
    """It boots with what it had stored: that holds while Consul is away, and is the past as soon as Consul answers."""
    with made_cluster(request.node.name, fabric) as cluster:
        one, two = cluster.nodes
        one.clock = clock = Clock(one)
        deny = {"tier": "operator", "rules": [{"endpointSelector": {}, "egressDeny": [{"toCIDR": ["203.0.113.0/24"]}]}]}
        for name in "old", "kept", "other":
            cluster.consul.put(f"policies/operator/{name}", deny)
        start(one, clock, cluster.config(one))
        two.start_picketd(cluster.config(two))
        gone, left = one.add("acme", "api", "web"), two.add("acme", "db", "db")
        wait_for(lambda: one.tables.count("remote") == 2 and pings(gone, left.address(4), QUICK), "both to know both", 60)
        wait_for(lambda: documents(one) == {"old", "kept", "other"}, "the documents", 60)
        held = session(cluster, "nodes/n1")
        one.kill_picketd()
        one.stop_all()
        # What a week brings: its session ends, an endpoint and a document go, others come.
        cluster.consul.ask("PUT", f"/v1/session/destroy/{held}")
        wait_for(lambda: state(two, "n1") == "stale", "the other one to miss it", 60)
        two.delete(left)
        fresh = two.add("acme", "db", "db")
        cluster.consul.ask("DELETE", f"/v1/kv/{cluster.consul.prefix}policies/operator/old")
        cluster.consul.put("policies/operator/new", deny)
        clock.set(7 * DAY)
        cluster.consul.kill()
        one.start()
        cluster.rejoin(one)
        start(one, clock, cluster.config(one))
        a = one.add("acme", "api", "web")
        assert documents(one) == {"old", "kept", "other"} and one.tables.count("remote") == 2, "from what is stored"
        assert state(one, "n2") == "stale"
        assert not pings(a, left.address(4), QUICK), "nothing answers at an address that was left"
        cluster.consul.start()
        wait_for(lambda: documents(one) == {"new", "kept", "other"}, lambda: one.api("/v1/status")["reasons"], 120)
        wait_for(lambda: pings(a, fresh.address(4), QUICK) and pings(fresh, a.address(6), QUICK), "both to know both", 120)
        assert not pings(fresh, gone.address(4), QUICK) or gone.address(4) == a.address(4)
        for node, other in (one, "n2"), (two, "n1"):
            wait_for(lambda node=node, other=other: state(node, other) == "live" and node.tables.count("remote") == 2,
                     lambda node=node: node.api("/v1/nodes"), 60)


@pytest.mark.parametrize("jump", JUMPS)
def test_an_address_rests_for_a_minute_that_passes(make_node, jump):
    """The one that was just given back comes last, however long ago the clock says that was."""
    node = make_node(pool=("10.40.7.0/29",))		# .2 to .6
    node.clock = clock = Clock(node)
    start(node, clock, {"nomad": None, "consul": None})
    left = node.add("acme", "api", "web")
    freed = left.address(4)
    node.delete(left)
    wait_for(lambda: freed in node.resting(), "the address to be given back")
    clock.set(JUMPS[jump])
    given = [node.add("acme", "api", "web").address(4) for _ in range(5)]
    assert freed not in given[:4] and given[4] == freed


def test_what_does_not_settle_is_said(node):
    """A clock that went back makes no endpoint younger for as long as it went: status still names one in quarantine."""
    clock = Clock(node)
    start(node, clock, {"nomad": None, "consul": None})
    node.add()
    clock.set(-DAY)
    wait_for(lambda: node.reasons("quarantine") or "quarantine" in str(node.api("/v1/status")["reasons"]), lambda: node.api("/v1/status")["reasons"], 40)
