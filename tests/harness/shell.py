# SPDX-License-Identifier: Apache-2.0
"""Commands with their output, and waiting for a condition."""
import os
import subprocess
import time

# How many times slower than a real processor this machine is: bounds on waiting grow with it.
SLOWER = int(os.environ.get("PK_SCALE", "1"))
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Failed(AssertionError):
    """A command ended otherwise than expected."""


def build_dir():
    return os.path.abspath(os.environ.get("PICKET_BUILD") or os.path.join(TREE, "build"))


def binary(name):
    """Path of a built program; the test fails with what to run if it isn't there."""
    path = os.path.join(build_dir(), name)
    if not os.access(path, os.X_OK):
        raise Failed(f"{path} is not built; fix: make B={build_dir()} all")
    return path


def run(argv, *, check=True, timeout=120, stdin=None, **popen):
    """Run to the end; CompletedProcess with text. check: a status other than 0 raises Failed."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True,
                          timeout=SLOWER * timeout, check=False, errors="replace", **popen)
    if check and done.returncode:
        raise Failed(f"{' '.join(map(str, argv))}: status {done.returncode}\n"
                     f"{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done


# What a condition raises that looks at what isn't there yet: a file, a key of an answer, a socket.
NOT_YET = (LookupError, StopIteration, OSError, TypeError, ValueError, Failed)


def wait_for(condition, what, timeout=30, pause=0.02):
    """
    What condition() answers once it is true; what: a text, or what makes one. A bound on waiting, never a measure of speed. Below a minute,
    so that what picketd hears of at once isn't what its audit of each minute sees. A condition that raises NOT_YET isn't true; an assertion's failure ends the wait.
    """
    end = time.monotonic() + SLOWER * timeout
    while True:
        cause = None
        try:
            answer = condition()
        except NOT_YET as error:
            answer, cause = None, error
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failed(f"waited {SLOWER * timeout} s for {what() if callable(what) else what}") from cause
        time.sleep(pause)
