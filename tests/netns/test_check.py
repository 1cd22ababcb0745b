# SPDX-License-Identifier: Apache-2.0
"""
`picket check` finds what would fail a job or keep Nomad from starting, each with its fix. The files of
tests/conflists are what operators wrote; what an ADD says of a file is asked of the plugin itself.
"""
import json
import os
import shutil
import signal
import subprocess

import pytest
from fake import FakeNomad, serving
from fake.server import FakeServer
from harness import CniError, wait_for
from harness.shell import TREE, binary, run

from test_cli import Cli, root		# noqa: F401 (a fixture)

FILES = os.path.join(TREE, "tests/conflists")
VERSION = run([binary("picket"), "version"]).stdout.split()[1].rstrip(",")


def put(root, *names):
    """Files of tests/conflists in the CNI directory; "a as b" renames one."""
    directory = os.path.join(root, "opt/cni/config")
    os.makedirs(directory, exist_ok=True)
    for name in names:
        source, _, target = name.partition(" as ")
        shutil.copy(os.path.join(FILES, source), os.path.join(directory, target or source))


def found(done, what):
    return [c for c in json.loads(done.stdout) if c["what"] == what]


def wrong(lines):
    return [c for c in lines if c["state"] != "ok"]


CONFLISTS = [
    # files, state of the worst line, text, fix (None: nothing is wrong but the root of tests)
    (["good.conflist"], "ok", "network \"picket\"", None),
    (["newer-version.conflist"], "ok", "network \"picket\"", None),
    (["good.conflist", "foreign.conflist"], "ok", "network \"picket\"", None),
    (["good.conflist as .conflist"], "ok", "network \"picket\"", None),
    (["misspelt-key.conflist"], "fail", ':2:35: error: .plugins[0].pol: unknown key', 'did you mean "pool"?'),
    (["no-pool.conflist"], "fail", 'no "pool"', "10.40.7.0/24"),
    (["no-version.conflist"], "fail", "cniVersion is absent", '"cniVersion": "1.0.0"'),
    (["no-capability.conflist"], "warn", "none of the ports", '"capabilities": { "portMappings": true }'),
    (["single.conf"], "warn", "a single plugin's file", '"plugins"'),
    (["good.conflist as single.conf"], "fail", 'no "type": Nomad stops at this file', '"type"'),
    (["good.conflist", "foreign-no-plugins.conflist"], "fail", 'no "plugins": Nomad stops at this file', "move the file away"),
    (["good.conflist", "foreign-no-type.json"], "fail", 'no "type": Nomad stops at this file', '"type"'),
    (["good.conflist as a.conflist", "good.conflist as b.conflist"], "fail",
     "b.conflist: ignored, its network \"picket\" is", "name the networks differently"),
    (["foreign.conflist"], "fail", "no network of type picket", "examples/picket.conflist")]


@pytest.mark.parametrize("files, state, text, fix", CONFLISTS)
def test_a_conflist(tmp_path, files, state, text, fix):
    put(tmp_path, *files)
    lines = found(Cli(tmp_path).pipe("check", "-json"), "conflist")
    told = [c for c in lines if text in c["text"]]
    assert told and told[0]["state"] == state, lines
    assert (fix is None and told[0]["fix"] is None) or fix in told[0]["fix"], told
    # Nothing beside it, but what follows: no file is ours then, the directory is no node's root, ports aren't passed.
    follows = ("no network of type picket", "endpoints are kept below root", "none of the ports")
    assert not [c for c in wrong(lines) if c not in told and not any(f in c["text"] for f in follows)], lines


def test_plugin_files_beside_a_list_are_plugins(tmp_path):
    """libcni takes NETWORK/*.conf of the same directory for a list that has no plugins of its own."""
    put(tmp_path, "good.conflist", "foreign-no-plugins.conflist")
    os.makedirs(tmp_path / "opt/cni/config/zone")
    put(tmp_path, "single.conf as zone/10.conf")
    lines = found(Cli(tmp_path).pipe("check", "-json"), "conflist")
    assert "fail" not in [c["state"] for c in lines], lines


