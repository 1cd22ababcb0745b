# SPDX-License-Identifier: Apache-2.0
"""The plugin killed between any two steps; the controller down at ADD."""
import json
import os
import signal
import struct
import subprocess
import time
import uuid

import pytest
from harness import Failed, Snapshot, wait_for
from harness.servers import QUICK
from harness.shell import binary

PLUGIN = "faults/picket-cni"


def fault_points():
    try:
        path = binary(PLUGIN)
    except Failed:
        return []
    return subprocess.run([path, "--list-faults"], capture_output=True, text=True,
                          check=True).stdout.split()


POINTS = fault_points()
# What lies on DEL's way, and on that of an ADD that replaces or sweeps.
OF_DEL = [p for p in POINTS if p.startswith("del-") or p in ("record-closed", "word-closed")]
BURYING = ("slot-cleared", "clear-slot-freed", "clear-leases-freed", "lease-freed")	# of an endpoint whose device is gone
ELSEWHERE = {"netns-named", "netns-made", "netns-unmounted", "add-replaced", "record-outlived", "plumb-host-tap", *BURYING, *OF_DEL}
OF_ADD = [p for p in POINTS if p not in ELSEWHERE]


PUBLISHED = {"portMappings": [{"hostPort": 24080, "containerPort": 80, "protocol": "tcp"}]}


def killed(node, verb, alloc, point, args="NOMAD_NAMESPACE=acme"):
    """True where the point lies on this verb's way and the plugin died there."""
    done = node.cni_raw(verb, {"CNI_CONTAINERID": alloc.id, "CNI_NETNS": alloc.path,
                               "CNI_IFNAME": "eth0", "PICKET_FAULT": f"{point}:1",
                               "CNI_ARGS": args if verb == "ADD" else ""},
                        json.dumps(node.plugin_conf(runtimeConfig=PUBLISHED)), binary_name=PLUGIN)
    assert done.returncode in (0, -9), done.stdout + done.stderr
    return done.returncode == -9


def gone(node, name):
    return name not in node.run(["ip", "-o", "link"]).stdout


def alloc_on(node):
    return node.new_netns(str(uuid.uuid4()))


def test_there_are_twenty_points():
    if not POINTS:
        pytest.skip("no test build of the plugin: make FAULTS=1 all")
    assert len(OF_ADD) >= 20 and len(OF_DEL) >= 5


@pytest.fixture
def used(make_node):
    """A node whose programs are loaded and whose tables know the tenant: the state to compare with."""
    node = make_node(uplink=False, pool=("10.40.7.0/24", "fd00:40:7::/64"))
    warm = node.add("acme", "warm", "up")
    node.delete(warm)
    wait_for(lambda: gone(node, "pk1"), "the device to go")
    return node


def settle(node, *allocs):
    """DEL and the netns's end of each; then an ADD that frees what was left, and its own end."""
    for alloc in allocs:
        node.cni("DEL", alloc.id, alloc.path)
        node.drop_netns(alloc)
    wait_for(lambda: gone(node, "pk"), "the devices to go")
    last = node.add("acme", "last", "one")
    assert node.records() == [f"{last.id}@eth0@{last.slot}"]
    assert node.leases() == {last.address(), last.address(6)}
    assert node.tables.count("slots") == 1 and node.tables.count("by_address") == 2
    assert last.slot == 1
    node.delete(last)
    wait_for(lambda: gone(node, "pk"), "the device to go")
    assert sorted(os.listdir(node.path("run/picket/lock"))) == ["endpoints", "node"]


@pytest.mark.parametrize("point", OF_ADD)
def test_killed_add_then_add(make_node, point):
    """Nomad tries again without a DEL: the second ADD succeeds, in the same netns. The node's first."""
    used = make_node(uplink=False)
    alloc = alloc_on(used)
    died = killed(used, "ADD", alloc, point)
    alloc.result = used.cni("ADD", alloc.id, alloc.path, args="NOMAD_NAMESPACE=acme")
    assert used.tables.word(alloc.slot)[2] != 0
    assert used.tables.count("slots") == 1 and used.leases() == {alloc.address(), alloc.address(6)}
    assert died, f"{point} is not on ADD's way"
    settle(used, alloc)


