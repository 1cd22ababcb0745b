# SPDX-License-Identifier: Apache-2.0
"""C7: what 10,000 lives leave and cost, and what an ADD costs beside many live endpoints."""
import contextlib
import os
import statistics
import time

from sides import Picket

LIVES, WORKERS = 10000, 10
LIVE = (1, 1000, 4000)
CAPACITY = 4096
FLOWS = 256			# of an endpoint: a node carries 4 million
SAMPLES = 60
REST_S = 60


def held(side):
    """Names of everything that the node keeps for its endpoints: files, and slots that are taken."""
    node, names = side.node, set()
    for top in ("var/lib/picket", "run/picket"):
        for where, _, files in os.walk(node.path(top)):
            names |= {os.path.join(where, file) for file in files}
    endpoints = node.tables.items("endpoints")
    names |= {f"slot {int.from_bytes(key, 'little')}" for key, value in endpoints if any(value)}
    names |= {f"device {link['ifname']}" for link in node.json(["ip", "-j", "link"])}
    return names


def lives(result, build):
    with contextlib.ExitStack() as stack:
        side = Picket(build, capacity=CAPACITY, limits={"flowsPerEndpoint": FLOWS})
        stack.callback(side.close)
        side.cni("--cycles", 10, "--workers", WORKERS, "--prefix", "w", args=side.args)
        time.sleep(REST_S + 5)
        before = held(side)
        got = side.cni("--cycles", LIVES, "--workers", WORKERS, "--prefix", "w", args=side.args)
        time.sleep(REST_S)
        left = held(side) - before
        for name in sorted(left)[:10]:
            print(f"  left: {name}")
        rates = [1000 / (ns / 1e9) for ns in got["thousands"]]
        result.add("C7.rate", "lives a second, 10 at a time, the last thousand of 10,000",
                   [rates[-1]], [rates[0]], "the first thousand", -0.95, unit="/s")
        # A count of 0 can be no limit of the report's: half a thing is as good.
        result.add("C7.left", "what a minute after them is there and was not before",
                   [len(left)], limit=0.5, unit="things")


def beside(result, build, controller):
    """ADD beside 1, 1,000 and 4,000 live endpoints of one node."""
    name = "C7.add" if controller else "C7.alone"
    what = "ADD, controller up" if controller else "ADD, controller down"
    with contextlib.ExitStack() as stack:
        side = Picket(build, capacity=CAPACITY, limits={"flowsPerEndpoint": FLOWS})	# whose picketd makes the tables that large
        stack.callback(side.close)
        if not controller:
            side.stop_controller()
        there, base = 0, None
        for live in LIVE:
            side.cni("--add", live - there, "--first", there, "--prefix", "live", args=side.args)
            there = live
            time.sleep(3)
            got = side.cni("--count", SAMPLES, "--first", live, "--prefix", "v", args=side.args)
            base = base or got["add"]
            print(f"  beside {live}: netns {statistics.median(got['netns']) / 1e6:.2f} ms, "
                  f"ADD {statistics.median(got['add']) / 1e6:.2f} ms, "
                  f"DEL {statistics.median(got['del']) / 1e6:.2f} ms")
            result.add(f"{name}.{live}", f"{what}, beside {live:,} live endpoints", got["add"], base,
                       "beside 1", 1.2)


def churn(result, build):
    lives(result, build)
    beside(result, build, True)
    beside(result, build, False)