@pytest.mark.parametrize("name", sorted(n for n in os.listdir(FILES) if not n.startswith("foreign")))
def test_check_and_the_plugin_agree(make_node, name):
    """What check calls fit an ADD takes, and what it fails an ADD refuses, in the same words."""
    node = make_node(uplink=False)
    put(node.root, name)
    with open(os.path.join(FILES, name), encoding="utf-8") as file:
        text = json.load(file)
    plugin = {**text.get("plugins", [text])[0], "name": text["name"], "root": node.root, "mode": "process"}
    if "cniVersions" in text or "cniVersion" in text:
        plugin["cniVersion"] = text.get("cniVersion", "1.0.0")		# libcni takes the newest
    lines = found(node.picket("check", "-json", check=False), "conflist")
    failed = [c for c in lines if c["state"] == "fail"]
    try:
        a = node.add("acme", "api", "web", conf=plugin)
        assert not failed, failed
        node.delete(a)
    except CniError as error:
        assert failed, (name, error.msg)


def check(node, what, **env):
    return found(node.picket("check", "-json", check=False, env={"NOMAD_ADDR": "http://127.0.0.1:1", **env}), what)


def test_nothing_is_wrong_with_a_good_node(node):
    node.write_config()
    for what in ("conflist", "pool", "status", "ipv6"):
        assert not wrong(check(node, what)), check(node, what)
    assert check(node, "status")[0]["text"].endswith("nothing stands in an ADD's way")
    node.start_picketd()
    assert [c["text"] for c in check(node, "nomad")] == ["none on this node (\"nomad\": null)"], "said once"


def test_a_pool_that_this_node_reaches_elsewhere(node):
    node.write_config()
    node.run(["ip", "link", "add", "lab0", "type", "veth"])
    node.run(["ip", "link", "set", "lab0", "up"])
    for route, state in (("10.40.7.128/25", "fail"), ("10.40.0.0/16", "fail"), ("10.40.6.0/24", "ok")):
        node.run(["ip", "route", "add", route, "dev", "lab0"])
        lines = check(node, "pool")
        assert lines[0]["state"] == state and (state == "ok" or (route in lines[0]["text"] and "lab0" in lines[0]["text"])), lines
        node.run(["ip", "route", "del", route, "dev", "lab0"])
    # A larger block that leads to a gateway is how this node reaches the cluster's other blocks.
    node.run(["ip", "route", "add", "10.40.0.0/16", "via", node.world.address])
    assert check(node, "pool")[0]["state"] == "ok"
    a = node.add("acme", "api", "web")			# its own routes are no obstacle
    assert check(node, "pool")[0]["state"] == "ok"
    node.delete(a)


def test_an_ipv6_pool_without_ipv6(node):
    node.write_config()
    node.run(["sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1"])
    lines = check(node, "ipv6")
    assert lines[0]["state"] == "fail" and "net.ipv6.conf.default.disable_ipv6=0" in lines[0]["fix"], lines
    for command in lines[0]["fix"].split(", or ")[:1]:
        node.run(command.split())
    assert not check(node, "ipv6")


def resolv(node, text):
    with open(os.path.join(node.root, "etc/resolv.conf"), "w", encoding="utf-8") as file:
        file.write(text)


def test_a_resolver_that_only_the_node_reaches(make_node):
    node = make_node()
    node.write_config()
    resolv(node, "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch corp.example\n")
    lines = check(node, "dns")
    assert lines[0]["state"] == "warn" and '"dns": { "servers"' in lines[0]["fix"], lines
    resolv(node, "nameserver 127.0.0.53\nnameserver 10.0.0.53\n")
    lines = check(node, "dns")
    assert lines[0]["state"] == "ok" and lines[0]["text"].endswith("guests ask 10.0.0.53"), lines
    for servers, state in ((["127.0.0.53"], "fail"), (["10.0.0.53", "::1"], "fail"), ([], "warn"), (["10.0.0.53"], "ok")):
        node.options.conf["dns"] = {"servers": servers}
        node.write_config()
        assert [c["state"] for c in check(node, "dns")] == [state], servers


def test_the_plugins_own_word(make_node):
    """Every address is leased: strict STATUS and check say it alike."""
    node = make_node(pool=("10.40.7.0/30",), conf={"mode": "process", "strictStatus": True}, cni_version="1.1.0")
    node.write_config()
    assert not wrong(check(node, "status"))
    a = node.add("acme", "api", "web")
    with pytest.raises(CniError) as error:
        node.cni("STATUS", "", "")
    line = check(node, "status")[0]
    assert line["state"] == "fail" and "no free IPv4 address in the pool" in line["text"], line
    assert error.value.msg in line["text"] and line["fix"] in error.value.details
    node.delete(a)


def reasons(node):
    return {r["what"]: r for r in node.api("/v1/status")["reasons"]}


