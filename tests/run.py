#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every suite, counts, and ends with what failed and `N passed, N failed, N skipped`.

Without root: lint, analyze, unit, policy (two engines) and fuzz; --quick leaves out what takes long.
A suite that crashes, says nothing or runs over its time counts as one failure. Reasons of the data
path that no test proved fail the run: tests append the names they proved to the file $PK_PROVED.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as xml

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CORES = len(os.sched_getaffinity(0))
LINTS = ("lint-licences", "lint-includes", "lint-sizes", "lint-format", "lint-shell", "lint-spelling", "lint-clang")
MUTANTS, KNOWN_MUTANTS, MUTANTS_SEED = 8, 4, "306"
TELLING, TOLD, WIDTH = 4, 48, 300	# lines of one failure, lines of a suite's failures, characters of a line
NEWEST = 8	# lines of the end of what a test said, which is often a log's
FAILURE = re.compile(r"^(?:FAILED |not finished |not run: |world seed |\[  (?:FAILED|ERROR) |\[   LINE |SUMMARY: "
                     rf"|.*\berror: |.*\*\*\* ).*(?:\n  .*){{0,{TELLING}}}", re.M)
CLOSING = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", re.M)


def telling(text):
    """The lines of an output that say what failed, each with what is indented below it; else its end."""
    found = dict.fromkeys(line for failure in FAILURE.findall(text) for line in failure.splitlines())
    return [line.removeprefix("FAILED ") for line in found] or text.splitlines()[-TELLING:]


def cases_telling(report):
    """The same of pytest's report: each test that failed, and below it what it said and where."""
    lines = []
    for case in report.iter("testcase"):
        for failure in [*case.iter("failure"), *case.iter("error")]:
            said = [line for line in failure.get("message", "").splitlines() if line.strip()]
            if len(said) > TELLING + NEWEST:
                said[TELLING:-NEWEST] = ["…"]
            places = re.findall(r"^\S+:\d+: .*", failure.text or "", re.M)
            lines += [f"{case.get('classname', '').split('.')[-1]}.py::{case.get('name')}",
                      *("  " + line for line in said + places[-1:])]
    return lines


def say(text):
    """To whoever reads along; in one piece, for lanes speak side by side."""
    print(text + "\n", end="", flush=True)


def read(path):
    with open(path, errors="replace") as log:
        return log.read()


