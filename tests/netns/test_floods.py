# SPDX-License-Identifier: Apache-2.0
"""One endpoint floods: its neighbours lose nothing, and what is told of them isn't lost either. And who lives on after DEL."""
import contextlib
import itertools
import json
import os
import socket
import struct
import sys
import time

import pytest
from harness import EGRESS, CniError, PacketSocket, proving, quiet, wait_for
from harness.reasons import settled
from harness.servers import PINGED, Mirror, ask, pings
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.utils import checksum
from test_kills import Stream

GATEWAY = "02:70:6b:00:00:01"
OWNER = (65534, 65534)		# without any capability
ALONE = {"nomad": None, "consul": None}
PER_SECOND = 200		# that the gateway answers one endpoint, and twice as many at once
FLOOD = int(os.environ.get("PICKET_FLOOD", "100000"))	# frames, as fast as they can be written
BUDGET, FORGOTTEN, RUNS_ON = 4096, 15, 10	# flows of an endpoint; seconds that a first fragment is known, that a process runs on


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


def process(node, tenant, job, **conf):
    """An endpoint of a process, which has a stack of its own."""
    return node.add(tenant, job, "web", conf=node.plugin_conf(mode="process", **conf))


@pytest.fixture
def others(node):
    """Two neighbours of the noisy one; whatever it does, neither has a packet dropped for its rate or for room."""
    b, c = process(node, "acme", "quiet"), process(node, "acme", "peer")
    wait_for(lambda: pings(b, c.address()), "the open way")
    yield b, c
    for neighbour in b, c:
        assert not {key for key in node.tables.counters(neighbour.slot) if key[1] in ("rate-limit", "flow-rate", "flow-budget", "map-full")}


def loses_no_ping(source, target, *more):
    """Of a few pings, a hundredth of a second apart, each is answered."""
    said = source.run(["ping", "-n", "-q", "-c", "20", "-i", "0.01", "-W", str(PINGED), *more, target.address()], check=False).stdout
    assert "20 packets transmitted, 20 received" in said, said


def told(capsys, what, written, seconds, *more):
    with capsys.disabled():
        print(f" {what}: {written:,} frames in {seconds:.1f} s, {written / seconds:,.0f}/s", *more, sep=", ", end=" ")


def softirq():
    """Of all processors, in seconds."""
    with open("/proc/stat", encoding="ascii") as file:
        return int(file.readline().split()[7]) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("kind", ["ping", "ping6", "arp", "nd", "dhcp"])
def test_the_gateway_answers_so_many_and_no_more(node, others, capsys, kind):
    """
    P32: a flood of pings, ARP, ND and DHCP, as fast as a process can write it, gets as many answers as the bucket has; a neighbour's pings lose
    nothing meanwhile. What the flood costs in softirq is printed.
    """
    a = node.add("acme", "noisy", "web")
    with a.tap(credentials=OWNER) as noisy:
        flood = bytes(questions(a)[kind])
        settled(node.tables, a.slot)
        noisy.drain()
        before, busy, begun, answers = node.tables.counters(a.slot), softirq(), time.monotonic(), 0
        with noisy.flood(itertools.repeat(flood, FLOOD)) as running:
            while running.is_running():
                loses_no_ping(*others)
                answers += len(noisy.drain())
            written, took = running.wait()
        busy, seconds = softirq() - busy, time.monotonic() - begun

        def is_counted():
            seen = node.tables.counted(a.slot, before)
            return seen.get((EGRESS, "ok"), 0) + seen.get((EGRESS, "rate-limit"), 0) >= written
        wait_for(is_counted, lambda: node.tables.counted(a.slot, before))
        seen = node.tables.counted(a.slot, before)
        answers += len(noisy.drain())
    told(capsys, kind, written, took, f"{seen[EGRESS, 'ok']} answered", f"softirq {100 * busy / seconds:.0f} % of a processor")
    assert written == FLOOD and answers <= seen[EGRESS, "ok"] <= PER_SECOND * (seconds + 3), (answers, seen)
    assert seen[EGRESS, "rate-limit"] >= written - seen[EGRESS, "ok"], seen