def test_a_pool_that_is_nearly_used_up(make_node):
    """status says it before an ADD fails, with its fix, and no longer once there is room."""
    node = make_node(pool=("10.40.7.0/29",), conf={"mode": "process"})		# 5 addresses
    node.start_picketd()
    held = [node.add("acme", "api", "web") for _ in range(4)]
    wait_for(lambda: len(node.api("/v1/endpoints")["endpoints"]) == 4, "the endpoints")
    assert "pool" not in reasons(node)
    held.append(node.add("acme", "api", "web"))
    said = wait_for(lambda: reasons(node).get("pool"), "the reason")
    assert said["text"] == "pool 10.40.7.0/29: 5 of 5 addresses are held" and '"pool"' in said["fix"], said
    assert node.picket("status", check=False).returncode == 1 and wrong(check(node, "pool"))
    node.delete(held.pop())
    wait_for(lambda: "pool" not in reasons(node), "the room")


def test_a_disk_that_is_full(node):
    node.start_picketd()
    assert "disk" not in reasons(node) and not check(node, "disk")
    node.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", f"{node.root}/var/lib/picket/endpoints"])
    said = wait_for(lambda: reasons(node).get("disk"), "the reason")
    lines = check(node, "disk")
    assert {(c["text"], c["fix"]) for c in lines} == {(said["text"], said["fix"])} and "make room" in said["fix"], lines
    assert "fail" in [c["state"] for c in lines]


def test_two_networks_with_two_baselines(make_node):
    node = make_node(conf={"baseline": "deny"})
    node.write_config()
    put(node.root, "good.conflist as second.conflist")
    path = os.path.join(node.root, "opt/cni/config/second.conflist")
    with open(path, encoding="utf-8") as file:
        text = json.load(file)
    text["name"] = "second"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(text, file)
    told = [c for c in check(node, "conflist") if "baseline" in c["text"]]
    assert told and told[0]["state"] == "fail" and "picket.conflist" in told[0]["text"], told


def test_a_tap_of_the_drivers_own(node):
    node.write_config()
    a = node.add("acme", "api", "web")
    assert not check(node, "tap")
    a.run(["ip", "tuntap", "add", "dev", "vmtap0", "mode", "tap"])
    lines = check(node, "tap")
    assert lines[0]["state"] == "warn" and '"vmtap0" beside tap0' in lines[0]["text"] \
        and '"mode": "process"' in lines[0]["fix"], lines
    node.delete(a)


def install_plugin(root, version=None):
    """The plugin where Nomad looks; with version, one that says it is of that release."""
    path = os.path.join(root, "opt/cni/bin/picket")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(binary("picket-cni"), "rb") as file:
        content = file.read()
    says = b"CNI picket plugin v" + VERSION.encode()
    assert run([binary("picket-cni")]).stdout.startswith(says.decode()) and says in content
    if version:
        content = content.replace(says, b"CNI picket plugin v" + version.encode())
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, 0o755)


def test_parts_of_two_releases(tmp_path):
    cli = Cli(tmp_path)
    install_plugin(tmp_path)
    plugin = found(cli.pipe("check", "-json"), "plugin")[0]
    assert plugin["state"] == "ok" and plugin["text"].endswith(f"version {VERSION}"), plugin
    assert not found(cli.pipe("check", "-json"), "version")
    other = "9" * len(VERSION)				# as long: the plugin is patched in place
    install_plugin(tmp_path, other)
    lines = found(cli.pipe("check", "-json"), "version")
    assert lines[0]["state"] == "warn" and f"the plugin is {other}, this picket {VERSION}" in lines[0]["text"], lines
    with open(tmp_path / "opt/cni/bin/picket", "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\necho CNI host-local plugin v1.3.0\n")
    assert found(cli.pipe("check", "-json"), "plugin")[0]["state"] == "fail"


def test_a_plugin_that_says_more_than_a_version(tmp_path):
    """What is longer than a version is none, and is kept nowhere."""
    cli = Cli(tmp_path)
    install_plugin(tmp_path)
    with open(tmp_path / "opt/cni/bin/picket", "wb") as file:
        file.write(b"CNI picket plugin v" + b"1." * 4000)
    done = cli.pipe("check", "-json")
    assert [(line["state"], line["text"].endswith("is no Picket plugin")) for line in found(done, "plugin")] == [("fail", True)], done


def test_a_picketd_of_another_release(root):
    root.fake.answers["/v1/status"] = {**root.fake.answers["/v1/status"], "version": "9.9.9"}
    lines = found(root.pipe("check", "-json"), "version")
    assert lines and "picketd is 9.9.9" in lines[0]["text"] and "restart picketd" in lines[0]["fix"], lines


