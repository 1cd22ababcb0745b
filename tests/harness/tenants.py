# SPDX-License-Identifier: Apache-2.0
"""Tenants that send to each other without end, and whoever looks for a frame of theirs that crossed."""
import contextlib
import ipaddress
import socket
import threading

from . import netns, overlay

PORT = 4242	# UDP, of what tenants send each other
ETH_P_ALL, OUTGOING = 3, 4
UDP, VXLAN = 17, 8	# a protocol; bytes of an overlay's own header


def ends(frame):
    """Source and destination of an IP frame; none of another."""
    kind, ip = frame[12:14], frame[14:]
    if kind == b"\x08\x00":
        return ipaddress.ip_address(ip[12:16]), ipaddress.ip_address(ip[16:20])
    if kind == b"\x86\xdd":
        return ipaddress.ip_address(ip[8:24]), ipaddress.ip_address(ip[24:40])
    return ()


def inner(frame):
    """What an overlay's packet carries; None: it is none."""
    kind, ip = frame[12:14], frame[14:]
    if kind == b"\x08\x00":
        protocol, at = ip[9], 4 * (ip[0] & 15)
    elif kind == b"\x86\xdd":
        protocol, at = ip[6], 40
    else:
        return None
    if protocol != UDP or int.from_bytes(ip[at + 2:at + 4], "big") != overlay.PORT:
        return None
    return ip[at + 8 + VXLAN:]


class Tenants:
    """
    Who has an address; all of them send to other tenants' without end, and each frame of the fabric, inside the overlay too, and each that
    arrives at an endpoint is looked at. What crossed says where: the router's port, or eth0. An address is somebody's for as long as his netns is there: then it rests, and
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
        self.start(self.look, s, device, end)

    def look(self, s, device, end):
        while not end.is_set():
            with contextlib.suppress(OSError):
                frame, (_, _, direction, *_) = s.recvfrom(2048)
                if device != "eth0" or direction != OUTGOING:	# what one sends is its guard's to judge yet
                    self.judge(inner(frame) or frame, device)
        s.close()

    def judge(self, frame, where):
        owners = [self.owner.get(address) for address in ends(frame)]
        if None in owners or not owners:
            return
        if len({tenant for tenant, _ in owners}) == 1:
            self.within += 1
        elif all(alloc.is_there() for _, alloc in owners):
            self.crossed.append((where, *ends(frame)))

    def stop(self):
        for end in self.stopped, *self.ends.values():
            end.set()
        for thread in self.threads:
            thread.join()

    close = stop
