# SPDX-License-Identifier: Apache-2.0
"""What each request of picketd's names beside what it is for."""
from fake import FakeNomad, serving
from harness.shell import wait_for
from test_picketd_sources import OPERATOR, in_force


def test_every_request_says_where_it_is_meant(node, consul):
    """Consul's namespace and partition, Nomad's region: in whatever is asked, read or written."""
    consul.put("operator/a", OPERATOR)
    with serving(node, FakeNomad, "here") as nomad:
        node.add("acme", "api", "web")	# its tenant's keys are asked for, too
        node.start_picketd({"nomad": {"address": nomad.address, "node": "here", "region": "r 1"}, "fabric": "routed", "blocks": {"range": ["10.40.0.0/16"]},
                            "consul": {"address": consul.address, "namespace": "n 1", "partition": "p"}})
        wait_for(lambda: in_force(node) == {"consul/operator/a"}, "the key")
        wait_for(lambda: consul.count("/v1/session/") and consul.count("acquire=") and nomad.count("/allocations"), "a session, what is written under it, and Nomad's word", 60)
        for fake, words in (consul, ("ns=n%201", "partition=p")), (nomad, ("region=r%201",)):
            assert fake.requests and not [asked for asked in fake.requests if not all(word in asked for word in words)]
