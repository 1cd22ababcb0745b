# SPDX-License-Identifier: GPL-2.0-only
"""Who is measured: Picket, and the peers that Nomad or CNI's own plugins would use instead.

Each side is a node of its own: a network and a mount namespace that nothing outside can reach.
"""
import json
import os
import shutil
import signal
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
DEBIAN_CNI = "/usr/lib/cni"
ALLOC_ARGS = "IgnoreUnknown=true;NOMAD_NAMESPACE=acme;NOMAD_JOB_ID=bench;NOMAD_GROUP_NAME=g"


class Side:
    """A node and a CNI list in it. `dir` holds the allocs' network namespaces."""

    def __init__(self, name, build):
        self.name, self.build = name, os.path.abspath(build)
        self.root = tempfile.mkdtemp(prefix=f"picket-bench-{name}-")
        self.dir = os.path.join(self.root, "netns")
        os.mkdir(self.dir)
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c",
             "mount --make-rprivate / && ip link set lo up && echo ready && exec sleep infinity"],
            stdout=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError(f"{name}: no namespaces")

    def run(self, *command, **options):
        return subprocess.run(["nsenter", f"--net=/proc/{self.holder.pid}/ns/net",
                               f"--mount=/proc/{self.holder.pid}/ns/mnt", *command],
                              check=True, text=True, **options)

    def cni(self, *options, args=None):
        """cnibench in this node; its JSON answer."""
        extra = ["--args", args] if args else []
        out = self.run(f"{self.build}/bench/cnibench", "--list", self.list, "--path", self.path,
                       "--dir", self.dir, *extra, *[str(o) for o in options],
                       stdout=subprocess.PIPE).stdout
        return json.loads(out)

    def netns(self, alloc):
        """The alloc's network namespace, seen from outside of the node."""
        return f"/proc/{self.holder.pid}/root{self.dir}/{alloc}"

    def in_alloc(self, alloc, *command):
        return self.run("nsenter", f"--net={self.dir}/{alloc}", *command,
                        stdout=subprocess.PIPE).stdout

    def eth0(self, alloc):
        """(MAC, IPv4 address) of the alloc's eth0."""
        link = json.loads(self.in_alloc(alloc, "ip", "-j", "-4", "addr", "show", "eth0"))[0]
        return link["address"], link["addr_info"][0]["local"]

    def path_spec(self, a, b):
        """What bench/taps wants to know of the path between two allocs' taps."""
        mac_a, ip_a = self.eth0(a)
        mac_b, ip_b = self.eth0(b)
        return ",".join([self.name, self.netns(a), "tap0", mac_a, ip_a, self.netns(b), "tap0",
                         mac_b, ip_b, self.next_hop])

    def close(self):
        self.holder.send_signal(signal.SIGKILL)
        self.holder.wait()
        shutil.rmtree(self.root, ignore_errors=True)


class Peer(Side):
    """A list of Debian's plugins; their state lies in a tmpfs of the node's own."""
    path = DEBIAN_CNI
    next_hop = "ff:ff:ff:ff:ff:ff"      # one subnet: to the other guest's own MAC
    args = None

    def __init__(self, name, build):
        super().__init__(name, build)
        self.list = os.path.join(HERE, "peers", f"{name}.conflist")
        os.makedirs("/var/lib/cni", exist_ok=True)
        self.run("sh", "-ec", """
            mount -t tmpfs none /var/lib/cni; mount -t tmpfs none /run
            echo 1 > /proc/sys/net/ipv4/ip_forward
            if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then
                echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
            fi""")

    def add_tap(self, alloc):
        """tap0 joined to eth0 by a mirred redirect each way, as tc-redirect-tap makes it."""
        self.in_alloc(alloc, "sh", "-ec", """
            ip tuntap add tap0 mode tap vnet_hdr; ip link set tap0 up
            for pair in "eth0 tap0" "tap0 eth0"; do
                set -- $pair
                tc qdisc add dev $1 ingress
                tc filter add dev $1 parent ffff: protocol all u32 match u8 0 0 \
                    action mirred egress redirect dev $2
            done""")


class Nomad(Peer):
    """What Nomad runs for `mode = "bridge"`."""

    def __init__(self, build):
        super().__init__("nomad", build)


class Ptp(Peer):
    """The ptp plugin with host-local."""

    def __init__(self, build):
        super().__init__("ptp", build)


class Picket(Side):
    """The real plugin under a root of its own; `controller` starts the real picketd too."""
    args = ALLOC_ARGS
    next_hop = "02:70:6b:00:00:01"

    def __init__(self, build, hook="clsact", capacity=256, controller=True):
        super().__init__("picket", build)
        self.path = os.path.join(self.root, "cni")
        os.mkdir(self.path)
        os.symlink(os.path.join(self.build, "picket-cni"), os.path.join(self.path, "picket"))
        etc = os.path.join(self.root, "etc/picket")
        os.makedirs(os.path.join(etc, "policies.d"))
        os.makedirs(os.path.join(self.root, "sys/fs/bpf"))
        self.config = os.path.join(etc, "picketd.json")
        self.list = os.path.join(self.root, "picket.conflist")
        write(self.config, {"root": self.root, "nomad": None, "consul": None, "http": None,
                            "capacity": {"endpoints": capacity}, "pools": ["10.40.0.0/16"]})
        write(self.list, {"cniVersion": "1.0.0", "name": "picket", "plugins": [
            {"type": "picket", "pool": "10.40.0.0/16", "root": self.root, "hook": hook,
             "mtu": 1500, "dns": {"servers": []}}]})
        self.run("mount", "-t", "bpf", "bpf", os.path.join(self.root, "sys/fs/bpf"))
        self.daemon = None
        if controller:
            self.start_controller()

    def start_controller(self):
        log = open(os.path.join(self.root, "picketd.log"), "a")
        self.daemon = subprocess.Popen(
            ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net",
             f"--mount=/proc/{self.holder.pid}/ns/mnt"] +
            [f"{self.build}/picketd", "-root", self.root, "-config", self.config], stderr=log)
        self.run(f"{self.build}/picket", "-root", self.root, "status", "-wait", "30s",
                 stdout=subprocess.DEVNULL)

    def stop_controller(self):
        if self.daemon:
            self.daemon.terminate()
            self.daemon.wait()
            self.daemon = None

    def close(self):
        self.stop_controller()
        super().close()


def write(path, value):
    with open(path, "w") as f:
        json.dump(value, f)
