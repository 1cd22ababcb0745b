# SPDX-License-Identifier: Apache-2.0
"""`picket attach` and `picket detach`: endpoints that no Nomad starts. A VMM behind one: e2e/test_attached_guests.py."""
import json
import os
import signal
import uuid

import pytest
from harness import Failed, Snapshot, wait_for
from harness.attach import attach, command, conflist, detach
from harness.servers import QUICK
from harness.shell import binary

ACME = ("-tenant", "acme", "-mode", "process")
NETWORKS = "opt/cni/config/"


@pytest.fixture
def site(make_node):
    """A node that has one network, and no picketd yet."""
    node = make_node()
    node.write_config()
    return node


def gone(node):
    return "pk" not in node.run(["ip", "-o", "link"]).stdout


def nothing_left(node):
    """Of any endpoint, once the sweep has taken what DEL leaves to it."""
    wait_for(lambda: gone(node), "the devices to go")
    node.picket("sweep", "-apply", check=False)
    assert node.records() == [] and node.leases() == set()
    assert node.run(["ls", "/run/netns"]).stdout == ""
    assert all(os.listdir(os.path.join(node.root, "run/picket", part)) == [] for part in ("attach", "vm"))
    assert not any(any(word) for _, word in node.tables.items("words"))


def test_tenants_are_apart_without_picketd(site):
    """One path with CNI's ADD: the same record, fenced by the tenant's base; nothing is left afterwards."""
    a = attach(site, "a", *ACME, "-label", "job=api", "-label", "tier=web", "-address", "10.40.7.99", "-mtu", "1400")
    b = attach(site, "b", *ACME)
    other = attach(site, "b-2", "-tenant", "other", "-mode", "process")
    assert a.address() == "10.40.7.99" and a.said["mtu"] == 1400 and a.links()["eth0"]["mtu"] == 1400
    assert a.said["netns"] == "/run/netns/a" and a.said["ipv4"]["gateway"] == "10.40.7.1" and a.said["tap"] is None
    assert a.pings(b) and b.pings(a, 6) and not other.pings(a, timeout=QUICK) and not a.pings(other, timeout=QUICK)
    row = {row["containerId"]: row for row in json.loads(site.picket("endpoint", "list", "-json").stdout)}["a"]
    assert (row["namespace"], row["job"], row["group"], row["confirmed"]) == ("acme", "api", None, "declared")
    assert json.loads(site.picket("endpoint", "show", "b", "-json").stdout)["containerId"] == "b", "and not b-2"
    again = command(site, "attach", "a", *ACME)
    assert again.returncode == 1 and "attached already" in again.stderr
    assert a.pings(b)
    for name in ("a", "b", "b-2"):
        assert "is detached" in detach(site, name)
    assert "was not attached" in detach(site, "a")
    nothing_left(site)


def test_text_says_what_a_vmm_needs(site):
    done = command(site, "attach", "vm", "-tenant", "acme")
    said = dict(line.split("=", 1) for line in done.stdout.splitlines())
    said = {key.strip(): value.strip() for key, value in said.items()}
    assert said["Netns"] == "/run/netns/vm" and said["Tap"] == "tap0" and said["MTU"] == "1500"
    assert said["IPv4"].startswith("10.40.7.") and said["IPv6"].startswith("fd00:40:7:") and said["Gateway"] == "10.40.7.1"
    assert "tap0" in site.run(["ip", "-n", "vm", "-o", "link"]).stdout
    quarantined = command(site, "attach", "nobody", "-mode", "host-tap")
    assert quarantined.returncode == 0 and "is in quarantine" in quarantined.stderr and "= pk2" in quarantined.stdout


