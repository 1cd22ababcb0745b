# SPDX-License-Identifier: Apache-2.0
"""What a verb of the plugin says as a `fix:` of the node, of the kernel's parts and of its arguments is done, and then it succeeds."""
import json
import os
import re
import signal
import subprocess

import pytest
from harness.cni import CniError
from harness.disk import Disk, can_hang
from harness.netns import entering
from harness.shell import binary
from test_fix_done import conf, is_kept_out
from test_fix_done_at_add import CLAIMS, reload, without_pool
from test_picketd_guard import tcx_before

UDP = {"containerPort": 80, "protocol": "udp"}


def publishes(node, **port):
    return conf(node, runtimeConfig={"portMappings": [{"containerPort": 80, "protocol": "tcp", **port}]})


def refused(ask, *words, **kw):
    with pytest.raises(CniError) as error:
        ask(*words, **kw)
    return str(error.value).replace('\\"', '"')


def test_no_bpf_file_system(node):
    path = f"{node.root}/sys/fs/bpf"
    node.run(["umount", path])
    text = is_kept_out(node, f"mount -t bpf bpf {path}")
    node.run(text[text.index("mount -t"):].rstrip('"}').split())
    node.add("acme", "api", "web")


def test_no_tun_module(node):
    """modprobe makes the device."""
    node.run(["rm", "/dev/net/tun"])
    is_kept_out(node, "load the tun module: modprobe tun", conf=conf(node, mode="vm"))
    node.run(["mknod", "-m", "666", "/dev/net/tun", "c", "10", "200"])
    node.add("acme", "api", "web", conf=conf(node, mode="vm"))


def test_a_state_directory_that_is_a_file(node):
    path = f"{node.root}/var/lib/picket"
    node.run(["touch", path])
    is_kept_out(node, "move away the file that lies where a directory belongs")
    node.run(["rm", path])
    node.add("acme", "api", "web")


@pytest.fixture
def disk(node):
    if not can_hang():
        pytest.skip("no loop devices here: no file system of its own")
    return Disk(node, "var/lib/picket")


def test_a_directory_in_which_nothing_can_be_made(node, disk):
    node.run(["chattr", "+i", disk.where])
    is_kept_out(node, 'make it writable for root, or move it with "root"')
    node.run(["chattr", "-i", disk.where])
    node.add("acme", "api", "web")


def test_a_directory_that_nobody_may_write(node, disk):
    records = os.path.join(disk.where, "endpoints")
    node.delete(node.add("acme", "api", "web"))
    node.run(["chattr", "+i", records])
    is_kept_out(node, "make room in the state directory, writable for root")
    node.run(["chattr", "-i", records])
    node.add("acme", "api", "web")


def test_an_interface_that_has_the_taps_name(node):
    alloc = node.new_netns("7f3a21c4-0000-4000-8000-00000000000d")
    alloc.args = node.cni_args(alloc.id, "acme", "api", "web")

    def ask(ifname):
        return node.cni("ADD", alloc.id, alloc.path, ifname=ifname, args=alloc.args, conf=conf(node, mode="vm"))
    assert "use another CNI_IFNAME, such as eth0" in refused(ask, "tap0")
    alloc.result = ask("eth0")


def test_a_name_for_a_host_tap(node):
    """A runtime that isn't Nomad names it."""
    alloc, host_tap = node.new_netns("7f3a21c4-0000-4000-8000-00000000000e"), conf(node, attach="host-tap", owner=0, group=0)

    def ask(args):
        return node.cni("ADD", alloc.id, alloc.path, args="IgnoreUnknown=true" + args, conf=host_tap)
    assert "fix: drop it" in refused(ask, ";TC_REDIRECT_TAP_NAME=tap7")
    alloc.result = ask("")


