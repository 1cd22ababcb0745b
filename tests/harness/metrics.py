# SPDX-License-Identifier: Apache-2.0
"""Prometheus' text read strictly, and the table of metrics in the code."""
import os
import re

from .shell import TREE, Failed

_SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (\S+)')
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"')
_UNESCAPED = {r"\n": "\n", r"\"": '"', r"\\": "\\"}
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}


def table():
    """{name: (type, [label])} as controller/api/metrics.h has it."""
    with open(os.path.join(TREE, "controller/api/metrics.h"), encoding="utf-8") as file:
        rows = re.findall(r'X\([A-Z_]+,\s+"([a-z_]+)",\s+(\w+),\s+"([^"]*)"', file.read().replace("\\\n", " "))
    return {name: (kind, [label for label in labels.split(", ") if label]) for name, kind, labels in rows}


class Metrics:
    """What one answer says; [name, label=value…] by get()."""

    def __init__(self, text):
        self.text, self.types, self.helps, self.samples = text, {}, {}, {}
        current = None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                current, self.helps[current] = line[7:].split(" ", 1)[0], line[7:].split(" ", 1)[1]
            elif line.startswith("# TYPE "):
                name, kind = line[7:].split(" ")
                if name != current or name in self.types:
                    raise Failed(f"no HELP before, or twice: {line}")
                self.types[name] = kind
            elif line:
                self._take(line, current)

    def _take(self, line, current):
        match = _SAMPLE.fullmatch(line)
        if not match:
            raise Failed(f"no sample: {line}")
        name, labels, value = match[1], match[2] or "", float(match[3])
        pairs = {key: re.sub(r"\\.", lambda m: _UNESCAPED[m[0]], text) for key, text in _LABEL.findall(labels)}
        suffixes = _SUFFIXES.get(self.types[current], ("",))
        if name not in [current + suffix for suffix in suffixes]:
            raise Failed(f"among those of {current}: {line}")
        key = (name, tuple(sorted(pairs.items())))
        if key in self.samples:
            raise Failed(f"twice: {line}")
        self.samples[key] = value

    def get(self, name, **labels):
        """The value of the one series with exactly these labels; None: there is none."""
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def series(self, name):
        """[{label: value}] of a name."""
        return [dict(labels) for found, labels in self.samples if found == name]


def scrape(node):
    return Metrics(node.api_text("/metrics"))
