# SPDX-License-Identifier: Apache-2.0
"""A node whose uplink gets other addresses, flaps, or is another device: as another node sees it, it goes on without a restart."""
import contextlib
import socket

import pytest
from harness.attach import attach
from harness.fabric import made_cluster
from harness.servers import PATIENCE, QUICK, SILENCE, Mirror, ask, pings
from harness.shell import wait_for

FABRICS = {"routed": {}, "vxlan": {"overlay": {}}}
HOST, OWN, OUTSIDE, INNER = 28080, 80, 9001, 5000
WEB = ("-tenant", "acme", "-mode", "process", "-publish", f"{HOST}:{OWN}", "-publish", f"{HOST}:{OWN}/udp")
FIRST, SECOND = {4: "192.0.2.11", 6: "2001:db8::11"}, {4: "192.0.2.71", 6: "2001:db8::71"}


class Site:
    """Two nodes; on the first an endpoint that is published and goes out, on the second one of its tenant, and a process."""

    def __init__(self, cluster, stack):
        self.cluster, (self.one, self.two) = cluster, cluster.nodes
        for node in cluster.nodes:
            node.start_picketd(cluster.config(node))
        self.web, self.far = attach(self.one, "web", *WEB), self.two.add("acme", "db", "db")
        self.own = dict(zip((4, 6), cluster.addresses(2)))
        for place, port in (self.web, OWN), (self.two, OUTSIDE):
            stack.enter_context(contextlib.closing(Mirror(place.inside(), port)))
        self.pid = self.one.picketd.pid

    def published(self, address):
        return all((seen := ask(self.two, kind, address[family], HOST, QUICK)) and seen[0] == self.own[family] for kind in ("tcp", "udp") for family in (4, 6))

    def masqueraded(self, address):
        return all((seen := ask(self.web, kind, self.own[4], OUTSIDE, QUICK)) and seen[0] == address[4] for kind in ("tcp", "udp"))

    def across(self):
        return all(pings(a, b.address(family), QUICK) for a, b in ((self.web, self.far), (self.far, self.web)) for family in (4, 6))

    def said(self, address):
        """What it says of itself, the other one believes."""
        node = next(n for n in self.two.api("/v1/nodes")["nodes"] if n["name"] == "n1")
        return set(address.values()) <= set(node["addresses"]) and node["state"] == "live"

    def describe(self):
        return "\n".join([self.one.picket("status", check=False).stdout, self.two.picket("node", "list", "-o", "wide", check=False).stdout,
                          self.one.run(["ip", "addr"]).stdout, self.one.run(["ip", "route", "show", "table", "all"]).stdout, self.one.log()[-2000:]])

    def flow(self, family, stack):
        """The two ends of a TCP connection between the endpoints."""
        kind = socket.AF_INET if family == 4 else socket.AF_INET6
        with self.far.inside():
            server = stack.enter_context(socket.create_server(("", INNER), family=kind))
        with self.web.inside():
            client = stack.enter_context(socket.socket(kind, socket.SOCK_STREAM))
        for end in server, client:
            end.settimeout(PATIENCE)
        client.connect((self.far.address(family), INNER))
        there = stack.enter_context(server.accept()[0])
        there.settimeout(PATIENCE)
        return client, there

    def goes_on(self, address):
        """All of it, by these addresses of the first node."""
        for what in (lambda: self.said(address), lambda: self.published(address), lambda: self.masqueraded(address), self.across):
            wait_for(what, self.describe, 90)
        assert self.one.picketd.pid == self.pid and self.one.picketd.poll() is None


def give(node, device, address):
    """What a network manager does."""
    for text in f"{address[4]}/24", f"{address[6]}/64":
        node.run(["ip", "addr", "replace", text, "dev", device, *(["nodad"] if ":" in text else [])])
    for family, via in (4, "192.0.2.1"), (6, "2001:db8::1"):
        node.run(["ip", f"-{family}", "route", "replace", "default", "via", via, "dev", device])


def take(node, device, address):
    for text in f"{address[4]}/24", f"{address[6]}/64":
        node.run(["ip", "addr", "del", text, "dev", device])


def plug_in(cluster, node, device):
    """A second card on the same segment."""
    port = f"q{node.name}"
    node.run(["ip", "link", "add", device, "type", "veth", "peer", "name", port, "netns", str(cluster.fabric.node.holder.pid)])
    node.run(["ip", "link", "set", device, "up"])
    cluster.fabric.node.run(["ip", "link", "set", port, "addrgenmode", "none", "master", "br0", "up"])
    cluster.ports.append(port)


@pytest.mark.parametrize("kind", FABRICS)
def test_what_a_node_is_reached_by_changes(request, fabric, kind):
    """Published ports, masquerade, other nodes' endpoints and the node's own word, after each change; a flow between endpoints outlives all of them."""
    with made_cluster(f"changes-{kind}", fabric, **FABRICS[kind]) as cluster, contextlib.ExitStack() as stack:
        site = Site(cluster, stack)
        one = site.one
        site.goes_on(FIRST)
        flows = [site.flow(family, stack) for family in (4, 6)]
        give(one, "up0", SECOND)
        take(one, "up0", FIRST)
        give(one, "up0", SECOND)
        site.goes_on(SECOND)
        assert ask(site.two, "udp", FIRST[4], HOST, SILENCE) is None, "what is nobody's by now"
        one.run(["ip", "link", "set", "up0", "down"])
        assert not pings(site.far, site.web.address(4), QUICK)
        one.run(["ip", "link", "set", "up0", "up"])
        give(one, "up0", SECOND)
        site.goes_on(SECOND)
        plug_in(cluster, one, "up1")
        take(one, "up0", SECOND)
        one.run(["ip", "link", "set", "up0", "down"])
        give(one, "up1", FIRST)
        site.goes_on(FIRST)
        for client, there in flows:
            for a, b in (client, there), (there, client):
                a.sendall(b"still here")
                assert b.recv(100) == b"still here"
