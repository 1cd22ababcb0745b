# SPDX-License-Identifier: Apache-2.0
"""Verbs over what is already there: of an earlier life of the container id, or of somebody else."""
import fcntl
import json
import os
import signal
import struct
import subprocess
import uuid

import pytest
from harness import CniError, Failed, Snapshot, wait_for
from harness.netns import entering
from harness.shell import binary

FAULTY = "faults/picket-cni"
ARGS = "NOMAD_NAMESPACE=acme"


@pytest.fixture
def node(make_node):
    return make_node(uplink=False)


def is_open(node, slot):
    return node.tables.word(slot)[2] != 0


def device_goes(node, slot):
    wait_for(lambda: f"pk{slot}:" not in node.run(["ip", "-o", "link"]).stdout.replace("@", ":"),
             f"pk{slot} to go")


def faulty():
    try:
        return binary(FAULTY)
    except Failed:
        pytest.skip("no test build of the plugin: make FAULTS=1 all")


def killed_at(node, verb, alloc, point):
    faulty()
    done = node.cni_raw(verb, {"CNI_CONTAINERID": alloc.id, "CNI_NETNS": alloc.path,
                               "CNI_IFNAME": "eth0", "CNI_ARGS": ARGS if verb == "ADD" else "",
                               "PICKET_FAULT": f"{point}:1"},
                        json.dumps(node.plugin_conf()), binary_name=FAULTY)
    assert done.returncode == -9, done.stdout + done.stderr


def another_netns(node, alloc):
    """The same path, another namespace: what Nomad does after a failed CHECK."""
    node.run(["umount", "-l", alloc.path])
    node.run(["unshare", f"--net={alloc.path}", "true"])


def test_a_tap_of_another_is_left_alone(node):
    node.add("acme", "warm", "up")
    before = Snapshot(node)
    alloc = node.new_netns(str(uuid.uuid4()))
    alloc.run(["ip", "tuntap", "add", "tap0", "mode", "tap"])
    with pytest.raises(CniError) as error:
        node.cni("ADD", alloc.id, alloc.path, args=ARGS)
    assert error.value.code == 100 and "tap0" in error.value.msg
    assert set(alloc.links()) == {"lo", "tap0"}
    before.assert_same(Snapshot(node), ignore=("netns", "table labels"))


@pytest.mark.parametrize("mode", ("vm", "process"))
def test_add_after_del_in_the_same_netns(make_node, mode):
    """Firecracker's SDK calls DEL, then ADD, for each start: the netns may be the one of before."""
    node = make_node(uplink=False, conf={"mode": mode})
    a = node.add("acme", "api", "web")
    for _ in range(2):
        node.delete(a, drop=False)
        assert not is_open(node, a.slot)
        a.result = node.cni("ADD", a.id, a.path, args=a.args)
        assert is_open(node, a.slot) and node.leases() == {a.address(), a.address(6)}
        assert node.records() == [f"{a.id}@eth0@{a.slot}"]
        assert node.tables.count("slots") == 1


def test_add_again_makes_a_lost_pair_again(node):
    """Somebody deleted the host end: eth0 went with it, tap0 and the record are there."""
    a = node.add("acme", "api", "web")
    node.run(["ip", "link", "del", f"pk{a.slot}"])
    assert node.cni("ADD", a.id, a.path, args=a.args) == a.result
    assert is_open(node, a.slot) and set(a.links()) == {"lo", "eth0", "tap0"}
    node.check(a)


def test_add_again_writes_a_lost_driver_file(node):
    a = node.add("acme", "api", "web")
    path = node.path(f"run/picket/vm/{a.id}.json")
    was = a.driver_file()
    for again in (lambda: node.cni("ADD", a.id, a.path, args=a.args), lambda: node.check(a)):
        os.unlink(path)
        again()
        assert a.driver_file() == was and os.stat(path).st_mode & 0o777 == 0o640


def test_killed_between_word_and_driver_file(node):
    alloc = node.new_netns(str(uuid.uuid4()))
    killed_at(node, "ADD", alloc, "add-opened")
    alloc.result = node.cni("ADD", alloc.id, alloc.path, args=ARGS)
    assert alloc.driver_file()["ipv4"]["address"] == alloc.address()


