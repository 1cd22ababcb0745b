# SPDX-License-Identifier: Apache-2.0
"""What lies in the state directory and is no file of ours stops nothing but itself. A verb that waits for one fails at its deadline."""
import os
import signal
import uuid

import pytest

from harness.shell import wait_for


def odd(kind, path):
    """What lies there is no regular file from now on."""
    if os.path.isdir(path):
        os.rmdir(path)
    elif os.path.lexists(path):
        os.unlink(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    (os.mkfifo if kind == "fifo" else os.mkdir)(path)


def place(node, kind, *names):
    for name in names:
        odd(kind, node.path(f"var/lib/picket/{name}"))


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


@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_an_operators_file_that_is_none(node, kind):
    """
    A reload refuses such a picketd.json, a start does, guests get no resolver by such a resolv.conf, and Consul isn't asked by such a CA.
    A directory may hold the configuration; this one holds none.
    """
    refused = "picketd.json is no regular file" if kind == "fifo" else "picketd.json was there before and is gone"
    ca = node.path("etc/picket/ca.pem")
    node.start_picketd({"nomad": None, "consul": None})
    config, resolv = node.path("etc/picket/picketd.json"), node.path("etc/resolv.conf")
    os.rename(config, config + ".kept")
    odd(kind, config)
    node.picketd.send_signal(signal.SIGHUP)
    reason = wait_for(lambda: [r for r in node.api("/v1/status")["reasons"] if refused in r["text"]], "the refusal", 30)[0]
    assert ("put a regular file there" if kind == "fifo" else "put it back") in reason["fix"]
    odd(kind, resolv)
    a = node.add("acme", "a", "g")
    wait_for(lambda: node.api(f"/v1/endpoints/{a.id}")["inStep"], "an endpoint")
    node.kill_picketd()
    done = node.run([node.program("picketd"), "-root", node.root], check=False, timeout=60)
    assert done.returncode == 1 and refused in done.stderr, done
    (os.unlink if kind == "fifo" else os.rmdir)(config)
    odd(kind, ca)
    node.start_picketd({"nomad": None, "consul": {"address": "https://127.0.0.1:1", "caFile": ca}}, wait=False)
    node.picketd_serves()
    wait_for(lambda: [r for r in node.reasons("consul") if f"{ca} is no regular file" in r["text"]], lambda: node.api("/v1/status")["reasons"], 30)
