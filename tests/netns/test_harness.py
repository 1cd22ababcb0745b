# SPDX-License-Identifier: Apache-2.0
"""The harness itself: what other tests take for granted."""
import json
import os
import struct
import subprocess

import pytest

from harness import Failed, Snapshot, Tap, VnetHeader, netns, reasons, wait_for
from harness.daemon import held_by

FRAME = bytes.fromhex("ffffffffffff02000000000188b5") + b"x" * 46


def test_a_node_is_gone_after_close(make_node):
    node = make_node("gone")
    base = node.base
    sleeper = node.popen(["sleep", "1000"])
    node.new_netns("a1").popen(["sleep", "1000"])
    node.close()
    assert sleeper.returncode is not None
    assert not os.path.exists(base)


def test_whoever_has_the_inode_of_a_netns_that_is_gone_lives_on(make_node):
    """The kernel gives it to the next namespace at once: of another node, in another lane of tests."""
    stranger, node = make_node("stranger"), make_node("node")
    lives = stranger.popen(["sleep", "1000"])
    alloc = node.new_netns("a1")
    node.run(["umount", "-l", alloc.path])
    alloc.inode = stranger.net_inode
    node.close()
    assert lives.poll() is None and stranger.holder.poll() is None


def test_who_is_made_while_a_node_ends_ends_with_it(make_node):
    node = make_node("busy")
    for _ in range(4):
        node.popen(["sh", "-c", "while :; do (setsid sleep 1000 &) ; done"])
    node.close()        # waits for the last of them


def test_a_node_has_its_own_network_run_and_bpffs(node):
    names = {link["ifname"] for link in node.json(["ip", "-j", "link"])}
    assert names == {"lo", "up0"}
    kind = node.run(["stat", "-f", "-c", "%T", f"{node.root}/sys/fs/bpf"]).stdout.strip()
    assert kind == "bpf_fs"
    assert not os.path.exists(node.path("sys/fs/bpf/picket"))
    assert not os.path.exists(f"/run/netns/{node.name}")


def test_the_world_is_one_hop_away(node):
    node.run(["ping", "-c", "1", "-W", "10", node.world.address])
    node.run(["ping", "-6", "-c", "1", "-W", "10", node.world.address6])


def test_an_allocation_s_netns_is_empty_and_down(node):
    alloc = node.new_netns("a1")
    links = alloc.links()
    assert set(links) == {"lo"} and "UP" not in links["lo"]["flags"]
    node.drop_netns(alloc)
    assert not Snapshot(node).parts["netns"]


def test_snapshots_see_what_is_left(node):
    before = Snapshot(node)
    node.run(["ip", "link", "add", "left0", "type", "veth", "peer", "name", "left1"])
    node.run(["ip", "link", "set", "left0", "up"])
    node.run(["ip", "addr", "add", "10.9.9.1/24", "dev", "left0"])
    node.new_netns("a1")
    after = Snapshot(node)
    lines = before.differences(after)
    assert "links: left0 is new" in lines and "netns: a1 is new" in lines
    assert any(line.startswith("routes:") for line in lines)
    with pytest.raises(AssertionError, match="left behind"):
        before.assert_same(after)
    before.assert_same(after, ignore=("links", "netns", "routes"))


def make_tap(alloc, owner):
    alloc.run(["ip", "tuntap", "add", "tap0", "mode", "tap", "user", str(owner), "vnet_hdr"])
    alloc.run(["ip", "link", "set", "tap0", "up"])


def test_frames_through_a_tap_of_an_unprivileged_owner(node):
    alloc = node.new_netns("a1")
    make_tap(alloc, 65534)
    with alloc.tap(credentials=(65534, 65534)) as tap, alloc.packets("tap0") as sniffer:
        tap.send(FRAME, VnetHeader())
        assert sniffer.receive(lambda f: f == FRAME) == FRAME
        sniffer.send(FRAME)
        assert tap.receive(lambda f: f == FRAME) == FRAME
    with pytest.raises(PermissionError):
        Tap(alloc.net, credentials=(65533, 65533))


def test_maps_are_read_by_their_pins(node):
    pin = f"{node.root}/sys/fs/bpf/t"
    node.run(["/usr/sbin/bpftool", "map", "create", pin, "type", "hash", "key", "4", "value", "8",
              "entries", "4", "name", "t"])
    os.mkdir(node.path("sys/fs/bpf/picket"))
    os.mkdir(node.path("sys/fs/bpf/picket/maps"))
    os.rename(node.path("sys/fs/bpf/t"), node.path("sys/fs/bpf/picket/maps/t"))
    with node.tables.map("t") as table:
        assert (table.key_size, table.value_size, table.keys()) == (4, 8, [])
        table.set(struct.pack("I", 7), struct.pack("Q", 70))
        assert table.items() == [(struct.pack("I", 7), struct.pack("Q", 70))]
        assert table.get(struct.pack("I", 8)) is None
    assert "picket/maps/t" in Snapshot(node).parts["pins"]


def test_a_reboot_keeps_what_is_below_root(node):
    kept = f"{node.root}/var/lib/kept"
    with open(kept, "w", encoding="ascii"):
        pass
    node.new_netns("a1")
    sleeper = subprocess.Popen(["sleep", "1000"])
    try:
        node.reboot()
        assert sleeper.poll() is None, "only the node's own processes end"
    finally:
        sleeper.kill()
        sleeper.wait()
    assert os.path.exists(kept)
    assert not Snapshot(node).parts["netns"]


def test_reasons_are_read_from_the_header(tmp_path, monkeypatch):
    assert reasons.REASONS[0] == "ok" and "policy-denied" in reasons.BUILT
    monkeypatch.setenv("PK_PROVED", str(tmp_path / "proved"))
    reasons.prove("vlan")
    assert (tmp_path / "proved").read_text() == "vlan\n"
    with pytest.raises(Failed):
        reasons.prove("no-such-reason")


def test_waiting_has_an_end():
    with pytest.raises(Failed, match="never"):
        wait_for(lambda: False, "what never comes", timeout=0.05)


def test_what_can_not_be_read_yet_is_waited_for(tmp_path):
    """A file that isn't there, one that is half written, one that lacks the key."""
    file, texts = tmp_path / "file", iter(["", '{"other": 1}', '{"key": 1}', ""])

    def key():
        try:
            return json.loads(file.read_text())["key"]
        finally:
            file.write_text(next(texts))
    assert wait_for(key, "the key") == 1


def test_a_failed_assertion_ends_a_wait():
    def never():
        raise AssertionError("seen")
    with pytest.raises(AssertionError, match="seen"):
        wait_for(never, "it")


def test_a_process_that_hangs_says_in_what():
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        wait_for(lambda: "nanosleep" in held_by(sleeper.pid), lambda: held_by(sleeper.pid))
        sleeper.kill()
