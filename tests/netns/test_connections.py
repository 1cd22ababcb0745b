# SPDX-License-Identifier: Apache-2.0
"""Connections of real stacks under a policy that goes one way, and what others and the peer itself try by raw frames meanwhile."""
import contextlib
import socket

import pytest
from harness import EGRESS, INGRESS, proving, wait_for
from harness.servers import PATIENCE, SILENCE, Mirror, ask
from harness.shared import shared_node
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

GATEWAY = "02:70:6b:00:00:01"
QUIET = 0.3		# seconds in which a delivered frame would long have been seen
FAMILIES = pytest.mark.parametrize("family", (4, 6))


@pytest.fixture(scope="module")
def node(request):
    with shared_node(request, config={"nomad": None, "consul": None}, conf={"mode": "process"}) as node:
        yield node


class Trio:
    """a, b and c of one tenant."""

    def __init__(self, node):
        self.node, self.tables = node, node.tables
        self.a, self.b, self.c = (node.add("acme", job, "web") for job in "abc")
        self.is_closed = False

    def close(self, *closed):
        """From now on nobody may enter these jobs."""
        self.is_closed, words = True, [self.tables.word(each.slot) for each in (self.a, self.b, self.c)]
        self.node.policy("one-way.json", {"name": "one-way", "namespace": "acme", "rules": [
            {"endpointSelector": {"matchLabels": {"nomad:job": job}}, "ingressDeny": [{"fromEndpoints": [{}]}]} for job in closed]})
        wait_for(lambda: [self.tables.word(each.slot) for each in (self.a, self.b, self.c)] != words, "the policy in force")
        wait_for(lambda: self.node.api("/v1/status")["endpoints"]["inStep"] == 3, "all in step")


@pytest.fixture
def trio(node):
    made = Trio(node)
    yield made
    if made.is_closed:
        node.policy("one-way.json", None)
    wait_for(lambda: not node.api("/v1/policies")["policies"], "the policy's end")
    for alloc in made.a, made.b, made.c:
        node.delete(alloc)


def to(source, target, family, sender=None):
    """Ethernet and IP as the source's stack would write them; `sender`: whose address it says is its own."""
    address = (sender or source).address(family)
    ip = IPv6 if family == 6 else IP
    return Ether(src=source.mac, dst=GATEWAY) / ip(src=address, dst=target.address(family))


@contextlib.contextmanager
def connection(trio, family, port=5000, own=0):
    """(a's socket, b's) of a connection that a opened."""
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    with trio.b.inside():
        listener = socket.socket(kind, socket.SOCK_STREAM)
    with trio.a.inside():
        client = socket.socket(kind, socket.SOCK_STREAM)
    for each in listener, client:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        each.settimeout(PATIENCE)
    with listener, client:
        listener.bind(("", port))
        listener.listen()
        client.bind(("", own))
        client.connect((trio.b.address(family), port))
        server, _ = listener.accept()
        server.settimeout(PATIENCE)
        with server:
            yield client, server


def says(sender, receiver, word):
    """Does it arrive?"""
    sender.sendall(word)
    try:
        return receiver.recv(100) == word
    except TimeoutError:
        return False


def echo(family, reply=False):
    if family == 6:
        return (ICMPv6EchoReply if reply else ICMPv6EchoRequest)(id=77, data=b"mark")
    return ICMP(type=0 if reply else 8, id=77) / b"mark"


@FAMILIES
def test_a_request_does_not_ride_an_echos_flow(trio, family):
    """P33: a may reach b and not the reverse: b's request with the id of a's echo is denied, and b's answer passes."""
    trio.close("a")
    with trio.a.packets() as at_a, trio.b.packets() as at_b:
        at_a.send(bytes(to(trio.a, trio.b, family) / echo(family)))
        answer = type(echo(family, reply=True))
        assert at_a.receive(lambda raw: b"mark" in raw and Ether(raw).src == GATEWAY and
                            (answer in Ether(raw) and (family == 6 or Ether(raw)[ICMP].type == 0))), "b's stack answers"
        at_a.drain()
        with proving(trio.tables, trio.a.slot, INGRESS, "policy-denied"):
            at_b.send(bytes(to(trio.b, trio.a, family) / echo(family)))
        assert at_a.receive(lambda raw: b"mark" in raw, QUIET) is None


