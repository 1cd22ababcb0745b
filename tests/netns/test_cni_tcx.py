# SPDX-License-Identifier: Apache-2.0
"""`"hook": "tcx"`: as whole as the clsact form; CHECK puts the guard first again."""
import ctypes
import json
import os
import struct

import pytest
from harness import EGRESS, wait_for
from harness.bpfmap import bpf
from scapy.layers.l2 import ARP, Ether

OBJ_GET, ATTACH, DETACH, INFO, QUERY = 7, 8, 9, 15, 16
TYPES = {"ingress": 46, "egress": 47}
BEFORE = 8


def program(node, name):
    """A descriptor of a pinned program, and its id."""
    path = ctypes.create_string_buffer(
        os.fsencode(node.path("sys/fs/bpf/picket/current") + "/" + name))
    fd = bpf(OBJ_GET, struct.pack("QII", ctypes.addressof(path), 0, 0))
    info = ctypes.create_string_buffer(232)
    bpf(INFO, struct.pack("IIQ", fd, 232, ctypes.addressof(info)))
    return fd, struct.unpack_from("I", info, 4)[0]


def attached(where, device, hook):
    """Ids of the TCX programs of a device's hook, in order."""
    with where.inside():
        ids = (ctypes.c_uint32 * 8)()
        attr = bytearray(struct.pack("IIIIQI", index_of(where, device), TYPES[hook], 0, 0,
                                     ctypes.addressof(ids), 8).ljust(128, b"\0"))
        buffer = (ctypes.c_char * 128).from_buffer(attr)
        query(buffer)
        count, = struct.unpack_from("I", attr, 24)
    return [ids[i] for i in range(count)]


def names(node, where, device, hook):
    """The same by pinned name."""
    known = {}
    for name in ("pk_from_endpoint", "pk_to_endpoint", "pk_forward_tap", "pk_forward_eth"):
        fd, number = program(node, name)
        os.close(fd)
        known[number] = name
    return [known.get(number, "foreign") for number in attached(where, device, hook)]


def query(buffer):
    libc = ctypes.CDLL(None, use_errno=True)
    number = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
    if libc.syscall(number, QUERY, buffer, 128) < 0:
        raise OSError(ctypes.get_errno(), "BPF_PROG_QUERY")


def index_of(where, device):
    return json.loads(where.run(["ip", "-j", "link", "show", device]).stdout)[0]["ifindex"]


def change(node, where, device, hook, name, command, flags=0):
    fd, _ = program(node, name)
    with where.inside():
        bpf(command, struct.pack("IIII", index_of(where, device), fd, TYPES[hook], flags))
    os.close(fd)


@pytest.fixture
def node(make_node):
    return make_node(uplink=False, conf={"hook": "tcx"})


def no_clsact(where, device):
    return "clsact" not in where.run(["tc", "qdisc", "show", "dev", device]).stdout


def assert_whole(node, a):
    host = f"pk{a.slot}"
    assert names(node, node, host, "ingress") == ["pk_from_endpoint"]
    assert names(node, node, host, "egress") == ["pk_to_endpoint"]
    assert names(node, a, "eth0", "ingress") == ["pk_forward_eth"]
    assert names(node, a, "tap0", "ingress") == ["pk_forward_tap"]
    assert no_clsact(node, host) and no_clsact(a, "eth0") and no_clsact(a, "tap0")


def answered(a):
    """An ARP request through tap0, the guard's answer back through eth0; asked again on a busy machine."""
    ask = bytes(Ether(src=a.mac, dst="ff:ff:ff:ff:ff:ff") /
                ARP(op=1, hwsrc=a.mac, psrc=a.address(), pdst=a.gateway))

    def reply(raw):
        return ARP in Ether(raw) and Ether(raw)[ARP].op == 2

    with a.tap() as tap:
        tap.drain()
        for _ in range(10):
            tap.send(ask)
            if tap.receive(reply, 2.0):
                return True
    return False


def test_both_ends_are_guarded(node):
    a = node.add("acme", "api", "web")
    assert_whole(node, a)
    assert answered(a)
    node.delete(a, drop=False)
    # Closed, down, and still guarded: the guard never leaves a live device.
    assert names(node, node, f"pk{a.slot}", "ingress") == ["pk_from_endpoint"]
    assert names(node, node, f"pk{a.slot}", "egress") == ["pk_to_endpoint"]


@pytest.mark.parametrize("again", ("CHECK", "ADD"))
def test_what_is_lost_is_made_again(node, again):
    a = node.add("acme", "api", "web")
    a.run(["ip", "link", "del", "tap0"])
    change(node, node, f"pk{a.slot}", "ingress", "pk_from_endpoint", DETACH)
    change(node, node, f"pk{a.slot}", "egress", "pk_to_endpoint", DETACH)
    change(node, a, "eth0", "ingress", "pk_forward_eth", DETACH)
    if again == "CHECK":
        node.check(a)
    else:
        assert node.cni("ADD", a.id, a.path, args=a.args) == a.result
    assert_whole(node, a)
    assert answered(a)


def test_a_lost_pair_is_made_again(node):
    a = node.add("acme", "api", "web")
    node.run(["ip", "link", "del", f"pk{a.slot}"])
    node.check(a)
    assert_whole(node, a)
    assert answered(a)


def test_a_foreign_program_before_the_guard(node):
    """A TCX program can't be overtaken: the endpoint is closed, and opens once the program is gone. P57: by CHECK, too."""
    a = node.add("acme", "api", "web")
    host = f"pk{a.slot}"
    change(node, node, host, "ingress", "pk_forward_eth", ATTACH, BEFORE)
    assert names(node, node, host, "ingress") == ["pk_forward_eth", "pk_from_endpoint"]
    node.check(a)
    assert node.tables.word(a.slot) == (0, 0, 0)
    assert "UP" not in json.loads(node.run(["ip", "-j", "link", "show", host]).stdout)[0]["flags"]
    change(node, node, host, "ingress", "pk_forward_eth", DETACH)
    node.check(a)
    assert node.tables.word(a.slot)[2] != 0 and answered(a)


def test_the_guard_goes_before_a_program_that_came_while_it_was_lost(node):
    a = node.add("acme", "api", "web")
    host = f"pk{a.slot}"
    change(node, node, host, "ingress", "pk_from_endpoint", DETACH)
    change(node, node, host, "ingress", "pk_forward_eth", ATTACH)
    node.check(a)
    assert names(node, node, host, "ingress") == ["pk_from_endpoint", "pk_forward_eth"]
    assert node.tables.word(a.slot)[2] != 0
    with a.tap() as tap:
        tap.send(b"\xff" * 6 + bytes.fromhex(a.mac.replace(":", "")) + b"\x88\x99" + b"x" * 50)
        wait_for(lambda: node.tables.counters(a.slot).get((EGRESS, "ethertype")),
                 "the guard to count the frame")
