# SPDX-License-Identifier: Apache-2.0
"""The machines of tests/kernel61: what is no report is a failure, what can't be had is a skip."""
import glob
import importlib.util
import json
import os
import re
import subprocess
import sys
import time

import pytest

HERE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "kernel61")
sys.path.insert(0, HERE)

import inside  # noqa: E402
import parts  # noqa: E402
import verifier  # noqa: E402
from machine import Stopped, watch  # noqa: E402
from report import Broken, Report  # noqa: E402

WANTED = ("bpf", "netns")
BPF = {"suite": "bpf", "passed": 3, "failed": 0, "skipped": 1}
NETNS = {"suite": "netns", "passed": 2, "failed": 1, "skipped": 0}
WHOLE = [{"begin": "w1", "kernel": "6.1.0-9"}, {"say": "-- skipped: x"}, BPF, NETNS, {"end": "w1"}]


@pytest.fixture(scope="module")
def suite():
    spec = importlib.util.spec_from_file_location("kernel61", os.path.join(HERE, "__main__.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text(lines):
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_a_whole_report_is_read():
    report = Report(text(WHOLE), "w1", WANTED)
    assert (report.kernel, report.said) == ("6.1.0-9", ["-- skipped: x"])
    assert report.suites == {"bpf": {"passed": 3, "failed": 0, "skipped": 1},
                             "netns": {"passed": 2, "failed": 1, "skipped": 0}}


def without(number):
    return text(WHOLE[:number] + WHOLE[number + 1:])


@pytest.mark.parametrize("what", [
    "", "\n", "garbage\n", text(WHOLE)[:-12], without(0), without(2), without(3), without(4),
    text(WHOLE[:1]), text([*WHOLE, BPF]), text([*WHOLE, {"say": "more"}]), text(WHOLE * 2),
    text([WHOLE[0], NETNS, BPF, WHOLE[4]]), text([WHOLE[0], BPF, BPF, NETNS, WHOLE[4]]),
    text([{"begin": "w2", "kernel": "6.1.0-9"}, *WHOLE[1:]]), text([*WHOLE[:4], {"end": "w2"}]),
    text([WHOLE[0], {"suite": "bpf"}, NETNS, WHOLE[4]]),
    text([WHOLE[0], {**BPF, "passed": -1}, NETNS, WHOLE[4]]),
    text([WHOLE[0], {**BPF, "passed": "3"}, NETNS, WHOLE[4]]),
    text([WHOLE[0], {**BPF, "more": 1}, NETNS, WHOLE[4]]),
    text([WHOLE[0], {"other": 1}, BPF, NETNS, WHOLE[4]]), text([WHOLE[0], {}, BPF, NETNS, WHOLE[4]]),
    text([WHOLE[0], 5, BPF, NETNS, WHOLE[4]])])
def test_anything_else_is_no_report(what):
    with pytest.raises(Broken):
        Report(what, "w1", WANTED)


@pytest.mark.parametrize("script, silence, why", [
    ("sleep 600", 0.5, "said nothing"), ("yes | head -c 70000000 >\"$0\"; sleep 600", 60, "console")])
def test_a_machine_that_does_not_end_is_stopped(tmp_path, script, silence, why):
    console = tmp_path / "console"
    console.touch()
    with subprocess.Popen(["sh", "-c", script, str(console)]) as qemu:
        with pytest.raises(Stopped, match=why):
            watch(qemu, console, silence)
        qemu.kill()


@pytest.mark.parametrize("file", inside.GUARD)
def test_the_guards_tests_are_there(file):
    """A renamed one would fail in the machine alone."""
    with open(os.path.join(inside.ROOT, f"tests/netns/test_{file}.py"), encoding="utf-8") as tests:
        text_of = tests.read()
    for name in inside.GUARD[file]:
        assert f"\ndef test_{name.split('[')[0]}(" in text_of, name


def test_a_machine_that_ends_has_its_status(tmp_path):
    console = tmp_path / "console"
    console.touch()
    with subprocess.Popen(["sh", "-c", "exit 3"]) as qemu:
        assert watch(qemu, console, 60) == 3


@pytest.mark.parametrize("script, what, why", [
    ("echo away >&2; exit 75", parts.Unfetched, "status 75: away"),
    ("echo broken >&2; exit 1", parts.Unmade, "status 1: broken"),
    ("sleep 600 & sleep 600", parts.Unfetched, "did not end")])
def test_who_could_not_fetch_is_told_from_who_failed(monkeypatch, script, what, why):
    monkeypatch.setattr(parts, "FETCH_SECONDS", 5)
    start = time.monotonic()
    with pytest.raises(what, match=why):
        parts.made(["sh", "-c", script], unfetched=(75,))
    assert time.monotonic() - start < 300
    assert parts.made(["sh", "-c", "echo /a/path"], unfetched=(75,)) == "/a/path"


@pytest.mark.parametrize("why, counts", [
    (parts.Unfetched("away"), "0 passed, 0 failed, 1 skipped"), (parts.Unmade("broken"), "0 passed, 1 failed, 0 skipped"),
    (Broken("half"), "0 passed, 1 failed, 0 skipped"), (Stopped("hung"), "0 passed, 1 failed, 0 skipped")])
def test_only_what_cannot_be_had_is_skipped(monkeypatch, capsys, tmp_path, suite, why, counts):
    def boot(*_):
        raise why
    monkeypatch.setenv("PICKET_BUILD", str(tmp_path))
    monkeypatch.setattr(suite, "boot", boot)
    totals = suite.Totals()
    assert suite.test("amd64", None, totals) == {}
    assert str(totals) == counts and str(why) in capsys.readouterr().out


def test_an_empty_suite_and_another_kernel_fail(suite):
    empty = Report(text([WHOLE[0], {**BPF, "passed": 0}, NETNS, WHOLE[4]]), "w1", WANTED)
    later = Report(text([{"begin": "w1", "kernel": "6.12.1"}, *WHOLE[1:]]), "w1", WANTED)
    for report, counts in ((empty, "3 passed, 2 failed, 1 skipped"), (later, "5 passed, 2 failed, 1 skipped")):
        totals = suite.Totals()
        suite.judge("amd64", report, totals)
        assert str(totals) == counts


def test_each_program_has_a_count_within_the_budget(capsys):
    lines = ["-- verifier: pk_a (probe) 10 of 20", "-- verifier: pk_b (probe) 20 of 20", "other",
             "-- verifier: pk_a (kfunc) 10 of 20"]
    found = verifier.counts(lines)
    assert found == {"probe": {"pk_a": (10, 20), "pk_b": (20, 20)}, "kfunc": {"pk_a": (10, 20)}}
    assert verifier.table({"6.1": found["probe"]})
    assert not verifier.table({"6.1": found["probe"], "own": found["kfunc"]}), "pk_b has none"
    assert not verifier.table({"6.1": {"pk_a": (21, 20)}})
    assert not verifier.table({"6.1": {}})
    assert "pk_b" in capsys.readouterr().out


def test_what_the_other_architecture_is_compiled_against_is_fetched():
    """Each package whose headers lib/ and tests/bpf include is among packages-cross."""
    names = set()
    for source in (path for part in ("lib/*", "tests/bpf")
                   for path in glob.glob(os.path.join(inside.ROOT, part, "*.[ch]"))):
        with open(source, encoding="utf-8") as text_of:
            names |= set(re.findall(r"^#include <([^>]+)>", text_of.read(), re.M))
    roots = ("/usr/include", "/usr/include/libnl3", f"/usr/include/{os.uname().machine}-linux-gnu")
    found = [path for name in names for path in (os.path.join(root, name) for root in roots) if os.path.exists(path)]
    owners = subprocess.run(["dpkg", "-S", *found], capture_output=True, text=True, check=False).stdout
    packages = set(re.findall(r"^([^:\s]+-dev)[:,]", owners, re.M)) - {"linux-libc-dev"}	# libc6-dev brings it
    with open(os.path.join(inside.ROOT, "tests/kernel61/packages-cross"), encoding="utf-8") as listed:
        assert "libnl-3-dev" in packages and packages <= {line.strip() for line in listed}
