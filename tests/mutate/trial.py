# SPDX-License-Identifier: Apache-2.0
"""One mutant's trial: built, compared with the original, shown to the tests."""
import os
import threading

from objects import code
from scratch import ROOT, environment, run

BUILD_SECONDS = 300
TRIES = 4		# of a suite whose tests wait for real devices


class Verdict:
    """How it ended. Only killed and survived are counted; the others are no mutants."""

    def __init__(self, kind, by=""):
        self.kind, self.by = kind, by

    @property
    def counts(self):
        return self.kind in ("killed", "survived")


class Original:
    """The unchanged tree's build, which must pass whatever kills a mutant."""

    def __init__(self, build):
        self.build, self.lock, self.passed = build, threading.Lock(), {}
        self.env = environment(build)

    def code(self, name):
        return code(os.path.join(self.build, name))

    def passes(self, suite, command):
        """Runs a command of the suite on the original, once; its outcome."""
        command = [part.replace("build/", self.build + "/", 1) if part.startswith("build/") else part
                   for part in command]
        with self.lock:
            if tuple(command) not in self.passed:
                self.passed[tuple(command)] = run(command, suite.seconds, ROOT, self.env)
            return self.passed[tuple(command)]


class OriginalFails(Exception):
    """The tests that were to kill a mutant fail without it, too."""


def shown(scratch, original, suite, targets):
    """Verdict of one suite, for which these are to be built, on what is in the scratch copy."""
    if targets:
        built = scratch.make(targets, BUILD_SECONDS)
        if built.status != 0:
            return Verdict("not built", built.tail())
    command = suite.command
    for _ in range(TRIES):
        outcome = scratch.run(command, suite.seconds)
        if outcome.status == 0:
            return Verdict("survived")
        if outcome.status is not None and outcome.status == suite.refused:
            return Verdict("refused")
        name = suite.failure(outcome.text)
        sound = original.passes(suite, suite.narrowed(name))
        if sound.status != 0 and suite.steady(name):
            raise OriginalFails(f"{suite.name} fails without a mutant, too: {name}\n{sound.tail()}")
        if not suite.steady(name) and (sound.status != 0 or
                                       scratch.run(suite.narrowed(name), suite.seconds).status == 0):
            command = suite.without(command, name)	# it was the machine's mood, not the mutant
            continue
        if not name and outcome.status is not None and outcome.status > 0:
            return Verdict("unclear", f"{suite.name} ended with {outcome.status} and names no test\n"
                                      f"{outcome.tail()}")
        said = name or ("ran over its time" if outcome.status is None else "it crashed")
        return Verdict("killed", f"{suite.name}: {said}")
    return Verdict("unclear", f"{suite.name} fails now and then: {name}")


def trial(mutant, side, scratch, original, most=None):
    """Builds and tests the mutant in the scratch copy, which is as before afterwards; at most so
    many suites are asked."""
    with open(os.path.join(ROOT, mutant.file), "rb") as file:
        data = file.read()
    objects = side.objects(mutant.file)
    there = [f"build/{name}" for name in objects]
    scratch.write(mutant.file, mutant.apply(data))
    try:
        built = scratch.make(there, BUILD_SECONDS)
        if built.status != 0:
            return Verdict("not built", built.tail())
        pairs = [(code(os.path.join(scratch.build, name)), original.code(name)) for name in objects]
        if all(mine == its for mine, its in pairs):
            return Verdict("the same code")
        moved = any(side.moved(mine, its) for mine, its in pairs)
        again, scratch.moved = moved or scratch.moved, moved
        for suite in mutant.suites(side)[:most]:
            more = [suite.program] if again and suite.program else []
            targets = [name for name in suite.targets if name not in there]
            verdict = shown(scratch, original, suite, targets + more)
            if verdict.kind != "survived":
                return verdict
        return verdict
    finally:
        scratch.write(mutant.file, data)