def test_nomad_is_not_asked(node, nomad):
    """An old agent, whose CNI_ARGS nobody believes, or one that knows nothing of the name: the operator's word counts, over a restart too."""
    nomad.version = "1.8.2"
    config = {"nomad": {"address": nomad.address, "node": nomad.node}, "consul": None}
    node.start_picketd(config)
    wait_for(lambda: node.source("nomad")["state"] == "ok", "Nomad's answer")
    node.policy("close.json", {"name": "close", "rules": [{
        "endpointSelector": {"matchLabels": {"nomad:namespace": "acme", "meta:tier": "db"}},
        "ingress": [{"fromEndpoints": [{"matchLabels": {"nomad:namespace": "acme", "meta:tier": "web"}}]}]}]})
    wait_for(lambda: any(p["name"] == "close" for p in node.api("/v1/policies")["policies"]), "the document")
    db = attach(node, "db", *ACME, "-label", "tier=db")
    web = attach(node, "web", *ACME, "-label", "tier=web", "-label", "job=api")
    plain = attach(node, "plain", *ACME)

    def holds():
        rows = {row["containerId"]: row for row in node.api("/v1/endpoints")["endpoints"]}
        assert all(row["confirmed"] == "declared" and not row["quarantined"] and not row["unknown"] for row in rows.values()), rows
        assert "meta:tier=db" in rows["db"]["labels"] and "nomad:job=api" in rows["web"]["labels"]
        assert all(row["inStep"] for row in rows.values())
        assert web.pings(db) and not plain.pings(db, timeout=QUICK)

    wait_for(lambda: node.api("/v1/status")["endpoints"]["inStep"] == 3, "all three")
    holds()
    assert node.picket("policy", "explain", "web", "db", "80/tcp", check=False).returncode == 0
    assert node.picket("policy", "explain", "plain", "db", "80/tcp", check=False).returncode == 1
    wait_for(lambda: node.picket("flows", "-q", "-verdict", "denied", "-to-alloc", "db", check=False).returncode == 0, "its denial")
    node.kill_picketd()
    node.start_picketd(config)
    wait_for(lambda: node.source("nomad")["state"] == "ok" and node.api("/v1/status")["endpoints"]["inStep"] == 3, "them anew")
    holds()
    assert node.reasons("endpoints") == []
    for name in ("db", "web", "plain"):
        detach(node, name)


def test_an_author_declares_nothing(node, nomad):
    """What stands in CNI_ARGS or in the plugin's environment is no operator's word."""
    node.start_picketd({"nomad": {"address": nomad.address, "node": nomad.node}, "consul": None})
    alloc = node.new_netns(str(uuid.uuid4()))
    declared = '["nomad:namespace=acme"]'
    env = {"CNI_CONTAINERID": alloc.id, "CNI_NETNS": alloc.path, "CNI_IFNAME": "eth0",
           "CNI_ARGS": f"--declared={declared};declared={declared}", "PICKET_DECLARED": declared}
    done = node.cni_raw("ADD", env, json.dumps(node.plugin_conf(mode="process")))
    assert done.returncode == 0, done.stdout
    row = wait_for(lambda: node.api("/v1/endpoints/" + alloc.id), "the endpoint")
    assert row["quarantined"] and row["confirmed"] == "no" and row["namespace"] is None


def without_device(node):
    """The reason of what is to be attached again; the audit of each minute has others of that kind."""
    return [reason for reason in node.reasons("netns") if "by picket attach" in reason["text"]]


def test_after_a_reboot(site):
    """Record and address are the operator's until detach; the same attach again gives the same address."""
    conf = {"nomad": None, "consul": None}
    was = [attach(site, name, *ACME).address() for name in ("one", "two")]
    site.reboot()
    site.start_picketd(conf)
    reason, = wait_for(lambda: without_device(site), "the reason")
    assert "2 endpoints by picket attach" in reason["text"] and "picket detach" in reason["fix"]
    kept = site.picket("sweep", check=False).stdout
    assert kept.count("picket detach gives up") == 2, kept
    one = attach(site, "one", *ACME)
    assert one.address() == was[0]
    detach(site, "two")
    wait_for(lambda: not without_device(site), "nothing to say any more")
    assert site.leases() >= {was[0]} and was[1] not in site.leases()


