# SPDX-License-Identifier: Apache-2.0
"""Two federated regions of a real Nomad: a node is known in its own, whichever region's server is asked."""
import os

import pytest
from harness import Node, NodeOptions, wait_for
from harness.nomad import CLIENT, CLIENT_HCL, SERVER, SERVER_HCL, Cluster, peer
from harness.shell import TREE

JOB = os.path.join(TREE, "tests/e2e/app.nomad.hcl")
HOME, AWAY = "home", "away"	# the region of the node, and the other one
FAR = 4666			# where the other one's server is asked


def of_region(template, name, *changes):
    """An agent's template in that region."""
    text = template.replace('datacenter = "dc1"\n', f'datacenter = "dc1"\nregion     = "{name}"\n', 1)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


class Regions(Cluster):
    """A server and the client of one region, and a server of another one that has joined it."""

    def start(self):
        for name, template in ("server", of_region(SERVER_HCL, HOME)), ("client", of_region(CLIENT_HCL, HOME)):
            self._agent(name, [self.nomad, "agent", "-config", self._config(name, template)])
        away = of_region(SERVER_HCL, AWAY, ("4656", "4666"), ("4657", "4667"), ("4658", "4668"), ("/nomad-server", "/nomad-away"))
        self._agent("away", [self.nomad, "agent", "-config", self._config("away", away)])
        wait_for(self._node_ready, lambda: f"Nomad's client\n{self.log('client')}", 180)
        wait_for(lambda: self._answers("away", FAR, "/v1/status/leader", lambda a: a), lambda: f"the other leader\n{self.log('away')}", 180)
        self.request(FAR, "PUT", f"/v1/agent/join?address={self.address}:4658")
        for port in SERVER, FAR:
            wait_for(lambda port=port: self.get(port, "/v1/regions") == [AWAY, HOME], lambda: f"the regions\n{self.log('away')}", 60)
        assert self.get(FAR, "/v1/nodes") == [] and len(self.get(FAR, f"/v1/nodes?region={HOME}")) == 1


@pytest.fixture(scope="module")
def regions():
    nomad = peer("nomad")
    if not nomad:
        pytest.skip("no Nomad in PATH and no Go 1.26 to build it")
    with Node("node1", NodeOptions(conf={"mode": "process"})) as node:
        made = Regions(node, nomad, None)
        made.start()
        made.namespace("acme")
        made.run_job(JOB, namespace="acme", count=1)
        yield made


@pytest.mark.parametrize("port, region", [(CLIENT, None), (SERVER, None), (FAR, HOME)], ids=["its-client", "its-server", "another-regions-server"])
def test_a_node_is_known_in_its_region(regions, port, region):
    """Its allocations are confirmed, and say of which region they are."""
    node = regions.node
    node.start_picketd({"nomad": {"address": f"http://{regions.address}:{port}", "node": node.name, **({"region": region} if region else {})}, "consul": None})
    try:
        regions.running("acme", "app")
        endpoint = wait_for(lambda: next((e for e in node.api("/v1/endpoints")["endpoints"] if e["confirmed"] == "yes"), None),
                            lambda: f"Nomad's word: {node.api('/v1/status')['sources']} {node.log()[-2000:]}", 60)
        assert f"nomad:region={HOME}" in endpoint["labels"], endpoint
    finally:
        node.kill_picketd()


def test_another_regions_servers_know_no_such_node(regions):
    """It is said, with the key that names a region; what runs stays fenced."""
    node = regions.node
    node.start_picketd({"nomad": {"address": f"http://{regions.address}:{FAR}", "node": node.name}, "consul": None})
    try:
        found = wait_for(lambda: next((r for r in node.reasons("nomad") if f'no node "{node.name}"' in r["text"]), None), lambda: node.api("/v1/status"), 60)
        assert "region" in found["fix"], found
    finally:
        node.kill_picketd()
