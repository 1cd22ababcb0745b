# SPDX-License-Identifier: Apache-2.0
"""Nomad's own commands that a `fix:` gives are the real Nomad's, with their options."""
import os
import re
import subprocess
import sys

import pytest
from harness.nomad import peer
from harness.shell import TREE

sys.path.insert(0, os.path.join(TREE, "tests/repo"))

from fix_texts import fixes  # noqa: E402

GIVEN = sorted({said for text in fixes() for said in re.findall(r"\bnomad ((?:alloc|node|job|system) \w+(?: -\w+)*)", text)})


def test_there_are_some():
    assert {"alloc stop", "node status -self -json"} <= set(GIVEN)


@pytest.mark.parametrize("command", GIVEN)
def test_it_is_nomads(command):
    noun, verb, *options = command.split()
    done = subprocess.run([peer("nomad"), noun, verb, "-help"], capture_output=True, text=True, check=False, timeout=60)
    text = done.stdout + done.stderr
    assert f"Usage: nomad {noun} {verb}" in text and all(re.search(rf"^\s+{option}\b", text, re.M) for option in options), text
