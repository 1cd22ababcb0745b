# SPDX-License-Identifier: Apache-2.0
"""
tests/mutants.allow: the changes that change nothing, each with the reason. An entry is the mutant
as a survivor is printed (file and function, its lines before and after), then `why: ...`:

    bpf/lib/place.h place_take
    -	if (!budget)
    +	if (((!budget) && 0))
    why: The division below is the verifier's then: by zero gives zero.

`#2` behind the function names the second of two that read the same. What no longer matches a place
of the source is an error.
"""
import re

HEAD = re.compile(r"(\S+) (\w+)(?: #(\d+))?$")
LAST = {"why": r"why: \S+ \S+", "test": r"test: (bpf-test|\S+\.(c|py))( -k .+)?$"}
NEEDS = {"why": "`why: ` with the reason why the change changes nothing",
         "test": "`test: ` with the test that notices it"}


class AllowError(Exception):
    """The file can't be used as it is; the text says where and what would mend it."""


class Entry:
    """key: of its last line, where what is said of it stands."""

    def __init__(self, line, block, key):
        head = HEAD.match(block[0])
        if not head:
            raise AllowError(f"line {line}: '{block[0]}' isn't `file function`")
        self.line, self.file, self.function = line, head[1], head[2]
        self.number = int(head[3]) if head[3] else None
        pick = lambda sign: tuple(t[1:].strip() for t in block[1:] if t.startswith(sign))
        self.before, self.after = pick("-"), pick("+")
        said = " ".join(text.strip() for text in block[1:] if not text.startswith(("-", "+")))
        if not self.before or not self.after or not re.match(LAST[key], said):
            raise AllowError(f"line {line}: an entry has its lines before (-) and after (+), and {NEEDS[key]}")
        self.said = said.removeprefix(f"{key}: ")

    @property
    def content(self):
        return self.file, self.function, self.before, self.after


def entries(text, key="why"):
    """The entries of the file's text."""
    found, block, start = [], [], 0
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line.strip() and not line.startswith("#"):
            start = start if block else number
            block.append(line)
        elif block and not line.strip():
            found.append(Entry(start, block, key))
            block = []
    return found


def matched(allowed, mutants):
    """({mutant: entry}, complaints): each entry names one mutant, and one that is there."""
    names, complaints = {}, []
    for entry in allowed:
        same = [m for m in mutants if m.content == entry.content]
        if entry.number is not None:
            same = [m for m in same if m.again == entry.number - 1]
        where = f"line {entry.line}: {entry.file} {entry.function}"
        if not same:
            complaints.append(f"{where}: no such place is in the source any more; "
                              "fix: delete the entry, or write it anew")
        elif len(same) > 1:
            complaints.append(f"{where}: {len(same)} places read so; fix: say which, by #1, #2, ...")
        elif same[0] in names:
            complaints.append(f"{where}: this stands here twice; fix: delete one")
        else:
            names[same[0]] = entry
    return names, complaints
