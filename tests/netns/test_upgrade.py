# SPDX-License-Identifier: Apache-2.0
"""
A new build of the programs under traffic. The build that this picketd embeds is given another name in the
bpffs: for the picketd that starts next, what runs is an older release's.
"""
import json
import os
import signal
import struct
import threading
import time

import pytest
from harness import EGRESS, Snapshot, wait_for
from harness.machine import Machine
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from test_cni_tcx import attached
from test_connectivity import NO, YES, Echo, asks, socket

OLD = "g00000000"
GATEWAY_MAC = "02:70:6b:00:00:01"


def pins(node):
    return node.path("sys/fs/bpf/picket")


def current(node):
    return node.run(["readlink", f"{pins(node)}/current"]).stdout.strip()


def builds(node):
    return {name for name in node.run(["ls", pins(node)]).stdout.split() if name.startswith("g")}


def as_old(node):
    """What is loaded has another build's name; its own is answered."""
    own = current(node)
    node.run(["mv", f"{pins(node)}/{own}", f"{pins(node)}/{OLD}"])
    node.run(["ln", "-sfn", OLD, f"{pins(node)}/current"])
    return own


def programs(node, slot, tcx):
    """Ids of the programs at a host device, ingress then egress, in order."""
    ways = ("ingress", "egress")
    if tcx:
        return [attached(node, f"pk{slot}", way) for way in ways]
    return [[f["options"]["prog"]["id"] for f in json.loads(
        node.run(["tc", "-j", "filter", "show", "dev", f"pk{slot}", way]).stdout)
        if "prog" in f.get("options", {})] for way in ways]


class Traffic(threading.Thread):
    """Question and answer over one flow without a pause; target: an address."""

    def __init__(self, source, target):
        super().__init__(daemon=True)
        self.stop, self.sent, self.lost = threading.Event(), 0, 0
        with source.inside():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(YES)
        self.socket.connect((target, 9000))

    def run(self):
        while not self.stop.is_set():
            self.ask()

    def ask(self):
        self.socket.send(b"?")
        self.sent += 1
        try:
            self.socket.recv(100)
        except TimeoutError:
            self.lost += 1

    def end(self):
        self.stop.set()
        self.join()
        self.socket.close()


def take_over(node, slots, tcx=False):
    """picketd starts anew, finds another build than its own, and switches to its own."""
    old = [programs(node, slot, tcx) for slot in slots]
    assert all(len(way) == 1 for device in old for way in device), old
    node.kill_picketd(signal.SIGTERM)
    own = as_old(node)
    node.start_picketd()
    wait_for(lambda: current(node) == own, "the build of this picketd")
    new = [programs(node, slot, tcx) for slot in slots]
    assert all(len(way) == 1 for device in new for way in device), new
    assert not {i for d in old for way in d for i in way} & {i for d in new for way in d for i in way}
    wait_for(lambda: builds(node) == {own}, "the older one's end")


@pytest.mark.parametrize("hook", ["clsact", "tcx"])
def test_a_new_build_takes_over_under_traffic(make_node, hook):
    node = make_node(conf={"mode": "process", "hook": hook})
    node.start_picketd()
    a, b = node.add("acme", "api", "web"), node.add("acme", "db", "db")
    echo = Echo(b.inside())
    before = [node.tables.counters(each.slot) for each in (a, b)]
    traffic = Traffic(a, b.address())
    traffic.start()
    try:
        take_over(node, (a.slot, b.slot), hook == "tcx")
        with a.inside():
            assert asks(socket.SOCK_STREAM, b.address(), 8080, YES)      # a new flow: the slow path's array
        wait_for(lambda: node.api("/v1/status")["state"] == "ok", lambda: node.api("/v1/status"))
    finally:
        traffic.end()
        echo.close()
    assert traffic.sent > 100 and traffic.lost == 0
    for each, counted in zip((a, b), before):
        seen = node.tables.counted(each.slot, counted)
        assert all(reason in ("ok", "multicast") for _, reason in seen), seen


class Liar(Traffic):
    """Beside its questions, each time one frame with its peer's address as the sender."""

    def __init__(self, source, target):
        super().__init__(source, target)
        self.frame = bytes(Ether(src=source.mac, dst=GATEWAY_MAC) / IP(src=target, dst=target) / UDP(sport=9000, dport=9000))
        with source.inside():
            self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.raw.bind(("eth0", 0))

    def ask(self):
        self.raw.send(self.frame)
        super().ask()

    def end(self):
        super().end()
        self.raw.close()


