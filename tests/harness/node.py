# SPDX-License-Identifier: Apache-2.0
"""
A node: network and mount namespace, root directory and bpffs of its own.

A holder process owns the namespaces; when it and every other process in them are gone, so is all
that the node was in the kernel. /run is a tmpfs of the node's own, so that /run/netns/<id> is what
it is under Nomad; /dev/net/tun is for everyone, as udev makes it. The machine's own network is
never touched.
"""
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import tempfile

from . import netns
from .alloc import Alloc
from .bpfmap import Tables
from .cni import CniMixin
from .daemon import DaemonMixin
from .shell import binary, run, wait_for
from .state import StateMixin

_HOLD = ("mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/netns \"$1/sys/fs/bpf\" && "
         "mount -t bpf -o mode=700 bpf \"$1/sys/fs/bpf\" && "
         "mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200 && "
         "ip link set lo up && echo ready && exec sleep infinity")


@dataclasses.dataclass
class NodeOptions:
    pool: tuple = ("10.40.7.0/24", "fd00:40:7::/64")
    conf: dict = dataclasses.field(default_factory=dict)	# more keys of the plugin's object
    cni_version: str = "1.0.0"
    network: str = "picket"
    config: dict = dataclasses.field(default_factory=lambda: {"nomad": None, "consul": None})
    fault: str = ""			# PICKET_FAULT of every program: test builds are run then
    build: str = ""			# the folder of another release's programs
    uplink: bool = True			# a veth pair up0 - world
    up_address: str = "192.0.2.2/24"
    world_address: str = "192.0.2.1/24"
    up_address6: str = "2001:db8::2/64"
    world_address6: str = "2001:db8::1/64"
    root: str = ""			# empty: a new directory below base


class World:
    """The other end of a node's uplink: what a VM calls the Internet."""

    def __init__(self, node, address, address6):
        self.node, self.address, self.address6 = node, address, address6
        self.holder = node.spawn_holder("ip link set lo up && echo ready && exec sleep infinity")
        self.net = f"/proc/{self.holder.pid}/ns/net"

    def run(self, argv, **kw):
        return run(argv, preexec_fn=netns.entering(self.net), **kw)

    def popen(self, argv, **kw):
        return self.node.track(subprocess.Popen(
            argv, preexec_fn=netns.entering(self.net), **kw))

    def inside(self):
        return netns.inside(self.net)


