# SPDX-License-Identifier: Apache-2.0
"""A wall clock that the test sets, for programs that are started with it (libfaketime); what counts time alone goes on."""
import os

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


def is_there():
    return os.path.exists(FAKETIME)


class Clock:
    """Of a node; its file says how many seconds it is ahead."""

    def __init__(self, node):
        self.path, self.ahead = os.path.join(node.root, "clock"), 0
        self.set(0)

    def set(self, seconds):
        self.ahead = seconds
        with open(self.path + ".new", "w", encoding="ascii") as file:
            file.write(f"{seconds:+d}\n")
        os.rename(self.path + ".new", self.path)

    @property
    def env(self):
        """What a program's environment has besides."""
        return {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": self.path, "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1"} if is_there() else {}
