# SPDX-License-Identifier: GPL-2.0-only
"""P1 to P5: the policy engine at its intended size; bench/policy.c measures, this gives targets."""
import json
import os
import subprocess

MIB = 1048576
# id: (what, highest own figure, unit); negative: the lowest
FIGURES = {
    "P1.compile": ("full compile, 10,000 identities, 5,000 policies of 5 rules", 2e9, "ns"),
    "P2.force": ("one change, until new packets are judged by it, p99", 10e6, "ns"),
    "P2.ack": ("one change, until it is acknowledged, p99", 50e6, "ns"),
    "P3.memory": ("memory of the engine at that size", 100 * MIB, "bytes"),
    "P3.validate": ("reading and checking the 5,000 documents", 1e9, "ns"),
    "P5": ("random queries that agree among the three engines", -200000, "queries"),
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


ROWS = {name: row(name) for name in ("P1", "P2", "P3", "P4")}
