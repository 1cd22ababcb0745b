# SPDX-License-Identifier: Apache-2.0
"""A real Consul, with ACLs and TLS, that loses what it had: what was denied stays so, is said, and opens
when an operator says so. One that restarts, or has no leader for a while, changes nothing at all."""
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from harness import Node, NodeOptions, wait_for
from harness.nomad import peer
from harness.secured import CONSUL_NAMES, Secured
from harness.servers import QUICK
from harness.shell import TREE

PREFIX = "picket/v1/default/policies/"
NAMES = "abcde"
DENY = json.dumps({"tier": "operator", "rules": [{"endpointSelector": {}, "egressDeny": [{"toEntities": ["all"]}]}]})
OLDER = json.dumps({"tier": "operator", "rules": [{"endpointSelector": {},
                                                  "egressDeny": [{"toCIDR": ["192.0.2.0/24"]}]}]})


class Consul(Secured):
    """The agents, picketd beside them and two endpoints, which reach each other unless a document denies it."""

    def __init__(self, node, program):
        super().__init__(node, None, program)
        self.token_file = os.path.join(node.root, "etc/consul.token")
        self.start_consul()
        self.first_tokens()
        for name in NAMES:
            self.put(name, DENY)
        self.start_picketd(self.consul_address)
        self.a, self.b = (node.add("acme", job, "g") for job in ("api", "db"))
        self.is_whole()

    def first_tokens(self):
        """A new store knows no token: the operator makes picketd another one."""
        self.bootstrap("consul")
        self.picketds_token()

    def picketds_token(self):
        _, secret = self.picket_token("consul", os.path.join(TREE, "examples/acl/consul-picket.hcl"))
        with open(self.token_file, "w", encoding="utf-8") as file:
            file.write(secret)

    def start_picketd(self, address):
        self.node.start_picketd({"nomad": None, "consul": {
            "address": address, "serverName": CONSUL_NAMES[0], "tokenFile": self.token_file,
            "caFile": self.authority.ca, "certFile": self.cert, "keyFile": self.key}})

    def kv(self, *argv):
        return self.cli("consul", "kv", *argv)

    def put(self, name, text):
        self.kv("put", f"{PREFIX}operator/{name}", text)

    def put_all(self, text):
        """And picketd has heard of it."""
        for name in NAMES:
            self.put(name, text)
        part = "192.0.2.0/24" if text == OLDER else "toEntities"
        wait_for(lambda: all(part in self.node.api(f"/v1/policies/consul/operator/{name}", check=False).get("text", "")
                             for name in NAMES), "the documents", 120)

    def states(self):
        return {p["name"]: p["state"] for p in self.node.api("/v1/policies")["policies"]}

    def is_whole(self):
        """As each test begins and ends."""
        wait_for(lambda: self.states() == dict.fromkeys(NAMES, "active") and not self.node.reasons("consul")
                 and not self.node.reasons("policy"),
                 lambda: f"the documents: {self.states()} {self.node.api('/v1/status')['reasons']}", 120)

    def held(self):
        return {name for name, state in self.states().items() if state == "held"}

    def are_held(self, names):
        wait_for(lambda: self.held() == set(names), lambda: f"the hold: {self.states()} {self.node.log()[-2000:]}", 120)
        assert self.node.api("/v1/status")["state"] == "degraded"
        assert "picket policy release consul" in self.node.reasons("policy")[0]["fix"]

    def release(self):
        self.node.picket("policy", "release", "consul")
        wait_for(lambda: self.a.pings(self.b, timeout=QUICK), "what the operator said", 120)
        self.put_all(DENY)
        self.is_whole()
        wait_for(lambda: not self.a.pings(self.b, timeout=QUICK), "the new word", 120)

    def journal(self):
        self.node.written()
        with open(os.path.join(self.node.root, "var/log/picket/policy.jsonl"), encoding="utf-8") as file:
            return len(file.readlines())


class Closed:
    """with Closed(consul): nothing passes meanwhile, and something was sent."""

    def __init__(self, consul):
        self.consul = consul

    def __enter__(self):
        self.ping = self.consul.a.popen(["ping", "-i", "0.05", "-q", self.consul.b.address()],
                                        stdout=subprocess.PIPE, text=True)

    def __exit__(self, *exc):
        self.ping.send_signal(signal.SIGINT)
        out, _ = self.ping.communicate(timeout=60)
        sent, received = re.search(r"(\d+) packets transmitted, (\d+) received", out).groups()
        assert exc[0] or (int(sent) > 5 and int(received) == 0), out


@pytest.fixture(scope="module")
def consul():
    program = peer("consul")
    if not program:
        pytest.skip("no Consul in PATH and no Go 1.26 to build it")
    with Node("node1", NodeOptions(conf={"mode": "process"})) as node:
        yield Consul(node, program)


@pytest.fixture
def data(consul):
    """Where the server keeps all that it knows."""
    return os.path.join(consul.node.root, "var/lib/consul")


