# SPDX-License-Identifier: Apache-2.0
"""A disk that can be made to hang."""
import os
import subprocess


def can_hang():
    """There are loop devices here."""
    return subprocess.run(["losetup", "-f"], capture_output=True, check=False).returncode == 0


class Disk:
    """A file system of its own below the node's root, that can be made to hang as a real one does: writers sleep in the kernel."""

    def __init__(self, node, where):
        self.node, self.where, self.frozen = node, os.path.join(node.root, where), False
        image = os.path.join(node.root, "disk.img")
        with open(image, "wb") as file:
            file.truncate(96 << 20)
        node.run(["mkfs.ext4", "-q", "-O", "^has_journal", image])
        os.makedirs(self.where, exist_ok=True)
        node.run(["mount", "-o", "loop,noatime", image, self.where])

    def hang(self):
        self.node.run(["fsfreeze", "-f", self.where])
        self.frozen = True

    def go_on(self):
        if self.frozen:
            self.node.run(["fsfreeze", "-u", self.where])
        self.frozen = False

    def names(self, *parts):
        return sorted(self.node.run(["ls", os.path.join(self.where, *parts)]).stdout.split())

    def read(self, *parts):
        return self.node.run(["cat", os.path.join(self.where, *parts)], check=False).stdout
