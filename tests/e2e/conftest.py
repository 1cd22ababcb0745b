# SPDX-License-Identifier: Apache-2.0
"""Clusters under a real Nomad and Consul."""
import pytest
from harness.fleet import FABRICS, made_fleet


@pytest.fixture(scope="module")
def fleet(request, tmp_path_factory):
    """Its parameter is one of FABRICS."""
    base = tmp_path_factory.mktemp("fleet")
    base.chmod(0o755)
    with made_fleet(str(base), **FABRICS[request.param]) as made:
        if not made:
            pytest.skip("no Nomad or Consul in PATH and no Go 1.26 to build them")
        yield made
