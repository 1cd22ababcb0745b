# SPDX-License-Identifier: Apache-2.0
"""What is mutated, what of it is compiled, and which tests are to notice, cheapest first."""
import os
import re

class Suite:
    """Tests of one kind: what to build for them, how to run them, who failed."""

    refused = None		# the exit status that says that the kernel took no program
    program = None		# what runs it, where that isn't built for each mutant

    def __init__(self, name, targets, command, seconds, failed):
        self.name, self.targets, self.command, self.seconds = name, targets, command, seconds
        self.failed = re.compile(failed, re.M)

    def failure(self, text):
        """The first test that failed, by its own name; empty where none is named."""
        found = self.failed.search(text)
        return found[1].strip() if found else ""

    def steady(self, _name):
        """Is a failure the mutant's for sure, since nothing in the suite waits?"""
        return True

    def narrowed(self, _name):
        """The command that runs the named test, and as little else as can be."""
        return self.command


class BpfTest(Suite):
    """Takes the objects from $PK_OBJECTS: it needs no building but where its own data moved."""

    program = "build/tests/bpf-test"
    refused = 3


class Pytest(Suite):
    def __init__(self, name, targets, files, seconds):
        super().__init__(name, targets, ["/usr/bin/python3", "-m", "pytest", "-x", "-q", "-p",
                                         "no:cacheprovider", *files], seconds, r"^FAILED (\S+)")

    def steady(self, name):
        return not name

    def narrowed(self, name):
        return [*self.command[:7], name] if name else self.command

    def without(self, command, name):
        return [*command, f"--deselect={name}"]


class Bpf:
    """The data path: every function that is compiled into a BPF program."""

    name = "bpf"
    products = ("gen", "bpf", "lib", "cni", "controller", "cli", "tests", "libpicket.a",
                "libpolicytools.a", "libcni.a", "libcontroller.a", "libcli.a", "picket",
                "picket-cni", "picketd", "faults")
    still = BpfTest("bpf-test", ["build/bpf/guard.bpf.o", "build/bpf/judge.bpf.o", "build/bpf/sock.bpf.o"],
                    ["build/tests/bpf-test", "-first", "-still"], 300, r"^FAILED (.*)$")
    moments = BpfTest("bpf-test", ["build/bpf/guard_stall.bpf.o"],
                      ["build/tests/bpf-test", "-first", "-moments"], 300, r"^FAILED (.*)$")
    tap = Pytest("netns tap", ["both-ways"], ["tests/netns/test_guard_tap.py"], 900)
    memory = Pytest("netns tap memory", ["both-ways"], ["tests/netns/test_tap_memory.py"], 600)
    sock = Pytest("netns sock", ["all"], ["tests/netns/test_sock.py"], 600)
    prop = Suite("policy-property", ["build/tests/policy-property"],
                 ["build/tests/policy-property", "-seed", "1", "-queries", "60000"], 600,
                 r"^(world seed .*)$")

    def __init__(self, root):
        self.programs = sorted(f for f in os.listdir(os.path.join(root, "bpf"))
                               if f.endswith(".bpf.c"))

    def wanted(self, file):
        return file.startswith(("bpf/", "include/picket/"))

    def dumps(self):
        """Make targets: the syntax trees of everything that is mutated."""
        return [f"ast/bpf/{name}.json" for name in self.programs]

    def objects(self, _file):
        """Make targets: what a mutant of the file may change."""
        return [f"bpf/{name.removesuffix('.c')}.o" for name in self.programs]

    def moved(self, mine, original):
        """Does what is built around the object have to be built again for it?"""
        pick = lambda code: {name: data for name, data in code.items()
                             if name.startswith((".rodata", ".bss", ".data", ".maps"))}
        return pick(mine) != pick(original)

    def suites(self, file):
        if os.path.basename(file) in ("policy.h", "maps_policy.h", "judge.bpf.c"):
            return [self.still, self.moments, self.prop]
        if os.path.basename(file) == "tap.h":
            return [self.still, self.memory]
        if os.path.basename(file) == "sock.bpf.c":
            return [self.still, self.sock]
        return [self.still, self.moments, self.tap]


SIDES = {side.name: side for side in (Bpf,)}
