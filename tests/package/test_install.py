# SPDX-License-Identifier: Apache-2.0
"""
docs/install.md is this test's script: its commands, as they stand there, in a clean Debian 12 booted with systemd, with the
real Nomad. The tests are one story, in this order.
"""
import functools
import http.server
import json
import os
import re
import sys
import threading
import time

import pytest

from building import needs
from harness.booted import ADDRESS, WORLD, Booted
from harness.nomad import peer
from harness.shell import TREE, wait_for

# As HashiCorp's package has it.
UNIT = """[Unit]
Wants=network-online.target
After=network-online.target
[Service]
ExecReload=/bin/kill -HUP $MAINPID
ExecStart=/usr/bin/nomad agent -config /etc/nomad.d
KillMode=process
KillSignal=SIGINT
LimitNOFILE=65536
Restart=on-failure
RestartSec=2
[Install]
WantedBy=multi-user.target
"""
AGENT = f"""
data_dir = "/var/lib/nomad"
disable_update_check = true
advertise {{
  http = "{ADDRESS}"
  rpc  = "{ADDRESS}"
  serf = "{ADDRESS}"
}}
server {{
  enabled          = true
  bootstrap_expect = 1
}}
client {{
  enabled = true
  servers = ["127.0.0.1:4647"]
  meta {{
    picket_pool = "10.40.8.0/24"
  }}
  options = {{
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean"
  }}
}}
plugin "raw_exec" {{
  config {{
    enabled = true
  }}
}}
"""


@functools.cache
def blocks(section):
    """The commands that the page has below that heading, a text for each block."""
    with open(os.path.join(TREE, "docs/install.md"), encoding="utf-8") as page:
        text = page.read()
    told = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = re.findall(r"^```sh\n(.*?)^```$", told, re.M | re.S)
    assert found, section
    return found


@pytest.fixture(scope="module")
def node(deb, tarball, kernel_and_root):
    needs("systemd-nspawn")
    nomad = peer("nomad")
    if not nomad:
        pytest.skip("no Nomad, and no Go to build one")
    booted = Booted(kernel_and_root[1], {"/usr/bin/nomad": nomad, "/srv/deb": deb, "/srv/tarball": os.path.dirname(tarball),
                            "/srv/nomad": os.path.join(TREE, "examples/nomad")})
    try:
        booted.write("/etc/nomad.d/nomad.hcl", AGENT)
        booted.write("/etc/systemd/system/nomad.service", UNIT)
        booted.sh("systemctl enable --now nomad", timeout=60)
        wait_for(lambda: "ready" in booted.sh("nomad node status", check=False).stdout,
                 lambda: booted.sh("journalctl -u nomad | tail -30").stdout, 180, pause=0.5)
        yield booted
    finally:
        booted.close()


# Where it stops at the first failure, a warning of `picket check` is none. The driver exec needs control groups that a
# container hasn't got everywhere; there are no VMs here.
PRELUDE = 'export NOMAD_VAR_driver=raw_exec NOMAD_VAR_mode=process\npicket() { command picket "$@" || { s=$?; [ "$1" = check ] && [ $s = 1 ]; }; }\n'


def walk(node, text, folder, **kw):
    """A block, in a folder, as a shell reads it; how long it took is printed."""
    began = time.monotonic()
    said = node.sh(f"{PRELUDE}cd {folder}\n{text}", timeout=200, **kw)
    print(f"-- {time.monotonic() - began:.1f} s, {len(text.splitlines())} lines: {text.splitlines()[0]} ...", file=sys.stderr)
    return said


def endpoints(node, *words):
    return json.loads(node.sh(" ".join(("picket endpoint list -json -state open", *words))).stdout)


def reached(node):
    """The page's own question: (addresses that the first tenant reaches, those that it doesn't)."""
    said = walk(node, blocks("See the fence")[1], "/").stdout
    return re.findall("^(\\S+) is reached$", said, re.M), re.findall("^(\\S+) is not reached$", said, re.M)


def stop_jobs(node, *namespaces):
    for namespace in namespaces:
        node.sh(f"nomad job stop -purge -namespace={namespace} first")
    wait_for(lambda: not endpoints(node), "no endpoint to be left", 180, pause=0.5)


def start_jobs(node, *namespaces):
    for namespace in namespaces:
        node.sh(f"{PRELUDE}nomad job run -detach -namespace={namespace} /srv/nomad/first.nomad.hcl")
    wait_for(lambda: len(endpoints(node)) == 2 * len(namespaces),
             lambda: node.sh("nomad job status first; picket endpoint list", check=False).stdout, 180, pause=0.5)
    wait_for(lambda: all(listens(node, e) for e in endpoints(node)), "the servers to listen", 180, pause=0.5)


def listens(node, endpoint):
    return node.sh(f"ip netns exec {endpoint['containerId']} ss -Hltn sport = :8080", check=False).stdout


