# SPDX-License-Identifier: Apache-2.0
"""
"attach": "host-tap": the tap in the node's own netns, handed over by picketd as descriptors. The guard itself is tried there in
test_guard_tap.py, what waits in its queues in test_tap_memory.py, a real VMM in e2e/test_host_tap.py.
"""
import array
import contextlib
import fcntl
import json
import os
import signal
import socket
import struct

import pytest
from harness import Snapshot, Tap, netns, wait_for
from harness.frames import await_carrier
from harness.machine import Machine
from harness.servers import Mirror, connect, exchange, pings
from harness.servers import ask as ask_server
from harness.shared import shared_node
from harness.shell import binary
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from test_cni_kill import OF_DEL, POINTS, gone, killed
from test_published import mapping
from test_world import NODE

GATEWAY_MAC = "02:70:6b:00:00:01"
OWNER, GROUP = 1000, 1001
WHO, STRANGER = (OWNER, GROUP), (2000, 2000)
CONF = {"attach": "host-tap", "owner": OWNER, "group": GROUP}
QUESTION = {"version": 1, "endpoint": ""}
TUNSETPERSIST, TUNSETOWNER, TUNSETVNETHDRSZ, TUNGETVNETHDRSZ, TUNGETIFF = (
    0x400454CB, 0x400454CC, 0x400454D8, 0x800454D7, 0x800454D2)
OUR_POINTS = [p for p in POINTS if p in (
    "tap-owned", "plumb-host-tap", "add-made", "add-written", "add-guarded", "add-up", "add-tested", "add-recorded", "add-opened")]


@pytest.fixture(scope="module")
def node(request):
    with shared_node(request, config={"nomad": None}, conf=CONF) as node:
        yield node


@pytest.fixture
def a(node):
    alloc = node.add("acme", "api", "web")
    yield alloc
    node.delete(alloc)


