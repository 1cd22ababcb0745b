# SPDX-License-Identifier: Apache-2.0
"""What a `fix:` says is done to the node itself (devices, records, settings), and then the complaint is gone."""
import json
import os
import shutil
import socket

import pytest
from harness.attach import command, conflist
from harness.overlay import DEVICE
from harness.servers import ask
from harness.shell import wait_for
from test_fix_done import conf, is_kept_out, is_refused


def fixes(node, what):
    return [reason["fix"] for reason in node.reasons(what)]


def all_fixes(node):
    return [reason["fix"] or "" for reason in node.api("/v1/status")["reasons"]]


def complains(node, fix):
    wait_for(lambda: any(fix in said for said in all_fixes(node)), lambda: f"{fix}: {all_fixes(node)}")


def is_content(node, fix):
    wait_for(lambda: not any(fix in said for said in all_fixes(node)), lambda: f"no more {fix}: {all_fixes(node)}")


def test_a_vmms_fragment_of_a_process(node):
    process = node.add("acme", "api", "web", conf=conf(node, mode="process"))
    is_refused(node.picket("endpoint", "show", process.id, "-vmm", "firecracker", check=False), 'say "mode": "vm" in the conflist')
    machine = node.add("acme", "api", "web", conf=conf(node, mode="vm"))
    assert "host_dev_name" in node.picket("endpoint", "show", machine.id, "-vmm", "firecracker").stdout


def test_all_is_swept_when_nobody_lives(node):
    alloc = node.add("acme", "api", "web")
    is_refused(node.picket("sweep", "-all", "-apply", check=False), "stop their allocations first; -force takes everything all the same")
    node.delete(alloc)
    assert node.picket("sweep", "-all", "-apply").returncode in (0, 1)
    node.add("acme", "api", "web")
    assert node.picket("sweep", "-all", "-apply", "-force").returncode in (0, 1)


def test_all_is_swept_when_picketd_has_ended(node):
    node.start_picketd({"nomad": None})
    is_refused(node.picket("sweep", "-all", "-apply", check=False), "stop picketd first; -force takes everything all the same")
    node.kill_picketd()
    assert node.picket("sweep", "-all", "-apply").returncode in (0, 1)


def test_a_netns_that_somebody_else_made(make_node):
    node = make_node()
    node.write_config()
    conflist(node, "picket")
    node.run(["ip", "netns", "add", "db-1"])
    words = ("attach", "db-1", "-tenant", "acme", "-mode", "process")
    is_refused(command(node, *words), "choose another name, or ip netns delete db-1")
    assert command(node, "attach", "db-2", *words[2:]).returncode == 0
    node.run(["ip", "netns", "delete", "db-1"])
    assert command(node, *words).returncode == 0
    for name in ("db-1", "db-2"):
        assert command(node, "detach", name).returncode == 0


def test_an_uplink_that_add_does_not_find(node):
    is_kept_out(node, 'name devices of the node in "uplinks", or drop the key', conf=conf(node, uplinks=["nosuch0"]))
    node.add("acme", "api", "web", conf=conf(node, uplinks=["up0"]))
    node.add("acme", "api", "web", conf=conf(node))


def test_an_uplink_that_comes_later(node):
    fix = 'correct the name in "uplinks"; it counts as soon as it is there'
    node.start_picketd({"nomad": None, "uplinks": ["late0", "up0"]})
    complains(node, fix)
    node.run(["ip", "link", "add", "late0", "type", "veth", "peer", "name", "late1"])
    node.run(["ip", "addr", "add", "198.51.100.77/24", "dev", "late0"])
    node.run(["ip", "link", "set", "late0", "up"])
    node.run(["ip", "link", "set", "late1", "up"])
    is_content(node, fix)
    node.run(["ip", "link", "del", "late0"])
    complains(node, fix)
    node.write_config({"nomad": None, "uplinks": ["up0"]})
    node.api("/v1/reload", "POST")
    is_content(node, fix)


def test_a_fabric_without_a_store(node):
    fix = 'say "consul", or "fabric": "none"'
    node.start_picketd({"nomad": None, "fabric": "routed"})
    complains(node, fix)
    node.write_config({"nomad": None, "fabric": "none"})
    node.api("/v1/reload", "POST")
    is_content(node, fix)