@pytest.mark.parametrize("point", OF_ADD)
def test_killed_add_then_del_then_add(used, point):
    """P52: ADD killed between each two steps, then DEL, then ADD again. No leak, the second ADD succeeds, and the pool's only address is not lost."""
    before = Snapshot(used)
    alloc = alloc_on(used)
    killed(used, "ADD", alloc, point)
    used.cni("DEL", alloc.id, alloc.path)
    used.drop_netns(alloc)
    wait_for(lambda: gone(used, "pk"), "the devices to go")
    again = alloc_on(used)
    again.result = used.cni("ADD", again.id, again.path, args="NOMAD_NAMESPACE=acme")
    settle(used, again)
    before.assert_same(Snapshot(used), ignore=("records", "leases", "driver files", "table slots",
                                                   "table labels"))


def port_bits(node):
    """The ports that uplinks look for in the table of published ones."""
    words = [int.from_bytes(value, "little") for _, value in sorted(node.tables.items("published_ports"), key=lambda kv: int.from_bytes(kv[0], "little"))]
    return [64 * at + bit for at, word in enumerate(words) for bit in range(64) if word >> bit & 1]


def test_a_ports_bit_comes_before_its_entry(used):
    """No packet misses a published port: killed between the two, the bit is there alone, until the table is gone through again."""
    alloc = alloc_on(used)
    assert killed(used, "ADD", alloc, "port-bit")
    assert port_bits(used) == [24080] and not used.tables.items("published")
    settle(used, alloc)
    again = used.add("acme", "web", "web", conf=used.plugin_conf(runtimeConfig=PUBLISHED))
    assert port_bits(used) == [24080]
    used.delete(again)
    assert port_bits(used) == []


# Before the lease nothing of it survives a reboot; one point of each kind after it.
SURVIVING = [p for p in OF_ADD if p in ("add-leased4", "add-leased", "add-made", "add-tested",
                                        "add-recorded", "add-opened")]


@pytest.mark.parametrize("point", SURVIVING)
def test_killed_add_then_a_reboot(make_node, point):
    """What was killed and never came again is gone with the node's memory; its address is free."""
    node = make_node(uplink=False, pool=("10.40.7.0/30",))
    alloc = alloc_on(node)
    assert killed(node, "ADD", alloc, point)
    recorded = node.records()
    node.reboot()
    if recorded:			# its ADD comes again: Nomad's way after a reboot
        again = node.new_netns(alloc.id)
        again.result = node.cni("ADD", alloc.id, again.path, args="NOMAD_NAMESPACE=acme")
    else:
        again = node.add("acme", "api", "web")
    assert again.address() == "10.40.7.2"


@pytest.mark.parametrize("point", BURYING)
def test_killed_del_of_an_endpoint_whose_device_is_gone(used, point):
    alloc = alloc_on(used)
    alloc.result = used.cni("ADD", alloc.id, alloc.path, args="NOMAD_NAMESPACE=acme")
    used.drop_netns(alloc)
    wait_for(lambda: gone(used, "pk"), "the device to go")
    assert killed(used, "DEL", alloc, point)
    used.cni("DEL", alloc.id, alloc.path)
    settle(used)


@pytest.mark.parametrize("point", OF_DEL)
def test_killed_del(used, point):
    """DEL is never repeated: the next ADD finishes it once the device is gone."""
    alloc = alloc_on(used)
    alloc.result = used.cni("ADD", alloc.id, alloc.path, args="NOMAD_NAMESPACE=acme")
    assert killed(used, "DEL", alloc, point)
    if point != "del-locked":
        assert used.tables.word(alloc.slot) == (0, 0, 0)
    settle(used, alloc)


@pytest.mark.parametrize("point", BURYING)
def test_killed_while_it_buries_another(used, point):
    """An ADD frees closed endpoints whose device is gone: the next one does what it didn't."""
    assert point in POINTS
    old = used.add("acme", "old", "one")
    used.delete(old)
    wait_for(lambda: gone(used, "pk"), "the device to go")
    alloc = alloc_on(used)
    assert killed(used, "ADD", alloc, point)
    settle(used, alloc)


def test_killed_while_replacing(used):
    """The third ADD in a row: the second was killed while it closed what the first left."""
    alloc = alloc_on(used)
    assert killed(used, "ADD", alloc, "add-recorded")
    assert killed(used, "ADD", alloc, "add-replaced")
    alloc.result = used.cni("ADD", alloc.id, alloc.path, args="NOMAD_NAMESPACE=acme")
    assert used.tables.word(alloc.slot)[2] != 0
    settle(used, alloc)