def is_fenced(node):
    """Both servers of the first tenant are reached from one of them; the other tenant's must not be, whatever else."""
    yes, no = reached(node)
    own, others = ({e["addresses"][0].split("/")[0] for e in endpoints(node, "-namespace", name)} for name in ("default", "other"))
    assert len(own) == len(others) == 2 and not others & set(yes) and others <= set(no), (own, others, yes, no)
    return set(yes) == own


def comes_under_the_fence(node):
    """What has just been started is reached a little later."""
    wait_for(lambda: is_fenced(node), lambda: node.sh("picket endpoint list; picket flows -last 30", check=False).stdout, 180)


def test_five_commands_to_a_fenced_job(node):
    script, = blocks("Five commands to a fenced job")
    assert len(script.splitlines()) == 5
    walk(node, script, "/srv/deb")
    listed = endpoints(node)
    assert [e["namespace"] for e in listed] == ["default"] * 2, listed


def test_the_fence_is_seen(node):
    other, _, denied = blocks("See the fence")
    assert " other " in walk(node, other, "/").stdout
    assert is_fenced(node)
    said = walk(node, denied, "/", check=False)
    assert said.returncode == 1 and "policy-denied" in said.stdout and "\ndenied\n" in said.stdout, said


def test_the_tarball(node):
    stop_jobs(node, "default", "other")
    node.sh("apt-get -qq purge -y picket; mkdir /root/new; cp /srv/tarball/*.tar.gz /root/new", timeout=120)
    install, uninstall = blocks("Without Debian: the tarball")
    assert "is installed" in walk(node, install, "/root/new").stdout
    assert node.sh("systemctl show -P ExecStart picketd").stdout.count("/opt/picket/sbin/picketd")
    start_jobs(node, "default", "other")
    comes_under_the_fence(node)
    stop_jobs(node, "default", "other")
    walk(node, uninstall, "/")
    assert node.sh("ls -d /opt/picket /opt/cni/bin/picket /etc/systemd/system/picketd.service", check=False).stdout == ""
    assert node.sh("systemctl is-active picketd", check=False).stdout.strip() == "inactive"
    node.sh("rm /opt/cni/config/picket.conflist")


@pytest.fixture(scope="module")
def served(node, tarball):
    """The world serves the tarball, under whatever name."""
    with open(tarball, "rb") as file:
        content = file.read()

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with node.outside():
        server = http.server.ThreadingHTTPServer((WORLD, 80), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield
    server.shutdown()


def picketds(node):
    return node.sh("pgrep -x picketd", check=False).stdout.split()


def has_picketd(node):
    return node.sh("picket status -q", check=False).returncode == 0


def test_the_system_job(node, served):
    run, = blocks("By Nomad: a system job")
    walk(node, run, "/srv/nomad")
    wait_for(lambda: has_picketd(node), lambda: node.sh("picket status; nomad job status picket", check=False).stdout, 180)
    with_pool = json.loads(node.sh("cat /opt/cni/config/picket.conflist").stdout)
    assert with_pool["plugins"][0]["pool"] == "10.40.8.0/24"
    assert not node.sh("ls /etc/systemd/system/picketd.service", check=False).stdout
    start_jobs(node, "default", "other")
    comes_under_the_fence(node)
    assert all(e["addresses"][0].startswith("10.40.8.") for e in endpoints(node))


def test_without_its_picketd_the_fence_goes_on_and_new_ones_are_fenced(node):
    node.sh("nomad job stop picket")
    wait_for(lambda: not picketds(node), "picketd to end", 180)
    assert is_fenced(node)
    node.sh("nomad job stop -purge -namespace=other first")
    wait_for(lambda: len(endpoints(node)) == 2, "the others' end", 180, pause=0.5)
    start_jobs(node, "default", "other")
    comes_under_the_fence(node)


def test_it_comes_back_and_is_updated_under_running_jobs(node, served):
    run, = blocks("By Nomad: a system job")
    before = {e["containerId"] for e in endpoints(node)}
    for query in ("", "?another=1"):
        was = picketds(node)
        walk(node, run.replace("tar.gz ", f"tar.gz{query} "), "/srv/nomad")
        wait_for(lambda: picketds(node) and picketds(node) != was and has_picketd(node), "the next picketd", 180, pause=0.5)
        assert is_fenced(node) and {e["containerId"] for e in endpoints(node)} == before


def test_a_drain_leaves_the_tables_and_no_endpoint(node):
    """By its deadline: there is no other node that could take the servers."""
    node.sh("nomad node drain -enable -self -yes -deadline 5s", timeout=120)
    wait_for(lambda: not picketds(node) and not endpoints(node), "all to end", 180, pause=0.5)
    assert node.sh("ls /sys/fs/bpf/picket").stdout
