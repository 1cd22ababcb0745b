# SPDX-License-Identifier: Apache-2.0
"""picketd keeps the guard the first at its devices, and their settings as they should be."""
import contextlib
import ctypes
import json
import os
import signal
import socket
import struct

import pytest
from harness import INGRESS, proving
from harness.bpfmap import bpf
from harness.servers import SILENCE
from harness.shell import wait_for
from test_picketd import endpoint, in_step, is_kept_from, node, reaches, until  # noqa: F401 (node is a fixture)

PROG_LOAD, OBJ_PIN, PROG_ATTACH, PROG_DETACH, SCHED_CLS, TCX_INGRESS, BEFORE = 5, 6, 8, 9, 3, 46, 8
PASSES = bytes([0xb7] + 7 * [0] + [0x95] + 7 * [0])         # r0 = 0 (TC_ACT_OK); exit
XDP_PASSES = bytes([0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95] + 7 * [0])	# r0 = 2 (XDP_PASS); exit
XDP = 6


def passing_program(kind=SCHED_CLS, code=PASSES):
    code, licence = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b"GPL")
    return bpf(PROG_LOAD, struct.pack("IIQQ", kind, len(PASSES) // 8, ctypes.addressof(code),
                                      ctypes.addressof(licence)))


def pinned(node, name, *what):
    """passing_program(*what) pinned in the node's bpffs; its path there."""
    path = ctypes.create_string_buffer(os.fsencode(node.path(f"sys/fs/bpf/{name}")))
    program = passing_program(*what)
    bpf(OBJ_PIN, struct.pack("QI", ctypes.addressof(path), program))
    os.close(program)
    return os.path.join(node.root, "sys/fs/bpf", name)


@contextlib.contextmanager
def tcx_before(node, device):
    """A passing program before all that stand at the device's ingress, which only TCX can be; it goes at the end."""
    program = passing_program()
    try:
        with node.inside():
            where = struct.pack("III", socket.if_nametoindex(device), program, TCX_INGRESS)
            try:
                bpf(PROG_ATTACH, where + struct.pack("IIIQ", BEFORE, 0, 0, 0))
            except OSError as error:
                pytest.skip(f"this kernel has no TCX: {error}")
        yield
        with node.inside(), contextlib.suppress(OSError):		# it goes with its device
            bpf(PROG_DETACH, where)
    finally:
        os.close(program)


def takes_from_node(node, taker, alloc):
    """Does a datagram of the node come to the endpoint?"""
    with node.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sends:
        sends.sendto(b"unjudged?", (alloc.address(), taker.getsockname()[1]))
    try:
        return taker.recv(100) == b"unjudged?"
    except TimeoutError:
        return False


@pytest.mark.parametrize("way", ("ingress", "egress"))
def test_audit_puts_the_guard_first_again(node, way):
    """P57: a foreign filter before ours is seen by the audit, and ours is first again, at either direction."""
    a, b = node.add("acme", "a", "g"), node.add("beta", "b", "g")
    with a.inside():
        taker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taker.bind(("0.0.0.0", 0))
    taker.settimeout(SILENCE)
    assert not takes_from_node(node, taker, a)
    node.run(["tc", "filter", "add", "dev", f"pk{a.slot}", way, "pref", "1", "protocol", "all",
              "handle", "9", "bpf", "da", "object-pinned", pinned(node, "foreign")])
    if way == "egress":
        wait_for(lambda: takes_from_node(node, taker, a), "what nobody judges")
    node.run(["tc", "filter", "del", "dev", f"pk{b.slot}", "egress"])
    node.start_picketd()
    wait_for(lambda: node.api("/v1/status")["upkeep"]["guardsRepaired"] == 2, "both guards")
    wait_for(lambda: node.api("/v1/status")["state"] == "ok", "nothing to say any more")
    assert is_kept_from(a, b) and is_kept_from(b, a)
    with taker, proving(node.tables, a.slot, INGRESS, "policy-denied"):
        assert not takes_from_node(node, taker, a)
    node.picketd_answers()
    node.picketd.send_signal(signal.SIGHUP)                 # looks again, and finds nothing to do
    wait_for(lambda: node.log().count("op=reload") == 1, "the reload")
    assert node.api("/v1/status")["upkeep"]["guardsRepaired"] == 2


@pytest.mark.parametrize("what", (["filter", "del", "dev", "DEV", "ingress"],
                                  ["qdisc", "del", "dev", "DEV", "clsact"]))
