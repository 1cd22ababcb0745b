# SPDX-License-Identifier: Apache-2.0
"""G11: a full or read-only disk. No record half written, an ADD undone to its start, DEL still closes."""
import os
import uuid

import pytest
from harness import CniError, Snapshot, wait_for

ARGS = "NOMAD_NAMESPACE=acme;NOMAD_JOB_ID=api;NOMAD_GROUP_NAME=web"
PAGE = 4096


@pytest.fixture
def node(make_node):
    """Its state lies on a small file system of its own."""
    node = make_node(uplink=False)
    where = os.path.join(node.root, "var/lib/picket")
    os.makedirs(where)
    node.run(["mount", "-t", "tmpfs", "-o", "size=96k,mode=700", "tmpfs", where])
    warm = node.new_netns(str(uuid.uuid4()))
    warm.result = node.cni("ADD", warm.id, warm.path, args=ARGS)
    warm.args, node.warm = ARGS, warm
    return node


def state(node, *parts):
    return node.path(os.path.join("var/lib/picket", *parts))


def fill(node, leave):
    """All of the disk but so many pages."""
    free = os.statvfs(state(node)).f_bavail - leave
    with open(state(node, "fill"), "wb") as file:
        file.write(b"x" * (free * PAGE))
    assert os.statvfs(state(node)).f_bavail == leave


def mount(node, *options, path="var/lib/picket"):
    node.run(["mount", *options, os.path.join(node.root, path)])


def everything(node):
    """Names below the state directory."""
    return sorted(os.path.join(where, name) for where, _, files in os.walk(state(node))
                  for name in files if name != "fill")


def refused(node, code=104):
    alloc = node.new_netns(str(uuid.uuid4()))
    before, files = Snapshot(node), everything(node)
    with pytest.raises(CniError) as error:
        node.cni("ADD", alloc.id, alloc.path, args=ARGS)
    assert error.value.code == code, error.value
    assert set(alloc.links()) == {"lo"}
    before.assert_same(Snapshot(node))
    assert everything(node) == files
    assert node.tables.word(2) == (0, 0, 0)
    return alloc


@pytest.mark.parametrize("pages", (0, 1))
def test_add_on_a_full_disk(node, pages):
    """P48: ADD on a full state directory fails as CNI has it, and leaves nothing. No room for the leases' file, for the record (the last step but one)."""
    fill(node, pages)
    alloc = refused(node)
    os.unlink(state(node, "fill"))
    alloc.result = node.cni("ADD", alloc.id, alloc.path, args=ARGS)
    assert alloc.slot == 2 and node.tables.word(2)[2] != 0


def test_add_on_a_read_only_disk(node):
    mount(node, "-o", "remount,ro")
    refused(node)


def test_add_where_the_driver_file_cannot_be_written(node):
    """The very last step: the endpoint was open, and is undone all the same."""
    mount(node, "-t", "tmpfs", "-o", "ro", "tmpfs", path="run/picket/vm")
    refused(node)


def test_del_on_a_full_disk(node):
    """P48: DEL on a full one succeeds."""
    fill(node, 0)
    node.cni("DEL", node.warm.id, node.warm.path)
    assert node.tables.word(1) == (0, 0, 0)
    node.drop_netns(node.warm)
    wait_for(lambda: "pk1" not in node.run(["ip", "-o", "link"]).stdout, "the device to go")
    node.cni("DEL", node.warm.id, "")
    os.unlink(state(node, "fill"))
    last = node.add("acme", "api", "web")
    assert last.slot == 1
    assert node.records() == [f"{last.id}@eth0@{last.slot}"]


def test_del_on_a_read_only_disk_closes_and_says_so(node):
    mount(node, "-o", "remount,ro")
    with pytest.raises(CniError) as error:
        node.cni("DEL", node.warm.id, node.warm.path)
    assert error.value.code == 104 and node.tables.word(1) == (0, 0, 0)
    link, = node.json(["ip", "-j", "link", "show", "pk1"])
    assert "UP" not in link["flags"]
    mount(node, "-o", "remount,rw")
    node.cni("DEL", node.warm.id, node.warm.path)
    assert node.records() == [f"closed/{node.warm.id}@eth0@1"]


def test_check_on_a_read_only_disk(node):
    mount(node, "-o", "remount,ro")
    node.run(["tc", "qdisc", "del", "dev", "pk1", "clsact"])
    node.check(node.warm, conf=node.plugin_conf())
    assert "pk_from_endpoint" in node.run(["tc", "filter", "show", "dev", "pk1", "ingress"]).stdout


def test_a_first_load_on_a_read_only_disk(node):
    """picketd comes up, and what is stored stays; the pins went as they do at a reboot."""
    leases = sorted(os.listdir(state(node, "leases")))
    node.run(["rm", "-r", os.path.join(node.root, "sys/fs/bpf/picket")])
    mount(node, "-o", "remount,ro")
    with pytest.raises(CniError) as error:
        alloc = node.new_netns(str(uuid.uuid4()))
        node.cni("ADD", alloc.id, alloc.path, args=ARGS)
    assert error.value.code == 104
    assert os.path.exists(node.path("sys/fs/bpf/picket/current"))
    assert sorted(os.listdir(state(node, "leases"))) == leases
    assert node.records() == [f"{node.warm.id}@eth0@1"]
    mount(node, "-o", "remount,rw")
    node.start_picketd()		# its sweep does what the loader could not
    wait_for(lambda: node.records() == [f"{node.warm.id}@eth0@0"], "the record without a slot")
    assert node.add("acme", "api", "web").address() != node.warm.address()
