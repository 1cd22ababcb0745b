# SPDX-License-Identifier: Apache-2.0
"""picketd killed at random under everything that changes: nothing opens, nothing leaks."""
import concurrent.futures
import os
import random
import re
import signal
import tempfile
import threading
import time

import pytest

from harness import Snapshot
from harness.servers import QUICK
from harness.shell import wait_for

SECONDS = 60
SEED = int(os.environ.get("PICKET_SEED", "1"))
UNDER_WAY = 50		# pings of a second
CONFIG = {"nomad": None, "consul": None}
JOBS = [(tenant, f"job{i}") for tenant in ("acme", "beta") for i in range(3)]
# Always there: jobs called closed reach nobody, whatever else is written.
DENY = {"tier": "operator", "rules": [{"endpointSelector": {"matchLabels": {"nomad:job": "closed"}},
                                       "egressDeny": [{"toEntities": ["all"]}]}]}


@pytest.fixture
def node(make_node):
    return make_node(conf={"mode": "process"})


class Pings:
    """From one endpoint to another for as long as it lives; how many were sent, and which were answered."""

    def __init__(self, source, target):
        self.said = tempfile.TemporaryFile("w+", encoding="utf-8")
        self.process = source.popen(["ping", "-n", "-i", "0.02", target.address()], stdout=self.said)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        with self.said:
            self.said.seek(0)
            out = self.said.read()
        sent, = re.search(r"(\d+) packets transmitted", out).groups()
        return int(sent), {int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", out)}


class Worker(threading.Thread):
    """Does the same thing over and over; an exception is the test's."""

    def __init__(self, step):
        super().__init__(daemon=True)
        self.step, self.turns, self.failure, self.stop = step, 0, None, False

    def run(self):
        try:
            while not self.stop:
                self.step()
                self.turns += 1
        except Exception as exc:    # pylint: disable=broad-except
            self.failure = exc

    def end(self):
        self.stop = True
        self.join()
        if self.failure:
            raise self.failure
        return self.turns


def live(node, dice):
    tenant, job = dice.choice(JOBS)
    alloc = node.add(tenant, job, "g")
    time.sleep(dice.random() * 0.2)
    node.delete(alloc)


def change_policy(node, dice):
    tenant, job = dice.choice(JOBS)
    path = node.path(f"etc/picket/policies.d/churn{dice.randrange(8)}.json")
    if dice.random() < 0.3 and os.path.exists(path):
        os.unlink(path)
    else:
        node.policy(os.path.basename(path), {"namespace": tenant, "rules": [{
            "endpointSelector": {"matchLabels": {"nomad:job": job}},
            "ingress": [{"fromEndpoints": [{}], "toPorts": [{"ports": [
                {"port": str(dice.randrange(1, 65535)), "protocol": "TCP"}]}]}]}]})
    time.sleep(0.02)


def kill_and_start(node, dice):
    time.sleep(dice.random() ** 2 * 1.5)
    node.kill_picketd(at_once=True)
    time.sleep(dice.random() * 0.1)
    node.start_picketd(CONFIG, wait=False)


def is_settled(node, endpoints):
    counts = node.api("/v1/status")["endpoints"]
    return counts["open"] == counts["inStep"] == endpoints


def reloads(node):
    """How many there were, of all picketds so far."""
    return node.log().count("op=reload")


def reload(node):
    before = reloads(node)
    os.kill(node.picketd.pid, signal.SIGHUP)
    wait_for(lambda: reloads(node) > before, "the reload")


def tidy(node):
    """What a minute's upkeep does, three times."""
    for _ in range(3):
        reload(node)


def test_killed_at_random_under_everything(node, capsys):
    dice = [random.Random(SEED + i) for i in range(5)]
    with capsys.disabled():
        print(f" PICKET_SEED={SEED}", end="")
    node.policy("deny.json", DENY)
    node.start_picketd(CONFIG)
    for tenant, job in JOBS:
        node.delete(node.add(tenant, job, "g"))
    target, friend, closed, stranger = (node.add(tenant, job, "g") for tenant, job in (
        ("acme", "target"), ("acme", "friend"), ("acme", "closed"), ("beta", "stranger")))
    wait_for(lambda: is_settled(node, 4), "four endpoints in step")
    wait_for(lambda: friend.pings(target, timeout=QUICK), "the open path")
    tidy(node)
    wait_for(lambda: len(node.records()) == node.tables.count("slots") == 4, "those that ended to be buried")
    before = Snapshot(node)
    rule_sets = node.api("/v1/status")["ruleSets"]

    pings = {name: Pings(source, target) for name, source in (
        ("friend", friend), ("closed", closed), ("stranger", stranger))}
    workers = [Worker(lambda d=d: live(node, d)) for d in dice[:3]]
    workers.append(Worker(lambda: change_policy(node, dice[3])))
    workers.append(Worker(lambda: kill_and_start(node, dice[4])))
    begun = time.monotonic()

    def is_enough():
        lives, (changes, kills) = sum(w.turns for w in workers[:3]), (w.turns for w in workers[3:])
        return any(w.failure for w in workers) or (
            time.monotonic() - begun > SECONDS and kills >= 20 and changes >= 100 and lives >= 100)

    for worker in workers:
        worker.start()
    wait_for(is_enough, lambda: f"enough of each: {[w.turns for w in workers]}", 600, 0.5)
    turns = [worker.end() for worker in reversed(workers)]
    assert friend.pings(target), "the open path stayed open"
    counted = {name: ping.end() for name, ping in pings.items()}
    counts = {name: (sent, len(answered)) for name, (sent, answered) in counted.items()}
    with capsys.disabled():
        print(f", {turns[0]} kills, {turns[1]} changes, {sum(turns[2:])} lives, pings {counts}", end=" ")
    for name in ("closed", "stranger"):
        assert counts[name][0] > 1000 and counts[name][1] == 0, counts
    answered = counted["friend"][1]		# but for the last ones, whose answers are under way
    assert answered == set(range(1, max(answered) + 1)), counts
    assert counts["friend"][1] >= counts["friend"][0] - UNDER_WAY, counts

    for name in os.listdir(node.path("etc/picket/policies.d")):
        if name.startswith("churn"):
            os.unlink(node.path(f"etc/picket/policies.d/{name}"))
    node.start_picketd(CONFIG)      # the last one went with the thread that had started it
    node.picket("policy", "release", "file", check=False)    # those that went together are held
    wait_for(lambda: is_settled(node, 4), "the four in step")
    tidy(node)
    # By the rule sets' numbers; and flows end by themselves.
    ignored = ("table verdicts", "table peer_class", "table cidr", "table flows")
    wait_for(lambda: not before.differences(Snapshot(node), ignored),
             lambda: "\n".join(before.differences(Snapshot(node), ignored)), 120, 1)
    wait_for(lambda: node.api("/v1/status")["ruleSets"] <= rule_sets, "rule sets that nobody names to go", 60)


def test_rule_sets_that_nobody_names_go(node):
    """Two passes of the upkeep see that nobody names them; the next frees them, tables and all."""
    node.start_picketd(CONFIG)
    node.add("acme", "job", "g")

    def edit(port):
        node.policy("d.json", {"namespace": "acme", "rules": [{"endpointSelector": {}, "ingress": [{
            "fromEndpoints": [{}], "toPorts": [{"ports": [{"port": str(port), "protocol": "TCP"}]}]}]}]})
        wait_for(lambda: f'"{port}"' in node.api("/v1/policies/file/d")["text"] and is_settled(node, 1)
                 and node.api("/v1/policies/file/d")["enforced"] == "yes", f"port {port}")

    def counts():
        status = node.api("/v1/status")
        return status["ruleSets"], next(t["used"] for t in status["tables"] if t["name"] == "verdicts")

    edit(1)
    before = counts()
    for port in range(2, 12):
        edit(port)
    assert all(now > then for now, then in zip(counts(), before))
    tidy(node)
    wait_for(lambda: all(now <= then for now, then in zip(counts(), before)), lambda: f"{before} again, not {counts()}")
    assert is_settled(node, 1)


def kept(node):
    """All files that the node keeps for its endpoints, slots that are taken, devices."""
    names = {os.path.join(where, file) for top in ("var/lib/picket", "run/picket")
             for where, _, files in os.walk(os.path.join(node.root, top)) for file in files}
    names |= {f"slot {key.hex()}" for key, value in node.tables.items("slots")}
    return names | {f"device {link['ifname']}" for link in node.json(["ip", "-j", "link"])}


def test_300_lives_leave_nothing(node):
    """Ten at a time, and a DEL that never comes now and then: what picketd's upkeep leaves is what was there."""
    node.start_picketd(CONFIG)
    dice = [random.Random(i) for i in range(10)]
    for die in dice[:3]:
        live(node, die)
    tidy(node)
    before = kept(node)

    def lives(die):
        for i in range(30):
            tenant, job = die.choice(JOBS)
            alloc = node.add(tenant, job, "g")
            if i % 10:
                node.delete(alloc)
            else:
                node.drop_netns(alloc)

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        list(pool.map(lives, dice))
    tidy(node)
    wait_for(lambda: kept(node) <= before, lambda: f"these to go: {sorted(kept(node) - before)[:20]}", 120, 1)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) // 1024


