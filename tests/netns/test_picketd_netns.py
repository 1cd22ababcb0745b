# SPDX-License-Identifier: Apache-2.0
"""A netns that is lost, or another one by now: Nomad asks CHECK beside a reference plugin alone, so picketd looks."""
import os
import signal

import pytest
from fake import FakeNomad
from harness.cni import CniError
from harness.servers import PINGED
from harness.shell import wait_for


def audit(node):
    """As each minute."""
    node.picketd.send_signal(signal.SIGHUP)


def pair(node):
    conf = node.plugin_conf(mode="process")
    a, b = node.add("acme", "api", "web", conf=conf), node.add("acme", "db", "db", conf=conf)
    wait_for(lambda: node.api("/v1/status")["endpoints"]["inStep"] == 2, "both")
    assert a.pings(b)
    return a, b


def test_another_netns_at_its_path(node):
    """Who stays in the old one is closed, as the ADD that is due would do; that ADD mends it."""
    node.start_picketd()
    a, b = pair(node)
    stays = a.popen(["sleep", "infinity"])
    old = os.stat(f"/proc/{stays.pid}/ns/net").st_ino
    node.run(["umount", "-l", a.path])
    node.run(["unshare", f"--net={a.path}", "true"])
    audit(node)
    reason, = wait_for(lambda: node.reasons("netns"), "the reason")
    assert a.id in reason["text"] or "is another netns than at its ADD" in reason["text"], reason
    assert "nomad alloc stop" in reason["fix"] 
    wait_for(lambda: not any(node.tables.word(a.slot)), "its end")
    assert os.stat(f"/proc/{stays.pid}/ns/net").st_ino == old
    assert node.run(["nsenter", f"--net=/proc/{stays.pid}/ns/net", "ping", "-c1", "-W1", b.address()], check=False).returncode
    assert any(node.tables.word(b.slot)), "nobody else's"
    a.result = node.cni("ADD", a.id, a.path, args=a.args, conf=node.plugin_conf(mode="process"))
    audit(node)
    wait_for(lambda: not node.reasons("netns"), "nothing to say any more")
    wait_for(lambda: node.api("/v1/endpoints/" + a.id)["state"] == "open", "that it is open")


def test_no_netns_at_its_path(node):
    """It may be somebody's way to hold it: it is said, and nobody is cut off."""
    node.start_picketd()
    a, b = pair(node)
    stays = a.popen(["sleep", "infinity"])
    node.run(["umount", "-l", a.path])
    audit(node)
    reason, = wait_for(lambda: node.reasons("netns"), "the reason")
    assert a.id in reason["text"] and "lost its netns" in reason["text"] and reason["fix"], reason
    assert any(node.tables.word(a.slot))
    assert node.run(["nsenter", f"--net=/proc/{stays.pid}/ns/net", "ping", "-c1", f"-W{PINGED}", b.address()],
                    check=False).returncode == 0


def test_a_link_that_somebody_may_turn(node):
    """The kernel's own alone is taken."""
    alloc = node.new_netns("0d6f0000-0000-4000-8000-000000000002")
    node.run(["ln", "-s", alloc.path, "/run/turned"])
    with pytest.raises(CniError) as refused:
        node.cni("ADD", alloc.id, "/run/turned", args=node.cni_args(alloc.id, "acme", "api", "web"))
    assert refused.value.code == 4 and "symbolic link" in refused.value.msg + refused.value.details


def test_a_path_below_proc_is_a_processs(node):
    """As runtimes give it: taken, and never doubted once that process is gone."""
    node.start_picketd()
    a = node.new_netns("0d6f0000-0000-4000-8000-000000000001")
    holder, stays = a.popen(["sleep", "infinity"]), a.popen(["sleep", "infinity"])
    wait_for(lambda: os.stat(f"/proc/{holder.pid}/ns/net").st_ino == os.stat(f"/proc/{stays.pid}/ns/net").st_ino
             != os.stat("/proc/self/ns/net").st_ino, "both are in it")
    a.args = node.cni_args(a.id, "acme", "api", "web")
    a.result = node.cni("ADD", a.id, f"/proc/{holder.pid}/ns/net", args=a.args, conf=node.plugin_conf(mode="process"))
    assert node.cni("CHECK", a.id, f"/proc/{stays.pid}/ns/net", args=a.args, prev=a.result,
                    conf=node.plugin_conf(mode="process")) is None
    holder.kill()
    holder.wait()
    audit(node)
    wait_for(lambda: node.log().count("op=reload"), "the look")
    b = node.add("acme", "db", "db", conf=node.plugin_conf(mode="process"))
    assert not node.reasons("netns") and a.pings(b)
    node.cni("DEL", a.id, f"/proc/{holder.pid}/ns/net")
    assert not [r for r in node.records() if r.startswith(a.id)], "closed"


def test_an_alloc_that_runs_on_after_a_reboot(node):
    nomad = None
    with node.inside():
        nomad = FakeNomad()
    node.start_picketd({"nomad": {"address": nomad.address, "node": nomad.node}, "consul": None})
    a = node.add("acme", "api", "web")
    allocs = a.id
    nomad.stop()
    node.reboot()
    with node.inside():
        nomad = FakeNomad()
    nomad.put(allocs, "acme", "api", "web")
    node.start_picketd({"nomad": {"address": nomad.address, "node": nomad.node}, "consul": None})
    reason, = wait_for(lambda: node.reasons("netns"), "the reason", 90)
    assert allocs in reason["text"] and "without a network" in reason["text"] and "bridge" in reason["fix"], reason
    alloc = node.new_netns(allocs)
    node.cni("ADD", alloc.id, alloc.path, args=node.cni_args(alloc.id, "acme", "api", "web"))
    wait_for(lambda: not node.reasons("netns"), "its network")
    nomad.stop()