def datagrams(source, target, count):
    """UDP, each of another flow; the bytes are one and the same object."""
    frame, at = bytearray(udp(source, target, 9)), 14 + 20
    for number in range(count):
        struct.pack_into("!HH", frame, at, 1024 + number % 60000, 1024 + number // 60000)
        yield frame


def flows_of(node, alloc):
    """The live entries that begin at its address."""
    own = bytes(10) + b"\xff\xff" + socket.inet_aton(alloc.address())
    return sum(key[:16] == own for key in node.tables.map("flows").keys())


def test_more_flows_than_its_budget(node, others, capsys):
    """
    P39: one endpoint opens flows as fast as its VMM can write, a million where PICKET_FLOOD says so: it has as many as its budget, each other is
    denied as flow-budget and counted, and its neighbours' datagrams, pings and new connections lose nothing meanwhile.
    """
    a = node.add("acme", "noisy", "web", conf=node.plugin_conf(limits={"newFlowsPerSecond": 10000000}))
    b, c = others
    mirror, stream = Mirror(c.inside(), 5000), Stream(b, c, 9100, 2000)
    try:
        with a.tap(credentials=OWNER) as noisy:
            quiet(a)
            before, begun = node.tables.counters(a.slot), time.monotonic()
            with noisy.flood(datagrams(a, c, FLOOD)) as running:
                while running.is_running():
                    loses_no_ping(b, c)
                    assert ask(b, "tcp", c.address(), 5000), "a new connection beside the flood"
                written, took = running.wait()
            wait_for(lambda: sum(node.tables.counted(a.slot, before).values()) >= written, lambda: node.tables.counted(a.slot, before))
            lived = flows_of(node, a)
            seconds = time.monotonic() - begun
        sent, arrived, failed = stream.end()
    finally:
        mirror.close()
    seen = node.tables.counted(a.slot, before)
    told(capsys, "new flows", written, took, f"{seen[EGRESS, 'ok']} passed", f"{sent - arrived} of {sent:,} of a neighbour's lost")
    assert written == FLOOD and {key for key in seen if key[0] == EGRESS} == {(EGRESS, "ok"), (EGRESS, "flow-budget")}, seen
    assert seen[EGRESS, "flow-budget"] == written - seen[EGRESS, "ok"]
    # A flow of one datagram ends after 30 s: a slow machine's flood has a budget for each half minute.
    assert BUDGET <= seen[EGRESS, "ok"] <= BUDGET * (1 + seconds // 30) and lived <= BUDGET, (seen, lived)
    assert arrived == sent and not failed


def first_pieces(source, target, count):
    """Each the first fragment of another datagram."""
    frame = bytearray(bytes(Ether(src=source.mac, dst=GATEWAY) / IP(src=source.address(), dst=target.address(), flags="MF") /
                            UDP(sport=9, dport=9, len=4000, chksum=0) / bytes(1000)))
    for number in range(count):
        struct.pack_into("!H", frame, 18, number & 0xffff)
        frame[24:26] = b"\0\0"
        struct.pack_into("!H", frame, 24, checksum(bytes(frame[14:34])))
        yield frame


def later_piece(source, target, ident):
    return bytes(Ether(src=source.mac, dst=GATEWAY) / IP(src=source.address(), dst=target.address(), id=ident, frag=1008 // 8, proto=17) / bytes(100))


def test_more_first_fragments_than_there_is_room_for(node, others, capsys):
    """
    P42: 100,000 first fragments of one endpoint: a neighbour's pings in pieces all pass, the table is no larger than it was, and what it knows of the
    last one is forgotten after its time.
    """
    a, sink, (b, c) = node.add("acme", "noisy", "web"), process(node, "acme", "sink"), others	# whose stack keeps what A begins
    with a.tap(credentials=OWNER) as noisy, node.tables.map("fragments") as table:
        room, last = len(table.keys()), (FLOOD - 1) & 0xffff
        quiet(a)
        before = node.tables.counters(a.slot)
        with noisy.flood(first_pieces(a, sink, FLOOD)) as running:
            while running.is_running():
                loses_no_ping(b, c, "-s", "4000")
            written, took = running.wait()
        loses_no_ping(b, c, "-s", "4000")
        wait_for(lambda: sum(node.tables.counted(a.slot, before).values()) >= written, lambda: node.tables.counted(a.slot, before))
        told(capsys, "first fragments", written, took)
        seen = node.tables.counted(a.slot, before)
        assert seen[EGRESS, "ok"] == written == FLOOD and {key for key in seen if key[0] == EGRESS} == {(EGRESS, "ok")}, seen
        assert len(table.keys()) == room
        with proving(node.tables, a.slot, EGRESS, "fragment"):
            noisy.send(later_piece(a, sink, last ^ 0x8000))	# of a datagram whose place a later one has by now
        noisy.send(bytes(next(first_pieces(a, sink, 1))))
        noisy.send(later_piece(a, sink, 0))
        wait_for(lambda: node.tables.counted(a.slot, before).get((EGRESS, "ok")) == written + 2, lambda: node.tables.counted(a.slot, before))
        time.sleep(FORGOTTEN + 1)
        with proving(node.tables, a.slot, EGRESS, "fragment"):
            noisy.send(later_piece(a, sink, 0))


def cpu(process):
    """Seconds that it has had of a processor."""
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def test_a_quiet_ones_denials_are_told_beside_a_flood(node, capsys):
    """
    P41: of one tenant's flood of denied packets each is told or counted as lost, by its endpoint; ten denials a second of another tenant's endpoint are
    all told beside it. What picketd has of a processor is printed.
    """
    node.start_picketd(ALONE)
    noisy, still = node.add("acme", "noisy", "web"), node.add("beta", "quiet", "web")
    heard, sent = set(), 0

    def hear():
        events = [json.loads(line) for line in node.api_text("/v1/flows?last=1024").splitlines()]
        heard.update(e["destination"]["port"] for e in events if e["source"].get("alloc") == still.id and e["reason"] == "policy-denied")
        return heard

    def lost(alloc):
        return next(e["eventsLost"] for e in node.api("/v1/endpoints")["endpoints"] if e["containerId"] == alloc.id)
    with noisy.tap(credentials=OWNER) as shouts, still.tap(credentials=OWNER) as speaks:
        had, begun = cpu(node.picketd), time.monotonic()
        with shouts.flood(datagrams(noisy, still, FLOOD)) as running:
            while running.is_running() or sent < 30:
                speaks.send(udp(still, noisy, 2000 + sent))
                sent += 1
                time.sleep(0.1)
                if sent % 10 == 0:
                    hear()
            written, took = running.wait()
        had = 100 * (cpu(node.picketd) - had) / (time.monotonic() - begun)
        settled(node.tables, noisy.slot)
        wanted = {2000 + number for number in range(sent)}
        wait_for(lambda: hear() >= wanted, lambda: f"lacks {sorted(wanted - heard)}")
        denied = node.tables.counters(noisy.slot)[EGRESS, "policy-denied"]
        told(capsys, "denials", written, took, f"picketd {had:.0f} % of a processor", f"{lost(noisy):,} lost, {lost(still)} of {sent} of the quiet one's")
        assert denied == written == FLOOD and node.tables.counters(still.slot)[EGRESS, "policy-denied"] == sent
        assert lost(still) == 0
        assert denied - PER_SECOND * (took + 3) <= lost(noisy) < denied		# it is told of a hundred a second


LIVES_ON = """
import select, socket, sys
sockets = [socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) for address in sys.argv[1].split()]
for each, address in zip(sockets, sys.argv[1].split()):
    each.connect((address, 9))
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(("eth0", 0))
frames = [bytes.fromhex(frame) for frame in sys.argv[2].split()]
print("ready", flush=True)
what, sent, refused = b"before", 0, 0
while True:
    if select.select([sys.stdin], [], [], 0.01)[0]:
        line = sys.stdin.readline()
        if line != "deleted\\n":
            break
        what, sent, refused = b"after", 0, 0
    for send, data in [(each.send, what) for each in sockets] + [(raw.send, frame) for frame in frames if what == b"after"]:
        try:
            send(data)
            sent += 1
        except OSError:	# its device is down, or gone
            refused += 1
print(sent, refused, flush=True)
"""


def heard_by(node, *allocs):
    """What takes every datagram for port 9: of the node, of the endpoints."""
    sockets = []
    for place in node, *allocs:
        with place.inside():
            sockets.append(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        sockets[-1].bind(("::", 9))
        sockets[-1].setblocking(False)
    return sockets


def test_what_runs_on_after_DEL_reaches_nobody(make_node):
    """
    P56: a process that lives on in the netns after DEL, its sockets open before, sends to a peer, to the node and to the world for ten seconds, by both
    families and by raw frames: nothing is delivered. Its slot and addresses are nobody else's meanwhile, though the pool has no other; its device
    goes with it.
    """
    node = make_node(conf={"mode": "process"}, pool=("10.40.7.0/29", "fd00:40:7::/64"))
    node.start_picketd(ALONE)
    a, b = node.add("acme", "api", "web"), node.add("acme", "db", "web")
    targets = [b.address(), b.address(6), node.options.up_address.split("/")[0], node.options.up_address6.split("/")[0], a.gateway,
               "198.51.100.7", "2001:db8:9::7"]
    frames = [bytes(Ether(src=a.mac, dst=GATEWAY) / (IPv6(src=a.address(6), dst=target) if ":" in target else IP(src=a.address(), dst=target)) /
                    UDP(sport=9, dport=9) / b"after") for target in targets]
    frames += [bytes(question) for question in questions(a).values()]
    own, slot = (socket.inet_aton(a.address()), socket.inet_pton(socket.AF_INET6, a.address(6))), a.slot
    process = a.popen([sys.executable, "-c", LIVES_ON, " ".join(targets), " ".join(frame.hex() for frame in frames)], stdin=-1, stdout=-1, text=True)
    assert process.stdout.readline() == "ready\n"
    host, peers = heard_by(node, b)
    with b.packets() as peer, PacketSocket(node.net, "up0") as uplink, host, peers:
        wait_for(lambda: peer.receive(lambda f: own[0] in f and b"before" in f, 0.2), "a way that is open")
        node.delete(a)		# the netns has no name any more, and lives by its process
        peer.drain(), uplink.drain()
        for each in host, peers:
            with contextlib.suppress(BlockingIOError):
                while each.recv(100):
                    pass
        process.stdin.write("deleted\n")
        process.stdin.flush()
        end, later = time.monotonic() + RUNS_ON, [b]
        with pytest.raises(CniError, match="no free IPv4 address") as full:
            while True:
                later.append(node.add("beta", "other", "web"))
        assert full.value.code == 102 and len(later) == 4, "the pool has five addresses, one of which is still the process's"
        assert not {e.address() for e in later} & {a.address()} and not {e.address(6) for e in later} & {a.address(6)} and slot not in {e.slot for e in later}
        time.sleep(max(0, end - time.monotonic()))
        assert process.poll() is None and f"pk{slot}" in {link["ifname"] for link in node.json(["ip", "-j", "link"])}
        sent, refused = map(int, process.communicate("end\n", timeout=60)[0].split())
        assert sent + refused > 100 * len(frames), (sent, refused)
        for heard in peer, uplink:
            assert not [f for f in heard.drain() if b"after" in f or own[0] in f[26:30] or own[1] in f[22:38]]
        for each in host, peers:
            with pytest.raises(BlockingIOError):
                each.recv(100)
    wait_for(lambda: f"pk{slot}" not in {link["ifname"] for link in node.json(["ip", "-j", "link"])}, "its device's end")
    wait_for(lambda: not [name for name in node.records() if a.id in name], lambda: f"its record's end: {node.records()}")
