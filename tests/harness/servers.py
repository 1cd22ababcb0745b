# SPDX-License-Identifier: Apache-2.0
"""A server that says who asks, and questions to it."""
import socket
import struct
import threading

from .shell import SLOWER

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
PATIENCE, SILENCE = 20.0 * SLOWER, 0.5	# seconds: for an answer; what is taken for none
PINGED, QUICK = 10 * SLOWER, 1	# the same of ping, in whole seconds


class Mirror(threading.Thread):
    """TCP and UDP on some ports of one network namespace: answers "ADDRESS PORT", the asker's."""

    def __init__(self, inside, *ports, name=""):
        super().__init__(daemon=True)
        self.name, self.sockets, self.threads = name, [], []
        self.stopped = threading.Event()
        with inside:
            for port in ports:
                for kind in KINDS.values():
                    s = socket.socket(socket.AF_INET6, kind)
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("::", port))
                    s.settimeout(0.2)
                    if kind == socket.SOCK_STREAM:
                        s.listen(64)
                    else:
                        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
                    self.sockets.append((kind, s))
        for each in self.sockets:
            thread = threading.Thread(target=self._serve, args=each, daemon=True)
            thread.start()
            self.threads.append(thread)

    def _answer(self, peer):
        return f"{peer[0].removeprefix('::ffff:')} {peer[1]} {self.name}".strip().encode()

    def _connection(self, connection, peer):
        with connection:
            connection.settimeout(PATIENCE)
            try:
                while connection.recv(1000):
                    connection.sendall(self._answer(peer))
            except OSError:
                pass

    def _datagram(self, s):
        """The answer comes from the address that was asked, whatever the routes say."""
        _, told, _, peer = s.recvmsg(65535, 100)
        s.sendmsg([self._answer(peer)], told, 0, peer)

    def _serve(self, kind, s):
        while not self.stopped.is_set():
            try:
                if kind == socket.SOCK_STREAM:
                    threading.Thread(target=self._connection, args=s.accept(), daemon=True).start()
                else:
                    self._datagram(s)
            except OSError:
                continue

    def close(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        for _, s in self.sockets:
            s.close()


class Resolver(threading.Thread):
    """A DNS server of one network namespace: knows an IPv4 address for every name, and nothing else of it."""

    def __init__(self, inside, answer="198.51.100.80"):
        super().__init__(daemon=True)
        self.answer = socket.inet_aton(answer)
        with inside:
            self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.socket.bind(("::", 53))
        self.start()

    def run(self):
        while True:
            try:
                data, peer = self.socket.recvfrom(512)
            except OSError:
                return
            is_a = data[-4:-2] == struct.pack(">H", 1)
            reply = data[:2] + struct.pack(">HHHHH", 0x8180, 1, int(is_a), 0, 0) + data[12:]
            if is_a:
                reply += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + self.answer
            self.socket.sendto(reply, peer)


def connect(place, kind, address, port, timeout=PATIENCE):
    """A connected socket of place."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with place.inside():
        s = socket.socket(family, KINDS[kind])
    s.settimeout(timeout)
    try:
        s.connect((address, port))
    except OSError:
        s.close()
        raise
    return s


def exchange(s):
    """(address, port, more) of what a Mirror says; None in silence."""
    try:
        s.send(b"who asks?")
        words = s.recv(1000).decode().split()
    except OSError:
        return None
    return (words[0], int(words[1]), *words[2:]) if len(words) > 1 else None


def ask(place, kind, address, port, timeout=PATIENCE):
    """exchange() by a socket of its own."""
    try:
        s = connect(place, kind, address, port, timeout)
    except OSError:
        return None
    with s:
        return exchange(s)


def pings(place, address, timeout=PINGED, size=None):
    words = ["ping", "-c", "1", "-W", str(timeout), *(["-s", str(size)] if size else []), address]
    return place.run(words, check=False).returncode == 0
