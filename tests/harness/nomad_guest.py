# SPDX-License-Identifier: Apache-2.0
"""A guest that Nomad started: the same console protocol, over the unix socket of its job file."""
import collections
import socket
import threading

from .guest import Guest
from .shell import wait_for


class _Task:
    """What Guest wants of a process, for one that is Nomad's."""

    def __init__(self, stream):
        self.stdout = stream
        self.stdin = stream

    def poll(self):
        return None


class NomadGuest(Guest):
    def __init__(self, path):
        # A socket of the VMM that went before may still lie there: connect until one answers.
        self.socket = wait_for(lambda: self._connected(path), f"the console {path}", timeout=120)
        self.process = _Task(self.socket.makefile("rw", encoding="utf-8", errors="replace",
                                                  newline="\n", buffering=1))
        self.console = collections.deque(maxlen=200)
        self._answers, self._next, self._lock = {}, 0, threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    @staticmethod
    def _connected(path):
        console = socket.socket(socket.AF_UNIX)
        try:
            console.connect(path)
            return console
        except OSError:
            console.close()
            return None

    def ready(self, timeout=240):
        """Its lease; asked for, since what it said before the console was open is gone."""
        def answered():
            question = self.start("lease")
            try:
                return self.wait(question, timeout=3)
            except AssertionError:
                return None
        return wait_for(answered, f"the guest's lease\n{self.tail()}", timeout)[1:]

    def off(self):
        self.socket.close()
