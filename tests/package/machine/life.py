# SPDX-License-Identifier: Apache-2.0
"""
The package in a booted Debian: installed, upgraded and downgraded under traffic, removed, purged.
The tests are one story, in this order.
"""
import glob
import grp
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile

import pytest

from harness.shell import run, wait_for

PLUGIN = "/opt/cni/bin/picket"
CONF = {"cniVersion": "1.0.0", "name": "picket", "type": "picket", "pool": "10.40.7.0/24", "mode": "process"}
OLD, NEW = ("/picket/build/package/first/picket_*.deb", "/picket/build/package/newer/picket_*.deb")
ENV = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def dpkg(*words):
    return run(["dpkg", *words], env=ENV, timeout=120)


def install(pattern):
    found, = glob.glob(pattern)
    dpkg("--force-downgrade", "-i", found)


def unit(what):
    return run(["systemctl", "show", "-P", what, "picketd"]).stdout.strip()


class Picketd(http.client.HTTPConnection):
    """Its socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/picket/picketd.sock")


def api(path):
    """What picketd answers; None: it doesn't."""
    asked = Picketd("picketd")
    try:
        asked.request("GET", path)
        return json.load(asked.getresponse())
    except OSError:
        return None
    finally:
        asked.close()


def is_served():
    """The unit is up and says so, and picketd answers."""
    return (unit("ActiveState"), unit("SubState")) == ("active", "running") and api("/v1/status") is not None


def what_it_says():
    """For whoever reads that it isn't served."""
    return "picketd: " + run(["sh", "-c", "picket status; systemctl status -l --no-pager picketd"], check=False).stdout


class Endpoint:
    """A namespace that the plugin has attached."""

    def __init__(self, name, tenant):
        self.name, self.id = name, f"{name:0>8}-0000-4000-8000-000000000000"
        run(["ip", "netns", "add", name])
        args = f"IgnoreUnknown=1;NOMAD_NAMESPACE={tenant};NOMAD_JOB_ID=j;NOMAD_GROUP_NAME=g;NOMAD_ALLOC_ID={self.id}"
        said = run([PLUGIN], stdin=json.dumps(CONF), timeout=60, env={
            **ENV, "CNI_COMMAND": "ADD", "CNI_CONTAINERID": self.id, "CNI_NETNS": f"/run/netns/{name}",
            "CNI_IFNAME": "eth0", "CNI_PATH": "/opt/cni/bin", "CNI_ARGS": args})
        self.address = json.loads(said.stdout)["ips"][0]["address"].split("/")[0]

    def reaches(self, other):
        return run(["ip", "netns", "exec", self.name, "ping", "-c1", "-W2", other.address],
                   check=False).returncode == 0


class Pings:
    """Questions that go on while something happens: each must be answered."""

    def __init__(self, source, target):
        self.said = tempfile.NamedTemporaryFile()
        self.ping = subprocess.Popen(["ip", "netns", "exec", source.name, "ping", "-i", "0.1", target.address], stdout=self.said)

    def text(self):
        with open(self.said.name, encoding="ascii") as file:
            return file.read()

    def end(self):
        wait_for(lambda: self.text().count("icmp_seq=") >= 5, "a few answers")	# what was done may have been quicker
        self.ping.send_signal(signal.SIGINT)
        self.ping.wait()
        said = self.text()
        answers = [int(number) for number in re.findall(r"icmp_seq=(\d+) ttl=", said)]
        sent, = re.findall(r"(\d+) packets transmitted", said)
        # The last one's answer may have been under way.
        assert answers == list(range(1, len(answers) + 1)) and int(sent) <= len(answers) + 1, said


@pytest.fixture(scope="module")
def world():
    return {}


def test_it_installs_and_runs(world):
    install(OLD)
    wait_for(is_served, what_it_says, 180)
    assert unit("NRestarts") == "0" and unit("Slice") == "picket.slice"
    assert grp.getgrgid(os.stat("/run/picket/picketd.sock").st_gid).gr_name == "picket"
    assert os.readlink(PLUGIN) == "/usr/libexec/cni/picket"
    assert run(["systemctl", "is-enabled", "picketd"]).stdout.strip() == "enabled"
    run(["systemd-analyze", "verify", "--man=no", "picketd.service"])
    with open(f"/proc/{unit('MainPID')}/status", encoding="ascii") as file:
        status = {name: value.strip() for name, value in (line.split(":", 1) for line in file)}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2") and status["CapEff"] == status["CapBnd"], "as its unit says"


def test_reload_is_heard():
    with open("/etc/picket/picketd.json", "w", encoding="utf-8") as file:
        file.write('{ "nomad": null, "cluster": "reloaded" }')
    pid = unit("MainPID")
    run(["systemctl", "reload", "picketd"], timeout=60)
    wait_for(lambda: "reloaded" in json.dumps(api("/v1/config")), "the new setting", 180)
    assert unit("MainPID") == pid and is_served()


def test_endpoints_are_fenced(world):
    world["a"], world["b"], world["c"] = Endpoint("a", "acme"), Endpoint("b", "acme"), Endpoint("c", "beta")
    is_fenced(world)
    wait_for(lambda: "10.40.7." in run(["picket", "endpoint", "list"]).stdout, "the list", 180)


def is_fenced(world):
    assert world["a"].reaches(world["b"]) and not world["c"].reaches(world["b"])


@pytest.mark.parametrize("to", [NEW, OLD])
def test_another_version_takes_over_under_traffic(world, to):
    pid, pings = unit("MainPID"), Pings(world["a"], world["b"])
    install(to)
    wait_for(lambda: unit("MainPID") != pid and is_served(), "the other picketd", 180)
    pings.end()
    is_fenced(world)
    assert ("9.9.9" in run(["picket", "version"]).stdout) == (to == NEW)


def test_a_kill_is_mended(world):
    pid, pings = unit("MainPID"), Pings(world["a"], world["b"])
    os.kill(int(pid), signal.SIGKILL)
    wait_for(lambda: unit("MainPID") not in ("0", pid) and is_served(), "the next picketd", 180)
    pings.end()


def test_nothing_was_refused_to_it():
    """The filter of system calls and the capabilities leave what picketd does."""
    said = run(["journalctl", "-u", "picketd", "--no-pager", "-o", "cat"]).stdout
    assert "op=" in said
    assert not [line for line in said.splitlines() if "not permitted" in line or "ermission denied" in line
                or "Read-only" in line], said


def test_removal_leaves_the_fence(world):
    pings = Pings(world["a"], world["b"])
    dpkg("-r", "picket")
    pings.end()
    is_fenced(world)
    assert not os.path.lexists(PLUGIN) and not os.path.exists("/usr/sbin/picketd")
    assert run(["systemctl", "is-active", "picketd"], check=False).stdout.strip() == "inactive"


def test_a_purge_without_an_answer_forgets_no_endpoint(world):
    dpkg("-P", "picket")
    assert os.listdir("/var/lib/picket/endpoints") and os.path.isdir("/sys/fs/bpf/picket")
    is_fenced(world)


def test_it_comes_back_to_what_was_left(world):
    install(OLD)
    wait_for(is_served, what_it_says, 180)
    listed = run(["picket", "endpoint", "list"]).stdout
    assert all(world[name].address in listed for name in "abc"), listed
    is_fenced(world)


def test_a_purge_that_is_answered_forgets():
    run(["debconf-set-selections"], stdin="picket picket/purge-fence boolean true\n")
    dpkg("-P", "picket")
    assert not os.path.exists("/var/lib/picket") and not os.path.exists("/sys/fs/bpf/picket")
    assert not os.path.exists("/etc/picket/policies.d")
