# SPDX-License-Identifier: Apache-2.0
"""
The lowest kernel that Picket supports, Debian 12's own 6.1, in QEMU machines: on amd64 every program
is loaded, tests/bpf and the netns tests of the guard run; on arm64 every program is loaded and
tests/bpf runs. --short: amd64 alone, with a few of the netns tests. Ends with `N passed, N failed,
N skipped`; lines that begin with `-- ` are for people.
"""
import argparse
import os
import secrets
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import parts  # noqa: E402
import verifier  # noqa: E402
from harness.shell import Failed, build_dir  # noqa: E402
from machine import KINDS, SHORT, Machine, Stopped  # noqa: E402
from report import Broken, Report  # noqa: E402

SCALE = 10	# an emulated processor is so many times slower
SILENT_SECONDS = 900	# the load of all programs, and a node's first ADD, are one silence each


class Totals:
    def __init__(self):
        self.counts = dict.fromkeys(("passed", "failed", "skipped"), 0)

    def add(self, **counts):
        for what, n in counts.items():
            self.counts[what] += n

    def one(self, holds):
        self.add(**{"passed" if holds else "failed": 1})

    def __str__(self):
        return ", ".join(f"{n} {what}" for what, n in self.counts.items())


def logs(arch):
    """(console, report), kept."""
    directory = os.path.join(build_dir(), "test-logs")
    os.makedirs(directory, exist_ok=True)
    return [os.path.join(directory, f"kernel61-{arch}-{name}.log") for name in ("console", "report")]


def boot(arch, kind):
    """The report of a machine."""
    console, port = logs(arch)
    kernel = parts.kernel(arch)
    root = parts.root(arch, kernel)
    build = parts.cross_build(arch, root) if arch in parts.CROSS else build_dir()
    word = secrets.token_hex(8)
    Machine(kind, kernel, root, build, os.path.join(build_dir(), "kernel61", arch)).boot(
        console, port, [f"picket.word={word}", f"picket.scale={SCALE}",
                        f"picket.suites={','.join(kind.suites)}"], SILENT_SECONDS)
    with open(port, encoding="utf-8", errors="replace") as text:
        return Report(text.read(), word, kind.suites)


def tell_end(path):
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as log:
            print("\n".join(log.read().splitlines()[-30:]))


def judge(arch, report, totals):
    """What the machine said, for people and for the totals."""
    print(f"-- {arch}: Linux {report.kernel} in QEMU without KVM, slower {SCALE} times: PK_SCALE")
    for line in report.said:
        if not verifier.LINE.match(line):
            print(line)
    for suite, counts in report.suites.items():
        print(f"-- {arch} {suite}: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
        totals.add(**counts)
        if not counts["passed"] + counts["failed"]:
            print(f"-- {arch} {suite}: nothing ran")
            totals.one(False)
    totals.one(report.kernel.startswith(parts.LOWEST))


def test(arch, kind, totals):
    """Its column of the verifier's table, {} where it was skipped, None where it failed."""
    try:
        report = boot(arch, kind)
    except parts.Unfetched as why:
        print(f"-- skipped: {arch}: {why}")
        totals.add(skipped=1)
        return {}
    except (parts.Unmade, Broken, Stopped, Failed) as why:
        tell_end(logs(arch)[0])
        print(f"-- {arch}: {why}; its console is kept in {logs(arch)[0]}")
        totals.one(False)
        return {}
    judge(arch, report, totals)
    return {f"{report.kernel.split('-')[0]} {arch}": verifier.counts(report.said).get("probe", {})}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--build", default="build")
    options.add_argument("--short", action="store_true")
    options.add_argument("arch", nargs="*", choices=[[], *KINDS])
    options = options.parse_args()
    os.environ["PICKET_BUILD"] = os.path.abspath(options.build)
    # Told to end, it takes the machine along.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    totals, columns = Totals(), {}
    kinds = {"amd64": SHORT} if options.short else KINDS
    for arch in options.arch or kinds:
        columns |= test(arch, kinds[arch], totals)
    if columns:
        running = os.uname().release.split("-")[0]
        columns |= {f"{running} {way}": column for way, column in verifier.own_counts().items()}
        totals.one(verifier.table(columns))
    print(totals)
    return 1 if totals.counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
