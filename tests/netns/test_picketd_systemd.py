# SPDX-License-Identifier: Apache-2.0
"""What systemd hears of picketd: ready, reloading, how it is, and that its loop turns."""
import os
import signal
import socket
import subprocess
import time

import pytest

from harness.shell import TREE, wait_for
from test_picketd_sources import DENY_DB


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


def unit(key):
    """What the unit that is shipped says of it."""
    with open(os.path.join(TREE, "packaging/systemd/picketd.service"), encoding="utf-8") as file:
        return next(line.split("=", 1)[1].split() for line in file.read().splitlines() if line.startswith(f"{key}="))


# Their numbers in <linux/capability.h>.
CAPABILITIES = {"CAP_CHOWN": 0, "CAP_DAC_READ_SEARCH": 2, "CAP_NET_ADMIN": 12, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}


def test_the_capabilities_of_its_unit_are_enough(node):
    """P55: it has those that the unit lists and no other, can gain none, and does its work with them."""
    listed = unit("CapabilityBoundingSet")
    assert set(listed) == set(CAPABILITIES) and unit("NoNewPrivileges") == ["yes"]
    node.write_config({"nomad": None, "consul": None})
    words = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in listed)])
    with open(node.log_path, "a", encoding="utf-8") as log:
        node.picketd = node.popen(["setpriv", f"--bounding-set={words}", "--inh-caps=-all", "--no-new-privs", node.program("picketd"), "-root", node.root],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    node.picketd_serves()
    with open(f"/proc/{node.picketd.pid}/status", encoding="ascii") as file:
        status = {name: value.strip() for name, value in (line.split(":", 1) for line in file)}
    mask = sum(1 << number for number in CAPABILITIES.values())
    assert {which: int(status[which], 16) for which in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == \
        {"CapInh": 0, "CapPrm": mask, "CapEff": mask, "CapBnd": mask, "CapAmb": 0}
    assert status["NoNewPrivs"] == "1"
    db, api, other = node.add("acme", "db", "db"), node.add("acme", "api", "web"), node.add("acme", "batch", "web")
    node.policy("db.json", DENY_DB)
    wait_for(lambda: node.api("/v1/policies")["policies"] and node.api("/v1/policies/file/db")["enforced"] == "yes", "the policy")
    node.run(["tc", "filter", "del", "dev", f"pk{db.slot}", "ingress"])
    wait_for(lambda: "pk_from_endpoint" in node.run(["tc", "filter", "show", "dev", f"pk{db.slot}", "ingress"]).stdout, "its audit to put the guard back", 60)
    node.delete(other)
    node.drop_netns(api)
    wait_for(lambda: len(node.api("/v1/endpoints")["endpoints"]) <= 2 and not node.reasons("audit"), lambda: node.api("/v1/status")["reasons"], 60)
    assert "Operation not permitted" not in node.log() and "Permission denied" not in node.log(), node.log()[-3000:]
