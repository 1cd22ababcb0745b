# SPDX-License-Identifier: Apache-2.0
"""
From endpoints to the world and back, by real stacks: TCP, UDP, ping and DNS of both families, with the node's
address or the endpoint's own, through one uplink, two, and ones made of others.
"""
import os
import socket
import struct
import threading
import time

import pytest
from harness import EGRESS, PacketSocket, netns, proving, wait_for
from harness.machine import Machine
from harness.servers import PATIENCE, SILENCE, Mirror, Resolver, ask, connect, exchange, pings
from harness.shell import run as run_in
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkInit
from test_uplinks import KINDS, run, uplinks, with_vlan
from test_uplinks import PORTS as PUBLISHED

GATEWAY_MAC = "02:70:6b:00:00:01"
LOW, HIGH = 10000, 19999
NODE = {4: "192.0.2.2", 6: "2001:db8::2"}
PORTS = (80, 8080)
MODES = {"process": {"mode": "process"}, "tap": {}}
IPV6 = {"masquerade": {"ipv6": True}}


class Stage:
    """Endpoints of two tenants, and a server in the world that says who asks."""

    def __init__(self, node, mode="process", **conf):
        self.node, self.mode, self.machines = node, mode, []
        self.server = Mirror(node.world.inside(), *PORTS)
        self.conf = {**MODES[mode], **conf}

    def add(self, namespace, job, **more):
        conf = {**self.conf, **more}
        machine = Machine(self.node.add(namespace, job, job, conf=self.node.plugin_conf(**conf)))
        self.machines.append(machine)
        return machine

    def world(self, family=4):
        return self.node.world.address if family == 4 else self.node.world.address6

    def denied(self, machine, direction, asks):
        """Did policy keep out what asks() sends? Silence alone may be a busy machine's."""
        before = self.node.tables.counters(machine.slot)
        return asks() is None and (direction, "policy-denied") in self.node.tables.counted(machine.slot, before)

    def close(self):
        self.server.close()
        for machine in self.machines:
            machine.close()


@pytest.fixture
def stage(node):
    made = []

    def make(*args, **kw):
        made.append(Stage(node, *args, **kw))
        return made[-1]
    yield make
    for each in made:
        each.close()


def is_nodes(seen, family=4, address=None):
    """The world saw the node's address and a port of the range."""
    return seen and seen[0] == (address or NODE[family]) and LOW <= seen[1] <= HIGH


@pytest.mark.parametrize("mode", MODES)
def test_two_tenants_reach_the_world_as_the_node(stage, mode):
    s = stage(mode)
    machines = [s.add("acme", "api"), s.add("beta", "api")]
    for machine in machines:
        for kind in ("tcp", "udp"):
            for port in PORTS:
                seen = ask(machine, kind, s.world(), port)
                assert is_nodes(seen), (kind, port, seen)
        with PacketSocket(s.node.world.net, "down0") as sniffer:
            assert pings(machine, s.world())
            echo = next(f for f in sniffer.drain() if f[12:14] == b"\x08\0" and f[23] == 1 and f[34] == 8)
        assert socket.inet_ntoa(echo[26:30]) == NODE[4]
    # And still not each other.
    assert ask(machines[0], "udp", machines[1].address(), 9, SILENCE) is None


@pytest.mark.parametrize("mode", MODES)
def test_IPv6_goes_with_its_own_address(stage, mode):
    s = stage(mode)
    a = s.add("acme", "api")
    # Neighbour discovery for a packet of somebody else's address begins with the device's own link-local one.
    s.node.run(["ip", "addr", "add", "fe80::2/64", "dev", "up0", "nodad"])
    assert ask(a, "tcp", s.world(6), 80, 1) is None		# the world knows no way back
    s.node.world.run(["ip", "-6", "route", "add", "fd00:40:7::/64", "via", NODE[6]])
    for kind in ("tcp", "udp"):
        seen = ask(a, kind, s.world(6), 80)
        assert seen and seen[0] == a.address(6), seen
    assert pings(a, s.world(6))


