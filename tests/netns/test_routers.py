# SPDX-License-Identifier: Apache-2.0
"""
A world of two routers with a small MTU between them: node - first - (1,300 bytes) - second - server, with real stacks at both
ends. What the routers say of a packet comes back through masquerade and published ports, in both families.
"""
import errno
import socket
import struct
import threading

import pytest
from harness import PacketSocket, wait_for
from harness.machine import Machine
from harness.servers import Mirror, connect
from harness.shared import shared_node
from test_published import mapping
from test_uplinks import run
from test_world import NODE, Place, sink_of, upload

NARROW, WIDE, SIZE = 1300, 1500, 1 << 20
FIRST, SECOND = {4: "192.0.2.1", 6: "2001:db8::1"}, {4: "198.51.100.2", 6: "2001:db8:a::2"}
SERVER = {4: "203.0.113.2", 6: "2001:db8:f::2"}
GATEWAY = {4: "10.40.7.1", 6: "fe80::1"}
SINK, SOURCE = 9000, 80
LEVEL = {4: socket.IPPROTO_IP, 6: socket.IPPROTO_IPV6}
TTL, DISCOVER, MTU, RECVERR = {4: 2, 6: 16}, {4: 10, 6: 23}, {4: 14, 6: 24}, {4: 11, 6: 25}
MSG_ERRQUEUE = 0x2000
FORWARDING = ("sysctl -qw net.ipv4.ip_forward=1", "sysctl -qw net.ipv6.conf.all.forwarding=1",
              "sysctl -qw net.ipv4.icmp_ratelimit=0", "sysctl -qw net.ipv6.icmp.ratelimit=0")


def listening(inside, port, serve):
    with inside:
        server = socket.socket(socket.AF_INET6)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("::", port))
        server.listen()
    threading.Thread(target=serve, args=(server,), daemon=True).start()
    return server


def source_of(server):
    """Whoever connects gets SIZE bytes."""
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client:
            client.sendall(b"x" * SIZE)


class Routers:
    """The guest is a machine behind a tap, which leaves checksums and segments to who comes after it."""

    def __init__(self, node):
        self.node, self.first = node, node.world
        self.second = Place(self.first, "mid0", "198.51.100.1/24", "198.51.100.2/24")
        self.second.node = node
        self.server = Place(self.second, "far0", "203.0.113.1/24", "203.0.113.2/24")
        # Neighbour discovery for what is forwarded is asked from the device's link-local address.
        run(node, "ip addr add fe80::2/64 dev up0 nodad")
        run(self.first, "ip addr add fe80::1/64 dev down0 nodad")
        for where, device, address in ((self.first, "mid0", "2001:db8:a::1/64"), (self.second, "eth0", "2001:db8:a::2/64"),
                                       (self.second, "far0", "2001:db8:f::1/64"), (self.server, "eth0", "2001:db8:f::2/64")):
            run(where, f"ip addr add {address} dev {device} nodad")
        run(self.first, f"ip link set mid0 mtu {NARROW}", "ip route add 203.0.113.0/24 via 198.51.100.2",
            "ip -6 route add 2001:db8:f::/64 via 2001:db8:a::2", *FORWARDING)
        run(self.second, f"ip link set eth0 mtu {NARROW}", "ip route add default via 198.51.100.1",
            "ip -6 route add default via 2001:db8:a::1", *FORWARDING)
        run(self.server, "ip route add default via 203.0.113.1", "ip -6 route add default via 2001:db8:f::1", *FORWARDING[2:])
        self.guest = Machine(node.add("acme", "web", "web", conf=node.plugin_conf(
            masquerade={"ipv6": True}, runtimeConfig={"portMappings": mapping(protocols=("tcp",))})))
        self.open = [listening(self.server.inside(), SINK, sink_of), listening(self.guest.inside(), SOURCE, source_of),
                     Mirror(self.server.inside(), 9001)]

    def forget(self):
        """What the ends have learned of the path."""
        for where in (self.guest, self.server):
            run(where, "ip route flush cache", "ip -6 route flush cache")

    def learned(self, where, address):
        return f"mtu {NARROW}" in where.run(["ip", "route", "get", address]).stdout

    def close(self):
        for each in self.open:
            each.close()
        self.guest.close()