@FAMILIES
def test_a_third_and_a_blind_peer_end_nothing(trio, family):
    """P34: a RST and a FIN of a third endpoint that writes the ends' addresses are dropped as spoofed; the true peer's outside of the window leave the connection."""
    reason = f"spoofed-ipv{family}"
    with connection(trio, family) as (client, server), trio.b.packets() as at_b, trio.c.packets() as at_c:
        assert says(client, server, b"one") and says(server, client, b"two")
        own = client.getsockname()[1]
        for flags in "R", "RA", "FA":
            for source, target, ports in (trio.a, trio.b, (own, 5000)), (trio.b, trio.a, (5000, own)):
                with proving(trio.tables, trio.c.slot, EGRESS, reason):
                    at_c.send(bytes(to(trio.c, target, family, sender=source) / TCP(sport=ports[0], dport=ports[1], flags=flags, seq=1, ack=1)))
            at_b.send(bytes(to(trio.b, trio.a, family) / TCP(sport=5000, dport=own, flags=flags, seq=0x7fffffff, ack=1)))
            assert says(client, server, b"and on") and says(server, client, b"and back"), flags


def unreachable(quoted, family):
    """An error's payload about the packet."""
    return (ICMPv6DestUnreach(code=4) if family == 6 else ICMP(type=3, code=3)) / Raw(bytes(quoted.payload)[:68 if family == 6 else 28])


@FAMILIES
def test_an_error_about_anothers_flow_goes_nowhere(trio, family):
    """P36: an ICMP error about somebody else's flow, or one that never was, is dropped as icmp-unrelated; the true one's arrives."""
    with connection(trio, family) as (client, server), trio.a.packets() as at_a, trio.b.packets() as at_b, trio.c.packets() as at_c:
        assert says(client, server, b"one")
        live = to(trio.a, trio.b, family) / TCP(sport=client.getsockname()[1], dport=5000)
        never = to(trio.a, trio.b, family) / UDP(sport=9, dport=9)
        at_a.drain()
        for sender, raw, quoted in (trio.c, at_c, live), (trio.c, at_c, never), (trio.b, at_b, never):
            with proving(trio.tables, sender.slot, EGRESS, "icmp-unrelated"):
                raw.send(bytes(to(sender, trio.a, family) / unreachable(quoted, family)))

        def is_error(frame):
            return frame[14 + 9] == 1 if family == 4 else frame[20] == 58 and frame[54] == 1
        assert at_a.receive(is_error, QUIET) is None
        at_b.send(bytes(to(trio.b, trio.a, family) / unreachable(live, family)))
        assert at_a.receive(is_error), "one about a live flow, of who got it"
        assert says(client, server, b"and on")


@FAMILIES
def test_what_a_closed_connection_leaves_admits_nothing(trio, family):
    """P38: a connection is closed, policy denies it by now: the SYN of the same ports is denied at once, and so is what rides on what is left of the flow."""
    with connection(trio, family, port=5001, own=40000) as (client, server):
        assert says(client, server, b"one")
        server.close()	# whose stack keeps the pair for a minute
        assert client.recv(1) == b""
    assert trio.tables.count("flows"), "what waits for late packets"
    trio.close("b")
    with trio.a.packets() as at_a, trio.b.packets() as at_b:
        at_b.drain()
        head = to(trio.a, trio.b, family)
        with proving(trio.tables, trio.b.slot, INGRESS, "policy-denied"):
            at_a.send(bytes(head / TCP(sport=40000, dport=5001, flags="S", seq=1)))
        for flags in "A", "PA", "SA":
            before = trio.tables.counters(trio.a.slot), trio.tables.counters(trio.b.slot)
            at_a.send(bytes(head / TCP(sport=40000, dport=5001, flags=flags, seq=1, ack=1) / b"late"))
            wait_for(lambda before=before: {("no-flow", EGRESS), ("policy-denied", INGRESS)} & {
                (reason, way) for alloc, was in zip((trio.a, trio.b), before) for way, reason in trio.tables.counted(alloc.slot, was)}, f"its denial: {flags}")
        assert at_b.receive(lambda raw: TCP in Ether(raw) and Ether(raw).src == GATEWAY, QUIET) is None
        with pytest.raises(OSError):
            with trio.a.inside():
                socket.create_connection((trio.b.address(family), 5001), SILENCE, source_address=("", 40000))


@FAMILIES
def test_a_reply_judges_as_the_first_packet_did(trio, family):
    """
    P63: the policy changes and the next packet is a reply: it passes where a may open to b and not the reverse, and is denied, as b's ingress, where b may
    open to a and not the reverse.
    """
    mirror = Mirror(trio.a.inside(), 6000)
    try:
        with connection(trio, family) as (client, server):
            assert says(client, server, b"one")
            trio.close("a")
            assert says(server, client, b"a reply"), "a may still open to b"
            assert ask(trio.b, "tcp", trio.a.address(family), 6000, SILENCE) is None
            trio.close("b")
            client.settimeout(SILENCE)
            before = trio.tables.counters(trio.b.slot)
            assert not says(server, client, b"a reply")
            wait_for(lambda: trio.tables.counted(trio.b.slot, before).get((INGRESS, "policy-denied")), "its denial, as that of a to b")
            assert ask(trio.b, "tcp", trio.a.address(family), 6000), "what b opens to a passes"
    finally:
        mirror.close()
