# SPDX-License-Identifier: Apache-2.0
"""A disk that hangs and a log that nobody reads: picketd's loop turns, nothing opens, nothing is lost unsaid."""
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import threading
import uuid

import pytest
from harness import CniError
from harness.disk import Disk, can_hang
from harness.metrics import scrape
from harness.shell import wait_for

DENY = {"tier": "operator", "rules": [{"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["all"]}]}]}
LATE_MS = 2000		# after so long the disk is said not to answer
ARGS = "NOMAD_NAMESPACE=acme;NOMAD_JOB_ID=late;NOMAD_GROUP_NAME=web"


@pytest.fixture
def disk(node):
    if not can_hang():
        pytest.skip("no loop devices here: no file system can be made to hang")
    disk = Disk(node, "var")
    yield disk
    disk.go_on()


def enforced(node):
    return {p["name"]: p["enforced"] for p in node.api("/v1/policies")["policies"]}


def writes(node):
    return node.api("/v1/status")["writes"]


def longest_turn(node):
    return node.api("/v1/status")["loop"]["longestTurnMs"]


def loop_turned(node, before_ms):
    """No turn of it took half as long as the disk has hung by now; those of before are none of the disk's."""
    status = node.api("/v1/status")
    assert status["loop"]["longestTurnMs"] <= max(before_ms, status["writes"]["diskSilentMs"] / 2), (status["loop"], status["writes"])


class Late(threading.Thread):
    """An ADD beside the test."""

    def __init__(self, node):
        super().__init__()
        self.node, self.alloc, self.error = node, node.new_netns(str(uuid.uuid4())), None
        self.alloc.args = ARGS
        self.start()

    def run(self):
        try:
            self.alloc.result = self.node.cni("ADD", self.alloc.id, self.alloc.path, args=ARGS,
                                              conf=self.node.plugin_conf(deadline="60s"))
        except CniError as error:
            self.error = error


def picket(node, *argv):
    """One that waits, beside the test."""
    return node.popen([node.program("picket"), "-root", node.root, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                      text=True)


def test_a_disk_that_hangs_stops_nothing(node, disk, tmp_path):
    node.start_picketd()
    a, b = node.add("acme", "api", "web"), node.add("acme", "db", "db")
    node.policy("first.json", {"endpointSelector": {}, "ingress": [{}]})
    wait_for(lambda: enforced(node) == {"first": "yes"}, "the first policy")
    wait_for(lambda: disk.names("lib/picket/policies/file") == ["first"], "its file")
    before_ms = longest_turn(node)
    disk.hang()
    # Policy goes on: what denies is in force, though no disk has it.
    (tmp_path / "deny.json").write_text(json.dumps(DENY), encoding="utf-8")
    applied = picket(node, "policy", "apply", str(tmp_path / "deny.json"))
    wait_for(lambda: enforced(node).get("deny") == "yes", "the deny, with a disk that hangs")
    assert not node.api("/v1/policies/file/deny")["stored"] and node.api("/v1/policies/file/first")["stored"]
    assert node.picket("policy", "explain", a.id[:8], b.id[:8], "1/tcp", check=False).returncode == 1
    # The API answers, and says so, with what to do.
    reason = wait_for(lambda: node.reasons("store"), "the reason")[0]
    assert "var/lib/picket has not answered for" in reason["text"] and "is in force and not stored" in reason["text"], reason
    assert "dmesg" in reason["fix"]
    assert wait_for(lambda: node.reasons("lines"), "the journal's reason")[0]["text"].count("journal")
    assert node.api("/v1/status")["state"] == "degraded" and writes(node)["diskSilentMs"] >= LATE_MS
    # An ADD writes its record first: it waits for the disk, closed, and nobody else does.
    late = Late(node)
    wait_for(lambda: node.tables.word(3) is not None and len(node.api("/v1/endpoints")["endpoints"]) == 2, "two endpoints")
    node.policy("second.json", {"endpointSelector": {}, "egressDeny": [{"toEntities": ["world"]}]})
    wait_for(lambda: enforced(node).get("second") == "yes", "one more policy")
    assert late.is_alive() and node.tables.word(3) == (0, 0, 0)
    loop_turned(node, before_ms)
    # Who waits for a policy waits for the disk, too, but not for ever.
    out, said = applied.communicate(timeout=120)
    assert applied.returncode == 1 and out.startswith("deny: created"), out
    assert "deny is in the tables, and not stored: a restart would forget it; waiting for the disk\n" in said
    assert "picket policy apply: deny is in the tables, and not stored" in said and "fix: picket status says" in said
    deleted = picket(node, "policy", "delete", "first")
    wait_for(lambda: enforced(node)["first"] == "no", "the first one's end")
    line = deleted.stderr.readline()
    assert "first is out of the tables, and stored still" in line, line
    assert disk.names("lib/picket/policies/file") == ["first"]
    # It goes on: everything is as if it had never hung.
    disk.go_on()
    said = deleted.communicate(timeout=120)
    assert deleted.returncode == 0, said
    late.join(120)
    assert not late.is_alive()
    if late.error is None:
        wait_for(lambda: len(node.api("/v1/endpoints")["endpoints"]) == 3, "the late one")
        assert node.picket("policy", "explain", a.id[:8], late.alloc.id[:8], "1/tcp", check=False).returncode == 1
    else:
        assert late.error.code == 105, late.error		# past its deadline, and nothing of it is left
        assert set(late.alloc.links()) == {"lo"} and node.tables.word(3) == (0, 0, 0)
    wait_for(lambda: disk.names("lib/picket/policies/file") == ["deny", "second"], "the files")
    wait_for(lambda: node.api("/v1/status")["state"] == "ok", lambda: node.api("/v1/status")["reasons"])
    lines = [json.loads(line) for line in disk.read("log/picket/policy.jsonl").splitlines()]
    assert [(e["event"], e["name"]) for e in lines] == [
        ("came", "first"), ("came", "deny"), ("came", "second"), ("went", "first")]
    assert writes(node)["journalLost"] == 0
    # And what is stored is what a restart lives by.
    node.kill_picketd()
    node.start_picketd()
    assert set(enforced(node)) == {"deny", "second"}


def test_systemd_hears_of_a_loop_that_turns(node, disk):
    with node.inside():
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind("\0picket-notify")
    notify.settimeout(60)
    node.start_picketd(env={"NOTIFY_SOCKET": "@picket-notify", "WATCHDOG_USEC": "400000"})
    disk.hang()
    node.policy("deny.json", DENY)
    os.kill(node.picketd.pid, signal.SIGHUP)		# it writes too
    wait_for(lambda: node.reasons("store"), "the reason")
    seen = 0
    while seen < 5:
        seen += notify.recv(4096).startswith(b"WATCHDOG=1")
    # To end it takes no longer than its bound, either; what the kernel holds of it ends with the disk.
    node.picketd.send_signal(signal.SIGTERM)
    wait_for(lambda: "op=stop" in node.log(), "its end")
    assert 'op=stop err="the disk does not answer" what it was to have is left' in node.log()
    disk.go_on()
    assert node.picketd.wait(timeout=60) == 0
    node.picketd = None
    notify.close()


def test_what_ended_is_swept_once_the_disk_goes_on(node, disk):
    node.start_picketd()
    a = node.add("acme", "api", "web")
    before_ms = longest_turn(node)
    disk.hang()
    node.drop_netns(a)			# its device goes, and no DEL comes: the sweep's, which writes
    node.policy("deny.json", DENY)
    wait_for(lambda: enforced(node) == {"deny": "yes"}, "the policy")
    wait_for(lambda: node.reasons("store"), "the reason")
    loop_turned(node, before_ms)
    disk.go_on()
    wait_for(lambda: not disk.names("lib/picket/leases"), "the sweep", 180)


def test_a_log_that_nobody_reads(node):
    node.write_config()
    reader, writer = os.pipe()
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    node.picketd = node.popen([node.program("picketd"), "-root", node.root], stdin=subprocess.DEVNULL,
                              stdout=writer, stderr=writer)
    os.close(writer)
    wait_for(node.picketd_answers, "picketd's answer")
    directory = node.path("etc/picket/policies.d")
    for i in range(2500):		# each is a long line of the log
        with open(os.path.join(directory, f"{'x' * 190}{i:04}.json"), "w", encoding="utf-8") as file:
            file.write("{ no document")
    reason = wait_for(lambda: node.reasons("log"), "the reason", 90)[0]
    wait_for(lambda: writes(node)["logLost"], "lines that are lost", 90)
    assert "nobody has read picketd's log for" in reason["text"] and "journald" in reason["fix"]
    node.policy("deny.json", DENY)
    wait_for(lambda: enforced(node).get("deny") == "yes", "the policy")
    node.add("acme", "api", "web")
    text = []
    reading = threading.Thread(target=lambda: text.extend(iter(lambda: os.read(reader, 65536), b"")))
    reading.start()
    wait_for(lambda: not node.reasons("log"), "a reader")
    os.kill(node.picketd.pid, signal.SIGHUP)
    wait_for(lambda: b"op=log lost=" in b"".join(text), "the count of what is lost")
    lost = writes(node)["logLost"]
    metrics = scrape(node)
    assert metrics.get("picket_lines_lost_total", file="log") == lost
    assert metrics.get("picket_lines_lost_total", file="journal") == writes(node)["journalLost"]
    node.kill_picketd(signal.SIGTERM)
    reading.join()
    log = b"".join(text).decode()
    assert sum(map(int, re.findall(r"op=log lost=(\d+) ", log))) == lost > 1000
    assert log.rstrip().splitlines()[-1].endswith("op=stop")
    assert all(line.startswith("time=") for line in log.splitlines()), "half a line"
    os.close(reader)


@pytest.mark.parametrize("make", (os.mkdir, os.mkfifo))
def test_a_journal_that_can_t_be_written(node, make):
    """Its lines are lost, which status says until there is a file again, though no line is written then."""
    journal = node.path("var/log/picket/policy.jsonl")
    os.makedirs(os.path.dirname(journal), exist_ok=True)
    make(journal)
    node.start_picketd({"nomad": None, "consul": None})
    assert not node.reasons("lines")
    node.policy("a.json", DENY)
    reason = wait_for(lambda: node.reasons("lines"), "the reason", 30)[0]
    said = os.path.join(node.root, "var/log/picket/policy.jsonl")
    fix = "let there be a file that picketd may write, or none" if make is os.mkfifo else "move away the directory that lies where a file belongs"
    assert reason["text"].startswith(f"{said} can't be written (") and reason["fix"] == fix
    assert node.api("/v1/status")["writes"]["journalLost"] == 1
    (os.rmdir if make is os.mkdir else os.unlink)(journal)
    wait_for(lambda: not node.reasons("lines"), "the file", 30)
    node.policy("b.json", DENY)
    wait_for(lambda: os.path.getsize(journal), "its next line", 30)


def test_a_flows_file_that_can_t_be_rotated(node):
    """Its lines go on; status names what is in the way, and says so no longer once that is gone, though no line comes."""
    flows = os.path.join(node.root, "var/log/picket/flows.jsonl")
    os.makedirs(flows + ".1")
    with open(flows, "w", encoding="utf-8") as file:
        file.write("x" * 65535 + "\n")
    node.start_picketd({"nomad": None, "consul": None, "flows": {"file": flows, "maxSize": 65536, "keep": 1}})
    a, b = (node.add("acme", name, "g") for name in "ab")
    node.policy("a.json", DENY)
    wait_for(lambda: not a.pings(b), "a denied packet")
    reason = wait_for(lambda: node.reasons("lines"), node.log, 30)[0]
    assert reason["text"] == f"{flows} can't be rotated (flows.jsonl.1: Is a directory): past twice its size its lines are lost"
    assert reason["fix"] == "move away the directory that lies where a file belongs"
    assert os.path.getsize(flows) > 65536 and node.api("/v1/status")["events"]["fileLost"] == 0
    os.rmdir(flows + ".1")
    wait_for(lambda: os.path.isfile(flows + ".1"), "its rotation, before a line and a question", 30)
    wait_for(lambda: not node.reasons("lines"), "the reason to end", 30)


def test_a_journal_without_room(node):
    """It can be opened, and that mends nothing: its reason stays until there is room, and no longer."""
    where = os.path.join(node.root, "var/log/picket")
    os.makedirs(where, exist_ok=True)
    node.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", where])
    fill = node.path("var/log/picket/fill")
    with open(fill, "wb", 0) as file, pytest.raises(OSError):
        while True:
            file.write(b"x" * 4096)
    node.start_picketd({"nomad": None, "consul": None})
    node.policy("a.json", DENY)
    reason = wait_for(lambda: node.reasons("lines"), "the reason", 30)[0]
    assert "(No space left on device)" in reason["text"] and reason["fix"].startswith("make room"), reason
    files = f"/proc/{node.picketd.pid}/fd"

    def is_open():
        node.reasons("lines")       # it is tried again then
        return any(os.path.basename(os.path.realpath(os.path.join(files, fd))) == "policy.jsonl" for fd in os.listdir(files))

    wait_for(is_open, "the file to be opened again", 30)
    for _ in range(3):
        assert node.reasons("lines") == [reason]
    os.unlink(fill)
    wait_for(lambda: not node.reasons("lines"), "room to be found", 30)
    node.policy("b.json", DENY)
    wait_for(lambda: os.path.getsize(node.path("var/log/picket/policy.jsonl")), "its next line", 30)


@pytest.mark.parametrize("of", ("journal", "flows"))
def test_a_file_that_is_mended_while_nobody_asks(node, of):
    """The log says whose lines are lost; picketd opens the file by itself, before the next line, and says so."""
    files = {"journal": node.path("var/log/picket/policy.jsonl"), "flows": node.path("var/log/picket/flows.jsonl")}
    os.makedirs(files[of])
    node.start_picketd({"nomad": None, "consul": None, "flows": {"file": os.path.join(node.root, "var/log/picket/flows.jsonl")}})
    if of == "journal":
        node.policy("a.json", DENY)
    else:
        a, b = (node.add("acme", name, "g") for name in "ab")
        node.policy("a.json", DENY)
        wait_for(lambda: not a.pings(b), "a denied packet")
    wait_for(lambda: f"op={of} file=" in node.log(), node.log, 30)
    other, = set(files) - {of}
    assert f"op={other} file=" not in node.log()
    os.rmdir(files[of])
    wait_for(lambda: os.path.isfile(files[of]), "the file, before a line and a question", 30)
    wait_for(lambda: "can be written again" in node.log(), node.log, 30)
    assert node.log().count(f"op={of} file=") == 2
