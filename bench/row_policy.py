# SPDX-License-Identifier: Apache-2.0
"""
P1 to P6: the policy engine at its intended size. bench/policy.c measures the engine alone; P2.force
and P2.ack are a real picketd's, from the file's rename to the word that the guard reads.
"""
import contextlib
import json
import os
import struct
import subprocess
import threading
import time

from report import percentile
from sides import Picket

MIB = 1048576
# id: (what, highest own figure, unit); negative: the lowest
FIGURES = {
    "P1.compile": ("full compile, 10,000 identities, 5,000 policies of 5 rules", 2e9, "ns"),
    "P3.memory": ("memory of the engine at that size", 100 * MIB, "bytes"),
    "P3.validate": ("reading and checking the 5,000 documents", 1e9, "ns"),
}


def measure(result, build, wanted):
    out = subprocess.run([os.path.join(build, "bench/policy"), *wanted], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    for line in out.splitlines():
        figure = json.loads(line)
        ours = figure["ours"] if isinstance(figure["ours"], list) else [figure["ours"]]
        what, limit, unit = FIGURES.get(figure["id"], (figure.get("what", figure["id"]), None,
                                                       figure.get("unit", "")))
        if "peer" in figure:
            peer = figure["peer"] if isinstance(figure["peer"], list) else [figure["peer"]]
            result.add(figure["id"], figure.get("what", what), ours, peer,
                       figure.get("peer_name"), figure.get("target"), unit)
        else:
            result.add(figure["id"], figure.get("what", what), ours, limit=limit, unit=unit)


def row(name):
    return lambda result, build: measure(result, build, [name])


TENANTS, DOCUMENTS, ENDPOINTS, CHANGES = 500, 5000, 100, 200


def document(number, port):
    """Five rules: as many jobs of one tenant, each open to its neighbour on a port."""
    rules = [{"endpointSelector": {"matchLabels": {"nomad:job": f"job{number % 10}-{r}"}},
              "ingress": [{"fromEndpoints": [{"matchLabels": {"nomad:job": f"job{number % 10}-{r + 1}"}}],
                           "toPorts": [{"ports": [{"port": str(port + r), "protocol": "TCP"}]}]}]}
             for r in range(5)]
    return {"namespace": f"tenant{number % TENANTS}", "rules": rules}


class Words:
    """An endpoint's word, read by bpf(2) as fast as it goes."""

    def __init__(self, side):
        self.map = side.node.tables.map("words")

    def get(self, slot):
        return struct.unpack("Q", self.map.get(struct.pack("I", slot)))[0]

    def change(self, slot, old, timeout=20):
        """Nanoseconds (CLOCK_MONOTONIC) at which the word was seen to differ."""
        end = time.monotonic() + timeout
        while self.get(slot) == old:
            if time.monotonic() > end:
                raise AssertionError(f"slot {slot}: no change within {timeout} s")
        return time.monotonic_ns()

    @staticmethod
    def wait(condition, timeout=20):
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                raise AssertionError("the node does not settle")


def attach(side):
    """100 local endpoints of 20 tenants; the slot of the first of tenant 0."""
    return [side.node.add(f"tenant{n % 20}", f"job0-{n // 20}", "g") for n in range(ENDPOINTS)]


def acknowledged(node, revision):
    """Seconds from source to acknowledgement of the last change, once there is a newer one."""
    while True:
        status = node.api("/v1/status")
        if status["policyRevision"] != revision:
            return status["applySeconds"], status["policyRevision"]


def edits(side, words, slot):
    """One policy edited, over and over: ns to the guard's word, ns to the acknowledgement."""
    force, ack = [], []
    revision = side.node.api("/v1/status")["policyRevision"]
    for change in range(CHANGES):
        old = words.get(slot)
        start = time.monotonic_ns()
        side.node.policy("d0000.json", document(0, 8000 + change * 10))
        force.append(words.change(slot, old) - start)
        seconds, revision = acknowledged(side.node, revision)
        ack.append(seconds * 1e9)
    return force, ack


def comings(side, words, slot):
    """
    An endpoint of new labels that the rules of the one at slot name: ns from its own word's opening
    (ADD's end; the controller hears of it then) until the one at slot is judged anew.
    """
    came, own = [], ENDPOINTS + 1
    for change in range(CHANGES):
        old = words.get(slot)
        adding = threading.Thread(target=lambda: added.append(
            side.node.add("tenant0", "job0-1", f"g{change}")))
        added = []
        adding.start()
        opened = words.change(own, 0)
        came.append(words.change(slot, old) - opened)
        adding.join()
        side.node.delete(added[0])
        words.wait(lambda: side.node.api("/v1/status")["endpoints"]["open"] == ENDPOINTS
                   and not os.path.exists(f"/proc/{side.node.holder.pid}/root/sys/class/net/pk{own}"))
    return came


def resident(pid):
    with open(f"/proc/{pid}/smaps_rollup") as text:
        return int(next(line for line in text if line.startswith("Rss:")).split()[1]) * 1024


def started(stack, build):
    """A node with picketd, the 5,000 documents and 100 endpoints; slot of the first of tenant 0."""
    side = Picket(build, controller=False)
    stack.callback(side.close)
    for number in range(DOCUMENTS):
        side.node.policy(f"d{number:04d}.json", document(number, 7000))
    side.node.start_picketd()
    slot = attach(side)[0].slot
    time.sleep(4)               # until what the start took is given back
    return side, slot


def live(result, build):
    with contextlib.ExitStack() as stack:
        side, slot = started(stack, build)
        words = Words(side)
        force, ack = edits(side, words, slot)
        result.add("P2.force", "one policy edited: rename to the guard's word, p99",
                   [percentile(force, 99)], limit=10e6)
        result.add("P2.force.p50", "the same, median", force)
        result.add("P2.ack", "one policy edited: to the acknowledgement, p99",
                   [percentile(ack, 99)], limit=50e6)
        came = comings(side, words, slot)
        result.add("P2.endpoint", "an endpoint comes: its word to its peer's, p99",
                   [percentile(came, 99)], limit=10e6)


def memory(result, build):
    measure(result, build, ["P3"])
    with contextlib.ExitStack() as stack:
        side, _ = started(stack, build)
        result.add("P3.picketd", "picketd, 5,000 policies and 100 endpoints: resident",
                   [resident(side.node.picketd.pid)], limit=100 * MIB, unit="bytes")


def change(result, build):
    measure(result, build, ["P2"])
    live(result, build)


def agree(result, build):
    """P5: reference, compiled and kernel on random queries; the program fails where one differs."""
    queries = 200000
    subprocess.run([os.path.join(build, "tests/policy-property"), "-queries", str(queries)],
                   check=True, stdout=subprocess.DEVNULL)
    result.add("P5", "random queries that agree among the three engines", [queries],
               limit=-200000, unit="")


ROWS = {name: row(name) for name in ("P1", "P4", "P6")} | {"P2": change, "P3": memory, "P5": agree}