def connected(node, net, credentials=None):
    """A socket to picketd that a process of these credentials connected in that netns, for this process to use."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    pid = os.fork()
    if pid == 0:
        try:
            netns.entering(net, credentials=credentials)()
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            client.connect(f"{node.root}/run/picket/tap.sock")
            theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [client.fileno()]))])
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 1)
    theirs.close()
    _, status = os.waitpid(pid, 0)
    assert status == 0, os.strerror(os.waitstatus_to_exitcode(status))
    fds = array.array("i")
    fds.frombytes(ours.recvmsg(1, socket.CMSG_SPACE(4))[1][0][2][:4])
    ours.close()
    client = socket.socket(fileno=fds[0])
    client.settimeout(60)
    return client


def ask(node, net, credentials=None, question=QUESTION):
    """(answer, descriptors) of one question."""
    with connected(node, net, credentials) as client:
        client.send(question if isinstance(question, bytes) else json.dumps(question).encode())
        return hear(client)


def hear(client):
    fds = array.array("i")
    text, ancillary, _, _ = client.recvmsg(4096, socket.CMSG_SPACE(16 * fds.itemsize))
    for _, _, data in ancillary:
        fds.frombytes(data[:len(data) // fds.itemsize * fds.itemsize])
    return (json.loads(text) if text else None), list(fds)


class Handed(Tap):
    """A tap of descriptors that were handed over."""

    def __init__(self, alloc, fds):		# pylint: disable=super-init-not-called
        self.fd, self.rest = fds[0], fds[1:]
        os.set_blocking(self.fd, True)
        await_carrier(self.fd, alloc.node.net, f"pk{alloc.slot}")

    def close(self):
        for fd in self.rest:
            os.close(fd)
        self.rest = []
        super().close()


def handed(node, alloc, credentials=WHO):
    answer, fds = ask(node, alloc.net, credentials)
    assert fds, answer
    return Handed(alloc, fds)


def udp(a, b, family=4):
    ip = IP(src=a.address(4), dst=b.address(4)) if family == 4 else IPv6(src=a.address(6), dst=b.address(6))
    return bytes(Ether(src=a.mac, dst=GATEWAY_MAC) / ip / UDP(sport=40000, dport=9) / b"xyz")


def is_udp(raw):
    return Ether(raw).haslayer(UDP) and Ether(raw)[UDP].dport == 9


def of_gateway(a, family):
    echo = (IP(src=a.address(4), dst=a.gateway) / ICMP(id=3) if family == 4
            else IPv6(src=a.address(6), dst="fe80::1") / ICMPv6EchoRequest(id=3))
    return bytes(Ether(src=a.mac, dst=GATEWAY_MAC) / echo / b"x")


def links(node):
    return {link["ifname"]: link for link in node.json(["ip", "-j", "-d", "addr"])}


def filters(node, device, way):
    return [f["options"]["bpf_name"].split("[")[0].rstrip(":") for f in
            node.json(["tc", "-j", "filter", "show", "dev", device, way]) if "bpf_name" in f.get("options", {})]


# -- the device, and what is where


def test_what_add_makes(node, a):
    """The tap is root's alone, down to its addresses; in the alloc's netns there is a loopback, which is up."""
    device = f"pk{a.slot}"
    link = links(node)[device]
    assert link["linkinfo"]["info_kind"] == "tun" and link["linkinfo"]["info_data"]["persist"]
    assert link["linkinfo"]["info_data"]["user"] == "root" and "UP" in link["flags"]
    assert link["addr_info"] == [] and link["txqlen"] == 240
    assert "addrgenmode none" in node.run(["ip", "-d", "link", "show", device]).stdout
    sysctl = node.run(["sysctl", "-n", *(f"net.ipv4.conf.{device}.{key}" for key in ("arp_ignore", "arp_announce"))])
    assert sysctl.stdout.split() == ["8", "2"]
    assert a.links().keys() == {"lo"} and "UP" in a.links()["lo"]["flags"]
    assert a.result["interfaces"] == [{"name": device, "mac": GATEWAY_MAC},
                                      {"name": "eth0", "mac": a.mac, "sandbox": a.id}]
    assert [ip["interface"] for ip in a.result["ips"]] == [1, 1]
    driver = a.driver_file()
    assert (driver["tap"], driver["attach"], driver["mac"]) == (device, "host-tap", a.mac)
    [endpoint] = [e for e in node.api("/v1/endpoints")["endpoints"] if e["containerId"] == a.id]
    assert endpoint["hostTap"] is True and endpoint["mode"] == "vm"


@pytest.mark.parametrize("credentials", (WHO, STRANGER))
def test_nobody_opens_it_by_its_name(node, a, credentials):
    """The conflist's owner asks picketd; by its name the kernel gives it to root alone."""
    with pytest.raises(PermissionError):
        Tap(node.net, f"pk{a.slot}", credentials)


@pytest.mark.parametrize("family", (4, 6))
def test_both_kinds_of_endpoints_reach_each_other(node, family):
    kinds = ("host-tap", "netns-tap", "host-tap")
    ends = [node.add("acme", f"job{i}", "g", conf=node.plugin_conf(attach=kind)) for i, kind in enumerate(kinds)]
    other = node.add("beta", "job", "g")
    taps = {end.id: end.tap() for end in (*ends, other)}
    for x in ends:
        for y in ends:
            if x is y:
                continue
            taps[x.id].send(udp(x, y, family))
            got = taps[y.id].receive(is_udp)
            assert got and Ether(got).dst == y.mac and Ether(got).src == GATEWAY_MAC
            assert Ether(got).payload.fields["ttl" if family == 4 else "hlim"] == 63
        taps[x.id].send(of_gateway(x, family))		# what the guard answers comes back
        assert taps[x.id].receive(lambda raw, x=x: Ether(raw).dst == x.mac and not is_udp(raw))
        taps[x.id].send(udp(x, other, family))
        taps[other.id].send(udp(other, x, family))
        assert taps[other.id].receive(is_udp, 0.2) is None and taps[x.id].receive(is_udp, 0.2) is None
    for end in (*ends, other):
        taps[end.id].close()
        node.delete(end)


