# SPDX-License-Identifier: Apache-2.0
"""One endpoint floods: its neighbours lose nothing, and what is told of them isn't lost either. And who lives on after DEL."""
import json
import socket
import time

import pytest
from harness import EGRESS, PacketSocket, wait_for
from harness.reasons import settled
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

GATEWAY = "02:70:6b:00:00:01"
OWNER = (65534, 65534)		# without any capability
ALONE = {"nomad": None, "consul": None}
PER_SECOND = 200		# that the gateway answers one endpoint, and twice as many at once
SENT, BETWEEN = 6000, 200	# frames of a flood, and after how many of them the neighbour asks


@pytest.fixture
def node(make_node):
    return make_node(conf={"owner": OWNER[0]})


def questions(a):
    """What makes the gateway work, by kind."""
    eth, mac = Ether(src=a.mac, dst=GATEWAY), bytes.fromhex(a.mac.replace(":", ""))
    own6 = IPv6(src=a.address(6), dst="fe80::1")
    return {"ping": eth / IP(src=a.address(), dst=a.gateway) / ICMP(id=7) / b"x",
            "ping6": eth / own6 / ICMPv6EchoRequest(id=7),
            "arp": Ether(src=a.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=a.mac, psrc=a.address(), pdst=a.gateway),
            "nd": Ether(src=a.mac, dst="33:33:ff:00:00:01") / IPv6(src=a.address(6), dst="ff02::1:ff00:1", hlim=255) /
                  ICMPv6ND_NS(tgt="fe80::1") / ICMPv6NDOptSrcLLAddr(lladdr=a.mac),
            "dhcp": Ether(src=a.mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255") /
                    UDP(sport=68, dport=67) / BOOTP(chaddr=mac) / DHCP(options=[("message-type", "discover"), "end"])}


def udp(source, target, port, payload=b"x"):
    return bytes(Ether(src=source.mac, dst=GATEWAY) / IP(src=source.address(), dst=target.address()) /
                 UDP(sport=5000, dport=port) / payload)


@pytest.mark.parametrize("kind", ["ping", "ping6", "arp", "nd", "dhcp"])
def test_the_gateway_answers_so_many_and_no_more(node, kind):
    """P32: a flood of pings, ARP, ND and DHCP gets as many answers as the bucket has; a neighbour loses nothing beside it."""
    a, b, c = (node.add("acme", job, "web") for job in ("noisy", "quiet", "peer"))
    with a.tap(credentials=OWNER) as noisy, b.tap() as out, c.tap() as into:
        flood, answers = bytes(questions(a)[kind]), 0
        wait_for(lambda: out.send(udp(b, c, 9)) or into.receive(lambda raw: raw[36:38] == b"\0\x09", 0.2), "the neighbour's first")
        settled(node.tables, a.slot)
        before, begun = node.tables.counters(a.slot), time.monotonic()
        for number in range(SENT):
            noisy.send(flood)
            if number % BETWEEN == 0:
                out.send(udp(b, c, 10, number.to_bytes(4, "big")))
                assert into.receive(lambda raw, n=number: raw[42:46] == n.to_bytes(4, "big")), f"after {number} frames"
                answers += len(noisy.drain())
        seconds = time.monotonic() - begun

        def is_counted():
            seen = node.tables.counted(a.slot, before)
            return seen.get((EGRESS, "ok"), 0) + seen.get((EGRESS, "rate-limit"), 0) >= SENT
        wait_for(is_counted, lambda: node.tables.counted(a.slot, before))
        seen = node.tables.counted(a.slot, before)
        answers += len(noisy.drain())
    answered = seen[EGRESS, "ok"]
    assert answers <= answered <= PER_SECOND * (seconds + 3), seen
    assert seen[EGRESS, "rate-limit"] >= SENT - answered, seen
    for neighbour in (b, c):
        assert not [key for key in node.tables.counters(neighbour.slot) if key[1] == "rate-limit"]


def test_a_quiet_ones_denials_are_told_beside_a_flood(node):
    """Each of the quiet one's is in the last events; of the noisy one's as many as are lost are counted. P41: by picketd, too."""
    node.start_picketd(ALONE)
    noisy, quiet = node.add("acme", "noisy", "web"), node.add("beta", "quiet", "web")
    flood, rounds = [udp(noisy, quiet, 1000 + i) for i in range(500)], 30
    with noisy.tap(credentials=OWNER) as shouts, quiet.tap(credentials=OWNER) as speaks:
        for number in range(rounds):
            for frame in flood:
                shouts.send(frame)
            speaks.send(udp(quiet, noisy, 2000 + number))

    def told():
        events = [json.loads(line) for line in node.api_text("/v1/flows?last=1024").splitlines()]
        return {e["destination"]["port"] for e in events if e["source"].get("alloc") == quiet.id and e["reason"] == "policy-denied"}
    wanted = {2000 + number for number in range(rounds)}
    wait_for(lambda: told() >= wanted, lambda: f"lacks {sorted(wanted - told())}")
    settled(node.tables, noisy.slot)
    denied = node.tables.counters(noisy.slot)[EGRESS, "policy-denied"]
    assert denied >= rounds * len(flood)


def test_what_runs_on_after_DEL_reaches_nobody(make_node):
    """
    Its sockets were open before, its netns stays: it sends to a peer, to the node and to the world.
    P56: nothing is delivered, its slot and addresses are nobody else's meanwhile, and it goes with its netns.
    """
    node = make_node(conf={"mode": "process"})
    node.start_picketd(ALONE)
    a, b = node.add("acme", "api", "web"), node.add("acme", "db", "web")
    targets = [b.address(), node.options.up_address.split("/")[0], "198.51.100.7"]
    with a.inside():
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in targets]
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("eth0", 0))
    for each, target in zip(sockets, targets):
        each.connect((target, 9))
    with node.inside():
        host = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    host.bind(("", 9))
    host.setblocking(False)
    own, slot = socket.inet_aton(a.address()), a.slot
    frames = [bytes(Ether(src=a.mac, dst=GATEWAY) / IP(src=a.address(), dst=target) / UDP(sport=9, dport=9)) for target in targets]
    with b.packets() as peer, PacketSocket(node.net, "up0") as uplink:
        wait_for(lambda: sockets[0].send(b"before") and peer.receive(lambda f: own in f and b"before" in f, 0.2), "a way that is open")
        node.delete(a, drop=False)
        peer.drain(), uplink.drain()
        for _ in range(100):
            for send, what in [(each.send, b"after") for each in sockets] + [(raw.send, frame) for frame in frames]:
                try:
                    send(what)
                except OSError:		# its device is gone
                    pass
        again = node.add("beta", "other", "web")	# while it still runs
        assert again.address() != a.address() and again.address(6) != a.address(6) and again.slot != slot
        for heard in (peer, uplink):
            assert not [f for f in heard.drain() if own in f or b"after" in f]
        with pytest.raises(BlockingIOError):
            host.recv(100)
    for each in (*sockets, raw, host):
        each.close()
    node.drop_netns(a)
    wait_for(lambda: not [name for name in node.records() if a.id in name], lambda: f"its record's going: {node.records()}")
    assert f"pk{slot}" not in {link["ifname"] for link in node.json(["ip", "-j", "link"])}
