# SPDX-License-Identifier: Apache-2.0
"""What a tenant, or somebody on the node, may do to picketd: for the tests and for the bench (R7, R8)."""
import contextlib
import fcntl
import json
import os

DENY = {"endpointSelector": {}, "egressDeny": [{"toCIDR": ["198.51.100.0/24"]}]}

DEEP = {"130": '"TaskResources": ' + '{"x":' * 130 + "1" + "}" * 130,
        "100,000": '"TaskResources": ' + "[" * 100000 + "]" * 100000}

MANY_KEYS = {f"key{i}": "x" for i in range(60000)}


def put_large_allocs(nomad):
    """Ten allocs of 8 MB of configuration each."""
    raw = '"TaskResources": {"args": [' + ",".join(['"x"'] * 2000000) + "]}"
    for i in range(10):
        nomad.put(f"large-{i}", "evil", "large", "g", raw=raw)


def flood(consul, keys):
    """{key: text} at once."""
    with consul.changed:
        for key, text in keys.items():
            consul.keys["picket/v1/default/policies/" + key] = text
        consul.touch(key)


FLOODS = {"100 keys of 500 kB": {f"tenants/evil/k{i}": "x" * 500000 for i in range(100)},
          "30,000 keys of a byte": {f"tenants/evil/k{i}": "x" for i in range(30000)},
          "30,000 documents of one name":
              {f"tenants/evil/k{i}": json.dumps({"name": "same", "rules": [DENY]}) for i in range(30000)},
          "70,000 small documents":
              {f"tenants/evil/k{i}": '{"endpointSelector":{},"ingress":[{}]}' for i in range(70000)}}


def explosive(entries, salt=0):
    """The whole world but for one address each, a port each: the classes are as many, their verdicts the
    square of that."""
    return {"endpointSelector": {}, "egress": [
        {"toCIDRSet": [{"cidr": "0.0.0.0/0", "except": [f"8.{i // 200}.{i % 200}.1/32"]}],
         "toPorts": [{"ports": [{"port": str(1000 + salt + 2 * i), "protocol": "TCP"}]}]} for i in range(entries)]}


@contextlib.contextmanager
def node_lock_held(node):
    with open(os.path.join(node.root, "run/picket/lock/node"), "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
