# SPDX-License-Identifier: Apache-2.0
"""
picketd killed at random moments, and its programs taken over by another build's, under a stream of datagrams: none is lost, and none that is denied
arrives. PICKET_KILLS and PICKET_SEED say how often and when; the benchmark's row is a hundred kills and a thousand takeovers.
"""
import os
import random
import signal
import sys
import time

import pytest
from harness.shell import wait_for
from test_upgrade import as_old, builds, current, programs

KILLS, SEED = int(os.environ.get("PICKET_KILLS", "10")), int(os.environ.get("PICKET_SEED", "1"))
PORT, MOST = 9100, 30000	# datagrams a second at most: a busy machine sends fewer

SEND = """
import socket, sys, time
address, port, most = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
s.connect((address, port))
s.setblocking(True)
n, begin, failed = 0, time.monotonic(), 0
print("ready", flush=True)
import select
while not select.select([sys.stdin], [], [], 0)[0]:
    for _ in range(100):
        try:
            s.send(n.to_bytes(8, "little"))
            n += 1
        except OSError:
            failed += 1
    time.sleep(max(0, begin + n / most - time.monotonic()))
print(n, failed, flush=True)
"""
RECEIVE = """
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)	# SO_RCVBUFFORCE
s.bind(("::", int(sys.argv[1])))
s.settimeout(0.5)
print("ready", flush=True)
import threading
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
seen = set()
while True:
    try:
        seen.add(int.from_bytes(s.recv(64), "little"))
    except TimeoutError:
        if ended.is_set():
            break
print(len(seen), max(seen, default=-1), flush=True)
"""


class Stream:
    """Datagrams from one endpoint to another until it is ended."""

    def __init__(self, source, target, port, most=MOST):
        self.there = self.begin(target, RECEIVE, str(port))
        self.here = self.begin(source, SEND, target.address(), str(port), str(most))

    @staticmethod
    def begin(alloc, script, *words):
        process = alloc.popen([sys.executable, "-c", script, *words], stdin=-1, stdout=-1, text=True)
        assert process.stdout.readline() == "ready\n"
        return process

    def end(self):
        """(sent, arrived)."""
        sent, failed = map(int, self.here.communicate("x", timeout=60)[0].split())
        got, _ = map(int, self.there.communicate("x", timeout=120)[0].split())
        return sent, got, failed


def take_over(node, own):
    """What runs has another build's name, so that the picketd that starts next brings in its own; or goes on with what the one before began."""
    if builds(node) == {own}:
        as_old(node)


@pytest.mark.parametrize("what", ("kills", "takeovers"))
def test_no_packet_is_lost_and_none_misjudged(make_node, capsys, what):
    """P49, P50: documents change meanwhile; at the end the tables say what picketd says, and one build is left."""
    dice = random.Random(SEED)
    node = make_node(conf={"mode": "process"})
    node.start_picketd()
    a, b, other = node.add("acme", "api", "web"), node.add("acme", "db", "db"), node.add("other", "x", "x")
    own = current(node)
    good, bad = Stream(a, b, PORT), Stream(other, b, PORT + 1, 1000)
    begun = time.monotonic()
    for turn in range(KILLS):
        node.policy("turn.json", {"namespace": "acme", "rules": [{"endpointSelector": {"matchLabels": {"nomad:job": "db"}}, "ingress": [
            {"fromEndpoints": [{}], "toPorts": [{"ports": [{"port": str(PORT), "protocol": "UDP"}, {"port": str(1 + turn)}]}]}]}]})
        time.sleep(dice.random() ** 2)
        node.kill_picketd(signal.SIGKILL, at_once=True)
        if what == "takeovers":
            take_over(node, own)
        node.start_picketd(wait=False)
        if dice.random() < 0.5:		# else it is killed amid its start
            wait_for(node.picketd_answers, "picketd", 60)
    if node.picketd.poll() is None:
        node.kill_picketd(signal.SIGKILL, at_once=True)
    node.start_picketd()
    took = time.monotonic() - begun
    sent, arrived, failed = good.end()
    tried, crossed, _ = bad.end()
    with capsys.disabled():
        print(f" PICKET_SEED={SEED}, {KILLS} {what}: {sent:,} sent, {sent / took:,.0f}/s, {sent - arrived} lost, {tried:,} of another tenant's, {crossed} arrived", end=" ")
    assert sent > 1000 and arrived == sent and failed == 0
    assert tried > 100 and crossed == 0
    wait_for(lambda: node.api("/v1/status")["endpoints"]["inStep"] == 3, "all in step")
    wait_for(lambda: builds(node) == {own} and current(node) == own, "one build")
    for each in a, b, other:
        assert [len(way) for way in programs(node, each.slot, False)] == [1, 1]
    assert node.picket("policy", "explain", a.id[:8], b.id[:8], f"{PORT}/udp").stdout.count("agree")
    assert node.picket("policy", "explain", other.id[:8], b.id[:8], f"{PORT}/udp", check=False).returncode == 1
