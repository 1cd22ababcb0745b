# SPDX-License-Identifier: Apache-2.0
"""What the demo prints: numbered steps, checks that hold or don't, 80 columns."""
import os
import sys
import textwrap
import time

_COLOURS = {"bold": "1", "good": "32", "bad": "1;31", "faint": "2"}


class Screen:
    def __init__(self):
        self.colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.begin = time.monotonic()
        self.number = self.held = 0
        self.failed = []

    def paint(self, name, text):
        return f"\033[{_COLOURS[name]}m{text}\033[0m" if self.colour else text

    def say(self, text="", indent=3):
        for line in text.splitlines() or [""]:
            print(" " * indent + line if line else "", flush=True)

    def prose(self, text):
        self.say("\n".join(textwrap.wrap(text, 76)), 0)

    def step(self, title):
        self.number += 1
        took = f"{time.monotonic() - self.begin:.0f} s"
        print()
        text = f"{self.number}. {title}"
        print(self.paint("bold", text) + " " * max(1, 79 - len(text) - len(took)) +
              self.paint("faint", took), flush=True)

    def check(self, holds, text, why=""):
        """One claim; a false one makes the demo's exit status 1. Answers holds."""
        if holds:
            self.held += 1
            mark = self.paint("good", "ok    ")
        else:
            self.failed.append(text)
            mark = self.paint("bad", "FAILED")
        for line in textwrap.wrap(text, 68):
            self.say(f"{mark} {line}")
            mark = " " * 6
        if not holds:
            for line in why.splitlines()[:40]:
                self.say("       " + line)
        return bool(holds)

    def verdict(self, word):
        return self.paint({"allowed": "good", "denied": "bad"}.get(word, "faint"), f"{word:<8}")

    def end(self):
        took = time.monotonic() - self.begin
        print()
        if self.failed:
            print(self.paint("bad", f"{len(self.failed)} of {self.held + len(self.failed)} claims "
                                    f"did not hold ({took:.0f} s):"))
            for text in self.failed:
                self.say("- " + text)
            return 1
        print(self.paint("bold", f"All {self.held} claims held, in {took:.0f} s."))
        return 0