def processor_seconds():
    """What children have used, once they are waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def add(self, suite, passed, failed, skipped=0, told=()):
        """told: what the output ends with where something failed; what is indented belongs to what is above it."""
        with self.lock:
            self.passed += passed
            self.failed += failed
            self.skipped += skipped
        if failed:
            more = [f"  and {len(told) - TOLD} lines more"] if len(told) > TOLD else []
            self.failures += [(line if line.startswith(" ") else f"FAILED {suite}: {line}")[:WIDTH]
                              for line in [*(told or [f"{failed} failed"])[:TOLD], *more]]
        say(f"== {suite}: {passed} passed, {failed} failed, {skipped} skipped")


class Runner:
    def __init__(self, build, fuzz_seconds, quick=False, named=False):
        self.build, self.fuzz_seconds = os.path.abspath(build), fuzz_seconds
        self.named = named	# suites were asked for by their names
        self.quick, self.root = quick, os.geteuid() == 0
        self.tally = Tally()
        self.logs = os.path.join(self.build, "test-logs")
        os.makedirs(self.logs, exist_ok=True)
        self.running = {}	# a command's log -> when it was started
        self.ending = threading.Event()
        self.proved = os.path.join(self.build, "proved-reasons")
        self.env = dict(os.environ, PK_PROVED=self.proved, PICKET_BUILD=self.build,
                        PYTHONDONTWRITEBYTECODE="1", ASAN_OPTIONS="detect_leaks=1",
                        UBSAN_OPTIONS="print_stacktrace=1")

    def say(self, text):
        say(text)

    def built(self, folder, sources):
        """The programs of these sources; a build directory may hold some of before."""
        names = (os.path.basename(source)[:-2] for source in glob.glob(f"{ROOT}/{sources}"))
        return sorted(os.path.join(self.build, folder, name) for name in names)

    def run(self, name, command, seconds, **env):
        """(exit status, output); the output is kept beside the build."""
        path = os.path.join(self.logs, name + ".log")
        self.running[path] = time.monotonic()
        with open(path, "w") as log:
            try:
                status = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT,
                                        stdin=subprocess.DEVNULL, timeout=seconds,
                                        env=dict(self.env, **env), check=False).returncode
            except subprocess.TimeoutExpired:
                status = -1
                log.write(f"\nnot finished after {seconds} s\n")
            except OSError as error:
                status = -1
                log.write(f"\nnot run: {error}\n")
        del self.running[path]
        text = read(path)
        if status:
            self.say("\n".join([f"-- {name}: exit status {status}; the end of {path}:",
                                *text.splitlines()[-40:]]))
        return status, text

    def stopped(self, *_):
        """Whoever ends the run learns what it was at."""
        for path, began in list(self.running.items()):
            self.say("\n".join([f"-- stopped {time.monotonic() - began:.0f} s after its start; the end of {path}:",
                                *read(path).splitlines()[-20:]]))
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    def suites(self, names):
        for name in names:
            if self.ending.is_set():
                return
            start = time.monotonic()
            getattr(self, name)()
            self.say(f"== {name} took {time.monotonic() - start:.0f} s")

    def side_by_side(self, lanes):
        """A lane's exception is the run's, and so is the keyboard's: no further suite is begun."""
        with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
            try:
                for lane in concurrent.futures.as_completed([pool.submit(self.suites, lane) for lane in lanes]):
                    lane.result()
            except BaseException:
                self.ending.set()
                raise

    def whole(self):
        """All suites; what a step took of the processors tells work from waiting."""
        for lanes in STEPS:
            start, used = time.monotonic(), processor_seconds()
            self.side_by_side(lanes)
            self.say(f"== {' | '.join(' '.join(lane) for lane in lanes)}: {time.monotonic() - start:.0f} s, "
                     f"{processor_seconds() - used:.0f} s of processors")
        self.reasons()

    def counted(self, suite, command, seconds):
        """A program whose last line is `N passed, N failed[, N skipped]`; its lines `-- ` are shown."""
        status, text = self.run(suite, command, seconds)
        for line in re.findall(r"^-- .*", text, re.M):
            self.say(line)
        found = CLOSING.findall(text)
        if not found:
            self.tally.add(suite, 0, 1, told=["no closing line", *telling(text)])
            return
        passed, failed, skipped = (int(n or 0) for n in found[-1])
        if status and not failed:
            failed = 1
        self.tally.add(suite, passed, failed, skipped, telling(text))

    def checked(self, suite, command, seconds=60):
        status, text = self.run(suite, command, seconds)
        self.tally.add(suite, int(status == 0), int(status != 0), told=telling(text))

    # The suites, fast ones first.

    def make(self, target, seconds):
        self.checked(target, ["make", "--no-print-directory", "-k", f"-j{CORES}", f"B={self.build}",
                              target], seconds)

    def lint(self):
        for target in LINTS:
            self.make(target, 600)

    def analyze(self):
        self.make("analyze", 1800)

    def repo(self):
        self.pytest("repo", 900)

    def unit(self):
        binaries = self.built("san/unit", "tests/unit/test_*.c")
        with concurrent.futures.ThreadPoolExecutor(CORES) as pool:
            for name, (status, text) in zip(map(os.path.basename, binaries),
                                            pool.map(self.unit_one, binaries)):
                passed = len(re.findall(r"^\[       OK \]", text, re.M))
                failed = len(set(re.findall(r"^\[  FAILED  \] (?:.*: )?(\w+)$", text, re.M)))
                skipped = len(re.findall(r"^\[  SKIPPED \] \w+$", text, re.M))
                if (status and not failed) or not passed + failed + skipped:
                    failed += 1
                self.tally.add(name, passed, failed, skipped, telling(text))

    def unit_one(self, binary):
        return self.run(os.path.basename(binary), [binary], 900)

    def bpf(self):
        self.counted("bpf", [f"{self.build}/tests/bpf-test"], 900)

    def model(self):
        """A million packets against a reference model, by a seed that the program prints."""
        self.counted("model", [f"{self.build}/tests/model-test"], 900)

    def expectations(self, suite, engine):
        """Policies and what they are to mean, asked of one engine."""
        passed, failed, told = 0, 0, []
        for file in [*sorted(glob.glob(f"{ROOT}/tests/policy/*.json")),
                     f"{ROOT}/examples/reach.json", f"{ROOT}/examples/addresses.json"]:
            name = f"policy-{engine}-{os.path.basename(file)[:-5]}"
            status, text = self.run(name, [f"{self.build}/picket", "policy", "test", "--engine",
                                           engine, file], 120)
            passed, failed = passed + (status == 0), failed + (status != 0)
            told += [name, *("  " + line for line in telling(text))] if status else []
        self.tally.add(suite, passed, failed, told=told)

    def policy(self):
        for engine in ("reference", "compiled", "kernel") if self.root else ("reference", "compiled"):
            self.expectations(f"policy expectations, {engine}", engine)
        more = ["-queries", "20000", "-no-kernel"] if self.quick else []
        self.counted("policy-property", [f"{self.build}/tests/policy-property", *more], 900)

    def pytest(self, suite, seconds, tests=None, lanes=1, select=None):
        """
        tests: some of the suite's files in place of them all. lanes: files that run side by side. select: by the tests' names.
        """
        report = os.path.join(self.logs, suite + ".xml")
        if os.path.exists(report):
            os.unlink(report)
        status, text = self.run(suite, ["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "-p",
                                     "no:cacheprovider", f"--junitxml={report}",
                                     *(["-n", str(lanes), "--dist", "loadfile"] if lanes > 1 else []),
                                     *(["-k", select] if select else []),
                                     *(tests or [f"tests/{suite}"])], seconds)
        if not os.path.exists(report):
            self.tally.add(suite, 0, 1, told=["no report", *telling(text)])
            return
        root = xml.parse(report).getroot()
        total = {key: sum(int(s.get(key, 0)) for s in root.iter("testsuite"))
                 for key in ("tests", "failures", "errors", "skipped")}
        failed = total["failures"] + total["errors"]
        if status and not failed:
            failed = 1
        for case in root.iter("testcase"):
            for skip in case.iter("skipped"):
                self.say(f"-- skipped: {case.get('name')}: {skip.get('message')}")
        self.tally.add(suite, total["tests"] - total["failures"] - total["errors"] - total["skipped"],
                       failed, total["skipped"], cases_telling(root) or telling(text))

    def mutate(self):
        """
        A few mutants of the data path, and a few that no test noticed once, by a seed: the same
        ones as long as its sources are.
        """
        seed = os.environ.get("PK_MUTANTS", MUTANTS_SEED)
        self.mutants("mutate", MUTANTS, seed)
        self.mutants("mutate-known", KNOWN_MUTANTS, seed, "--known")

    def mutants(self, log, count, seed, *known):
        status, text = self.run(log, ["/usr/bin/python3", "tests/mutate", "--build", self.build,
                                      "--count", str(count), "--seed", seed, *known], 1800)
        found = re.findall(r"^(\d+) mutants, (\d+) killed, (\d+) allowed$", text, re.M)
        counted, killed, allowed = (int(n) for n in found[-1]) if found else (0, 0, 0)
        self.say(f"-- seed {seed}: {counted} mutants, {killed} killed, {allowed} allowed; "
                 f"again: make mutate N={count} SEED={seed}{' KNOWN=1' if known else ''}")
        failed = counted - killed - allowed
        self.tally.add("mutate", killed + allowed, failed or int(status != 0 or not counted), told=telling(text))

    def netns(self):
        """What its tests need of a fresh machine is fetched and built before them: it takes minutes of all processors."""
        for script, program in (("peers", "consul"), ("prometheus", "prometheus")):
            self.run(f"{script}-{program}", [f"scripts/{script}", program], 1800)
        self.pytest("netns", 3600, lanes=2 * CORES)	# half of a lane's time is waiting

    def kernel61(self):
        """A part of it, unless it was asked for by its name."""
        part = [] if self.named else ["--short"]
        self.counted("kernel61", ["/usr/bin/python3", "tests/kernel61", "--build", self.build, *part],
                     5400)

    def e2e(self):
        """Its guests take a processor each while they boot; the rest of its time is waiting for Nomad and Consul."""
        self.run("peers-nomad", ["scripts/peers", "nomad"], 1800)
        self.pytest("e2e", 2400, lanes=CORES)

    def package(self):
        self.pytest("package", 2400, ["tests/package"], select="not machine")

    def life(self):
        self.pytest("life", 2400, ["tests/package/test_life.py"], select="machine")

    def fuzz(self):
        targets = self.built("fuzz", "tests/fuzz/fuzz_*.c")
        with concurrent.futures.ThreadPoolExecutor(CORES) as pool:
            for name, (status, text) in zip(map(os.path.basename, targets), pool.map(self.fuzz_one, targets)):
                runs = re.findall(r"stat::number_of_executed_units:\s*(\d+)", text)
                self.say(f"-- {name}: {runs[-1] if runs else 'no'} executions")
                self.tally.add(name, int(status == 0), int(status != 0), told=telling(text))

    def fuzz_one(self, binary):
        name = os.path.basename(binary)
        found = os.path.join(self.build, "fuzz", "found", name)
        os.makedirs(found, exist_ok=True)
        seeds = os.path.join(ROOT, "tests/fuzz/corpus", name.replace("fuzz_", "", 1))
        dirs = [found] + ([seeds] if os.path.isdir(seeds) else [])
        return self.run(name, [binary, f"-max_total_time={self.fuzz_seconds}", "-timeout=5",
                               "-rss_limit_mb=2048", "-print_final_stats=1",
                               f"-artifact_prefix={found}/", *dirs], self.fuzz_seconds + 120)

    def reasons(self):
        """Every reason that the data path of this release has was proved by a test of this run."""
        with open(os.path.join(ROOT, "include/picket/reason.h")) as header:
            built = re.findall(r'X\(\d+, \w+, "([a-z0-9-]+)", 1,', header.read())
        proved = set()
        if os.path.exists(self.proved):
            with open(self.proved) as names:
                proved = set(names.read().split())
        missing = [name for name in built if name not in proved]
        if missing:
            self.say(f"-- reasons that no test proved: {' '.join(missing)}")
        self.tally.add("reasons", len(built) - len(missing), len(missing), told=missing)


# Steps, one after the other; what leaves a processor free is in lanes, side by side.
STEPS = ((("lint", "repo", "unit"),), (("kernel61", "policy", "model", "bpf"), ("mutate", "fuzz")), (("netns",),),
         (("e2e",), ("package",)))
SUITES = tuple(suite for lanes in STEPS for lane in lanes for suite in lane)
ASKED_FOR = ("analyze", "life")	# minutes: by SUITE alone
ROOTED = {"bpf", "model", "mutate", "netns", "kernel61", "e2e", "package", "life"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--fuzz-seconds", type=int, default=30)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("suites", nargs="*", choices=[[], *SUITES, *ASKED_FOR])
    options = parser.parse_args()
    if os.geteuid() and ROOTED & set(options.suites or SUITES):
        sys.exit("tests: they make network namespaces; fix: sudo make test, or make check")
    runner = Runner(options.build, options.fuzz_seconds, options.quick, bool(options.suites))
    if os.path.exists(runner.proved):
        os.unlink(runner.proved)
    signal.signal(signal.SIGTERM, runner.stopped)
    if options.suites:
        runner.suites(options.suites)
    else:
        runner.whole()
    tally = runner.tally
    for failure in tally.failures:
        print(failure)
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
