# SPDX-License-Identifier: Apache-2.0
"""
Much that comes in by an uplink, by real stacks: what an endpoint fetches and what is sent to its published port, as segments that came
whole, that the device collected, or each by itself.
"""
import os
import socket
import threading

import pytest
from harness import PacketSocket, wait_for
from harness.frames import switch
from harness.servers import ask, connect
from test_published import HOST, OWN, mapping
from test_uplinks import KINDS
from test_world import IPV6, MODES, NODE, is_nodes, made_of_others, sink_of, stage, upload  # noqa: F401 pylint: disable=unused-import

STSO, SGRO = 0x1f, 0x2c		# ETHTOOL_...
# What the world's device cuts, what up0 collects: (TSO there, GRO here).
WAYS = {"whole": (1, 0), "collected": (0, 1), "cut": (0, 0)}
MUCH, PORT = 4 << 20, 9100


def serving(place, port, serve):
    """A TCP server of place; serve: what is done with its socket."""
    with place.inside():
        server = socket.socket(socket.AF_INET6)
    server.bind(("::", port))
    server.listen()
    threading.Thread(target=serve, args=(server,), daemon=True).start()
    return server


def source_of(content):
    def serve(server):
        while True:
            try:
                connection, _ = server.accept()
                with connection:
                    connection.sendall(content)
            except OSError:
                if server.fileno() < 0:
                    return
    return serve


def download(place, address):
    parts = []
    with connect(place, "tcp", address, PORT, 60) as s:
        while part := s.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def longest(sniffer):
    return max(map(len, sniffer.drain()))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("way", WAYS)
def test_much_comes_in(stage, mode, family, way):
    """All of it, and in pieces as long as up0 has them."""
    s, content = stage(mode, **IPV6), os.urandom(MUCH)
    switch(s.node.world.net, "down0", STSO, WAYS[way][0])
    switch(s.node.net, "up0", SGRO, WAYS[way][1])
    a = s.add("acme", "api", runtimeConfig={"portMappings": mapping()})

    def expected(length):
        return length <= 1514 if way == "cut" else length > 2 * 1514

    with serving(s.node.world, PORT, source_of(content)), serving(a, OWN, sink_of), PacketSocket(a.net, "eth0") as sniffer:
        assert download(a, s.world(family)) == content
        assert expected(length := longest(sniffer)), length
        assert upload(s.node.world, NODE[family], HOST, MUCH) == MUCH
        assert expected(length := longest(sniffer)), length


@pytest.mark.parametrize("kind", KINDS)
def test_much_comes_in_by_an_uplink_made_of_others(stage, kind):
    s, _ = made_of_others(stage, "tap", kind)
    content, a = os.urandom(MUCH), s.add("acme", "api")
    with serving(s.node.world, PORT, source_of(content)), serving(a, OWN, sink_of):
        for family in (4, 6):
            wait_for(lambda f=family: is_nodes(ask(a, "tcp", s.world(f), 80), f), f"the way by a {kind}")
            assert download(a, s.world(family)) == content
            assert upload(s.node.world, NODE[family], 8080, MUCH) == MUCH
