# SPDX-License-Identifier: Apache-2.0
"""Calls that no source may make, each with why; and that Python can read each of its own."""
import ast
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Both make the kernel run modprobe, and wait for it, where nobody has the name (docs/facts.md).
# device.c asks for names that it has just read. SIOCGIFNAME, as if_indextoname, asks by index.
BY_NAME = re.compile(r"\bif_nametoindex\(|\bSIOCGIF(?!NAME\b)\w+")
MAY = {"lib/net/device.c"}


def test_no_leftovers_of_a_merge():
    listed = subprocess.run(["git", "ls-files", "*.orig", "*.rej", "*~"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert not listed, f"{listed}fix: git rm"


def test_python_can_be_read():
    """A file that can't is one error of its suite, among thousands of tests that passed."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert len(listed) > 100
    for name in listed:
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            ast.parse(file.read(), name)


def test_devices_are_not_asked_for_by_ioctl():
    listed = subprocess.run(["git", "ls-files", "lib/*.c", "cni/*.c", "controller/*.c", "cli/*.c"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout.split()
    assert len(listed) > 100
    wrong = []
    for name in listed:
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            if BY_NAME.search(file.read()) and name not in MAY:
                wrong.append(name)
    assert not wrong, f"{wrong}; fix: pk_nl_link"
