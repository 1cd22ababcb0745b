# SPDX-License-Identifier: Apache-2.0
"""What a VMM can have the kernel keep for it: frames in its tap that it doesn't read."""
import contextlib
import json
import signal

import pytest
from harness import VnetHeader, settled, wait_for
from harness.frames import GSO_TCPV4, NEEDS_CSUM
from harness.shared import shared_node
from harness.ways import WAYS, fault_of
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

GATEWAY_MAC = "02:70:6b:00:00:01"
FRAMES = 240		# PK_TAP_FRAMES
MIB = 1 << 20
OWNER = (1000, 1000)
FLOWS = range(40000, 40064)
LARGE = VnetHeader(NEEDS_CSUM, GSO_TCPV4, 54, 1400, 34, 16)


@pytest.fixture(scope="module", ids=lambda param: f"{param[0]}-{param[1]}",
                params=[(1, WAYS[0]), *((4, way) for way in WAYS), (16, WAYS[0]), (4, "host-tap")])
def node(request):
    """The tap's numbers, as a frame's metadata, are read in either way; a host tap has the same bound at its own egress."""
    queues, way = request.param
    conf = {"queues": queues, "owner": OWNER[0], "group": OWNER[1]}
    if way == "host-tap":
        conf["attach"], way = way, WAYS[0]
    with shared_node(request, config={"nomad": None}, conf=conf, fault=fault_of(way)) as node:
        node.queues = queues
        yield node


def to_itself(a, port, flags, payload=b""):
    packet = (Ether(src=a.mac, dst=GATEWAY_MAC) / IP(src=a.address(4), dst=a.address(4)) /
              TCP(sport=port, dport=80, flags=flags) / payload)
    return bytes(packet)


@contextlib.contextmanager
def attached(a, n, queues):
    """n queues of the tap, taken as its owner may, that take large segments; nothing is read."""
    with contextlib.ExitStack() as stack:
        taps = [stack.enter_context(a.tap(credentials=OWNER, queues=queues)) for _ in range(n)]
        taps[0].offload(7)
        yield taps


def flood(a, taps, rounds):
    """A flow comes back by the queue that it was written to: each queue has some."""
    for i, port in enumerate(FLOWS):
        taps[i % len(taps)].send(to_itself(a, port, "S"))
    large = [to_itself(a, port, "A", b"x" * 60000) for port in FLOWS]
    for _ in range(rounds):
        for i, frame in enumerate(large):
            taps[i % len(taps)].send(frame, LARGE)


def kept(taps):
    """Frames and bytes that wait, read at last."""
    frames = [frame for tap in taps for frame in tap.drain()]
    return len(frames), sum(map(len, frames))


def gets_one(taps):
    assert wait_for(lambda: kept(taps)[0], "the frame") == 1


@pytest.fixture
def a(node):
    alloc = node.add("acme", "api", "web")
    yield alloc
    node.delete(alloc)


def test_its_queues_together_hold_less_than_16_mib(node, a):
    with attached(a, node.queues, node.queues) as taps:
        flood(a, taps, 10)
        settled(node.tables, a.slot)
        frames, size = kept(taps)
        assert FRAMES * 3 // 4 < frames <= FRAMES and size <= 16 * MIB, (frames, size)
        taps[0].send(to_itself(a, FLOWS[0], "A"))		# it reads again: it gets again
        gets_one(taps)


@pytest.mark.parametrize("more", [1, 40])
def test_with_more_queues_than_it_may_have_it_gets_nothing(node, a, more):
    if node.queues == 1:
        with attached(a, 1, 1), pytest.raises(OSError):		# the kernel's own bound
            a.tap(credentials=OWNER)
        return
    with attached(a, node.queues + more, node.queues) as taps:
        kept(taps)
        flood(a, taps, 5)
        settled(node.tables, a.slot)
        assert kept(taps) == (0, 0)
        node.picketd.send_signal(signal.SIGHUP)
        wait_for(lambda: any("queues" in r["text"] and a.id in r["text"]
                             for r in node.api("/v1/status")["reasons"]), "the audit's word")
    with attached(a, node.queues, node.queues) as taps:
        kept(taps)
        taps[0].send(to_itself(a, 50000, "S"))
        gets_one(taps)
        node.picketd.send_signal(signal.SIGHUP)
        wait_for(lambda: not node.api("/v1/status")["reasons"], "no word any more")


def test_a_length_that_somebody_changed_is_put_back(node, a):
    where, tap = a.tap_place

    def length():
        return json.loads(where.run(["ip", "-j", "link", "show", "dev", tap]).stdout)[0]["txqlen"]

    want = length()
    where.run(["ip", "link", "set", tap, "txqueuelen", "1000"])
    node.check(a)
    assert length() == want == FRAMES // node.queues


def test_nothing_queues_before_the_tap(node, a):
    """What it takes it has at once, or drops: a queueing discipline would hold more, and cost each packet."""
    where, tap = a.tap_place

    def root():
        return [q["kind"] for q in json.loads(where.run(["tc", "-j", "qdisc", "show", "dev", tap]).stdout)
                if q["kind"] not in ("clsact", "ingress")]

    assert root() == ["noqueue"]
    where.run(["ip", "link", "del", tap])
    node.check(a)
    assert root() == ["noqueue"]
