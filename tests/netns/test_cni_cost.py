# SPDX-License-Identifier: Apache-2.0
"""What an ADD reads doesn't grow with what lives, with what rests, nor with the pool. Files are counted, not time."""
import contextlib
import ctypes
import os
import select
import struct

import pytest
from harness.shell import wait_for

OPEN, ACCESS, ISDIR = 0x20, 0x1, 0x40000000
LIVES, LIVE = 24, 8
SMALL, LARGE = ["10.40.7.0/26"], ["10.64.0.0/12", "fd00:40::/64"]


class Watch:
    """Counts what is opened and which directories are read below some directories, by anybody."""

    def __init__(self, directories):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for directory in directories:
            assert self.libc.inotify_add_watch(self.fd, directory.encode(), OPEN | ACCESS) >= 0, directory

    def events(self):
        """[(mask, name)] since the last call; what happened before is there already."""
        found = []
        while select.select([self.fd], [], [], 0)[0]:
            data, at = os.read(self.fd, 1 << 16), 0
            while at < len(data):
                _, mask, _, n = struct.unpack_from("iIII", data, at)
                found.append((mask, data[at + 16:at + 16 + n].rstrip(b"\0").decode()))
                at += 16 + n
        return found

    def close(self):
        os.close(self.fd)


def directories(node):
    """Those of the state, but for what DEL left: an ADD frees a few of it."""
    found = []
    for top in (os.path.join(node.root, "var/lib/picket"), node.path("run/picket")):
        found += [path for path, _, _ in os.walk(top) if not path.endswith("/closed")]
    return found


def cost_of_an_add(node):
    with contextlib.closing(Watch(directories(node))) as watch:
        node.add("acme", "api", "web")
        events = watch.events()
    opened = sum(bool(mask & OPEN and not mask & ISDIR) for mask, _ in events)
    read = sorted({name for mask, name in events if mask & ISDIR and mask & ACCESS})
    return opened, read


@pytest.mark.parametrize("pool", [SMALL, LARGE], ids=["small", "large"])
def test_an_add_reads_as_much_whatever_lives_and_rests(make_node, pool):
    node = make_node("n1", pool=pool)
    node.add("acme", "api", "web")			# it loads
    before = cost_of_an_add(node)
    assert before[0] > 3, before
    allocs = [node.add("acme", "api", "web") for _ in range(LIVES)]
    for alloc in allocs[LIVE:]:
        node.delete(alloc)
    wait_for(lambda: node.picket("sweep", "-apply", check=False).returncode == 0, "the devices' end")
    assert len(os.listdir(node.path("run/picket/pools"))) == len(pool)
    assert cost_of_an_add(node) == before
    # And nothing but what lives has a file: the marks of a block are one, of one size.
    leases = os.listdir(os.path.join(node.root, "var/lib/picket/leases"))
    assert len([name for name in leases if not name.startswith(".")]) == (LIVE + 3) * len(pool)
    assert {os.stat(os.path.join(node.path("run/picket/pools"), name)).st_size
            for name in os.listdir(node.path("run/picket/pools"))} <= {4 * 16384}