def test_a_guard_that_is_taken_away_comes_back(node, what):
    """Not at the next minute: picketd hears of it."""
    node.start_picketd()
    a, b = node.add("acme", "a", "g"), node.add("acme", "b", "g")
    wait_for(lambda: in_step(node) and endpoint(node, a), "both known")
    hooks = 1 if what[0] == "filter" else 2
    node.run(["tc", *(f"pk{a.slot}" if word == "DEV" else word for word in what)])
    wait_for(lambda: node.api("/v1/status")["upkeep"]["guardsRepaired"] == hooks, "the guard")
    assert reaches(a, b)
    wait_for(lambda: node.api("/v1/status")["state"] == "ok", "nothing to say any more")


def test_what_cannot_be_guarded_is_closed(node):
    """P57: where a TCX program stands before ours, the endpoint is closed, and `picket check` says who stands there."""
    a, b = node.add("acme", "a", "g"), node.add("acme", "b", "g")
    node.start_picketd()
    assert reaches(a, b)
    with tcx_before(node, f"pk{a.slot}"):
        node.picketd.send_signal(signal.SIGHUP)
        wait_for(lambda: node.api("/v1/status")["upkeep"]["guardsBad"] == 1, "the closing")
        status = node.api("/v1/status")
        assert status["state"] == "failing"
        assert any(f"pk{a.slot} is closed" in r["text"] and r["fix"] == "picket check"
                   for r in status["reasons"])
        assert node.tables.word(a.slot)[0] == 0 and node.tables.word(b.slot)[0] != 0
        assert is_kept_from(a, b) and is_kept_from(b, a)
        link = node.json(["ip", "-j", "link", "show", f"pk{a.slot}"])[0]
        assert "UP" not in link["flags"]
        found = [line["text"] for line in json.loads(node.picket("check", "-json", check=False).stdout)]
        assert [text for text in found if text.startswith(f'pk{a.slot}: "') and text.endswith("stands before pk_from_endpoint")], found
        node.picketd.send_signal(signal.SIGHUP)                 # it stays said
        wait_for(lambda: node.log().count("op=reload") == 2, "the reload")
        assert node.api("/v1/status")["upkeep"]["guardsBad"] == 1
        node.delete(a)
        wait_for(lambda: node.api("/v1/endpoints")["endpoints"][0]["containerId"] == b.id, "the DEL")
        node.picketd.send_signal(signal.SIGHUP)
        wait_for(lambda: node.api("/v1/status")["state"] == "ok", "nothing left to say")


def setting(node, alloc, key):
    return node.run(["cat", f"/proc/sys/net/{key.replace('PK', f'pk{alloc.slot}')}"]).stdout.strip()


def test_settings_that_somebody_reset_come_back_at_once(node):
    """Writing the node's own forwarding resets each device's: docker does it, and `sysctl --system`."""
    node.start_picketd()
    a = node.add("acme", "a", "g")
    wait_for(lambda: in_step(node) and endpoint(node, a), "the endpoint")
    for family in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        for value in "10":
            node.run(["sh", "-c", f"echo {value} > /proc/sys/net/{family}"])
    for key in ("ipv4/conf/PK/forwarding", "ipv6/conf/PK/forwarding"):
        wait_for(lambda k=key: setting(node, a, k) == "1", key)
    node.run(["sh", "-c", f"echo 0 > /proc/sys/net/ipv4/conf/pk{a.slot}/accept_local"])
    node.picketd.send_signal(signal.SIGHUP)		# the kernel says nothing of this one: the audit sees it
    wait_for(lambda: setting(node, a, "ipv4/conf/PK/accept_local") == "1", "accept_local")
    assert "somebody changed it" in node.log() and node.api("/v1/status")["state"] == "ok"


def test_an_xdp_program_before_the_guard_closes_the_endpoint(node):
    node.start_picketd()
    a, b = node.add("acme", "a", "g"), node.add("acme", "b", "g")
    wait_for(lambda: in_step(node) and reaches(a, b), "both open")
    pin = pinned(node, "xdp", XDP, XDP_PASSES)
    node.run(["ip", "link", "set", "dev", f"pk{a.slot}", "xdpgeneric", "pinned", pin])
    wait_for(lambda: node.api("/v1/status")["upkeep"]["guardsBad"] == 1, "the closing")	# at once, by the kernel's word
    assert any("XDP" in r["text"] for r in node.api("/v1/status")["reasons"])
    assert is_kept_from(a, b) and node.tables.word(a.slot) == (0, 0, 0)
    node.run(["ip", "link", "set", "dev", f"pk{a.slot}", "xdpgeneric", "off"])
    node.check(a)
    until(node, a, b, True)			# the kernel tells of the carrier up to a second later
