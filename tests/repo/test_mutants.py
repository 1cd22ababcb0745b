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
import sides  # noqa: E402 pylint: disable=wrong-import-position


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


@pytest.mark.parametrize("side", ["controller", "plugin"])
def test_each_source_has_tests_that_are_asked(side):
    asked = sides.SIDES[side](ROOT)
    assert len(asked.sources()) > 100
    for file in asked.sources():
        suites = asked.suites(file)
        assert suites, file
        for suite in suites:
            there = [part for part in suite.command if part.startswith("tests/netns/")]
            assert all(os.path.exists(os.path.join(ROOT, part)) for part in there), (file, there)


def test_a_part_is_asked_of_its_own_unit_tests():
    """By whichever form its header is named, a folder's or a fixture's."""
    asked = sides.SIDES["controller"](ROOT)
    for file, name in (("cluster/believed.c", "test_cluster"), ("conf_service.c", "test_controller_conf"),
                       ("documents/docs_gone.c", "test_controller_docs"), ("sources/nomad.c", "test_nomad_reader")):
        assert f"build/san/unit/{name}" in asked.suites(f"controller/{file}")[0].command, file
