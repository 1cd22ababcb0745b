# SPDX-License-Identifier: Apache-2.0
"""
clang's syntax tree of a source (-ast-dump=json): the functions of it that lie in the wanted files.

The dump names a file only where it differs from that of the place printed before. A place is a
leaf of the JSON text, so the reader meets them in the order of printing and puts the name in.
"""
import gzip
import json
import os


class Places:
    """Completes each place with its file while the text is read."""

    def __init__(self):
        self.file = None

    def __call__(self, item):
        if "tokLen" in item:
            self.file = item["file"] = item.get("file", self.file)
        return item


def functions(path, wanted):
    """Each function definition of the dump at path whose file wanted(name) accepts: (file, node)."""
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as dump:
        unit = json.load(dump, object_hook=Places())
    for node in unit["inner"]:
        if node["kind"] != "FunctionDecl" or "inner" not in node:
            continue
        if node["inner"][-1].get("kind") != "CompoundStmt" and not any(
                child.get("kind") == "CompoundStmt" for child in node["inner"]):
            continue
        loc = node["loc"].get("expansionLoc", node["loc"])
        file = os.path.normpath(loc.get("file") or "")
        if wanted(file):
            yield file, node


class Reader:
    """Where nodes of one function lie in its file."""

    def __init__(self, file, function):
        self.file = file
        span = [end.get("expansionLoc", end) for end in
                (function["range"]["begin"], function["range"]["end"])]
        self.first, self.last = span[0]["offset"], span[1]["offset"]

    def _here(self, place):
        return (os.path.normpath(place.get("file") or "") == self.file and
                self.first <= place.get("offset", -1) <= self.last)

    def place(self, loc):
        """
        (offset, plain) of a place as it is written in the function, a macro's argument also; not
        plain: in a macro's body, the offset is that of the macro's name. None: not in the function.
        """
        if "offset" in loc:
            return (loc["offset"], True) if self._here(loc) else None
        for kind, plain in (("spellingLoc", True), ("expansionLoc", False)):
            if kind in loc and self._here(loc[kind]):
                return loc[kind]["offset"], plain
        return None
