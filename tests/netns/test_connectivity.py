# SPDX-License-Identifier: Apache-2.0
"""
What Cilium's connectivity suite is to prove, on one node with real sockets (written from the
scenarios' purpose). A row: the documents, and who then reaches whom. A "no" is only taken when the
guard counted it as policy-denied on either side, so that a broken path never passes for a fence.
"""
import contextlib
import json
import socket
import struct
import threading
import uuid

import pytest
from fake import FakeNomad
from harness import EGRESS, INGRESS, Node, NodeOptions, quiet, wait_for

JOBS = {"client": ("acme", "client"), "client2": ("acme", "client2"), "echo": ("acme", "echo"),
        "other": ("beta", "client")}
PORTS = (8080, 8081, 9000)
YES, NO = 20.0, 0.4		# seconds: patience for an answer, silence that is taken for a no


class Echo(threading.Thread):
    """TCP and UDP echo on every port in one network namespace."""

    def __init__(self, inside):
        super().__init__(daemon=True)
        self.stopped, self.sockets = threading.Event(), []
        with inside:
            for port in PORTS:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    s = socket.socket(socket.AF_INET6, kind)
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("::", port))
                    s.settimeout(0.2)
                    if kind == socket.SOCK_STREAM:
                        s.listen()
                    self.sockets.append((kind, s))
        self.threads = [threading.Thread(target=self.serve, args=each, daemon=True) for each in self.sockets]
        for thread in self.threads:
            thread.start()

    def serve(self, kind, s):
        while not self.stopped.is_set():
            try:
                if kind == socket.SOCK_STREAM:
                    with s.accept()[0] as connection:
                        connection.settimeout(YES)
                        connection.sendall(connection.recv(100))
                else:
                    data, peer = s.recvfrom(100)
                    s.sendto(data, peer)
            except OSError:
                continue

    def close(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        for _, s in self.sockets:
            s.close()


def asks(kind, address, port, timeout):
    """A socket of the current netns: does the echo come back?"""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as s:
        s.settimeout(timeout)
        try:
            s.connect((address, port))
            s.send(b"hello")
            return s.recv(100) == b"hello"
        except (TimeoutError, OSError):
            return False


class Stage:
    def __init__(self):
        self.node = Node("n1", NodeOptions(conf={"mode": "process"}))
        self.servers, self.places, self.turn = [], {}, 0
        with self.node.inside():
            self.nomad = FakeNomad("here")
        self.config = {"nomad": {"address": self.nomad.address, "node": "here"}, "consul": None}
        try:
            self.node.start_picketd(self.config)
            for number, (name, (namespace, job)) in enumerate(JOBS.items()):
                ident = str(uuid.uuid4())
                self.nomad.put(ident, namespace, job, "group", ports={"web": (21570 + number, 8080)})
                self.places[name] = self.node.add(namespace, job, "group", alloc_id=ident)
            self.servers = [Echo(place.inside()) for place in self.places.values()]
            self.servers.append(Echo(self.node.inside()))
        except BaseException:
            self.close()
            raise
        self.names = []

    def close(self):
        for server in self.servers:
            server.close()
        self.nomad.stop()
        self.node.close()

    def address(self, name, family=4):
        if name == "host":
            return self.node.options.up_address.split("/")[0]
        if name == "world":
            return self.node.world.address.split("/")[0]
        return self.places[name].address(family)

    def slots(self, *names):
        return [self.places[name].slot for name in names if name in self.places]

    def probe(self, source, target, what, timeout, family=4):
        place = self.node if source == "host" else self.places[source]
        address = self.address(target, family)
        if what == "ping":
            return place.run(["ping", "-c", "1", "-W", str(max(1, int(timeout))), address],
                             check=False).returncode == 0
        protocol, port = what.split("/")
        with place.inside():
            return asks(socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM, address,
                        int(port), timeout)

    def denials(self, source, target):
        found = 0
        for slot in self.slots(source, target):
            counters = self.node.tables.counters(slot)
            found += sum(counters.get((way, "policy-denied"), 0) for way in (EGRESS, INGRESS))
        return found

    def holds(self, source, target, what, want, family=4):
        before = self.denials(source, target)
        reached = self.probe(source, target, what, YES if want else NO, family)
        if want:
            return reached
        if reached:
            return False
        wait_for(lambda: self.denials(source, target) > before, f"{source} -> {target}, {what}: the denial's count")
        return True

    def in_force(self, names):
        known = {p["name"] for p in self.node.api("/v1/policies")["policies"] if p["inForce"]}
        counts = self.node.api("/v1/status")["endpoints"]
        return known == set(names) and counts["inStep"] == counts["open"]

    def policies(self, documents):
        for name in self.names:
            self.node.picket("policy", "delete", name, check=False)
        self.turn += 1		# names are new each time: an old document is never taken for a new one
        self.names = [f"p{self.turn}-{n}" for n in range(len(documents))]
        for name, document in zip(self.names, documents):
            self.node.policy(name + ".json", document)
        wait_for(lambda: self.in_force(self.names), lambda: f"{self.names} in force\n{self.node.log()[-1500:]}")


@pytest.fixture(scope="module")
def stage():
    made = Stage()
    yield made
    made.close()


def tenant(*rules):
    return {"namespace": "acme", "rules": list(rules)}


def operator(*rules, tier="operator"):
    return {"tier": tier, "rules": list(rules)}


def of(job, **parts):
    return {"endpointSelector": {"matchLabels": {"nomad:job": job}}, **parts}


def everyone(**parts):
    return {"endpointSelector": {}, **parts}


def jobs(*names):
    return [{"matchExpressions": [{"key": "nomad:job", "operator": "In", "values": list(names)}]}]


def ports(*numbers, protocol="TCP", **more):
    return [{"ports": [{"port": str(n), "protocol": protocol, **more} for n in numbers]}]


ECHO_REQUEST = [{"fields": [{"type": "EchoRequest", "family": "IPv4"}]}]
BETA = [{"matchLabels": {"nomad:namespace": "beta"}}]
ACME = [{"matchLabels": {"nomad:namespace": "acme"}}]
SAME = [("client", "echo", "tcp/8080", True), ("client", "echo", "ping", True)]

SCENARIOS = {
    "no-policies": ([], SAME + [
        ("client", "echo", "udp/8080", True), ("echo", "client", "tcp/8080", True),
        ("other", "echo", "tcp/8080", False), ("echo", "other", "ping", False)]),
    "no-policies-from-outside": ([], [("host", "echo", "tcp/8080", False), ("host", "echo", "ping", False)]),
    "all-ingress-deny": ([tenant(everyone(ingress=[{}]))], [
        ("client", "echo", "tcp/8080", False), ("client", "echo", "ping", False), ("echo", "client", "udp/8080", False)]),
    "all-egress-deny": ([tenant(everyone(egress=[{}]))], [
        ("client", "echo", "tcp/8080", False), ("client2", "echo", "ping", False)]),
    "all-entities-deny": ([tenant(everyone(ingressDeny=[{"fromEntities": ["all"]}],
                                           egressDeny=[{"toEntities": ["all"]}]))], [
        ("client", "echo", "tcp/8080", False), ("client", "echo", "ping", False)]),
    "all-ingress-deny-from-outside": ([tenant(everyone(ingress=[{}]))], [("host", "echo", "tcp/8080", False)]),
    "client-ingress": ([tenant(of("echo", ingress=[{"fromEndpoints": jobs("client")}]))], SAME + [
        ("client2", "echo", "tcp/8080", False), ("client2", "echo", "ping", False)]),
    "echo-ingress": ([tenant(of("echo", ingress=[{"fromEndpoints": jobs("client"), "toPorts": ports(8080)}]))], [
        ("client", "echo", "tcp/8080", True), ("client", "echo", "tcp/8081", False), ("client", "echo", "ping", False),
        ("client", "echo", "udp/8080", False), ("client2", "echo", "tcp/8080", False)]),
    "client-egress": ([tenant(of("client", egress=[{"toEndpoints": jobs("echo"), "toPorts": ports(8080)}]))], [
        ("client", "echo", "tcp/8080", True), ("client", "echo", "tcp/8081", False),
        ("client", "client2", "tcp/8080", False), ("client2", "echo", "tcp/8081", True)]),
    "client-egress-expression": ([tenant({
        "endpointSelector": jobs("client", "client2")[0],
        "egress": [{"toEndpoints": jobs("echo"), "toPorts": ports(8080)}]})], [
            ("client", "echo", "tcp/8080", True), ("client2", "echo", "tcp/8080", True),
            ("client2", "echo", "tcp/8081", False)]),
    "client-egress-expression-port-range": ([tenant(of("client", egress=[
        {"toEndpoints": jobs("echo"), "toPorts": ports(8079, endPort=8081)}]))], [
            ("client", "echo", "tcp/8080", True), ("client", "echo", "tcp/8081", True),
            ("client", "echo", "tcp/9000", False)]),
    "client-egress-expression-deny-port-range": ([tenant(of("client", egress=[{"toEndpoints": [{}]}], egressDeny=[
        {"toEndpoints": jobs("echo"), "toPorts": ports(8079, endPort=8080)}]))], [
            ("client", "echo", "tcp/8080", False), ("client", "echo", "tcp/8081", True)]),
    "echo-ingress-from-other-client-deny": ([tenant(of(
        "echo", ingress=[{"fromEndpoints": [{}]}], ingressDeny=[{"fromEndpoints": jobs("client2")}]))], SAME + [
            ("client2", "echo", "tcp/8080", False)]),
    "client-egress-to-echo-deny": ([tenant(of(
        "client", egress=[{"toEndpoints": [{}]}], egressDeny=[{"toEndpoints": jobs("echo")}]))], [
            ("client", "echo", "tcp/8080", False), ("client", "client2", "tcp/8080", True)]),
    "echo-ingress-named-port": ([tenant(of("echo", ingress=[
        {"fromEndpoints": jobs("client"), "toPorts": ports("web")}]))], [
            ("client", "echo", "tcp/8080", True), ("client", "echo", "tcp/8081", False),
            ("client2", "echo", "tcp/8080", False)]),
    "client-ingress-to-echo-named-port-deny": ([tenant(of(
        "client", egress=[{"toEndpoints": [{}]}],
        egressDeny=[{"toEndpoints": jobs("echo"), "toPorts": ports("web")}]))], [
            ("client", "echo", "tcp/8080", False), ("client", "echo", "tcp/8081", True),
            ("client2", "echo", "tcp/8080", True)]),
    "client-ingress-icmp": ([tenant(of("echo", ingress=[{"fromEndpoints": jobs("client"), "icmps": ECHO_REQUEST}]))], [
        ("client", "echo", "ping", True), ("client", "echo", "tcp/8080", False), ("client2", "echo", "ping", False)]),
    "client-ingress-from-other-client-icmp-deny": ([tenant(of(
        "echo", ingress=[{"fromEndpoints": [{}]}],
        ingressDeny=[{"fromEndpoints": jobs("client2"), "icmps": ECHO_REQUEST}]))], SAME + [
            ("client2", "echo", "ping", False), ("client2", "echo", "tcp/8080", True)]),
    "host-entity-ingress": ([operator(of("echo", ingress=[{"fromEntities": ["host"], "toPorts": ports(8080)}]))], [
        ("host", "echo", "tcp/8080", True), ("host", "echo", "tcp/8081", False)] + SAME),
    "host-entity-egress": ([operator(of("client", egress=[{"toEntities": ["host"], "toPorts": ports(8080)}]))], [
        ("client", "host", "tcp/8080", True), ("client", "host", "tcp/8081", False),
        ("client2", "host", "tcp/8080", False)]),
    "cluster-entity": ([tenant(of("client", egress=[{"toEntities": ["cluster"]}]))], SAME + [
        ("client", "world", "tcp/8080", False), ("client", "other", "tcp/8080", False)]),
    "allow-all-except-world": ([tenant(everyone(egress=[{"toEntities": ["cluster"]}],
                                                ingress=[{"fromEntities": ["cluster"]}]))], SAME + [
        ("client", "world", "ping", False), ("host", "echo", "tcp/8080", False)]),
    "to-entities-world": ([tenant(of("client", egress=[{"toEntities": ["world"]}]))], [
        ("client", "echo", "tcp/8080", False), ("client2", "echo", "tcp/8080", True)]),
    "client-egress-to-cidr-deny": ([tenant(of("client", egressDeny=[{"toCIDR": ["192.0.2.0/24"]}],
                                              egress=[{"toEntities": ["all"]}]))], [
        ("client", "world", "tcp/8080", False)] + SAME),
    "a-cidr-never-matches-a-managed-peer": ([tenant(of("client", egress=[{"toCIDR": ["10.40.7.0/24"]}]))], [
        ("client", "echo", "tcp/8080", False), ("client2", "echo", "tcp/8080", True)]),
    "ingress-from-specific-namespace": ([operator(of("echo", ingress=[{"fromEndpoints": BETA}]),
                                                  {"endpointSelector": BETA[0], "egress": [{"toEndpoints": ACME}]})], [
        ("other", "echo", "tcp/8080", True), ("other", "client", "tcp/8080", False)] + SAME),
    "both-namespaces-must-agree": ([tenant(of("echo", ingress=[{"fromEndpoints": BETA}, {"fromEndpoints": [{}]}]))], [
        ("other", "echo", "tcp/8080", False)] + SAME),
    "tiered-pass": ([operator(of("echo", ingress=[
        {"fromEndpoints": [{"matchLabels": {"nomad:namespace": "acme"}}], "toPorts": ports(8080), "pass": True}],
        enableDefaultDeny={"ingress": True})),
        tenant(of("echo", ingress=[{"fromEndpoints": jobs("client")}]))], [
            ("client", "echo", "tcp/8080", True), ("client2", "echo", "tcp/8080", False),
            ("client", "echo", "tcp/8081", False)]),
    "operator-deny-beats-tenant-allow": ([
        operator(of("echo", ingressDeny=[{"fromEndpoints": jobs("client2")}])),
        tenant(of("echo", ingress=[{"fromEndpoints": [{}]}]))], SAME + [("client2", "echo", "tcp/8080", False)]),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(stage, name):
    documents, expected = SCENARIOS[name]
    stage.policies(documents)
    wrong = [row for row in expected if not stage.holds(*row)]
    assert wrong == [], f"{name}: (from, to, what, expected) that did not hold"


@pytest.mark.parametrize("name", ("no-policies", "client-ingress", "echo-ingress"))
def test_scenario_over_ipv6(stage, name):
    documents, expected = SCENARIOS[name]
    stage.policies(documents)
    assert [row for row in expected if not stage.holds(*row, family=6)] == []


def test_pod_to_itself(stage):
    stage.policies([tenant(everyone(ingress=[{}], egress=[{}]))])
    assert stage.probe("client", "client", "tcp/8080", YES)


def knows_its_neighbours(place):
    """From now on it asks for none of them any more."""
    for n in json.loads(place.run(["ip", "-4", "-j", "neigh"]).stdout):
        place.run(["ip", "neigh", "replace", n["dst"], "lladdr", n["lladdr"], "dev", n["dev"], "nud", "permanent"])


def test_counters_match_the_packets_sent(stage):
    """no-policies-extra, allow-all-with-metrics-check: n datagrams are n, on both sides."""
    stage.policies([])
    source, target = (stage.node.add("acme", job, "group") for job in ("source", "target"))    # nobody's connections end there
    echo = Echo(target.inside())
    with contextlib.closing(echo), source.inside():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(YES)
            s.connect((target.address(), 9000))
            s.send(b"?")
            assert s.recv(100) == b"?"
            for each in (source, target):
                knows_its_neighbours(each)
                quiet(each)
            before = [stage.node.tables.counters(e.slot) for e in (source, target)]
            for n in range(50):
                s.send(struct.pack("!I", n))
                assert s.recv(100) == struct.pack("!I", n)
    counted = [stage.node.tables.counted(e.slot, b) for e, b in zip((source, target), before)]
    assert counted[0].get((EGRESS, "ok")) == 50, counted
    assert counted[1].get((EGRESS, "ok")) == 50, counted
    for each in counted:
        assert not any(reason not in ("ok", "multicast") for _, reason in each), counted
    for each in (source, target):
        stage.node.delete(each)


def test_no_unexpected_drops_over_a_restart(stage):
    """no-interrupted-connections: a flow lives through a kill and a start of picketd, which changes no word."""
    stage.policies([tenant(of("echo", ingress=[{"fromEndpoints": jobs("client")}]))])
    source, target = stage.places["client"], stage.places["echo"]
    with source.inside():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(YES)
            s.connect((target.address(), 9000))
            before = stage.node.tables.counters(target.slot)
            words = [stage.node.tables.word(place.slot) for place in stage.places.values()]

            def exchange():
                for n in range(50):
                    s.send(struct.pack("!I", n))
                    assert s.recv(100) == struct.pack("!I", n)

            exchange()
            stage.node.kill_picketd()
            exchange()
            stage.node.start_picketd(stage.config)
            exchange()
            wait_for(lambda: {"ok"} == {each["state"] for each in stage.node.api("/v1/status")["sources"]
                                        if each["name"] == "nomad"}, "Nomad's answer")
            exchange()
    assert words == [stage.node.tables.word(place.slot) for place in stage.places.values()]
    counted = stage.node.tables.counted(target.slot, before)
    assert {key: n for key, n in counted.items() if key[1] not in ("ok", "multicast")} == {}


def test_no_unexpected_drops_while_labels_change(stage):
    """Both policies allow the flow, under the labels before and after: no packet between them is denied."""
    stage.policies([tenant(of("echo", ingress=[{"fromEndpoints": jobs("client")}]))])
    source, target = stage.places["client"], stage.places["echo"]
    before = stage.node.tables.counters(target.slot)
    told, ended = 0, threading.Event()

    def identity():
        return stage.node.tables.get("endpoints", struct.pack("I", source.slot))

    def tell():
        nonlocal told
        for told in range(1, 61):
            was = identity()
            stage.nomad.put(source.id, "acme", "client", "group", meta={"turn": str(told)})
            wait_for(lambda: identity() != was, "the new identity", pause=0.001)
        ended.set()

    teller = threading.Thread(target=tell)
    with source.inside():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(YES)
            s.connect((target.address(), 9000))
            teller.start()
            while not ended.is_set() and teller.is_alive():
                s.send(b"?")
                assert s.recv(100) == b"?"
    teller.join()
    assert told == 60 and ended.is_set()
    counted = stage.node.tables.counted(target.slot, before)
    assert {key: n for key, n in counted.items() if key[1] not in ("ok", "multicast")} == {}
