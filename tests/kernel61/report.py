# SPDX-License-Identifier: Apache-2.0
"""
What the machine reports, on a serial port that carries nothing else: one JSON object a line.

    {"begin": WORD, "kernel": RELEASE}                                first
    {"say": LINE}                                                     what a person should read
    {"suite": NAME, "passed": N, "failed": N, "skipped": N}           each wanted one once, in order
    {"end": WORD}                                                     last

WORD is on the kernel's command line and another one in each run. Anything else, more, less or in
another order is no report.
"""
import json

COUNTS = ("passed", "failed", "skipped")


class Broken(Exception):
    """What was read is no report: the machine crashed, hung, or ran something else."""


class Writer:
    def __init__(self, path, word, kernel):
        self.port, self.word = open(path, "w", encoding="ascii"), word
        self.line(begin=word, kernel=kernel)

    def line(self, **fields):
        self.port.write(json.dumps(fields) + "\n")
        self.port.flush()

    def end(self):
        self.line(end=self.word)


class Report:
    """Of a whole text; Broken says at which line it isn't one."""

    def __init__(self, text, word, wanted):
        self.kernel, self.said, self.suites = None, [], {}
        self.word, self.wanted, self.ended = word, wanted, False
        for number, line in enumerate(text.splitlines(), 1):
            try:
                self.take(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as why:
                raise Broken(f"line {number} of the report, {line[:80]!r}: {why}") from why
        if self.kernel is None:
            raise Broken("the machine never reported")
        if not self.ended:
            missing = [name for name in wanted if name not in self.suites]
            raise Broken(f"the report ends before its end, without {' and '.join(missing) or 'it'}")

    def take(self, fields):
        (kind, value), *more = fields.items()
        if self.ended or (kind == "begin") != (self.kernel is None):
            raise ValueError("out of order")
        getattr(self, "take_" + kind)(value, dict(more))

    def take_begin(self, word, more):
        if word != self.word:
            raise ValueError("another run's word")
        self.kernel = more["kernel"]

    def take_say(self, line, _):
        self.said.append(line)

    def take_suite(self, name, counts):
        if name != dict(enumerate(self.wanted)).get(len(self.suites)):
            raise ValueError(f"suite {name} is not next")
        if sorted(counts) != sorted(COUNTS) or any(type(n) is not int or n < 0
                                                   for n in counts.values()):
            raise ValueError("no counts")
        self.suites[name] = counts

    def take_end(self, word, _):
        if word != self.word or len(self.suites) != len(self.wanted):
            raise ValueError("an end too early")
        self.ended = True
