# SPDX-License-Identifier: Apache-2.0
"""picketd and the CLI of a node."""
import contextlib
import datetime
import glob
import http.client
import json
import os
import signal
import socket
import subprocess
import time

from .shell import SLOWER, TREE, Failed, binary, wait_for


PATIENCE = 90 * SLOWER		# seconds for an answer


def held_by(pid):
    """What each thread of a process does: its state, system call and kernel stack."""
    said = []
    for thread in sorted(glob.glob(f"/proc/{pid}/task/*")):
        for name in "comm", "wchan", "syscall", "stack":
            with contextlib.suppress(OSError), open(os.path.join(thread, name), encoding="utf-8") as file:
                said.append(f"{os.path.basename(thread)} {name}: {file.read().strip()}")
        with contextlib.suppress(OSError), open(os.path.join(thread, "stat"), encoding="utf-8") as file:
            state, *rest = file.read().rsplit(")", 1)[1].split()
            said.append(f"{os.path.basename(thread)} state {state}, {rest[10]} and {rest[11]} ticks of processor")
    return "\n".join(said)


class _Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("picketd", timeout=PATIENCE)
        self.unix_path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self.unix_path)


class DaemonMixin:
    """Of Node: uses its options, root, path and popen."""

    @property
    def log_path(self):
        return os.path.join(self.root, "var/log/picketd.log")

    def written(self):
        """
        picketd's threads write its files and its log: what it was to write before this is there afterwards, unless its disk is said not to answer.
        """
        if self.picketd is None or self.picketd.poll() is not None:
            return
        with open(f"/proc/{self.picketd.pid}/stat", encoding="utf-8") as file:
            if file.read().rsplit(")", 1)[1].split()[0] == "T":
                return
        end = time.monotonic() + 20 * SLOWER
        try:
            while (writes := self.api("/v1/status")["writes"])["waiting"] and not writes["diskSilentMs"] and time.monotonic() < end:
                time.sleep(0.001)
        except (OSError, ValueError, KeyError, Failed, http.client.HTTPException):
            pass			# it doesn't answer (yet)

    def log(self):
        self.written()
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def write_config(self, config=None):
        """picketd.json, and the conflist that it reads beside it: the example's, with our options."""
        directory = os.path.join(self.root, "opt/cni/config")
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(TREE, "examples/picket.conflist"), encoding="utf-8") as file:
            example = json.load(file)["plugins"][0]
        example.pop("pool")
        plugin = {**example, **self.plugin_conf()}
        conflist = {"cniVersion": plugin.pop("cniVersion"), "name": plugin.pop("name"),
                    "plugins": [plugin]}
        conflist_path = os.path.join(directory, f"{self.options.network}.conflist")
        with open(conflist_path, "w", encoding="utf-8") as file:
            json.dump(conflist, file, indent=1)
        config = {"root": self.root, "conflist": conflist_path,
                  **(self.options.config if config is None else config)}
        path = os.path.join(self.root, "etc/picket/picketd.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file, indent=1)
        return conflist_path

    def start_picketd(self, config=None, env=None, wait=True):
        """Write picketd.json and start picketd; wait until its socket answers."""
        self.write_config(config)
        with open(self.log_path, "a", encoding="utf-8") as log:
            if self.options.fault:
                env = {**(env or os.environ), **self.fault_env()}
            self.picketd = self.popen([self.program("picketd"), "-root", self.root], env=env,
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            self.picketd_serves()
        return self.picketd

    def picketd_serves(self):
        """Wait for its first answer: it loads programs first. One that hangs says in what."""
        wait_for(self.picketd_answers, lambda: f"picketd of {self.name}\n{held_by(self.picketd.pid)}\n{self.log()[-2000:]}", 120)

    def picketd_answers(self):
        if self.picketd.poll() is not None:
            raise Failed(f"picketd ended with {self.picketd.returncode}\n{self.log()[-3000:]}")
        try:
            return self.api("/v1/status")
        except (OSError, http.client.HTTPException):
            return None

    def kill_picketd(self, number=signal.SIGKILL, at_once=False):
        """at_once: also while it has something to write, which is lost then."""
        if not at_once:
            self.written()
        process, self.picketd = self.picketd, None
        process.send_signal(number)
        process.wait(timeout=60 * SLOWER)
        return process.returncode

    def api_text(self, path, method="GET", body=None, check=True):
        """An answer of picketd's HTTP API as text; check: a status over 299 raises Failed."""
        connection = _Unix(self.path("run/picket/picketd.sock"))
        try:
            connection.request(method, path, body=None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if check and answer.status > 299:
            raise Failed(f"{method} {path}: {answer.status} {text[:500]}")
        return text

    def api(self, path, method="GET", body=None, check=True):
        """The same as an object."""
        text = self.api_text(path, method, body, check)
        return json.loads(text) if text.strip() else None

    def reasons(self, what):
        """Those of status about this."""
        return [r for r in self.api("/v1/status")["reasons"] if r["what"] == what]

    def source(self, name):
        """"nomad", "consul" or "files", as status has it."""
        return next(s for s in self.api("/v1/status")["sources"] if s["name"] == name)

    @staticmethod
    def now():
        """The time as picketd writes it; such texts sort by time."""
        return datetime.datetime.utcnow().isoformat(timespec="milliseconds") + "Z"

    def picket(self, *argv, **kw):
        """The CLI; CompletedProcess."""
        return self.run([self.program("picket"), "-root", self.root, *argv], **kw)

    def policy(self, name, document):
        """Put a document into policies.d by rename; None removes it."""
        path = os.path.join(self.root, "etc/picket/policies.d", name)
        if document is None:
            os.unlink(path)
            return
        text = document if isinstance(document, str) else json.dumps(document)
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".new", path)
