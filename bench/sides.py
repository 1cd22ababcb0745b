# SPDX-License-Identifier: Apache-2.0
"""Who is measured: Picket, and the peers that Nomad or CNI's own plugins would use instead.

Each side is a node of its own: a network and a mount namespace that nothing outside can reach.
"""
import json
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests"))

from fake import FakeNomad  # noqa: E402, F401 (for the rows)
from harness import Node, NodeOptions  # noqa: E402 (the tests' nodes serve here too)

DEBIAN_CNI = "/usr/lib/cni"
NFT, DNSMASQ = "/usr/sbin/nft", "/usr/sbin/dnsmasq"
ALLOC_ARGS = "IgnoreUnknown=true;NOMAD_NAMESPACE=acme;NOMAD_JOB_ID=bench;NOMAD_GROUP_NAME=g"


def lacks(*programs):
    """Why a peer can't be measured here; nothing, where its programs are there."""
    missing = [program for program in programs if not os.access(program, os.X_OK)]
    return f"there is no {' and no '.join(missing)}; fix: sudo scripts/install-deps" if missing else ""


class Side:
    """A node and a CNI list in it; the allocs' network namespaces lie where Nomad has them."""
    dir = "/run/netns"

    def __init__(self, name, build, options=None, node=None):
        self.name, self.build = name, os.path.abspath(build)
        os.environ["PICKET_BUILD"] = self.build
        self.node = node or Node(name, options)

    def cni(self, *options, args=None):
        """cnibench in this node; its JSON answer."""
        extra = ["--args", args] if args else []
        return self.node.json([f"{self.build}/bench/cnibench", "--list", self.list, "--path",
                               self.path, "--dir", self.dir, *extra, *map(str, options)],
                              timeout=1800)

    def netns(self, alloc):
        """The alloc's network namespace, seen from outside of the node."""
        return f"/proc/{self.node.holder.pid}/root{self.dir}/{alloc}"

    def in_alloc(self, alloc, *command):
        return self.node.run(["nsenter", f"--net={self.dir}/{alloc}", *command]).stdout

    def eth0(self, alloc):
        """(MAC, IPv4 address) of the alloc's eth0."""
        link = json.loads(self.in_alloc(alloc, "ip", "-j", "addr", "show", "eth0"))[0]
        return link["address"], next(a["local"] for a in link["addr_info"] if a["family"] == "inet")

    def tap(self, alloc):
        """(network namespace, tap, MAC, IPv4 address) of the alloc's guest."""
        return (self.netns(alloc), "tap0", *self.eth0(alloc))

    def path_spec(self, a, b):
        """What bench/taps wants to know of the path between two allocs' taps."""
        return ",".join([self.name, *self.tap(a), *self.tap(b), self.next_hop])

    def close(self):
        self.node.close()


def join_tap(side, alloc):
    """tap0 joined to eth0 by a mirred redirect each way, as tc-redirect-tap makes it."""
    side.in_alloc(alloc, "sh", "-ec", """
        ip tuntap add tap0 mode tap vnet_hdr; ip link set tap0 up
        for pair in "eth0 tap0" "tap0 eth0"; do
            set -- $pair
            tc qdisc add dev $1 ingress
            tc filter add dev $1 parent ffff: protocol all u32 match u8 0 0 \
                action mirred egress redirect dev $2
        done""")


class Peer(Side):
    """A list of Debian's plugins; their state lies in a tmpfs of the node's own."""
    path = DEBIAN_CNI
    next_hop = "ff:ff:ff:ff:ff:ff"      # one subnet: to the other guest's own MAC
    args = None

    def __init__(self, name, build, node=None):
        super().__init__(name, build, node=node)
        self.list = os.path.join(HERE, "peers", f"{name}.conflist")
        os.makedirs("/var/lib/cni", exist_ok=True)
        self.node.run(["sh", "-ec", """
            mount -t tmpfs none /var/lib/cni
            echo 1 > /proc/sys/net/ipv4/ip_forward
            if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then
                echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
            fi"""])

    def add_tap(self, alloc):
        join_tap(self, alloc)


class Nomad(Peer):
    """What Nomad runs for `mode = "bridge"`."""

    def __init__(self, build, node=None):
        super().__init__("nomad", build, node)

    def between_nodes(self, subnet):
        """With a subnet of this node's own, and nobody masqueraded, as where there is a route to it."""
        with open(self.list, encoding="utf-8") as file:
            plugins = json.load(file)
        bridge = next(plugin for plugin in plugins["plugins"] if plugin["type"] == "bridge")
        bridge["ipMasq"], bridge["ipam"]["ranges"] = False, [[{"subnet": subnet}]]
        self.list = os.path.join(self.node.root, "nomad.conflist")
        with open(self.list, "w", encoding="utf-8") as file:
            json.dump(plugins, file)


class Ptp(Peer):
    """The ptp plugin with host-local."""

    def __init__(self, build):
        super().__init__("ptp", build)


