# SPDX-License-Identifier: Apache-2.0
"""
What a VMM leaves to the device survives translation: UDP segments (USO) and several queues, masqueraded and by a published
port, out and in, through the real tap and an uplink that cuts, or doesn't.
"""
import contextlib
import select
import socket

import pytest
from harness import wait_for
from harness.frames import GSO_UDP_L4, NEEDS_CSUM, PacketSocket, VnetHeader, switch
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from test_guard_tap import needs_udp_segments, pseudo
from test_published import HOST, mapping
from test_world import GATEWAY_MAC, IPV6, NODE, Stage

SEGMENT, PIECES, PORT, OWN = 1000, 4, 9100, 5000
CONTENT = bytes(range(256)) * 16
CONTENT = CONTENT[:SEGMENT * (PIECES - 1) + 200]
SOL_UDP, UDP_SEGMENT = 17, 103
STXCSUM, SGSO = 0x17, 0x24		# ETHTOOL_...
USO = 0x61		# TUN_F_CSUM, _USO4, _USO6


@pytest.fixture
def stage(node):
    made = []

    def make(**conf):
        made.append(Stage(node, "tap", **IPV6, **conf))
        return made[-1]
    yield make
    for each in made:
        each.close()


def add(s, **more):
    """An endpoint without a stack: the test is its VMM."""
    return s.node.add("acme", "web", "web", conf=s.node.plugin_conf(**s.conf, **more))


def frame_to(a, there, family, payload, dport=PORT):
    head = IP(src=a.address(), dst=there) if family == 4 else IPv6(src=a.address(6), dst=there)
    return Ether(src=a.mac, dst=GATEWAY_MAC) / head / UDP(sport=OWN, dport=dport) / payload


def in_segments(family):
    l4 = 34 if family == 4 else 54
    return VnetHeader(flags=NEEDS_CSUM, gso_type=GSO_UDP_L4, gso_size=SEGMENT, hdr_len=l4 + 8, csum_start=l4, csum_offset=6)


def datagrams(frames, family):
    """(source, sport, payload) of the UDP among them, each checksum right by itself."""
    for raw in frames:
        packet = Ether(raw)
        if UDP not in packet or (IP if family == 4 else IPv6) not in packet:
            continue
        said = packet[UDP].chksum
        del packet[UDP].chksum
        if family == 4:
            del packet[IP].chksum
        again = Ether(bytes(packet))
        assert said == again[UDP].chksum, (said, again[UDP].chksum)
        if family == 4:
            assert Ether(raw)[IP].chksum == again[IP].chksum
        yield (packet.getlayer(IP if family == 4 else IPv6).src, packet[UDP].sport, bytes(packet[UDP].payload))


def cut_at(device_net, device):
    """The kernel finishes sums and segments before the wire, where the test can read them."""
    switch(device_net, device, STXCSUM, 0)
    switch(device_net, device, SGSO, 0)


@pytest.mark.parametrize("family", (4, 6))
def test_a_masqueraded_frame_in_segments(stage, family):
    """Each piece leaves with the node's address and one port, and a right checksum; the answers come in segments, too."""
    s = stage()
    a = add(s)
    with a.tap() as vmm, s.node.world.inside():
        needs_udp_segments(vmm)
        server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with a.tap() as vmm, server, PacketSocket(s.node.world.net, "down0") as wire:
        server.bind(("::", PORT))
        server.settimeout(10)
        cut_at(s.node.net, "up0")
        vmm.send(pseudo(frame_to(a, s.world(family), family, CONTENT), UDP), in_segments(family))
        got = [server.recvfrom(2000) for _ in range(PIECES)]
        assert b"".join(data for data, _ in got) == CONTENT and [len(data) for data, _ in got] == [SEGMENT] * 3 + [200]
        sent = [d for d in datagrams(wire.drain(), family) if d[2] in CONTENT]
        assert len(sent) == PIECES and {d[:2] for d in sent} == {(NODE[family], got[0][1][1])}, sent
        server.setsockopt(SOL_UDP, UDP_SEGMENT, SEGMENT)
        for offload in (0, 1, USO):		# what its reader takes; the kernel does the rest
            vmm.offload(offload)
            server.sendto(CONTENT, got[0][1])
            answer = b""
            while len(answer) < len(CONTENT):
                raw = vmm.receive(lambda f: UDP in Ether(f))
                assert raw, (offload, len(answer))
                packet = Ether(raw)
                assert (packet[UDP].sport, packet[UDP].dport) == (PORT, OWN) and packet[1].dst == a.address(family)
                if not offload:
                    assert list(datagrams([raw], family))
                answer += bytes(packet[UDP].payload)
            assert answer == CONTENT


@pytest.mark.parametrize("family", (4, 6))
def test_segments_to_a_published_port(stage, family):
    """In by the uplink and back out: the world sees the port that it asked."""
    s = stage()
    a = add(s, runtimeConfig={"portMappings": mapping(own=OWN, protocols=("udp",))})
    with a.tap() as vmm:
        needs_udp_segments(vmm)
        with s.node.world.inside():
            client = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        with client:
            client.settimeout(10)
            client.connect((NODE[family], HOST))
            client.setsockopt(SOL_UDP, UDP_SEGMENT, SEGMENT)
            vmm.offload(USO)
            client.send(CONTENT)
            got = b""
            while len(got) < len(CONTENT):
                raw = vmm.receive(lambda f: UDP in Ether(f))
                assert raw, len(got)
                packet = Ether(raw)
                assert packet[UDP].dport == OWN and packet[1].src == s.world(family)
                got += bytes(packet[UDP].payload)
            assert got == CONTENT
            cut_at(s.node.net, "up0")
            with PacketSocket(s.node.world.net, "down0") as wire:
                vmm.send(pseudo(frame_to(a, s.world(family), family, CONTENT, client.getsockname()[1]), UDP), in_segments(family))
                assert b"".join(client.recv(2000) for _ in range(PIECES)) == CONTENT
                sent = [d for d in datagrams(wire.drain(), family) if d[2] in CONTENT]
            assert len(sent) == PIECES and {d[:2] for d in sent} == {(NODE[family], HOST)}, sent


@pytest.mark.parametrize("family", (4, 6))
def test_several_queues_to_the_world_and_back(stage, family):
    """Whichever queue a frame is written to, it is the same flow; answers come by some queue, and each once."""
    s = stage()
    a = add(s, queues=4, runtimeConfig={"portMappings": mapping(own=OWN, protocols=("udp",))})
    with contextlib.ExitStack() as stack:
        taps = [stack.enter_context(a.tap(queues=4)) for _ in range(4)]
        with s.node.world.inside():
            server = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        server.bind(("::", PORT))
        server.settimeout(10)
        peers = set()
        for number, tap in enumerate(taps):
            whole = Ether(bytes(frame_to(a, s.world(family), family, b"queue %d" % number)))
            tap.send(bytes(whole))
            data, peer = server.recvfrom(100)
            assert data == b"queue %d" % number
            peers.add(peer[:2])
        assert len(peers) == 1, peers		# one masqueraded port
        for number in range(40):
            server.sendto(b"answer %d" % number, peer)
        answers = []

        def all_heard():
            for ready in select.select([tap.fd for tap in taps], [], [], 0.1)[0]:
                tap = next(t for t in taps if t.fd == ready)
                answers.extend(bytes(Ether(raw)[UDP].payload) for raw in tap.drain() if UDP in Ether(raw))
            return len(answers) >= 40
        wait_for(all_heard, lambda: f"{len(answers)} answers")
        assert sorted(answers) == sorted(b"answer %d" % number for number in range(40))
