# SPDX-License-Identifier: Apache-2.0
"""
The package in a booted Debian of its own (machine/life.py): in a container, and with SUITE=life in QEMU with Debian's kernel.
"""
import dataclasses
import glob
import os
import re
import secrets

from building import needs
from harness.booted import Booted
from harness.shell import TREE, build_dir
from machine import KINDS, Machine
from report import Report


def test_life_in_a_container(deb, newer, kernel_and_root):
    needs("systemd-nspawn")
    seen = {f"/picket/{part}": os.path.join(TREE, part) for part in ("tests", "include", "examples")}
    booted = Booted(kernel_and_root[1], {**seen, "/picket/build/package/first": deb, "/picket/build/package/newer": newer})
    try:
        said = booted.sh("PYTHONPATH=/picket/tests PYTHONDONTWRITEBYTECODE=1 python3 -m pytest -q -p no:cacheprovider "
                         "/picket/tests/package/machine/life.py", check=False, timeout=600)
    finally:
        booted.close()
    assert said.returncode == 0 and re.search("^1[0-9] passed in", said.stdout, re.M), said.stdout + said.stderr


def test_life_in_a_booted_machine(deb, newer, kernel_and_root):
    needs("qemu-system-x86_64")
    debs = [os.path.relpath(path, build_dir()) for part in (deb, newer) for path in glob.glob(os.path.join(part, "picket_*.deb"))]
    kind = dataclasses.replace(KINDS["amd64"], suites=("installed",), programs=tuple(debs))
    kernel, root = kernel_and_root
    word, logs = secrets.token_hex(8), os.path.join(build_dir(), "test-logs")
    os.makedirs(logs, exist_ok=True)
    console, report = (os.path.join(logs, f"package-{name}.log") for name in ("console", "report"))
    Machine(kind, kernel, root, build_dir(), os.path.join(build_dir(), "package/machine")).boot(
        console, report, [f"picket.word={word}", "picket.scale=4", "picket.suites=installed",
                          "picket.init=tests/package/machine/init"], 1200)
    with open(report, encoding="utf-8", errors="replace") as text:
        said = Report(text.read(), word, kind.suites)
    counts = said.suites["installed"]
    assert counts["failed"] == counts["skipped"] == 0 and counts["passed"] >= 11, "\n".join(said.said)