def test_add_without_the_controller(make_node):
    """P51: a VM that comes while the controller is down reaches its tenant and nobody else; the full policy follows its return. The tenant's fence stands, what the controller had in force last holds; it comes back and knows all."""
    node = make_node(conf={"mode": "process"})
    node.start_picketd()
    db = node.add("acme", "db", "db")
    api = node.add("acme", "api", "web")
    other = node.add("acme", "other", "one")
    node.policy("db.json", {"name": "db", "namespace": "acme", "rules": [{
        "endpointSelector": {"matchLabels": {"nomad:job": "db"}},
        "ingress": [{"fromEndpoints": [{"matchLabels": {"nomad:job": "api"}}]}]}]})

    def is_denied(a, b):
        return not a.pings(b, timeout=QUICK)

    wait_for(lambda: node.api("/v1/policies")["policies"] and node.api("/v1/policies/file/db")["enforced"] == "yes", "the policy")
    assert is_denied(other, db) and api.pings(db)
    node.kill_picketd()
    late = node.add("acme", "late", "one")
    evil = node.add("evil", "api", "web")
    assert node.tables.word(late.slot)[2] != 0
    assert is_denied(late, db)			# an allow that might match doesn't; a default deny does
    assert is_denied(evil, db) and is_denied(evil, late) and is_denied(late, evil)
    assert api.pings(db)			# what stood, stands
    node.start_picketd()
    second = node.add("acme", "api", "web")
    wait_for(lambda: not is_denied(second, db), "the controller's full policy")
    assert is_denied(late, db)


