# SPDX-License-Identifier: Apache-2.0
"""D8 and D11: new connections between stacks, to the world and from it, and many masqueraded ones."""
import contextlib
import json
import subprocess

from sides import Bare, Nomad, Picket

SERVER, CLIENT = "c-00000000", "c-00000001"
PUBLISHED, PORT, WORLD_PORT = 8080, 80, 9000
FILL, MORE, ROUNDS = 100000, 1000, 5
LIMITS = {"flowsPerEndpoint": 65536, "newFlowsPerSecond": 0}


def started(stack, sides):
    for side in sides:
        stack.callback(side.close)
        side.cni("--add", 1, "--prefix", "c", "--port", f"{PUBLISHED}:{PORT}", args=side.args)
        side.cni("--add", 1, "--prefix", "c", "--first", 1, args=side.args)
    return sides


def local(side):
    return [side.netns(SERVER), PORT, side.netns(CLIENT), side.eth0(SERVER)[1], PORT]


def to_world(side):
    world = side.node.world
    return [world.net, WORLD_PORT, side.netns(CLIENT), world.address, WORLD_PORT]


def published(side):
    node = side.node.options.up_address.split("/")[0]
    return [side.netns(SERVER), PORT, side.node.world.net, node, PUBLISHED]


def bound(result, build, stack, nomad):
    """D8.local of a guard that costs nothing: it says what the others can come to at most."""
    bare = stack.enter_context(contextlib.closing(Bare(build)))
    paths = [[bare.name, bare.netns(1), PORT, bare.netns(0), bare.ADDRESS[1], PORT], [nomad.name, *local(nomad)]]
    out = subprocess.run([f"{build}/bench/connect", *(",".join(map(str, path)) for path in paths)], check=True, text=True, stdout=subprocess.PIPE).stdout
    least, peer = (path["rate"] for path in json.loads(out).values())
    result.add("D8.bound", "one stack to another, redirected without a verdict", least, peer, "Nomad's chain", unit="/s")


def connections(result, build):
    with contextlib.ExitStack() as stack:
        sides = started(stack, [Picket(build, capacity=4, conf={"mode": "process"},
                                       limits=LIMITS), Nomad(build)])
        for name, what, ends in (("local", "one stack to another", local),
                                 ("world", "masqueraded to the world", to_world),
                                 ("published", "from outside to a published port", published)):
            paths = [",".join(map(str, [side.name, *ends(side)])) for side in sides]
            out = subprocess.run([f"{build}/bench/connect", *paths], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout
            ours, peer = (path["rate"] for path in json.loads(out).values())
            result.add(f"D8.{name}", f"new TCP connections a second, {what}", ours, peer,
                       "Nomad's chain", -1.3, unit="/s")
        bound(result, build, stack, sides[1])


def taps(side):
    """Both guests' taps, as bench/flows wants to know them."""
    via = side.next_hop
    if hasattr(side, "add_tap"):
        via = json.loads(side.node.run(["ip", "-j", "link", "show", "nomad"]).stdout)[0]["address"]
        for alloc in (SERVER, CLIENT):
            side.add_tap(alloc)
    return [",".join([side.netns(alloc), "tap0", *side.eth0(alloc), via])
            for alloc in (SERVER, CLIENT)]


def came_out(side):
    link = json.loads(side.node.world.run(["ip", "-j", "-s", "link", "show", "down0"]).stdout)[0]
    return link["stats64"]["rx"]["packets"]


def write_flows(build, ends, first, count):
    out = subprocess.run([f"{build}/bench/flows", "--first", str(first), "--count", str(count),
                          *ends], check=True, text=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)["ns"]


def masqueraded(result, build):
    """A flow to each of 100,000 destinations, then more, one side's thousand after the other's."""
    with contextlib.ExitStack() as stack:
        sides = started(stack, [Picket(build, capacity=4, limits=LIMITS), Nomad(build)])
        ends = {side.name: taps(side) for side in sides}
        count, ns = {}, {side.name: [] for side in sides}
        for side in sides:
            before = came_out(side)
            write_flows(build, ends[side.name], 0, FILL)
            count[side.name] = came_out(side) - before
        for round_nr in range(ROUNDS):
            for side in sides:
                ns[side.name] += write_flows(build, ends[side.name], FILL + MORE * round_nr, MORE)
        ours, peer = (side.name for side in sides)
        result.add("D11.flows", "masqueraded to one port at once, to different destinations",
                   [count[ours]], [count[peer]], "iptables masquerade", limit=-FILL, unit="flows")
        result.add("D11.last", "one more masqueraded flow beside 100,000, tap to uplink", ns[ours],
                   ns[peer], "iptables masquerade", 1)
