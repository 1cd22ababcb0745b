# SPDX-License-Identifier: Apache-2.0
"""What a node keeps in files: records, leases, resting addresses, the locks of containers."""
import fcntl
import ipaddress
import os
import struct
import time

HELD = 0xffffffff
REST_S = 60


class StateMixin:
    """Of Node: uses path and root."""

    def _names(self, directory):
        try:
            names = os.listdir(self.path(directory))
        except FileNotFoundError:
            return []
        return sorted(name for name in names if not name.startswith("."))

    def records(self):
        """Names of the records: "<id>@<ifname>@<slot>", a closed one's behind "closed/"."""
        top = "var/lib/picket/endpoints"
        return ([name for name in self._names(top) if name != "closed"]
                + [f"closed/{name}" for name in self._names(f"{top}/closed")])

    def leases(self):
        """Addresses that are held."""
        return set(self._names("var/lib/picket/leases"))

    def marks(self):
        """{address: mark} of every block; what was never marked is left out."""
        found = {}
        for name in self._names("run/picket/pools"):
            block = ipaddress.ip_network(name.replace("-", "/"))
            with open(self.path(f"run/picket/pools/{name}"), "rb") as file:
                words = struct.iter_unpack("=I", file.read())
                found |= {str(block[i]): word for i, (word,) in enumerate(words)
                          if word and i < block.num_addresses}
        return found

    def resting(self):
        """Addresses that were freed less than a minute ago."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        return {address for address, mark in self.marks().items()
                if mark != HELD and now - mark < REST_S}

    def lock_containers(self):
        """Holds the lock of every container id until the file that is returned is closed."""
        directory = self.path("run/picket/lock")
        os.makedirs(directory, mode=0o700, exist_ok=True)
        file = open(os.path.join(directory, "endpoints"), "a", encoding="ascii")
        fcntl.lockf(file, fcntl.LOCK_EX)
        return file
