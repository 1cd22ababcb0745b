# SPDX-License-Identifier: Apache-2.0
"""
R3: the neighbour of one that floods. What each kind of flood costs it is compared with the same flood
that a filter of the kernel's own drops at the flooding tap, before anything of ours sees it.
"""
import contextlib
import json
import os
import subprocess

from sides import Node, NodeOptions

from harness.reasons import settled

GATEWAY = "02:70:6b:00:00:01"
CONFIG = {"nomad": None, "consul": None}
KINDS = {"udp": "an established flow", "flows": "another flow each", "denied": "denied ones, another flow each",
         "spoofed": "a false source", "malformed": "a header that can't be", "pieces": "first pieces of datagrams", "arp": "ARP",
         "ping": "pings of the gateway", "dhcp": "DHCP"}
ROUNDS, TRIPS = 7, 20000


def drop_at_first_hook(alloc, build):
    """What the tap's first hook sees is dropped there; nothing of ours runs."""
    alloc.run(["tc", "filter", "del", "dev", "tap0", "ingress"])
    alloc.run(["tc", "filter", "add", "dev", "tap0", "ingress", "bpf", "da", "obj", f"{os.path.abspath(build)}/bench/drop.bpf.o", "sec", "tc"])


def end(alloc):
    return [alloc.net, "tap0", alloc.mac, alloc.address()]


def neighbour(result, build):
    os.environ["PICKET_BUILD"] = os.path.abspath(build)
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(contextlib.closing(Node("neighbour", NodeOptions())))
        node.start_picketd(CONFIG)
        a, b, noisy, mute, sink = (node.add("acme", job, "g") for job in ("a", "b", "noisy", "mute", "sink"))
        stranger = node.add("beta", "stranger", "g")
        node.kill_picketd()		# it would put the mute one's filter back
        drop_at_first_hook(mute, build)
        path = ",".join(["path", *end(a), *end(b), GATEWAY])
        for kind, what in KINDS.items():
            to = stranger if kind == "denied" else sink
            floods = [",".join([name, *end(alloc), to.address(), GATEWAY, alloc.gateway])
                      for name, alloc in (("ours", noisy), ("dropped", mute))]
            before = node.tables.counters(noisy.slot)
            out = subprocess.run([f"{build}/bench/neighbour", "--kind", "flows" if kind == "denied" else kind,
                                  "--rounds", str(ROUNDS), "--trips", str(TRIPS), path, *floods],
                                 check=True, text=True, stdout=subprocess.PIPE).stdout
            said = json.loads(out)
            settled(node.tables, noisy.slot)
            seen = {reason: n for (_, reason), n in node.tables.counted(noisy.slot, before).items()}
            print(f"  {what}: {said['ours']['flooded']:,.0f} and {said['dropped']['flooded']:,.0f} frames a second; {seen}")
            result.add(f"R3.{kind}.lost", f"round trips lost beside {what}", [said["ours"]["lost"]], limit=0.5, unit="packets")
            result.add(f"R3.{kind}", f"p99 of a neighbour's round trip beside {what}", said["ours"]["p99"], said["dropped"]["p99"],
                       "dropped at the tap's first hook", 1.5)