def test_a_record_that_cannot_be_read(node):
    fix = "else stop its allocation, start it anew"
    alloc = node.add("acme", "api", "web")
    node.start_picketd({"nomad": None})
    name, = node.records()
    with open(node.path(f"var/lib/picket/endpoints/{name}"), "w", encoding="ascii") as file:
        file.write("{}")
    complains(node, fix)
    node.delete(alloc)
    is_content(node, fix)
    node.add("acme", "api", "web")


def test_a_device_that_has_the_overlays_name(make_node, consul):
    fix = "rename it, or delete it if nobody needs it: ip link del "
    node = make_node()
    node.run(["ip", "link", "add", DEVICE, "type", "bridge"])
    node.start_picketd({"node": "n1", "nomad": None, "fabric": "vxlan", "consul": {"address": consul.address}})
    complains(node, fix)
    said, = [said for said in all_fixes(node) if fix in said]
    node.run(said[said.index("ip link del"):].split()[:4])
    is_content(node, fix)


def test_a_document_takes_the_name_that_a_file_has(node):
    """-dir alone: the file's own name would be another."""
    node.start_picketd({"nomad": None})
    node.policy("b.json", {"name": "a", "namespace": "acme", "rules": [{"endpointSelector": {}, "ingress": [{}]}]})
    wait_for(lambda: node.api("/v1/policies")["policies"], "the document")
    new = node.path("a.json")
    text = {"namespace": "acme", "rules": [{"endpointSelector": {}, "egress": [{}]}]}
    with open(new, "w", encoding="ascii") as file:
        json.dump(text, file)
    is_refused(node.picket("policy", "apply", new, check=False), 'write "name": "a" into it')
    with open(new, "w", encoding="ascii") as file:
        json.dump({"name": "a", **text}, file)
    assert node.picket("policy", "apply", new).returncode == 0


def test_too_many_follow_the_flows(node):
    """The file has them, whoever follows."""
    node.start_picketd({"nomad": None})
    following = []
    for _ in range(16):
        one = socket.socket(socket.AF_UNIX)
        one.connect(node.path("run/picket/picketd.sock"))
        one.sendall(b"GET /v1/flows?follow=1 HTTP/1.1\r\nHost: picket\r\n\r\n")
        assert b" 200 " in one.recv(200)
        following.append(one)
    is_refused(node.picket("flows", "-f", check=False), "read the flows file")
    alloc = node.add("acme", "api", "web")
    ask(alloc, "udp", "192.0.2.250", 9, 0.2)
    wait_for(lambda: node.picket("flows", "-since", "10m", check=False).stdout, "the denial")
    for one in following:
        one.close()
    assert wait_for(lambda: node.api_text("/v1/flows?last=1") is not None, "a place")


def test_a_file_of_somebody_elses(node):
    file = os.path.join(node.root, "mine.json")
    with open(file, "w", encoding="ascii") as text:
        json.dump({"rules": [{"endpointSelector": {}, "ingress": [{}]}]}, text)
    for folder in (node.root, os.path.dirname(node.root)):
        os.chmod(folder, 0o755)
    os.chmod(file, 0o600)
    words = [node.program("picket"), "policy", "validate", file]
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    is_refused(node.run([*nobody, *words], check=False), "its owner may read it, and root")
    assert node.run(words).returncode == 0
    os.chmod(file, 0o644)
    assert node.run([*nobody, *words]).returncode == 0


@pytest.mark.parametrize("lies, fix", [("policies/history.json", "move away the directory that lies where a file belongs"),
                                       ("policies", "move away the file that lies where a directory belongs")])
def test_what_lies_in_the_place_of_stored_documents(node, lies, fix):
    """What can't be written is tried again by itself."""
    place = node.path(f"var/lib/picket/{lies}")
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    if lies.endswith(".json"):
        os.makedirs(place)
    else:
        with open(place, "w", encoding="ascii"):
            pass
    node.start_picketd({"nomad": None})
    node.policy("a.json", {"tier": "operator", "rules": [{"endpointSelector": {}, "ingress": [{}]}]})
    complains(node, fix)
    os.rename(place, node.path("elsewhere"))
    is_content(node, fix)
    assert not node.reasons("store")