def test_a_new_build_takes_over_at_host_taps(make_node):
    """What is redirected to a host tap passes its egress by a word that both builds must agree about; what lies is denied by either."""
    node = make_node(conf={"attach": "host-tap"})
    node.start_picketd()
    a, b = (Machine(node.add("acme", job, "web")) for job in ("api", "db"))
    echo = Echo(b.inside())
    before = [node.tables.counters(each.slot) for each in (a, b)]
    traffic = Liar(a, b.address())
    traffic.start()
    try:
        take_over(node, (a.slot, b.slot))
        with a.inside():
            assert asks(socket.SOCK_STREAM, b.address(), 8080, YES)
        wait_for(lambda: node.api("/v1/status")["state"] == "ok", lambda: node.api("/v1/status"))
    finally:
        traffic.end()
        echo.close()
    lies = (EGRESS, "spoofed-ipv4")
    wait_for(lambda: node.tables.counted(a.slot, before[0]).get(lies) == traffic.sent,
             lambda: (traffic.sent, node.tables.counted(a.slot, before[0])))
    assert traffic.sent > 100 and traffic.lost == 0
    for each, counted in zip((a, b), before):
        seen = {key for key in node.tables.counted(each.slot, counted) if key[1] not in ("ok", "multicast")}
        assert seen == ({lies} if each is a else set()), seen
        each.close()


def test_two_builds_agree_about_a_host_taps_egress(make_node):
    """
    Devices are switched one after the other, so for a moment one build hands to a tap where another stands: held here, first
    at the receiver's egress, then at the sender's ingress.
    """
    node = make_node(conf={"attach": "host-tap"})
    node.start_picketd()
    a, b = (Machine(node.add("acme", job, "web")) for job in ("api", "db"))
    echo = Echo(b.inside())
    kept = os.path.join(os.path.dirname(pins(node)), "kept")
    node.run(["mkdir", kept])
    for name in ("pk_from_endpoint", "pk_to_endpoint", "programs"):
        node.run(["bpftool", "-f", "map" if name == "programs" else "prog", "pin", "pinned",
                  f"{pins(node)}/{current(node)}/{name}", f"{kept}/{name}"])
    take_over(node, (a.slot, b.slot))
    node.kill_picketd(signal.SIGTERM)		# it would put its own build back
    before = [node.tables.counters(each.slot) for each in (a, b)]
    traffic = Traffic(a, b.address())
    try:
        for each, way, name in ((b, "egress", "pk_to_endpoint"), (a, "ingress", "pk_from_endpoint")):
            new = programs(node, each.slot, False)
            node.run(["tc", "filter", "replace", "dev", f"pk{each.slot}", way, "pref", "1", "handle", "1", "protocol", "all",
                      "bpf", "direct-action", "object-pinned", f"{kept}/{name}"])
            assert programs(node, each.slot, False) != new
            for _ in range(20):
                traffic.ask()
                assert not traffic.lost
    finally:
        traffic.socket.close()
        echo.close()
    for each, counted in zip((a, b), before):
        seen = {key for key in node.tables.counted(each.slot, counted) if key[1] not in ("ok", "multicast")}
        assert not seen, seen
        each.close()


def keep(node, build, directory):
    """A build's pins once more, below another directory of the bpffs."""
    node.run(["mkdir", directory])
    for name in node.run(["ls", f"{pins(node)}/{build}"]).stdout.split():
        node.run(["bpftool", "-f", "prog" if name != "programs" else "map", "pin", "pinned",
                  f"{pins(node)}/{build}/{name}", f"{directory}/{name}"])


@pytest.mark.parametrize("is_current", (False, True))
def test_a_switch_that_was_cut_short_is_finished(make_node, is_current):
    """Killed between the devices and `current`, or between that and the other build's end: what is pinned is used, and nothing is loaded again."""
    node = make_node(conf={"mode": "process"})
    node.start_picketd()
    a = node.add("acme", "api", "web")
    node.kill_picketd(signal.SIGKILL)
    own = current(node)
    keep(node, own, f"{pins(node)}/{OLD}")
    if not is_current:
        node.run(["ln", "-sfn", OLD, f"{pins(node)}/current"])
    before = programs(node, a.slot, False)
    node.start_picketd()
    wait_for(lambda: current(node) == own, "the build of this picketd")
    wait_for(lambda: builds(node) == {own}, "the other one's end")
    assert programs(node, a.slot, False) == before


