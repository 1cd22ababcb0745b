# SPDX-License-Identifier: Apache-2.0
"""CHECK, GC and STATUS of the plugin."""
import json
import uuid

import pytest
from harness import CniError
from test_cni_add import check_home, conf, filters, open_word, record


def test_check_repairs_and_hardly_fails(make_node):
    node = make_node()
    a = node.add("acme", "api", "web")
    node.check(a)
    a.run(["ip", "link", "del", "tap0"])
    node.run(["tc", "filter", "del", "dev", f"pk{a.slot}", "egress"])
    a.run(["ip", "link", "set", "eth0", "down"])
    node.check(a)
    links = a.links()
    assert links["tap0"]["ifindex"] == links["eth0"]["ifindex"] + 1
    assert "UP" in links["eth0"]["flags"]
    assert filters(node, f"pk{a.slot}", "egress") == ["pk_to_endpoint"]
    assert filters(a, "tap0", "ingress") == ["pk_forward_tap"]
    assert json.loads(a.run(["ip", "-j", "route", "show", "default"]).stdout)
    other = node.new_netns(str(uuid.uuid4()))
    with pytest.raises(CniError) as error:
        node.cni("CHECK", a.id, other.path)
    assert error.value.code == 100
    with pytest.raises(CniError) as error:
        node.cni("CHECK", other.id, other.path)
    assert error.value.code == 3


def test_check_makes_a_lost_pair_again(make_node):
    """Root in the alloc's netns deletes eth0, or takes it away: the same ifindex, guarded, and as before."""
    node = make_node(conf={"mode": "vm"})
    a = node.add("acme", "api", "web")
    before = a.links()["eth0"]
    elsewhere = node.new_netns(str(uuid.uuid4()))
    for breaking in (["del", "eth0"], ["set", "eth0", "netns", elsewhere.path]):
        a.run(["ip", "link", *breaking])
        assert "eth0" not in a.links()
        node.check(a)
        after = a.links()["eth0"]
        assert (after["ifindex"], after["address"]) == (before["ifindex"], before["address"])
        check_home(node, a)
        assert filters(a, "eth0", "ingress") == ["pk_forward_eth"]
        assert record(node, a)["hostIfindex"] == node.json(
            ["ip", "-j", "link", "show", f"pk{a.slot}"])[0]["ifindex"]


def test_check_puts_the_guard_first(make_node):
    """A foreign program before ours would hide the guard (state.md, "Life and death")."""
    node = make_node(conf={"mode": "process"})
    a = node.add("acme", "api", "web")
    pin = node.path("sys/fs/bpf/picket/current") + "/pk_forward_eth"
    node.run(["tc", "filter", "add", "dev", f"pk{a.slot}", "ingress", "pref", "1", "bpf", "da",
              "object-pinned", pin.replace(f"/proc/{node.holder.pid}/root", "")])
    assert filters(node, f"pk{a.slot}", "ingress")[0] != "pk_from_endpoint"
    node.check(a)
    assert filters(node, f"pk{a.slot}", "ingress")[0] == "pk_from_endpoint"


def test_gc_removes_what_is_gone_and_keeps_what_lives(make_node):
    node = make_node(cni_version="1.1.0")
    kept, listed, dead = (node.add("acme", "api", "web") for _ in range(3))
    node.drop_netns(dead)
    other = node.add("acme", "api", "web", conf=conf(node, name="another"))
    node.drop_netns(other)
    with pytest.raises(CniError) as error:
        node.cni("GC", conf=conf(node))
    assert error.value.code == 7
    node.cni("GC", conf=conf(node, **{"cni.dev/valid-attachments": [
        {"containerID": listed.id, "ifname": "eth0"}]}))
    names = {name.split("@")[0] for name in node.records() if not name.startswith("closed/")}
    assert names == {kept.id, listed.id, other.id}
    assert open_word(node, kept.slot) and not open_word(node, dead.slot)


def test_status_is_0_unless_strict(make_node):
    node = make_node(cni_version="1.1.0", pool=("10.40.7.0/30",))
    assert node.cni("STATUS", ifname="") is None
    assert node.cni("STATUS", ifname="", conf=conf(node, strictStatus=True)) is None
    node.add("acme", "api", "web")
    assert node.cni("STATUS", ifname="") is None
    with pytest.raises(CniError) as error:
        node.cni("STATUS", ifname="", conf=conf(node, strictStatus=True))
    assert error.value.code == 50
