# SPDX-License-Identifier: Apache-2.0
"""C1 and C6: picketd's memory, idle and beside many endpoints; how soon after its start all is in step; what it costs idle."""
import contextlib
import glob
import json
import time

from sides import Picket

from fake import FakeConsul
from fake.consul import ROOT
from harness.shell import wait_for

MIB = 1 << 20
IDLE, LOADED = 12 * MIB, 20 * MIB
LOCAL, NODES, EACH = 100, 100, 100      # this node's endpoints; other nodes, and each one's
FLOWS = 256                             # of an endpoint: with 256 endpoints 65,536 may live
ENDPOINTS, ROUNDS = 1000, 5
START_NS, IDLE_S, IDLE_SHARE = 300e6, 120, 0.001     # each minute has one audit


def resident(node):
    with open(f"/proc/{node.picketd.pid}/smaps_rollup", encoding="ascii") as text:
        return int(next(line for line in text if line.startswith("Rss:")).split()[1]) * 1024


def settled(node):
    """Resident once picketd has given back what its start took: the least of what is seen in half a minute."""
    least, end = resident(node), time.monotonic() + 30
    while time.monotonic() < end:
        time.sleep(1)
        least = min(least, resident(node))
    return least


def table_bytes(node):
    """Memory of the loaded tables, as the kernel counts it, each once."""
    found = {}
    for path in glob.glob(f"/proc/{node.picketd.pid}/fdinfo/*"):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as text:
            info = dict(line.split(":", 1) for line in text if ":" in line)
            if "map_id" in info:
                found[info["map_id"].strip()] = int(info["memlock"])
    return sum(found.values())


def others(consul):
    """So many nodes' words on themselves and on their endpoints of the one tenant that lives here too."""
    consul.writable = ROOT
    with consul.changed:
        for n in range(NODES):
            words = [{"id": f"c{i}@eth0", "generation": 9, "labels": f'["nomad:job=j{i}","nomad:namespace=acme"]',
                      "ports": {}, "addresses": [f"10.64.{n}.{i + 1}"]} for i in range(EACH)]
            consul.keys[f"{ROOT}nodes/n{n}"] = json.dumps({"version": 1, "number": 1, "blocks": [f"10.64.{n}.0/24"],
                                                           "addresses": [f"192.0.2.{n + 1}"]})
            consul.keys[f"{ROOT}tenants/acme/n{n}"] = json.dumps({"version": 1, "number": 1, "endpoints": words})
        consul.bump()
        consul.touched.update(dict.fromkeys(consul.keys, consul.index))


def memory(result, build):
    with contextlib.ExitStack() as stack:
        side = Picket(build, limits={"flowsPerEndpoint": FLOWS})
        stack.callback(side.close)
        node = side.node
        with node.inside():
            consul = FakeConsul()
        stack.callback(consul.stop)
        config = {**node.options.config, "consul": {"address": consul.address}}
        node.kill_picketd()
        node.start_picketd(config)      # on pins that are there
        wait_for(lambda: node.source("consul")["state"] == "ok", "Consul's answer", 60)
        result.add("C1.idle", "resident, nothing to do, TLS library loaded and Consul asked", [settled(node)], limit=IDLE, unit="bytes")
        side.cni("--add", LOCAL, "--prefix", "live", args=side.args)
        others(consul)
        node.kill_picketd()
        node.start_picketd({**config, "fabric": "routed", "blocks": {"range": ["10.64.0.0/16"]}})
        wait_for(lambda: node.tables.count("remote") == NODES * EACH, "the others", 120)
        result.add("C1.loaded", f"resident beside {LOCAL} endpoints of its own and {NODES * EACH:,} of others", [settled(node)],
                   limit=LOADED, unit="bytes")
        result.add("C1.maps", f"the kernel's tables there, without a flow, room for {256 * FLOWS:,}", [table_bytes(node)], unit="bytes")


def used(node):
    """Processor's time of all of picketd's threads, in ns."""
    total = 0
    for path in glob.glob(f"/proc/{node.picketd.pid}/task/*/schedstat"):
        with open(path, encoding="ascii") as text:
            total += int(text.read().split()[0])
    return total


def in_step(node):
    with contextlib.suppress(OSError):
        return node.api("/v1/status")["endpoints"]["inStep"] == ENDPOINTS
    return False


def start(result, build):
    with contextlib.ExitStack() as stack:
        side = Picket(build, capacity=4096, limits={"flowsPerEndpoint": FLOWS})
        stack.callback(side.close)
        node, took = side.node, []
        side.cni("--add", ENDPOINTS, "--prefix", "live", args=side.args)
        for _ in range(ROUNDS):
            node.kill_picketd()
            begun = time.monotonic_ns()
            node.start_picketd(wait=False)
            while not in_step(node):
                time.sleep(0.005)
            took.append(time.monotonic_ns() - begun)
            time.sleep(5)
        result.add("C6.start", f"picketd's start to {ENDPOINTS:,} endpoints in step", took, limit=START_NS)
        time.sleep(30)
        before = used(node)
        time.sleep(IDLE_S)
        result.add("C6.idle", "share of a processor, nothing to do", [(used(node) - before) / (IDLE_S * 1e9)], limit=IDLE_SHARE, unit="")
