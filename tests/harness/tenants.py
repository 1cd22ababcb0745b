# SPDX-License-Identifier: Apache-2.0
"""Tenants that send to each other without end, and whoever looks for a frame of theirs that crossed."""
import contextlib
import ipaddress
import socket
import threading

from . import netns

PORT = 4242	# UDP, of what tenants send each other
ETH_P_ALL, OUTGOING = 3, 4


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
    Who has an address; all of them send to other tenants' without end, and each frame of the fabric and each that
    arrives at an endpoint is looked at. An address is somebody's for as long as his netns is there: then it rests, and
    may be another tenant's.
    """

    def __init__(self, cluster, pause=0.02):
        self.owner, self.tenant_of, self.sent, self.within, self.crossed, self.pause = {}, {}, 0, 0, [], pause
        self.stopped, self.threads, self.ends = threading.Event(), [], {}
        for port in cluster.ports:
            self.watch(cluster.fabric.node.net, port, self.stopped)

    def start(self, work, *args):
        self.threads.append(threading.Thread(target=work, args=args, daemon=True))
        self.threads[-1].start()

    def learn(self, address, tenant):
        """One more that others send to."""
        self.tenant_of[ipaddress.ip_address(address)] = tenant

    def add(self, alloc, tenant):
        for family in 4, 6:
            self.learn(alloc.address(family), tenant)
            self.owner[ipaddress.ip_address(alloc.address(family))] = tenant, alloc
        end = self.ends[alloc.id] = threading.Event()
        self.watch(alloc.net, "eth0", end)
        with alloc.inside():
            sockets = {4: socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 6: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)}
        self.start(self.shout, sockets, tenant, end)
        return alloc

    def drop(self, alloc):
        """It has ended: no socket of ours holds its netns any more."""
        self.ends.pop(alloc.id).set()

    def shout(self, sockets, tenant, end):
        while not end.wait(self.pause):
            for address, whose in list(self.tenant_of.items()):
                with contextlib.suppress(OSError):	# the guard's ICMP error, or an endpoint that went
                    if whose != tenant:
                        self.sent += sockets[address.version].sendto(b"x", (str(address), PORT))
        for s in sockets.values():
            s.close()

    def watch(self, net, device, end):
        with netns.inside(net):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            s.bind((device, ETH_P_ALL))
        s.settimeout(0.1)
        self.start(self.look, s, device == "eth0", end)

    def look(self, s, is_endpoint, end):
        while not end.is_set():
            with contextlib.suppress(OSError):
                frame, (_, _, direction, *_) = s.recvfrom(2048)
                if not is_endpoint or direction != OUTGOING:	# what one sends is its guard's to judge yet
                    self.judge(frame)
        s.close()

    def judge(self, frame):
        owners = [self.owner.get(address) for address in ends(frame)]
        if None in owners or not owners:
            return
        if len({tenant for tenant, _ in owners}) == 1:
            self.within += 1
        elif all(alloc.is_there() for _, alloc in owners):
            self.crossed.append(ends(frame))

    def stop(self):
        for end in self.stopped, *self.ends.values():
            end.set()
        for thread in self.threads:
            thread.join()
