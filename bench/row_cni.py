# SPDX-License-Identifier: Apache-2.0
"""C3 and C4: ADD, DEL and whole lives of endpoints, against Nomad's chain and ptp."""
import contextlib

from report import percentile
from sides import FakeNomad, Nomad, Picket, Ptp

ROUNDS, EACH = 5, 20
CYCLES, WORKERS = 200, 8


def sample(sides, rounds, each):
    """Verb times of every side, a batch each in turn: {name: ([add ns], [del ns])}."""
    times = {side.name: ([], []) for side in sides}
    for round_nr in range(rounds):
        for side in sides:
            got = side.cni("--count", each, "--first", round_nr * each, "--prefix", "v", args=side.args)
            times[side.name][0].extend(got["add"])
            times[side.name][1].extend(got["del"])
    return times


def started(stack, build):
    sides = []
    for kind in (Picket, Nomad, Ptp):
        sides.append(kind(build))
        stack.callback(sides[-1].close)
    return sides


def add(result, build):
    with contextlib.ExitStack() as stack:
        sides = started(stack, build)
        times = sample(sides, ROUNDS, EACH)
        ours, nomad, ptp = (times[side.name][0] for side in sides)
        result.add("C3.p50", "ADD, controller up", ours, nomad, "Nomad's chain", 0.1)
        result.add("C3.p50.ptp", "ADD, controller up", ours, ptp, "ptp", 0.6)
        result.add("C3.p99", "ADD, controller up, p99", [percentile(ours, 99)],
                   [percentile(nomad, 99)], "Nomad's chain", 0.15)
        sides[0].stop_controller()
        times = sample(sides, ROUNDS, EACH)
        result.add("C3.alone", "ADD, controller down", times["picket"][0], times["nomad"][0],
                   "Nomad's chain", 0.1)
        result.add("C3.alone.ptp", "ADD, controller down", times["picket"][0], times["ptp"][0],
                   "ptp", 0.6)
        confirmed(result, build, sides[2])


def confirmed(result, build, ptp):
    """ADD that waits for Nomad's word on its claims: a server that answers at once stands for Nomad."""
    with contextlib.ExitStack() as stack:
        side = Picket(build, name="picket-nomad", controller=False)
        stack.callback(side.close)
        with side.node.inside():
            nomad = FakeNomad("here")
        stack.callback(nomad.stop)
        for number in range(ROUNDS * EACH):
            nomad.put(f"v-{number:08x}", "acme", "bench", "g")
        side.node.start_picketd({**side.node.options.config,
                                 "nomad": {"address": nomad.address, "node": "here"}})
        times = sample([side, ptp], ROUNDS, EACH)
        result.add("C3.nomad", "ADD, with Nomad's confirmation", times[side.name][0], times["ptp"][0], "ptp")


def delete(result, build):
    with contextlib.ExitStack() as stack:
        sides = started(stack, build)
        times = sample(sides, ROUNDS, EACH)
        result.add("C4.del", "DEL", times["picket"][1], times["nomad"][1], "Nomad's chain", 0.1)
        rates = {side.name: [] for side in sides}
        for round_nr in range(ROUNDS):
            for side in sides:
                # The chain does some 14 lives a second: fewer of them take as long.
                cycles = CYCLES if side.name != "nomad" else 40
                got = side.cni("--cycles", cycles, "--workers", WORKERS, "--first",
                               round_nr * CYCLES, "--prefix", "w", args=side.args)
                rates[side.name].append(got["cycles"] / (got["ns"] / 1e9))
        result.add("C4.cycles", "lives a second, 8 at a time", rates["picket"], rates["nomad"],
                   "Nomad's chain", limit=-170, unit="/s")
        result.add("C4.cycles.ptp", "lives a second, 8 at a time", rates["picket"], rates["ptp"],
                   "ptp", -1.2, unit="/s")