class FakeAgent(FakeServer):
    """Nomad's agent, as far as `picket check` asks: its own node, that node's networks and plugins."""

    networks, token, plugins, version = [], None, {"picket": "v" + VERSION, "bridge": "v1.3.0"}, "1.11.2"

    def answer(self, path, query, headers):
        if self.token and headers.get("X-Nomad-Token") != self.token:
            return 403, "Permission denied"
        if path == "/v1/agent/self":
            return 200, {"stats": {"client": {"node_id": "7a94ec5f"}}}
        if path == "/v1/node/7a94ec5f":
            return 200, {"NodeResources": {"Networks": self.networks},
                         "Attributes": {"nomad.version": self.version, **{
                             f"plugins.cni.version.{k}": v for k, v in self.plugins.items()}}}
        return 404, "not found"


@pytest.fixture
def agent():
    fake = FakeAgent()
    yield fake
    fake.stop()


def test_check_sees_who_stands_before_the_guard(node):
    a = node.add("acme", "api", "web")
    pins = f"{node.root}/sys/fs/bpf/picket"
    build = os.readlink(node.path("sys/fs/bpf/picket/current"))
    node.run(["tc", "filter", "add", "dev", f"pk{a.slot}", "ingress", "pref", "1", "handle", "7",
              "protocol", "all", "bpf", "da", "object-pinned", f"{pins}/{build}/pk_forward_tap"])
    found = json.loads(node.picket("check", "-json", check=False).stdout)
    guard = [c for c in found if c["what"] == "guard"]
    assert guard and guard[0]["state"] == "fail" and f"pk{a.slot}" in guard[0]["text"], found
    node.delete(a)


def test_the_cure_of_a_missing_guard_is_the_one_that_fits(node):
    """A picketd that is stopped in its tracks runs: to start one would be refused."""
    def cure():
        found = json.loads(node.picket("check", "-json", check=False).stdout)
        return next(c["fix"] for c in found if c["what"] == "guard" and c["state"] == "fail")

    node.start_picketd()
    a = node.add("acme", "api", "web")
    node.picketd.send_signal(signal.SIGSTOP)
    node.run(["tc", "filter", "del", "dev", f"pk{a.slot}", "ingress"])
    assert cure().startswith("picketd runs and puts it back")
    node.kill_picketd()
    assert cure().startswith("start picketd")
    node.delete(a)


@pytest.mark.parametrize("networks, token, state, says", [
    ([{"Mode": "host"}, {"Mode": "cni/picket"}], None, "ok", "cni/picket"),
    ([{"Mode": "host"}, {"Mode": "cni/other"}], None, "fail", "has not yet noticed network cni/picket"),
    ([{"Mode": "cni/picket"}], "secret", "warn", "answered 403"),
    ([{"Mode": "cni/picket"}], "given", "ok", "cni/picket")])
def test_check_asks_nomad_for_the_network(tmp_path, agent, networks, token, state, says):
    put(tmp_path, "good.conflist")
    agent.networks, agent.token = networks, token
    done = Cli(tmp_path).pipe("check", "-json", NOMAD_ADDR=agent.address, NOMAD_TOKEN="given")
    found = [c for c in json.loads(done.stdout) if c["what"] == "nomad"]
    assert [c["state"] for c in found] == [state] and says in found[0]["text"], found
    assert (found[0]["fix"] is None) == (state == "ok")


@pytest.mark.parametrize("version", ("1.8.0", "1.9.3", None))
def test_check_says_what_an_old_agent_keeps_back(tmp_path, agent, version):
    """It gives plugins no namespace: every endpoint starts in quarantine."""
    install_plugin(tmp_path)
    put(tmp_path, "good.conflist")
    agent.networks, agent.version = [{"Mode": "cni/picket"}], version
    line, = wrong(found(Cli(tmp_path).pipe("check", "-json", NOMAD_ADDR=agent.address), "nomad"))
    assert line["state"] == "warn" and "gives plugins no namespace" in line["text"] and "1.9.4" in line["fix"], line
    assert (version or "an unknown version") in line["text"]


