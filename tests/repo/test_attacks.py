# SPDX-License-Identifier: Apache-2.0
"""Each attack, exhaustion and failure that a node is to withstand is proven by a test, which says so by its number and a sentence."""
import os
import re

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Spoofing, parsing, isolation, host, connections, exhaustion, life and answers; control plane, restarts, input, permissions, identity.
NUMBERS = [*range(1, 25), *range(28, 43), *range(44, 59), *range(60, 64)]
SENTENCE = re.compile(r"\b(P\d{2}(?:, P\d{2})*): (\w.{20,}?)(?:\.(?:\s|$)|\*/|\"\"\"|\n)", re.M)


def told():
    """{number: the files that have it beside a sentence}"""
    found = {}
    for kind in ("bpf", "netns", "unit", "e2e"):
        for folder, _, names in os.walk(os.path.join(TESTS, kind)):
            for name in names:
                if name.endswith((".py", ".c")):
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        for numbers, _ in SENTENCE.findall(file.read()):
                            for number in numbers.split(", "):
                                found.setdefault(number, set()).add(name)
    return found


def test_each_is_proven_by_a_test():
    lacking = {f"P{number:02}" for number in NUMBERS} - told().keys()
    assert not lacking, f"no test says that it proves {sorted(lacking)}; fix: its number, a colon and a sentence beside the test"
