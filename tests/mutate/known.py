# SPDX-License-Identifier: Apache-2.0
"""
tests/mutants.known: mistakes that no test noticed once, each with the test that notices it now. An
entry has the form of tests/mutants.allow, with `test:` in place of `why:`:

    controller/sources/service.c pk_service_heard
    -	if (!leader)
    +	if (0)
    test: netns/test_picketd_answers.py -k leader

It goes by the text of its lines, so that it may be of any kind. The test is a program of tests/unit,
`bpf-test`, or a file of pytest.
"""
import allow
from sides import Pytest, Units
from sites import Mutant
from tokens import Source

SECONDS = 600


class Known(Mutant):
    """One entry; allow.AllowError where its lines aren't in the source, or where that isn't clear."""

    def __init__(self, entry, data):
        source, lines = Source(data), data.decode().split("\n")
        at = [i for i in range(len(lines)) if
              tuple(line.strip() for line in lines[i:i + len(entry.before)]) == entry.before]
        if len(at) != 1 and not (entry.number and entry.number <= len(at)):
            raise allow.AllowError(f"line {entry.line}: {entry.file} has its lines {len(at)} times; "
                                   "fix: write them anew, or say which, by #1, #2, ...")
        first = at[(entry.number or 1) - 1]
        end = source.lines[first] + len("\n".join(lines[first:first + len(entry.before)]).encode())
        super().__init__(entry.file, entry.function, f"once by hand, {entry.said}", source,
                         [(source.lines[first], end, "\n".join(entry.after))])
        self.test = entry.said

    def suites(self, side):
        """The test that is to notice it, and no other."""
        file, _, chosen = self.test.partition(" -k ")
        if file == "bpf-test":
            return [side.still, side.moments]
        if file.startswith("unit/"):
            return [Units([file.removeprefix("unit/").removesuffix(".c")])]
        return [Pytest(file, side.for_netns, [f"tests/{file}", *(["-k", chosen] if chosen else [])], SECONDS)]


def mutants(text, side, read):
    return [Known(entry, read(entry.file)) for entry in allow.entries(text, "test")
            if side.wanted(entry.file)]
