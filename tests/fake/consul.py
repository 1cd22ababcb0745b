# SPDX-License-Identifier: Apache-2.0
"""Consul's KV by prefix (blocking) and /v1/acl/token/self. Modes beside FakeServer's: "empty" (200 with an
empty list, as a token that may see nothing gets), "none" (404, as a prefix without keys), "stale" (an
older state under an older index; consistent queries see the truth)."""
import base64
import json

from .server import FakeServer

ROOT = "picket/v1/default/"
PREFIX = ROOT + "policies/"
STATUS = ROOT + "status/"
HEALTH = "/v1/health/service/"
LOOKUP = "/v1/session/info/"
TXN_OPERATIONS, TXN_BYTES, VALUE_BYTES = 128, 512 << 10, 512 << 10


class FakeConsul(FakeServer):
    index_header = "X-Consul-Index"

    def __init__(self, **more):
        self.keys = {}
        self.touched = {}           # index of each key's last change
        self.before = {}, {}        # keys and indexes before the last restore
        self.token_known = True
        self.acls = True
        self.shows_old = False
        self.may_write = True       # the token, below
        self.writable = STATUS
        self.changes = []           # (verb, key) of each write that was asked for, but for nodes' reports
        self.sessions, self.held = [], {}       # those that live, and which key is whose
        self.replays = False        # it has just become the leader, and hasn't read its log yet: it finds no session
        self.lookup = None          # what a session's look-up is answered with, in place of the word
        self.transactions = []      # the verbs and keys of each that was asked for
        self.writers = (STATUS, PREFIX, ROOT + "history/")      # below which a transaction may write
        self.meanwhile = None       # called once before the next transaction is looked at
        self.loses_answer = False   # the next transaction of several operations is made, and its answer doesn't come
        self.token = {"AccessorID": "x"}        # as /v1/acl/token/self has it
        self.denies = False         # by default, as an answer's header says; one without a token isn't told what is hidden
        self.services, self.listed = {}, {}     # of each name (id, address, port, status), and the index of its last change
        self.filters = False        # the token may not see all instances
        self.streams = False        # a question for instances that waited is answered from the agent's own view
        self.unseen = ""            # keys below this are left out, as of a token that may not read them
        super().__init__(**more)

    def index_of(self, path):
        """As Consul's own: a prefix has the index of its last change, a key's removal is one."""
        if path.startswith(HEALTH):
            return self.listed.get(path[len(HEALTH):], 5)
        prefix = path[len("/v1/kv/"):]
        below = [index for key, index in self.touched.items() if key.startswith(prefix)]
        return min(max(below, default=self.index), self.index)

    def list_service(self, name, *instances):
        """instances: (id, address, port, status of its check)."""
        with self.changed:
            self.services[name] = instances
            self.bump()
            self.listed[name] = self.index

    def health(self, name, waited):
        self.more_headers = {"X-Consul-Results-Filtered-By-ACLs": "true"} if self.filters else {}
        if waited and self.streams:     # as Consul's own: a view says nothing of a leader and of what it hides
            self.more_headers = {"X-Consul-Query-Backend": "streaming", "X-Consul-KnownLeader": "false"}
        return 200, [{"Node": {"Node": "n", "Address": "192.0.2.77"},
                      "Service": {"ID": id, "Service": name, "Address": address, "Port": port, "Tags": []},
                      "Checks": [{"CheckID": "serfHealth", "Status": "passing"}, {"CheckID": id, "Status": status}]}
                     for id, address, port, status in self.services.get(name, ())]

    def put(self, key, document):
        """key is below the policies' prefix: "operator/x", "tenants/acme/x"."""
        with self.changed:
            self.keys[PREFIX + key] = document if isinstance(document, str) else json.dumps(document)
            self.touch(key)

    def say(self, key, value):
        """As another node writes its own key below the cluster's: "nodes/n2"."""
        with self.changed:
            self.keys[ROOT + key] = json.dumps(value)
            self.bump()
            self.touched[ROOT + key] = self.index

    def remove(self, key):
        with self.changed:
            del self.keys[PREFIX + key]
            self.touch(key)

    def stale(self, op):
        """Why Consul would not make this operation."""
        there, index = op["Key"] in self.keys, op.get("Index", 0)
        touched = self.touched.get(op["Key"], 1) if there else 0
        if op["Verb"] == "cas" and index != touched:
            return f'failed to set key "{op["Key"]}", index is stale'
        if op["Verb"] == "delete-cas" and there and index != touched:
            return f'failed to delete key "{op["Key"]}", index is stale'
        if op["Verb"] == "check-index" and not there:
            return f'failed to check index, key "{op["Key"]}" doesn\'t exist'
        if op["Verb"] == "check-index" and index != touched:
            return f'current modify index for key "{op["Key"]}" is {touched}'
        if op["Verb"] == "check-not-exists" and there:
            return f'key "{op["Key"]}" exists'
        return None

    def forbidden(self, op):
        if not self.token_known:
            return "ACL not found"
        if op["Key"].startswith(self.writers):
            return None
        return f"Permission denied: token with AccessorID 'x' lacks permission 'key:write' on \"{op['Key']}\""

    def transaction(self, text):
        """All or nothing, as /v1/txn has it; refusals as Consul words them."""
        operations = [op["KV"] for op in json.loads(text)]
        self.transactions.append([(op["Verb"], op["Key"]) for op in operations])
        if len(text) > TXN_BYTES:
            return 413, f"Request body({len(text)} bytes) too large, max size: {TXN_BYTES} bytes."
        if len(operations) > TXN_OPERATIONS:
            return 413, f"Transaction contains too many operations ({len(operations)} > {TXN_OPERATIONS})"
        if self.meanwhile:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        for why in (self.forbidden, self.stale):
            errors = [{"OpIndex": i, "What": why(op)} for i, op in enumerate(operations) if why(op)]
            if errors:
                return 409, json.dumps({"Results": None, "Errors": errors})
        self.bump()
        for op in operations:
            if op["Verb"] in ("set", "cas"):
                self.keys[op["Key"]] = base64.b64decode(op["Value"]).decode()
            elif op["Verb"].startswith("delete"):
                self.keys.pop(op["Key"], None)
            if not op["Verb"].startswith("check"):
                self.touched[op["Key"]] = self.index
        if self.loses_answer and len(operations) > 1:
            self.loses_answer = False
            self.mode = "cut"
        return 200, json.dumps({"Results": [{"KV": {"Key": op["Key"], "ModifyIndex": self.index}} for op in operations],
                                "Errors": None})

    def change(self, verb, path, text):
        if path == "/v1/txn":
            return self.transaction(text)
        if path.startswith("/v1/session/"):
            return self.session(*path.split("/")[3:])
        key = path[len("/v1/kv/"):]
        if not key.startswith(STATUS + "nodes/"):
            self.changes.append((verb, key))
        if not self.may_write or not key.startswith(self.writable):
            return 403, f"Permission denied: token lacks permission 'key:write' on \"{key}\""
        if "acquire" in self.query and self.query["acquire"] not in self.sessions:
            return 500, f'rpc error making call: invalid session "{self.query["acquire"]}"'
        if "acquire" in self.query and self.held.setdefault(key, self.query["acquire"]) != self.query["acquire"]:
            return 200, "false"
        if verb == "PUT":
            self.keys[key] = text
        else:
            self.keys.pop(key, None)
        self.bump()
        self.touched[key] = self.index
        return 200, "true"

    def session(self, verb, name=""):
        """Sessions live until they are destroyed: their keys stay, and are nobody's."""
        if verb == "create":
            name = f"session-{len(self.sessions)}"
            self.sessions.append(name)
            return 200, json.dumps({"ID": name})
        if verb == "destroy":
            with self.changed:
                self.sessions[self.sessions.index(name)] = None
                self.held = {key: session for key, session in self.held.items() if session != name}
                self.bump()
            return 200, "true"
        found = name in self.sessions and not self.replays
        return (200, json.dumps([{"ID": name}])) if found else (404, f"Session id '{name}' not found")

    def report(self, node):
        """What the node says of the documents that it enforces; None: nothing."""
        with self.changed:
            return json.loads(self.keys.get(f"{STATUS}nodes/{node}", "null"))

    def written(self, namespace):
        """What that tenant is told: {"NAME/NODE": object}."""
        below = f"{STATUS}tenants/{namespace}/"
        with self.changed:
            return {k[len(below):]: json.loads(v) for k, v in self.keys.items() if k.startswith(below)}

    def touch(self, key):
        self.bump()
        self.touched[PREFIX + key] = self.index

    def write_elsewhere(self):
        """Something that is no document."""
        with self.changed:
            self.bump()
            self.keys["elsewhere"], self.touched["elsewhere"] = "x", self.index

    def indexes_below(self):
        """{"operator/": its index, …} of what has keys."""
        with self.changed:
            below = {"/".join(k[len(PREFIX):].split("/")[:-1]) + "/" for k in self.keys if k.startswith(PREFIX)}
            return {b: self.index_of("/v1/kv/" + PREFIX + b) for b in below}

    def snapshot(self):
        with self.changed:
            return dict(self.keys), dict(self.touched), self.index

    def restore(self, snapshot=({}, {}, 2)):
        """Everything that was written since is gone; without one: all that ever was."""
        with self.changed:
            self.before = dict(self.keys), dict(self.touched)
            self.keys, self.touched = dict(snapshot[0]), dict(snapshot[1])
            self.restored(snapshot[2])

    def remove_all(self, below=""):
        """kv delete -recurse: one act, whatever the number."""
        with self.changed:
            gone = [key for key in self.keys if key.startswith(PREFIX + below)]
            self.bump()
            for key in gone:
                del self.keys[key]
                self.touched[key] = self.index

    def shown_index(self, path):
        return 3 if self.shows_old else super().shown_index(path)

    def answer(self, path, query, headers):
        if path == "/v1/acl/token/self":
            if not self.acls:
                return 401, "ACL support disabled"
            return (200, self.token) if self.token_known else (403, "ACL not found")
        if path.startswith(HEALTH):
            return self.health(path[len(HEALTH):], "index" in query)
        if path.startswith(LOOKUP) and self.lookup is not None:
            return 200, self.lookup
        if path.startswith(LOOKUP):
            seen = path[len(LOOKUP):] in self.sessions and (not self.replays or "consistent" in query)
            return 200, [{"ID": path[len(LOOKUP):]}] if seen else []
        self.shows_old = self.mode == "stale" and "consistent" not in query
        if not path.startswith("/v1/kv/"):
            return 404, "no such path"
        prefix = path[len("/v1/kv/"):]
        if "keys" in query:
            return self.names(prefix, query.get("separator"))
        stored, touched = self.before if self.was_restored else (self.keys, self.touched)
        keys = {k: v for k, v in stored.items() if k.startswith(prefix)}
        if self.denies:
            self.more_headers = {"X-Consul-Default-ACL-Policy": "deny"}
        if self.unseen:
            hidden = PREFIX + self.unseen, ROOT + "history/" + self.unseen
            seen = {k: v for k, v in keys.items() if not k.startswith(hidden)}
            if headers.get("X-Consul-Token") or not self.denies:
                self.more_headers |= {"X-Consul-Results-Filtered-By-ACLs": str(seen != keys).lower()}
            keys = seen
        if self.mode == "empty":
            return 200, []
        if self.mode == "none" or self.shows_old or not keys:
            return 404, ""
        return 200, [{"Key": k, "Value": base64.b64encode(v.encode()).decode(), "Flags": 0,
                      "CreateIndex": 1, "ModifyIndex": touched.get(k, 1), **({"Session": self.held[k]} if k in self.held else {})}
                     for k, v in sorted(keys.items())]

    def names(self, prefix, separator):
        """Keys alone, those behind a separator as one."""
        found = set()
        for key in self.keys:
            if key.startswith(prefix):
                rest = key[len(prefix):]
                cut = rest.find(separator) if separator else -1
                found.add(prefix + (rest if cut < 0 else rest[:cut + 1]))
        return (200, sorted(found)) if found else (404, "")
