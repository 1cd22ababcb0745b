# SPDX-License-Identifier: Apache-2.0
"""
Nomad and Consul are gone at once, the node is booted anew meanwhile, and both come back: what was enforced stays, what starts is fenced by the last
known policies, and once they are back all is as they say, without a restart.
"""
import pytest
from fake import FakeConsul, FakeNomad
from harness.servers import QUICK
from harness.shell import wait_for
from test_picketd import ONLY_API, confirmed, in_step

NOMAD, CONSUL = 4646, 8500
RULES = {"rules": ONLY_API["rules"]}
CONFIG = {"nomad": {"address": f"http://127.0.0.1:{NOMAD}", "node": "here"}, "consul": {"address": f"http://127.0.0.1:{CONSUL}"}}


class Servers:
    """Both, with what they had when they went."""

    def __init__(self, node):
        self.node, self.allocs, self.documents = node, {}, {}
        self.nomad = self.consul = None

    def start(self):
        with self.node.inside():
            self.nomad, self.consul = FakeNomad("here", port=NOMAD), FakeConsul(port=CONSUL)
        self.consul.index = self.consul.newest = 1000 if self.allocs else 10	# it went on
        for ident, (tenant, job) in self.allocs.items():
            self.nomad.put(ident, tenant, job, "g")
        for name, document in self.documents.items():
            self.consul.put(name, document)

    def stop(self):
        for server in self.nomad, self.consul:
            if server and not server.stopped:
                server.stop()

    def add(self, tenant, job, ident=None):
        """Placed, be the servers there or not: a client goes on with what it was given. ident: an alloc of before, in a new netns."""
        alloc = self.node.add(tenant, job, "g", alloc_id=ident)
        self.allocs[alloc.id] = tenant, job
        if self.nomad and not self.nomad.stopped:
            self.nomad.put(alloc.id, tenant, job, "g")
        return alloc


@pytest.fixture
def servers(make_node):
    made = Servers(make_node(conf={"mode": "process"}))
    yield made
    made.stop()


def test_both_are_away_and_the_node_is_booted_meanwhile(servers):
    node = servers.node
    servers.documents["tenants/acme/db"] = RULES
    servers.start()
    node.start_picketd(CONFIG)
    ids = {job: servers.add("acme", job).id for job in ("api", "db", "batch")}
    api, db, batch = (node.allocs[ids[job]] for job in ids)
    beta = servers.add("beta", "x")
    for alloc in api, db, batch, beta:
        confirmed(node, alloc, "yes")
    wait_for(lambda: api.pings(db, timeout=QUICK) and not batch.pings(db, timeout=QUICK), "the tenant's policy")
    wait_for(lambda: node.api("/v1/status")["state"] == "ok", lambda: node.api("/v1/status")["reasons"], 60)
    node.written()

    servers.stop()
    wait_for(lambda: {node.source(name)["state"] for name in ("nomad", "consul")} == {"stale"}, "both to be said", 90)
    assert api.pings(db, timeout=QUICK) and not batch.pings(db, timeout=QUICK) and not beta.pings(db, timeout=QUICK)
    late = servers.add("acme", "batch")
    assert late.result["ips"] and late.pings(api, timeout=QUICK) and not late.pings(db, timeout=QUICK) and not late.pings(beta, timeout=QUICK)
    new = servers.add("gamma", "x")		# nobody knows its documents
    assert new.result["ips"] and not new.pings(api, timeout=QUICK) and not api.pings(new, timeout=QUICK)

    node.reboot()
    api, db, batch = (servers.add("acme", job, ids[job]) for job in ids)
    beta = servers.add("beta", "x", beta.id)
    assert not batch.pings(db, timeout=QUICK) and not beta.pings(db, timeout=QUICK) and not batch.pings(beta, timeout=QUICK), "by the plugin alone"
    node.start_picketd(CONFIG)
    wait_for(lambda: api.pings(db, timeout=QUICK), "what Nomad had said of it", 60)
    assert not batch.pings(db, timeout=QUICK) and not beta.pings(db, timeout=QUICK)
    first, second = (servers.add("acme", job) for job in ("api", "batch"))
    assert not any(a.pings(db, timeout=QUICK) for a in (first, second)) and first.pings(batch, timeout=QUICK), "claims that nobody confirms open nothing"
    status = node.api("/v1/status")
    assert status["state"] == "degraded" and {"nomad", "consul"} <= {r["what"] for r in status["reasons"]} and all(r["fix"] for r in status["reasons"]), status["reasons"]
    pid = node.picketd.pid

    servers.documents["operator/none"] = {"tier": "operator", "rules": [{"endpointSelector": {"matchLabels": {"nomad:job": "batch"}}, "ingressDeny": [{"fromEntities": ["all"]}]}]}
    for ident in (late.id, new.id):		# their netns ended with the boot, and Nomad placed them elsewhere
        del servers.allocs[ident]
    servers.start()
    for alloc in api, db, batch, beta, first, second:
        confirmed(node, alloc, "yes")
    wait_for(lambda: in_step(node) and first.pings(db, timeout=QUICK) and not api.pings(batch, timeout=QUICK), "what both say now", 90)
    assert not second.pings(db, timeout=QUICK) and not beta.pings(db, timeout=QUICK) and api.pings(db, timeout=QUICK)
    assert {p["name"]: p["enforced"] for p in node.api("/v1/policies")["policies"]} == {"db": "yes", "none": "yes"}
    wait_for(lambda: not [r for r in node.api("/v1/status")["reasons"] if r["what"] in ("nomad", "consul", "policy")], lambda: node.api("/v1/status")["reasons"], 90)
    assert node.picketd.pid == pid and node.picketd.poll() is None
