# SPDX-License-Identifier: Apache-2.0
"""
A guest that is no machine: a network stack of this kernel behind an allocation's tap0, in which real DHCP clients run.

Its eth0 is a tap with the allocation's MAC; a thread carries frames between both taps, vnet headers too, as a VMM does.
It has process ids, a host name, /run, /etc and /var/lib of its own, and a read-only /sys, by which udev's users know that there is none.
"""
import os
import select
import subprocess
import threading

from . import netns
from .frames import Tap
from .shell import run

_HOLD = r"""
set -e
mount -t tmpfs -o mode=755 tmpfs "$2"
mkdir "$2/etc" "$2/up" "$2/work"
cp -a /etc/. "$2/etc"
rm -f "$2/etc/resolv.conf" && : >"$2/etc/resolv.conf"
mount --bind "$2/etc" /etc
mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir -p /var/lib/dhcp /var/lib/dhcpcd
mount -t proc proc /proc
mount -t sysfs -o ro sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
chown -R systemd-network:systemd-network /run/systemd/netif 2>/dev/null || true
sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.accept_ra=1
ip link set lo up
hostname localhost
echo ready
exec sleep infinity
"""


class Client:
    """alloc's guest; close() ends everything that runs in it."""

    def __init__(self, alloc):
        self.alloc, self.node = alloc, alloc.node
        self.stage = os.path.join(self.node.base, "client")
        os.makedirs(self.stage, exist_ok=True)
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--propagation", "private",
             "sh", "-c", _HOLD, "sh", "", self.stage],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=netns.die_with_parent)
        self.node.track(self.holder)
        if self.holder.stdout.readline().strip() != "ready":
            raise AssertionError(f"client: {self.holder.stderr.read()}")
        children = f"/proc/{self.holder.pid}/task/{self.holder.pid}/children"
        with open(children, encoding="ascii") as file:
            self.pid = int(file.read().split()[0])
        self.net = f"/proc/{self.pid}/ns/net"
        self.ends = []
        self._plug()

    def _plug(self):
        self.run(["ip", "tuntap", "add", "dev", "eth0", "mode", "tap", "vnet_hdr"])
        self.run(["ip", "link", "set", "eth0", "address", self.alloc.mac])
        self.ends = [self.alloc.tap(), Tap(self.net, "eth0")]
        for end in self.ends:
            end.offload(0x1)	# checksums are left to the other one
        self.stopped = os.pipe()
        self.thread = threading.Thread(target=self._carry, daemon=True)
        self.thread.start()

    def _carry(self):
        ends = [end.fd for end in self.ends]
        other = dict(zip(ends, reversed(ends)))
        while True:
            ready = select.select([*ends, self.stopped[0]], [], [])[0]
            if self.stopped[0] in ready:
                return
            for fd in ready:
                try:
                    os.write(other[fd], os.read(fd, 70000))
                except OSError:		# down: as a cable that isn't plugged in
                    continue

    def _argv(self, argv):
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-p", "-u", "--",
                "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *argv]

    def run(self, argv, **kw):
        return run(self._argv(argv), **kw)

    def popen(self, argv, **kw):
        return self.node.track(subprocess.Popen(self._argv(argv), stdin=subprocess.DEVNULL, **kw))

    def up(self):
        self.run(["ip", "link", "set", "eth0", "up"])

    def path(self, path):
        """A file of the guest's, as this process reaches it."""
        return f"/proc/{self.pid}/root{path}"

    def read(self, path):
        try:
            with open(self.path(path), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def write(self, path, text, mode=0o644):
        full = self.path(path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(full, mode)

    def addresses(self):
        return self.run(["ip", "-br", "addr", "show", "dev", "eth0"]).stdout.split()[2:]

    def routes(self, family=4):
        return self.run(["ip", f"-{family}", "route"]).stdout.splitlines()

    def close(self):
        self.holder.kill()
        self.holder.wait()
        os.write(self.stopped[1], b"x")
        self.thread.join()
        for end in self.ends:
            end.close()
        for fd in self.stopped:
            os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
