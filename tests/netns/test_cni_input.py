# SPDX-License-Identifier: Apache-2.0
"""What the plugin is given: refused with the specification's code, and nothing made or removed."""
import fcntl
import json
import os
import re
import struct
import subprocess

import pytest
from harness import CniError, Snapshot
from harness.shell import TREE, binary

ID = "4e975ed8-3e04-254e-11a3-5c29b1507321"
GOLDEN = os.path.join(os.path.dirname(__file__), "..", "golden", "cni-errors.json")


def tree(node):
    """Every file below the node's root, and its size."""
    found = {}
    for where, directories, files in os.walk(node.path("/")):
        for name in directories + files:
            path = os.path.join(where, name)
            found[path] = os.lstat(path).st_size if name in files else None
    return found


def call(node, verb, stdin, **env):
    done = node.cni_raw(verb, {"CNI_CONTAINERID": ID, "CNI_NETNS": f"/run/netns/{ID}",
                               "CNI_IFNAME": "eth0", **env}, stdin)
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None


def refused(node, verb, stdin, code, **env):
    """rc 1, an error object with this code; the node is as before. Its object."""
    before, files = Snapshot(node), tree(node)
    status, error = call(node, verb, stdin, **env)
    assert status == 1 and error["code"] == code, (stdin[:100], env, error)
    assert error["cniVersion"] and error["msg"] and len(error["msg"]) <= 120
    assert len(error.get("details", "")) <= 240
    before.assert_same(Snapshot(node))
    assert tree(node) == files
    return error


@pytest.fixture
def plain(make_node):
    """A node with one allocation's empty netns, never used by the plugin."""
    node = make_node(uplink=False)
    node.alloc = node.new_netns(ID)
    return node


def conf(node, **more):
    return json.dumps(node.plugin_conf(**more))


def test_standard_input(plain):
    """P53: what isn't a network configuration is refused with CNI's code, and nothing is made."""
    good = plain.plugin_conf()
    unnamed = {k: v for k, v in good.items() if k != "name"}
    for stdin, code in (("", 6), ("   \n", 6), (" " * (10 << 20), 6), ("hello", 6), ("[]", 7),
                        ("null", 7), (conf(plain)[:-1], 6), (json.dumps(unnamed), 7),
                        (conf(plain, cniVersion="9.9.9"), 1), (conf(plain, cniVersion="0.2.0"), 1),
                        (conf(plain, pol="10.0.0.0/24"), 7), (conf(plain, name="../x"), 7)):
        refused(plain, "ADD", stdin, code)


def test_container_id(plain):
    """P53: no container id leads out of its place."""
    for bad in ("", "/", "..", "a/b", "../../etc/passwd", "a" * 300, "a@eth0", "-a", "a b", "a\n"):
        for verb in ("ADD", "DEL", "CHECK"):
            error = refused(plain, verb, conf(plain), 4, CNI_CONTAINERID=bad)
            assert "CNI_CONTAINERID" in error["msg"]


def test_interface_name(plain):
    """P53: nor does a name of an interface."""
    for bad in ("", "a" * 16, "et/h0", "..", ".", "eth 0", "eth:0", "lo"):
        for verb in ("ADD", "DEL", "CHECK"):
            error = refused(plain, verb, conf(plain), 4, CNI_IFNAME=bad)
            assert "CNI_IFNAME" in error["msg"]


def test_network_namespace(plain):
    """P53: only a network namespace is taken for one, by no symlink, and never the node's own."""
    plain.run(["sh", "-c", "echo x > /run/file; ln -s /run/netns/$1 /run/link; mkdir /run/dir; "
               "mkfifo /run/fifo", "sh", ID])
    for bad in ("", "run/netns/x", "/run/nothing", "/run/file", "/run/link", "/run/dir",
                "/run/fifo", "/dev/null", "/proc/self/ns/net", "/proc/self/ns/mnt"):
        error = refused(plain, "ADD", conf(plain), 4, CNI_NETNS=bad)
        assert "CNI_NETNS" in error["msg"], error


