# SPDX-License-Identifier: Apache-2.0
"""The overlay where something about its node isn't as it should be for a while: what it keeps, what it closes, what it says."""
import json
import os
import resource
import shlex
import signal
import socket

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from harness import EGRESS, INGRESS, proving
from harness.fabric import made_cluster
from harness.frames import PacketSocket, switch
from harness.overlay import DEVICE, PORT, VNI, device, knows, made, pair, reach, reasons, routes, send, send_much, start, sum16, wrapped
from harness.servers import QUICK, Mirror, pings
from harness.shell import wait_for
from test_connectivity import Echo
from test_sock import Cgroup
from test_upgrade import Traffic, as_old, current


@pytest.fixture(name="cluster")
def cluster_fixture(request, fabric):
    with made(request, fabric) as cluster:
        yield cluster


def logged(node):
    with open(node.log_path, encoding="utf-8") as file:
        return file.read()


def sent(node):
    """Packets that the device has put into tunnels."""
    return node.json(["ip", "-j", "-s", "link", "show", "dev", DEVICE])[0]["stats64"]["tx"]["packets"]


def filters(node):
    found = node.json(["tc", "-j", "filter", "show", "dev", DEVICE, "ingress"])
    return [f["options"]["prog"]["id"] for f in found if "prog" in f.get("options", {})]


def test_no_descriptor_left(cluster):
    """picketd can't ask the kernel: what it saw a moment ago stays."""
    one, _ = cluster.nodes
    a, b = pair(cluster)
    assert reach(a, b)
    pid, before = one.picketd.pid, routes(one)
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, usual[1]))
    one.run(["ip", "link", "set", DEVICE, "txqueuelen", "777"])		# it is told of the device, and looks
    wait_for(lambda: "op=overlay err=" in logged(one), lambda: logged(one))
    assert reach(a, b) and routes(one) == before, "a healthy path stays"
    assert logged(one).count("op=overlay ifindex=") == 1, "nothing was taken back"
    one.run(["ip", "link", "del", DEVICE])
    with proving(one.tables, a.slot, EGRESS, "no-route"):
        assert not pings(a, b.address(4), QUICK), "a missing one doesn't, whatever picketd can see"
    resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
    wait_for(lambda: pings(a, b.address(4), QUICK) and pings(b, a.address(6), QUICK), "the overlay again")
    wait_for(lambda: one.api("/v1/status")["state"] == "ok", lambda: reasons(one))


def test_new_tables_have_their_overlay_at_once(cluster):
    """Nobody looks by himself in this test: who opens the tables says so."""
    one, _ = cluster.nodes
    for node in cluster.nodes:
        node.options.fault = "overlay-looks-never"
    a, b = pair(cluster)
    assert reach(a, b)
    bpffs = os.path.join(one.root, "sys/fs/bpf")
    one.run(["umount", bpffs])
    one.run(["mount", "-t", "bpf", "bpf", bpffs])
    c = one.add("acme", "api", "web")
    wait_for(lambda: "opened again" in one.log(), "picketd to take the new tables")
    wait_for(lambda: pings(c, b.address(4), QUICK) and pings(b, c.address(6), QUICK), "the overlay of the new tables")


HOLDERS = {
    "device": "ip link add foreign type vxlan external dstport {port} && ip link set foreign up",
    "plain": "ip link add foreign type vxlan id 9 dev up0 remote 192.0.2.99 dstport {port} && ip link set foreign up",
}


def failing(node):
    found = json.loads(node.picket("check", "-json", check=False).stdout)
    return [line for line in found if line["what"] == "overlay" and line["state"] != "ok"]


@pytest.mark.parametrize("holder", [*HOLDERS, "socket"])
def test_somebody_else_has_the_port(cluster, holder):
    """Said, with what mends it; closed meanwhile; there as soon as the port is free."""
    one, _ = cluster.nodes
    held = None
    if holder == "socket":
        with one.inside():
            held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held.bind(("", PORT))
    else:
        one.run(["sh", "-ec", HOLDERS[holder].format(port=PORT)])
    start(cluster)
    a, b = (node.add("acme", "x", "x") for node in cluster.nodes)
    said = wait_for(lambda: [r for r in one.api("/v1/status")["reasons"] if "the overlay has no device" in r["text"]], lambda: reasons(one))
    assert f"UDP port {PORT} is another VXLAN device's or socket's" in said[0]["fix"], said
    line, = failing(one)
    whose = "another socket's" if held else "the VXLAN device foreign's"
    assert line["state"] == "fail" and line["text"] == f"UDP port {PORT} is {whose}" and '"port" in "vxlan"' in line["fix"], line
    wait_for(lambda: one.tables.count("remote") == 2, "the other's endpoint")
    with proving(one.tables, a.slot, EGRESS, "no-route"):
        assert not pings(a, b.address(4), QUICK)
    with proving(one.tables, a.slot, EGRESS, "overlay-port"):
        send(a, b"x", cluster.addresses(2)[0])
    if held:
        held.close()
    else:
        one.run(["ip", "link", "del", "foreign"])
    wait_for(lambda: pings(a, b.address(4), QUICK) and pings(b, a.address(6), QUICK), "the overlay")
    wait_for(lambda: one.api("/v1/status")["state"] == "ok", lambda: reasons(one))