AFTER_A_REBOOT = ("record-outlived", "leases-rebuilt", "add-loaded", "add-replaced", "add-slot", "add-leased",
                  "add-stale-gone", "add-recorded")


@pytest.mark.parametrize("point", AFTER_A_REBOOT)
def test_killed_after_a_reboot_then_add(make_node, point):
    """The address is the pool's only one: the record of before keeps it until the new one stands."""
    node = make_node(uplink=False, pool=("10.40.7.0/30",))
    a = node.add("acme", "api", "web")
    node.reboot()
    again = node.new_netns(a.id)
    killed_at(node, "ADD", again, point)
    node.drop_netns(again)
    again = node.new_netns(a.id)
    again.result = node.cni("ADD", a.id, again.path, args=ARGS)
    assert again.address() == a.address() and node.leases() == {a.address()}
    assert node.records() == [f"{a.id}@eth0@{again.slot}"]


@pytest.mark.parametrize("point", AFTER_A_REBOOT[2:])
def test_killed_after_a_reboot_then_del(make_node, point):
    """DEL finds the record of before, and what the killed ADD took besides."""
    node = make_node(uplink=False, pool=("10.40.7.0/30",))
    b = node.add("acme", "b", "b")
    node.delete(b)
    device_goes(node, b.slot)
    a = node.add("acme", "api", "web")
    node.reboot()
    warm = node.add("acme", "warm", "up", conf=node.plugin_conf(pool="10.40.8.0/30"))
    again = node.new_netns(a.id)		# in slot 2; its record says 1
    killed_at(node, "ADD", again, point)
    node.cni("DEL", a.id, again.path)
    node.drop_netns(again)
    device_goes(node, 2)
    last = node.add("acme", "last", "one")
    assert last.address() == a.address() and last.slot == 2
    assert {name.split("@")[0] for name in node.records()} == {warm.id, last.id}
    assert node.leases() == {warm.address(), last.address()}


def test_killed_while_moving(node):
    """The old record is closed, the new one isn't written: nothing of the old address is lost."""
    a = node.add("acme", "api", "web")
    slot = a.slot
    left = a.popen(["sleep", "300"])
    another_netns(node, a)
    killed_at(node, "ADD", a, "add-replaced")
    a.result = node.cni("ADD", a.id, a.path, args=ARGS)
    left.kill()
    left.wait()
    device_goes(node, slot)
    b = node.add("acme", "b", "b")			# buries the old one
    assert len(node.records()) == 2
    assert node.leases() == {a.address(), a.address(6), b.address(), b.address(6)}


@pytest.mark.parametrize("loader", ("picketd", "plugin"))
def test_leases_are_what_the_records_say_after_a_power_loss(make_node, loader):
    """They aren't synced. Whoever loads first makes them again, and forgets what has no record. picketd sweeps nobody without Nomad's word."""
    node = make_node(uplink=False, pool=("10.40.7.0/29",), config=NOMAD_S)
    a, b = node.add("acme", "a", "a"), node.add("acme", "b", "b")
    wanted = {a.address(), b.address()}
    node.reboot()
    where = node.path("var/lib/picket/leases")
    os.unlink(os.path.join(where, a.address()))
    with open(os.path.join(where, "10.40.7.5"), "w", encoding="ascii") as file:
        file.write("gone@eth0")
    if loader == "picketd":
        node.start_picketd()
    else:
        c = node.add("acme", "c", "c")
        wanted.add(c.address())
        assert len(wanted) == 3
    assert node.leases() == wanted


