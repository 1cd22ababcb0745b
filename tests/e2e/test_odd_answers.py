# SPDX-License-Identifier: Apache-2.0
"""A real Nomad and a real Consul behind a proxy that makes odd answers of theirs: nothing opens or is forgotten, status says
what it is with a fix, and their own word counts again by itself."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from harness import Node, NodeOptions, odd_proxy, wait_for
from harness.nomad import CONSUL, Cluster
from harness.ways import nomad_and_consul

HERE = os.path.dirname(os.path.abspath(__file__))
PREFIX = "picket/v1/default/policies/"
DENY = json.dumps({"tier": "operator", "rules": [{"endpointSelector": {}, "egressDeny": [{"toEntities": ["all"]}]}]})
ALLOW = json.dumps({"endpointSelector": {}, "ingress": [{}]})
USELESS, ERROR = "answers what can't be used", "answers with an error"

# How a reason puts it; and those that are an answer all the same, by which a change is heard.
SAID = {"cut_short": USELESS, "cut_in_a_chunk": USELESS, "half_of_it": USELESS, "a_page": USELESS, "without_an_index": "without an index",
        "index_of_zero": "without an index", "too_many_requests": "status 429", "unavailable": "status 503", "elsewhere": "status 302",
        "huge": "answer of more than 67108864 bytes"}
HEARD = ("in_drips", "closed_after", "another_kind", "index_back")


class Behind:
    """Agents, a proxy before each, picketd behind those, and two jobs' endpoints."""

    def __init__(self, node, nomad, consul):
        self.node, self.cluster = node, Cluster(node, nomad, consul)
        self.cluster.start()
        self.proxies = {"nomad": odd_proxy.OddProxy(node, self.cluster.address, 4646),
                        "consul": odd_proxy.OddProxy(node, "127.0.0.1", CONSUL)}
        self.cluster.kv_put(PREFIX + "operator/deny", DENY)
        self.cluster.kv_put(PREFIX + "tenants/default/allow", ALLOW)
        node.start_picketd({"nomad": {"address": self.proxies["nomad"].address, "node": node.name},
                            "consul": {"address": self.proxies["consul"].address}})
        for name in "ab":
            self.cluster.run_job(os.path.join(HERE, "app.nomad.hcl"), name=name, namespace="default", count=1)
        self.a, self.b = (self.cluster.running("default", name)[0]["ID"] for name in "ab")
        self.is_whole()

    def close(self):
        for proxy in self.proxies.values():
            proxy.close()

    def be(self, how):
        for proxy in self.proxies.values():
            proxy.be(getattr(odd_proxy, how), how not in SAID)

    def documents(self):
        return {p["name"] for p in self.node.api("/v1/policies")["policies"] if p["inForce"]}

    def labels(self):
        return sorted(sorted(e["labels"]) for e in self.node.api("/v1/endpoints")["endpoints"])

    def is_whole(self):
        wait_for(lambda: {"deny", "allow"} <= self.documents() and len(self.labels()) == 2 and not self.reasons(),
                 lambda: f"both at their word: {self.documents()} {self.node.api('/v1/status')['reasons']}", 120)

    def reasons(self):
        return [r for r in self.node.api("/v1/status")["reasons"] if r["what"] in ("nomad", "consul", "policy", "alloc", "tenant")]

    def says(self, how):
        for name in ("consul",) if how == "huge" else self.proxies:     # Nomad's is read as it comes, whatever its length
            reason, = wait_for(lambda name=name: self.node.reasons(name), lambda name=name: f"{name}'s reason: {how}", 60)
            assert SAID[how] in reason["text"] and reason["fix"], (how, reason)


@pytest.fixture(scope="module")
def behind():
    nomad, consul = nomad_and_consul()
    with Node("node1", NodeOptions(conf={"mode": "process"})) as node:
        made = Behind(node, nomad, consul)
        yield made
        made.close()


@pytest.fixture
def closed(behind):
    """What is denied stays so for as long as the test takes."""
    address = next(e for e in behind.node.api("/v1/endpoints")["endpoints"] if e["containerId"] == behind.b)["addresses"][0]
    ping = behind.node.popen(["nsenter", f"--net=/run/netns/{behind.a}", "ping", "-n", "-i", "0.05", address.split("/")[0]],
                             stdout=subprocess.PIPE, text=True)
    begun = time.monotonic()
    yield
    time.sleep(max(0, begun + 1 - time.monotonic()))       # the quickest test is over before ten are sent
    ping.send_signal(signal.SIGINT)
    out, _ = ping.communicate(timeout=60)
    sent, received = re.search(r"(\d+) packets transmitted, (\d+) received", out).groups()
    assert int(sent) > 5 and int(received) == 0, out


def test_what_is_no_answer(behind, closed):
    """P46, P47: cut off, too long, out of order or of somebody else: state stays what the last whole listing said."""
    before = behind.documents(), behind.labels()
    for how in SAID:
        behind.be(how)
        behind.says(how)
        assert (behind.documents(), behind.labels()) == before and behind.node.api("/v1/status")["state"] == "degraded", how
        behind.be("as_it_is")
        behind.is_whole()
    assert not any(proxy.trapped for proxy in behind.proxies.values())


@pytest.mark.parametrize("how", HEARD)
def test_what_is_an_answer_all_the_same(behind, closed, how):
    before = behind.labels()
    behind.be(how)
    behind.cluster.kv_put(PREFIX + "operator/" + how.replace("_", "-"), DENY)
    wait_for(lambda: how.replace("_", "-") in behind.documents(), f"a change heard through {how}", 90)
    assert behind.labels() == before and {"deny", "allow"} <= behind.documents()
    if how != "index_back":
        assert not behind.reasons()
    behind.be("as_it_is")
    behind.is_whole()
