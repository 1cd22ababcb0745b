# SPDX-License-Identifier: Apache-2.0
"""`picket policy rollout`: which nodes enforce what stands in Consul, which lag, and why."""
import json
import os
import signal

import pytest
from harness.fabric import made_cluster
from harness.shell import binary, wait_for
from harness.terminal import on_terminal

DENY = {"tier": "operator", "rules": [{"endpointSelector": {}, "egressDeny": [{"toCIDR": ["192.0.2.0/24"]}]}]}
OPEN = {"rules": [{"endpointSelector": {}, "ingress": [{}]}]}
WRONG = {"rules": [{"endpointSelector": {}, "ingres": [{}]}]}
QUICK, LONG = "100ms", "90s"    # the first for what doesn't come


def policy(node, address, *words, code=0):
    done = node.picket("policy", *words, check=False, env={"PATH": os.environ["PATH"], "CONSUL_HTTP_ADDR": address.removeprefix("http://")})
    assert done.returncode == code, done
    return done


def rollout(node, address, *words, code=0):
    """What it answers, and its rows by node."""
    found = json.loads(policy(node, address, "rollout", "-json", *words, code=code).stdout)
    return found, {row["node"]: row for row in found["nodes"]}


def screen(node, address, width):
    env = {"PATH": os.environ["PATH"], "CONSUL_HTTP_ADDR": address.removeprefix("http://"), "NO_COLOR": "1", "LANG": "C.UTF-8", "TERM": "xterm"}
    argv = ["nsenter", f"--net={node.net}", f"--mount={node.mnt}", binary("picket"), "-root", node.root, "policy", "rollout"]
    return on_terminal(width, argv, env)[0].decode()


def file(node, name, document):
    path = os.path.join(node.root, name + ".json")
    with open(path, "w", encoding="utf-8") as out:
        json.dump(document, out)
    return path


def start(node, consul, **more):
    node.start_picketd({"node": "n1", "nomad": None, "consul": {"address": consul.address, **more}})


def test_of_one_node(node, consul):
    """Its report follows what it enforces; a refused, a held and a lacking document are each a reason."""
    told = policy(node, consul.address, "rollout", "-wait", QUICK, code=2).stderr
    assert "no live node says" in told and "fix: " in told
    start(node, consul)
    node.add("acme", "api", "web")
    told = policy(node, consul.address, "rollout", "-wait", LONG)
    assert "digest -: 1 of 1" in told.stderr and " 0000" not in told.stdout, "without documents there is none"
    said = policy(node, consul.address, "apply", "-consul", "-wait", LONG, file(node, "deny", DENY)).stderr
    assert "1 of 1 nodes enforce it" in said and "lags" not in said, said
    found, rows = rollout(node, consul.address)
    assert (found["current"], found["lagging"], found["stale"], found["source"]) == (1, 0, 0, "consul/operator")
    assert rows["n1"]["digest"] == found["digest"] and rows["n1"]["since"] and rows["n1"]["why"] is None
    policy(node, consul.address, "apply", "-consul", "-wait", LONG, file(node, "deny", dict(DENY, audit=True)))
    said = policy(node, consul.address, "rollback", "-wait", LONG, "deny")
    assert "1 of 1 nodes enforce it" in said.stderr and consul.report("n1")["sets"][0]["digest"] == found["digest"], said
    found, rows = rollout(node, consul.address)
    before = consul.report("n1")
    assert set(before) == {"version", "number", "documents", "more", "sets"} and before["documents"] == []
    consul.put("operator/bad", WRONG)
    said = policy(node, consul.address, "rollout", "-wait", QUICK, code=1).stderr
    assert "n1 lags: " in said and "0 of 1 nodes" in said, said
    wait_for(lambda: "bad is refused: " in str(rollout(node, consul.address, code=1)[1]["n1"]["why"]), "the reason", 60)
    _, rows = rollout(node, consul.address, code=1)
    assert rows["n1"]["digest"] == found["digest"] and "ingres" in rows["n1"]["why"], "the set in force is as it was"
    shown = screen(node, consul.address, 80)
    assert "\u2026" not in shown and rows["n1"]["why"] in " ".join(shown.split()), shown
    consul.remove("operator/bad")
    assert rollout(node, consul.address, "-wait", LONG)[1]["n1"]["since"] == found["nodes"][0]["since"], "nothing else was in force meanwhile"
    for name in "abc":
        consul.put(f"operator/{name}", DENY)
    rollout(node, consul.address, "-wait", LONG)
    consul.remove_all("operator/")
    wait_for(lambda: " is held: " in str(rollout(node, consul.address, code=1)[1]["n1"]["why"]), "what is held to be the reason", 60)
    node.picket("policy", "release", "consul")
    rollout(node, consul.address, "-wait", LONG)


