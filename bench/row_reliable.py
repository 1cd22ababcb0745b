# SPDX-License-Identifier: Apache-2.0
"""
R1 and M3: packets that are lost or misjudged, each of them counted: while picketd is killed, programs
are swapped, and a burst of VMs begins. bench/pump.c accounts for every packet.
"""
import concurrent.futures
import contextlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time

from sides import Node, NodeOptions

from harness.shell import wait_for

KILLS, SWAPS, AT_ONCE, RATE, SEED = 100, 1000, 20, 30000, 1
CONFIG = {"nomad": None, "consul": None, "limits": {"newFlowsPerSecond": 0, "flowsPerEndpoint": 4096}}
ALWAYS, ONE, OTHER, NEVER = 1000, 2000, 3000, 4000		# as bench/pump.c has them
VMS, AT_A_TIME, TENTH = 50, 10, 9
GATEWAY = "02:70:6b:00:00:01"
GUARDS = (("ingress", "pk_from_endpoint"), ("egress", "pk_to_endpoint"))


def policy(port):
    """The pumped endpoint may be reached at ALWAYS and at one more; nothing else opens it."""
    return {"name": "pump", "namespace": "acme", "rules": [{
        "endpointSelector": {"matchLabels": {"nomad:job": "db"}}, "ingress": [{
            "fromEndpoints": [{"matchLabels": {"nomad:job": "api"}}],
            "toPorts": [{"ports": [{"port": str(p), "protocol": "UDP"} for p in (ALWAYS, port)]}]}]}]}


class Pump:
    """bench/pump between two endpoints, for as long as it isn't ended."""

    def __init__(self, build, source, target):
        spec = ",".join(["pump", source.net, "tap0", source.mac, source.address(),
                         target.net, "tap0", target.mac, target.address(), GATEWAY])
        self.process = subprocess.Popen([f"{build}/bench/pump", "--rate", str(RATE), spec], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdout.readline()		# ready

    def end(self):
        out, _ = self.process.communicate(timeout=60)
        if self.process.returncode:
            raise subprocess.CalledProcessError(self.process.returncode, "pump")
        said = json.loads(out)
        print(f"  {said['sent']:,} packets, {said['sent'] / said['seconds']:,.0f} a second, lost {said['lost']}, "
              f"misjudged {said['misjudged']}, {said['turns']} times under another policy")
        return said


class Again(threading.Thread):
    """Does something over and over until it is ended; what it raises is the row's."""

    def __init__(self, step):
        super().__init__(daemon=True)
        self.step, self.turns, self.failure, self.over = step, 0, None, threading.Event()
        self.start()

    def run(self):
        try:
            while not self.over.is_set():
                self.step(self.turns)
                self.turns += 1
        except Exception as failure:    # pylint: disable=broad-except
            self.failure = failure

    def end(self):
        self.over.set()
        self.join()
        if self.failure:
            raise self.failure
        return self.turns


def started(build, stack):
    """A node with the policy, and its pumped pair."""
    os.environ["PICKET_BUILD"] = os.path.abspath(build)
    node = stack.enter_context(contextlib.closing(Node("reliable", NodeOptions())))
    node.policy("pump.json", policy(ONE))
    node.start_picketd(CONFIG)
    return node, node.add("acme", "api", "g"), node.add("acme", "db", "g")


def edit(node, turn):
    node.policy("pump.json", policy(OTHER if turn % 2 else ONE))
    time.sleep(0.05)


def live(node, dice):
    alloc = node.add(dice.choice(("acme", "beta")), "guest", "g")
    time.sleep(dice.random() / 10)
    node.delete(alloc)


def kill(node, dice):
    """At a random moment of a start or of what follows."""
    time.sleep(dice.random() ** 2)
    node.kill_picketd(at_once=True)
    node.start_picketd(CONFIG, wait=False)


def say(result, row, what, said):
    result.add(f"{row}.lost", what, [said["lost"]], limit=0.5, unit="packets")
    result.add(f"{row}.misjudged", "of them misjudged", [said["misjudged"]], limit=0.5, unit="packets")


def kills(result, build):
    dice = [random.Random(SEED + i) for i in range(2)]
    with contextlib.ExitStack() as stack:
        node, api, db = started(build, stack)
        pump = Pump(build, api, db)
        beside = [Again(lambda turn: edit(node, turn)), Again(lambda _: live(node, dice[0]))]
        for _ in range(KILLS):
            kill(node, dice[1])
        edits, lives = (each.end() for each in beside)
        said = pump.end()
        node.start_picketd(CONFIG)
        print(f"  {KILLS} kills, {edits} edits, {lives} endpoints that came and went")
        say(result, "R1.kills", f"of {said['sent']:,} packets beside {KILLS} kill -9 of picketd, {edits} edits and {lives} "
            "endpoints that come and go: lost", said)


def as_another_build(node):
    """Loads the programs once more, as the next release does; (the older load's pins, those of now)."""
    pins = node.path("sys/fs/bpf/picket")
    own = node.run(["readlink", f"{pins}/current"]).stdout.strip()
    other = os.path.join(os.path.dirname(pins), "other")
    node.run(["mkdir", other])
    for name in (*(name for _, name in GUARDS), "programs"):	# whose tail calls go with its last pin
        node.run(["bpftool", "-f", "map" if name == "programs" else "prog", "pin", "pinned", f"{pins}/{own}/{name}", f"{other}/{name}"])
    node.kill_picketd(signal.SIGTERM)
    node.run(["mv", f"{pins}/{own}", f"{pins}/g00000000"])
    node.run(["ln", "-sfn", "g00000000", f"{pins}/current"])
    node.start_picketd(CONFIG)
    wait_for(lambda: node.run(["readlink", f"{pins}/current"]).stdout.strip() == own, "its own build")
    return other, f"{pins}/{own}"


def swaps(result, build):
    """Each hook of both endpoints in turn to the other build's program and back, as picketd does it; and picketd's own."""
    with contextlib.ExitStack() as stack:
        node, api, db = started(build, stack)
        builds = as_another_build(node)
        pump = Pump(build, api, db)
        node.kill_picketd(signal.SIGTERM)		# it would put its own back
        hooks = [(alloc.slot, *guard) for alloc in (api, db) for guard in GUARDS]
        for first in range(0, SWAPS, AT_ONCE):
            node.run(["tc", "-batch", "-"], stdin="".join(
                f"filter replace dev pk{slot} {way} pref 1 handle 1 protocol all bpf direct-action "
                f"object-pinned {builds[nr // len(hooks) % 2]}/{name}\n"
                for nr in range(first, first + AT_ONCE) for slot, way, name in (hooks[nr % len(hooks)],)))
            time.sleep(0.2)
        node.start_picketd(CONFIG)
        said = pump.end()
        say(result, "R1.swaps", f"of {said['sent']:,} packets beside {SWAPS:,} swaps of a program for another build's: lost",
            said)


def reliable(result, build):
    kills(result, build)
    swaps(result, build)


def frame(source, target, port):
    """UDP without a checksum."""
    udp = struct.pack("!HHHH", 7, port, 16, 0) + b"burst..."
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0,
                     socket.inet_aton(source.address()), socket.inet_aton(target.address()))
    total = sum(struct.unpack("!10H", ip))
    ip = ip[:10] + struct.pack("!H", 0xffff & ~((total & 0xffff) + (total >> 16))) + ip[12:]
    return bytes.fromhex((GATEWAY + source.mac).replace(":", "")) + b"\x08\0" + ip + udp


