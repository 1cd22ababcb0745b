# SPDX-License-Identifier: Apache-2.0
"""M1: how long a guest waits for its address, against dnsmasq on a bridge."""
import contextlib
import json
import os
import subprocess

from sides import DNSMASQ, Node, Picket, lacks

MAC = "02:00:00:00:00:07"


class Bridge:
    """A tap in a bridge, and dnsmasq that listens there."""

    def __init__(self, build):
        os.environ["PICKET_BUILD"] = os.path.abspath(build)
        self.node = Node("dnsmasq")
        self.node.run(["sh", "-ec", """
            ip link add br0 type bridge; ip addr add 10.70.0.1/24 dev br0; ip link set br0 up
            ip tuntap add tap0 mode tap vnet_hdr; ip link set tap0 master br0 up"""])
        self.node.popen([DNSMASQ, "--keep-in-foreground", "--conf-file=/dev/null", "--port=0",
                         "--interface=br0", "--bind-interfaces", "--no-ping", "--leasefile-ro",
                         "--dhcp-range=10.70.0.10,10.70.0.200", "--pid-file=",
                         "--log-facility=/dev/null"])

    def path(self):
        return f"dnsmasq,{self.node.net},tap0,{MAC}"

    def close(self):
        self.node.close()


def lease(result, build):
    why = lacks(DNSMASQ)
    if why:
        result.skip("M1", why)
        return
    with contextlib.ExitStack() as stack:
        ours, peer = (stack.enter_context(contextlib.closing(make(build)))
                      for make in (Picket, Bridge))
        ours.cni("--add", 1, "--prefix", "m", args=ours.args)
        alloc = "m-00000000"
        out = subprocess.run([f"{build}/bench/dhcp",
                              f"picket,{ours.netns(alloc)},tap0,{ours.eth0(alloc)[0]}", peer.path()],
                             check=True, text=True, stdout=subprocess.PIPE).stdout
    ns = {name: path["ns"] for name, path in json.loads(out).items()}
    result.add("M1", "DHCP, DISCOVER to ACK at the tap", ns["picket"], ns["dnsmasq"],
               "dnsmasq on a bridge", 0.1)
