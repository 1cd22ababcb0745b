# SPDX-License-Identifier: Apache-2.0
"""What a node holds, to compare before and after."""
import json
import os

# Arrays are as long before as after: those that say something are looked at by themselves.
_ARRAYS = ("node", "numbers", "endpoints", "words", "rule_sets", "places", "buckets", "counters",
           "events", "programs")


class Snapshot:
    """
    Links, network namespaces, routes, neighbours, pins, table entries, open words, records,
    leases in use, driver files. `Snapshot(node)`, later `before.assert_same(Snapshot(node))`.
    """

    def __init__(self, node):
        self.parts = {
            "links": {link["ifname"] for link in node.json(["ip", "-j", "link"])},
            "netns": _names(node, "/run/netns", below_root=False),
            "routes": _routes(node),
            "neighbours": {(n.get("dst"), n.get("dev")) for n in node.json(["ip", "-j", "neigh"])
                           if "PERMANENT" in n.get("state", [])},
            "pins": _pins(node),
            "records": set(node.records()),
            "leases": node.leases(),
            "locks": _names(node, "run/picket/lock") - {"node", "endpoints", "attach"},
            "driver files": _names(node, "run/picket/vm"),
        }
        tables = node.tables
        for name in tables.names():
            if name not in _ARRAYS:
                self.parts[f"table {name}"] = {key.hex() for key, _ in tables.items(name)}
        if "words" in tables.names():
            self.parts["open words"] = {int.from_bytes(key, "little")
                                        for key, word in tables.items("words") if any(word)}

    def differences(self, after, ignore=()):
        """Lines that say what is new and what is missing in after."""
        lines = []
        for part in sorted(self.parts.keys() | after.parts.keys()):
            if part in ignore:
                continue
            was, now = self.parts.get(part, set()), after.parts.get(part, set())
            lines += [f"{part}: {thing} is new" for thing in sorted(map(str, now - was))]
            lines += [f"{part}: {thing} is gone" for thing in sorted(map(str, was - now))]
        return lines

    def assert_same(self, after, ignore=()):
        lines = self.differences(after, ignore)
        assert not lines, "left behind:\n" + "\n".join(lines)


def _names(node, directory, below_root=True):
    path = node.path(directory) if below_root else f"/proc/{node.holder.pid}/root{directory}"
    try:
        return set(os.listdir(path))
    except FileNotFoundError:
        return set()


def _pins(node):
    top = node.path("sys/fs/bpf")
    return {os.path.relpath(os.path.join(where, name), top)
            for where, directories, files in os.walk(top) for name in directories + files}


def _routes(node):
    found = set()
    for family in ("-4", "-6"):
        for route in node.json(["ip", "-j", family, "route", "show", "table", "all"]):
            found.add(json.dumps({k: route.get(k) for k in ("type", "dst", "dev", "gateway",
                                                            "table")}, sort_keys=True))
    return found