def test_del_while_the_node_lock_is_held(node):
    """By somebody who hangs. The endpoint is closed all the same, and the record tells the sweep."""
    a = node.add("acme", "api", "web")
    with open(node.path("run/picket/lock/node"), "r+", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        node.cni("DEL", a.id, a.path, conf=node.plugin_conf(deadline="2s"))
        assert not is_open(node, a.slot) and node.records() == [f"closed/{a.id}@eth0@{a.slot}"]
        flags = node.json(["ip", "-j", "link", "show", f"pk{a.slot}"])[0]["flags"]
        assert "UP" not in flags
    node.drop_netns(a)
    device_goes(node, a.slot)
    b = node.add("acme", "b", "b")
    assert node.records() == [f"{b.id}@eth0@{b.slot}"] and node.tables.count("by_address") == 2


@pytest.mark.parametrize("loaded", (True, False))
def test_add_while_the_node_lock_is_held(node, loaded):
    """By somebody who hangs, at the first load or later: code 107 in the verb's time, and nothing left."""
    if loaded:
        node.add("acme", "warm", "up")
    else:
        os.makedirs(node.path("run/picket/lock"))
    alloc = node.new_netns(str(uuid.uuid4()))
    with open(node.path("run/picket/lock/node"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = Snapshot(node)
        with pytest.raises(CniError) as error:
            node.cni("ADD", alloc.id, alloc.path, args=ARGS,
                     conf=node.plugin_conf(deadline="1s"))
        assert error.value.code == 107
        assert set(alloc.links()) == {"lo"}
        before.assert_same(Snapshot(node))
    alloc.result = node.cni("ADD", alloc.id, alloc.path, args=ARGS)
    assert is_open(node, alloc.slot)


def test_settings_that_cannot_be_read_are_quarantine(make_node):
    """picketd's word is there and can't be understood: nothing opens by the conflist's instead."""
    node = make_node(uplink=False, conf={"mode": "process", "baseline": "open"})
    os.makedirs(os.path.join(node.root, "var/lib/picket"))
    with open(os.path.join(node.root, "var/lib/picket/node.json"), "w", encoding="ascii") as file:
        file.write('{"baseline": "sesame"}')
    a, b = node.add("acme", "api", "web"), node.add("acme", "db", "db")
    for x, y in ((a, b), (b, a)):
        assert x.run(["ping", "-c", "1", "-W", "1", y.address()], check=False).returncode != 0


UNREADABLE = {"empty": "", "no record": "{}", "another release's": '{"version": 99}',
              "deep": "[" * 5000, "zeros": "\0" * 64}


@pytest.mark.parametrize("content", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_record_that_cannot_be_read(node, content):
    """Malformed, or another release's: ADD says so and touches nothing, DEL needs the name alone."""
    a = node.add("acme", "api", "web")
    name, = node.records()
    with open(node.path(f"var/lib/picket/endpoints/{name}"), "w", encoding="ascii") as file:
        file.write(content)
    with pytest.raises(CniError) as error:
        node.cni("ADD", a.id, a.path, args=a.args)
    assert error.value.code == 104 and "fix: " in error.value.details
    assert is_open(node, a.slot) and node.records() == [name]
    node.delete(a)
    assert not is_open(node, a.slot) and node.records() == ["closed/" + name]
    device_goes(node, a.slot)
    b = node.add("acme", "b", "b")			# frees the address that the lease says is its
    assert node.records() == [f"{b.id}@eth0@1"] and node.leases() == {b.address(), b.address(6)}


def test_del_leaves_a_device_of_another_alone(node):
    """After a reboot the record's slot is a number: a device of that name may be the operator's."""
    a, c = node.add("acme", "api", "web"), node.add("acme", "c", "c")
    node.reboot()
    for name in ("pk1", "pk2"):
        node.run(["ip", "link", "add", name, "type", "bridge"])
        node.run(["ip", "link", "set", name, "up"])
    node.cni("DEL", a.id, "")
    assert node.records() == [f"{c.id}@eth0@2"] and node.leases() == {c.address(), c.address(6)}
    b = node.add("acme", "b", "b")
    assert b.slot == 3
    node.picket("sweep", "-all", "-apply", "-force")
    for name in ("pk1", "pk2"):
        assert "UP" in node.json(["ip", "-j", "link", "show", name])[0]["flags"]
    assert node.records() == [] and "pk3" not in node.run(["ip", "-o", "link"]).stdout


def other_layout(node):
    with node.tables.map("node") as table:
        value = bytearray(table.get(struct.pack("I", 0)))
        value[16:20] = struct.pack("I", 9999)
        table.set(struct.pack("I", 0), bytes(value))


def broken_record(node):
    name, = node.records()
    with open(node.path(f"var/lib/picket/endpoints/{name}"), "w", encoding="ascii") as file:
        file.write("{}")


def no_pins(node):
    node.run(["rm", "-r", os.path.join(node.root, "sys/fs/bpf/picket")])


@pytest.mark.parametrize("breaking", (other_layout, broken_record, no_pins))
def test_check_runs_on_where_it_cannot_mend(node, breaking):
    """On an error Nomad would move the allocation into a new netns, and leave the VM in the old one."""
    a = node.add("acme", "api", "web")
    breaking(node)
    node.check(a)
    assert f"pk{a.slot}" in node.run(["ip", "-o", "link", "show", "up"]).stdout


def alarm_waits(pid):
    """SIGALRM is pending."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        pending = next(line.split()[1] for line in file if line.startswith("ShdPnd:"))
    return int(pending, 16) >> (signal.SIGALRM - 1) & 1


@pytest.mark.parametrize("verb, point, status", (("ADD", "add-up", 1), ("CHECK", "plumb-home-up", 0)))
def test_the_deadline_ends_a_verb_that_waits_for_the_kernel(node, verb, point, status):
    """ADD says so, and the next one mends what it left. CHECK says it in the log: the VM runs on."""
    node.add("acme", "warm", "up")	# the programs are loaded
    alloc = node.new_netns(str(uuid.uuid4()))
    if verb == "CHECK":
        alloc.result = node.cni("ADD", alloc.id, alloc.path, args=ARGS)
    env = {"CNI_COMMAND": verb, "CNI_CONTAINERID": alloc.id, "CNI_NETNS": alloc.path,
           "CNI_IFNAME": "eth0", "CNI_ARGS": ARGS, "PICKET_FAULT": f"{point}:1:stop"}
    with subprocess.Popen([faulty()], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True,
                          preexec_fn=entering(node.net, node.mnt)) as plugin:
        plugin.stdin.write(json.dumps(node.plugin_conf(deadline="6s")))
        plugin.stdin.close()
        _, how = os.waitpid(plugin.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(how), f"{verb} did not stop at {point}"
        wait_for(lambda: alarm_waits(plugin.pid), "the alarm, which waits for it to go on")
        plugin.send_signal(signal.SIGCONT)
        said, log = plugin.stdout.read(), plugin.stderr.read()
        assert plugin.wait() == status
    error = json.loads(said if status else log)
    assert error["code"] == 107 and f"{verb} did not end" in error["msg"]
    assert bool(said) == bool(status)
    assert "look at what the node is busy with, or raise the conflist's \"deadline\"" in (error.get("details") or error["fix"])
    alloc.result = node.cni("ADD", alloc.id, alloc.path, args=ARGS)
    assert is_open(node, alloc.slot) and len(node.records()) == 2


def test_check_waits_for_a_lock_and_runs_on(node):
    a = node.add("acme", "api", "web")
    with node.lock_containers():
        node.check(a, conf=node.plugin_conf(deadline="100ms"))


@pytest.mark.parametrize("name", ["node", "endpoints", "closed"])
def test_a_container_may_have_any_name(node, name):
    """Also one of a lock or a directory of the plugin's own."""
    alloc = node.new_netns(name)
    alloc.args = "NOMAD_NAMESPACE=acme"
    alloc.result = node.cni("ADD", alloc.id, alloc.path, args=alloc.args)
    assert is_open(node, alloc.slot)
    node.check(alloc)
    node.delete(alloc)
    wait_for(lambda: "pk" not in node.run(["ip", "-o", "link"]).stdout, "the device to go")
    node.add("acme", "api", "web")
    assert len(node.records()) == 1 and len(node.leases()) == 2


def test_gc_takes_the_list_under_either_name(make_node):
    """libcni sends both; the specification once had the shorter one."""
    node = make_node(uplink=False, cni_version="1.1.0")
    listed, dead = node.add("acme", "a", "a"), node.add("acme", "b", "b")
    for alloc in (listed, dead):
        node.drop_netns(alloc)
    both = [{"containerID": a.id, "ifname": "eth0"} for a in (listed, dead)]
    for lists in ({"cni.dev/valid-attachments": [], "cni.dev/attachments": both},
                  {"cni.dev/valid-attachments": both, "cni.dev/attachments": []}):
        node.cni("GC", conf=node.plugin_conf(**lists))
        assert is_open(node, listed.slot) and is_open(node, dead.slot)
    with pytest.raises(CniError) as error:
        node.cni("GC", conf=node.plugin_conf(**{"cni.dev/attachments": None}))
    assert error.value.code == 7
    node.cni("GC", conf=node.plugin_conf(**{"cni.dev/attachments": both[:1]}))
    assert is_open(node, listed.slot) and not is_open(node, dead.slot)


@pytest.mark.parametrize("verb", ("ADD", "DEL"))
def test_a_runtime_that_never_ends_its_input(node, verb):
    """The verb's time runs from the start, whatever it waits for."""
    env = {"CNI_COMMAND": verb, "CNI_CONTAINERID": "x", "CNI_NETNS": "/run/netns/x",
           "CNI_IFNAME": "eth0"}
    with subprocess.Popen([binary("picket-cni")], env=env, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, preexec_fn=entering(node.net, node.mnt)) as plugin:
        plugin.stdin.write(b"{")
        plugin.stdin.flush()
        try:
            assert plugin.wait(timeout=60) == 1
        finally:
            plugin.kill()
        said = plugin.stdout.read()
    assert json.loads(said)["code"] == 107


def test_a_conflist_of_another_version_stops_no_del(node):
    """Edited after ADD: the version is of tomorrow, the name is gone."""
    a = node.add("acme", "api", "web")
    node.cni("DEL", a.id, a.path, conf={"cniVersion": "9.0.0", "type": "picket", "root": node.root})
    assert not is_open(node, a.slot)


NOMAD_S = {"nomad": {"address": "http://127.0.0.1:1"}, "consul": None}


def test_addresses_of_the_dead_come_back_without_picketd(make_node):
    """Nobody says that the allocations are over, but device and netns are gone: the pool is not lost."""
    node = make_node(uplink=False, pool=("10.40.7.0/29",))		# .2 to .6
    old = [node.add("acme", "api", "web") for _ in range(4)]
    node.reboot()
    first = node.new_netns(old[0].id)
    first.result = node.cni("ADD", first.id, first.path, args=ARGS)
    assert first.address() == old[0].address()		# what comes again keeps its own
    new = [node.add("acme", "api", "web") for _ in range(4)]
    assert len({a.address() for a in [first, *new]}) == 5
    assert len(node.records()) == 5 and len(node.leases()) == 5
    with pytest.raises(CniError) as error:
        node.add("acme", "api", "web")
    assert error.value.code == 102


def test_slots_of_the_dead_come_back_without_picketd(make_node):
    node = make_node(uplink=False)
    os.makedirs(os.path.join(node.root, "var/lib/picket"))
    with open(os.path.join(node.root, "var/lib/picket/node.json"), "w", encoding="ascii") as file:
        json.dump({"capacity": {"endpoints": 2}}, file)
    allocs = [node.add("acme", "api", "web") for _ in range(2)]
    with pytest.raises(CniError) as error:
        node.add("acme", "api", "web")
    assert error.value.code == 106
    node.drop_netns(allocs[0])		# the agent was killed: no DEL
    device_goes(node, allocs[0].slot)
    assert node.add("acme", "api", "web").slot == allocs[0].slot


def test_sweep_removes_the_dead_where_no_picketd_runs(make_node):
    node = make_node(uplink=False, config=NOMAD_S)
    dead = node.add("acme", "api", "web")
    node.reboot()
    live = node.add("acme", "api", "web")
    node.start_picketd()
    assert node.picket("sweep", "-apply", check=False).returncode == 1
    assert f"{dead.id}@eth0@0" in node.records()		# Nomad is picketd's to ask
    node.kill_picketd()
    node.picket("sweep", "-apply")
    assert node.records() == [f"{live.id}@eth0@{live.slot}"]
    assert node.leases() == {live.address(), live.address(6)}


@pytest.mark.parametrize("kind", ["veth", "dummy"])
def test_del_touches_no_foreign_device(node, kind):
    """A record of before a reboot names a slot whose device is somebody else's by now."""
    a = node.add("acme", "api", "web")
    node.reboot()
    add = {"veth": ["type", "veth", "peer", "name", "other"], "dummy": ["type", "bridge"]}[kind]
    node.run(["ip", "link", "add", f"pk{a.slot}", *add])
    node.run(["ip", "link", "set", f"pk{a.slot}", "up"])
    node.cni("DEL", a.id, "")		# nothing is loaded yet
    link, = node.json(["ip", "-j", "link", "show", f"pk{a.slot}"])
    assert "UP" in link["flags"]
    b = node.add("acme", "api", "web")
    assert b.slot != a.slot
    node.cni("DEL", a.id, "")
    node.run(["ip", "link", "set", f"pk{b.slot}", "address", "02:00:00:00:00:09"])
    node.delete(b)
    link, = node.json(["ip", "-j", "link", "show", f"pk{a.slot}"])
    assert "UP" in link["flags"]


def gc(node, dead, live):
    node.cni("GC", conf=node.plugin_conf(**{"cni.dev/valid-attachments": [{"containerID": live.id, "ifname": "eth0"}]}))


def start_and_sweep(node, dead, live):
    node.start_picketd()
    wait_for(lambda: len(node.records()) == 1, "picketd's sweep", 90)


ENDERS = {"DEL": lambda node, dead, live: [node.cni("DEL", a.id, "") for a in dead],
          "GC": gc,
          "the sweep": lambda node, dead, live: node.picket("sweep", "-apply"),
          "picketd's start": start_and_sweep}
KINDS = (["veth", "peer", "name", "other"], ["bridge"])


def seen(node, device):
    """Which device it is, whether it is up, and what hangs on it."""
    link, = node.json(["ip", "-j", "link", "show", device])
    return link["ifindex"], link["address"], "UP" in link["flags"], node.json(["tc", "-j", "qdisc", "show", "dev", device])


@pytest.mark.parametrize("who", ENDERS)
def test_whoever_ends_the_dead_touches_no_foreign_device(make_node, who):
    """The device of a record of before a reboot is somebody else's by now: it has the name, and no more."""
    node = make_node(uplink=False, cni_version="1.1.0")
    dead = [node.add("acme", "api", "web") for _ in KINDS]
    devices = [f"pk{a.slot}" for a in dead]
    node.reboot()
    for device, kind in zip(devices, KINDS):
        node.run(["ip", "link", "add", device, "type", *kind])
        node.run(["ip", "link", "set", device, "up"])
    before = [seen(node, device) for device in devices]
    live = node.add("acme", "api", "web")
    assert live.slot not in [a.slot for a in dead]
    ENDERS[who](node, dead, live)
    assert node.records() == [f"{live.id}@eth0@{live.slot}"]
    assert before == [seen(node, device) for device in devices]
    assert is_open(node, live.slot)


def test_check_puts_back_what_add_set(node):
    a = node.add("acme", "api", "web")
    for key, value in (("ipv4/ip_forward", 1), ("ipv4/ip_forward", 0), (f"ipv4/conf/pk{a.slot}/accept_local", 0),
                       (f"ipv6/conf/pk{a.slot}/accept_ra", 2)):
        node.run(["sh", "-c", f"echo {value} > /proc/sys/net/{key}"])
    node.check(a)
    for key, value in (("ipv4/conf/PK/forwarding", "1"), ("ipv4/conf/PK/accept_local", "1"), ("ipv6/conf/PK/accept_ra", "0")):
        assert node.run(["cat", f"/proc/sys/net/{key.replace('PK', f'pk{a.slot}')}"]).stdout.strip() == value
