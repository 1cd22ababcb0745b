# SPDX-License-Identifier: Apache-2.0
"""Consul's keys: by folder, so that what one folder says is put together once a change."""
import base64
import json


class Key:
    def __init__(self, value, index, session):
        self.value, self.created, self.modified, self.session = value, index, index, session

    def text(self, name):
        """As an answer has it."""
        entry = {"LockIndex": 1 if self.session else 0, "Key": name, "Flags": 0, "Value": base64.b64encode(self.value).decode()}
        if self.session:
            entry["Session"] = self.session
        return json.dumps({**entry, "CreateIndex": self.created, "ModifyIndex": self.modified}, separators=(",", ":")).encode()


class Folder:
    def __init__(self):
        self.keys, self.index, self.text = {}, 0, None

    def body(self, name):
        """Its keys without the brackets around them."""
        if self.text is None:
            self.text = b",".join(key.text(name + last) for last, key in sorted(self.keys.items()))
        return self.text


class Store:
    """changed(folder's name) is called after each change."""

    def __init__(self, changed):
        self.folders, self.index, self.changed, self.below = {}, 10, changed, {}

    @staticmethod
    def split(name):
        folder, _, last = name.rpartition("/")
        return folder + "/", last

    def get(self, name):
        folder, last = self.split(name)
        return self.folders[folder].keys.get(last) if folder in self.folders else None

    def _touch(self, name):
        if name not in self.folders:
            self.folders[name] = Folder()
            self.below.clear()
        folder = self.folders[name]
        self.index += 1
        folder.index, folder.text = self.index, None
        return folder

    def put(self, name, value, session=None):
        where, last = self.split(name)
        folder = self._touch(where)
        key = folder.keys.get(last)
        if key:
            key.value, key.modified, key.session = value, self.index, session
        else:
            folder.keys[last] = Key(value, self.index, session)
        self.changed(where)

    def delete(self, name):
        where, last = self.split(name)
        if self.get(name):
            del self._touch(where).keys[last]
            self.changed(where)

    def _under(self, prefix):
        if prefix not in self.below:
            self.below[prefix] = [name for name in sorted(self.folders) if name.startswith(prefix)]
        return self.below[prefix]

    def index_of(self, prefix):
        """Of its last change; of the whole store where there never was one."""
        return max((self.folders[name].index for name in self._under(prefix)), default=0) or self.index

    def recurse(self, prefix):
        """The answer for all below a folder; None: there is nothing."""
        parts = [text for name in self._under(prefix) if (text := self.folders[name].body(name))]
        return b"[" + b",".join(parts) + b"]" if parts else None

    def names(self, prefix, separator):
        found = set()
        for name in self._under(prefix):
            for last in self.folders[name].keys:
                rest = (name + last)[len(prefix):]
                cut = rest.find(separator) if separator else -1
                found.add(prefix + (rest if cut < 0 else rest[:cut + 1]))
        return sorted(found)
