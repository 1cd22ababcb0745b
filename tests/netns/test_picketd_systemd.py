# SPDX-License-Identifier: Apache-2.0
"""What systemd hears of picketd: ready, reloading, how it is, and that its loop turns."""
import os
import signal
import socket
import time

import pytest

from harness.shell import wait_for


class Systemd:
    """The notify socket; an abstract one, for picketd's mount namespace is the node's."""

    def __init__(self, node):
        with node.inside():
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.socket.bind("\0picket-notify")
        self.socket.setblocking(False)
        self.heard = []

    def hear(self):
        while True:
            try:
                self.heard.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return self.heard

    def says(self, start):
        return any(text.startswith(start) for text in self.hear())


@pytest.fixture
def systemd(node):
    fake = Systemd(node)
    yield fake
    fake.socket.close()


def start(node, **env):
    node.start_picketd({"nomad": None, "consul": None}, env={"NOTIFY_SOCKET": "@picket-notify", **env})


def test_a_reload_is_said_and_ends(node, systemd):
    start(node)
    wait_for(lambda: systemd.says("READY=1"), "READY")
    systemd.heard.clear()
    before = time.monotonic_ns() // 1000
    os.kill(node.picketd.pid, signal.SIGHUP)
    wait_for(lambda: systemd.says("READY=1"), "READY again")
    (reloading,) = [text for text in systemd.heard if text.startswith("RELOADING=1")]
    assert systemd.heard.index(reloading) < systemd.heard.index("READY=1")
    since = int(reloading.split("MONOTONIC_USEC=")[1])
    assert before <= since <= time.monotonic_ns() // 1000
    node.kill_picketd(signal.SIGTERM)
    assert systemd.says("STOPPING=1")


def test_how_it_is_is_said(node, systemd):
    start(node)
    wait_for(lambda: systemd.says("STATUS=0 endpoints, policy revision 1"), "the first status")
    node.add("acme", "job", "g")
    wait_for(lambda: systemd.says("STATUS=1 endpoints"), "one endpoint")
    with open(node.path("etc/picket/picketd.json"), "w", encoding="ascii") as file:
        file.write("{ broken")
    os.kill(node.picketd.pid, signal.SIGHUP)
    wait_for(lambda: any("picketd.json" in text for text in systemd.hear()), "what is wrong")


def test_its_loop_turns(node, systemd):
    start(node, WATCHDOG_USEC="200000")
    wait_for(lambda: systemd.hear().count("WATCHDOG=1") > 5, "six turns of the watchdog")
    os.kill(node.picketd.pid, signal.SIGSTOP)
    try:
        os.waitpid(node.picketd.pid, os.WUNTRACED)
        systemd.hear()
        systemd.heard.clear()
        time.sleep(0.5)
        assert not systemd.says("WATCHDOG=1")
    finally:
        os.kill(node.picketd.pid, signal.SIGCONT)
    wait_for(lambda: systemd.says("WATCHDOG=1"), "the next turn")


def test_another_process_is_watched(node, systemd):
    start(node, WATCHDOG_USEC="200000", WATCHDOG_PID="1")
    wait_for(lambda: systemd.says("STATUS="), "the status")
    time.sleep(0.5)
    assert not systemd.says("WATCHDOG=1")
