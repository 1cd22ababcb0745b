# SPDX-License-Identifier: Apache-2.0
"""Consul as fleets run it: three servers, of which one after the other is gone, another one leads, or one has lost its disk."""
import json
import os
import shutil
import signal
import urllib.error

import pytest
from harness.fabric import ELECTS_AT_ONCE, Consul, Fabric, consul_program, made_cluster
from harness.servers import QUICK, pings
from harness.shell import Failed, wait_for

ADDRESSES = "198.51.100.1", "198.51.100.2", "198.51.100.3"
DENY = {"tier": "operator", "rules": [{"endpointSelector": {"matchLabels": {"nomad:job": "db"}}, "ingressDeny": [{"fromEntities": ["all"]}]}]}


class Server(Consul):
    def words(self):
        return [f"-client={self.address}", "-bootstrap-expect=3", f"-node=server{self.address[-1]}",
                *(f"-retry-join={a}" for a in ADDRESSES if a != self.address), "-retry-interval=1s"]

    def start(self):
        with open(self.data + ".log", "a", encoding="utf-8") as log:
            self.process = self.node.popen(
                [self.program, "agent", "-server", f"-data-dir={self.data}", f"-bind={self.address}", *self.words(), *ELECTS_AT_ONCE,
                 "-log-level=warn", "-disable-host-node-id"], stdout=log, stderr=log)


class Servers(Consul):
    """All three, as one."""

    def __init__(self, program, node, address, _):
        super().__init__(program, node, address)
        for other in ADDRESSES[1:]:
            node.run(["ip", "addr", "add", f"{other}/32", "dev", "lo"])
        self.all = [Server(program, node, a) for a in ADDRESSES]
        for i, server in enumerate(self.all):
            server.data += str(i)

    def start(self):
        for server in self.all:
            server.start()
        self.whole()

    def leader(self):
        """The server that all of them say leads; None: they don't agree."""
        said = set()
        for server in self.all:
            if server.process:
                try:
                    said.add(json.loads(server.ask("GET", "/v1/status/leader")).rsplit(":")[0])
                except OSError:
                    return None
        return next((s for s in self.all if s.process and said == {s.address}), None)

    def whole(self):
        wait_for(self.leader, "a leader", 180)
        wait_for(lambda: self.voters() == set(ADDRESSES), "three voters", 180)

    def voters(self):
        """A server that came without its data votes after ten seconds."""
        leader = self.leader()
        found = json.loads(leader.ask("GET", "/v1/operator/raft/configuration"))["Servers"] if leader else []
        return {s["Address"].rsplit(":")[0] for s in found if s["Voter"]}

    def ask(self, verb, path, body=None, headers=None):
        """The first one that takes connections."""
        for server in sorted(self.all, key=lambda s: s.process is None):
            try:
                return server.ask(verb, path, body, headers)
            except urllib.error.HTTPError:
                raise
            except OSError:
                continue
        raise Failed("no server answers")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    program = consul_program()
    if not program:
        pytest.skip("no Consul, and no Go to build one")
    base = tmp_path_factory.mktemp("fabric")
    base.chmod(0o755)
    made = Fabric(str(base), program, Servers)
    yield made
    made.close()


@pytest.fixture(name="cluster")
def cluster_fixture(request, three):
    with made_cluster(request.node.name.translate({ord(c): "-" for c in "[]"}), three, claim=True) as made:
        yield made


def asks(cluster, node, first):
    """picketd's configuration that names all servers, that one first."""
    order = [*ADDRESSES[first:], *ADDRESSES[:first]]
    return cluster.config(node, consul={"address": [f"http://{a}:8500" for a in order]})


def sessions(cluster):
    return {k["Key"]: k.get("Session") for k in json.loads(cluster.consul.ask("GET", f"/v1/kv/{cluster.consul.prefix}nodes/?recurse&consistent"))}


def handed(node):
    with open(os.path.join(node.root, "var/lib/picket/node.json"), encoding="utf-8") as file:
        return json.load(file)["claimed"]["blocks"]


def are_well(cluster):
    for node in cluster.nodes:
        wait_for(lambda: node.api("/v1/status")["state"] == "ok", lambda: f"{node.name}: {node.api('/v1/status')['reasons']}", 120)


