# SPDX-License-Identifier: Apache-2.0
"""R9: the kernel's memory that VMMs pin with frames in their taps that they don't read."""
import contextlib
import os

from sides import Node, NodeOptions

from harness import VnetHeader
from harness.frames import GSO_TCPV4, NEEDS_CSUM
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

ENDPOINTS, ROUNDS, LIMIT = 16, 5, 16 << 20
GATEWAY_MAC = "02:70:6b:00:00:01"
LARGE = VnetHeader(NEEDS_CSUM, GSO_TCPV4, 54, 1400, 34, 16)
FLOWS = range(40000, 40064)
OWNER = (65534, 65534)
MOST = 256		# queues that the kernel attaches to one tap


def available():
    """What the kernel could give out; pages that lie in a processor's own list are none of it."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        kib = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    with open("/proc/zoneinfo", encoding="ascii") as lines:
        pages = sum(int(line.split()[1]) for line in lines if line.split()[0] == "count:")
    return (kib << 10) + pages * os.sysconf("SC_PAGE_SIZE")


def frame(a, b, port, flags, payload=b""):
    return bytes(Ether(src=a.mac, dst=GATEWAY_MAC) / IP(src=a.address(4), dst=b.address(4)) /
                 TCP(sport=port, dport=80, flags=flags) / payload)


def flood(a, b):
    """
    The largest frames there are, twelve times what a tap holds. A flow comes back by the queue that
    it was written to: so they are over all queues.
    """
    for i, port in enumerate(FLOWS):
        a.vmm[i % len(a.vmm)].send(frame(a, b, port, "S"))
    read(b)
    for i, port in enumerate(FLOWS):
        large = frame(a, b, port, "A", bytes(65400))
        for _ in range(48):
            a.vmm[i % len(a.vmm)].send(large, LARGE)


def read(a):
    for tap in a.vmm:
        tap.discard()


@contextlib.contextmanager
def holders(build, queues):
    """Endpoints of one tenant with their VMMs: each holds every queue of its tap, reads none."""
    os.environ["PICKET_BUILD"] = os.path.abspath(build)
    conf = {"queues": queues, "owner": OWNER[0], "group": OWNER[1]}
    with Node("r9", NodeOptions(conf=conf)) as node, contextlib.ExitStack() as stack:
        node.start_picketd()
        allocs = [node.add("acme", "api", "web") for _ in range(ENDPOINTS)]
        for a in allocs:
            a.vmm = [stack.enter_context(a.tap(credentials=OWNER, queues=queues))
                     for _ in range(queues)]
            a.vmm[0].offload(7)
        yield allocs


def more(stack, a, queues):
    """All the queues that the kernel attaches."""
    for _ in range(MOST - queues):
        stack.enter_context(a.tap(credentials=OWNER, queues=queues))


def pinned(allocs, queues, neighbour):
    """Bytes an endpoint, one figure a round: what comes free as the frames are read at last."""
    figures = []
    for _ in range(ROUNDS):
        with contextlib.ExitStack() as stack:
            for i, a in enumerate(allocs):
                flood(a, allocs[(i + neighbour) % len(allocs)])
            if queues > 1:
                for a in allocs:
                    more(stack, a, queues)
                    a.vmm[0].send(frame(a, a, FLOWS[0], "A", bytes(65400)), LARGE)
            full = available()
            for a in allocs:
                read(a)
            figures.append(max(0, available() - full) / len(allocs))
    return figures


def as_before(allocs):
    for a in allocs:
        a.run(["ip", "link", "set", "tap0", "txqueuelen", "1000"])


def unread(result, build):
    for queues, rows in ((1, (("R9", "to itself", 0), ("R9.peer", "to a peer of its tenant", 1))),
                         (16, (("R9.queues", "16 queues, then all that the kernel attaches", 0),))):
        with holders(build, queues) as allocs:
            for name, what, neighbour in rows:
                result.add(name, f"unread frames, {what}: kernel memory an endpoint",
                           pinned(allocs, queues, neighbour), unit="bytes", limit=LIMIT)
            if queues == 1:
                as_before(allocs)
                result.add("R9.default", "the same with the kernel's own queue length of 1,000",
                           pinned(allocs, queues, 0), unit="bytes")
