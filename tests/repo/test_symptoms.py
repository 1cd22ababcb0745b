# SPDX-License-Identifier: Apache-2.0
"""docs/troubleshooting.md quotes what the tools print."""
import errno
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OTHERS = {"missing network"}        # Nomad's own words
KERNELS = (errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EIO)      # the tools say what it is called
LITERAL = r'"((?:[^"\\]|\\.)*)"'


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def printed():
    """Every string literal of the programs; those that stand behind each other are one."""
    listed = subprocess.run(["git", "ls-files", "lib/*.[ch]", "controller/*.[ch]", "cni/*.[ch]", "cli/*.[ch]", "include/*.h"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout.split()
    for name in listed:
        for run in re.findall(rf"{LITERAL}(?:\s+{LITERAL})*", re.sub(r"/\*.*?\*/", " ", read(name), flags=re.S)):
            yield from run
        for run in re.finditer(rf"(?:{LITERAL}\s*)+", re.sub(r"/\*.*?\*/", " ", read(name), flags=re.S)):
            yield "".join(re.findall(LITERAL, run[0])).replace('\\"', '"')


def symptoms():
    """The quoted words of the first column, without the names and numbers between."""
    for row in re.findall(r"^\| ((?!you see|---)[^|]*) \|", read("docs/troubleshooting.md"), re.M):
        for quoted in re.findall(r"`([^`]*)`", row):
            yield from (part.strip() for part in quoted.split("…") if part.strip())


def test_symptoms_are_the_tools_own_words():
    words, texts = list(symptoms()), "\n".join({*printed(), *map(os.strerror, KERNELS)})
    assert len(words) > 25
    missing = [w for w in words if w not in texts and w not in OTHERS and not w.startswith("picket ") and "picket flows" not in w]
    assert not missing, missing
    assert "no such words anywhere at all" not in texts
