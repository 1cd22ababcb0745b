# SPDX-License-Identifier: Apache-2.0
"""R10: what questions about 1,000 endpoints cost picketd, beside those of a node that has none."""
import contextlib
import json
import socket
import threading
import time

from sides import Picket

from fake import FakeConsul
from harness.cost import Cost
from harness.shell import wait_for

ENDPOINTS, ROUNDS, FLOWS = 1000, 9, 256
HELD_NS = 50e6
DOCUMENTS, RULES = 60, 30       # of the tenant that has all the endpoints: nearly all that its budget allows
ASKED = ("/metrics", "/v1/status", "/v1/health", "/v1/endpoints", "/v1/policies", "/v1/policies/consul/tenant/acme/d1",
         "/v1/identities", "/v1/world")
AGAIN = 12              # times as long as an answer took, after which it isn't given again


class Waiting(threading.Thread):
    """Asks for /v1/health over and over: how long each answer took, in ns."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.path, self.took, self.over = node.path("run/picket/picketd.sock"), [], False
        self.start()

    def ask(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path)
            s.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while s.recv(4096):
                pass

    def run(self):
        while not self.over:
            start = time.monotonic_ns()
            self.ask()
            self.took.append(time.monotonic_ns() - start)

    def longest(self):
        self.over = True
        self.join()
        return max(self.took)


def worked(node):
    """Processor's time of picketd's loop so far, in ns."""
    pid = node.picketd.pid
    with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0])


def scrape(node):
    """(processor's time, bytes) of an answer that is gathered anew."""
    before, start = worked(node), time.monotonic()
    text = node.api_text("/metrics")
    cost = worked(node) - before
    time.sleep(0.5 + AGAIN * (time.monotonic() - start))
    return cost, len(text)


def tenants_documents():
    """No rule selects an endpoint, so each is asked of all of them."""
    rules = [{"endpointSelector": {"matchLabels": {"nomad:job": f"none{i}"}}, "ingress": [{}]} for i in range(RULES)]
    return {f"tenants/acme/d{i}": {"rules": rules} for i in range(DOCUMENTS)}


def turns(result, full, stack):
    """A start beside them, what their tenant is told of its documents, and each question: the longest turn of all."""
    node = full.node
    with node.inside():
        consul = FakeConsul()
    stack.callback(consul.stop)
    for key, text in tenants_documents().items():
        consul.put(key, json.dumps(text))
    node.kill_picketd()
    node.start_picketd({**node.options.config, "consul": {"address": consul.address}})
    wait_for(lambda: len(consul.written("acme")) > 3, "the tenant to be told", 120)
    for path in ASKED:
        for _ in range(3):
            node.api_text(path)
            time.sleep(0.5)
    result.add("R10.turn", f"the longest turn beside {ENDPOINTS:,} endpoints, work: a start, each question, their tenant's "
               f"{DOCUMENTS * RULES:,} rules", [Cost(node).turns.cpu_ms * 1e6], limit=HELD_NS)


def measure(result, build):
    with contextlib.ExitStack() as stack:
        full = Picket(build, capacity=4096, limits={"flowsPerEndpoint": FLOWS})
        stack.callback(full.close)
        empty = Picket(build, name="empty", capacity=4096, limits={"flowsPerEndpoint": FLOWS})
        stack.callback(empty.close)
        full.cni("--add", ENDPOINTS, "--prefix", "live", args=full.args)
        time.sleep(5)           # what follows ADDs is done
        ours, none = [], []
        for _ in range(ROUNDS):
            ours.append(scrape(full.node))
            none.append(scrape(empty.node))
        cpu, size = zip(*ours)
        result.add("R10.cpu", f"a scrape of {ENDPOINTS:,} endpoints of one job: processor's time of picketd", cpu,
                   [c for c, _ in none], "one without endpoints")
        result.add("R10.bytes", "its length", size, [n for _, n in none], "one without endpoints", unit="bytes")
        held = []
        for _ in range(ROUNDS):
            waiting = Waiting(full.node)
            scrape(full.node)
            held.append(waiting.longest())
        result.add("R10.held", "the longest that another question waits meanwhile", held, limit=HELD_NS)
        turns(result, full, stack)