def test_host_network_namespace(plain):
    """/proc/1/ns/net is no allocation's: of the node itself, or of the machine."""
    refused(plain, "ADD", conf(plain), 4, CNI_NETNS="/proc/1/ns/net")


def test_verb(plain):
    for bad in ("", "add", "DELETE", "ADD\n"):
        error = refused(plain, bad, conf(plain), 4)
        assert "CNI_COMMAND" in error["msg"]


def test_json(plain):
    """P54: duplicate keys, bytes behind the document, an escaped zero, numbers that are no port and a depth of 2,000 are each refused with their reason."""
    good = conf(plain)
    deep = "[" * 2000 + "]" * 2000
    for stdin in (good[:-1] + ',"mtu":1400,"mtu":1500}', good + "x", good + "{}",
                  good[:-1] + ',"uplink":"u\\u0000p"}', good[:-1] + f',"args":{deep}}}',
                  good[:-1] + ',"mtu":01400}', "\ufeff" + good, good[:-1] + ',"uplink":"\\ud800"}'):
        error = refused(plain, "ADD", stdin, 6)
        said = error["msg"] + error.get("details", "")
        assert "conflist:1:" in said or "conflist: " in said, error
    for port in (80.9, 65616, 4294967376, -1, 0):
        error = refused(plain, "ADD", conf(plain, runtimeConfig={"portMappings": [
            {"HostPort": port, "ContainerPort": 80, "Protocol": "tcp"}]}), 7)
        assert "conflist:1:" in error["msg"] and "65535" in error["msg"], error


def test_invalid_utf8(plain):
    """P54: so is what isn't UTF-8. CNI_ARGS can hold any byte but NUL; standard input's are the unit tests' (test_cni_conf)."""
    bad = os.fsdecode(b"NOMAD_NAMESPACE=acme;NOMAD_JOB_ID=\xff\xfe")
    error = refused(plain, "ADD", conf(plain), 105, CNI_ARGS=bad)
    assert "UTF-8" in error["msg"]


@pytest.mark.parametrize("args", [
    "NOMAD_NAMESPACE=acme;x=1;NOMAD_NAMESPACE=evil", "NOMAD_NAMESPACE=a/b", "NOMAD_NAMESPACE=",
    f"NOMAD_NAMESPACE=acme;NOMAD_ALLOC_ID={ID}x", "NOMAD_NAMESPACE=acme;NOMAD_JOB_ID=a\nb",
    "NOMAD_NAMESPACE=acme;picket.ip=10.40.7.9", "NOMAD_NAMESPACE=acme;IP=10.40.7.9", "MAC=02:00:00:00:00:01",
    "NOMAD_NAMESPACE=acme;TC_REDIRECT_TAP_UID=0",
    "NOMAD_NAMESPACE=" + "a" * 129, "novalue"])
def test_cni_args_are_refused(plain, args):
    error = refused(plain, "ADD", conf(plain), 105, CNI_ARGS=args)
    assert "fix: " in error["details"]


def test_the_conventions_of_cni_are_answered(plain):
    """Not ignored: who gives an address would get another one without a word."""
    for key, ours in (("IP", "picket.ip"), ("MAC", "picket.mac")):
        error = refused(plain, "ADD", conf(plain), 105, CNI_ARGS=f"NOMAD_NAMESPACE=acme;{key}=x")
        assert f"CNI_ARGS: {key} is not how" in error["msg"] and f"write {ours}" in error["details"], error


def test_fingerprint_and_version(plain):
    """Nomad runs every plugin without CNI_COMMAND and takes the first version that it sees."""
    line = subprocess.run([binary("picket-cni")], env={}, stdin=subprocess.DEVNULL, check=True,
                          capture_output=True, text=True)
    words = (line.stdout + line.stderr).split()
    assert words[:3] == ["CNI", "picket", "plugin"] and words[3].startswith("v0.")
    status, answer = call(plain, "VERSION", '{"cniVersion":"1.0.0"}')
    assert status == 0
    assert answer["supportedVersions"] == ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]
    assert call(plain, "VERSION", "")[0] == 0


