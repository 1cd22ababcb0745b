# SPDX-License-Identifier: Apache-2.0
"""Consul's KV, sessions and leader, as picketd uses them."""
import collections
import json
import time

from .server import Service
from .store import Store


class Consul(Service):
    header = "X-Consul-Index"

    def __init__(self):
        super().__init__()
        self.store = Store(self.on_change)
        self.sessions = set()
        self.told = {}			# of a prefix: (index, ns) of its last answers
        self.listeners = []		# called with each folder that changed

    def on_change(self, folder):
        for listener in self.listeners:
            listener(folder)
        self.wake(folder)

    def concerns(self, key, what):
        return what.startswith(key)

    def key_of(self, asked):
        """The prefix that is asked for."""
        return asked.path.removeprefix("/v1/kv/") if asked.path.startswith("/v1/kv/") and asked.method == "GET" else None

    def index_of(self, asked):
        prefix = self.key_of(asked)
        if prefix.endswith("/") or "keys" in asked.query:
            return self.store.index_of(prefix)
        key = self.store.get(prefix)
        return key.modified if key else self.store.index

    def sent(self, asked):
        if self.key_of(asked):
            self.told.setdefault(self.key_of(asked), collections.deque(maxlen=8)).append((asked.said, time.monotonic_ns()))

    def told_at(self, prefix, index):
        """When the first answer went out that has the change of that index; None: none did, or too long ago."""
        return next((ns for said, ns in list(self.told.get(prefix, ())) if said >= index), None)

    def answer(self, asked):
        if asked.path.startswith("/v1/kv/"):
            name = asked.path.removeprefix("/v1/kv/")
            return self.read(name, asked.query) if asked.method == "GET" else self.write(asked.method, name, asked)
        if asked.path.startswith("/v1/session/"):
            return self.session(*asked.path.split("/")[3:])
        return (401, b"ACL support disabled") if asked.path == "/v1/acl/token/self" else (404, b"no such path")

    def read(self, name, query):
        if "keys" in query:
            found = self.store.names(name, query.get("separator"))
            return (200, found) if found else (404, b"")
        if "recurse" in query:
            found = self.store.recurse(name)
        else:
            key = self.store.get(name)
            found = b"[" + key.text(name) + b"]" if key else None
        return (200, found) if found else (404, b"")

    def write(self, method, name, asked):
        key, session = self.store.get(name), asked.query.get("acquire")
        if "cas" in asked.query and int(asked.query["cas"]) != (key.modified if key else 0):
            return 200, b"false"
        if session and (session not in self.sessions or (key and key.session not in (None, session))):
            return 200, b"false"
        if method == "PUT":
            self.store.put(name, asked.body, session or (key.session if key else None))
        else:
            self.store.delete(name)
        return 200, b"true"

    def session(self, verb, name=""):
        if verb == "create":
            name = f"00000000-0000-4000-8000-{len(self.sessions):012}"
            self.sessions.add(name)
            return 200, {"ID": name}
        return (200, [{"ID": name}]) if name in self.sessions else (404, json.dumps(f"Session id '{name}' not found").encode())
