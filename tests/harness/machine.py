# SPDX-License-Identifier: Apache-2.0
"""
A machine without a VMM: a network namespace with a real stack behind an allocation's tap. A thread
hands the frames over with their vnet headers, so that segments and partial checksums stay what
they are, as behind virtio. In process mode the allocation itself is the place.
"""
import os
import select
import threading

from . import netns
from .frames import Tap
from .shell import run

_OFFLOADS = 0x0F	# checksum, TSO of both families, ECN
_FRAME = 70000


class Machine:
    """address(), run(), popen(), inside() as an Alloc has them."""

    def __init__(self, alloc, offloads=True):
        self.alloc, self.node, self.slot, self.mac = alloc, alloc.node, alloc.slot, alloc.mac
        self.process = not alloc.driver_file()["tap"]
        self.net, self.taps = alloc.net, []
        if self.process:
            return
        holder = self.node.spawn_holder("ip link set lo up && echo ready && exec sleep infinity")
        self.net = f"/proc/{holder.pid}/ns/net"
        self.taps = [alloc.tap(), Tap(self.net, "eth0")]
        for tap in self.taps:
            tap.offload(_OFFLOADS if offloads else 0)
            os.set_blocking(tap.fd, False)
        self.quit, self.end = os.pipe()
        self.thread = threading.Thread(target=self._pump, daemon=True)
        self.thread.start()
        self._configure()

    def _configure(self):
        prefix = next(ip["address"] for ip in self.alloc.result["ips"] if ":" not in ip["address"])
        for line in (f"link set eth0 address {self.mac} mtu {self.alloc.driver_file()['mtu']}",
                     "link set eth0 addrgenmode none", "link set eth0 up",
                     f"addr add {prefix} dev eth0", f"route add default via {self.alloc.gateway}"):
            self.run(["ip", *line.split()])
        if self.address(6):
            self.run(["ip", "addr", "add", f"{self.address(6)}/128", "dev", "eth0", "nodad"])
            self.run(["ip", "-6", "route", "add", "default", "via", "fe80::1", "dev", "eth0"])

    def _pump(self):
        here, there = (tap.fd for tap in self.taps)
        to = {here: there, there: here}
        while True:
            for fd in select.select([here, there, self.quit], [], [])[0]:
                if fd == self.quit:
                    return
                try:
                    os.write(to[fd], os.read(fd, _FRAME))
                except OSError:		# the other end is down, or refuses the frame
                    continue

    def address(self, family=4):
        return self.alloc.address(family)

    def inside(self):
        return netns.inside(self.net)

    def run(self, argv, **kw):
        return run(argv, preexec_fn=netns.entering(self.net, self.node.mnt), **kw)

    def close(self):
        if not self.taps:
            return
        os.write(self.end, b"x")
        self.thread.join()
        for tap in self.taps:
            tap.close()
        os.close(self.quit)
        os.close(self.end)
        self.taps = []