class Router:
    """A node that forwards between two taps of its own by the kernel's stack alone."""
    MAC, GUESTS = "02:00:00:00:00:01", ("02:00:00:00:01:02", "02:00:00:00:02:02")
    ADDRESS = ("10.50.1.2", "10.50.2.2")

    def __init__(self, name, build):
        os.environ["PICKET_BUILD"] = os.path.abspath(build)
        self.name, self.node = name, Node(name)
        self.node.run(["sh", "-ec", f"""
            echo 1 > /proc/sys/net/ipv4/ip_forward
            for i in 1 2; do
                ip tuntap add tap$i mode tap vnet_hdr; ip link set tap$i address {self.MAC} up
                ip addr add 10.50.$i.1/24 dev tap$i
                ip neigh add 10.50.$i.2 lladdr 02:00:00:00:0$i:02 dev tap$i
            done"""])

    def load(self, rules):
        self.node.run([NFT, "-f", "-"], stdin=rules)

    def path(self):
        ends = [",".join([self.node.net, f"tap{i + 1}", self.GUESTS[i], self.ADDRESS[i]])
                for i in (0, 1)]
        return ",".join([self.name, *ends, self.MAC])

    def close(self):
        self.node.close()


class Joined:
    """Two taps, each of which leads into the other: system calls and taps, and nothing between that could be left out."""
    name = "joined"

    def __init__(self, build):
        os.environ["PICKET_BUILD"] = os.path.abspath(build)
        self.node = Node(self.name)
        self.node.run(["sh", "-ec", f"""
            for i in 1 2; do ip tuntap add tap$i mode tap vnet_hdr; ip link set tap$i address {Router.MAC} txqueuelen 240 up; done
            for pair in "tap1 tap2" "tap2 tap1"; do
                set -- $pair
                tc qdisc replace dev $1 root noqueue
                tc qdisc add dev $1 ingress
                tc filter add dev $1 parent ffff: protocol all u32 match u8 0 0 action mirred egress redirect dev $2
            done"""])

    def path_spec(self, *_):
        ends = [",".join([self.node.net, f"tap{i + 1}", Router.GUESTS[i], Router.ADDRESS[i]]) for i in (0, 1)]
        return ",".join([self.name, *ends, Router.MAC])

    def close(self):
        self.node.close()


class Bare:
    """Two network namespaces joined by pairs and one redirect_peer each way: what a guard that costs nothing would be."""
    name, ADDRESS = "bare", ("10.50.1.2", "10.50.1.3")

    def __init__(self, build):
        os.environ["PICKET_BUILD"] = os.path.abspath(build)
        self.node = Node(self.name)
        self.node.run(["sh", "-ec", f"""
            for i in 0 1; do
                ip netns add end$i
                ip link add pair$i index 100$i address 02:00:00:00:00:0$i type veth peer name eth0 netns end$i
                ip link set pair$i up
                tc qdisc add dev pair$i clsact
                tc filter add dev pair$i ingress bpf da obj {os.path.abspath(build)}/bench/peer.bpf.o sec tc
                ip -n end$i link set lo up
                ip -n end$i link set eth0 address 02:00:00:00:01:0$i up
                ip -n end$i addr add 10.50.1.$((i + 2))/24 dev eth0
            done
            ip -n end0 neigh add {self.ADDRESS[1]} lladdr 02:00:00:00:01:01 dev eth0
            ip -n end1 neigh add {self.ADDRESS[0]} lladdr 02:00:00:00:01:00 dev eth0"""])

    def netns(self, nr):
        return f"/proc/{self.node.holder.pid}/root/run/netns/end{nr}"

    def close(self):
        self.node.run(["sh", "-c", "ip netns del end0; ip netns del end1"], check=False)
        self.node.close()


class Picket(Side):
    """The real plugin under a root of its own; `controller` starts the real picketd too."""
    args = ALLOC_ARGS
    next_hop = "02:70:6b:00:00:01"

    def __init__(self, build, name="picket", conf=None, capacity=256, limits=None, controller=True):
        super().__init__(name, build, NodeOptions(
            pool=("10.40.0.0/16",), conf={"mtu": 1500, "dns": {"servers": []}, **(conf or {})},
            config={"nomad": None, "consul": None, "capacity": {"endpoints": capacity},
                    "limits": {"flowsPerEndpoint": 4096, **(limits or {})},
                    "pools": ["10.40.0.0/16"]}))
        self._run_in_memory()
        self.path = os.path.join(self.node.root, "opt/cni/bin")
        os.makedirs(self.path)
        os.symlink(os.path.join(self.build, "picket-cni"), os.path.join(self.path, "picket"))
        self.list = self.node.write_config()
        if controller:
            self.node.start_picketd()

    def _run_in_memory(self):
        """/run is a tmpfs on any Debian; what is durable lies on the disk that /tmp is on."""
        self.memory = tempfile.mkdtemp(prefix="picket-run-", dir="/dev/shm")
        os.chmod(self.memory, 0o755)
        os.rmdir(os.path.join(self.node.root, "run"))
        os.symlink(self.memory, os.path.join(self.node.root, "run"))

    def close(self):
        super().close()
        shutil.rmtree(self.memory, ignore_errors=True)

    def tap(self, alloc):
        """A host tap's file for its VMM says what its netns doesn't have."""
        with open(self.node.path(f"run/picket/vm/{alloc}.json"), encoding="utf-8") as file:
            vm = json.load(file)
        if vm.get("attach") != "host-tap":
            return super().tap(alloc)
        return self.node.net, vm["tap"], vm["mac"], vm["ipv4"]["address"]

    def stop_controller(self):
        self.node.kill_picketd()
