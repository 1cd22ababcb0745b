# SPDX-License-Identifier: Apache-2.0
"""What the real node costs in such a cluster, and how long a change takes from the server's answer to the tables."""
import ipaddress
import itertools
import struct
import sys
import time

from .run import Simulation
from .world import ROOT, Size

MISSING = 20			# seconds after which a change isn't waited for any more


def cost(size=None, seed=1, seconds=300):
    """
    Of one node while the others live: per hour {what: figure}, as what came within the time says. "whole" and "one" are what it would have
    received with every tenant's endpoints, by a question a tenant or by one question for all.
    """
    with Simulation(size or Size(), seed) as s:
        time.sleep(15)		# what follows the start is done
        s.count_whole()
        s.live()
        before, at = s.spent(), time.monotonic()
        memory = []
        while time.monotonic() - at < seconds:
            time.sleep(5)
            memory.append(s.spent()[3])
        s.rest()
        took, after = time.monotonic() - at, s.spent()
        shares = sum(count for name, (_, count) in s.kinds(at).items() if name == "GET tenants")
        whole, one = s.servers.do(s.whole.bytes)
        received, requests, cpu = (y - x for x, y in zip(before[:3], after[:3]))
        hour = 3600 / took
        return {"bytes": received * hour, "whole": (received - shares + whole) * hour, "one": (received - shares + one) * hour,
                "requests": requests * hour, "cpu": cpu / took, "memory": memory, "kinds": s.kinds(at), "seconds": took,
                "turns": s.node.api("/v1/status")["loop"]}


class Lags:
    """ns from an answer's last byte to what the data path reads, of changes one after the other."""

    def __init__(self, simulation):
        self.s = simulation
        self.remote, self.words = (simulation.node.tables.map(name) for name in ("remote", "words"))

    def wait(self, is_there, told_at):
        end = time.monotonic() + MISSING
        while not is_there():
            if time.monotonic() > end:
                raise AssertionError("a change isn't in the tables")
            time.sleep(0.0002)
        now = time.monotonic_ns()
        while told_at() is None:
            time.sleep(0.0002)		# the table was quicker than our thread's note
        return max(0, now - told_at())

    def do(self, change, *args):
        """(its answer, the index that it made)"""
        return self.s.servers.do(lambda: (change(*args), self.s.consul.store.index))

    def endpoint(self, tenant):
        """One more of a tenant on a node that is known to have some."""
        come, index = self.do(self.s.world.come_beside, tenant)
        address = ipaddress.ip_address(come.addresses[0])
        key = ipaddress.IPv6Address(f"::ffff:{address}").packed
        return self.wait(lambda: self.remote.get(key), lambda: self.s.consul.told_at(f"{ROOT}tenants/{tenant}/", index))

    def word(self, slot):
        return struct.unpack("Q", self.words.get(struct.pack("I", slot)))[0]

    def policy(self, alloc, tenant):
        old = self.word(alloc.slot)
        _, index = self.do(self.s.world.say_document, tenant)
        return self.wait(lambda: self.word(alloc.slot) != old, lambda: self.s.consul.told_at(f"{ROOT}policies/tenants/{tenant}/", index))

    def fact(self, alloc, tenant, tier):
        """Its job's meta says another tier, for which a rule of its tenant's asks."""
        old = self.word(alloc.slot)
        self.s.servers.do(self.s.nomad.put, alloc.id, tenant, "job-0", "web", {"tier": tier})
        index = self.s.nomad.index
        return self.wait(lambda: self.word(alloc.slot) != old, lambda: self.s.nomad.told_at(index))


def lags(size=None, seed=1, changes=200, facts=60):
    """{"endpoint", "policy", "fact": ns of each change}"""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)
    try:
        with Simulation(size or Size(), seed) as s:
            time.sleep(15)
            of, hosted = Lags(s), s.world.hosted
            pairs = list(zip(s.allocs, itertools.cycle(hosted)))[:len(hosted)]
            return {"endpoint": [of.endpoint(tenant) for tenant, _ in zip(itertools.cycle(hosted), range(changes))],
                    "policy": [of.policy(*pair) for pair, _ in zip(itertools.cycle(pairs), range(changes))],
                    "fact": [of.fact(*pair, "db" if i // len(pairs) % 2 == 0 else "web")
                             for pair, i in zip(itertools.cycle(pairs), range(facts))]}
    finally:
        sys.setswitchinterval(interval)