def test_a_netns_that_was_deleted(site):
    """Its device is gone with it: the name may be attached anew, at once."""
    site.start_picketd()
    one = attach(site, "one", *ACME)
    site.run(["ip", "netns", "delete", "one"])
    site.allocs.pop("one")
    wait_for(lambda: without_device(site), "the reason")
    again = attach(site, "one", *ACME)
    assert again.address() == one.address()
    wait_for(lambda: not without_device(site), "nothing to say any more")


MAKING = ("attach-begun", "netns-named", "netns-made", "attach-netns", "add-slot", "add-written", "add-recorded", "add-opened",
          "attach-added")
ENDING = ("attach-kept", "detach-begun", "del-locked", "word-closed", "detach-deleted", "netns-unmounted", "detach-dropped")


@pytest.fixture(scope="module")
def kill_node():
    from harness.node import Node, NodeOptions
    try:
        binary("faults/picket")
    except Failed:
        pytest.skip("no test build: make FAULTS=1 all")
    with Node("n1", NodeOptions(uplink=False)) as node:
        node.write_config()
        yield node


@pytest.mark.parametrize("point", MAKING + ENDING)
def test_killed_anywhere(kill_node, point):
    """The command, or the plugin that it runs: attach again or detach clears up, and nothing is left."""
    if point in ENDING[1:]:
        attach(kill_node, "vm", *ACME)
        done = command(kill_node, "detach", "vm", fault=point)
    else:
        done = command(kill_node, "attach", "vm", *ACME, fault=point)
    assert done.returncode in (-signal.SIGKILL, 2), f"{point} wasn't passed: {done.stdout}"
    if point == "attach-kept":
        assert command(kill_node, "attach", "vm", *ACME).returncode == 1, "it is whole"
    else:
        vm = attach(kill_node, "vm", *ACME)
        assert any(kill_node.tables.word(vm.slot))
    detach(kill_node, "vm")
    nothing_left(kill_node)


def test_what_is_refused(site):
    """Nothing is made then, and nothing of somebody else's is touched."""
    alloc = site.add("acme", "api", "web")
    site.run(["ip", "netns", "add", "mine"])
    inode = os.stat(f"/proc/{site.holder.pid}/root/run/netns/mine").st_ino
    before = Snapshot(site)
    for words, said in (
            (("attach", alloc.id), "allocation's id"), (("detach", alloc.id), "allocation's id"),
            (("attach", "mine"), "picket attach didn't make it"), (("attach", "../x"), "no name of an endpoint"),
            (("attach", "x", "-label", "tier=db"), "without -tenant"), (("attach", "x", "-tenant", "a_b"), "not 1 to 128"),
            (("attach", "x", "-tenant", "acme", "-label", "namespace=b"), "not an operator's"),
            (("attach", "x", "-tenant", "acme", "-label", "consul:service=b"), "not an operator's"),
            (("attach", "x", "-tenant", "acme", "-label", "job=a", "-label", "job=b"), "given twice"),
            (("attach", "x", "-tenant", "acme", "-label", "tier=a\nb"), "control character"),
            (("attach", "x", "-mode", "bridge"), "none of vm"), (("attach", "x", "-publish", "80"), "not like 8080:80/tcp"),
            (("attach", "x", "-publish", "80:80/icmp"), "expected"), (("attach", "x", *ACME, "-address", "10.9.9.9"), "pool"),
            (("attach", "x", "-network", "nowhere"), "no network called nowhere")):
        done = command(site, *words)
        assert done.returncode == 2 and said in done.stderr, (words, done.stderr)
    before.assert_same(Snapshot(site), ignore=("table labels",))	# numbers that ADD took before it had no address
    assert os.stat(f"/proc/{site.holder.pid}/root/run/netns/mine").st_ino == inode
    other = site.new_netns("runtimes")
    site.cni("ADD", "runtimes", other.path)
    assert "didn't make" in command(site, "detach", "runtimes").stderr
    conflist(site, NETWORKS + "20-more.conflist", name="more")
    assert "say which by -network" in command(site, "attach", "x").stderr
    assert command(site, "attach", "x", "-network", "more", *ACME).returncode == 0
