# SPDX-License-Identifier: Apache-2.0
"""What tenants may write into Nomad's Variables costs nobody else anything, as test_hostile.py has it of Nomad and Consul."""
import json

from harness.cost import Cost
from harness.hostile import DENY
from harness.shell import wait_for
from test_hostile import OPERATOR, in_force, told  # noqa: F401

TENANTS, EACH = 40, 250


def test_ten_thousand_variables(node, nomad, told):
    """Values are read one by one; what each question finds among all of them isn't looked for anew at each. Of every other tenant an endpoint is here."""
    with nomad.changed:
        for n in range(TENANTS * EACH):
            tenant = f"t{n // EACH}"
            nomad.variables[tenant, f"picket/v1/default/policies/tenants/{tenant}/d{n % EACH}"] = \
                {"Items": {"document": json.dumps(DENY)}, "CreateIndex": 50 + n, "ModifyIndex": 50 + n}
        nomad.index = nomad.vars_index = 50 + TENANTS * EACH
    here = [node.add(f"t{n}", "job", "g") for n in range(0, TENANTS, 2)]
    node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None, "store": "nomad"})
    cost = Cost(node)
    wait_for(lambda: node.api("/v1/status")["documents"]["active"] == len(here) * EACH, lambda: node.api("/v1/status")["sources"], 400)
    nomad.put_document("operator/last", OPERATOR)
    wait_for(lambda: "nomad/operator/last" in in_force(node), "one more", 60)
    told("10,000 of Nomad's Variables", cost)
