# SPDX-License-Identifier: Apache-2.0
"""Random kills, partitions and clocks: no frame crosses tenants, what is allowed comes back, nothing is left. `make soak` runs it for ten minutes."""
import os

import pytest
from harness.soak import Soak

SECONDS, SEED = int(os.environ.get("PICKET_SOAK", "60")), int(os.environ.get("PICKET_SEED", "1"))
# Under `make test` the other fabric has its turn in test_fleet.py.
FABRICS = ["routed", "vxlan"] if "PICKET_SOAK" in os.environ else ["routed"]


@pytest.mark.parametrize("fleet", FABRICS, indirect=True)
def test_whatever_dies(fleet):
    soak = Soak(fleet, SEED)
    print(f"soak: {SECONDS} s, seed {SEED}")
    try:
        soak.place()
        soak.run(SECONDS)
    finally:
        soak.tenants.stop()
    soak.end()
    print(f"soak: {len(soak.said)} harms, {soak.churned} jobs begun, {soak.replaced} allocs that Nomad replaced, {soak.tenants.sent:,} datagrams sent to other tenants, "
          f"{soak.tenants.within:,} frames within one seen, {len(soak.tenants.crossed)} across; all was back in {soak.longest:.1f} s at most")
    assert soak.tenants.crossed == [] and soak.tenants.within and soak.tenants.sent > 100
