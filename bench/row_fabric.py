# SPDX-License-Identifier: Apache-2.0
"""N1 and N6: from a tap of one node to a tap of another, over a switch of veth pairs."""
import contextlib
import json
import os
import subprocess
import tempfile

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from sides import Nomad, Side, join_tap
from harness.fabric import Cluster, Fabric, consul_program  # sides says where it is
from harness.frames import PacketSocket
from harness.shell import Failed, wait_for

ROUNDS, PACKETS = 9, 32000
MTU = 1600			# of the network: a guest's 1,514 bytes fit into the overlay
SEGMENT, SEGMENTS = 1460, 41	# 60 KB as one frame
GSO = 54 + SEGMENT * SEGMENTS
PORT, VNI = 8479, 112
GATEWAY = "02:70:6b:00:00:01"
FOREIGN_MAC = "02:00:00:00:00:99"
ALLOC, OTHERS = "n-00000000", "n-00000001"
NOISE = 200			# times each frame that is not to leave its node


class Pair:
    """Two nodes of the network, a guest on each."""
    next_hop, overlay = GATEWAY, None

    def __init__(self, fabric, base, build, name, place):
        self.name, self.build, self.places = name, build, (place, place + 1)
        self.cluster = Cluster(base, fabric, name, count=0, overlay=self.overlay, conf={"mtu": 1500, "dns": {"servers": []}})
        for i in self.places:
            node = self.cluster.more(i)
            node.run(["ip", "link", "set", "up0", "mtu", str(MTU)])
            fabric.node.run(["ip", "link", "set", f"p{i}", "mtu", str(MTU)])
        self.sides = [self.side(i, node) for i, node in zip(self.places, self.cluster.nodes)]
        self.start()

    def side(self, i, node):
        return Side(self.name, self.build, node=node)

    def other_address(self, i):
        return self.cluster.addresses(sum(self.places) - i)[0]

    def spec(self):
        """What bench/taps wants to know of the way between them."""
        return ",".join([self.name, *self.sides[0].tap(ALLOC), *self.sides[1].tap(ALLOC), self.next_hop])

    def close(self):
        self.cluster.close()


class Kernel(Pair):
    """The kernel's VXLAN, from one node to one other, in a bridge."""
    next_hop = "ff:ff:ff:ff:ff:ff"      # one subnet

    def start(self):
        for i, side in zip(self.places, self.sides):
            side.node.new_netns(ALLOC)
            no_netfilter(side.node)
            side.node.run(["sh", "-ec", f"""
                ip link add br0 type bridge; ip link set br0 mtu {MTU - 50} up
                ip link add vx0 mtu {MTU - 50} type vxlan id 42 dstport 4789 local {self.cluster.addresses(i)[0]} remote {self.other_address(i)}
                ip link set vx0 master br0 up
                ip link add veth0 type veth peer name eth0 netns {side.dir}/{ALLOC}
                ip link set veth0 master br0 up
                nsenter --net={side.dir}/{ALLOC} sh -ec "ip link set eth0 up; ip addr add 10.60.0.{i}/24 dev eth0" """])
            join_tap(side, ALLOC)


class Routed(Pair):
    """Nomad's chain on both nodes, each with a subnet of its own and a route to the other's. Nobody masquerades between them."""
    next_hop = "02:00:00:00:00:01"

    def side(self, i, node):
        side = Nomad(self.build, node)
        side.between_nodes(self.subnet(i))
        return side

    @staticmethod
    def subnet(i):
        return f"172.26.{16 * i}.0/20"

    def start(self):
        for i, side in zip(self.places, self.sides):
            side.cni("--add", 1, "--prefix", ALLOC[0])
            side.add_tap(ALLOC)
            mac, address = side.eth0(ALLOC)
            # The guest's stand-in answers no ARP.
            side.node.run(["sh", "-ec", f"""
                ip link set nomad address {self.next_hop}
                ip neigh replace {address} lladdr {mac} dev nomad nud permanent
                ip route add {self.subnet(sum(self.places) - i)} via {self.other_address(i)}"""])


class Ours(Pair):
    """Real picketds, which tell each other by Consul; "fabric": "routed"."""

    def start(self):
        for node in self.cluster.nodes:
            node.start_picketd(self.cluster.config(node, limits={"flowsPerEndpoint": 4096}))
        self.guests = [node.add("acme", "bench", "g", alloc_id=ALLOC) for node in self.cluster.nodes]
        for node in self.cluster.nodes:
            wait_for(lambda node=node: node.tables.count("remote") == 2, f"{node.name} to know the other's guest", 60)
            wait_for(lambda node=node: len(self.routes(node)) == 1, f"{node.name}'s route", 60)

    @staticmethod
    def routes(node):
        return node.json(["ip", "-j", "route", "show", "proto", "112"])


class Overlay(Ours):
    """The same with "fabric": "vxlan"."""
    overlay = {}


def no_netfilter(node):
    """A bridge of it is a switch, whatever the machine's other bridges have their frames go through."""
    node.run(["sh", "-c", "for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e $f ] || echo 0 > $f; done"])


@contextlib.contextmanager
def pairs(build, *kinds):
    """One network, and on it each kind's two nodes."""
    os.environ["PICKET_BUILD"] = os.path.abspath(build)
    with tempfile.TemporaryDirectory(prefix="picket-") as base, contextlib.ExitStack() as stack:
        os.chmod(base, 0o755)
        fabric = Fabric(base, consul_program())
        stack.callback(fabric.close)
        fabric.node.run(["ip", "link", "set", "br0", "mtu", str(MTU)])
        no_netfilter(fabric.node)
        made = []
        for place, (name, kind) in enumerate(kinds):
            at = os.path.join(base, name)
            os.mkdir(at, 0o755)
            made.append(kind(fabric, at, build, name, 2 * place + 1))
            stack.callback(made[-1].close)
        yield made


