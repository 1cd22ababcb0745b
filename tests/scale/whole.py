# SPDX-License-Identifier: Apache-2.0
"""
What a node would receive that followed every tenant: the answers that a client would get who asks as picketd does, with the same pauses
and waits, but for all tenants. Nobody sends them: their lengths are added up.
"""
import time

HEAD = 190			# bytes of an answer's head
WAIT, EACH, BURST, PAUSE = 62, 1.0, 3, 0.02	# as picketd's own: kv_query.h with half of a server's delay, and pk_pace_ms


class Follower:
    """Of one prefix. length(): of an answer now."""

    def __init__(self, loop, length):
        self.loop, self.length, self.bytes, self.answers = loop, length, 0, 0
        self.last, self.was, self.full, self.pauses, self.missed = time.monotonic(), length(), 0, False, False

    def idle(self, now):
        """Waits that ended meanwhile, each with the same answer."""
        waits = int((now - self.last) / WAIT)
        self.bytes += waits * (self.was + HEAD)
        self.answers += waits
        self.last += waits * WAIT

    def changed(self):
        if self.pauses:
            self.missed = True
            return
        now = time.monotonic()
        self.idle(now)
        self.last, self.was, self.missed = now, self.length(), False
        self.bytes += self.was + HEAD
        self.answers += 1
        self.full = max(self.full, now) + EACH
        self.pauses = True
        self.loop.call_later(max(PAUSE, self.full - now - BURST * EACH), self.again)

    def again(self):
        self.pauses = False
        if self.missed:
            self.changed()


class Whole:
    """Every tenant by a question of its own, and beside it all of them by one question."""

    def __init__(self, loop, consul, root):
        self.tenants, self.top = {}, root + "tenants/"
        self.lengths, self.total = {}, 0
        for name, folder in consul.store.folders.items():
            if name.startswith(self.top):
                self.measure(name, folder)
                self.tenants[name] = Follower(loop, lambda folder=folder, name=name: len(folder.body(name)))
        self.consul = consul
        self.one = Follower(loop, lambda: self.total)
        consul.listeners.append(self.on_change)

    def measure(self, name, folder):
        length = len(folder.body(name))
        self.total += length - self.lengths.get(name, 0)
        self.lengths[name] = length

    def on_change(self, name):
        if name.startswith(self.top):
            self.measure(name, self.consul.store.folders[name])
            self.tenants[name].changed()
            self.one.changed()

    def bytes(self):
        """(by tenant, by one question)"""
        now = time.monotonic()
        for follower in (*self.tenants.values(), self.one):
            follower.idle(now)
        return sum(f.bytes for f in self.tenants.values()), self.one.bytes
