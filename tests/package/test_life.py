# SPDX-License-Identifier: Apache-2.0
"""The package in a booted Debian of its own (machine/life.py), in QEMU with Debian's kernel."""
import dataclasses
import glob
import os
import secrets
import sys

import pytest

from harness.shell import TREE, build_dir, run
from test_deb import ENV, deb, needs  # noqa: F401

sys.path.insert(0, os.path.join(TREE, "tests/kernel61"))

import parts  # noqa: E402
from machine import KINDS, Machine  # noqa: E402
from report import Report  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
NEWER = "9.9.9"


def test_life_in_a_booted_machine(deb):  # noqa: F811
    needs("qemu-system-x86_64", "debootstrap")
    run([os.path.join(TREE, "packaging/make-deb"), os.path.join(build_dir(), "package/newer"), NEWER], env=ENV, timeout=900)
    debs = [os.path.relpath(path, build_dir()) for part in ("first", "newer")
            for path in glob.glob(os.path.join(build_dir(), f"package/{part}/picket_*.deb"))]
    kind = dataclasses.replace(KINDS["amd64"], suites=("installed",), programs=tuple(debs))
    try:
        kernel = parts.kernel("amd64")
        root = parts.root("amd64", kernel, [os.path.join(HERE, "packages")])
    except parts.Unfetched as why:
        pytest.skip(str(why))
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
