# SPDX-License-Identifier: Apache-2.0
"""What lies in the state directory and is no file of ours stops nothing but itself. A verb that waits for one fails at its deadline."""
import os
import uuid

import pytest

from harness.shell import wait_for


def place(node, kind, *names):
    for name in names:
        path = node.path(f"var/lib/picket/{name}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if kind == "fifo":
            os.mkfifo(path)
        else:
            os.mkdir(path)


@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_what_is_no_regular_file_stops_nothing(node, kind):
    """A FIFO that is opened for reading waits for its writer: each ADD would, until its deadline."""
    node.delete(node.add("acme", "warm", "up"))
    place(node, kind, f"endpoints/closed/{uuid.uuid4()}@eth0@7", f"endpoints/{uuid.uuid4()}@eth0@8",
          "leases/10.40.7.77", f"facts/{uuid.uuid4()}.json")
    first = node.add("acme", "a", "g")
    second = node.add("acme", "b", "g")
    node.delete(second)
    node.start_picketd({"nomad": None, "consul": None})
    third = node.add("acme", "c", "g")
    wait_for(lambda: node.api(f"/v1/endpoints/{third.id}")["inStep"], "the third")
    assert node.api(f"/v1/endpoints/{first.id}")["inStep"]
    node.policy("p.json", {"tier": "operator", "rules": [{"endpointSelector": {}, "ingress": [{}]}]})
    wait_for(lambda: node.api(f"/v1/endpoints/{first.id}")["policies"] == ["file/p"], "a change of policy")
    node.delete(third)


@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_a_stored_document_that_is_no_file(node, kind):
    """It may have been a denial: policy stays as it is, ADD starts in quarantine, and both say so at once."""
    node.start_picketd({"nomad": None, "consul": None})
    node.add("acme", "a", "g")
    node.kill_picketd()
    place(node, kind, "policies/file/x")
    node.add("acme", "b", "g")
    node.start_picketd({"nomad": None, "consul": None})
    assert any("policies/file/x" in r["text"] for r in node.api("/v1/status")["reasons"])