def begin(cluster):
    one, two = cluster.nodes
    for i, node in enumerate(cluster.nodes):
        node.start_picketd(asks(cluster, node, i), wait=False)
    for node in cluster.nodes:
        node.picketd_serves()
        wait_for(lambda: len(handed(node)) == 2, lambda: f"{node.name}'s blocks\n{node.log()[-3000:]}", 120)
    a, b = one.add("acme", "api", "api"), two.add("acme", "db", "db")
    wait_for(lambda: pings(a, b.address(4), QUICK) and pings(b, a.address(6), QUICK), "both to know both", 60)
    return a, b


def begin_denied(cluster):
    """Its two endpoints, of which the second one takes nothing; the nodes' sessions and blocks."""
    a, b = begin(cluster)
    cluster.consul.put("policies/operator/x", DENY)
    wait_for(lambda: not pings(a, b.address(4), QUICK), "the document", 60)
    are_well(cluster)
    return a, b, sessions(cluster), [handed(node) for node in cluster.nodes]


def test_each_leader_goes(cluster):
    """And comes back, the second one without its disk: each document counts, nothing is lost, and sessions and blocks are the same."""
    a, b, was, blocks = begin_denied(cluster)
    for i in range(2):
        leader = wait_for(cluster.consul.leader, "a leader", 180)
        leader.kill()
        wait_for(cluster.consul.leader, "the next leader", 60)
        wait_for(lambda: cluster.consul.put(f"policies/operator/n{i}", DENY) is None, "the write", 60)
        for node in cluster.nodes:
            wait_for(lambda: f"n{i}" in str(node.api("/v1/policies")), lambda: f"{node.name}\n{node.log()[-3000:]}", 90)
        if i:
            shutil.rmtree(leader.data)
        leader.start()
        cluster.consul.whole()
        assert not pings(a, b.address(4), QUICK)
    are_well(cluster)
    assert sessions(cluster) == was and [handed(node) for node in cluster.nodes] == blocks
    for node in cluster.nodes:
        assert " are gone" not in node.log() and "event=went" not in node.log()


def test_a_rack_without_power(cluster):
    """Servers and picketd come back in one moment, each once before the other, one server without its disk: nothing opens."""
    a, b, was, blocks = begin_denied(cluster)
    for i in range(2):
        for process in *cluster.nodes, *cluster.consul.all:
            process.kill_picketd() if process in cluster.nodes else process.kill()
        shutil.rmtree(cluster.consul.all[i].data)
        for node in cluster.nodes[:i + 1]:
            node.start_picketd(asks(cluster, node, i), wait=False)
        for server in cluster.consul.all:
            server.start()
        for node in cluster.nodes[i + 1:]:
            node.start_picketd(asks(cluster, node, i), wait=False)
        for node in cluster.nodes:
            node.picketd_serves()
        for _ in range(10):
            assert not pings(a, b.address(4), QUICK)
        cluster.consul.whole()
        are_well(cluster)
        assert not pings(a, b.address(4), QUICK)
    assert [handed(node) for node in cluster.nodes] == blocks and sessions(cluster) == was
    for node in cluster.nodes:
        assert "event=went" not in node.log()


def test_a_server_that_slept(cluster):
    """
    What waits at a frozen server is asked at another one, so a deny counts everywhere before that question's time is over. Awake, alone and
    behind it opens nothing, also to a picketd that starts then.
    """
    one, two = cluster.nodes
    a, b = begin(cluster)
    are_well(cluster)
    leader = wait_for(cluster.consul.leader, "a leader", 180)
    sleeper, other = [server for server in cluster.consul.all if server is not leader]
    for node in cluster.nodes:
        node.kill_picketd()
        node.start_picketd(asks(cluster, node, ADDRESSES.index(sleeper.address)))
    are_well(cluster)
    sleeper.process.send_signal(signal.SIGSTOP)
    leader.prefix = cluster.consul.prefix
    leader.put("policies/operator/x", DENY)
    wait_for(lambda: not pings(a, b.address(4), QUICK), lambda: two.log()[-3000:], 60)
    leader.kill()
    other.kill()
    sleeper.process.send_signal(signal.SIGCONT)
    two.kill_picketd()
    two.start_picketd(cluster.config(two, consul={"address": sleeper.url}))
    wait_for(lambda: "no leader" in str(two.reasons("consul")), lambda: two.api("/v1/status")["reasons"], 60)
    for _ in range(10):
        assert not pings(a, b.address(4), QUICK)
    leader.start()
    other.start()
    cluster.consul.whole()
    are_well(cluster)
    assert not pings(a, b.address(4), QUICK)
