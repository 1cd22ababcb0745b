# SPDX-License-Identifier: Apache-2.0
"""The mutants that are listed are of the sources as they are: a round would only say so once it is asked for."""
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MUTATE = os.path.join(ROOT, "tests/mutate")
sys.path.append(MUTATE)
import allow  # noqa: E402 pylint: disable=wrong-import-position


@pytest.mark.parametrize("side", ["bpf", "controller"])
def test_those_that_are_known(side):
    done = subprocess.run([sys.executable, MUTATE, "--known", "--list", "--side", side], cwd=ROOT, check=False,
                          capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.count("once by hand") >= 15, done.stderr


def lines(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read().split("\n")


def test_those_that_are_allowed():
    gone = []
    for entry in allow.entries("\n".join(lines("tests/mutants.allow"))):
        source = [line.strip() for line in lines(entry.file)]
        if not any(tuple(source[i:i + len(entry.before)]) == entry.before for i in range(len(source))):
            gone.append(f"tests/mutants.allow line {entry.line}: {entry.file} has no such lines")
    assert not gone, f"{gone}; fix: write them anew, or delete the entry"
