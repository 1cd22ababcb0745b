# SPDX-License-Identifier: Apache-2.0
"""Nodes of an overlay: two that know each other, what they are asked, and packets in VXLAN by hand."""
import contextlib
import ipaddress
import json
import signal
import socket
import struct

from .fabric import made_cluster, routes
from .servers import pings
from .shell import wait_for

DEVICE, PORT, VNI = "picket-vxlan", 8479, 112


def made(request, fabric, **how):
    name = request.node.name.translate({ord(c): "-" for c in "[]"})
    return made_cluster(name, fabric, **{"overlay": {}, **how})


def start(cluster):
    for node in cluster.nodes:
        node.start_picketd(cluster.config(node), wait=False)
    for node in cluster.nodes:
        node.picketd_serves()


def knows(node, n, blocks=2):
    wait_for(lambda: node.tables.count("remote") == n, f"{node.name} to know {n} addresses of others", 90)
    wait_for(lambda: len(routes(node)) == blocks, f"{node.name}'s routes")


def device(node):
    """None: there is none of that name."""
    found = node.run(["ip", "-j", "-d", "link", "show", "dev", DEVICE], check=False)
    return json.loads(found.stdout)[0] if found.returncode == 0 else None


def pair(cluster):
    """Two VMs of a tenant, one a node, that know each other."""
    one, two = cluster.nodes[:2]
    start(cluster)
    a, b = one.add("acme", "api", "web"), two.add("acme", "db", "db")
    knows(one, 2, 2 * (len(cluster.nodes) - 1))
    knows(two, 2, 2 * (len(cluster.nodes) - 1))
    return a, b


def reach(a, b):
    return all(pings(a, b.address(family)) and pings(b, a.address(family)) for family in (4, 6))


def send_much(a, b, address, size=4 << 20):
    """Over TCP, and every byte arrives."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with b.inside():
        server = socket.create_server(("", 5001), family=family)
    with a.inside():
        client = socket.socket(family, socket.SOCK_STREAM)
    with server, client:
        server.settimeout(30)
        client.settimeout(30)
        client.connect((address, 5001))
        there, _ = server.accept()
        with there:
            there.settimeout(30)
            sent = got = 0
            block = bytes(1 << 16)
            while got < size:
                if sent < size:
                    sent += client.send(block)
                got += len(there.recv(1 << 20))


def sum16(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    return ~(total % 0xffff or 0xffff) & 0xffff


def frame(source, destination):
    """UDP from one endpoint to another, as a guard puts it into the overlay."""
    udp = struct.pack(">HHHH", 4000, 5000, 12, 0) + b"evil"
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, ipaddress.ip_address(source).packed,
                       ipaddress.ip_address(destination).packed)
    head = head[:10] + struct.pack(">H", sum16(head)) + head[12:]
    return bytes.fromhex("02706b000002 02706b000001 0800") + head + udp


def wrapped(source, destination, vni=VNI):
    return struct.pack(">BBHI", 0x08, 0, 0, vni << 8) + frame(source, destination)


def send(place, payload, to, source="", port=PORT):
    with place.inside():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with s, contextlib.suppress(ConnectionError):
        s.bind((source, 0))
        s.sendto(payload, (to, port))


def reload(node, config):
    node.write_config(config)
    node.picketd.send_signal(signal.SIGHUP)


def reasons(node):
    return [r["text"] for r in node.api("/v1/status")["reasons"]]
