# SPDX-License-Identifier: Apache-2.0
"""What `picket check` says as a `fix:` of the kernel, of programs, devices and files is done, and then check no longer says it."""
import os
import shutil
import signal

import pytest
from harness.cni import CniError
from harness.overlay import DEVICE
from harness.shell import wait_for
from test_check import VERSION, install_plugin
from test_fix_done import conf, is_kept_out
from test_fix_done_at_add import CLAIMS, reload, without_pool
from test_fix_done_by_check import complains, is_content, told, write_conflist
from test_picketd_guard import tcx_before
from test_sock import cgroup  # noqa: F401 pylint: disable=unused-import
from test_upgrade import as_old

NODE_JSON = "var/lib/picket/node.json"
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


def goes(node, fix):
    wait_for(lambda: not any(fix in text for text in told(node)), f"no more {fix}")


def spoil(node):
    with open(node.path(NODE_JSON), "w", encoding="ascii") as file:
        file.write("{")


def test_a_kernel_that_is_too_old(node):
    fix = "boot Linux 6.1 or later"
    picket = [node.program("picket"), "-root", node.root, "check"]
    assert fix in node.run(["setarch", "--uname-2.6", *picket], check=False).stdout
    assert fix not in node.run(picket, check=False).stdout


def test_a_kernel_that_does_not_describe_its_types(node):
    """One with the option has that folder."""
    fix = "a kernel with CONFIG_DEBUG_INFO_BTF"
    node.run(["mount", "-t", "tmpfs", "tmpfs", "/sys/kernel/btf"])
    complains(node, fix)
    node.run(["umount", "/sys/kernel/btf"])
    is_content(node, fix)


def test_tables_for_root_alone(node):
    fix = "run picket check as root"
    picket = [node.program("picket"), "-root", node.root, "check"]
    node.write_config()
    assert fix in node.run([*NOBODY, *picket], check=False).stdout
    assert fix not in node.run(picket, check=False).stdout


def test_a_pool_that_picketd_does_not_have(node):
    fix = 'add it to "pools" of picketd.json'
    node.start_picketd({"nomad": None, "pools": ["10.99.0.0/16", "fd00:40:7::/64"]})
    node.written()
    complains(node, fix)
    reload(node, {"nomad": None, "pools": ["10.99.0.0/16", "fd00:40:7::/64", "10.40.7.0/24"]})
    is_content(node, fix)


def test_a_guard_that_is_gone(node):
    alloc = node.add("acme", "api", "web")
    node.run(["tc", "filter", "del", "dev", f"pk{alloc.slot}", "ingress"])
    start, look = "start picketd: it puts the guard back or closes the endpoint", "picketd runs and puts it back at once, or closes the endpoint: look again"
    complains(node, start)
    node.start_picketd({"nomad": None})
    goes(node, start)
    node.picketd.send_signal(signal.SIGSTOP)
    node.run(["tc", "filter", "del", "dev", f"pk{alloc.slot}", "ingress"])
    complains(node, look)
    node.picketd.send_signal(signal.SIGCONT)
    goes(node, look)


def test_a_node_json_that_cannot_be_read(node):
    fix = "restart picketd: it writes the file anew"
    node.start_picketd({"nomad": None})
    node.written()
    spoil(node)
    complains(node, fix)
    node.kill_picketd()
    node.start_picketd({"nomad": None})
    node.written()
    is_content(node, fix)


def test_a_tap_of_the_drivers_own(node):
    fix = 'say "mode": "process" in the conflist for drivers that make their own tap'

    def driver(alloc):
        alloc.run(["ip", "tuntap", "add", "dev", "vmtap0", "mode", "tap"])
        return alloc
    first = driver(node.add("acme", "api", "web", conf=conf(node, mode="vm")))
    complains(node, fix)
    node.delete(first)
    driver(node.add("acme", "api", "web", conf=conf(node, mode="process")))
    is_content(node, fix)


def test_a_record_that_cannot_be_read(node):
    fix = 'stop the allocation; "picket sweep -apply" removes what is left'
    alloc = node.add("acme", "api", "web")
    name, = node.records()
    with open(node.path(f"var/lib/picket/endpoints/{name}"), "w", encoding="ascii") as file:
        file.write("{}")
    complains(node, fix)
    with pytest.raises(CniError) as refused:
        node.cni("ADD", alloc.id, alloc.path, args=alloc.args)
    assert "stop the allocation: DEL needs no more than the record's name" in str(refused.value)
    node.delete(alloc)
    assert node.picket("sweep", "-apply").returncode in (0, 1)
    is_content(node, fix)
    node.add("acme", "api", "web")


def test_what_is_left_of_endpoints_that_are_gone(node):
    fix = "picket sweep -apply"
    node.add("acme", "api", "web")
    node.reboot()
    node.add("acme", "api", "web")
    complains(node, fix)
    assert node.picket("sweep", check=False).returncode == 1, "it shows what there is"
    complains(node, fix)
    assert node.picket("sweep", "-apply").returncode in (0, 1)
    is_content(node, fix)


def test_programs_of_another_build(node):
    fix, at_add = "restart picketd: it changes builds under traffic", "restart picketd after the upgrade: it switches them"
    host_tap = conf(node, attach="host-tap", owner=0, group=0)
    node.start_picketd({"nomad": None})
    node.add("acme", "api", "web")
    as_old(node)
    complains(node, fix)
    is_kept_out(node, at_add, conf=host_tap)
    node.kill_picketd()
    node.start_picketd({"nomad": None})
    is_content(node, fix)
    node.add("acme", "api", "web", conf=host_tap)


