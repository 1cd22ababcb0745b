# SPDX-License-Identifier: Apache-2.0
"""
Two policies in turn, under traffic, with the controller killed in between: what both allow always
arrives, what both deny never does, each frame counted by its sequence number.
"""
import struct
import threading

import pytest
from harness import wait_for
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

GATEWAY_MAC = "02:70:6b:00:00:01"
ALWAYS, FIRST, SECOND, NEVER = 1000, 2000, 3000, 4000
FLIPS = 40


def policy(ports, tier):
    rule = {"endpointSelector": {"matchLabels": {"nomad:job": "db"}}, "ingress": [{
        "fromEndpoints": [{"matchLabels": {"nomad:job": "api"}}],
        "toPorts": [{"ports": [{"port": str(port), "protocol": "UDP"} for port in ports]}]}]}
    if tier == "operator":      # another shape: another tier, default deny asked for
        return {"name": "p", "tier": tier, "rules": [{**rule, "enableDefaultDeny": {"ingress": True}}]}
    return {"name": "p", "namespace": "acme", "rules": [rule]}


class Pump(threading.Thread):
    """Sends to all four ports, half of it in one old flow and half in new ones, and collects."""

    def __init__(self, source, target, family):
        super().__init__()
        self.source, self.target, self.latest = source.tap(), target.tap(), 0
        self.l4 = 14 + (40 if family == 6 else 20)
        eth = Ether(src=source.mac, dst=GATEWAY_MAC)
        ip = IPv6(src=source.address(6), dst=target.address(6)) if family == 6 else \
            IP(src=source.address(), dst=target.address())
        self.frames = {port: bytearray(bytes(eth / ip / UDP(sport=7, dport=port, chksum=1) / b"....SEQ"))
                       for port in (ALWAYS, FIRST, SECOND, NEVER)}
        self.sent, self.arrived, self.stop = 0, {port: set() for port in self.frames}, False
        wait_for(self.is_ready, "the first frame")

    def is_ready(self):
        """The tap of a guest takes a moment to carry."""
        self.source.send(self.frames[ALWAYS])
        return self.target.receive(lambda raw: raw.endswith(b"SEQ"), 0.2)

    def collect(self):
        for raw in self.target.drain():
            if raw.endswith(b"SEQ"):
                port, = struct.unpack_from(">H", raw, self.l4 + 2)
                number, = struct.unpack_from(">I", raw, self.l4 + 8)
                self.arrived[port].add(number)
                self.latest = max(self.latest, number)

    def is_up_to(self, number):
        """Whether one so late has come; few are under way at a time, for a queue holds no more than it does."""
        self.collect()
        return self.latest >= number

    def run(self):
        while not self.stop:
            self.sent += 1
            for frame in self.frames.values():
                struct.pack_into(">H", frame, self.l4, 8000 + self.sent % 500 if self.sent % 2 else 7)
                struct.pack_into(">I", frame, self.l4 + 8, self.sent)
                self.source.send(frame)
            wait_for(lambda: self.is_up_to(self.sent - 20), f"frame {self.sent - 20}", pause=0)

    def end(self):
        self.stop = True
        self.join()
        wait_for(lambda: self.is_up_to(self.sent), "the last frame")
        self.source.close()
        self.target.close()


@pytest.mark.parametrize("other", ("tenant", "operator"))
@pytest.mark.parametrize("family", (4, 6))
def test_no_packet_meets_a_mixture(make_node, family, other):
    node = make_node(config={"nomad": None, "consul": None, "limits": {"newFlowsPerSecond": 0}})
    first, second = policy((ALWAYS, FIRST), "tenant"), policy((ALWAYS, SECOND), other)
    node.policy("p.json", first)
    node.start_picketd()
    api, db = node.add("acme", "api", "g"), node.add("acme", "db", "g")
    pump = Pump(api, db, family)
    pump.start()
    try:
        for number in range(FLIPS):
            before = node.tables.word(db.slot)
            node.policy("p.json", first if number % 2 else second)
            wait_for(lambda was=before: node.tables.word(db.slot) != was, "the other policy")
            if number == FLIPS // 2:
                node.kill_picketd()
                node.start_picketd()
    finally:
        pump.end()
    assert pump.arrived[ALWAYS] >= set(range(1, pump.sent + 1))
    assert not pump.arrived[NEVER]
    assert pump.arrived[FIRST] and pump.arrived[SECOND]