@pytest.mark.parametrize("attach", ("host-tap", "netns-tap"))
def test_real_stacks_the_world_the_node_and_published_ports(node, attach):
    """A host tap's machine asks the world, publishes a port, and is asked by the node; its peer is of either kind."""
    web = Machine(node.add("acme", "web", "web", conf=node.plugin_conf(
        masquerade={"ipv6": True}, runtimeConfig={"portMappings": mapping()})))
    api = Machine(node.add("acme", "api", "api", conf=node.plugin_conf(attach=attach)))
    servers = [Mirror(node.world.inside(), 80), Mirror(web.inside(), 80)]
    try:
        for kind in ("tcp", "udp"):
            for family in (4, 6):
                world = node.world.address if family == 4 else node.world.address6
                assert ask_server(web, kind, world, 80)[0] == NODE[family]
                assert ask_server(node.world, kind, NODE[family], 28080)[0] == world
                assert ask_server(api, kind, NODE[family], 28080)[0] == api.address(family)
                assert ask_server(api, kind, web.address(family), 80)[0] == api.address(family)
        with connect(api, "tcp", web.address(), 80) as lasting:
            assert all(exchange(lasting) for _ in range(20))
        assert pings(web, node.world.address)
    finally:
        for each in (*servers, web, api):
            each.close()
        for each in (web, api):
            node.delete(each.alloc)


def test_the_node_s_own_packets_are_judged(node, a):
    """At the tap's egress the stack's packets meet the policy, though what the guard delivers there doesn't again."""
    with a.tap() as tap:
        node.run(["ping", "-c", "1", "-W", "1", a.address()], check=False)
        assert tap.receive(lambda raw: Ether(raw).haslayer(ICMP), 0.5) is None
        b = node.add("acme", "b", "b")
        with b.tap() as peer:
            peer.send(udp(b, a))
            assert tap.receive(is_udp)
        node.delete(b)


# -- handing over


def test_its_owner_gets_it_out_of_its_netns(node, a):
    answer, fds = ask(node, a.net, WHO)
    assert (answer["device"], answer["mac"], answer["mtu"], answer["queues"]) == (f"pk{a.slot}", a.mac, 1500, 1)
    assert len(fds) == 1
    name, flags = struct.unpack_from("16sH", fcntl.ioctl(fds[0], TUNGETIFF, bytes(40)))
    assert name.rstrip(b"\0").decode() == f"pk{a.slot}" and flags & 0x5002 == 0x5002		# IFF_TAP, _NO_PI, _VNET_HDR
    with Handed(a, fds) as tap:
        tap.send(of_gateway(a, 4))
        assert tap.receive(lambda raw: Ether(raw).haslayer(ICMP))


def test_who_may_not_have_it(node, a):
    """Another uid, another group, another netns (the node's own too), another endpoint's owner: nothing, and no word of what is there."""
    other = node.add("beta", "b", "b", conf=node.plugin_conf(owner=STRANGER[0], group=STRANGER[1]))
    named = {**QUESTION, "endpoint": a.id}
    refused = [ask(node, a.net, who) for who in (STRANGER, (OWNER, 2000), (2000, GROUP))]
    refused += [ask(node, net, WHO, named) for net in (node.net, other.net, "/proc/self/ns/net")]
    refused += [ask(node, other.net, STRANGER, {**QUESTION, "endpoint": name}) for name in (a.id, f"pk{a.slot}", f"{a.id}@eth0")]
    refused += [ask(node, other.net, STRANGER, {**QUESTION, "endpoint": "no-such-endpoint"})]
    for answer, fds in refused:
        assert not fds and answer["error"].startswith("there is no host tap for you") and answer["fix"]
    assert ask(node, a.net, (OWNER, 2000, GROUP))[1]		# the group may be one of several
    node.delete(other)


def test_root_names_it_from_anywhere(node, a):
    for name in (a.id, f"{a.id}@eth0", f"pk{a.slot}"):
        _, fds = ask(node, node.net, None, {**QUESTION, "endpoint": name})
        assert len(fds) == 1
        os.close(fds[0])
    answer, fds = ask(node, node.net)
    assert not fds and answer["error"]


GARBAGE = (b"{", b"[]", b"null", b"\0" * 100, b'{"version":2}', b'{"version":1,"endpoint":7}', b'{"version":1,"more":1}',
           b'{"version":1,"endpoint":"' + b"x" * 400 + b'"}', b"x" * 100000, json.dumps(QUESTION).encode() * 2)


def descriptors(node):
    return len(os.listdir(f"/proc/{node.picketd.pid}/fd"))