# One row for each error code, with the words that a job's author reads. setup names what makes the
# node refuse; {root} and {id} stand for what differs from run to run.

def file_in_place_of_state(node, _row):
    with open(os.path.join(node.root, "var/lib/picket"), "w", encoding="ascii"):
        pass


def eth0_is_there(node, _row):
    node.alloc.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "x"])


def first_endpoint(node, row):
    node.add("acme", "api", "web", conf=node.plugin_conf(**{**row.get("conf", {}), "deadline": "60s"}))


def other_layout(node, row):
    first_endpoint(node, row)
    with node.tables.map("node") as table:
        value = bytearray(table.get(struct.pack("I", 0)))
        value[16:20] = struct.pack("I", 9999)
        table.set(struct.pack("I", 0), bytes(value))


def settings(node, **said):
    os.makedirs(os.path.join(node.root, "var/lib/picket"), exist_ok=True)
    with open(os.path.join(node.root, "var/lib/picket/node.json"), "w", encoding="ascii") as file:
        json.dump({"nomad": False, **said}, file)


def one_slot(node, row):
    settings(node, capacity={"endpoints": 1})
    first_endpoint(node, row)


def counters_past_their_bound(node, _row):
    """A full-size node of 128 processors: each has counters of its own for every slot."""
    settings(node, capacity={"endpoints": 4096}, limits={"flowsPerEndpoint": 64})
    with open(os.path.join(node.root, "possible"), "w", encoding="ascii") as file:
        file.write("0-127\n")
    node.run(["mount", "--bind", os.path.join(node.root, "possible"), "/sys/devices/system/cpu/possible"])


def no_bpffs(node, _row):
    node.run(["umount", os.path.join(node.root, "sys/fs/bpf")])


def lock_is_held(node, row):
    first_endpoint(node, row)
    node.busy = node.lock_containers()		# kept as long as the node


with open(GOLDEN, encoding="utf-8") as golden:
    ROWS = json.load(golden)


def normal(node, text):
    """Without what differs from run to run: root, id, and the column, which follows the root's length."""
    text = text.replace(node.root, "{root}").replace(ID, "{id}")
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "{uuid}", text)
    return re.sub(r"conflist:1:\d+", "conflist:1:N", text)


@pytest.mark.parametrize("row", ROWS, ids=[f"{r['code']}-{r['name']}" for r in ROWS])
def test_golden_errors(plain, row):
    if "setup" in row:
        globals()[row["setup"]](plain, row)
    stdin = row.get("stdin") or conf(plain, **row.get("conf", {}))
    env = {"CNI_ARGS": row.get("args", "NOMAD_NAMESPACE=acme")}
    if "netns" in row:
        env["CNI_NETNS"] = row["netns"]
    status, error = call(plain, "ADD", stdin, **env)
    assert status == 1, error
    said = {key: normal(plain, error.get(key, "")) for key in ("msg", "details")}
    assert error["code"] == row["code"], error
    assert said == {"msg": row["msg"], "details": row["details"]}
    assert len(error["msg"]) <= 120 and len(error["details"]) <= 240
    assert "fix: " in error["details"]


# CHECK's, that of standard input which can't be read, and STATUS's: ADD's rows have none of them.
NOT_OF_ADD = {3, 5, 50}


def test_golden_has_every_code():
    with open(os.path.join(TREE, "lib/base/err.h"), encoding="utf-8") as file:
        known = {int(code) for code in re.findall(r"^\tX\((\d+), ", file.read(), re.M)}
    assert len(known) > 10 and known - NOT_OF_ADD == {row["code"] for row in ROWS} & known


def test_cni_error_is_what_the_harness_reads(plain):
    with pytest.raises(CniError) as refusal:
        plain.cni("ADD", ID, plain.alloc.path, args="x")
    assert refusal.value.code == 105
