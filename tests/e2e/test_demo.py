# SPDX-License-Identifier: Apache-2.0
"""`make demo` itself: every claim that it prints is checked there; its exit status says so here."""
import os
import subprocess
import sys

from harness.shell import TREE


def test_the_demo_s_claims_hold():
    done = subprocess.run([sys.executable, os.path.join(TREE, "demo/local")], check=False,
                          capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "claims held" in done.stdout and "FAILED" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
