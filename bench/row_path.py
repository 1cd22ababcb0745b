# SPDX-License-Identifier: Apache-2.0
"""D5, D6, D7 and D9: from tap to tap, everything in between, against Nomad's bridge with mirred."""
import contextlib
import json
import subprocess

from sides import Joined, Nomad, Picket

PREFIX = "p"
ROUNDS, PACKETS = 9, 64000
SEGMENT, SEGMENTS = 1460, 41	# 60 KB as one frame
GSO = 54 + SEGMENT * SEGMENTS


def alloc(nr):
    return f"{PREFIX}-{nr:08x}"


def add(side, first, count):
    """Endpoints that stay; taps for the last two (ours have theirs)."""
    side.cni("--add", count, "--first", first, "--prefix", PREFIX, args=side.args)
    if hasattr(side, "add_tap"):
        for nr in range(first + count - 2, first + count):
            side.add_tap(alloc(nr))


def taps(sides, build, last, *options):
    """Between the two newest: a chain of rules is walked to those that came last."""
    specs = [side.path_spec(alloc(last - 1), alloc(last)) for side in sides]
    out = subprocess.run([f"{build}/bench/taps", "--rounds", str(ROUNDS), *options, *specs],
                         check=True, text=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)


def measure(sides, build, last):
    paths = taps(sides, build, last, "--packets", str(PACKETS))
    return {name: path["ns"] for name, path in paths.items()}


def two_threads(result, build):
    """A thread at each tap, each on a processor of its own, neither of which sleeps."""
    with contextlib.ExitStack() as stack:
        sides = [Picket(build), Nomad(build)]
        for side in sides:
            stack.callback(side.close)
            add(side, 0, 2)
        rate = taps(sides, build, 1, "--mode", "rate")
        trip = taps(sides, build, 1, "--mode", "trip")
    result.add("D7.pps", "64 B one way, packets a second", rate["picket"]["pps"],
               rate["nomad"]["pps"], "Nomad's chain", -1.8, unit="/s")
    for figure in ("p50", "p99"):
        result.add(f"D7.{figure}", f"64 B there and back, {figure}", trip["picket"][figure],
                   trip["nomad"][figure], "Nomad's chain", 0.68)


def start(stack, make):
    """A side with two endpoints, which ends with the row."""
    side = make()
    stack.callback(side.close)
    add(side, 0, 2)
    return side


def host_tap(result, build):
    with contextlib.ExitStack() as stack:
        sides = [start(stack, make) for make in (
            lambda: Picket(build, conf={"attach": "host-tap"}), lambda: Picket(build, name="pair"), lambda: Nomad(build))]
        ns = measure(sides, build, 1)
        result.add("D9", "64 B host tap to host tap", ns["picket"], ns["nomad"], "Nomad's chain", 0.45)
        result.add("D9.pair", "the same against tap to tap", ns["picket"], ns["pair"], "ours, in netns", None)


def large_frames(result, build):
    """Of a round more every byte is looked at, and what its checksum and segments are left to do."""
    with contextlib.ExitStack() as stack:
        sides = [start(stack, make) for make in (
            lambda: Picket(build), lambda: Picket(build, name="picket-tcx", conf={"hook": "tcx"}), lambda: Nomad(build))]
        for row, what, target, options in (("D6.mtu", "1,514 B", 0.57, ("--packets", "64000", "--size", "1514")),
                                           ("D6.gso", "60 KB as one frame", 0.85, ("--packets", "16000", "--size", str(GSO), "--gso", str(SEGMENT)))):
            paths = taps(sides, build, 1, *options)
            result.add(row, f"{what} tap to tap", paths["picket"]["ns"], paths["nomad"]["ns"], "Nomad's chain", target)
            result.add(f"{row}.tcx", f"{what} tap to tap, tcx", paths["picket-tcx"]["ns"], paths["nomad"]["ns"], "Nomad's chain", target)
            result.add(f"{row}.corrupt", f"frames of {what} that came out otherwise",
                       [paths["picket"]["corrupt"] + paths["picket-tcx"]["corrupt"]], limit=0.5, unit="frames")


def tap_to_tap(result, build):
    with contextlib.ExitStack() as stack:
        sides = []
        for make in (lambda: Picket(build, capacity=1024),
                     lambda: Picket(build, name="picket-tcx", capacity=1024, conf={"hook": "tcx"}), lambda: Nomad(build)):
            sides.append(start(stack, make))
        least = stack.enter_context(contextlib.closing(Joined(build)))
        few = measure(sides, build, 1)
        result.add("D5.2", "64 B tap to tap, 2 endpoints", few["picket"], few["nomad"],
                   "Nomad's chain", 0.56)
        result.add("D5.2.tcx", "64 B tap to tap, 2 endpoints, tcx", few["picket-tcx"],
                   few["nomad"], "Nomad's chain", 0.52)
        for side in sides:
            add(side, 2, 998)
        many = measure([*sides, least], build, 999)
        result.add("D5.1000", "64 B tap to tap, 1,000 endpoints", many["picket"], many["nomad"],
                   "Nomad's chain", 0.07)
        result.add("D5.1000.tcx", "64 B tap to tap, 1,000 endpoints, tcx", many["picket-tcx"], many["nomad"], "Nomad's chain", 0.07)
        result.add("D5.floor", "two taps that lead into each other", many["joined"], many["nomad"], "Nomad's chain")
        result.add("D5.1000.added", "what 1,000 endpoints add to that", [a - b for a, b in zip(many["picket"], many["joined"])],
                   [a - b for a, b in zip(many["nomad"], many["joined"])], "Nomad's chain")
        result.add("D5.1000.flat", "1,000 endpoints against 2", many["picket"], few["picket"],
                   "ours at 2", 1.05)
