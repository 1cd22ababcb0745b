#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Inside the machine: the package's own life, reported as tests/kernel61 does."""
import os
import subprocess
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [TESTS, os.path.join(TESTS, "kernel61")]

from inside import Inside, main  # noqa: E402


class Installed(Inside):
    def installed(self):
        # On the console as it goes: a test that hangs is seen there.
        log = os.path.join(self.logs, "installed.log")
        subprocess.Popen(["tail", "-F", log], stderr=subprocess.DEVNULL)
        self.pytest("installed", 900, ["tests/package/machine/life.py"])


if __name__ == "__main__":
    main(Installed)
