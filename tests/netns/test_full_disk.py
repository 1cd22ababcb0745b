# SPDX-License-Identifier: Apache-2.0
"""The state directory's disk is full, out of inodes, read-only, or broken, while picketd runs: what is in force stays, policy goes on, each
refusal has its fix, and once the disk is mended all is as if nothing had been, without a restart."""
import fcntl
import json
import os
import shutil
import uuid

import pytest
from fake import FakeNomad, serving
from harness import CniError, Snapshot
from harness.disk import can_hang
from harness.shell import wait_for

ARGS = "NOMAD_NAMESPACE=acme;NOMAD_JOB_ID=late;NOMAD_GROUP_NAME=web"
DENY = {"tier": "operator", "rules": [{"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["all"]}]}]}
ALLOW = {"endpointSelector": {}, "ingress": [{}]}


SHUTDOWN, AT_ONCE = 0x8004587D, b"\2\0\0\0"      # FS_IOC_SHUTDOWN of ext4 and XFS: each question ends with EIO


class Disk:
    """A small file system of its own for the state directory."""

    def __init__(self, node):
        self.node, self.where = node, os.path.join(node.root, "var/lib/picket")
        os.makedirs(self.where)
        self.mount()

    def mount(self):
        self.node.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=200,mode=700", "tmpfs", self.where])

    def path(self, *parts):
        return self.node.path(os.path.join("var/lib/picket", *parts))

    def fill(self):
        with open(self.path("fill"), "wb", 0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass

    def use_up(self):
        os.mkdir(self.path("fill"))
        try:
            for i in range(1000):
                os.mknod(self.path("fill", str(i)))
        except OSError:
            pass

    def make_room(self):
        self.node.run(["rm", "-r", self.path("fill")])

    def remount(self, how):
        self.node.run(["mount", "-o", f"remount,{how}", self.where])

    def names(self, *parts):
        return sorted(name for name in os.listdir(self.path(*parts)) if name[0] != ".")


class Block(Disk):
    """The same on a block device, which can break."""

    def mount(self):
        self.image = os.path.join(self.node.root, "disk.img")
        with open(self.image, "wb") as file:
            file.truncate(8 << 20)
        self.node.run(["mkfs.ext4", "-q", self.image])
        self.node.run(["mount", "-o", "loop", self.image, self.where])

    def breaks(self):
        self.node.run(["sync", "-f", self.where])
        fd = os.open(self.path(), os.O_RDONLY)
        fcntl.ioctl(fd, SHUTDOWN, AT_ONCE)
        os.close(fd)

    def is_replaced(self):
        """By a copy, at once: there is no moment in which what lies below it is seen."""
        shutil.copy(self.image, self.image + ".copy")
        self.node.run(["mount", "-o", "loop", self.image + ".copy", self.where])


@pytest.fixture
def nomad(node):
    with serving(node, FakeNomad, "here") as fake:
        yield fake


# The disk, what befalls it, what mends it, what an error says of it, and the fix; whether DEL can end.
WAYS = {"full": (Disk, Disk.fill, Disk.make_room, "No space left on device", "make room on its file system", True),
        "out of inodes": (Disk, Disk.use_up, Disk.make_room, "No space left on device", "make room on its file system", True),
        "read-only": (Disk, lambda disk: disk.remount("ro"), lambda disk: disk.remount("rw"), "Read-only file system",
                      "mount its file system writable", False),
        "broken": (Block, Block.breaks, Block.is_replaced, "Input/output error", "its disk fails: see dmesg", False)}


def enforced(node):
    return {p["name"]: p["enforced"] for p in node.api("/v1/policies")["policies"]}


def label_of(node, alloc):
    return node.api(f"/v1/endpoints/{alloc.id}")["labels"]


def is_denied(node, a, b):
    return node.picket("policy", "explain", a.id[:8], b.id[:8], "1/tcp", check=False).returncode == 1


def checked(node):
    out = node.picket("check", "-json", check=False).stdout
    return [c for c in json.loads(out) if c["state"] != "ok"]


@pytest.mark.parametrize("how", WAYS)
def test_a_disk_that_takes_nothing(node, nomad, how):
    kind, befalls, mend, said, fix, can_end = WAYS[how]
    if kind is Block and not can_hang():
        pytest.skip("no loop devices here: no file system can be made to break")
    disk = kind(node)
    node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
    wait_for(lambda: node.source("nomad")["state"] == "ok", "Nomad's answer")
    pid = node.picketd.pid
    ids = [str(uuid.uuid4()) for _ in range(3)]
    for alloc_id, job in zip(ids, ("api", "db", "old")):
        nomad.put(alloc_id, "acme", job, "g", meta={"tier": "a"})
    a, b, old = (node.add("acme", job, "g", alloc_id=i) for i, job in zip(ids, ("api", "db", "old")))
    node.policy("allow.json", ALLOW)
    wait_for(lambda: enforced(node) == {"allow": "yes"} and "meta:tier=a" in label_of(node, a), "the first policy")
    wait_for(lambda: disk.names("policies/file") == ["allow"], "its file")
    node.written()
    befalls(disk)

    # Policy and labels go on; what comes is in force and what is stored is the old.
    node.policy("deny.json", DENY)
    wait_for(lambda: enforced(node).get("deny") == "yes", "the deny")
    nomad.put(a.id, "acme", "api", "g", meta={"tier": "b"})
    wait_for(lambda: "meta:tier=b" in label_of(node, a), "the label")
    assert is_denied(node, a, b) and disk.names("policies/file") == ["allow"]
    assert not node.api("/v1/policies/file/deny")["stored"]

    # Status and check say what and how to mend it.
    def reasons():
        found = node.reasons("store")
        return found if len(found) == 2 else None
    found = wait_for(reasons, lambda: f"the reasons: {node.api('/v1/status')['reasons']}")
    assert all(said in r["text"] and fix in (r["fix"] or "") for r in found), found
    assert "1 file of the state directory is not written" in found[1]["text"], found
    assert node.api("/v1/status")["state"] == "degraded" and node.reasons("disk")
    whole = {(c["what"], c["text"]) for c in checked(node) if c["fix"]}
    assert {("store", r["text"]) for r in found} <= whole and "disk" in dict(whole), whole

    # ADD is refused whole; DEL ends, or closes and says why it can't.
    alloc = node.new_netns(str(uuid.uuid4()))
    before = Snapshot(node)
    with pytest.raises(CniError) as error:
        node.cni("ADD", alloc.id, alloc.path, args=ARGS)
    assert error.value.code == 104 and said in str(error.value) and fix in str(error.value), error.value
    assert set(alloc.links()) == {"lo"}
    before.assert_same(Snapshot(node), ("table labels",))       # picketd tidies those
    if can_end:
        node.cni("DEL", old.id, old.path)
    else:
        with pytest.raises(CniError) as error:
            node.cni("DEL", old.id, old.path)
        assert error.value.code == 104 and fix in str(error.value), error.value
        told = wait_for(lambda: node.reasons("endpoints"), "the endpoint that is closed to be told", 60)
        assert old.id in told[0]["text"] and "closed, though the record says open" in told[0]["text"] and len(told) == 1, told
    assert node.tables.word(old.slot) == (0, 0, 0)
    assert is_denied(node, a, b) and enforced(node) == {"allow": "yes", "deny": "yes"}

    # It is mended: all of it comes by itself.
    mend(disk)
    wait_for(lambda: disk.names("policies/file") == ["allow", "deny"], "the file of the deny", 60)
    wait_for(lambda: not node.reasons("store"), lambda: node.api("/v1/status")["reasons"], 60)
    with open(disk.path("facts", f"{a.id}.json"), encoding="utf-8") as file:
        assert '"b"' in file.read()
    if not can_end:
        node.cni("DEL", old.id, old.path)
    alloc.result = node.cni("ADD", alloc.id, alloc.path, args=ARGS)
    wait_for(lambda: len(node.api("/v1/endpoints")["endpoints"]) == 3, "the late one")
    assert is_denied(node, a, alloc) and node.picketd.pid == pid

    # And a restart without Nomad lives by what was written then.
    nomad.set_mode("hang")
    node.kill_picketd()
    node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
    assert set(enforced(node)) == {"allow", "deny"} and "meta:tier=b" in label_of(node, a)
