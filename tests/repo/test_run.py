# SPDX-License-Identifier: Apache-2.0
"""The last lines of `make test` say which tests failed, and what they said."""
import importlib.util
import os
import signal
import subprocess
import sys
import threading

import pytest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SPEC = importlib.util.spec_from_file_location("run", os.path.join(TESTS, "run.py"))
run = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(run)

CMOCKA = """[ RUN      ] test_whole
[       OK ] test_whole
[ RUN      ] test_broken
[  ERROR   ] --- 0x1 != 0x2
[   LINE   ] --- tests/unit/test_addr.c:12: error: Failure!
[  FAILED  ] test_broken
[==========] addr: 2 test(s) run.
[  FAILED  ] addr: 1 test(s), listed below:
[  FAILED  ] test_broken
"""
GUARD = """-- verifier: pk_fragment 21148 of 120000
FAILED a fragment passes (fragment)
  want reason 0 at slot 1 dir 0
  returned 2
3564 passed, 1 failed, 0 skipped
"""


def report_of(tmp_path, text):
    """What pytest itself writes about a file of tests."""
    (tmp_path / "test_made.py").write_text(text)
    runner = run.Runner(str(tmp_path / "build"), 0)
    runner.pytest("made", 60, [str(tmp_path / "test_made.py")])
    return runner.tally


def test_a_failed_test_is_named_with_what_it_said(tmp_path):
    tally = report_of(tmp_path, "def test_whole():\n    pass\n\ndef test_broken():\n    assert 1 + 1 == 3, 'sums'\n")
    assert (tally.passed, tally.failed) == (1, 1)
    assert tally.failures[:3] == ["FAILED made: test_made.py::test_broken", "  AssertionError: sums",
                                  "  assert (1 + 1) == 3"]
    assert tally.failures[3].endswith("test_made.py:5: AssertionError")


def test_a_fixture_that_fails_is_told(tmp_path):
    tally = report_of(tmp_path, "import pytest\n\n@pytest.fixture\ndef made():\n    raise OSError('no disk')\n\n"
                         "def test_it(made):\n    pass\n")
    assert tally.failures[0] == "FAILED made: test_made.py::test_it"
    assert "no disk" in tally.failures[1]


def test_the_end_of_a_long_word_is_told(tmp_path):
    """It is a log's, of what went wrong last."""
    tally = report_of(tmp_path, "def test_it():\n    raise OSError('waited for it\\n' + ''.join(f'line {i}\\n' for i in range(100)))\n")
    assert tally.failures[1] == "  OSError: waited for it"
    assert "  line 99" in tally.failures and "  line 50" not in tally.failures


def test_many_failures_leave_the_rest_in_sight(tmp_path):
    tally = report_of(tmp_path, "import pytest\n\n@pytest.mark.parametrize('n', range(50))\ndef test_it(n):\n"
                         "    assert not 'x' * 5000\n")
    assert tally.failed == 50
    assert len(tally.failures) == run.TOLD + 1
    assert tally.failures[-1].endswith("lines more")
    assert max(map(len, tally.failures)) <= run.WIDTH


def test_a_program_is_told_by_its_own_lines():
    assert run.telling(GUARD) == ["a fragment passes (fragment)", "  want reason 0 at slot 1 dir 0", "  returned 2"]
    assert run.telling(CMOCKA)[:3] == ["[  ERROR   ] --- 0x1 != 0x2",
                                       "[   LINE   ] --- tests/unit/test_addr.c:12: error: Failure!",
                                       "[  FAILED  ] test_broken"]
    assert run.telling("one\ntwo\nthree\nfour\nSegmentation fault\n")[-1] == "Segmentation fault"


STOPPED = """
import signal, sys
sys.path.insert(0, sys.argv[1])
import run
runner = run.Runner(sys.argv[2], 0)
signal.signal(signal.SIGTERM, runner.stopped)
runner.run("slow", ["sh", "-c", "echo so far; kill -TERM $PPID; exec sleep 5"], 60)
"""


def test_whoever_ends_the_run_learns_what_it_was_at(tmp_path):
    done = subprocess.run([sys.executable, "-c", STOPPED, TESTS, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGTERM
    said = done.stdout.splitlines()
    assert said[0].endswith(f"{tmp_path}/test-logs/slow.log:") and said[1] == "so far", done


def test_an_exception_in_a_lane_is_the_runs(tmp_path, monkeypatch):
    """The other lane goes on with no further suite."""
    runner, did, began = run.Runner(str(tmp_path), 0), [], threading.Event()
    monkeypatch.setattr(run, "STEPS", ((("lint",), ("repo", "unit")),))
    monkeypatch.setattr(runner, "lint", lambda: began.wait(30) and 1 / 0)
    monkeypatch.setattr(runner, "repo", lambda: began.set() or did.append(runner.ending.wait(30)))
    monkeypatch.setattr(runner, "unit", lambda: did.append("too much"))
    with pytest.raises(ZeroDivisionError):
        runner.whole()
    assert did == [True]


def test_each_suite_has_a_step():
    assert sorted(set(run.SUITES)) == sorted(run.SUITES)
    assert all(callable(getattr(run.Runner, suite)) for suite in run.SUITES + run.ASKED_FOR)