def write_all(node, number):
    for i in range(100):
        node.policy(f"d{i:02}.json", {"namespace": "acme", "rules": [{
            "description": str(number), "endpointSelector": {"matchLabels": {"nomad:job": f"job{i}"}},
            "ingress": [{"fromEndpoints": [{}], "toPorts": [{"ports": [
                {"port": str(1000 + number), "protocol": "TCP"}]}]}]}]})
    wait_for(lambda: f'"{number}"' in node.api("/v1/policies/file/d99")["text"], f"change {number}", 90)


def reload_often(node, times):
    for _ in range(times):
        os.kill(node.picketd.pid, signal.SIGHUP)
        time.sleep(0.02)
    node.api("/v1/status")


def test_reloads_and_changes_leave_nothing(node):
    """300 reloads and 10,000 changes of documents: descriptors and memory as before."""
    node.start_picketd(CONFIG)
    node.add("acme", "job0", "g")
    write_all(node, 0)
    reload_often(node, 10)
    for number in range(1, 6):
        write_all(node, number)
    time.sleep(3)       # memory that is given back by now makes the bound lower, no more
    pid = node.picketd.pid
    before = descriptors(pid), memory(pid)
    reload_often(node, 300)
    for number in range(6, 106):
        write_all(node, number)
    # Two quiet seconds, and memory is given back.
    wait_for(lambda: descriptors(pid) <= before[0] + 1 and memory(pid) <= before[1] + 6,
             lambda: f"{before} again, not {descriptors(pid), memory(pid)}")