def taps(made, build, *options):
    out = subprocess.run([f"{build}/bench/taps", "--rounds", str(ROUNDS), *map(str, options), *(pair.spec() for pair in made)],
                         check=True, text=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)


def lacks_consul(result, row):
    if consul_program():
        return False
    result.skip(row, "there is no Consul, and no Go to build one")
    return True


def overlay(result, build):
    if lacks_consul(result, "N1"):
        return
    with pairs(build, ("ours", Overlay), ("kernel", Kernel)) as made:
        cpu = taps(made, build, "--packets", PACKETS)
        rate = taps(made, build, "--mode", "rate")
    result.add("N1.pps", "64 B through the overlay one way, packets a second", rate["ours"]["pps"], rate["kernel"]["pps"],
               "kernel VXLAN in a bridge", -1.1, unit="/s")
    result.add("N1.ns", "64 B through the overlay, a packet", cpu["ours"]["ns"], cpu["kernel"]["ns"], "kernel VXLAN in a bridge", 0.8)


def across(result, build):
    if lacks_consul(result, "N6"):
        return
    with pairs(build, ("vxlan", Overlay), ("routed", Ours), ("nomad", Routed)) as made:
        # Before bench/taps, which gives the taps a longer header for good.
        for pair in made[:2]:
            result.add(f"N6.{pair.name}.foreign", "frames on the network of another tenant, or with a foreign source",
                       [foreign(pair)], limit=0, unit="frames")
        for size, what, options in (("64", "64 B", ()), ("1514", "1,514 B", ("--size", 1514)),
                                    ("gso", "60 KB as one frame", ("--size", GSO, "--gso", SEGMENT))):
            ns = taps(made, build, "--packets", PACKETS // 4 if size == "gso" else PACKETS, *options)
            for ours in "vxlan", "routed":
                result.add(f"N6.{ours}.{size}", f"{what} to another node, {ours}", ns[ours]["ns"], ns["nomad"]["ns"],
                           "Nomad's chain, routed", 0.8)


def hostile(pair, one, two, other):
    """What the first guest is not to get onto the network."""
    here, there = (pair.cluster.addresses(i)[0] for i in pair.places)
    a, b, c, nobody = one.address(), two.address(), other.address(), "10.64.77.1"
    speak = UDP(sport=4000, dport=8080) / b"hostile"
    tunnel = UDP(sport=4000, dport=PORT) / VXLAN(vni=VNI, flags="Instance") / Ether(src=one.mac, dst=GATEWAY) / IP(src=b, dst=c) / speak
    mine = Ether(src=one.mac, dst=GATEWAY)
    frames = [mine / IP(src=source, dst=b) / speak for source in (b, c, here, there, "8.8.8.8", nobody)]
    frames += [mine / IP(src=a, dst=to) / speak for to in (c, nobody)]
    if pair.overlay is not None:	# on a routed fabric that port is like any other
        frames += [mine / IP(src=a, dst=to) / tunnel for to in (here, there)]
    return [bytes(frame) for frame in (*frames, Ether(src=FOREIGN_MAC, dst=GATEWAY) / IP(src=a, dst=b) / speak)]


def speakers(frame):
    """Who says it to whom: what is in a tunnel, where there is one."""
    packet = Ether(frame)
    if UDP in packet and packet[UDP].dport == PORT:
        packet = VXLAN(bytes(packet[UDP].payload))
    head = packet.getlayer(IP) or packet.getlayer(IPv6)
    return head and (head.src, head.dst)


def outer_source(frame):
    packet = Ether(frame)
    head = packet.getlayer(IP) or packet.getlayer(IPv6)
    return head and head.src


def foreign(pair):
    """Counts them while the guests talk to each other, and the first one tries what it can."""
    one, two = pair.guests
    other = pair.cluster.nodes[1].add("other", "x", "x", alloc_id=OTHERS)
    nodes = {*pair.cluster.addresses(pair.places[0]), f"fe80::{pair.places[0]}", "::"}
    outer = nodes if pair.overlay is not None else {*nodes, one.address()}
    good = bytes(Ether(src=one.mac, dst=GATEWAY) / IP(src=one.address(), dst=two.address()) / UDP(sport=4001, dport=8080))
    before = pair.cluster.nodes[0].tables.counters(one.slot)
    bad, came, frames = hostile(pair, one, two, other), [], []
    with PacketSocket(pair.cluster.fabric.node.net, f"p{pair.places[0]}") as wire, PacketSocket(other.net, "eth0") as there, \
            one.tap() as tap:
        for _ in range(NOISE):
            for frame in (good, *bad):
                tap.send(frame)
            frames += wire.drain()
            came += there.drain()
    frames = [frame for frame in frames if Ether(frame).src == mac_of(pair.cluster.nodes[0])]
    passed = sum(speakers(frame) == (one.address(), two.address()) for frame in frames)
    if passed < NOISE:
        raise Failed(f"{pair.name}: of {NOISE} frames that were to pass {passed} were seen on the network; "
                     f"{pair.cluster.nodes[0].tables.counted(one.slot, before)}")
    return sum(b"hostile" in frame for frame in frames + came) + sum(
        who is not None and (outer_source(frame) not in outer or (who[0] not in nodes and who != (one.address(), two.address())))
        for frame in frames for who in [speakers(frame)] if b"hostile" not in frame)


def mac_of(node):
    return node.json(["ip", "-j", "link", "show", "up0"])[0]["address"]