def test_wiped_and_restarted(consul, data):
    with Closed(consul):
        consul.stop("consul")
        shutil.rmtree(data)
        consul.start_consul()
        wait_for(lambda: "token" in str(consul.node.reasons("consul")), "the refusal of the old token", 120)
        assert set(consul.states()) == set(NAMES)
        consul.first_tokens()
        consul.are_held(NAMES)
    consul.release()


def test_restored_from_an_old_snapshot(consul):
    """Nothing is lacking there: each document says less than it did."""
    consul.put_all(OLDER)
    snapshot = os.path.join(consul.node.root, "snapshot")
    consul.cli("consul", "snapshot", "save", snapshot)
    consul.put_all(DENY)
    wait_for(lambda: not consul.a.pings(consul.b, timeout=QUICK), "the newer texts", 120)
    with Closed(consul):
        consul.cli("consul", "snapshot", "restore", snapshot)
        reason = wait_for(lambda: consul.node.reasons("policy"), "the doubt", 120)[0]
        assert "nothing of it is taken" in reason["text"] and "picket policy release consul" in reason["fix"]
        consul.put("a", OLDER)      # a write doesn't make the rest any newer
        consul.put("b", OLDER)
    consul.release()


def test_a_prefix_that_was_too_short(consul):
    with Closed(consul):
        consul.kv("delete", "-recurse", "picket/v1/default/p")
        consul.are_held(NAMES)
        consul.put("a", OLDER)
        consul.are_held(NAMES[1:])
    consul.release()


def test_another_cluster(consul, data):
    """Its index is ahead of the one that was believed, and it has a policy of its own; then the own one is back,
    which is behind by then, and lacks that policy."""
    keys = [{"key": f"other/{i}", "flags": 0, "value": ""} for i in range(300)]
    with Closed(consul):
        consul.stop("consul")
        token = consul.tokens["consul"]
        shutil.copy(consul.token_file, consul.token_file + ".own")
        os.rename(data, data + ".own")
        consul.start_consul()
        consul.bootstrap("consul")
        consul.cli("consul", "kv", "import", json.dumps(keys))
        consul.put("theirs", OLDER)
        consul.picketds_token()     # not before: picketd could hear of the store while its index is behind
        consul.are_held(NAMES)
        wait_for(lambda: "theirs" in consul.states(), lambda: f"the other one's policy: {consul.states()}", 120)
        consul.stop("consul")
        shutil.rmtree(data)
        os.rename(data + ".own", data)
        consul.tokens["consul"] = token
        os.rename(consul.token_file + ".own", consul.token_file)
        consul.start_consul()
        consul.are_held(["theirs"])
        consul.node.picket("policy", "release", "consul")
        consul.is_whole()


def test_restarts_while_questions_wait(consul):
    """No document comes or goes, and the next change is heard."""
    before = consul.journal()
    with Closed(consul):
        for number in (signal.SIGTERM, signal.SIGKILL):
            consul.stop("consul", number)
            wait_for(lambda: consul.node.reasons("consul"), "the silence, said", 120)
            assert consul.states() == dict.fromkeys(NAMES, "active")
            consul.start_consul()
            consul.is_whole()
        assert consul.journal() == before
    consul.put("a", OLDER)
    wait_for(lambda: consul.journal() == before + 1, "the next change", 120)
    consul.put("a", DENY)
    consul.is_whole()


def test_without_a_leader(consul):
    """Two servers, of which one is gone for a while: the other one says that there is no leader."""
    consul.stop("consul")
    consul.consul_address = "https://127.0.0.2:8501"
    for agent, address in (("first", "127.0.0.2"), ("second", "127.0.0.3")):
        consul.start_consul(agent, address, expect=2)
    consul.first_tokens()
    for name in NAMES:
        consul.put(name, DENY)
    consul.node.kill_picketd()
    consul.start_picketd(consul.consul_address)
    consul.is_whole()
    before = consul.journal()
    with Closed(consul):
        consul.stop("second")
        wait_for(lambda: "No cluster leader" in consul.cli("consul", "kv", "get", PREFIX + "operator/a", check=False).stderr,
                 "the loss of the leader", 120)
        wait_for(lambda: "leader" in str(consul.node.reasons("consul")), "the loss, said while questions wait", 40)
        assert consul.states() == dict.fromkeys(NAMES, "active")
        consul.node.kill_picketd()      # one that asks first now hears of it, too
        consul.start_picketd(consul.consul_address)
        wait_for(lambda: "leader" in str(consul.node.reasons("consul")),
                 lambda: f"the reason: {consul.node.api('/v1/status')['reasons']}", 120)
        assert consul.states() == dict.fromkeys(NAMES, "active")
        consul.start_consul("second", "127.0.0.3", expect=2)
        consul.is_whole()
        assert consul.journal() == before
    consul.put("a", OLDER)
    wait_for(lambda: consul.journal() == before + 1, "the next change", 120)
