# SPDX-License-Identifier: Apache-2.0
"""picketd ends amid a pass of many turns, or stands still beside an ADD: nothing opens, and the next start, or its going on, finishes what was begun."""
import json
import os
import random
import signal
import time
import uuid

import pytest
from harness.hostile import explosive
from harness.servers import QUICK
from harness.shell import wait_for
from test_picketd import ONLY_API, in_step

SEED = int(os.environ.get("PICKET_SEED", "1"))
OFF = {"nomad": None, "consul": None}
TENANTS, LARGE = 8, 70		# rule sets of some 5,000 verdicts each: a pass is a dozen of turns


def endpoint(node, alloc):
    return next(e for e in node.api("/v1/endpoints")["endpoints"] if e["containerId"] == alloc.id)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_end_amid_a_pass_of_slices(make_node, number):
    """It ends at once and cleanly, what lives is under a whole policy of before or after, and the next start finishes the pass."""
    dice, node = random.Random(SEED), make_node(conf={"mode": "process"})
    node.policy("db.json", ONLY_API)
    node.start_picketd(OFF)
    api, db, batch = (node.add("acme", job, "g") for job in ("api", "db", "batch"))
    others = [node.add(f"t{i}", "filler", "g") for i in range(TENANTS)]
    wait_for(lambda: api.pings(db, timeout=QUICK) and not batch.pings(db, timeout=QUICK), "the policy")
    seen = []
    for turn in range(5):
        rules = explosive(LARGE, 2 * turn)
        node.policy("large.json", {"tier": "operator", "rules": [{**rules, "endpointSelector": {"matchLabels": {"nomad:job": "filler"}}}]})
        wait_for(lambda: any(p["name"] == "large" for p in node.api("/v1/policies")["policies"]), "the document")
        before = {endpoint(node, a)["ruleSet"] for a in others}
        time.sleep(0.05 * dice.random())
        assert node.kill_picketd(number, at_once=True) == 0, node.log()[-2000:]
        seen.append(len({node.tables.word(a.slot)[0] for a in others} & before))
        assert not batch.pings(db, timeout=QUICK)
        node.start_picketd(OFF)
        wait_for(lambda: in_step(node) and policies(node)["large"]["enforced"] == "yes", lambda: node.api("/v1/status")["reasons"], 60)
        assert api.pings(db, timeout=QUICK) and not batch.pings(db, timeout=QUICK)
        assert node.picket("policy", "explain", batch.id[:8], db.id[:8], "1/tcp", check=False).returncode == 1
    assert any(seen), f"no end was amid a pass: {seen}"
    node.policy("large.json", None)
    wait_for(lambda: in_step(node) and not node.api("/v1/status")["reasons"], lambda: node.api("/v1/status")["reasons"], 60)


def policies(node):
    return {p["name"]: p for p in node.api("/v1/policies")["policies"]}


def added(node, tenant):
    """(endpoint, what the plugin wrote to its log), for an ADD that waits 300 ms for picketd."""
    alloc = node.new_netns(str(uuid.uuid4()))
    env = {"CNI_CONTAINERID": alloc.id, "CNI_NETNS": alloc.path, "CNI_IFNAME": "eth0", "CNI_ARGS": node.cni_args(alloc.id, tenant, "batch", "g")}
    done = node.cni_raw("ADD", env, json.dumps(node.plugin_conf(waitForController="300ms")))
    assert done.returncode == 0, done
    alloc.result = json.loads(done.stdout)
    return alloc, done.stderr


def test_an_add_beside_a_picketd_that_stands_still(make_node):
    """It waits as long as its setting says, ends well, and its endpoint is fenced by what is known; once picketd goes on it is as any other."""
    node = make_node(conf={"mode": "process"})
    node.policy("db.json", ONLY_API)
    node.start_picketd()
    api, db = node.add("acme", "api", "g"), node.add("acme", "db", "g")
    wait_for(lambda: api.pings(db, timeout=QUICK), "the open path")
    os.kill(node.picketd.pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        (late, words), (other, _) = (added(node, tenant) for tenant in ("acme", "other"))
        assert time.monotonic() - begun >= 2 * 0.3, "it was asked"
        assert late.result["ips"] and not late.pings(db, timeout=QUICK) and not other.pings(db, timeout=QUICK)
        assert late.pings(api, timeout=QUICK), "its tenant's base"
        assert "op=add" in words and "starting under its base" in words, words
    finally:
        os.kill(node.picketd.pid, signal.SIGCONT)
    for alloc in late, other:
        wait_for(lambda a=alloc: endpoint(node, a)["inStep"], "the new one, in step")
    assert late.pings(api, timeout=QUICK) and not late.pings(db, timeout=QUICK) and not other.pings(db, timeout=QUICK)
    assert endpoint(node, db)["policies"] == ["file/db"] and node.api("/v1/status")["state"] == "ok"