def test_a_port_of_one_without_a_record(node):
    holder = node.add("acme", "db", "pg", conf=publishes(node, hostPort=8080))
    name, = node.records()
    os.unlink(node.path(f"var/lib/picket/endpoints/{name}"))
    is_kept_out(node, f"stop what has it (pk{holder.slot}), or take another port", conf=publishes(node, hostPort=8080))
    node.add("acme", "api", "web", conf=publishes(node, hostPort=8081))
    node.delete(holder)
    node.add("acme", "api", "web", conf=publishes(node, hostPort=8080))


def test_the_overlays_port(node, consul):
    node.start_picketd({**CLAIMS, "blocks": {"range": ["10.64.0.0/16"]}, "fabric": "vxlan", "vxlan": {"port": 8472}, "consul": {"address": consul.address}})
    node.written()
    text = is_kept_out(node, "give the job another port, and say reserved_ports", conf=publishes(node, hostPort=8472, **UDP))
    assert 'reserved_ports = "8472" in the client\'s "reserved" block' in text
    node.add("acme", "api", "web", conf=publishes(node, hostPort=8473, **UDP))


def test_who_stands_before_the_guard(node):
    alloc = node.add("acme", "api", "web")
    fix = "remove it; then the next CHECK opens the endpoint"
    call = {"CNI_CONTAINERID": alloc.id, "CNI_NETNS": alloc.path, "CNI_IFNAME": "eth0", "CNI_ARGS": alloc.args}

    def said():
        """CHECK stops no VM: its log has the word."""
        return node.cni_raw("CHECK", call, json.dumps({**conf(node), "prevResult": alloc.result})).stderr
    with tcx_before(node, f"pk{alloc.slot}"):
        assert fix in said()
    assert fix not in said()


def test_counters_of_many_processors(node):
    """As many as this kernel says may come."""
    fix = "lower capacity.endpoints in picketd.json"
    possible = os.path.join(node.root, "possible")
    with open(possible, "w", encoding="ascii") as file:
        file.write("0-127\n")
    node.run(["mount", "--bind", possible, "/sys/devices/system/cpu/possible"])

    def config(endpoints):
        return {"nomad": None, "capacity": {"endpoints": endpoints}, "limits": {"flowsPerEndpoint": 64}}
    node.start_picketd(config(4096))
    node.written()
    is_kept_out(node, fix)
    reload(node, config(64))
    node.add("acme", "api", "web")


def test_who_is_quicker_than_the_self_test(node):
    """Somebody's program comes between the guard and the question whether it counts."""
    fix = "see picket check: another program may stand before the guard"
    node.add("acme", "warm", "up")      # the programs are loaded
    alloc = node.new_netns("7f3a21c4-0000-4000-8000-00000000000f")
    alloc.args = node.cni_args(alloc.id, "acme", "api", "web")
    env = {"PATH": os.environ["PATH"], "CNI_PATH": "/none", "CNI_COMMAND": "ADD", "CNI_CONTAINERID": alloc.id, "CNI_NETNS": alloc.path, "CNI_IFNAME": "eth0",
           "CNI_ARGS": alloc.args, "PICKET_FAULT": "add-guarded:1:stop"}
    with subprocess.Popen([binary("faults/picket-cni")], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          preexec_fn=entering(node.net, node.mnt)) as plugin:
        plugin.stdin.write(json.dumps(node.plugin_conf()))
        plugin.stdin.close()
        assert os.WIFSTOPPED(os.waitpid(plugin.pid, os.WUNTRACED)[1])
        device, = set(re.findall(r"\bpk\d+", node.run(["ip", "-o", "link"]).stdout)) - {"pk1"}
        with tcx_before(node, device):
            plugin.send_signal(signal.SIGCONT)
            said = plugin.stdout.read()
            assert plugin.wait() == 1 and fix in said, said
    alloc.result = node.cni("ADD", alloc.id, alloc.path, args=alloc.args)


@pytest.mark.parametrize("fix, gone", (("stop its allocations and `picket sweep -all -apply`", ()), ("reboot the node, or picket sweep -all -apply", ("current",))),
                         ids=("opened", "loaded anew"))
