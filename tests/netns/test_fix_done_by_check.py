# SPDX-License-Identifier: Apache-2.0
"""What `picket check` says as a `fix:` is done to the node, and then check no longer says it."""
import json
import os
import shutil

import pytest
from harness.shell import TREE, binary
from test_check import FakeAgent, VERSION, install_plugin, put
from test_fix_done import conf
from test_fix_done_at_add import CLAIMS, reload
from test_sock import cgroup  # noqa: F401 pylint: disable=unused-import


def told(node, **env):
    """The fixes of all that isn't well."""
    done = node.picket("check", "-json", check=False, env={"NOMAD_ADDR": "http://127.0.0.1:1", **env})
    return [line["fix"] or "" for line in json.loads(done.stdout) if line["state"] != "ok"]


def complains(node, fix, **env):
    said = told(node, **env)
    assert any(fix in text for text in said), (fix, said)
    return next(text for text in said if fix in text)


def is_content(node, fix, **env):
    said = told(node, **env)
    assert not any(fix in text for text in said), (fix, said)


def write_conflist(node, **more):
    node.options.conf.update(more)
    node.write_config()


def test_no_network_yet(node):
    fix = "put examples/picket.conflist there"
    complains(node, fix)
    directory = os.path.join(node.root, "opt/cni/config")
    os.makedirs(directory)
    shutil.copy(os.path.join(TREE, "examples/picket.conflist"), directory)
    is_content(node, fix)


def test_a_network_without_a_pool(node):
    node.options.pool = ()
    node.write_config()
    fix = 'say "pool": "10.40.7.0/24"'
    complains(node, fix)
    node.options.pool = ("10.40.7.0/24",)
    node.write_config()
    is_content(node, fix)


def test_a_pool_beside_claimed_blocks(node, consul):
    fix = 'drop "pool"'
    config = {**CLAIMS, "consul": {"address": consul.address}}
    node.start_picketd(config)
    node.written()
    complains(node, fix)
    node.options.pool = ()
    reload(node, config)
    is_content(node, fix)


def test_a_pool_that_the_node_has_elsewhere(node):
    fix = "take a block that no network of this node and no route has"
    node.run(["ip", "addr", "add", "10.40.7.9/25", "dev", "up0"])
    node.write_config()
    complains(node, fix)
    node.options.pool = ("10.40.8.0/24",)
    node.write_config()
    is_content(node, fix)


def test_guests_without_a_resolver(node):
    fix = "name resolvers in it, if guests are to have one"
    write_conflist(node, dns={"servers": []})
    complains(node, fix)
    write_conflist(node, dns={"servers": ["192.0.2.53"]})
    is_content(node, fix)


def test_two_baselines(node):
    fix = "make them the same; the node lives by picketd's"
    node.options.conf["baseline"] = "deny"
    node.start_picketd({"nomad": None, "baseline": "tenant"})
    node.written()
    complains(node, fix)
    node.options.conf["baseline"] = "tenant"
    node.write_config({"nomad": None, "baseline": "tenant"})
    is_content(node, fix)


def test_another_capacity(node):
    fix = "reboot the node when it suits"
    node.add("acme", "api", "web")
    node.start_picketd({"nomad": None, "capacity": {"endpoints": 100}})
    node.written()
    complains(node, fix)
    node.reboot()
    node.start_picketd({"nomad": None, "capacity": {"endpoints": 100}})
    node.written()
    is_content(node, fix)


def test_who_stands_before_the_guard(node):
    fix = "find out who put it there, remove it; picketd puts the guard first again"
    alloc = node.add("acme", "api", "web")
    pinned = f"{node.root}/sys/fs/bpf/picket/{os.readlink(node.path('sys/fs/bpf/picket/current'))}/pk_forward_tap"
    where = ["dev", f"pk{alloc.slot}", "ingress", "pref", "1", "handle", "7", "protocol", "all", "bpf"]
    node.run(["tc", "filter", "add", *where, "da", "object-pinned", pinned])
    complains(node, fix)
    node.run(["tc", "filter", "del", *where])
    is_content(node, fix)


def test_who_is_nobody(node):
    node.write_config()
    node.add("acme", "api", "web")
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", node.program("picket"), "-root", node.root]
    said = node.run([*nobody, "check"], check=False)
    assert "as root" in said.stdout + said.stderr and said.returncode == 2
    assert not [text for text in told(node) if "as root" in text]


def test_published_ports_and_the_nodes_own_processes(node, cgroup):  # noqa: F811
    fix = '"cgroup": "/sys/fs/cgroup" in picketd.json, and reload picketd'
    node.add("acme", "api", "web", conf=conf(node, runtimeConfig={"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}))
    node.start_picketd({"nomad": None})
    node.written()
    complains(node, fix)
    reload(node, {"nomad": None, "cgroup": cgroup.path})
    is_content(node, fix)
    node.kill_picketd()


def test_no_plugin(node):
    node.write_config()
    os.makedirs(os.path.join(node.root, "opt/cni/bin"))
    target = os.path.join(node.root, "opt/cni/bin/picket")
    if not any(os.path.exists(os.path.join(folder, "picket")) for folder in ("/opt/cni/bin", "/usr/libexec/cni", "/usr/lib/cni")):
        complains(node, "copy picket-cni to /opt/cni/bin/picket")
    with open(target, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\necho CNI host-local plugin v1.3.0\n")
    os.chmod(target, 0o755)
    complains(node, "copy picket-cni to it")
    shutil.copy(binary("picket-cni"), target)
    is_content(node, "copy picket-cni")


@pytest.fixture
def agent(node):
    with node.inside():
        fake = FakeAgent()
    yield fake
    fake.stop()


# (fix, what the agent says that it doesn't like, what it says once it is done)
AGENT = [
    ("send Nomad SIGHUP and wait a minute, or restart it", {"networks": []}, {}),
    ("run Nomad 1.9.4 or later on this node", {"version": "1.8.2"}, {"version": "1.9.4"}),
    ("put the reference plugin bridge, 1.3.0 or later, into Nomad's cni_path", {"plugins": {"picket": "v" + VERSION}}, {}),
    ("restart Nomad, or remove the file that it still finds first in its cni_path", {"plugins": {"picket": "v0.0.1", "bridge": "v1.3.0"}}, {}),
    ("then restart Nomad", {"plugins": {"bridge": "v1.3.0"}}, {})]


@pytest.mark.parametrize("fix, wrong, right", AGENT, ids=[row[0][:40] for row in AGENT])
def test_what_nomad_says(node, agent, fix, wrong, right):
    install_plugin(node.root)
    put(node.root, "good.conflist")
    good = {"networks": [{"Mode": "cni/picket"}], "plugins": FakeAgent.plugins, "version": FakeAgent.version}
    vars(agent).update({**good, **wrong})
    complains(node, fix, NOMAD_ADDR=agent.address)
    vars(agent).update({**good, **right})
    is_content(node, fix, NOMAD_ADDR=agent.address)


def test_who_may_ask_nomad_and_where(node, agent):
    put(node.root, "good.conflist")
    agent.token = "given"
    complains(node, "start the agent, or name it: NOMAD_ADDR")
    complains(node, "give NOMAD_TOKEN with agent:read and node:read", NOMAD_ADDR=agent.address)
    for fix in ("start the agent", "give NOMAD_TOKEN"):
        is_content(node, fix, NOMAD_ADDR=agent.address, NOMAD_TOKEN="given")