@pytest.fixture
def stopped(node):
    """stopped(alloc, point): an ADD of tenant acme that stands at that point until resume()."""
    begun = []

    def begin(alloc, point, args="NOMAD_NAMESPACE=acme", stops=True, **conf):
        add = node.popen([binary(PLUGIN)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                         env={"PATH": os.environ["PATH"], "CNI_PATH": "/opt/cni/bin", "CNI_COMMAND": "ADD",
                              "CNI_CONTAINERID": alloc.id, "CNI_NETNS": alloc.path, "CNI_IFNAME": "eth0",
                              "CNI_ARGS": args, "PICKET_FAULT": f"{point}:1:stop"})
        begun.append(add)
        add.stdin.write(json.dumps(node.plugin_conf(deadline="20s", **conf)))
        add.stdin.close()
        if not stops:
            return add
        pid, status = os.waitpid(add.pid, os.WUNTRACED)
        assert pid == add.pid and os.WIFSTOPPED(status), f"ADD did not stop at {point}"
        return add

    def resume(add):
        os.kill(add.pid, signal.SIGCONT)
        answer = json.loads(add.stdout.read())
        assert add.wait(60) == 0, answer
        return answer

    begin.resume = resume
    yield begin
    for add in begun:
        if add.poll() is None:
            add.kill()
            add.wait()


def is_stopped(add):
    with open(f"/proc/{add.pid}/stat", encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "T"


def test_one_looks_for_a_free_port_at_a_time(node, stopped):
    """Between the look and the entry of one ADD none other looks: both would find the port free, and the second take it from the first."""
    first = stopped(alloc_on(node), "port-free", runtimeConfig=PUBLISHED)
    second = stopped(alloc_on(node), "port-free", stops=False, runtimeConfig=PUBLISHED)
    until = time.monotonic() + 5		# only the lack of a lock lets it come there at all
    while time.monotonic() < until and not is_stopped(second):
        time.sleep(0.05)
    assert not is_stopped(second), "both ADDs found the port free"
    stopped.resume(first)
    answer = json.loads(second.stdout.read())
    assert second.wait(60) == 1 and answer["code"] == 11, answer
    assert len(node.tables.items("published")) == 1


def test_an_earlier_releases_sctp_is_left_out(used):
    """Its record names a published port of SCTP; opened anew by CHECK, its endpoint has its other ports, and the log says which it hasn't."""
    conf = used.plugin_conf(runtimeConfig=PUBLISHED)
    alloc = used.add("acme", "web", "web", conf=conf)
    (name,) = used.records()
    path = used.path(f"var/lib/picket/endpoints/{name}")
    with open(path, encoding="utf-8") as text:
        record = json.load(text)
    record["ports"].append({**record["ports"][0], "protocol": 132, "host": 24081})
    with open(path, "w", encoding="utf-8") as text:
        json.dump(record, text)
    with used.tables.map("words") as words:
        words.set(struct.pack("I", alloc.slot), bytes(8))
    done = used.cni_raw("CHECK", {"CNI_CONTAINERID": alloc.id, "CNI_NETNS": alloc.path, "CNI_IFNAME": "eth0"},
                        json.dumps({**conf, "prevResult": alloc.result}))
    assert done.returncode == 0, done.stdout + done.stderr
    assert used.tables.word(alloc.slot)[2] != 0
    assert "1 of its ports are of neither TCP nor UDP" in done.stderr and "fix: start the job anew without them" in done.stderr, done.stderr
    assert port_bits(used) == [24080] and len(used.tables.items("published")) == 1
    used.delete(alloc)
    anew = used.add("acme", "web", "web", conf=conf)
    done = used.cni_raw("CHECK", {"CNI_CONTAINERID": anew.id, "CNI_NETNS": anew.path, "CNI_IFNAME": "eth0"},
                        json.dumps({**conf, "prevResult": anew.result}))
    assert done.returncode == 0 and "neither TCP nor UDP" not in done.stderr, done.stdout + done.stderr


def rule_set(node, slot):
    return node.tables.word(slot)[0]


def test_a_base_withdrawn_during_add_is_made_again(node, stopped):
    """picketd may withdraw the base of a tenant that it hasn't heard of, between ADD's look and its word."""
    alloc = alloc_on(node)
    add = stopped(alloc, "add-recorded")
    [(tenant, _)] = list(node.tables.items("bases"))
    node.tables.map("bases").delete(tenant)
    alloc.result = stopped.resume(add)
    assert node.tables.word(alloc.slot)[2] != 0
    assert struct.pack("I", rule_set(node, alloc.slot)) == dict(node.tables.items("bases"))[tenant]
    node.delete(alloc)


def test_add_opens_under_what_its_label_set_names_by_then(node, stopped):
    """A rule set that picketd names while an ADD is on its way is the one that the ADD opens under."""
    node.start_picketd()
    first = alloc_on(node)
    first.result = node.cni("ADD", first.id, first.path, args="NOMAD_NAMESPACE=acme")
    before = rule_set(node, first.slot)
    second = alloc_on(node)
    add = stopped(second, "add-recorded")
    node.policy("closed.json", {"namespace": "acme", "rules": [{"endpointSelector": {}, "ingress": [{}]}]})
    wait_for(lambda: rule_set(node, first.slot) != before, "the policy at the first endpoint")
    node.kill_picketd()                 # nobody mends it afterwards
    second.result = stopped.resume(add)
    assert rule_set(node, second.slot) == rule_set(node, first.slot)


def test_a_pass_between_record_and_word_is_not_the_last(node, stopped):
    """picketd hears of a record at once, and has settled everything when the word comes: its ADD has it look again, before it ends."""
    node.start_picketd()
    node.policy("api.json", {"namespace": "acme", "rules": [{"endpointSelector": {"matchLabels": {"nomad:job": "api"}},
                                                       "ingress": [{"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}]}]}]})
    wait_for(lambda: node.api("/v1/policies/file/api")["enforced"] == "yes", "the policy")
    alloc = alloc_on(node)
    add = stopped(alloc, "add-recorded", "NOMAD_NAMESPACE=acme;NOMAD_JOB_ID=api;NOMAD_GROUP_NAME=web")
    revision = wait_for(lambda: node.api("/v1/endpoints")["endpoints"] and node.api("/v1/status")["policyRevision"], "picketd to see the record")
    node.policy("other.json", {"namespace": "other", "rules": [{"endpointSelector": {}, "ingress": [{}]}]})
    wait_for(lambda: node.api("/v1/status")["policyRevision"] > revision, "a whole pass without it")
    alloc.result = stopped.resume(add)
    assert node.api("/v1/endpoints")["endpoints"][0]["inStep"], "its own rule set, not what it was opened under"
    assert struct.pack("I", rule_set(node, alloc.slot)) not in dict(node.tables.items("bases")).values()
