# SPDX-License-Identifier: Apache-2.0
"""What the verifiers of several kernels read of each program, as tests/bpf prints it."""
import os
import re
import subprocess

from harness.shell import build_dir

LINE = re.compile(r"^-- verifier: (\w+) \((\w+)\) (\d+) of (\d+)$")


def counts(lines):
    """{way: {program: (count, budget)}}"""
    found = {}
    for program, way, count, budget in (match.groups() for match in map(LINE.match, lines) if match):
        found.setdefault(way, {})[program] = int(count), int(budget)
    return found


def own_counts():
    """Of the running kernel; nothing where the programs don't load."""
    done = subprocess.run([os.path.join(build_dir(), "tests/bpf-test"), "-verifier"], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=300, check=False)
    return counts(done.stdout.splitlines()) if done.returncode == 0 else {}


def table(columns):
    """
    columns: {title: {program: (count, budget)}}. Prints a line a program; whether every column has
    every program that some column of its kind has, within the budget.
    """
    programs = list(dict.fromkeys(name for column in columns.values() for name in column))
    budget = max((most for column in columns.values() for _, most in column.values()), default=0)
    print(f"-- instructions that the verifier reads of each program, {budget} at most")
    print("-- " + " " * 20 + "".join(f"{title:>18}" for title in columns))
    for name in programs:
        cells = (str(column[name][0]) if name in column else "-" for column in columns.values())
        print(f"-- {name:20}" + "".join(f"{cell:>18}" for cell in cells))
    return bool(programs) and all(
        name in column and 0 < column[name][0] <= column[name][1]
        for column in columns.values() for name in programs)
