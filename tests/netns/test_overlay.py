# SPDX-License-Identifier: Apache-2.0
"""Nodes whose network knows nothing but the nodes' own addresses: packets in VXLAN, and who is believed to send them."""
import socket
import threading

import pytest
from harness import EGRESS, INGRESS, CniError, netns, proving
from harness.overlay import DEVICE, PORT, VNI, device, knows, made, pair, reach, reasons, reload, routes, send, send_much, start, wrapped
from harness.servers import QUICK, Mirror, ask, connect, exchange, pings
from harness.shell import wait_for

ETH_P_ALL, OUTGOING = 3, 4
TAKES = {"ipv4": 50, "ipv6": 70}	# bytes of each packet


@pytest.fixture(name="routed", params=["ipv4", "ipv6"])
def routed_fixture(request, fabric):
    """Behind a router that knows no block."""
    with made(request, fabric, routed=True, overlay={"underlay": request.param}) as cluster:
        yield cluster


@pytest.fixture(name="cluster")
def cluster_fixture(request, fabric):
    """On a segment that all share, strangers too."""
    with made(request, fabric) as cluster:
        yield cluster


class Frames:
    """The longest frame that the uplink is given to send while it goes on."""

    def __init__(self, node):
        with netns.inside(node.net):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind(("up0", ETH_P_ALL))
        self.socket.settimeout(0.1)
        self.longest, self.stopped = 0, threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def look(self):
        while True:
            try:
                frame, (_, _, kind, *_) = self.socket.recvfrom(1 << 17)
            except TimeoutError:
                if self.stopped.is_set():		# and all that was queued is read
                    return
                continue
            if kind == OUTGOING:
                self.longest = max(self.longest, len(frame))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stopped.set()
        self.thread.join()
        self.socket.close()


def arrived(node, alloc):
    return [{key: n for key, n in node.tables.counters(slot).items() if key[0] == INGRESS} for slot in (0, alloc.slot)]


def test_a_tenant_reaches_its_own_alone(routed):
    one, two = routed.nodes
    underlay = routed.overlay["underlay"]
    a, b = pair(routed)
    c = two.add("other", "x", "x")
    mtu = 1500 - TAKES[underlay]
    assert set(routes(one).values()) == {DEVICE}
    link = device(one)
    assert link["mtu"] == mtu == a.links()["eth0"]["mtu"], "the endpoints' MTU is what the overlay leaves"
    assert link["linkinfo"]["info_data"]["external"] and not link["linkinfo"]["info_data"]["learning"]
    assert link["linkinfo"]["info_data"]["port_range"] == {"low": 49152, "high": 65535}, "as the guard's own"
    mirror = Mirror(b.inside(), 5000)
    try:
        for family, head in (4, 28), (6, 48):
            assert pings(a, b.address(family)) and pings(b, a.address(family))
            assert a.run(["ping", "-c1", "-W10", "-M", "do", "-s", str(mtu - head), b.address(family)], check=False).returncode == 0, "a full one"
            for kind in "tcp", "udp":
                assert ask(a, kind, b.address(family), 5000)[0] == a.address(family), "with its own address, never masqueraded"
            with Frames(one) as frames:
                send_much(a, b, b.address(family))
            assert frames.longest > 2 * mtu, "what the stack left to the device to cut goes out whole"
    finally:
        mirror.close()
    assert one.run(["bridge", "fdb", "show", "dev", DEVICE]).stdout == "", "nothing is learned, nobody is flooded"
    for family in 4, 6:
        with proving(one.tables, a.slot, EGRESS, "policy-denied"):
            assert not pings(a, c.address(family), QUICK), "of the other tenant's nothing is known here"
        with proving(two.tables, c.slot, EGRESS, "policy-denied"):
            assert not pings(c, a.address(family), QUICK)
    for node in routed.nodes:
        wait_for(lambda node=node: node.api("/v1/status")["state"] == "ok", lambda node=node: node.api("/v1/status")["reasons"])
    said = one.picket("check", check=False).stdout
    assert f"{DEVICE}: UDP port {PORT} over {underlay.replace('ip', 'IP')}, identifier {VNI}, MTU {mtu}" in said, said
    before = arrived(two, b)
    assert one.run(["ping", "-c1", "-W1", b.address(4)], check=False).returncode, "the node's own processes have no tunnel"
    assert before == arrived(two, b), "nothing of theirs came there"


def test_another_tenants_is_denied_where_it_arrives(cluster):
    """A node that lets anything out: the other end's verdict holds."""
    one, two = cluster.nodes
    start(cluster)
    a, c = one.add("acme", "api", "web"), two.add("other", "x", "x")
    one.policy("open.json", {"rules": [{"endpointSelector": {"matchLabels": {"nomad:namespace": "acme"}},
                                        "egress": [{"toEndpoints": [{"matchLabels": {"nomad:namespace": "other"}}]}]}]})
    wait_for(lambda: one.tables.count("remote") == 2, "a tenant that a policy names is asked for", 90)
    wait_for(lambda: len(routes(two)) == 2, "routes")
    with proving(two.tables, c.slot, INGRESS, "policy-denied"):
        assert not pings(a, c.address(4), QUICK)