def test_garbage_slow_clients_and_many(node, a):
    """Whatever a stranger sends or doesn't send: he gets an error, holds few descriptors, and the owner gets his tap."""
    before = descriptors(node)
    for text in GARBAGE:
        answer, fds = ask(node, a.net, STRANGER, text)
        assert not fds and answer["error"], text
    with connected(node, a.net, STRANGER) as full:
        full.sendmsg([json.dumps(QUESTION).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [full.fileno()] * 200))])
        assert hear(full)[0]["error"]
    idle = [connected(node, node.net, STRANGER) for _ in range(60)]
    handed(node, a).close()
    wait_for(lambda: descriptors(node) <= before + 16, "no more than are let in")
    for client in idle:
        client.close()
    wait_for(lambda: descriptors(node) <= before, "picketd's descriptors to be closed")
    node.api("/v1/status")


def accepted(node, a):
    """How many connections to the tap's socket that were made in the alloc's netns picketd has taken; they are of that one."""
    sockets = [line.split() for line in a.run(["cat", "/proc/net/unix"]).stdout.splitlines() if line.endswith("/tap.sock")]
    inodes = {f"socket:[{words[6]}]" for words in sockets}
    directory = f"/proc/{node.picketd.pid}/fd"
    held = set()
    for name in os.listdir(directory):
        with contextlib.suppress(FileNotFoundError):
            held.add(os.readlink(f"{directory}/{name}"))
    return len(inodes & held)


def test_picketd_without_descriptors(node, a):
    """It says so, spins not, and hands over once there are some."""
    pid = node.picketd.pid
    limit = int(node.run(["prlimit", "-p", str(pid), "-n", "-o", "SOFT", "--noheadings"]).stdout)
    wait_for(lambda: not accepted(node, a), "those of before to be closed")
    client = connected(node, a.net, WHO)
    wait_for(lambda: accepted(node, a), "picketd to take the connection")
    try:
        node.run(["prlimit", "-p", str(pid), "--nofile=3:"])		# those of every process: none is free
        client.send(json.dumps(QUESTION).encode())
        answer, fds = hear(client)
        assert not fds and answer["later"] is True and answer["error"]
    finally:
        node.run(["prlimit", "-p", str(pid), f"--nofile={limit}:"])
        client.close()
    handed(node, a).close()


def test_one_at_a_time_and_then_the_next(node, a):
    """While a VMM has it there is none for another; what it set on the tap is undone for the next one."""
    with handed(node, a) as first:
        answer, fds = ask(node, a.net, WHO)
        assert not fds and "in use" in answer["error"] and answer["later"] is True
        fcntl.ioctl(first.fd, TUNSETVNETHDRSZ, struct.pack("i", 12))
        fcntl.ioctl(first.fd, TUNSETOWNER, STRANGER[0])
        first.offload(7)
    with handed(node, a) as second:
        assert struct.unpack("i", fcntl.ioctl(second.fd, TUNGETVNETHDRSZ, bytes(4))) == (10,)
        assert links(node)[f"pk{a.slot}"]["linkinfo"]["info_data"]["user"] == "root"
        second.send(of_gateway(a, 4))
        assert second.receive(lambda raw: Ether(raw).haslayer(ICMP))
    b = node.add("acme", "b", "b")
    with pytest.raises(PermissionError):
        Tap(node.net, f"pk{a.slot}", STRANGER)
    node.delete(b)


def test_several_queues_come_together(node):
    alloc = node.add("acme", "a", "a", conf=node.plugin_conf(queues=4))
    answer, fds = ask(node, alloc.net, WHO)
    assert answer["queues"] == 4 and len(fds) == 4
    more, none = ask(node, alloc.net, WHO)
    assert not none and "in use" in more["error"]
    Handed(alloc, fds).close()
    handed(node, alloc).close()
    node.delete(alloc)


