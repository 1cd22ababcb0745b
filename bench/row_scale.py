# SPDX-License-Identifier: Apache-2.0
"""C2 and C5: one node of a thousand, in the cluster of tests/scale."""
import os

from report import percentile
import sides  # noqa: F401 (it says where the simulation is)
from scale.measure import cost, lags
from scale.world import Size

MIB = 1048576
WHAT = {"endpoint": "Consul says another node's endpoint", "policy": "Consul says a tenant's document", "fact": "Nomad says another meta of a job"}


def changes(result, build):
    os.environ["PICKET_BUILD"] = os.path.abspath(build)
    found = lags(Size(own=20))
    for name, took in found.items():
        result.add(f"C2.{name}", f"{WHAT[name]}: its answer's last byte to the table that the guard reads, p99", [percentile(took, 99)], limit=50e6)
        result.add(f"C2.{name}.p50", "the same, p50", took)


def thousand(result, build):
    os.environ["PICKET_BUILD"] = os.path.abspath(build)
    found = cost()
    result.add("C5.bytes", "received an hour: 1,000 nodes, 50,000 endpoints, 20 of 2,000 tenants here", [found["bytes"]], [found["whole"]],
               "all tenants' endpoints", 0.03, "bytes")
    result.add("C5.bytes.one", "the same", [found["bytes"]], [found["one"]], "all of them by one question", unit="bytes")
    result.add("C5.requests", "requests an hour", [found["requests"]], unit="")
    result.add("C5.cpu", "processor's time of picketd, share of one", [found["cpu"] * 100], limit=1, unit="%")
    result.add("C5.memory", "picketd, resident", found["memory"], limit=20 * MIB, unit="bytes")
