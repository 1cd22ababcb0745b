# SPDX-License-Identifier: Apache-2.0
"""
The real Nomad and Consul, with ACLs and TLS, are killed at once, the node is booted anew meanwhile, and both come back with what they had: what was
enforced stays, what starts is fenced by the last known policies, and what is said afterwards counts without a restart.
"""
import json

import pytest

from harness import Node, NodeOptions, wait_for
from harness.secured import Secured
from harness.servers import QUICK
from harness.ways import nomad_and_consul
from test_secured import config, prepare

DENY = json.dumps({"rules": [{"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["all"]}]}]})
KEY = "picket/v1/default/policies/tenants/acme/deny"


@pytest.fixture(scope="module")
def agents():
    nomad, consul = nomad_and_consul()
    with Node("node1", NodeOptions(conf={"mode": "process"})) as node:
        made = Secured(node, nomad, consul)
        made.start()
        prepare(made)
        yield made


def sources(node):
    return {name: node.source(name)["state"] for name in ("nomad", "consul")}


def isolated(acme, beta):
    """Of each tenant two: acme's document denies, beta has none, and nobody reaches another tenant."""
    assert not acme[0].pings(acme[1], timeout=QUICK) and not beta[0].pings(acme[0], timeout=QUICK) and not acme[0].pings(beta[0], timeout=QUICK)
    assert beta[0].pings(beta[1])


def test_both_are_away_and_the_node_is_booted_meanwhile(agents):
    node = agents.node
    agents.cli("consul", "kv", "put", KEY, DENY)
    node.start_picketd(config(agents))
    wait_for(lambda: set(sources(node).values()) == {"ok"}, lambda: node.api("/v1/status")["sources"], 120)
    acme, beta = [node.add("acme", "a", "g")], [node.add("beta", "a", "g")]
    wait_for(lambda: any(p["name"] == "deny" and p["enforced"] == "yes" for p in node.api("/v1/policies")["policies"]), lambda: node.api("/v1/policies"), 60)
    wait_for(lambda: node.api("/v1/status")["endpoints"]["inStep"] == 2, "both tenants' documents", 60)
    node.written()
    for name in "nomad", "consul":
        agents.stop(name)
    wait_for(lambda: set(sources(node).values()) == {"stale"}, lambda: node.api("/v1/status")["sources"], 120)
    acme.append(node.add("acme", "b", "g"))
    beta.append(node.add("beta", "b", "g"))
    isolated(acme, beta)

    node.reboot()
    acme, beta = ([node.add(tenant, job, "g") for job in "ab"] for tenant in ("acme", "beta"))
    isolated(acme, beta)
    node.start_picketd(config(agents))
    wait_for(lambda: {"nomad", "consul"} <= {r["what"] for r in node.api("/v1/status")["reasons"]}, lambda: node.api("/v1/status")["reasons"], 120)
    acme.append(node.add("acme", "c", "g"))
    isolated(acme, beta)
    assert not acme[2].pings(acme[0], timeout=QUICK) and not beta[0].pings(acme[2], timeout=QUICK)
    pid = node.picketd.pid

    agents.start_again()
    wait_for(lambda: set(sources(node).values()) == {"ok"}, lambda: node.api("/v1/status")["sources"], 180)
    isolated(acme, beta)
    agents.cli("consul", "kv", "delete", KEY)
    wait_for(lambda: acme[0].pings(acme[1], timeout=QUICK) and acme[2].pings(acme[0], timeout=QUICK), "what Consul says now", 120)
    assert not beta[0].pings(acme[0], timeout=QUICK) and node.picketd.pid == pid and node.picketd.poll() is None
    assert not [r for r in node.api("/v1/status")["reasons"] if r["what"] in ("nomad", "consul", "policy")], node.api("/v1/status")["reasons"]