def test_parts_of_two_releases(node):
    fix = "install plugin, picketd and CLI of one release"
    install_plugin(node.root, "9" * len(VERSION))
    complains(node, fix)
    install_plugin(node.root)
    is_content(node, fix)


def test_a_source_that_does_not_answer(node, nomad):
    fix = '"picket status -verbose" and picketd\'s log say why'
    nomad.set_mode(500)
    node.start_picketd({"nomad": {"address": nomad.address, "node": nomad.node}})
    wait_for(lambda: node.reasons("nomad"), "the first failure")
    complains(node, fix)
    assert "500" in node.picket("status", "-verbose", check=False).stdout + node.log()
    nomad.set_mode("ok")
    wait_for(lambda: not node.reasons("nomad"), "its answer", 60)
    is_content(node, fix)


def test_a_nomad_by_tls_and_by_name(node, nomad):
    fix = "start picketd, which asks by TLS and by name"
    node.write_config()
    complains(node, fix, NOMAD_ADDR="https://nomad.example:4646")
    node.start_picketd({"nomad": {"address": nomad.address, "node": nomad.node}})
    is_content(node, fix, NOMAD_ADDR="https://nomad.example:4646")


def test_who_stands_before_the_uplinks_program(node):
    """What ours can't be put before."""
    fix, passes = "find out what it does: packets that it drops or takes reach no endpoint", "if it passes all on, let it stand"

    def status():
        node.picketd.send_signal(signal.SIGHUP)     # the kernel tells nobody of TCX: the audit sees it
        return [reason["fix"] for reason in node.reasons("uplink") if passes in reason["fix"]]
    node.start_picketd({"nomad": None})
    node.add("acme", "api", "web")
    with tcx_before(node, "up0"):
        wait_for(status, "status's word")
        complains(node, fix)
    wait_for(lambda: not status(), "status's word to go")
    is_content(node, fix)


def test_an_uplink_without_an_address(node):
    fix = "give it an address: what is masqueraded leaves with it"
    node.start_picketd({"nomad": None, "uplinks": ["up0"]})
    node.add("acme", "api", "web")
    for family in ("-4", "-6"):
        node.run(["ip", family, "addr", "flush", "dev", "up0"])
    wait_for(lambda: complains(node, fix), fix)
    node.run(["ip", "addr", "add", node.options.up_address, "dev", "up0"])
    goes(node, fix)


def test_the_programs_of_the_nodes_own_sockets(node, cgroup):  # noqa: F811
    fix = "start picketd: it attaches them"
    config = {"nomad": None, "cgroup": cgroup.path}
    node.start_picketd(config)
    node.written()
    node.add("acme", "api", "web", conf=conf(node, runtimeConfig={"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}))
    is_content(node, fix)
    node.kill_picketd()
    shutil.rmtree(node.path("sys/fs/bpf/picket/sock"))
    complains(node, fix)
    node.start_picketd(config)
    is_content(node, fix)
    node.kill_picketd()


def test_the_overlays_device(node, consul):
    config = {**CLAIMS, "fabric": "vxlan", "consul": {"address": consul.address}}
    makes, sets, leave = "start picketd: it makes the device", "start picketd: it sets the device up", 'leave "mtu" out'
    node.start_picketd(config)
    node.written()
    node.kill_picketd()
    for words, fix in ((["del", DEVICE], makes), (["set", DEVICE, "down"], sets)):
        wait_for(lambda: DEVICE in node.run(["ip", "link"]).stdout, "the device")
        node.run(["ip", "link", *words])
        complains(node, fix)
        node.start_picketd(config)
        goes(node, fix)
        node.kill_picketd()
    node.options.pool = ()
    write_conflist(node, mtu=1500)
    complains(node, leave)
    del node.options.conf["mtu"]
    node.write_config(config)
    is_content(node, leave)


def test_blocks_that_the_plugin_cannot_read(node):
    """What is then said is what is so: there is none."""
    node.start_picketd({"nomad": None})
    node.written()
    spoil(node)
    is_kept_out(node, "restart picketd, which writes it", conf=without_pool(node))
    node.kill_picketd()
    node.start_picketd({"nomad": None})
    node.written()
    is_kept_out(node, 'say "pool": "10.40.7.0/24"', conf=without_pool(node))
    node.add("acme", "api", "web")


@pytest.mark.parametrize("lost", [["maps/cidr"], ["maps/cidr", "current"]], ids=["a map", "what is current too"])
def test_a_map_that_is_pinned_no_more(node, lost):
    """Nobody has it open who could pin it again: ADD, check and status say the one way."""
    fix = "stop this node's allocations and picketd, `picket sweep -all -apply`, start picketd; or reboot the node"
    alloc = node.add("acme", "api", "web")
    for name in lost:
        os.unlink(node.path(f"sys/fs/bpf/picket/{name}"))
    node.start_picketd()
    assert [reason["fix"] for reason in node.reasons("load")] == [fix]
    is_kept_out(node, fix)
    if len(lost) == 1:
        complains(node, fix)
    node.delete(alloc)
    node.kill_picketd(signal.SIGTERM)
    node.picket("sweep", "-all", "-apply")
    node.start_picketd()
    assert not node.reasons("load")
    node.delete(node.add("acme", "api", "web"))
    assert fix not in told(node)
