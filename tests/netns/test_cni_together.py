# SPDX-License-Identifier: Apache-2.0
"""ADDs and DELs at the same time, and many of them in turn."""
import itertools
import json
import os
import subprocess
import tempfile
import uuid

from harness import Snapshot, wait_for
from harness.netns import entering
from harness.shell import binary
from test_cni_add import conf, gone, record


ROUNDS = 8	# of four new sets


def identities(node, allocs):
    """{alloc: the number of its labels} as picketd has it, once it knows all of them."""
    sets = {json.dumps(i["labels"]): i["identity"] for i in node.api("/v1/identities")["identities"] if not i["unknown"]}
    found = {e["containerId"]: sets.get(json.dumps(e["labels"])) for e in node.api("/v1/endpoints")["endpoints"] if not e["unknown"]}
    return found if found.keys() == {a.id for a in allocs} and all(found.values()) else None


def together(node, calls, more=()):
    """Verbs at the same time; each as (verb, alloc, args), more: what each conflist says besides. Their statuses and answers."""
    running = []
    for (verb, alloc, args), said in itertools.zip_longest(calls, more):
        env = {"PATH": os.environ["PATH"], "CNI_COMMAND": verb, "CNI_CONTAINERID": alloc.id,
               "CNI_NETNS": alloc.path, "CNI_IFNAME": "eth0", "CNI_ARGS": args}
        with tempfile.TemporaryFile("w+") as words:
            json.dump(conf(node, **(said or {})), words)
            words.seek(0)
            running.append(subprocess.Popen(
                [binary("picket-cni")], env=env, stdin=words, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, preexec_fn=entering(node.net, node.mnt)))
    done = []
    for process in running:
        out, err = process.stdout.read(), process.stderr.read()
        done.append((process.wait(), out, err))
    return done


def test_eight_at_a_time(make_node, no_leaks):
    """The first load is among them; addresses, slots and MACs are nobody else's."""
    node = make_node(uplink=False)
    allocs = [node.new_netns(str(uuid.uuid4())) for _ in range(8)]
    args = "NOMAD_NAMESPACE=acme"
    for status, out, err in together(node, [("ADD", a, args) for a in allocs]):
        assert status == 0, out + err
    for alloc in allocs:
        alloc.result = node.cni("ADD", alloc.id, alloc.path, args=args)
    assert len({a.address() for a in allocs}) == len({a.slot for a in allocs}) == 8
    assert len({a.mac for a in allocs}) == len({a.address(6) for a in allocs}) == 8
    assert len(node.records()) == 8
    assert len({record(node, a)["identity"] for a in allocs}) == 1	# one set, one number
    for status, out, err in together(node, [("DEL", a, "") for a in allocs]):
        assert status == 0, out + err
    for alloc in allocs:
        node.drop_netns(alloc)
    wait_for(lambda: "pk" not in node.run(["ip", "-o", "link"]).stdout, "the devices to go")
    last = node.add("acme", "api", "web")		# buries all of them
    assert node.records() == [f"{last.id}@eth0@{last.slot}"]
    assert node.leases() == {last.address(), last.address(6)}
    assert node.tables.count("slots") == node.tables.count("by_address") - 1 == 1


def test_one_container_at_a_time(make_node):
    """ADD of one container id eight times at once: one endpoint, one answer."""
    node = make_node(uplink=False)
    alloc = node.new_netns(str(uuid.uuid4()))
    answers = together(node, [("ADD", alloc, "NOMAD_NAMESPACE=acme")] * 8)
    assert all(status == 0 for status, _, _ in answers), answers
    assert len({out for _, out, _ in answers}) == 1
    assert len(node.records()) == 1 and node.tables.count("slots") == 1


def test_one_port_of_many_at_once(make_node):
    """Whichever address of the node each names, every one or a single one: one gets it, and each other is told that it is taken."""
    node = make_node()
    addresses = ["", "192.0.2.2", "0.0.0.0", "::", "192.0.2.2", "0.0.0.0", "", "192.0.2.2"]
    allocs = [node.new_netns(str(uuid.uuid4())) for _ in addresses]
    more = [{"runtimeConfig": {"portMappings": [{"hostPort": 28080, "containerPort": 80, "protocol": "tcp", "hostIP": address}]}}
            for address in addresses]
    answers = together(node, [("ADD", alloc, "NOMAD_NAMESPACE=acme") for alloc in allocs], more)
    got = [status for status, _, _ in answers].count(0)
    assert got == 1, answers
    assert [json.loads(out)["code"] for status, out, _ in answers if status] == [11] * 7, answers
    assert len(node.records()) == 1 and len(node.tables.items("published")) in (1, 2)		# a single address has a marker, too


def test_cycles_leave_nothing(make_node):
    node = make_node(uplink=False)
    before = None
    for turn in range(12):
        a = node.add("acme", "api", "web")
        node.delete(a)
        wait_for(lambda a=a: gone(node, a), "the device to go")
        if turn == 1:
            before = Snapshot(node)
    after = Snapshot(node)
    before.assert_same(after, ignore=("records", "leases", "table slots"))
    assert len(node.records()) == 1 and len(node.leases()) == 2


def test_plugin_and_picketd_take_numbers_at_once(make_node):
    """
    P62: eight plugins and picketd take numbers of new label sets at once, each set by two of them and by picketd: a set has one number, no number is two
    sets', and none is given again. (A thousand sets, by the function that both take them with: tests/unit/test_tables.c.)
    """
    node = make_node(uplink=False, conf={"mode": "process"})
    node.start_picketd()
    used = set()
    for turn in range(ROUNDS):
        sets = [f"NOMAD_NAMESPACE=t{i // 4};NOMAD_JOB_ID=job{turn}-{i // 2};NOMAD_GROUP_NAME=g" for i in range(8)]
        allocs = [node.new_netns(str(uuid.uuid4())) for _ in sets]
        for status, out, err in together(node, [("ADD", a, args) for a, args in zip(allocs, sets)]):
            assert status == 0, out + err
        known = wait_for(lambda allocs=allocs: identities(node, allocs), "picketd to know them all", 60)
        numbers = {}
        for alloc, args in zip(allocs, sets):
            assert record(node, alloc)["identity"] == known[alloc.id], "plugin's and picketd's"
            numbers.setdefault(args, set()).add(known[alloc.id])
        assert all(len(found) == 1 for found in numbers.values()), numbers
        flat = set().union(*numbers.values())
        assert len(flat) == len(numbers) and not flat & used, (numbers, used)
        used |= flat
        for status, out, err in together(node, [("DEL", a, "") for a in allocs]):
            assert status == 0, out + err
        for alloc in allocs:
            node.drop_netns(alloc)
        wait_for(lambda: not node.api("/v1/endpoints")["endpoints"], "them to be gone", 60)