def test_a_table_of_another_layout(node, fix, gone):
    """Two tables' pins in each other's place."""
    node.delete(node.add("acme", "api", "web"))
    pins = f"{node.root}/sys/fs/bpf/picket"
    for name in gone:
        node.run(["rm", f"{pins}/{name}"])
    for name, other in (("counters", "x"), ("answers", "counters"), ("x", "answers")):
        node.run(["mv", f"{pins}/maps/{name}", f"{pins}/maps/{other}"])
    is_kept_out(node, fix)
    assert node.picket("sweep", "-all", "-apply", check=False).returncode in (0, 1)
    node.add("acme", "api", "web")


def test_blocks_that_are_not_claimed_yet(node):
    """No Consul answers: there is none until it does."""
    node.options.pool = ()
    node.start_picketd({**CLAIMS, "consul": {"address": "http://127.0.0.1:1"}})
    node.written()
    is_kept_out(node, "picketd claims one as soon as it can: `picket status` says what it waits for", conf=without_pool(node))
    assert "cluster does not answer" in node.picket("status", check=False).stdout


# (fix, conflist that STATUS refuses, the same mended); None: no pool.
STATUS = [
    ('say "pool": "10.40.7.0/24"', {"pool": None}, {}),
    ('add a block to the conflist\'s "pool"', {"pool": ["10.40.7.0/30"]}, {"pool": ["10.40.7.0/30", "10.40.8.0/24"]}),
]


@pytest.mark.parametrize("fix, wrong, right", STATUS, ids=[row[0] for row in STATUS])
def test_what_status_says(node, fix, wrong, right):
    node.add("acme", "api", "web", conf=conf(node, pool=["10.40.7.0/30"]))

    def ask(more):
        value = {key: value for key, value in conf(node, cniVersion="1.1.0", strictStatus=True, **more).items() if value is not None}
        return node.cni("STATUS", conf=value)
    assert fix in refused(ask, wrong)
    ask(right)


def test_status_beside_claimed_blocks(node):
    strict, fix = conf(node, cniVersion="1.1.0", strictStatus=True), 'drop "pool", or "claim" from picketd.json'
    node.start_picketd({**CLAIMS, "consul": {"address": "http://127.0.0.1:1"}})
    node.written()
    assert fix in refused(node.cni, "STATUS", conf=strict)
    node.write_config({"nomad": None})
    node.api("/v1/reload", "POST")
    node.written()
    node.cni("STATUS", conf=strict)


def test_status_without_a_bpf_file_system(node):
    strict = conf(node, cniVersion="1.1.0", strictStatus=True)
    node.cni("STATUS", conf=strict)
    node.run(["umount", f"{node.root}/sys/fs/bpf"])
    assert "mount -t bpf bpf" in refused(node.cni, "STATUS", conf=strict)
    assert "bpf" in node.picket("check", check=False).stdout
    node.run(["mount", "-t", "bpf", "bpf", f"{node.root}/sys/fs/bpf"])
    node.cni("STATUS", conf=strict)


# (fix, argument, what is refused, what is taken)
ARGUMENTS = [
    ("give the path of a network namespace", "CNI_NETNS", ""),
    ("1 to 15 characters without '/', ':', '@' and blanks, such as eth0", "CNI_IFNAME", "a/b"),
    ("use the allocation's or the VM's id", "CNI_CONTAINERID", "a b"),
]


@pytest.mark.parametrize("fix, name, wrong", ARGUMENTS, ids=[row[1] for row in ARGUMENTS])
def test_an_argument(node, fix, name, wrong):
    alloc = node.new_netns("7f3a21c4-0000-4000-8000-00000000000e")
    alloc.args = node.cni_args(alloc.id, "acme", "api", "web")
    right = {"CNI_CONTAINERID": alloc.id, "CNI_NETNS": alloc.path, "CNI_IFNAME": "eth0", "CNI_ARGS": alloc.args}

    def ask(env):
        return node.cni_raw("ADD", env, json.dumps(conf(node))).stdout
    assert fix in ask({**right, name: wrong}) and '"ips"' in ask(right)


