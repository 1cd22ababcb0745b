# SPDX-License-Identifier: Apache-2.0
"""`make demo` and `make demo-cluster` themselves: every claim that they print is checked there; their exit status says so here."""
import os
import subprocess
import sys

import pytest
from harness.nomad import peer
from harness.shell import TREE


@pytest.mark.parametrize("which", ["local", "cluster"])
def test_the_demo_s_claims_hold(which):
    if which == "cluster" and not (peer("nomad") and peer("consul")):
        pytest.skip("no Nomad or Consul in PATH and no Go 1.26 to build them")
    done = subprocess.run([sys.executable, os.path.join(TREE, f"demo/{which}")], check=False,
                          capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "claims held" in done.stdout and "FAILED" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
