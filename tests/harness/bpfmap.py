# SPDX-License-Identifier: Apache-2.0
"""Pinned maps read by bpf(2); the layout of the few that tests look at is include/picket/maps.h."""
import collections
import ctypes
import ipaddress
import os
import struct

from .reasons import REASONS

_SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
_LOOKUP, _UPDATE, _DELETE, _NEXT, _GET, _INFO = 1, 2, 3, 4, 7, 15
_PERCPU = (5, 6, 10, 21)
_libc = ctypes.CDLL(None, use_errno=True)

EGRESS, INGRESS = 0, 1
REASON_SLOTS = 64


def bpf(command, attr):
    buffer = ctypes.create_string_buffer(attr.ljust(128, b"\0"), 128)
    got = _libc.syscall(_SYS_BPF, command, buffer, 128)
    if got < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"bpf({command}): {os.strerror(error)}")
    return got


def _possible_cpus():
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        last = file.read().strip().split(",")[-1]
    return int(last.split("-")[-1]) + 1


class Map:
    """One pinned map: bytes in, bytes out (a per-CPU map: a list of bytes, one a CPU)."""

    def __init__(self, path):
        name = ctypes.create_string_buffer(os.fsencode(path))
        self.fd = bpf(_GET, struct.pack("QII", ctypes.addressof(name), 0, 0))
        info = ctypes.create_string_buffer(128)
        bpf(_INFO, struct.pack("IIQ", self.fd, 128, ctypes.addressof(info)))
        self.type, _, self.key_size, self.value_size, self.max = struct.unpack_from("5I", info)
        self.cpus = _possible_cpus() if self.type in _PERCPU else 0
        self._key = ctypes.create_string_buffer(self.key_size)
        self._each = (self.value_size + 7) & ~7
        room = self._each * self.cpus if self.cpus else self.value_size
        self._value = ctypes.create_string_buffer(room)

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _attr(self, value):
        return struct.pack("IxxxxQQQ", self.fd, ctypes.addressof(self._key),
                           ctypes.addressof(value), 0)

    def get(self, key):
        """The value, or None."""
        self._key.raw = key
        try:
            bpf(_LOOKUP, self._attr(self._value))
        except FileNotFoundError:
            return None
        raw = self._value.raw
        if not self.cpus:
            return raw
        return [raw[at:at + self.value_size] for at in range(0, len(raw), self._each)]

    def set(self, key, value):
        """For tests that break a table on purpose."""
        self._key.raw, self._value.raw = key, value
        bpf(_UPDATE, self._attr(self._value))

    def delete(self, key):
        self._key.raw = key
        bpf(_DELETE, struct.pack("IxxxxQ", self.fd, ctypes.addressof(self._key)))

    def keys(self):
        after, found = None, []
        following = ctypes.create_string_buffer(self.key_size)
        while True:
            if after is not None:
                self._key.raw = after
            attr = struct.pack("IxxxxQQQ", self.fd,
                               ctypes.addressof(self._key) if after is not None else 0,
                               ctypes.addressof(following), 0)
            try:
                bpf(_NEXT, attr)
            except FileNotFoundError:
                return found
            after = following.raw
            found.append(after)

    def items(self):
        return [(key, value) for key in self.keys() if (value := self.get(key)) is not None]


Uplink = collections.namedtuple("Uplink", "ifindex mtu ipv4 ipv6")
Node = collections.namedtuple("Node", "masquerade_low masquerade_high flags uplinks blocks")


def _address(raw):
    """Text of a union pk_addr; None where it is zero."""
    address = ipaddress.IPv6Address(raw)
    return None if not any(raw) else str(address.ipv4_mapped or address)


def _block(address, mask):
    length = bin(int.from_bytes(mask, "big")).count("1")
    ip = ipaddress.IPv6Address(address)
    return f"{ip.ipv4_mapped}/{length - 96}" if ip.ipv4_mapped else f"{ip}/{length}"


class Tables:
    """The pinned tables of a node."""

    def __init__(self, directory):
        self.directory = directory

    def exists(self):
        return os.path.isdir(self.directory)

    def names(self):
        return sorted(os.listdir(self.directory)) if self.exists() else []

    def map(self, name):
        return Map(os.path.join(self.directory, name))

    def get(self, name, key):
        with self.map(name) as table:
            return table.get(key)

    def items(self, name):
        with self.map(name) as table:
            return table.items()

    def count(self, name):
        with self.map(name) as table:
            return len(table.keys())

    def node(self):
        """What programs read of the node: masquerade (low, high), flags, uplinks, blocks."""
        raw = self.get("node", struct.pack("I", 0))
        low, high, flags = struct.unpack_from("HHI", raw, 40)
        uplinks = []
        for at in range(48, 208, 40):
            ifindex, mtu, *addresses = struct.unpack_from("II16s16s", raw, at)
            if ifindex:
                uplinks.append(Uplink(ifindex, mtu, *map(_address, addresses)))
        blocks = [_block(raw[at:at + 16], raw[at + 16:at + 32]) for at in range(208, 336, 32)
                  if any(raw[at + 16:at + 32])]
        return Node(low, high, flags, uplinks, blocks)

    def word(self, slot):
        """(rule set, flags, revision) of a slot; (0, 0, 0) is closed."""
        word, = struct.unpack("Q", self.get("words", struct.pack("I", slot)))
        return word >> 40, word >> 32 & 0xff, word & 0xffffffff

    def counters(self, slot):
        """{(direction, reason name): packets} of a slot, zeros left out."""
        found = {}
        with self.map("counters") as table:
            for direction in (EGRESS, INGRESS):
                for number, name in enumerate(REASONS):
                    key = (slot * 2 + direction) * REASON_SLOTS + number
                    rows = table.get(struct.pack("I", key))
                    packets = sum(struct.unpack_from("Q", row)[0] for row in rows)
                    if packets:
                        found[direction, name] = packets
        return found

    def counted(self, slot, before):
        """What counters(slot) has more than before had."""
        now = self.counters(slot)
        return {key: count - before.get(key, 0) for key, count in now.items()
                if count != before.get(key, 0)}