@pytest.fixture(scope="module", name="routers")
def _routers(request):
    with shared_node(request, config={"nomad": None}) as node:
        routers = Routers(node)
        yield routers
        routers.close()


@pytest.fixture
def path(routers):
    routers.forget()
    return routers


@pytest.mark.parametrize("family", (4, 6))
def test_a_masqueraded_upload_learns_the_path(path, family):
    """
    The first router's "too big" names the node's address; the guest's stack takes it for its own connection's, and cuts smaller.
    P35: a true router's "too big" about a live flow passes, and the guest's path MTU falls.
    """
    assert not path.learned(path.guest, SERVER[family])
    with PacketSocket(path.first.net, "down0") as sniffer:
        assert upload(path.guest, SERVER[family], SINK, SIZE) == SIZE
        longest = max(map(len, sniffer.drain()))
    assert path.learned(path.guest, SERVER[family])
    assert longest > 2 * WIDE		# segments went through the translation uncut


@pytest.mark.parametrize("family", (4, 6))
def test_a_published_port_s_answers_learn_the_path(path, family):
    """The error is about what the endpoint sent as the node's published port."""
    received = 0
    with connect(path.server, "tcp", NODE[family], 28080, 60) as client:
        while part := client.recv(65536):
            received += len(part)
    assert received == SIZE and path.learned(path.guest, SERVER[family])


def learns_what_fits(s, family):
    """A datagram socket that never fragments is told of the way's MTU, and then sends what fits."""
    s.setsockopt(LEVEL[family], DISCOVER[family], 2)

    def refused(size):
        try:
            s.send(b"x" * size)
        except OSError as error:
            return error.errno
        return 0
    assert wait_for(lambda: refused(1400), "the router's word") == errno.EMSGSIZE
    assert s.getsockopt(LEVEL[family], MTU[family]) == NARROW
    wait_for(lambda: not refused(1000), "the end of what was said of those before")
    assert s.recv(100)


@pytest.mark.parametrize("family", (4, 6))
def test_a_datagram_that_does_not_fit_is_told(path, family):
    with connect(path.guest, "udp", SERVER[family], 9001) as s:
        learns_what_fits(s, family)


def hop(place, family, ttl, address=None, port=33434):
    """(who said it, ICMP type) of a datagram that may take so many hops."""
    with connect(place, "udp", address or SERVER[family], port) as s:
        s.setsockopt(LEVEL[family], TTL[family], ttl)
        s.setsockopt(LEVEL[family], RECVERR[family], 1)
        s.send(b"traceroute")

        def said():
            try:
                return s.recvmsg(512, 512, MSG_ERRQUEUE | socket.MSG_DONTWAIT)[1]
            except BlockingIOError:
                return None
        [(_, _, data)] = [c for c in wait_for(said, f"an answer at hop {ttl}") if c[1] == RECVERR[family]]
    kind = struct.unpack_from("=IBBB", data)[2]
    at, size = (20, 4) if family == 4 else (24, 16)
    return socket.inet_ntop(socket.AF_INET if family == 4 else socket.AF_INET6, data[at:at + size]), kind


@pytest.mark.parametrize("family", (4, 6))
def test_traceroute_sees_the_gateway_both_routers_and_the_server(path, family):
    exceeded, unreachable = ((11, 3), (3, 1))[family == 6]
    assert [hop(path.guest, family, ttl) for ttl in (1, 2, 3, 4)] == [
        (GATEWAY[family], exceeded), (FIRST[family], exceeded), (SECOND[family], exceeded), (SERVER[family], unreachable)]


@pytest.mark.parametrize("family", (4, 6))
def test_the_world_traces_to_the_node(path, family):
    """Of the node itself each router behind the server's is seen, and a port that nobody publishes is told closed."""
    exceeded, unreachable = ((11, 3), (3, 1))[family == 6]
    routers = ["203.0.113.1", "198.51.100.1"] if family == 4 else ["2001:db8:f::1", "2001:db8:a::1"]
    assert [hop(path.server, family, ttl, NODE[family]) for ttl in (1, 2, 3)] == [
        (routers[0], exceeded), (routers[1], exceeded), (NODE[family], unreachable)]