def test_check_asks_through_picketd(node):
    """Its token counts, and its certificates where there are some."""
    node.run(["install", "-D", binary("picket-cni"), f"{node.root}/opt/cni/bin/picket"])
    with serving(node, FakeNomad, "here") as nomad:
        nomad.token = "right"
        token = os.path.join(node.root, "etc/picket/nomad.token")
        with open(token, "w", encoding="utf-8") as file:
            file.write("right")
        node.start_picketd({"nomad": {"address": nomad.address, "node": "here", "tokenFile": token}})

        def says():
            return [(c["state"], c["text"]) for c in found(node.picket("check", "-json", check=False), "nomad")
                    if "ok: node" not in c["text"]]     # the source's own line

        wait_for(lambda: says()[:1] == [("fail", "Nomad has not yet noticed network cni/picket "
                                        f"({node.root}/opt/cni/config/picket.conflist)")], says)
        nomad.networks, nomad.plugins = ["host", "cni/picket"], {"picket": OWN, "bridge": "v1.3.0"}
        assert says() == [("ok", "the node has network cni/picket")]
        assert node.api("/v1/nomad") == {
            "NodeResources": {"Networks": [{"Mode": "host"}, {"Mode": "cni/picket"}]},
            "Attributes": {"nomad.version": "1.11.2", "plugins.cni.version.picket": OWN,
                           "plugins.cni.version.bridge": "v1.3.0"}}
        nomad.set_mode(500)
        wait_for(lambda: ("warn", "Nomad has not said which node this is") in says(), says)


def test_check_waits_until_nomad_has_noticed(node):
    with node.inside():
        fake = FakeAgent()
    try:
        node.write_config()
        node.run(["install", "-D", binary("picket-cni"), f"{node.root}/opt/cni/bin/picket"])
        waiting = node.popen([binary("picket"), "-root", node.root, "check", "-json", "-wait", "60s"],
                             stdout=subprocess.PIPE, env={"NOMAD_ADDR": fake.address})
        wait_for(lambda: fake.requests, "the first look")
        assert waiting.poll() is None
        fake.networks = [{"Mode": "cni/picket"}]
        found = {c["what"]: c["state"] for c in json.loads(waiting.communicate(timeout=60)[0])}
        assert "fail" not in found.values() and found["nomad"] == "ok", found
    finally:
        fake.stop()


def test_check_without_an_agent_goes_on(tmp_path):
    for address in ("http://127.0.0.1:1", "https://127.0.0.1:4646", "http://nomad.example:4646", "nonsense"):
        done = Cli(tmp_path).pipe("check", "-json", NOMAD_ADDR=address)
        found = {c["what"]: c["state"] for c in json.loads(done.stdout)}
        assert found["nomad"] == "warn", (address, found)


@pytest.mark.parametrize("conf, config, says", [
    ({"baseline": "deny"}, {"baseline": "tenant"}, "baseline"),
    ({}, {"pools": ["10.99.0.0/16"]}, "in none of picketd's pools")])
def test_check_says_where_conflist_and_picketd_differ(make_node, conf, config, says):
    node = make_node(conf={"mode": "process", **conf}, config={"nomad": None, "consul": None, **config})
    node.start_picketd()
    found = json.loads(node.picket("check", "-json", check=False).stdout)
    texts = [c["text"] for c in found if c["what"] == "settings" and c["state"] != "ok"]
    assert texts and says in texts[0], found


OWN = "v" + VERSION


@pytest.mark.parametrize("plugins, what, text, fix", [
    ({"bridge": "v1.3.0"}, "nomad", 'no plugin "picket" in its cni_path', "ln -s {root}/opt/cni/bin/picket /opt/cni/bin/picket"),
    ({"picket": "v0.0.1", "bridge": "v1.3.0"}, "version", "Nomad found the plugin's version 0.0.1", "restart Nomad"),
    ({"picket": OWN}, "nomad", "Nomad calls CHECK only beside", "bridge"),
    ({"picket": OWN, "bridge": "v1.1.1"}, "nomad", "found 1.1.1", "bridge"),
    ({"picket": OWN, "bridge": "v1.3.0"}, None, None, None)])
def test_what_nomad_found_in_its_cni_path(tmp_path, agent, plugins, what, text, fix):
    install_plugin(tmp_path)
    put(tmp_path, "good.conflist")
    agent.plugins, agent.networks = plugins, [{"Mode": "cni/picket"}]
    done = Cli(tmp_path).pipe("check", "-json", NOMAD_ADDR=agent.address)
    lines = wrong(found(done, "nomad") + found(done, "version"))
    if what is None:
        assert not lines
        return
    told = [c for c in lines if text in c["text"]]
    assert len(lines) == 1 and told[0]["what"] == what and fix.format(root=tmp_path) in told[0]["fix"], lines