def test_a_tap_that_its_vmm_took_away(node):
    """It can (TUNSETPERSIST needs no capability). That is said; CHECK makes it again, guarded, and it is handed over."""
    alloc = node.add("acme", "a", "a")
    with handed(node, alloc) as tap:
        fcntl.ioctl(tap.fd, TUNSETPERSIST, 0)
    wait_for(lambda: gone(node, f"pk{alloc.slot}:"), "the tap to go")
    answer, fds = ask(node, alloc.net, WHO)
    assert not fds and "is gone" in answer["error"] and answer["fix"]
    node.check(alloc)
    assert filters(node, f"pk{alloc.slot}", "ingress") == ["pk_from_endpoint"]
    assert filters(node, f"pk{alloc.slot}", "egress") == ["pk_to_endpoint"]
    fds = wait_for(lambda: ask(node, alloc.net, WHO)[1], "picketd to know the new one")
    with Handed(alloc, fds) as tap:
        tap.send(of_gateway(alloc, 4))
        assert tap.receive(lambda raw: Ether(raw).haslayer(ICMP))
    node.delete(alloc)


def test_a_vmm_outlives_picketd(make_node):
    """Its packets go on without one; a new one knows that the tap is in use, and hands it over when it isn't."""
    node = make_node(config={"nomad": None}, conf=CONF)
    node.start_picketd()
    alloc = node.add("acme", "a", "a")
    tap = handed(node, alloc)
    node.kill_picketd()
    tap.send(of_gateway(alloc, 4))
    assert tap.receive(lambda raw: Ether(raw).haslayer(ICMP))
    waiting = alloc.popen([binary("picket"), "-root", node.root, "tap", "-wait", "60s", "--", "true"], credentials=WHO)
    node.start_picketd()
    answer, fds = ask(node, alloc.net, WHO)
    assert not fds and "in use" in answer["error"]
    tap.send(of_gateway(alloc, 4))
    assert tap.receive(lambda raw: Ether(raw).haslayer(ICMP))
    assert waiting.poll() is None
    tap.close()
    assert waiting.wait(30) == 0		# it waited for picketd, and for the VMM of before
    handed(node, alloc).close()


def picket_tap(node, alloc, *command, credentials=WHO, options=()):
    return alloc.run([binary("picket"), "-root", node.root, "tap", *options, "--", *command], credentials=credentials, check=False)


def test_picket_tap_becomes_the_vmm(node, a):
    script = ("import fcntl,os;"
              "print(os.environ['PICKET_TAP_FDS'], os.environ['PICKET_TAP_MAC'], os.environ['PICKET_TAP_MTU'],"
              f"fcntl.ioctl(3, {TUNGETIFF}, bytes(40))[:16].rstrip(bytes(1)).decode(), sorted(map(int, os.listdir('/proc/self/fd')))[:4])")
    done = picket_tap(node, a, "/usr/bin/python3", "-c", script)
    assert done.stdout.strip() == f"3 {a.mac} 1500 pk{a.slot} [0, 1, 2, 3]", done.stderr
    assert picket_tap(node, a, "sh", "-c", "kill -PIPE $$; echo alive").stdout == ""		# no signal stays ignored
    named = node.run([binary("picket"), "-root", node.root, "tap", "-endpoint", f"pk{a.slot}", "--", "true"], check=False)
    assert named.returncode == 0, named.stderr
    wrong = picket_tap(node, a, "/no/such/vmm")
    assert wrong.returncode == 2 and "run /no/such/vmm" in wrong.stderr and "fix: " in wrong.stderr
    denied = picket_tap(node, a, "true", credentials=STRANGER, options=("-wait", "0.2s"))
    assert denied.returncode == 2 and "no host tap for you" in denied.stderr and "fix: " in denied.stderr
    assert picket_tap(node, a).returncode == 2


# -- its end


def test_del_takes_it_from_its_vmm_at_once(make_node):
    """On a node of its own: nothing of earlier endpoints ends meanwhile."""
    node = make_node(config={"nomad": None}, conf=CONF)
    node.start_picketd()
    node.delete(node.add("acme", "warm", "up"))		# what its tenant's rule sets take stays
    before = Snapshot(node)
    alloc = node.add("acme", "a", "a")
    with handed(node, alloc) as tap:
        node.cni("DEL", alloc.id, alloc.path)
        assert gone(node, f"pk{alloc.slot}:") and not node.records()
        with pytest.raises(OSError):
            tap.send(of_gateway(alloc, 4))
    node.drop_netns(alloc)
    before.assert_same(Snapshot(node), ignore=("table labels", "table bases", "table answers"))