@pytest.fixture(name="wide")
def wide_fixture(request, fabric):
    """Whose endpoints have a larger MTU than the overlay carries, as those of before the overlay."""
    with made(request, fabric, conf={"mode": "process", "mtu": 1500}) as cluster:
        yield cluster


def test_the_way_is_narrower_than_the_endpoint(wide):
    """Path MTU discovery: the guard says what fits, and what is sent then arrives."""
    a, b = pair(wide)
    said = a.run(["ping", "-c1", "-W5", "-M", "do", "-s", "1472", b.address(4)], check=False).stdout
    assert "mtu = 1450" in said, said
    for family in 4, 6:
        send_much(a, b, b.address(family))
    said = wide.nodes[0].picket("check", check=False).stdout
    assert '"mtu": 1500, and the overlay leaves 1450' in said, said


# docs/install.md, "Several nodes": on a node, too, the port is nobody's but the kernel's.
FIREWALL = f"""
table inet overlay {{
    chain output {{ type filter hook output priority 0; meta skuid >= 0 udp dport {PORT} drop; }}
    chain forward {{ type filter hook forward priority 0; udp dport {PORT} drop; }}
}}
"""


@pytest.fixture(name="three")
def three_fixture(request, fabric):
    with made(request, fabric, count=3) as cluster:
        yield cluster


def test_who_writes_another_is_nobody(three):
    """A stranger of the segment, one with a node's address, and a node that lies."""
    one, two, _ = three.nodes
    a, b = pair(three)
    assert reach(a, b)
    here, there = three.addresses(1)[0], three.addresses(2)[0]
    stranger = three.stranger(9)
    mac = one.json(["ip", "-j", "link", "show", "dev", "up0"])[0]["address"]
    # Nobody's neighbours are to be led astray by it: what is tried is the guard.
    stranger.run(["ip", "addr", "add", f"{there}/32", "dev", "lo"])
    stranger.run(["sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2"])
    stranger.run(["ip", "neigh", "replace", here, "lladdr", mac, "dev", "up0", "nud", "permanent"])
    good = wrapped(b.address(4), a.address(4))
    with proving(one.tables, 0, INGRESS, "overlay-foreign"):
        send(stranger, good, here)
    with proving(one.tables, 0, INGRESS, "overlay-foreign"):
        send(stranger, good, here, source=there)
    with proving(one.tables, 0, INGRESS, "overlay-vni"):
        send(two, wrapped(b.address(4), a.address(4), VNI + 1), here, source=there)
    with proving(one.tables, a.slot, INGRESS, "spoofed-remote"):
        send(two, wrapped("10.64.3.7", a.address(4)), here, source=there)	# of the third node's block
    with proving(one.tables, a.slot, INGRESS, "spoofed-remote"):
        send(two, wrapped("8.8.8.8", a.address(4)), here, source=there)
    with proving(one.tables, a.slot, INGRESS, "spoofed-ipv4"):
        send(two, wrapped(a.address(4), a.address(4)), here, source=there)
    with proving(one.tables, 0, INGRESS, "unknown-endpoint"):
        send(two, wrapped(b.address(4), "10.64.1.250"), here, source=there)
    with proving(one.tables, a.slot, INGRESS, "ok"):
        send(two, good, here, source=there)	# what a node says of its own endpoints is its own to say
    with proving(one.tables, 0, INGRESS, "overlay-foreign"):
        send(one, wrapped(b.address(4), a.address(4)), here)	# a process of this node
    assert reach(a, b)
    two.run(["nft", "-f", "-"], stdin=FIREWALL)
    with pytest.raises(PermissionError):
        send(two, good, here, source=there)	# as root, as a task in the host's network namespace may be
    assert reach(a, b), "what the kernel itself sends is nobody's socket's"


