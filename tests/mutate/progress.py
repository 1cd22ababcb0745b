# SPDX-License-Identifier: Apache-2.0
"""
The verdicts of a round, a line each in the order in which they came, so that a round which was
ended goes on where it was (RESUME=1). What was killed stays so as long as the mutant's file is as
it was; what survived does until any source or test is another.
"""
import hashlib
import json
import os

from scratch import NOT_COPIED, ROOT
from trial import Verdict

LOOKED_AT = ("bpf", "include", "lib", "cni", "controller", "cli", "tests")
NO_TEST = {"mutate", "mutants.allow", "mutants.known"}


def tree():
    """A digest of everything that may decide about a survivor."""
    found = hashlib.sha256()
    for folder in LOOKED_AT:
        for at, folders, names in os.walk(os.path.join(ROOT, folder)):
            folders[:] = sorted(set(folders) - NOT_COPIED - NO_TEST)
            for name in sorted(set(names) - NO_TEST):
                path = os.path.join(at, name)
                found.update(os.path.relpath(path, ROOT).encode() + b"\0")
                with open(path, "rb") as file:
                    found.update(hashlib.sha256(file.read()).digest())
    return found.hexdigest()


class Progress:
    """The file; without `resume` it begins anew."""

    def __init__(self, path, resume, read):
        self.read, self.tree, self.files = read, tree(), {}
        self.before = self._lines(path) if resume else {}
        self.out = open(path, "a" if resume else "w", encoding="utf-8")

    @staticmethod
    def _lines(path):
        """{mutant: its last line}; a line that a crash cut short is none."""
        found = {}
        if not os.path.exists(path):
            return found
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    said = json.loads(line)
                    found[said["mutant"]] = said
        return found

    def _file(self, name):
        if name not in self.files:
            self.files[name] = hashlib.sha256(self.read(name)).hexdigest()
        return self.files[name]

    def known(self, mutant):
        """Its verdict where it was judged before and that still holds, else None."""
        said = self.before.get(mutant.rank(""))
        if not said or said["kind"] == "unclear" or said["file"] != self._file(mutant.file):
            return None
        if said["kind"] != "killed" and said["tree"] != self.tree:
            return None
        return Verdict(said["kind"], said["by"])

    def put(self, mutant, verdict):
        print(json.dumps({"mutant": mutant.rank(""), "kind": verdict.kind, "by": verdict.by,
                          "at": f"{mutant.file}:{mutant.line} {mutant.function}: {mutant.what}",
                          "file": self._file(mutant.file), "tree": self.tree}),
              file=self.out, flush=True)
