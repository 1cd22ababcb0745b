# SPDX-License-Identifier: Apache-2.0
"""
The node's own processes at published ports: by programs at a cgroup, here one of the test's own. A process of it
asks, in the node's network namespace; it sees the address that it asked.
"""
import json
import os
import signal
import socket
import sys

import pytest
from harness import netns, wait_for
from harness.servers import Mirror
from harness.shell import binary
from harness.shell import run as run_in
from test_published import HOST, OWN, mapping
from test_world import NODE, stage  # noqa: F401 pylint: disable=unused-import

ASK = """
import json, socket, sys
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(float(sys.argv[4]))
out = {}
try:
    if kind == "unconnected":
        s.sendto(b"who asks?", (address, port))
        data, peer = s.recvfrom(1000)
    else:
        s.connect((address, port))
        peer = s.getpeername()
        s.send(b"who asks?")
        data, source = s.recvfrom(1000)
        if kind == "udp":
            peer = peer if peer[:2] == source[:2] else ("differs", source)
    out = {"peer": peer[:2], "said": data.decode().split()}
except OSError as error:
    out = {"error": type(error).__name__}
print(json.dumps(out))
"""
KINDS = ("tcp", "udp", "unconnected")
NOBODY = {"error": "ConnectionRefusedError"}


class Cgroup:
    """One of the test's own, seen by the node's mount namespace alone."""

    def __init__(self, node):
        self.node, self.top = node, os.path.join(node.base, "cgroup")
        node.run(["mkdir", self.top])
        node.run(["mount", "-t", "cgroup2", "none", self.top])
        self.path = f"{self.top}/{os.path.basename(node.base)}"
        node.run(["mkdir", self.path])

    def ask(self, kind, address, port=HOST, *, timeout=20, inside=True, net=None):
        join = f"echo $$ >{self.path}/cgroup.procs && " if inside else ""
        words = ["sh", "-c", f'{join}exec "$@"', "sh", sys.executable, "-c", ASK, kind, address, str(port), str(timeout)]
        return json.loads(run_in(words, preexec_fn=netns.entering(net or self.node.net, self.node.mnt)).stdout)

    def close(self):
        self.node.run(["rmdir", self.path], check=False)


@pytest.fixture
def cgroup(node):
    made = Cgroup(node)
    yield made
    made.close()


class Shop:
    """A web server behind a published port, and picketd with the cgroup."""

    def __init__(self, s, cgroup, conf=(), **port):
        self.node, self.cgroup = s.node, cgroup
        self.config = {"nomad": None, "consul": None, "cgroup": cgroup.path}
        self.web = s.add("acme", "web", runtimeConfig={"portMappings": mapping(**port)}, **dict(conf))
        self.server = Mirror(self.web.inside(), OWN)
        self.start()

    def start(self):
        self.node.start_picketd(self.config)
        wait_for(lambda: "op=cgroup path=" in self.node.log(), "the cgroup's programs")

    def reached(self, kind, address, **more):
        said = self.cgroup.ask(kind, address, **more)
        return said.get("peer") == [address, HOST] and bool(said["said"])


@pytest.fixture
def shop(stage, cgroup):  # noqa: F811
    made = []

    def make(**port):
        made.append(Shop(stage(), cgroup, **port))
        return made[-1]
    yield make
    for each in made:
        each.server.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_of_the_node_reaches_a_published_port(shop, kind):
    s = shop()
    for address in (NODE[4], NODE[6], "127.0.0.1", "::1"):
        assert s.reached(kind, address), (address, s.cgroup.ask(kind, address))
        outside = s.cgroup.ask(kind, address, inside=False, timeout=1)
        assert "error" in outside, outside
    # A socket of IPv6 that names an IPv4 address, as servers of two families do.
    said = s.cgroup.ask(kind, f"::ffff:{NODE[4]}")
    assert said.get("peer") == [f"::ffff:{NODE[4]}", HOST], said
    # What isn't published is as it was: another port, another address.
    for address, port in ((NODE[4], HOST + 1), (s.node.world.address, HOST), ("2001:db8:77::1", HOST)):
        assert "error" in s.cgroup.ask(kind, address, port, timeout=1)


