# SPDX-License-Identifier: Apache-2.0
"""What a refused ADD says as its `fix:` is done (to the conflist, picketd.json, the node), and then ADD succeeds."""
import os
import re

import pytest
from harness.attach import conflist
from harness.cni import CniError
from test_fix_done import conf, is_kept_out
from test_fix_done_by_operator import complains, is_content

CLAIMS = {"node": "n1", "nomad": None, "fabric": "routed", "blocks": {"claim": True, "range": ["10.64.0.0/16"]}}


def reload(node, config):
    """The plugin reads what picketd writes then."""
    node.write_config(config)
    node.api("/v1/reload", "POST")
    node.written()


def without_pool(node, **more):
    return {key: value for key, value in conf(node, **more).items() if key != "pool"}


def bridge(node, name, port):
    node.run(["ip", "link", "add", name, "type", "bridge"])
    node.run(["ip", "link", "add", port, "type", "veth", "peer", "name", f"{port}x"])
    node.run(["ip", "link", "set", port, "master", name])
    node.run(["ip", "addr", "add", "198.51.100.9/24", "dev", name])
    for device in (name, port, f"{port}x"):
        node.run(["ip", "link", "set", device, "up"])


def test_a_node_without_a_block(node):
    is_kept_out(node, 'say "pool": "10.40.7.0/24", another block on each node', conf=without_pool(node))
    assert node.add("acme", "api", "web", conf={**without_pool(node), "pool": "10.40.7.0/24"}).address().startswith("10.40.7.")


def test_a_pool_beside_claimed_blocks(node, consul):
    """What becomes of the pool when it is the one that goes: test_blocks.py."""
    config = {**CLAIMS, "consul": {"address": consul.address}}
    node.start_picketd(config)
    complains(node, 'drop "pool" there, or "claim" from "blocks" of picketd.json')
    is_kept_out(node, 'drop "pool", or "claim" from "blocks" of picketd.json')
    reload(node, {**config, "blocks": {"range": ["10.64.0.0/16"]}, "fabric": "none"})
    is_content(node, 'drop "pool" there')
    assert node.add("acme", "api", "web").address().startswith("10.40.7.")


def test_two_networks_with_two_baselines(node):
    other = {"name": "other", "pool": ["10.99.0.0/24"]}
    conflist(node, "opt/cni/config/other.conflist", baseline="deny", **other)
    node.start_picketd({"nomad": None})
    complains(node, 'say the same "baseline" in both, or say it in picketd.json')
    is_kept_out(node, 'say the same "baseline" in both conflists')
    conflist(node, "opt/cni/config/other.conflist", baseline="tenant", **other)
    reload(node, {"nomad": None})
    is_content(node, 'say the same "baseline"')
    for network in ({}, {"baseline": "tenant", **other}):
        node.add("acme", "api", "web", conf=conf(node, **network))


def test_what_a_plugin_before_gave(node):
    alloc = node.new_netns("7f3a21c4-0000-4000-8000-00000000000d")
    args = node.cni_args(alloc.id, "acme", "api", "web")
    before = {"cniVersion": "1.0.0", "interfaces": [{"name": "lo1"}], "ips": [{"address": "192.0.2.7/32", "interface": 7}]}
    with pytest.raises(CniError) as refused:
        node.cni("ADD", alloc.id, alloc.path, args=args, prev=before)
    assert "look at the plugins before picket in the conflist" in str(refused.value)
    before["ips"][0]["interface"] = 0
    said = node.cni("ADD", alloc.id, alloc.path, args=args, prev=before)
    assert said["interfaces"][0]["name"] == "lo1" and said["ips"][0]["interface"] == 0
    alloc.args, alloc.result = args, said


def test_a_state_directory_that_cannot_be_written(node):
    path = f"{node.root}/var/lib"
    node.run(["mount", "-t", "tmpfs", "-o", "ro,mode=755", "tmpfs", path])
    is_kept_out(node, "mount its file system writable")
    node.run(["mount", "-o", "remount,rw", path])
    node.add("acme", "api", "web")