class NewFlows(Traffic):
    """Each question is a flow of its own, which needs the slow path of the build that judges it."""

    def __init__(self, source, target):
        super().__init__(source, target)
        self.source, self.target = source, target

    def run(self):
        with self.source.inside():
            super().run()

    def ask(self):
        self.socket.close()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(NO)
        self.socket.connect((self.target, 9000))
        super().ask()
        time.sleep(0.005)		# an endpoint may begin so many flows a second


def test_a_switch_that_was_given_up_is_undone(make_node):
    """The release that began it was taken back: devices that run the other build are switched before it goes, and no flow is denied."""
    node = make_node(conf={"mode": "process"})
    node.start_picketd()
    a, b = node.add("acme", "api", "web"), node.add("acme", "db", "db")
    other, left = os.path.join(os.path.dirname(pins(node)), "other"), f"{pins(node)}/{OLD}"
    keep(node, current(node), other)
    take_over(node, (a.slot, b.slot))
    node.kill_picketd(signal.SIGKILL)
    own, before = current(node), [programs(node, each.slot, False) for each in (a, b)]
    node.run(["sh", "-c", f"mkdir {left} && mv {other}/* {left}"])
    for way, name in (("ingress", "pk_from_endpoint"), ("egress", "pk_to_endpoint")):
        node.run(["tc", "filter", "replace", "dev", f"pk{a.slot}", way, "pref", "1", "handle", "1", "protocol", "all",
                  "bpf", "direct-action", "object-pinned", f"{left}/{name}"])
    assert programs(node, a.slot, False) != before[0]
    echo = Echo(b.inside())
    traffic = NewFlows(a, b.address())
    traffic.start()
    try:
        wait_for(lambda: traffic.sent > 20, "flows by the other build")
        node.start_picketd()
        wait_for(lambda: builds(node) == {own}, "the other one's end")
        sent = traffic.sent
        wait_for(lambda: traffic.sent > sent + 20, "flows by this build")
    finally:
        traffic.end()
        echo.close()
    assert traffic.lost == 0
    assert [programs(node, each.slot, False) for each in (a, b)] == before


def rehearsal(node):
    """picketd -check-upgrade: (exit status, its lines); nothing of the node is another afterwards."""
    before = Snapshot(node), builds(node), current(node)
    done = node.run([node.program("picketd"), "-root", node.root, "-check-upgrade"], check=False)
    before[0].assert_same(Snapshot(node))
    assert (builds(node), current(node)) == before[1:]
    return done.returncode, done.stdout


def test_an_upgrade_is_rehearsed(node):
    node.start_picketd()
    a, b = node.add("acme", "api", "web"), node.add("acme", "db", "db")
    node.policy("db.json", {"namespace": "acme", "rules": [{"endpointSelector": {}, "ingress": [{}]}]})
    wait_for(lambda: node.api("/v1/policies/file/db")["enforced"] == "yes", "the policy")
    node.kill_picketd(signal.SIGTERM)		# it would put its own build back
    own = as_old(node)
    status, said = rehearsal(node)
    assert status == 0 and "yes  records: 2 read" in said and "over those that are pinned" in said, said
    assert own not in builds(node)
    name = node.records()[0]
    with open(node.path(f"var/lib/picket/endpoints/{name}"), "r+", encoding="ascii") as file:
        whole = file.read()
        file.truncate(0)
        status, said = rehearsal(node)
        assert status == 1 and "no   records: " in said and name in said, said
        file.seek(0)
        file.write(whole)
    with node.tables.map("node") as table:
        value = table.get(struct.pack("I", 0))
        table.set(struct.pack("I", 0), value[:16] + struct.pack("I", 9999) + value[20:])
        status, said = rehearsal(node)
        assert status == 1 and "no   tables: the node's maps have layout 9999" in said and "; fix: install" in said, said
        table.set(struct.pack("I", 0), value)
    assert rehearsal(node)[0] == 0
    for alloc in (a, b):
        node.delete(alloc)


def test_a_rehearsal_on_a_node_without_anything(node):
    node.write_config()
    done = node.run([node.program("picketd"), "-root", node.root, "-check-upgrade"], check=False)
    assert done.returncode == 0 and "none are pinned" in done.stdout, (done.stdout, done.stderr)
    assert not os.path.exists(node.path("sys/fs/bpf/picket"))
