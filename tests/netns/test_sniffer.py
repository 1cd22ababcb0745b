# SPDX-License-Identifier: Apache-2.0
"""
A cross-tenant frame never arrives: a sniffer on the victim's tap, while another tenant sends to the
victim's address without a pause, through boot, policy change, controller kill and removal.
"""
import threading

import pytest
from harness import PacketSocket, wait_for
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether

GATEWAY_MAC = "02:70:6b:00:00:01"
BROADCAST = "ff:ff:ff:ff:ff:ff"
HOSTILE, PLANTED, PLANTED6 = b"HOSTILE-TENANT", b"PLANTED-BY-OWN", b"PLANTED-IN-IPV6"
FRAMES_MAX = 40000
OWNER = (65534, 65534)


class Attacker(threading.Thread):
    """Sends to every address that the victim may get, round and round, bounded in count."""

    def __init__(self, endpoint, tap, targets):
        super().__init__(daemon=True)
        self.stop, self.sent, self.tap = threading.Event(), 0, tap
        eth = Ether(src=endpoint.mac, dst=GATEWAY_MAC)
        self.frames, self.targets = [], set(targets)
        for target in targets:
            version = IPv6(src=endpoint.address(6), dst=target) if ":" in target else \
                IP(src=endpoint.address(), dst=target)
            self.frames.append(bytes(eth / version / UDP(sport=4000, dport=8080) / HOSTILE))
        self.frames += [bytes(Ether(src=endpoint.mac, dst=BROADCAST) /
                              IP(src=endpoint.address(), dst="255.255.255.255") /
                              UDP(sport=4000, dport=8080) / HOSTILE),
                        bytes(Ether(src=endpoint.mac, dst=BROADCAST) /
                              ARP(op=2, hwsrc=endpoint.mac, psrc=endpoint.gateway) / HOSTILE)]

    def run(self):
        while not self.stop.is_set() and self.sent < FRAMES_MAX:
            for frame in self.frames:
                self.tap.send(frame)
                self.sent += 1
            self.stop.wait(0.0005)

    def more(self, count=200):
        """Waits until so many more frames were sent."""
        goal = min(self.sent + count, FRAMES_MAX)
        wait_for(lambda: self.sent >= goal, "the attacker's frames", timeout=30)


class Sniffers:
    """On the victim's tap and eth0; what is seen is kept."""

    def __init__(self, victim):
        self.sockets = [PacketSocket(victim.net, device) for device in ("tap0", "eth0")]
        self.seen = []

    def look(self):
        for s in self.sockets:
            self.seen += s.drain()

    def count(self, word):
        self.look()
        return sum(word in frame for frame in self.seen)

    def close(self):
        for s in self.sockets:
            s.close()


@pytest.fixture
def stage(make_node):
    node = make_node(conf={"owner": OWNER[0]})
    node.start_picketd()
    hostile = node.add("evil", "job", "group")
    friend = node.add("acme", "friend", "group")
    with hostile.tap(credentials=OWNER) as hostile_tap, friend.tap(credentials=OWNER) as friend_tap:
        targets = [f"10.40.7.{host}" for host in range(2, 8)]
        targets += [f"fd00:40:7::{host}" for host in range(1, 8)]
        assert friend.address() in targets and friend.address(6) in targets
        attacker = Attacker(hostile, hostile_tap, targets)
        attacker.start()
        yield node, friend, friend_tap, attacker
        attacker.stop.set()
        attacker.join()
        assert attacker.sent > 500, "the attacker hardly sent: this proved nothing"


def plant(friend, tap, victim):
    eth, udp = Ether(src=friend.mac, dst=GATEWAY_MAC), UDP(sport=5000, dport=8080)
    tap.send(eth / IP(src=friend.address(), dst=victim.address()) / udp / PLANTED)
    tap.send(eth / IPv6(src=friend.address(6), dst=victim.address(6)) / udp / PLANTED6)


def own_rule(port):
    return {"namespace": "acme", "rules": [{
        "endpointSelector": {}, "ingress": [{"fromEndpoints": [{}], "toPorts": [
            {"ports": [{"port": str(port), "protocol": "UDP"}]}]}]}]}


def test_a_cross_tenant_frame_never_arrives(stage):
    node, friend, friend_tap, attacker = stage
    attacker.more()
    victim = node.new_netns("7f3a21c4-0000-4000-8000-000000000001")
    victim.args = node.cni_args(victim.id, "acme", "victim", "group")
    victim.result = node.cni("ADD", victim.id, victim.path, args=victim.args)
    assert {victim.address(), victim.address(6)} <= attacker.targets, "nobody attacks the victim"
    sniffers = Sniffers(victim)
    try:
        with victim.tap(credentials=OWNER):
            attacker.more()						# boot
            word = node.tables.word(victim.slot)
            for port in (8080, 9090, 8080):				# policy changes
                node.policy("own.json", own_rule(port))
                wait_for(lambda: node.tables.word(victim.slot) != word, "the policy in force")
                word = node.tables.word(victim.slot)
                attacker.more()
            plant(friend, friend_tap, victim)
            wait_for(lambda: sniffers.count(PLANTED) and sniffers.count(PLANTED6),
                     "the planted frames of the own tenant")
            node.kill_picketd()						# controller kill
            attacker.more()
            node.start_picketd()
            attacker.more()
            node.cni("DEL", victim.id, victim.path, prev=victim.result)	# removal
            attacker.more()
        assert sniffers.count(HOSTILE) == 0
        assert sniffers.count(PLANTED) and sniffers.count(PLANTED6), "the sniffer is deaf"
    finally:
        sniffers.close()
    node.drop_netns(victim)