class Node(CniMixin, DaemonMixin, StateMixin):
    """with Node("a") as node: ... ; everything is gone at the end, also after a failure."""

    def __init__(self, name="n1", options=None, base=None):
        self.name = name
        self.options = options or NodeOptions()
        self.base = base or tempfile.mkdtemp(prefix=f"picket-{os.getpid()}-")
        self.own_base = base is None
        self.root = self.options.root or os.path.join(self.base, name)
        self.processes, self.allocs, self.picketd, self.holder = [], {}, None, None
        self.world, self.held = None, []
        os.makedirs(self.root, mode=0o755, exist_ok=True)
        os.chmod(self.base, 0o755)
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    # -- life

    def spawn_holder(self, script, mounts=False):
        flags = ["--net"] + (["--mount", "--propagation", "private"] if mounts else [])
        holder = subprocess.Popen(["unshare", *flags, "sh", "-c", script, "sh", self.root],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  stdin=subprocess.DEVNULL, preexec_fn=netns.die_with_parent)
        self.track(holder)
        if holder.stdout.readline().strip() != "ready":
            raise AssertionError(f"node {self.name}: {holder.stderr.read()}")
        return holder

    def start(self):
        """The namespaces, the bpffs and the uplink; also after stop_all (a reboot)."""
        self.holder = self.spawn_holder(_HOLD, mounts=True)
        self.net = f"/proc/{self.holder.pid}/ns/net"
        self.mnt = f"/proc/{self.holder.pid}/ns/mnt"
        # The inode of a namespace that is gone is the next one's: what we look for by inode is held.
        self.held = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in (self.net, self.mnt)]
        self.net_inode, self.mnt_inode = (os.fstat(fd).st_ino for fd in self.held)
        for part in ("etc/picket/policies.d", "var/lib", "run", "var/log/picket"):
            os.makedirs(os.path.join(self.root, part), exist_ok=True)
        if self.options.uplink:
            self._make_uplink()

    def _make_uplink(self):
        o = self.options
        self.world = World(self, o.world_address.split("/")[0], o.world_address6.split("/")[0])
        self.run(["ip", "link", "add", "up0", "type", "veth", "peer", "name", "down0",
                  "netns", str(self.world.holder.pid)])
        for address, address6, device, where in (
                (o.up_address, o.up_address6, "up0", self),
                (o.world_address, o.world_address6, "down0", self.world)):
            where.run(["ip", "addr", "add", address, "dev", device])
            where.run(["ip", "addr", "add", address6, "dev", device, "nodad"])
            # No link-local address: it would come up later and look like something left behind.
            where.run(["ip", "link", "set", device, "addrgenmode", "none"])
            where.run(["ip", "link", "set", device, "up"])
        self.run(["ip", "route", "add", "default", "via", self.world.address])
        self.run(["ip", "-6", "route", "add", "default", "via", self.world.address6])

    def program(self, name):
        """A program of the build, of another release's, or of the test build where a fault is asked for."""
        if self.options.build:
            return os.path.join(self.options.build, name)
        return binary(f"faults/{name}" if self.options.fault else name)

    def fault_env(self):
        return {"PICKET_FAULT": self.options.fault} if self.options.fault else {}

    def track(self, process):
        self.processes.append(process)
        return process

    def inhabitants(self):
        """Every process in the node's namespaces and its allocations', as long as those are there."""
        found = set(netns.processes_of(self.mnt_inode, "mnt"))
        for inode in [self.net_inode, *(a.inode for a in self.allocs.values() if a.is_there())]:
            found.update(netns.processes_of(inode, "net"))
        return found - {os.getpid()}

    def _kill_inhabitants(self):
        """True once there is none: who was just being made when we looked is found by the next look."""
        found = self.inhabitants()
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not found

    def stop_all(self):
        """Power off: every process of the node ends, its namespaces, /run and bpffs are gone."""
        if self.held:
            wait_for(self._kill_inhabitants, f"{self.name}: its processes' end", 60)
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
        self.processes, self.allocs = [], {}
        self.picketd = self.holder = self.world = None
        while self.held:
            os.close(self.held.pop())
        shutil.rmtree(os.path.join(self.root, "run"), ignore_errors=True)

    def reboot(self):
        """stop_all and start: what is below root, but for run, survives."""
        self.stop_all()
        self.start()

    def close(self):
        """Remove the node; AssertionError when something of it stays."""
        self.stop_all()
        shutil.rmtree(self.base if self.own_base else self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    # -- commands

    def run(self, argv, *, env=None, **kw):
        """A command in the node, to its end."""
        return run(argv, preexec_fn=netns.entering(self.net, self.mnt),
                   env=None if env is None else {**os.environ, **env}, **kw)

    def popen(self, argv, *, env=None, **kw):
        """A process in the node; .pid is its own. It ends with the node at the latest."""
        return self.track(subprocess.Popen(
            argv, preexec_fn=netns.entering(self.net, self.mnt),
            env=None if env is None else {**os.environ, **env}, **kw))

    def json(self, argv, **kw):
        return json.loads(self.run(argv, **kw).stdout or "null")

    def inside(self):
        """with node.inside(): sockets made there are the node's."""
        return netns.inside(self.net)

    def path(self, inside):
        """Where a path of the node's root lies for a process outside of it (bpffs, /run too)."""
        return f"/proc/{self.holder.pid}/root{self.root}/{inside.lstrip('/')}"

    # -- allocations and tables

    def write_root(self, path, text):
        """A file of the node's own file system, as its programs see it."""
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def new_netns(self, alloc_id):
        """An empty network namespace at /run/netns/<alloc_id>, as Nomad makes it (lo is down)."""
        path = f"/run/netns/{alloc_id}"
        self.run(["touch", path])
        self.run(["unshare", f"--net={path}", "true"])
        alloc = Alloc(self, alloc_id, path)
        self.allocs[alloc_id] = alloc
        return alloc

    def drop_netns(self, alloc):
        """Unmount and unlink it, as Nomad does after DEL."""
        self.run(["umount", "-l", alloc.path])
        self.run(["rm", alloc.path])
        self.allocs.pop(alloc.id, None)

    @property
    def tables(self):
        return Tables(self.path("sys/fs/bpf/picket/maps"))
