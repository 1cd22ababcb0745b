#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
`make mutate N=20 SEED=1`: N mutants, each with one small mistake, of which the tests must notice
every one. ONLY=bpf/lib/miss.h, ONLY=bpf/lib/miss_again.h:40 or ONLY=miss_keep takes those of one
place, SIDE=controller, SIDE=plugin or SIDE=cli those of the user-space code, RESUME=1 goes on with
the last round. Ends with `N mutants, N killed, N allowed`; a survivor is named with its place and
its change, and makes the exit status 1. KNOWN=1: those of tests/mutants.known in place of a seed's,
all or N of them, each shown to its own test alone.
"""
import argparse
import os
import shutil
import sys
import threading

import allow
import known
from progress import Progress
from scratch import ROOT, Scratch, environment, run
from sides import SIDES
from sites import mutants_of
from trial import Original, OriginalFails, trial

ALLOW, KNOWN = "tests/mutants.allow", "tests/mutants.known"


class Round:
    """The mutants in the seeds' order; each worker takes the next as long as one more is wanted."""

    def __init__(self, order, wanted, progress):
        self.order, self.wanted, self.progress = order, min(wanted, len(order)), progress
        self.taken = self.flying = self.counted = 0
        self.changed, self.results, self.error = threading.Condition(), [], None

    def take(self):
        with self.changed:
            while not self.error and self.counted < self.wanted:
                if self.taken < len(self.order) and self.counted + self.flying < self.wanted:
                    self.taken += 1
                    self.flying += 1
                    return self.order[self.taken - 1]
                if not self.flying:
                    return None
                self.changed.wait()
            return None

    def put(self, mutant, verdict, again):
        """Keeps its verdict; `again`: which was there before."""
        with self.changed:
            self.flying -= 1
            self.counted += verdict.counts
            self.results.append((mutant, verdict))
            self.changed.notify_all()
            if not again:
                self.progress.put(mutant, verdict)
            head = f"{mutant.file}:{mutant.line} {mutant.function}: {mutant.what}"
            said = verdict.by.splitlines()[0] if verdict.by and verdict.counts else ""
            print(f"{verdict.kind:9} {head}" + (f" ({said})" if said else ""), flush=True)

    def stop(self, error):
        with self.changed:
            self.error = self.error or error
            self.changed.notify_all()


def worker(current, side, path, original, most):
    scratch = None
    try:
        scratch = Scratch(path, original.build, side.products)
        mutant = current.take()
        while mutant:
            before = current.progress.known(mutant)
            current.put(mutant, before or trial(mutant, side, scratch, original, most), bool(before))
            mutant = current.take()
    except Exception as error:		# a worker's end is the round's, not a mutant less
        current.stop(error)
    finally:
        if scratch:
            scratch.remove()


def read(file):
    with open(os.path.join(ROOT, file), "rb") as source:
        return source.read()


def population(side, build):
    """All mutants of the side."""
    targets = [os.path.join(build, name) for name in side.dumps()]
    made = run(["make", "--no-print-directory", f"B={build}", *targets], 600, ROOT,
               environment(build))
    if made.status != 0:
        sys.exit(f"mutate: the sources can't be read\n{made.tail()}")
    return mutants_of(targets, side.wanted, read)


def is_of(mutant, only):
    file, _, line = only.partition(":")
    return mutant.function == only or mutant.file == file and (
        not line or any(at == int(line) for at in
                        range(mutant.line, mutant.line + len(mutant.before))))


def in_turn(mutants, seeds):
    """Each seed's own order, one of each in turn, none twice."""
    orders = [sorted(mutants, key=lambda m, seed=seed: m.rank(seed)) for seed in seeds]
    seen, result = set(), []
    for turn in zip(*orders):
        for mutant in turn:
            if mutant not in seen:
                seen.add(mutant)
                result.append(mutant)
    return result


def report(current, allowed, by_hand):
    """Names what survived and what is allowed in vain; (killed, allowed, complaints)."""
    killed = passed = 0
    complaints = []
    for mutant, verdict in current.results:
        entry = allowed.get(mutant)
        where = f"{mutant.file}:{mutant.line} {mutant.function}"
        where += f" #{mutant.again + 1}" if mutant.again else ""
        if verdict.kind == "killed":
            killed += 1
            if entry:
                complaints.append(f"{ALLOW} line {entry.line}: allowed, and yet a test notices it "
                                  f"({verdict.by}); fix: delete the entry")
        elif verdict.kind == "survived" and entry:
            passed += 1
        elif verdict.kind == "survived":
            complaints.append(f"SURVIVED {where}: {mutant.what}\n{mutant.diff()}")
        elif verdict.kind != "survived" and by_hand:
            complaints.append(f"NO MUTANT {where}: {verdict.kind}\n{mutant.diff()}\n{verdict.by}")
    return killed, passed, complaints


def options():
    parser = argparse.ArgumentParser(prog="mutate", description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--count", type=int, help="20, or all that are known")
    parser.add_argument("--seed", action="append", default=[])
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--known", action="store_true")
    parser.add_argument("--side", choices=sorted(SIDES), default="bpf")
    parser.add_argument("--resume", action="store_true", help="goes on with the last round")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--fast", action="store_true", help="asks each mutant's first suite alone")
    parser.add_argument("--list", action="store_true", help="names the mutants, runs none")
    return parser.parse_args()


def main():
    chosen = options()
    build = os.path.abspath(chosen.build)
    side = SIDES[chosen.side](ROOT)
    list_ = KNOWN if chosen.known else ALLOW
    try:
        entries = read(list_).decode()
        if chosen.known:
            mutants, allowed, complaints = known.mutants(entries, side, read), {}, []
            chosen.count = chosen.count or len(mutants)
        else:
            chosen.count = chosen.count or 20
            mutants = population(side, build)
            its = [entry for entry in allow.entries(entries) if side.wanted(entry.file)]
            allowed, complaints = allow.matched(its, mutants)
    except allow.AllowError as error:
        sys.exit(f"mutate: {list_} {error}")
    picked = in_turn([m for m in mutants if not chosen.only or any(is_of(m, only) for only in chosen.only)],
                     chosen.seed or ["1"])
    if not picked:
        sys.exit(f"mutate: nothing to change at {' '.join(chosen.only)}; fix: a file, file:line or function")
    if chosen.list:
        for mutant in picked[:chosen.count]:
            print(f"{mutant.file}:{mutant.line} {mutant.function}: {mutant.what}\n{mutant.diff()}")
        return 0
    kind = "-".join([side.name] + ["known"] * chosen.known + ["fast"] * chosen.fast)
    progress = Progress(os.path.join(build, f"mutated-{kind}.jsonl"), chosen.resume, read)
    current, original = Round(picked, chosen.count, progress), Original(build)
    base, most = os.path.join(build, "mutate"), 1 if chosen.fast else None
    threads = [threading.Thread(target=worker, args=(current, side, os.path.join(base, str(i)),
                                                     original, most)) for i in range(chosen.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shutil.rmtree(base, ignore_errors=True)
    if current.error:
        sys.exit(f"mutate: {type(current.error).__name__}: {current.error}")
    killed, passed, more = report(current, allowed, chosen.known)
    for complaint in complaints + more:
        print(complaint)
    print(f"{current.counted} mutants, {killed} killed, {passed} allowed")
    return 1 if complaints or more or not current.counted else 0


if __name__ == "__main__":
    sys.exit(main())