def test_a_disk_without_room(node):
    fill = f"{node.root}/var/lib/picket/fill"
    node.run(["mkdir", os.path.dirname(fill)])
    node.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs", os.path.dirname(fill)])
    node.start_picketd({"nomad": None})
    node.run(["dd", "if=/dev/zero", f"of={fill}", "bs=64k"], check=False)
    complains(node, "make room there: each ADD writes its record first, and fails without")
    is_kept_out(node, "make room on its file system (df, df -i)")
    assert "100%" in node.run(["df", fill]).stdout
    node.run(["rm", fill])
    is_content(node, "make room there")
    node.add("acme", "api", "web")


def test_a_bridges_port_as_an_uplink(node):
    bridge(node, "br0", "port0")
    is_kept_out(node, 'name br0 in "uplinks" instead', conf=conf(node, uplinks=["port0"]))
    node.add("acme", "api", "web", conf=conf(node, uplinks=["br0"]))


def test_an_endpoints_device_as_an_uplink(node):
    first = node.add("acme", "api", "web")
    fix = 'name a device that leads out of the node in "uplinks"'
    node.start_picketd({"nomad": None, "uplinks": [f"pk{first.slot}"]})
    complains(node, fix)
    reload(node, {"nomad": None, "uplinks": ["up0"]})
    is_content(node, fix)


def test_more_ways_out_than_a_node_has_uplinks(node):
    for i in range(4):
        node.run(["ip", "link", "add", f"out{i}", "type", "veth", "peer", "name", f"out{i}x"])
        node.run(["ip", "addr", "add", f"198.18.{i}.2/24", "dev", f"out{i}"])
        for end in ("", "x"):
            node.run(["ip", "link", "set", f"out{i}{end}", "up"])
        node.run(["ip", "route", "add", "default", "via", f"198.18.{i}.1", "metric", str(100 + i)])
    fix = 'name the ones that count in "uplinks"'
    node.start_picketd({"nomad": None})
    complains(node, fix)
    reload(node, {"nomad": None, "uplinks": ["up0", "out0"]})
    is_content(node, fix)


def is_no_start(node, config, fix):
    """picketd ends and says the fix; what it says."""
    picketd = node.start_picketd(config, wait=False)
    assert picketd.wait(timeout=60) == 1 and f"; fix: {fix}" in node.log(), node.log()
    return node.log().rsplit("fix: ", 1)[1]


def test_ports_that_the_nodes_own_sockets_get(node):
    def config(ports):
        return {"nomad": None, "masquerade": {"ports": ports}}
    said = is_no_start(node, config("40000-40999"), 'give it other ports in "masquerade", or keep these out of that range: sysctl -w ')
    is_no_start(node, config("20000-20999"), 'say "masquerade": { "ports": "10000-19999" }, or other ones')
    node.start_picketd(config("10000-19999"))
    node.kill_picketd()
    node.run(said[said.index("sysctl"):].split())
    node.start_picketd(config("40000-40999"))


def test_no_slot_is_left(node):
    node.start_picketd({"nomad": None, "capacity": {"endpoints": 64}})
    held = [node.add("acme", "api", f"g{i}") for i in range(64)]
    is_kept_out(node, "raise capacity.endpoints in picketd.json")
    node.delete(held.pop())
    node.add("acme", "api", "web")


def test_another_verb_that_holds_the_lock(node):
    node.delete(node.add("acme", "api", "web"))
    with node.lock_containers():
        text = is_kept_out(node, "wait for it, or end it: fuser ", conf=conf(node, deadline="1s"))
        who = node.run(re.search(r"fuser [^\s\"]+", text)[0].rstrip(";").split(), check=False).stdout
        assert str(os.getpid()) in who.split(), who
    node.add("acme", "api", "web", conf=conf(node, deadline="60s"))


def test_more_flows_than_a_node_carries(node):
    def config(flows):
        return {"nomad": None, "capacity": {"endpoints": 4096}, "limits": {"flowsPerEndpoint": flows}}
    fix = "lower capacity.endpoints or limits.flowsPerEndpoint in picketd.json"
    node.start_picketd(config(4096))
    assert fix in node.log()
    is_kept_out(node, fix)
    reload(node, config(64))
    node.add("acme", "api", "web")