def test_picketd_restarts_and_takes_over_under_traffic(cluster):
    """The device stays attached: a packet is judged by the old program or by the new one, and none is lost."""
    one, two = cluster.nodes
    a, b = pair(cluster)
    echo = Echo(b.inside())
    places = [(one.tables, 0), (one.tables, a.slot), (two.tables, 0), (two.tables, b.slot)]
    before = [tables.counters(slot) for tables, slot in places]
    traffic = Traffic(a, b.address())
    traffic.start()
    try:
        ifindex, old = device(one)["ifindex"], filters(one)
        one.kill_picketd()
        one.start_picketd(cluster.config(one))
        wait_for(lambda: one.api("/v1/status")["state"] == "ok", lambda: reasons(one))
        assert filters(one) == old and len(old) == 1
        one.kill_picketd()
        own = as_old(one)
        one.start_picketd(cluster.config(one))
        wait_for(lambda: current(one) == own, "the build of this picketd")
        wait_for(lambda: filters(one) != old, "its program at the device")
        wait_for(lambda: one.api("/v1/status")["state"] == "ok", lambda: reasons(one))
        assert len(filters(one)) == 1 and device(one)["ifindex"] == ifindex
        asked = traffic.sent
        wait_for(lambda: traffic.sent > asked + 100, "traffic under the new one")
    finally:
        traffic.end()
        echo.close()
    seen = [tables.counted(slot, counted) for (tables, slot), counted in zip(places, before)]
    assert all(reason in ("ok", "multicast") for each in seen for _, reason in each), seen
    assert traffic.sent > 200 and traffic.lost == 0, seen


def test_ipsec_policies_are_asked(cluster):
    """Of packets that the guard sends and takes by itself the kernel asks none: it does neither while there is one."""
    one, _ = cluster.nodes
    a, b = pair(cluster)
    assert reach(a, b)
    for way in "out", "in":
        policy = ["dir", way, "src", "0.0.0.0/0", "dst", "0.0.0.0/0", "proto", "udp", "dport", str(PORT)]
        one.run(["ip", "xfrm", "policy", "add", *policy, "action", "block"])
        wait_for(lambda: not pings(a, b.address(4), QUICK), f"nothing past a policy that blocks, {way}")
        assert not pings(b, a.address(6), QUICK)
        one.run(["ip", "xfrm", "policy", "del", *policy])
        wait_for(lambda: pings(a, b.address(4), QUICK) and pings(b, a.address(6), QUICK), "the overlay again")
    one.run(["ip", "xfrm", "policy", "setdefault", "out", "block"])
    wait_for(lambda: not pings(a, b.address(4), QUICK), "nothing past a default that blocks")
    one.run(["ip", "xfrm", "policy", "setdefault", "out", "accept"])
    wait_for(lambda: pings(a, b.address(4), QUICK) and logged(one).count("op=overlay direct=yes") == 4, "the overlay again")
    assert logged(one).count("op=overlay direct=no") == 3


@pytest.mark.parametrize("end", ["killed", "hangs", "ended"])
def test_ipsec_policies_that_come_without_picketd(cluster, end):
    """What nobody sees come is obeyed none the less: the guard leaves the device out only while picketd says each other second that it may."""
    one, _ = cluster.nodes
    a, b = pair(cluster)
    policy = ["dir", "out", "src", "0.0.0.0/0", "dst", "0.0.0.0/0", "proto", "udp", "dport", str(PORT)]

    def by_device():
        before = sent(one)
        assert pings(a, b.address(4))
        return sent(one) > before
    wait_for(lambda: reach(a, b) and not by_device(), "the way without the device")
    process = one.picketd
    if end == "hangs":
        process.send_signal(signal.SIGSTOP)
    else:
        one.kill_picketd(signal.SIGKILL if end == "killed" else signal.SIGTERM)
    try:
        if end == "ended":
            assert by_device(), "picketd that ends takes its word back"
        one.run(["ip", "xfrm", "policy", "add", *policy, "action", "block"])
        wait_for(lambda: not pings(a, b.address(4), QUICK), "nothing past a policy that blocks", 30)
        one.run(["ip", "xfrm", "policy", "del", *policy])
        assert by_device(), "as long as nobody looks"
    finally:
        process.send_signal(signal.SIGCONT)
    if end != "hangs":
        one.start_picketd(cluster.config(one))
    wait_for(lambda: not by_device(), "the way without the device again")