def test_of_a_tenant(node, consul):
    """Nodes without its endpoints have nothing to enforce."""
    start(node, consul)
    consul.put("tenants/acme/mine", OPEN)
    rollout(node, consul.address, "-wait", LONG)
    assert rollout(node, consul.address, "-namespace", "acme")[1] == {}
    alloc = node.add("acme", "api", "web")
    wait_for(lambda: rollout(node, consul.address, "-namespace", "acme", "-wait", LONG)[1], "the tenant's node", 60)
    policy(node, consul.address, "apply", "-consul", "-namespace", "acme", "-wait", LONG, file(node, "mine", dict(OPEN, audit=True)))
    found, rows = rollout(node, consul.address, "-namespace", "acme")
    assert found["source"] == "consul/tenant/acme" and rows["n1"]["digest"] == found["digest"]
    assert [s["source"] for s in consul.report("n1")["sets"]] == ["consul/operator", "consul/tenant/acme"]
    policy(node, consul.address, "delete", "-consul", "-namespace", "acme", "-wait", LONG, "mine")
    node.delete(alloc)


def test_switched_off_or_refused(node, consul):
    """Without the right to write it nothing else is held up, and the log says it once."""
    consul.may_write = False
    start(node, consul)
    wait_for(lambda: "which documents are enforced can't be written" in node.log(), "the log's line", 60)
    assert consul.report("n1") is None and node.api("/v1/status")["state"] == "ok"
    node.kill_picketd()
    consul.may_write = True
    start(node, consul)
    wait_for(lambda: consul.report("n1"), "its report", 60)
    node.kill_picketd()
    start(node, consul, status=False)
    assert consul.report("n1"), "nobody takes it back"
    assert "n1" in rollout(node, consul.address)[1]
    consul.session("destroy", consul.held["picket/v1/default/status/nodes/n1"])
    assert "no live node says" in policy(node, consul.address, "rollout", code=2).stderr


def test_usage(node, consul):
    assert "is no duration" in policy(node, consul.address, "rollout", "-wait", "x", code=2).stderr
    assert "is no duration" in policy(node, consul.address, "rollback", "-wait", "x", "deny", code=2).stderr
    assert "say -consul" in policy(node, consul.address, "apply", "-wait", "1s", file(node, "deny", DENY), code=2).stderr


@pytest.fixture(name="cluster")
def cluster_fixture(request, fabric):
    with made_cluster(request.node.name, fabric) as made:
        yield made


def test_of_two_nodes(cluster):
    """The same documents are the same digest; who doesn't hear lags, who is dead is stale and doesn't count."""
    one, two = cluster.nodes
    url, name = cluster.consul.url, ("-cluster", cluster.name)
    one.start_picketd(cluster.config(one))
    two.start_picketd(cluster.config(two, fabric="none"))       # a node that is in no cluster reports, too
    apply = "apply", "-consul", *name
    policy(one, url, *apply, "-wait", LONG, file(one, "deny", DENY))
    wait_for(lambda: len(rollout(one, url, *name, "-wait", LONG)[1]) == 2, "both to say what they enforce", 60)
    found, rows = rollout(one, url, *name)
    listed = {n["name"]: n for n in one.api("/v1/nodes")["nodes"]}
    assert listed["n1"]["policy"] == "current" and listed["n1"]["policyDigest"] == found["digest"] and listed["n1"]["policySince"]
    assert {row["digest"] for row in rows.values()} == {found["digest"]} and {row["state"] for row in rows.values()} == {"current"}
    two.picketd.send_signal(signal.SIGSTOP)
    said = policy(one, url, *apply, "-wait", "5s", file(one, "more", OPEN), code=1).stderr
    assert "1 of 2 nodes enforce it" in said and "n2 lags: it has not said that it heard of the change" in said, said
    found, rows = rollout(one, url, *name, code=1)
    assert rows["n2"]["state"] == "lags" and rows["n2"]["lagsSince"] == rows["n1"]["since"] and rows["n2"]["index"] < found["index"]
    two.picketd.send_signal(signal.SIGCONT)
    assert rollout(one, url, *name, "-wait", LONG)[0]["current"] == 2
    two.kill_picketd()
    policy(one, url, *apply, "-wait", "1s", file(one, "last", DENY), code=1)
    session = json.loads(cluster.consul.ask("GET", f"/v1/kv/{cluster.consul.prefix}status/nodes/n2"))[0]["Session"]
    cluster.consul.ask("PUT", f"/v1/session/destroy/{session}")  # what its time to live does within two minutes
    found, rows = rollout(one, url, *name, "-wait", LONG)
    assert (found["current"], found["lagging"], found["stale"]) == (1, 0, 1) and rows["n2"]["state"] == "stale"
    assert "1 stale, which do not count" in policy(one, url, "rollout", *name).stderr
    two.start_picketd(cluster.config(two))
    wait_for(lambda: rollout(one, url, *name, "-wait", LONG)[0]["current"] == 2, "both again", 60)
    node_list = "node", "list", "-o", "name,policy"
    wait_for(lambda: one.picket(*node_list).stdout.split() == ["n1", "current", "n2", "current"], lambda: one.picket(*node_list).stdout, 60)
    two.picketd.send_signal(signal.SIGSTOP)
    policy(one, url, *apply, "-wait", "5s", file(one, "again", OPEN), code=1)
    assert one.picket(*node_list).stdout.split() == ["n1", "current", "n2", "lags"]
    two.picketd.send_signal(signal.SIGCONT)
    kept = cluster.consul.get("status/nodes/n1")
    cluster.consul.ask("DELETE", f"/v1/kv/{cluster.consul.prefix}status/nodes/n1")
    said = policy(two, url, "rollout", *name, "-wait", QUICK, code=1).stderr
    assert "n1 lags: it says nothing of its documents" in said and kept["version"] == 1, said
