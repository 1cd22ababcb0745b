# SPDX-License-Identifier: Apache-2.0
"""docs/facts.md: every test that it names is there, and every -k selects one."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def named():
    with open(os.path.join(ROOT, "docs/facts.md"), encoding="utf-8") as page:
        rows = [line.split("|") for line in page if line.startswith("| ")]
    return [quoted for row in rows for quoted in re.findall(r"`([^`]+)`", row[3])]


def test_the_files_are_there():
    files = [word.split()[0] for word in named() if "/" in word.split()[0]]
    assert len(files) > 20
    for name in files:
        assert any(os.path.exists(os.path.join(ROOT, at, name)) for at in ("", "tests")), name


def test_each_selection_selects():
    """The words behind -k are parts of names of tests in that file."""
    for words in filter(lambda words: " -k " in words, named()):
        file, _, chosen = words.partition(" -k ")
        with open(os.path.join(ROOT, "tests", file), encoding="utf-8") as tests:
            names = re.findall(r"^def (test_\w+)", tests.read(), re.M)
        assert any(chosen in name for name in names), words