NFT = """
table inet fw {
    chain in { type filter hook input priority 0; policy drop; iifname "lo" accept; meta l4proto tcp accept; tcp dport 8479 accept; meta l4proto ipv6-icmp accept; }
}
"""


def legacy(node, tool):
    if node.run([tool, "-L"], check=False).returncode:
        pytest.skip("this kernel has no tables of iptables-legacy")
    node.run([tool, "-A", "INPUT", "-p", "tcp", "-j", "ACCEPT"])
    node.run([tool, "-A", "INPUT", "-p", "ipv6-icmp", "-j", "ACCEPT"] if "6" in tool else [tool, "-A", "INPUT", "-p", "udp", "--dport", "8478", "-j", "ACCEPT"])
    node.run([tool, "-P", "INPUT", "DROP"])


FIREWALLS = {"nft": ("ipv4", lambda node: node.run(["nft", "-f", "-"], stdin=NFT)),
             "nft6": ("ipv6", lambda node: node.run(["nft", "-f", "-"], stdin=NFT)),
             "legacy": ("ipv4", lambda node: legacy(node, "iptables-legacy")),
             "legacy6": ("ipv6", lambda node: legacy(node, "ip6tables-legacy"))}


@pytest.mark.parametrize("kind", FIREWALLS)
def test_a_firewall_that_drops_the_overlay(request, fabric, kind):
    """`picket check` names the chain, and its fix opens the way."""
    underlay, close = FIREWALLS[kind]
    with made(request, fabric, overlay={"underlay": underlay}) as cluster:
        one, _ = cluster.nodes
        a, b = pair(cluster)
        assert reach(a, b)
        close(one)
        assert not pings_marked(b, a.address(4)), "the guard leaves it to the stack, which drops it"
        line, = overlay_firewall(one)
        assert line["state"] == "warn" and f"UDP to port {PORT}" in line["text"], line
        one.run(shlex.split(line["fix"]))
        assert pings_marked(b, a.address(4)) and reach(a, b)
        assert not overlay_firewall(one)


def pings_marked(place, address):
    """As a sender says that takes marks of congestion: ECT(1)."""
    return place.run(["ping", "-c1", "-W2", "-Q", "1", address], check=False).returncode == 0


def overlay_firewall(node):
    found = json.loads(node.picket("check", "-json", check=False).stdout)
    return [line for line in found if line["what"] == "firewall" and "through the overlay" in line["text"]]


@pytest.mark.parametrize("underlay", ["ipv4", "ipv6"])
def test_the_nodes_own_processes(request, fabric, underlay):
    """With a cgroup named, none of it sends to the overlay's port, connected or not; the kernel's tunnels and other ports go on."""
    with made(request, fabric, overlay={"underlay": underlay}) as cluster:
        one, two = cluster.nodes
        group = Cgroup(one)
        one.start_picketd(cluster.config(one, cgroup=group.path), wait=False)
        two.start_picketd(cluster.config(two), wait=False)
        for node in cluster.nodes:
            node.picketd_serves()
        a, b = one.add("acme", "api", "web"), two.add("acme", "db", "db")
        knows(one, 2)
        knows(two, 2)
        mirror, there = Mirror(two.inside(), 9), cluster.addresses(2)
        try:
            for address in there:
                for kind in "udp", "unconnected":
                    assert group.ask(kind, address, PORT) == {"error": "PermissionError"}
                    assert "said" in group.ask(kind, address, 9), "another port"
                assert group.ask("tcp", address, PORT) == {"error": "ConnectionRefusedError"}, "the number of another protocol"
            assert group.ask("unconnected", f"::ffff:{there[0]}", PORT) == {"error": "PermissionError"}
            assert group.ask("unconnected", there[0], PORT, inside=False, timeout=1) != {"error": "PermissionError"}, "who isn't in it is the firewall's"
        finally:
            mirror.close()
        assert reach(a, b)
        mirror = Mirror(a.inside(), PORT)
        try:
            one.policy("host.json", {"rules": [{"endpointSelector": {}, "ingress": [{"fromEntities": ["host"]}, {"fromEndpoints": [{}]}]}]})
            wait_for(lambda: "said" in group.ask("udp", a.address(4), PORT, timeout=2), "an endpoint's port of that number is its own")
        finally:
            mirror.close()