class Arrivals(threading.Thread):
    """When the first packet of each source and port came."""

    def __init__(self, tap):
        super().__init__(daemon=True)
        self.tap, self.first, self.over = tap, {}, threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set():
            raw = self.tap.receive(lambda raw: raw.endswith(b"burst..."), 0.5)
            if raw:
                key = socket.inet_ntoa(raw[26:30]), struct.unpack("!H", raw[36:38])[0]
                self.first.setdefault(key, time.monotonic_ns())


def begun(node, db):
    """A VM that sends as soon as its ADD has ended: what is open to it, and what isn't."""
    alloc = node.add("acme", "api", "g")
    added = time.monotonic_ns()
    with alloc.tap() as tap:
        for port in (NEVER, ALWAYS):
            tap.send(frame(alloc, db, port))
    return added, alloc


def burst(result, build):
    with contextlib.ExitStack() as stack:
        node, api, db = started(build, stack)
        tap = stack.enter_context(db.tap())
        arrivals = Arrivals(tap)
        with api.tap() as first:        # a guest's tap takes a moment to carry: the receiver's, here
            wait_for(lambda: first.send(frame(api, db, ALWAYS)) or (api.address(), ALWAYS) in arrivals.first, "the first frame")
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            vms = sorted(pool.map(lambda _: begun(node, db), range(VMS)), key=lambda vm: vm[0])
        time.sleep(2)		# for what is to come
        arrivals.over.set()
        arrivals.join()
        lost = [a.address() for _, a in vms if (a.address(), ALWAYS) not in arrivals.first]
        let = [a.address() for _, a in vms if (a.address(), NEVER) in arrivals.first]
        took = [arrivals.first[a.address(), ALWAYS] - added for added, a in vms if a.address() not in lost]
        print(f"  of {VMS} VMs the first packet was wrongly denied to {len(lost)}, wrongly let from {len(let)}")
        result.add("M3.wrong", f"first packets wrongly denied or allowed in a burst of {VMS} VMs, {AT_A_TIME} at a time",
                   [len(lost) + len(let)], limit=0.5, unit="packets")
        result.add("M3", "the tenth's first packet: ADD's end to its arrival", [took[TENTH]] if len(took) > TENTH else [0])
