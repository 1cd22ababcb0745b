#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Inside the machine: runs what proves the guard there and reports it (report.py)."""
import glob
import os
import sys
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "tests"), os.path.dirname(os.path.abspath(__file__))]

import run  # noqa: E402
from report import Writer  # noqa: E402

# What shows the guard to real devices; the rest of tests/netns is about plugin and controller.
NETNS = ("guard_tap", "guard_process", "isolation", "host")
# Uplinks of kinds that this machine's kernel may not have.
KINDS = "vlan or VLAN or bond or wireguard"
# The suite `guard`, part of each `make test`: one test for each thing that a kernel does in its own way. One that isn't
# there any more fails the suite.
GUARD = {
    "guard_tap": (
        "the_honest_frame_arrives[probe]",
        "vlan[probe-vid 5]",
        "vlan[probe-802.1ad]",
        "a_port_that_the_checksum_rewrites[probe-tcp]",
        "a_checksum_elsewhere_changes_nothing[probe-34-6]",
        "the_honest_partial_checksum_is_right_in_the_end[probe-TCP]",
        "small_segments[probe-8-4]",
        "segments_that_do_not_fit[probe-udp]",
        "ports_outside_the_linear_part[probe-80-True]",
        "ports_outside_the_linear_part[probe-81-False]",
        "segments_arrive_whole[probe-1448]",
        "the_honest_frame_arrives[host-tap]",
        "vlan[host-tap-vid 5]",
        "a_port_that_the_checksum_rewrites[host-tap-tcp]",
        "segments_arrive_whole[host-tap-1448]",
    ),
    "host_tap": ("real_stacks_the_world_the_node_and_published_ports[netns-tap]",),
    "picketd_guard": ("settings_that_somebody_reset_come_back_at_once",),
    "uplinks": (
        "a_device_without_an_ethernet_header_is_refused_by_name[wireguard]",
    ),
    "world": ("an_uplink_made_of_others[vlan-tap]", "an_uplink_made_of_others[bond-tap]"),
}
TAINTED_BY_WARNING_OR_OOPS = 1 << 9 | 1 << 7
# The bounds of run.py are for a real processor.
SLOWER = 4
FOLLOW_SECONDS = 5


def words():
    """The words of the kernel's command line that are meant for us."""
    with open("/proc/cmdline", encoding="ascii") as file:
        return dict(word.split("=", 1) for word in file.read().split()
                    if word.startswith("picket."))


def port():
    """The virtio port that QEMU calls report."""
    for path in glob.glob("/sys/class/virtio-ports/*/name"):
        with open(path, encoding="ascii") as file:
            if file.read().strip() == "report":
                return os.path.join("/dev", os.path.basename(os.path.dirname(path)))
    raise SystemExit("inside: no port to report on")


def tainted():
    """Bits for a warning and for an oops."""
    with open("/proc/sys/kernel/tainted", encoding="ascii") as file:
        return int(file.read()) & TAINTED_BY_WARNING_OR_OOPS


class Tally(run.Tally):
    def __init__(self, writer):
        super().__init__()
        self.writer = writer

    def add(self, suite, passed, failed, skipped=0, told=()):
        known = len(self.failures)
        super().add(suite, passed, failed, skipped, told)
        for line in self.failures[known:]:
            self.writer.line(say=line)
        self.writer.line(suite=suite, passed=passed, failed=failed, skipped=skipped)


class Inside(run.Runner):
    def __init__(self, writer):
        super().__init__(os.path.join(ROOT, "build"), 0)
        self.tally, self.writer = Tally(writer), writer

    def say(self, text):
        super().say(text)
        for line in text.splitlines():
            self.writer.line(say=line)

    def run(self, name, command, seconds, **env):
        return super().run(name, command, SLOWER * seconds, **env)

    def guard(self):
        self.pytest("guard", 400, [f"tests/netns/test_{name}.py::test_{test}"
                                   for name, tests in GUARD.items() for test in tests])

    def netns(self):
        self.pytest("netns", 700, [f"tests/netns/test_{name}.py" for name in NETNS])

    def kinds(self):
        self.pytest("kinds", 400, ["tests/netns/test_uplinks.py", "tests/netns/test_world.py"], select=KINDS)

    def policy(self):
        self.expectations("policy", "kernel")

    def lockdown(self):
        self.pytest("lockdown", 300, ["tests/kernel61/test_lockdown.py"])

    def kernel(self):
        """Whether it warned or oopsed, also while it started."""
        bad = tainted()
        if bad:
            _, text = self.run("dmesg", ["dmesg"], 30)
            self.say("\n".join(["-- the kernel warned or oopsed; the end of dmesg:",
                                *text.splitlines()[-60:]]))
        self.tally.add("kernel", int(not bad), int(bad != 0))


def follow(directory, over):
    """Copies what the logs say to the console, which is kept, as it comes: a machine that works is never silent for long."""
    read = {}
    ended = False
    while not ended:
        ended = over.wait(FOLLOW_SECONDS)
        for path in sorted(glob.glob(os.path.join(directory, "*.log"))):
            if path not in read:
                print(f"=== {os.path.basename(path)}", flush=True)
            with open(path, encoding="utf-8", errors="replace") as log:
                log.seek(read.setdefault(path, 0))
                print(log.read(), end="", flush=True)
                read[path] = log.tell()


def main(kind=Inside):
    """kind: the runner whose methods the command line's suites are."""
    asked = words()
    writer = Writer(port(), asked["picket.word"], os.uname().release)
    os.environ["PK_SCALE"] = asked["picket.scale"]
    runner = kind(writer)
    over = threading.Event()
    follower = threading.Thread(target=follow, args=(runner.logs, over))
    follower.start()
    try:
        for suite in asked["picket.suites"].split(","):
            getattr(runner, suite)()
    finally:
        over.set()
        follower.join()
    writer.end()


if __name__ == "__main__":
    main()
