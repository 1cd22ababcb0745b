# SPDX-License-Identifier: Apache-2.0
"""Clusters under a real Nomad and Consul."""
import pytest
from harness.fabric import Fabric, made_cluster
from harness.fleet import Fleet
from harness.nomad import peer


@pytest.fixture
def fleet(tmp_path_factory):
    nomad, consul = peer("nomad"), peer("consul")
    if not nomad or not consul:
        pytest.skip("no Nomad or Consul in PATH and no Go 1.26 to build them")
    base = tmp_path_factory.mktemp("fleet")
    base.chmod(0o755)
    fabric = Fabric(str(base), consul)
    try:
        with made_cluster("fleet", fabric, kind=Fleet, nomad=nomad) as made:
            made.start()
            yield made
    finally:
        fabric.close()
