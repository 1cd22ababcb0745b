# SPDX-License-Identifier: Apache-2.0
"""Three nodes behind a router: a partition, a killed picketd and an alloc that moves, while no frame ever crosses tenants."""
import contextlib
import ipaddress
import socket
import threading

import pytest
from harness import netns
from harness.fabric import made_cluster
from harness.servers import PINGED, QUICK, pings
from harness.shell import wait_for

PORT = 4242	# UDP, of what tenants send each other
ETH_P_ALL, OUTGOING = 3, 4


@pytest.fixture(name="cluster")
def cluster_fixture(request, fabric):
    with made_cluster(request.node.name, fabric, count=3, routed=True) as made:
        yield made


def ends(frame):
    """Source and destination of an IP frame; none of another."""
    kind, ip = frame[12:14], frame[14:]
    if kind == b"\x08\x00":
        return ipaddress.ip_address(ip[12:16]), ipaddress.ip_address(ip[16:20])
    if kind == b"\x86\xdd":
        return ipaddress.ip_address(ip[8:24]), ipaddress.ip_address(ip[24:40])
    return ()


class Tenants:
    """
    Whose an address is, for good; all of them send to each other's without end, and each frame of the fabric and
    each that arrives at an endpoint is looked at.
    """

    def __init__(self, cluster):
        self.tenant_of, self.sent, self.within, self.crossed = {}, 0, 0, []
        self.stopped, self.threads = threading.Event(), []
        for port in cluster.ports:
            self.watch(cluster.fabric.node.net, port)

    def start(self, work, *args):
        self.threads.append(threading.Thread(target=work, args=args, daemon=True))
        self.threads[-1].start()

    def add(self, alloc, tenant):
        for family in 4, 6:
            address = ipaddress.ip_address(alloc.address(family))
            assert self.tenant_of.setdefault(address, tenant) == tenant
        self.watch(alloc.net, "eth0")
        with alloc.inside():
            sockets = {4: socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 6: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)}
        self.start(self.shout, sockets, tenant)
        return alloc

    def shout(self, sockets, tenant):
        while not self.stopped.wait(0.02):
            for address, whose in list(self.tenant_of.items()):
                with contextlib.suppress(OSError):	# the guard's ICMP error, or an endpoint that went
                    if whose != tenant:
                        self.sent += sockets[address.version].sendto(b"x", (str(address), PORT))
        for s in sockets.values():
            s.close()

    def watch(self, net, device):
        with netns.inside(net):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            s.bind((device, ETH_P_ALL))
        s.settimeout(0.1)
        self.start(self.look, s, device == "eth0")

    def look(self, s, is_endpoint):
        while not self.stopped.is_set():
            with contextlib.suppress(OSError):
                frame, (_, _, direction, *_) = s.recvfrom(2048)
                if not is_endpoint or direction != OUTGOING:	# what one sends is its guard's to judge yet
                    self.judge(frame)
        s.close()

    def judge(self, frame):
        tenants = [self.tenant_of.get(address) for address in ends(frame)]
        if None in tenants or not tenants:
            return
        if len(set(tenants)) == 1:
            self.within += 1
        else:
            self.crossed.append(ends(frame))

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def all_reach_all(vms, seconds=30):
    patience = QUICK if seconds else PINGED		# asked again, or once
    for a in vms:
        for b in vms:
            if a is not b:
                wait_for(lambda a=a, b=b: pings(a, b.address(4), patience) and pings(a, b.address(6), patience), "tenants to reach their own", seconds)


def test_no_frame_crosses_tenants(cluster):
    one, two, three = cluster.nodes
    for node in cluster.nodes:
        node.start_picketd(cluster.config(node), wait=False)
    for node in cluster.nodes:
        wait_for(node.picketd_answers, f"picketd of {node.name}", 120)
    tenants = Tenants(cluster)
    try:
        vms = [tenants.add(node.add("acme", "api", "web"), "acme") for node in cluster.nodes]
        for node in one, two:
            tenants.add(node.add("other", "x", "x"), "other")
        all_reach_all(vms)
        cluster.cut(3)
        assert not pings(vms[0], vms[2].address(4), QUICK)
        all_reach_all(vms[:2], 0)
        moved = tenants.add(three.add("acme", "api", "web"), "acme")	# what comes meanwhile is its tenant's at once
        assert pings(vms[2], moved.address(4))
        cluster.cut(3, heal=True)
        all_reach_all([*vms, moved], 60)
        two.kill_picketd()
        all_reach_all(vms, 0)
        two.start_picketd(cluster.config(two))
        all_reach_all(vms, 0)
        three.delete(moved)	# it is drained, and comes again on another node
        assert not pings(vms[0], moved.address(4), QUICK) and not pings(vms[2], moved.address(6), QUICK), "at once"
        all_reach_all([*vms, tenants.add(one.add("acme", "api", "web"), "acme")])
    finally:
        tenants.stop()
    assert tenants.crossed == [] and tenants.within and tenants.sent > 100
