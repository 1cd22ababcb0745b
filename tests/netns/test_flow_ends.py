# SPDX-License-Identifier: Apache-2.0
"""
What is told of flows that ended, by real stacks: what each side sent and how it ended, in the API, the flows file and
the CLI; and how many events of an endpoint were lost, where an operator looks.
"""
import json
import os
import socket

import pytest
from harness import EGRESS, wait_for
from harness.servers import Mirror, ask, connect, exchange
from test_published import HOST, OWN, mapping
from test_world import Stage

ALONE = {"nomad": None, "consul": None}
TOLD = {**ALONE, "flows": {"closed": True}}
QUICK = {"tcpClosed": 2, "tcpReset": 2, "tcpOpen": 2, "udp": 2, "udpStream": 2, "dns": 2}


@pytest.fixture
def stage(node):
    made = []

    def make(config=None):
        node.start_picketd(config or {**TOLD, "timeouts": QUICK})
        made.append(Stage(node))
        return made[-1]
    yield make
    for each in made:
        each.close()


def lines(node):
    return [json.loads(line) for line in node.api_text("/v1/flows?last=1000").splitlines() if line.strip()]


def ended(node, **where):
    """The flows that were told to have ended, by protocol and destination's port."""
    return [f for f in lines(node) if f.get("verdict") == "closed" and f["protocol"] == where.get("protocol", "tcp")
            and f["destination"]["port"] == where["port"]]


def told(node, **where):
    return wait_for(lambda: ended(node, **where), lambda: f"the end of {where}: {lines(node)}")


def test_a_connection_that_both_sides_close(stage):
    s = stage()
    a, b = s.add("acme", "api"), s.add("acme", "db")
    server = Mirror(b.inside(), OWN)
    with connect(a, "tcp", b.address(), OWN) as c:
        for _ in range(3):
            assert exchange(c)
        assert not ended(s.node, port=OWN)
    flow, = told(s.node, port=OWN)
    server.close()
    assert flow["end"] == "fin" and flow["reason"] == "ok" and flow["tcpFlags"] == ""
    assert flow["source"]["name"] == "acme/api/api" and flow["source"]["ip"] == a.address()
    assert flow["destination"]["name"] == "acme/db/db" and flow["direction"] == "egress"
    # Each side's handshake, three messages or answers, and its FIN: more where an ACK goes alone.
    assert flow["packets"] >= 5 and flow["replyPackets"] >= 5, flow
    assert flow["bytes"] > 54 * flow["packets"] and flow["replyBytes"] > 54 * flow["replyPackets"], flow
    assert flow["rule"]["description"] and flow["kind"] == "allow" and flow["seconds"] <= 60
    assert len(ended(s.node, port=OWN)) == 1
    text = s.node.picket("flows", "-verdict", "closed", "-to-port", str(OWN)).stdout
    assert f"fin after {flow['seconds']} s, {flow['bytes']} bytes in {flow['packets']}, back {flow['replyBytes']} bytes" in text, text
    with open(os.path.join(s.node.root, "var/log/picket/flows.jsonl"), encoding="utf-8") as file:
        assert any(json.loads(line) == flow for line in file)


def test_a_datagram_that_the_world_answers(stage):
    """The masqueraded one is told from the node's address, as it is when it begins."""
    s = stage()
    a = s.add("acme", "api")
    assert ask(a, "udp", s.world(), 80)
    flow, = told(s.node, protocol="udp", port=80)
    assert flow["end"] == "timeout" and flow["packets"] == 1 and flow["replyPackets"] == 1
    assert flow["source"]["name"] == "acme/api/api" and flow["source"]["ip"] == "192.0.2.2"
    assert flow["destination"]["name"] == "world" and flow["destination"]["ip"] == s.world()


def test_what_comes_in_by_a_published_port(stage):
    s = stage()
    web = s.add("acme", "web", runtimeConfig={"portMappings": mapping()})
    server = Mirror(web.inside(), OWN)
    assert ask(s.node.world, "tcp", "192.0.2.2", HOST)
    flow, = told(s.node, port=OWN)
    server.close()
    assert flow["direction"] == "ingress" and flow["source"]["ip"] == s.world() and flow["source"]["name"] == "world"
    assert flow["destination"]["name"] == "acme/web/web" and flow["destination"]["ip"] == web.address()


def test_an_endpoint_that_goes_and_a_policy_that_comes(stage):
    s = stage({**TOLD, "timeouts": {**QUICK, "udp": 600}})
    a, b, c = s.add("acme", "api"), s.add("acme", "db"), s.add("acme", "other")
    servers = [Mirror(m.inside(), OWN) for m in (b, c)]
    assert ask(a, "udp", b.address(), OWN) and ask(a, "udp", c.address(), OWN)
    s.node.policy("shut.json", {"namespace": "acme", "rules": [
        {"endpointSelector": {"matchLabels": {"nomad:job": "other"}}, "ingressDeny": [{"fromEndpoints": [{}]}]}]})
    with connect(a, "udp", c.address(), OWN) as asking:
        wait_for(lambda: exchange(asking) is None, "the denial")
    for server in servers:
        server.close()
    s.node.delete(c.alloc)
    gone = told(s.node, protocol="udp", port=OWN)
    assert {f["end"] for f in gone} <= {"endpoint", "revoked"} and all(f["destination"]["ip"] == c.address() for f in gone)


def test_nothing_is_told_unless_it_is_asked_for(stage):
    s = stage({**ALONE, "timeouts": QUICK, "flows": {"allowed": "new"}})
    a = s.add("acme", "api")
    assert ask(a, "udp", s.world(), 80)
    wait_for(lambda: [f for f in lines(s.node) if f.get("verdict") == "allowed"], "its begin")
    # A reload asks for it: the flows that begin under the word that says so are told.
    s.node.write_config({**TOLD, "timeouts": QUICK})
    s.node.api("/v1/reload", "POST")
    wait_for(lambda: ask(a, "udp", s.world(), 8080) and ended(s.node, protocol="udp", port=8080), "an end that is told", 60)


def test_lost_events_are_counted_by_endpoint(stage):
    """Far more denials than a second's budget: the endpoint's, in the list, in its page, by job, and nobody else's."""
    s = stage({**ALONE})
    noisy, quiet = s.add("acme", "noisy"), s.add("acme", "quiet")
    with noisy.inside():
        sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for i in range(3000):
        sending.sendto(b"x", ("192.0.2.2", 1000 + i))
    sending.close()
    denied = s.node.tables.counters(noisy.slot)[EGRESS, "policy-denied"]

    def listed():
        rows = json.loads(s.node.picket("endpoint", "list", "-json").stdout)
        return {row["job"]: row["eventsLost"] for row in rows}
    wait_for(lambda: listed()["noisy"] > 0, listed)
    assert listed()["quiet"] == 0 and listed()["noisy"] <= denied
    shown = s.node.picket("endpoint", "show", noisy.alloc.id).stdout
    assert "Events lost" in shown and str(listed()["noisy"]) in shown, shown
    metrics = s.node.api_text("/metrics")
    assert any(line.startswith('picket_job_events_lost_total{namespace="acme",nomad_job="noisy"}') and int(line.split()[-1]) > 0
               for line in metrics.splitlines()), metrics
    assert quiet.slot != noisy.slot
