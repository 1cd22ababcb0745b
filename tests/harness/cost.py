# SPDX-License-Identifier: Apache-2.0
"""What something costs picketd: its memory above idle and its longest turns. Nobody is answered in a turn."""
import collections

MIB = 1 << 20

Turns = collections.namedtuple("Turns", "wall_ms cpu_ms over")


class Cost:
    """From now on: memory above what it is now, and the worst turn since picketd's start."""

    def __init__(self, node):
        self.node, self.pid = node, node.picketd.pid
        with open(f"/proc/{self.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")         # the peak is what it is now
        self.idle = self._memory("VmRSS")

    def _memory(self, field):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))

    @property
    def memory(self):
        return self._memory("VmHWM") - self.idle

    @property
    def turns(self):
        loop = self.node.api("/v1/status")["loop"]
        return Turns(loop["longestTurnMs"], loop["longestTurnCpuMs"], loop["turnsOver50Ms"])

    def __str__(self):
        turns = self.turns
        return f"{self.memory / MIB:+6.1f} MiB, longest turn {turns.wall_ms:.1f} ms ({turns.cpu_ms:.1f} of work)"
