# SPDX-License-Identifier: Apache-2.0
"""picketd and the pins: others in their place are noticed and taken, and nobody sweeps them from under it."""
import contextlib
import json
import os
import signal

import pytest
from harness.servers import QUICK
from harness.shell import Failed, wait_for

DENY = {"tier": "operator", "rules": [{"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["all"]}]}]}


def remount(node):
    """Whoever mounts again has an empty one."""
    bpffs = os.path.join(node.root, "sys/fs/bpf")
    node.run(["umount", bpffs])
    node.run(["mount", "-t", "bpf", "bpf", bpffs])


def in_step(node, *allocs):
    found = {e["containerId"]: e["inStep"] for e in node.api("/v1/endpoints")["endpoints"]}
    return all(found.get(a.id) for a in allocs)


def enforced(node):
    return {p["name"]: p["enforced"] for p in node.api("/v1/policies")["policies"]}


def test_pins_that_were_replaced_are_noticed(node):
    node.start_picketd()
    old = node.add("acme", "api", "web")
    wait_for(lambda: in_step(node, old), "in step")
    epoch = node.api("/v1/status")["enforcement"]["epoch"]
    os.kill(node.picketd.pid, signal.SIGSTOP)		# an ADD comes before it looks
    remount(node)
    b = node.add("acme", "db", "db", conf=node.plugin_conf(waitForController="100ms"))
    os.kill(node.picketd.pid, signal.SIGCONT)
    wait_for(lambda: in_step(node, b), "the new one, in step")
    assert node.api("/v1/status")["enforcement"]["epoch"] != epoch
    assert 'err="the pins were replaced or removed" opened again' in node.log()
    node.policy("deny.json", DENY)
    b = node.add("acme", "db2", "db")
    wait_for(lambda: enforced(node) == {"deny": "yes"}, "the policy, in the tables that ADD uses")
    assert node.picket("policy", "explain", b.id[:8], b.id[:8], "1/tcp", check=False).returncode in (0, 1)
    # Nobody reaches the tables of the one before: that is said, and what to do.
    reason, = node.reasons("enforcement")
    assert "1 endpoint lives on tables that are not pinned any more" in reason["text"] and "start them anew" in reason["fix"]
    assert node.api("/v1/status")["state"] == "failing"
    node.delete(old)
    wait_for(lambda: node.api("/v1/status")["state"] == "ok", "nothing to say")


def test_no_bpffs_is_said_until_there_is_one(node):
    """What lives goes on by the tables that it has; policy still reaches them."""
    node.start_picketd()
    a = node.add("acme", "api", "web")
    bpffs = os.path.join(node.root, "sys/fs/bpf")
    node.run(["umount", bpffs])
    reason = wait_for(lambda: node.reasons("load"), "the reason", 150)[0]
    assert "is no BPF file system" in reason["text"] and "mount -t bpf" in reason["fix"], reason
    node.policy("deny.json", DENY)
    wait_for(lambda: enforced(node) == {"deny": "yes"}, "the policy")
    assert in_step(node, a)
    node.run(["mount", "-t", "bpf", "bpf", bpffs])
    wait_for(lambda: not node.reasons("load"), "the mount", 150)


def pins(node):
    """Name -> id of what is pinned; the link's target."""
    found = {}
    root = node.path("sys/fs/bpf/picket")
    for where, directories, files in os.walk(root):
        for name in files:
            kind = "map" if name in ("programs",) or where.endswith("maps") else "prog"
            if not where.endswith("sock"):
                shown = json.loads(node.run(["bpftool", "-j", kind, "show", "pinned", os.path.join(where, name)]).stdout)
                found[os.path.relpath(os.path.join(where, name), root)] = shown["id"]
        found.update({d: os.readlink(os.path.join(where, d)) for d in directories if os.path.islink(os.path.join(where, d))})
    return found


def is_pinned_as(node, wanted):
    with contextlib.suppress(Failed):		# one of them came or went while it was looked at
        return pins(node) == wanted


@pytest.mark.parametrize("lost", ("all", "maps/cidr", "programs"))
def test_pins_that_are_gone_are_pinned_again(make_node, lost):
    """What lives goes by the tables that picketd has open: plugin and CLI find those, as they were."""
    node = make_node(conf={"mode": "process"})
    node.start_picketd()
    a = node.add("acme", "api", "web")
    wait_for(lambda: in_step(node, a), "in step")
    epoch, before = node.api("/v1/status")["enforcement"]["epoch"], pins(node)
    if lost == "all":
        remount(node)
    else:
        path = next(p for p in before if p == lost or p.endswith("/" + lost))
        os.unlink(node.path(os.path.join("sys/fs/bpf/picket", path)))
    wait_for(lambda: is_pinned_as(node, before), "the pins", 150)
    assert 'op=load err="pins were removed" pinned again' in node.log()
    assert node.api("/v1/status")["enforcement"]["epoch"] == epoch and not node.reasons("load")
    # The very tables: the endpoint of before is in them, is judged by its slow path, and hears of policy.
    b = node.add("acme", "db", "db")
    wait_for(lambda: in_step(node, a, b), "both in step")
    assert a.pings(b)
    node.policy("deny.json", DENY)
    wait_for(lambda: enforced(node) == {"deny": "yes"}, "the policy")
    assert node.picket("policy", "explain", a.id[:8], b.id[:8], "1/tcp", check=False).returncode == 1
    assert not a.pings(b, timeout=QUICK)
    wait_for(lambda: node.api("/v1/status")["state"] == "ok", "nothing to say")


def test_sweep_all_takes_nothing_from_under_anybody(node):
    node.start_picketd()
    a = node.add("acme", "api", "web")
    word = node.tables.word(a.slot)
    refused = node.picket("sweep", "-all", "-apply", check=False)
    assert refused.returncode == 2 and "picketd runs" in refused.stderr and "fix: stop picketd first" in refused.stderr
    node.kill_picketd()
    refused = node.picket("sweep", "-all", "-apply", check=False)
    assert refused.returncode == 2 and "1 endpoint is still there" in refused.stderr, refused
    assert "fix: stop their allocations first; -force" in refused.stderr
    assert node.tables.word(a.slot) == word and node.records()
    assert node.picket("sweep", "-all", check=False).returncode == 1		# to look is free
    node.picket("sweep", "-all", "-apply", "-force")
    assert not node.records() and not os.path.exists(node.path("sys/fs/bpf/picket/maps"))
