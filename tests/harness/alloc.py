# SPDX-License-Identifier: Apache-2.0
"""An allocation's network namespace, as Nomad makes it, and what a VMM or a guest does in it."""
import json
import os
import subprocess

from . import netns
from .frames import PacketSocket, Tap
from .servers import PINGED, pings
from .shell import run


class Alloc:
    def __init__(self, node, alloc_id, path):
        self.node, self.id, self.path = node, alloc_id, path
        self.net = f"/proc/{node.holder.pid}/root{path}"
        self.inode = os.stat(self.net).st_ino
        self.result = None		# of the last ADD

    def is_there(self):
        """Is its netns at its path still? Else its inode may be another's by now."""
        try:
            return os.stat(self.net).st_ino == self.inode
        except OSError:
            return False

    def run(self, argv, *, credentials=None, **kw):
        return run(argv, preexec_fn=netns.entering(self.net, self.node.mnt, credentials), **kw)

    def popen(self, argv, *, credentials=None, **kw):
        return self.node.track(subprocess.Popen(
            argv, preexec_fn=netns.entering(self.net, self.node.mnt, credentials), **kw))

    def inside(self):
        return netns.inside(self.net)

    def links(self):
        return {link["ifname"]: link
                for link in json.loads(self.run(["ip", "-j", "-d", "link"]).stdout)}

    def packets(self, device="eth0", vnet=False):
        """An AF_PACKET socket on a device of the allocation."""
        return PacketSocket(self.net, device, vnet)

    @property
    def has_host_tap(self):
        """Its eth0 is the guest's own, its tap in the node's netns."""
        devices = self.result["interfaces"] if self.result else []
        return any(i.get("sandbox") == self.id and i["name"] == "eth0" for i in devices)

    @property
    def tap_place(self):
        """Where its tap is, to run commands there, and the tap's name."""
        return (self.node, f"pk{self.slot}") if self.has_host_tap else (self, "tap0")

    def tap(self, device="tap0", credentials=None, queues=1):
        """
        The tap, opened as a VMM does: by (uid, gid) without capabilities where given, which writes its frames; a host tap is opened as by
        picketd, and handed over.
        """
        if self.has_host_tap:
            return Tap(self.node.net, f"pk{self.slot}", credentials, queues, handed=True)
        return Tap(self.net, device, credentials, queues)

    def pings(self, other, family=4, timeout=PINGED):
        """One echo request from here (process mode), answered or not; timeout: QUICK where a denial is expected, or is asked again."""
        return pings(self, other.address(family), timeout)

    # -- what ADD said

    def address(self, family=4):
        for ip in self.result["ips"]:
            host = ip["address"].split("/")[0]
            if (":" in host) == (family == 6):
                return host
        return None

    @property
    def gateway(self):
        return self.result["ips"][0]["gateway"]

    @property
    def mac(self):
        return next(i["mac"] for i in self.result["interfaces"] if i["name"] == "eth0")

    @property
    def slot(self):
        """The endpoint's slot, from the host device's name."""
        name = self.result["interfaces"][0]["name"]
        assert name.startswith("pk"), name
        return int(name[2:])

    def driver_file(self):
        with open(self.node.path(f"run/picket/vm/{self.id}.json"), encoding="utf-8") as file:
            return json.load(file)
