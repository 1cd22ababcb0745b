#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Inside the machine: the package's own life, reported as tests/kernel61 does."""
import os
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [TESTS, os.path.join(TESTS, "kernel61")]

from inside import Inside, main  # noqa: E402


class Installed(Inside):
    def installed(self):
        self.pytest("installed", 900, ["tests/package/machine/life.py"])


if __name__ == "__main__":
    main(Installed)