def test_two_clusters_on_one_wire(cluster, fabric, request):
    """That share a Consul, a segment and the port, and not the identifier: neither believes the other's nodes."""
    with made_cluster(f"{request.node.name}-other", fabric, count=0, overlay={"vni": 113}) as other:
        for i in 3, 4:
            other.more(i)
        a, b = pair(cluster)
        c, d = pair(other)
        assert reach(a, b) and reach(c, d)
        here, there = cluster.addresses(1)[0], other.addresses(3)[0]
        for vni in 112, 113:
            with proving(cluster.nodes[0].tables, 0, INGRESS, "overlay-foreign"):
                send(other.nodes[0], wrapped(c.address(4), a.address(4), vni), here, source=there)
        assert not pings(a, c.address(4), QUICK) and not pings(c, a.address(4), QUICK)
        assert reach(a, b) and reach(c, d)


@pytest.mark.parametrize("underlay", ["ipv4", "ipv6"])
def test_the_network_between_carries_less(request, fabric, underlay):
    """A router with a smaller MTU: the operator says what fits, and a stack's 64 KiB go in whole and arrive."""
    with made(request, fabric, routed=True, overlay={"underlay": underlay}, conf={"mode": "process", "mtu": 1400 - 70}) as cluster:
        fabric.node.run(["ip", "link", "set", "p2", "mtu", "1400"])
        a, b = pair(cluster)
        for source, target in (a, b), (b, a):
            for family in 4, 6:
                send_much(source, target, target.address(family))
        assert a.links()["eth0"]["mtu"] == 1330


def remade(layer):
    """What it is with every length and checksum computed anew."""
    layer = layer.copy()
    for each in (IP, IPv6, TCP):
        if each in layer:
            for field in ("len", "plen", "chksum"):
                if hasattr(layer[each], field):
                    delattr(layer[each], field)
    return bytes(layer)


def test_what_a_card_can_cut_goes_out_whole(cluster, fabric):
    """A stack's segments of 64 KiB stay one packet through guard, device and uplink: one tunnel header for many segments."""
    one, _ = cluster.nodes
    a, b = pair(cluster)
    for family in 4, 6:
        with PacketSocket(fabric.node.net, "p1") as wire:
            send_much(a, b, b.address(family), 1 << 20)
            seen = [Ether(frame) for frame in wire.drain()]
        whole = [frame for frame in seen if UDP in frame and frame[UDP].dport == PORT and frame[IP].src == cluster.addresses(1)[0]]
        assert max(map(len, whole)) > 20000 and len(whole) < (1 << 20) / 1500, sorted(map(len, whole))[-5:]


def test_a_card_that_cuts_nothing(cluster, fabric):
    """What goes out whole elsewhere is cut by the kernel there, and each piece's headers are right, outside and inside."""
    one, _ = cluster.nodes
    a, b = pair(cluster)
    switch(one.net, "up0", 0x17, 0)		# as a card that neither sums up nor cuts: ETHTOOL_STXCSUM off takes segmentation with it
    for family in 4, 6:
        with PacketSocket(fabric.node.net, "p1") as wire:
            send_much(a, b, b.address(family), 1 << 20)
            sent = [Ether(frame) for frame in wire.drain()]
        sent = [frame for frame in sent if UDP in frame and frame[UDP].dport == PORT and frame[IP].src == cluster.addresses(1)[0]]
        inner = [VXLAN(bytes(frame[UDP].payload)) for frame in sent]
        assert sum(len(packet[TCP].payload) for packet in inner if TCP in packet) > 100000, "it was seen"
        assert max(map(len, sent)) == 1514, "full ones, and none is longer"
        for frame, packet in zip(sent, inner):
            assert frame[IP].len == len(frame) - 14 and frame[UDP].len == frame[IP].len - 20 and frame[UDP].chksum == 0
            assert sum16(bytes(frame[IP])[:20]) == 0 and frame[IP].flags == "DF" and packet.vni == VNI
            assert bytes(packet[Ether]) == remade(packet[Ether])
