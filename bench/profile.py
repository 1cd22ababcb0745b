#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Where a verdict spends its time, by function: samples of the processor's clock in the loaded programs, what is inlined told apart by the
lines that the kernel keeps of them. Rows are those of bench/verdict: D1, D4.first. It needs perf (Debian's linux-perf).
"""
import argparse
import bisect
import collections
import os
import re
import subprocess
import sys
import tempfile

HARNESS = "bench/verdict.bpf.c"     # brings the packet back for each run
LONGEST = 512	# bytes of code that one line becomes
FUNCTION = re.compile(r"^[a-z_][\w *]*?\b(\w+)\(")
TOP = 25


def functions(path):
    """[(first line, name)] of a source, in order."""
    with open(path, encoding="utf-8") as source:
        found = ((nr, FUNCTION.match(line)) for nr, line in enumerate(source, 1))
        return [(nr, match[1]) for nr, match in found if match and match[1] != "__attribute__"]


class Lines:
    """From an address in a program to the function of the line that lies there."""

    def __init__(self, path):
        with open(path, encoding="ascii") as file:
            split = (line.split() for line in file)
            self.at = sorted((int(address, 16), where) for address, where in split)
        self.starts = [address for address, _ in self.at]
        self.sources = {}

    def index(self, address):
        return bisect.bisect_right(self.starts, address) - 1

    def has(self, address):
        index = self.index(address)
        return index >= 0 and address - self.starts[index] < LONGEST

    def function(self, address):
        index = self.index(address)
        file, line = self.at[index][1].rsplit(":", 1)
        file = os.path.normpath(file)
        if file not in self.sources:
            self.sources[file] = functions(file)
        names = [name for first, name in self.sources[file] if first <= int(line)]
        return file, names[-1] if names else "?"


def chains(data):
    """Of each sample, innermost first: [(address, symbol)]."""
    text = subprocess.run(["perf", "script", "-i", data, "-F", "ip,sym"], check=True, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout
    for block in text.split("\n\n"):
        frames = [line.split(None, 1) for line in block.splitlines() if line.strip()]
        yield [(int(frame[0], 16), frame[1] if len(frame) > 1 else "?") for frame in frames]


def shares(data, lines):
    """{(file, function): samples} of what the programs do and, as `kernel`, of what they call."""
    counted = collections.Counter()
    for chain in chains(data):
        if not any(lines.has(address) for address, _ in chain):
            continue
        address, symbol = chain[0]
        if not lines.has(address):
            counted["kernel", symbol] += 1
            continue
        file, name = lines.function(address)
        if file != HARNESS:
            counted[os.path.basename(file), name] += 1
    return counted


def profile(build, row):
    with tempfile.TemporaryDirectory() as work:
        data, placed = os.path.join(work, "data"), os.path.join(work, "lines")
        subprocess.run(["perf", "record", "-q", "-g", "-e", "cpu-clock", "-c", "100000", "-o", data, "--",
                        f"{build}/bench/verdict", "-profile", placed, row], check=True, stdout=subprocess.DEVNULL)
        counted = shares(data, Lines(placed))
    total, files = sum(counted.values()), collections.Counter()
    for (file, _), samples in counted.items():
        files[file] += samples
    print(f"{row}: {total} samples: " + ", ".join(f"{file} {100 * n / total:.0f} %" for file, n in files.most_common()))
    for (file, name), samples in counted.most_common(TOP):
        print(f"{100 * samples / total:5.1f} %  {file}: {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("row", nargs="+")
    options = parser.parse_args()
    if os.geteuid():
        sys.exit("profile: it loads programs; fix: sudo")
    for row in options.row:
        profile(options.build, row)


if __name__ == "__main__":
    main()