def test_an_endpoint_builds_vxlan_itself(cluster):
    """In its node's name it would be believed: no policy opens that port, and nobody publishes it."""
    one, two = cluster.nodes
    one.policy("open.json", {"rules": [{"endpointSelector": {}, "egress": [{"toEntities": ["all"]}], "ingress": [{"fromEntities": ["all"]}]}]})
    a, b = pair(cluster)
    evil = wrapped(a.address(4), b.address(4))
    one.run(["ip", "addr", "add", "192.0.2.111/24", "dev", "up0"])
    two.run(["ip", "addr", "add", "192.0.2.112/24", "dev", "up0"])
    for to in (cluster.addresses(2)[0], "192.0.2.112", cluster.addresses(1)[0], "192.0.2.111", cluster.gateways(1)[0], "8.8.8.8"):
        with proving(one.tables, a.slot, EGRESS, "overlay-port"):
            send(a, evil, to)
    assert two.tables.counters(b.slot).get((INGRESS, "ok"), 0) == 0, "nothing of it arrived"
    mirror = Mirror(b.inside(), PORT)
    try:
        assert ask(a, "udp", b.address(4), PORT)[0] == a.address(4), "another endpoint's port of that number is its own"
    finally:
        mirror.close()
    with pytest.raises(CniError) as refused:
        one.add("acme", "x", "x", conf=one.plugin_conf(runtimeConfig={"portMappings": [{"hostPort": PORT, "containerPort": 53, "protocol": "udp"}]}))
    assert refused.value.code == 7 and "is the overlay's" in refused.value.msg, refused.value.msg


def test_the_device(cluster):
    """Deleted, set down, without its program; a foreign one of its name; another fabric; swept."""
    one, _ = cluster.nodes
    a, b = pair(cluster)
    for spoil in (["ip", "link", "del", DEVICE], ["ip", "link", "set", DEVICE, "down"], ["tc", "qdisc", "del", "dev", DEVICE, "clsact"],
                  ["ip", "link", "set", DEVICE, "mtu", "1400"], ["sysctl", "-qw", f"net.ipv4.conf.{DEVICE}.forwarding=0"]):
        one.run(spoil)
        wait_for(lambda: pings(a, b.address(4), QUICK) and pings(b, a.address(6), QUICK), f"the overlay after {spoil}", 30)
        wait_for(lambda: device(one)["mtu"] == 1450, "its MTU")
    reload(one, cluster.config(one, fabric="routed"))
    wait_for(lambda: any("fabric can't change" in text for text in reasons(one)), lambda: reasons(one))
    assert reach(a, b), "what was goes on"
    reload(one, cluster.config(one))
    wait_for(lambda: one.api("/v1/status")["state"] == "ok", lambda: reasons(one))
    one.kill_picketd()
    assert reach(a, b), "without picketd"
    one.run(["ip", "link", "del", DEVICE])
    one.run(["ip", "link", "add", DEVICE, "type", "bridge"])
    one.start_picketd(cluster.config(one))
    wait_for(lambda: any("is not Picket's" in text for text in reasons(one)), lambda: reasons(one))
    with proving(one.tables, a.slot, EGRESS, "overlay-port"):
        send(a, b"x", cluster.addresses(2)[0])
    one.kill_picketd()
    one.picket("sweep", "-all", "-apply", "-force")
    assert device(one)["linkinfo"]["info_kind"] == "bridge", "somebody else's stays"


@pytest.mark.parametrize("fabric_of", ["routed", "vxlan"])
def test_the_first_fabric_takes_nothing_away(request, fabric, fabric_of):
    """A node that had none reloads: the endpoint that lives there is known to the others, and what is too long for an overlay is told."""
    with made(request, fabric, overlay={} if fabric_of == "vxlan" else None) as cluster:
        one, two = cluster.nodes
        alone = {k: v for k, v in cluster.config(one).items() if k not in ("fabric", "vxlan")}
        one.start_picketd(alone)
        two.start_picketd(cluster.config(two))
        a, near, b = one.add("acme", "api", "web"), one.add("acme", "near", "web"), two.add("acme", "db", "db")
        assert not pings(a, b.address(4), QUICK)
        mirror = Mirror(near.inside(), 5000)
        flow = connect(a, "tcp", near.address(4), 5000)
        try:
            assert exchange(flow)
            reload(one, cluster.config(one))
            wait_for(lambda: pings(a, b.address(4), QUICK) and pings(b, a.address(6), QUICK), lambda: f"both to know both {reasons(one)}", 90)
            assert exchange(flow), "what was goes on"
        finally:
            flow.close()
            mirror.close()
        for family in 4, 6:
            send_much(a, b, b.address(family))
            send_much(b, a, a.address(family))


def test_a_node_gets_another_address(cluster):
    """It says so itself, and is believed there; the overlay goes on by the new one."""
    one, two = cluster.nodes
    a, b = pair(cluster)
    assert reach(a, b)
    two.run(["ip", "addr", "del", f"{cluster.addresses(2)[0]}/24", "dev", "up0"])
    two.run(["ip", "addr", "add", "192.0.2.62/24", "dev", "up0"])
    two.run(["ip", "route", "replace", "default", "via", cluster.gateways(2)[0]])
    wait_for(lambda: cluster.consul.get("nodes/n2")["addresses"][0] == "192.0.2.62", "the node's word", 90)
    wait_for(lambda: pings(a, b.address(4), QUICK) and pings(b, a.address(6), QUICK), "the overlay by the new address", 90)
    two.kill_picketd()
    two.picket("sweep", "-all", "-apply", "-force")
    assert device(two) is None
