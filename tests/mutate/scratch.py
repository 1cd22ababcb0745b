# SPDX-License-Identifier: Apache-2.0
"""A copy of the tree in which mutants are built and tested; the tree itself is never written."""
import os
import re
import shutil
import signal
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NOT_COPIED = {".git", "build", "__pycache__", ".pytest_cache"}
TAIL = 20		# lines of what a command said that are kept


class Outcome:
    """What came of a command: its exit status, None where it ran over its time, and its words."""

    def __init__(self, status, text):
        self.status, self.text = status, text

    def tail(self):
        return "\n".join(self.text.splitlines()[-TAIL:])


def run(command, seconds, cwd, env=None):
    """Runs it in a process group of its own, which ends with it or with its time."""
    with subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, text=True,
                          errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True) as child:
        try:
            text, _ = child.communicate(timeout=seconds)
            return Outcome(child.returncode, text)
        except subprocess.TimeoutExpired:
            pass
        for kill in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(child.pid, kill)
                text, _ = child.communicate(timeout=20)
                break
            except (ProcessLookupError, subprocess.TimeoutExpired):
                text = ""
        return Outcome(None, text)


class Scratch:
    """One worker's copy: sources and what the tree's build directory holds of `products`."""

    def __init__(self, path, build, products):
        self.path, self.build = path, os.path.join(path, "build")
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(ROOT, path, symlinks=True,
                        ignore=lambda at, names: NOT_COPIED.intersection(names))
        for name in products:
            source, target = os.path.join(build, name), os.path.join(self.build, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.isdir(source):
                shutil.copytree(source, target, symlinks=True)
            else:
                shutil.copy2(source, target)
        self.env = environment(self.build)
        self.moved = False	# were programs built around a mutant's data?

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)

    def write(self, file, data):
        """Newer than whatever was built of it before."""
        path = os.path.join(self.path, file)
        with open(path, "wb") as out:
            out.write(data)
        now = time.time_ns()
        os.utime(path, ns=(now, now))

    def make(self, targets, seconds):
        return run(["make", "--no-print-directory", "B=build", *targets], seconds, self.path, self.env)

    def run(self, command, seconds):
        return run(command, seconds, self.path, self.env)


def environment(build):
    env = dict(os.environ, PICKET_BUILD=build, PYTHONDONTWRITEBYTECODE="1",
               PK_OBJECTS=os.path.join(build, "bpf"))
    env.pop("PK_PROVED", None)		# a mutant proves no reason
    for name in ("MAKELEVEL", "MFLAGS"):
        env.pop(name, None)
    # Of the outer make: its variables (CC=...), but neither its job server nor its B and N.
    words = env.pop("MAKEFLAGS", "").split(" -- ", 1)
    kept = [w for w in re.findall(r"(?:\\.|\S)+", words[-1])		# a blank in one is escaped
            if w.startswith(("CC=", "CLANG=", "STRIP=", "BPFTOOL="))]
    if kept:
        env["MAKEFLAGS"] = " -- " + " ".join(kept)
    return env