@pytest.mark.parametrize("family", (4, 6))
def test_a_mapping_on_one_address_holds_there_alone(shop, family):
    s = shop(address=NODE[family])
    for kind in KINDS:
        assert s.reached(kind, NODE[family]), kind
    for address in (NODE[10 - family], "127.0.0.1", "::1"):
        assert s.cgroup.ask("tcp", address) == NOBODY


def test_an_endpoint_without_ipv6_leads_to_nobody(shop):
    """Its mapping is one of every address; a connection by IPv6 isn't led to address zero, which is the node itself."""
    s = shop(conf={"pool": ["10.40.7.0/24"]})
    with s.node.inside():
        server = socket.create_server(("::1", OWN), family=socket.AF_INET6)
    try:
        assert s.reached("tcp", "127.0.0.1") and s.cgroup.ask("tcp", "::1") == NOBODY
    finally:
        server.close()


def test_other_network_namespaces_are_not_the_nodes(shop):
    """A process of the cgroup in another one keeps the address that it asks."""
    s = shop()
    assert s.cgroup.ask("tcp", "127.0.0.1", net=s.node.world.net) == NOBODY
    with s.node.world.inside():
        server = socket.create_server(("127.0.0.1", HOST))
    try:
        said = s.cgroup.ask("tcp", "127.0.0.1", net=s.node.world.net, timeout=1)
        assert said == {"error": "TimeoutError"}		# connected to that server, which says nothing
    finally:
        server.close()


def test_policy_sees_the_host(shop):
    s = shop()
    assert s.reached("tcp", NODE[4])
    s.node.policy("shut.json", {"rules": [{"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["host"]}]}]})
    wait_for(lambda: "error" in s.cgroup.ask("tcp", NODE[4], timeout=1), "the denial")
    s.node.policy("shut.json", None)
    wait_for(lambda: s.reached("tcp", NODE[4]), "the way again")


def published(node):
    return [line for line in json.loads(node.picket("check", "-json", check=False).stdout) if line["what"] == "published"]


def test_check_says_whether_the_nodes_processes_reach_them(shop):
    s = shop()
    line, = published(s.node)
    assert line["state"] == "ok" and s.cgroup.path in line["text"], line
    s.node.kill_picketd()
    pin = s.node.path("sys/fs/bpf/picket/sock")
    os.unlink(os.path.join(pin, next(name for name in os.listdir(pin) if name != "peers")))
    line, = published(s.node)
    assert line["state"] == "warn" and "missing" in line["text"] and "start picketd" in line["fix"], line
    s.config["cgroup"] = None
    s.node.start_picketd(s.config)
    wait_for(lambda: not os.path.exists(pin), "the end of the programs")
    line, = published(s.node)
    assert line["state"] == "warn" and "don't reach" in line["text"] and "cgroup" in line["fix"], line
    s.node.delete(s.web.alloc)
    assert not published(s.node)


def test_it_outlives_picketd_and_is_followed(shop):
    s = shop()
    s.node.kill_picketd()
    assert s.reached("udp", NODE[4])
    os.unlink(s.node.log_path)
    s.start()		# the next one's programs take the place of those
    assert s.reached("udp", NODE[4])
    s.node.delete(s.web.alloc)
    assert s.cgroup.ask("tcp", NODE[4]) == NOBODY


def test_it_is_taken_away(shop):
    """By the settings, and by a sweep of all."""
    s = shop()
    assert s.reached("tcp", NODE[4])
    s.node.write_config({**s.config, "cgroup": None})
    s.node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: s.cgroup.ask("tcp", NODE[4]) == NOBODY, "the end of the programs")
    s.node.write_config(s.config)
    s.node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: s.reached("tcp", NODE[4]), "the programs again")
    s.node.kill_picketd()
    assert s.reached("tcp", NODE[4])
    s.node.run([binary("picket"), "-root", s.node.root, "sweep", "-all", "-apply", "-force"])
    assert s.cgroup.ask("tcp", NODE[4]) == NOBODY
    assert not os.path.exists(s.node.path("sys/fs/bpf/picket"))


def test_what_is_no_cgroup_is_said(node):
    node.start_picketd({"nomad": None, "consul": None, "cgroup": "/tmp"})
    wait_for(lambda: "op=cgroup err=" in node.log(), "the error")
    assert "/tmp is no cgroup of version 2" in node.log()
    reasons = json.dumps(node.api("/v1/status"))
    assert "no cgroup of version 2" in reasons, reasons