@pytest.mark.parametrize("mode", MODES)
def test_IPv6_is_masqueraded_where_it_is_asked_for(stage, mode):
    s = stage(mode, **IPV6)
    a = s.add("acme", "api")
    for family in (4, 6):
        for kind in ("tcp", "udp"):
            assert is_nodes(ask(a, kind, s.world(family), 80), family), (family, kind)
        assert pings(a, s.world(family))


@pytest.mark.parametrize("mode", MODES)
def test_without_masquerade_it_goes_with_its_own_address(stage, mode):
    s = stage(mode, masquerade=False)
    a = s.add("acme", "api")
    s.node.world.run(["ip", "route", "add", "10.40.7.0/24", "via", NODE[4]])
    for kind in ("tcp", "udp"):
        seen = ask(a, kind, s.world(), 80)
        assert seen and seen[0] == a.address(), seen
    assert pings(a, s.world())
    # picketd's word changes it for the one that lives; its flows go on as they were judged anew.
    s.node.start_picketd({"nomad": None, "consul": None, "masquerade": True})
    wait_for(lambda: is_nodes(ask(a, "tcp", s.world(), 80)), "masquerade")


def query(name, number=7):
    parts = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + parts + struct.pack(">HH", 1, 1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", (4, 6))
def test_names_are_asked_in_the_world(stage, mode, family):
    s = stage(mode, dns={"servers": ["192.0.2.1", "2001:db8::1"]}, **IPV6)
    Resolver(s.node.world.inside())
    a = s.add("acme", "api")
    with connect(a, "udp", s.world(family), 53) as asking:
        asking.send(query("www.example.com"))
        assert asking.recv(512).endswith(socket.inet_aton("198.51.100.80"))


@pytest.mark.parametrize("mode", MODES)
def test_a_policy_that_denies_the_world_holds(stage, mode):
    s = stage(mode)
    s.node.start_picketd()
    a, b = s.add("acme", "api"), s.add("beta", "api")
    with connect(a, "tcp", s.world(), 80) as old:
        assert is_nodes(exchange(old))
        s.node.policy("shut.json", {"namespace": "acme", "rules": [
            {"endpointSelector": {}, "egressDeny": [{"toEntities": ["world"]}]}]})
        wait_for(lambda: s.denied(a, EGRESS, lambda: ask(a, "tcp", s.world(), 80, SILENCE)), "the denial")
        old.settimeout(SILENCE)
        assert exchange(old) is None		# the connection that was there
    assert not pings(a, s.world(), 1)
    assert is_nodes(ask(b, "tcp", s.world(), 80))
    s.node.policy("shut.json", None)
    wait_for(lambda: is_nodes(ask(a, "tcp", s.world(), 80)), "the way again")


def test_a_policy_opens_one_port_of_one_network(stage):
    s = stage()
    s.node.start_picketd()
    a = s.add("acme", "api")
    before = s.node.tables.word(a.slot)
    s.node.policy("one.json", {"namespace": "acme", "rules": [{"endpointSelector": {}, "egress": [
        {"toCIDR": ["192.0.2.0/24"], "toPorts": [{"ports": [{"port": "8080", "protocol": "TCP"}]}]}]}]})
    wait_for(lambda: s.node.tables.word(a.slot) != before, "the policy")
    assert is_nodes(ask(a, "tcp", s.world(), 8080))
    assert ask(a, "tcp", s.world(), 80, SILENCE) is None
    assert ask(a, "udp", s.world(), 8080, SILENCE) is None


def test_many_flows_at_once(stage):
    """Each has its answer, and none another's port to the same destination."""
    s = stage()
    a, b = s.add("acme", "api"), s.add("beta", "api")
    open_ = [connect(m, kind, s.world(), port) for m in (a, b) for kind in ("tcp", "udp") for port in PORTS
             for _ in range(40)]
    try:
        seen = [exchange(each) for each in open_]
        assert all(is_nodes(each) for each in seen), [each for each in seen if not is_nodes(each)]
        by_target = {}
        for each, told in zip(open_, seen):
            by_target.setdefault((each.type, each.getpeername()), []).append(told[1])
        assert all(len(set(ports)) == len(ports) for ports in by_target.values())
    finally:
        for each in open_:
            each.close()


# What a VM sends beside: large things.

def sink_of(server):
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            total = 0
            while data := connection.recv(65536):
                total += len(data)
            connection.sendall(str(total).encode())


@pytest.fixture
def sink(node):
    """The world takes what comes by TCP, and says how much it was."""
    with node.world.inside():
        server = socket.socket(socket.AF_INET6)
        server.bind(("::", 9000))
        server.listen()

    threading.Thread(target=sink_of, args=(server,), daemon=True).start()
    yield 9000
    server.close()


def upload(place, address, port, size):
    with connect(place, "tcp", address, port, 60) as s:
        s.sendall(os.urandom(1024) * (size // 1024))
        s.shutdown(socket.SHUT_WR)
        return int(s.recv(100))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("mtu", (1450, 1500, 9000))
def test_large_transfers_at_the_uplinks_MTU(stage, sink, mode, family, mtu):
    """The endpoint's MTU is the uplink's; segments and partial checksums survive every hop."""
    s = stage(mode, **IPV6)
    for place, device in ((s.node, "up0"), (s.node.world, "down0")):
        run(place, f"ip link set {device} mtu {mtu}")
    a = s.add("acme", "api")
    assert a.alloc.links()["eth0"]["mtu"] == mtu
    assert upload(a, s.world(family), sink, 4 << 20) == 4 << 20


# Uplinks that change, two of them, and ones made of others.

class Place:
    """Another network namespace joined to the node by a device."""

    def __init__(self, node, device, address, peer):
        """node: the node, or its world, behind which the place then lies."""
        holder = getattr(node, "node", node).spawn_holder("ip link set lo up && echo ready && exec sleep infinity")
        self.net = f"/proc/{holder.pid}/ns/net"
        node.run(["ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid)])
        for where, name, of in ((node, device, address), (self, "eth0", peer)):
            where.run(["ip", "addr", "add", of, "dev", name])
            where.run(["ip", "link", "set", name, "addrgenmode", "none"])
            where.run(["ip", "link", "set", name, "up"])
            where.run(["ip", "addr", "add", f"fe80::{len(name)}/64", "dev", name, "nodad"])

    def run(self, argv, **kw):
        return run_in(argv, preexec_fn=netns.entering(self.net), **kw)

    def inside(self):
        return netns.inside(self.net)


@pytest.mark.parametrize("mode", MODES)
def test_another_address_of_the_uplink(stage, mode):
    """New flows leave with it; what was masqueraded behind the old one ends, and doesn't leak."""
    s = stage(mode, **IPV6)
    s.node.start_picketd()
    a = s.add("acme", "api")
    old = {(family, kind): connect(a, kind, s.world(family), 80) for family in (4, 6) for kind in ("tcp", "udp")}
    assert all(is_nodes(exchange(each), family) for (family, _), each in old.items())
    run(s.node, "ip addr del 192.0.2.2/24 dev up0", "ip addr add 192.0.2.9/24 dev up0",
        "ip route replace default via 192.0.2.1", "ip addr del 2001:db8::2/64 dev up0",
        "ip addr add 2001:db8::9/64 dev up0 nodad", "ip -6 route replace default via 2001:db8::1")
    wait_for(lambda: uplinks(s.node)["up0"] == (1500, "192.0.2.9", "2001:db8::9"), "the other address")
    for family, address in ((4, "192.0.2.9"), (6, "2001:db8::9")):
        for kind in ("tcp", "udp"):
            wait_for(lambda f=family, k=kind, w=address: is_nodes(ask(a, k, s.world(f), 80, 2), f, w), f"{kind} from {address}")
    with PacketSocket(s.node.world.net, "down0") as sniffer:
        def quiet():
            """Each of them sends, and none of it leaves with the old address; datagrams begin a new flow."""
            sniffer.drain()
            seen = {kind for (_, kind), each in old.items() if exchange(each)}
            frames = [Ether(f) for f in sniffer.drain()]
            return "tcp" not in seen and \
                not {f[layer].src for f in frames for layer in (IP, IPv6) if layer in f} & gone
        gone = {NODE[4], NODE[6], a.address(), a.address(6)}
        for each in old.values():
            each.settimeout(0.1)
        wait_for(quiet, "the end of the old flows")
    for each in old.values():
        each.close()


# What each of two uplinks leads to: addresses that both worlds have, the second one's gateway and the node's address there.
TWO = {4: {"near": "203.0.113.7", "far": "203.0.113.200", "half": "203.0.113.128/25", "via": "198.51.100.1", "own": "198.51.100.2"},
       6: {"near": "2001:db8:f::7", "far": "2001:db8:f:8000::7", "half": "2001:db8:f:8000::/49", "via": "2001:db8:2::1", "own": "2001:db8:2::2"}}


class Lasting:
    """A connection on which its server speaks, or its client, more than a second after what was said before."""

    def __init__(self, server, port, client, asked, published=None, source=""):
        with server.inside():
            listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        with listener, client.inside():
            listener.settimeout(PATIENCE)
            self.client = socket.create_connection((asked, published or port), PATIENCE, (source, 0))
            self.server = listener.accept()[0]
        self.server.settimeout(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.client.close()
        self.server.close()


def speak(*lasting, of="server"):
    """Each flow is judged again by this end's packet, since it is due once a second."""
    time.sleep(1.2)
    for each in lasting:
        said, heard = (each.server, each.client) if of == "server" else (each.client, each.server)
        said.sendall(b"x")
        assert heard.recv(1) == b"x"


def sources(sniffer):
    return {frame[layer].src for frame in map(Ether, sniffer.drain()) for layer in (IP, IPv6) if layer in frame}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", (4, 6))
def test_two_uplinks(stage, mode, family):
    """
    Each flow leaves by the route's own, with that device's address, and its answer is known there. Whichever end's
    packet has it judged again, it stays there.
    """
    s, to = stage(mode, **IPV6, **PUBLISHED), TWO[family]
    second = Place(s.node, "two", "198.51.100.2/24", "198.51.100.1/24")
    run(s.node, "ip addr add 2001:db8:2::2/64 dev two nodad")
    run(second, "ip addr add 2001:db8:2::1/64 dev eth0 nodad")
    for where in (s.node.world, second):
        run(where, "ip link set lo up", *(f"ip addr add {to[each]} dev lo" for each in ("near", "far")))
    servers = [Mirror(where.inside(), 9001, name=name) for where, name in ((s.node.world, "first"), (second, "second"))]
    ip = f"ip -{family}"
    run(s.node, f"{ip} route add default via {to['via']} metric 4096", f"{ip} route add {to['half']} via {to['via']}")
    a = s.add("acme", "api")
    try:
        for kind in ("tcp", "udp"):
            assert is_nodes(seen := ask(a, kind, to["near"], 9001), family) and seen[2] == "first", seen
            assert is_nodes(seen := ask(a, kind, to["far"], 9001), family, to["own"]) and seen[2] == "second", seen
        # A rule sends one tenant's block the other way.
        run(s.node, f"{ip} route add default via {to['via']} table 99", f"{ip} rule add from {a.address(family)} table 99")
        wait_for(lambda: (ask(a, "tcp", to["near"], 9001) or "???")[2] == "second", "the other way")
        with PacketSocket(s.node.world.net, "down0") as first, PacketSocket(second.net, "eth0") as other, \
                Lasting(second, 9002, a, to["near"]) as masqueraded, \
                Lasting(a, 80, s.node.world, NODE[family], 8080, to["near"]) as published:
            for end in ("server", "client", "server"):
                speak(masqueraded, published, of=end)
            assert to["own"] not in sources(first) and NODE[family] not in sources(other)
        # What is published at an address goes by the rule of that address.
        run(s.node, f"{ip} rule del from {a.address(family)} table 99", f"{ip} rule add from {to['own']} table 99")
        with PacketSocket(s.node.world.net, "down0") as first, \
                Lasting(a, 80, second, to["own"], 8080, to["near"]) as published:
            for end in ("server", "client", "server"):
                speak(published, of=end)
            assert to["own"] not in sources(first)
    finally:
        for server in servers:
            server.close()


@pytest.mark.parametrize("family", (4, 6))
def test_a_smaller_MTU_of_the_uplink_under_traffic(stage, sink, family):
    """A connection that lives learns of it, the guard tells its sender; nothing of it is lost."""
    s = stage("tap", **IPV6)
    s.node.start_picketd()
    a = s.add("acme", "api")
    with connect(a, "tcp", s.world(family), sink, 60) as lasting:
        sent = [lasting.send(os.urandom(1 << 16))]
        run(s.node, "ip link set up0 mtu 1300")

        def learned():
            """Its route is looked up again each second; what doesn't fit any more is told then."""
            sent.append(lasting.send(os.urandom(1 << 14)))
            return "mtu 1300" in a.run(["ip", "route", "get", s.world(family)]).stdout

        wait_for(learned, "the sender's knowledge of the MTU")
        lasting.sendall(os.urandom(1 << 20))
        lasting.shutdown(socket.SHUT_WR)
        assert int(lasting.recv(100)) == sum(sent) + (1 << 20)


def made_of_others(stage, mode, kind):
    """A stage whose uplink is of that kind, of which the world's end knows as far as it must; its device's name."""
    s = stage(mode, **IPV6, **PUBLISHED)
    device = KINDS[kind](s.node)
    if kind == "vlan":
        run(s.node.world, "ip -6 route flush dev down0", "ip addr flush dev down0")
        with_vlan(s.node.world, "down0", "192.0.2.1/24", "2001:db8::1/64")
    return s, device


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_uplink_made_of_others(stage, sink, mode, kind):
    """Masquerade, segments and partial checksums, and a published port, all through it."""
    s, _ = made_of_others(stage, mode, kind)
    a = s.add("acme", "api")
    server = Mirror(a.inside(), 80)
    try:
        for family in (4, 6):
            for protocol in ("tcp", "udp"):
                wait_for(lambda f=family, p=protocol: is_nodes(ask(a, p, s.world(f), 80), f), f"{protocol} over a {kind}")
            assert pings(a, s.world(family))
            assert upload(a, s.world(family), sink, 1 << 20) == 1 << 20
            seen = ask(s.node.world, "tcp", NODE[family], 8080)
            assert seen and seen[0] == s.world(family), seen
    finally:
        server.close()


@pytest.mark.parametrize("kind", KINDS)
def test_what_carries_an_uplink_flaps(stage, kind):
    """The device below goes down and comes again, and takes the route along: picketd follows, and the connection lives."""
    s, device = made_of_others(stage, "tap", kind)
    s.node.start_picketd()
    a = s.add("acme", "api")
    with connect(a, "tcp", s.world(), 80) as lasting:
        assert is_nodes(exchange(lasting))
        run(s.node, "ip route del default", "ip -6 route del default")
        wait_for(lambda: uplinks(s.node) == {}, "no way out")
        run(s.node, "ip link set up0 down", "ip link set up0 up", "ip route add default via 192.0.2.1")
        wait_for(lambda: list(uplinks(s.node)) == [device], "the way out")
        wait_for(lambda: is_nodes(ask(a, "tcp", s.world(), 80)), "the world again")
        assert is_nodes(exchange(lasting))


def test_a_trunk_and_its_VLAN(stage):
    """Both are uplinks, and the trunk's program sees the other's packets first, their tag beside them: each flow keeps to its own."""
    s = stage("tap")
    with_vlan(s.node, "up0", "198.51.100.2/24")
    with_vlan(s.node.world, "down0", "198.51.100.1/24")
    run(s.node.world, "ip addr add 203.0.113.200/32 dev lo")
    run(s.node, "ip route add default via 198.51.100.1 metric 10", "ip route add 203.0.113.128/25 via 198.51.100.1")
    a = s.add("acme", "api")
    assert list(uplinks(s.node)) == ["up0", "up0.5"]
    for kind in ("tcp", "udp"):
        assert is_nodes(ask(a, kind, s.world(), 80))
        assert is_nodes(ask(a, kind, "203.0.113.200", 80), address="198.51.100.2")


def test_an_answer_with_a_tag(node):
    """One of priority alone, as some switches send it, is the device's and gone at the endpoint; one of a VLAN is no answer."""
    a = node.add("acme", "api", "api")
    with a.tap() as vmm, PacketSocket(node.world.net, "down0") as world:
        vmm.send(bytes(Ether(src=a.mac, dst=GATEWAY_MAC) / IP(src=a.address(), dst=node.world.address) / UDP(sport=5000, dport=53) / b"asks"))
        asked = Ether(world.receive(lambda raw: UDP in Ether(raw)))

        def answer(*tag):
            frame = Ether(src=asked.dst, dst=asked.src)
            for each in tag:
                frame /= each
            world.send(bytes(frame / IP(src=asked[IP].dst, dst=asked[IP].src) / UDP(sport=53, dport=asked[UDP].sport) / f"{tag}".encode()))

        answer(Dot1Q(vlan=5))
        answer(Dot1Q(vlan=0, prio=3))
        answer()
        plain = vmm.receive(lambda raw: UDP in Ether(raw))
        assert plain[12:14] == b"\x08\0" and plain.endswith(f"{(Dot1Q(vlan=0, prio=3),)}".encode())
        assert vmm.receive(lambda raw: UDP in Ether(raw)).endswith(b"()")


def test_a_tag_of_what_is_the_hosts_after_all(node):
    """Ports of the masquerade range that are nobody's: their tag of priority is there for who comes behind the guard."""
    node.add("acme", "api", "api")
    # Which sends back what comes to it with a tag.
    node.run("tc filter add dev up0 ingress protocol 802.1Q prio 60000 u32 match u8 0 0 action mirred egress redirect dev up0".split())
    up0 = node.json(["ip", "-j", "link", "show", "up0"])[0]["address"]
    frames = [Ether(dst=up0) / Dot1Q(vlan=0, prio=3) / each for each in (
        IP(src=node.world.address, dst=NODE[4]) / UDP(sport=53, dport=15000) / b"nobody's",
        IP(src=node.world.address, dst=NODE[4], flags="MF", id=7) / UDP(sport=53, dport=15000) / bytes(64),
        IP(src=node.world.address, dst=NODE[4]) / ICMP(type=3, code=3) / IP(src=NODE[4], dst=node.world.address) / UDP(sport=15000, dport=53))]

    with PacketSocket(node.world.net, "down0") as world:
        for frame in frames:
            world.send(bytes(frame))
            assert world.receive(lambda raw, frame=frame: raw.endswith(bytes(frame[IP])))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", (4, 6))
def test_a_narrow_path_in_the_world(stage, mode, family):
    """A router behind the uplink has a smaller MTU: its word comes back through the translation."""
    s = stage(mode, **IPV6)
    far = Place(s.node.world, "far0", "203.0.113.1/24", "203.0.113.2/24")
    run(s.node.world, "ip addr add fe80::1/64 dev down0 nodad",		# by which it asks for the neighbour of what it forwards
        "ip addr add 2001:db8:f::1/64 dev far0 nodad", "ip link set far0 mtu 1300",
        "sysctl -qw net.ipv4.ip_forward=1", "sysctl -qw net.ipv6.conf.all.forwarding=1")
    run(far, "ip addr add 2001:db8:f::2/64 dev eth0 nodad", "ip link set eth0 mtu 1300",
        "ip route add default via 203.0.113.1", "ip -6 route add default via 2001:db8:f::1")
    run(s.node, "ip route add 203.0.113.0/24 via 192.0.2.1")
    a = s.add("acme", "api")
    with far.inside():
        server = socket.socket(socket.AF_INET6)
        server.bind(("::", 9000))
        server.listen()
    threading.Thread(target=sink_of, args=(server,), daemon=True).start()
    try:
        assert upload(a, "203.0.113.2" if family == 4 else "2001:db8:f::2", 9000, 1 << 20) == 1 << 20
    finally:
        server.close()


@pytest.mark.parametrize("family", (4, 6))
def test_a_closed_port_of_the_world_is_told(stage, family):
    """ICMP errors and resets come back to the one who asked."""
    s = stage(**IPV6)
    a = s.add("acme", "api")
    with pytest.raises(ConnectionRefusedError):
        connect(a, "tcp", s.world(family), 7777)
    with connect(a, "udp", s.world(family), 7777) as asking:
        asking.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            asking.recv(10)


@pytest.mark.parametrize("name, layer, port", [
    ("sctp", SCTP(sport=40000, dport=9) / SCTPChunkInit(), "9/sctp"), ("gre", GRE() / (b"x" * 20), "gre"),
    ("icmp", ICMP(type=13, id=7), "icmp:13")], ids=("sctp", "gre", "timestamp"))
def test_what_is_not_masqueraded(node, name, layer, port):
    """Of a protocol that isn't translated the guard, `flows` and `explain` say no-masquerade; without masquerade it goes, and is answered."""
    node.start_picketd()
    a, own = node.add("acme", "api", "api"), node.add("acme", "own", "own", conf=node.plugin_conf(masquerade=False))
    with a.tap() as vmm, own.tap() as vmm_own, PacketSocket(node.world.net, "down0") as world:
        def sent(alloc, tap, timeout):
            tap.send(bytes(Ether(src=alloc.mac, dst=GATEWAY_MAC) / IP(src=alloc.address(), dst=node.world.address) / layer))
            return world.receive(lambda raw: Ether(raw).haslayer(IP) and Ether(raw)[IP].proto == layer_proto, timeout)

        layer_proto = IP(bytes(IP() / layer)).proto
        with proving(node.tables, a.slot, EGRESS, "no-masquerade"):
            assert sent(a, vmm, 0.5) is None
        flows = ("flows", "-q", "-reason", "no-masquerade", "-from-job", "api")
        wait_for(lambda: node.picket(*flows, check=False).returncode == 0, "the event")
        frame = Ether(sent(own, vmm_own, PATIENCE))
        assert frame[IP].src == own.address()
        answer = frame.copy()
        answer.src, answer.dst, answer[IP].src, answer[IP].dst = frame.dst, frame.src, frame[IP].dst, frame[IP].src
        if name == "sctp":
            answer[SCTP].sport, answer[SCTP].dport = frame[SCTP].dport, frame[SCTP].sport
            del answer[IP].chksum, answer[SCTP].chksum
            world.send(bytes(answer))
            assert vmm_own.receive(lambda raw: Ether(raw).haslayer(SCTP))
    shown = node.picket("policy", "explain", "acme/api", f"world:{node.world.address}", port, check=False)
    assert shown.returncode == 1 and "dropped as no-masquerade" in shown.stdout, shown.stdout
    shown = node.picket("policy", "explain", "acme/own", f"world:{node.world.address}", port, check=False)
    assert shown.returncode == 0 and "no-masquerade" not in shown.stdout, shown.stdout