def without_del(node):
    alloc = node.add("acme", "a", "a")
    node.drop_netns(alloc)
    assert not gone(node, f"pk{alloc.slot}:")
    return alloc


def test_a_netns_that_went_without_del(make_node):
    """
    The tap stays and is no witness of a life: the operator's sweep takes it along, and picketd's own. No picketd runs before, since its
    sweep may come at any moment.
    """
    node = make_node(uplink=False, config={"nomad": None}, conf=CONF)
    alloc = without_del(node)
    shown = node.picket("sweep", check=False).stdout
    assert alloc.id in shown and "its host tap is left" in shown, shown
    node.picket("sweep", "-apply", check=False)
    assert gone(node, f"pk{alloc.slot}:") and not node.records() and not node.leases()
    alloc = without_del(node)
    node.start_picketd()
    wait_for(lambda: gone(node, f"pk{alloc.slot}:") and not node.records() and not node.leases(), "picketd to take the tap")


def test_a_live_one_is_no_orphan(node, a):
    assert a.id not in node.picket("sweep", "-apply", check=False).stdout
    assert not gone(node, f"pk{a.slot}:") and node.tables.word(a.slot)[2]


def test_killed_adds_and_dels_leave_nothing(make_node):
    """At every step of a host tap's way; what an ADD that never comes again left is the sweep's."""
    if not POINTS:
        pytest.skip("no test build of the plugin: make FAULTS=1 all")
    node = make_node(uplink=False, conf=CONF)
    warm = node.add("acme", "warm", "up")
    node.delete(warm)
    before = Snapshot(node)
    for point in OUR_POINTS:
        alloc = node.add("acme", "a", "a") if point.startswith("del-") else node.new_netns("killed-" + point)
        assert killed(node, "ADD", alloc, point), point
        alloc.result = node.cni("ADD", alloc.id, alloc.path, args="NOMAD_NAMESPACE=acme")		# Nomad's second try
        assert node.tables.word(alloc.slot)[2] and filters(node, f"pk{alloc.slot}", "ingress") == ["pk_from_endpoint"], point
        node.delete(alloc)
        assert gone(node, "pk"), point
        alloc = node.new_netns("dead-" + point)
        assert killed(node, "ADD", alloc, point), point
        node.cni("DEL", alloc.id, alloc.path)
        node.drop_netns(alloc)
        assert gone(node, "pk"), point
    for point in OF_DEL:
        alloc = node.add("acme", "a", "a")
        killed(node, "DEL", alloc, point)
        node.drop_netns(alloc)
        node.picket("sweep", "-apply", check=False)
        assert gone(node, "pk"), point
    before.assert_same(Snapshot(node), ignore=("table labels", "locks"))


def test_after_a_reboot_the_address_comes_back(make_node):
    node = make_node(uplink=False, conf=CONF)
    alloc = node.add("acme", "a", "a")
    node.reboot()
    again = node.new_netns(alloc.id)
    again.result = node.cni("ADD", alloc.id, again.path, args=alloc.args)
    assert again.address() == alloc.address() and links(node)[f"pk{again.slot}"]["linkinfo"]["info_kind"] == "tun"


def test_check_and_audit_mend_its_guard_and_settings(node, a):
    device = f"pk{a.slot}"
    for way in ("ingress", "egress"):
        node.run(["tc", "filter", "del", "dev", device, way])
    node.run(["sysctl", "-qw", f"net.ipv4.conf.{device}.forwarding=0"])
    node.check(a)
    assert filters(node, device, "ingress") == ["pk_from_endpoint"] and filters(node, device, "egress") == ["pk_to_endpoint"]
    assert node.run(["sysctl", "-n", f"net.ipv4.conf.{device}.forwarding"]).stdout.strip() == "1"
    node.run(["tc", "filter", "del", "dev", device, "egress"])
    wait_for(lambda: filters(node, device, "egress") == ["pk_to_endpoint"], "the audit to put it back")


def test_process_mode_has_no_tap_to_attach(node):
    with pytest.raises(Exception, match="\"mode\": \"process\" makes no tap"):
        node.add("acme", "a", "a", conf=node.plugin_conf(mode="process"))
