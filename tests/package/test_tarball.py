# SPDX-License-Identifier: Apache-2.0
"""The tarball in a root that has busybox and nothing else: no library, no loader, no systemd."""
import json
import os
import re
import shutil
import subprocess

import pytest

from building import ENV, make_tarball, needs
from harness import netns
from harness.shell import TREE, run, wait_for

CONF = {"cniVersion": "1.0.0", "name": "picket", "type": "picket", "pool": "10.40.7.0/24", "mode": "process"}
UNIT = "etc/systemd/system/picketd.service"
# The namespaces live as long as this program; it tells nobody of what it mounts.
HOLD = """mount --make-rprivate / && mount --rbind /proc "$1/proc" && mount --rbind /dev "$1/dev" &&
mount -t sysfs sysfs "$1/sys" && mount -t bpf bpf "$1/sys/fs/bpf" && ip link set lo up && echo ready && exec sleep infinity"""


class Bare:
    """A root directory of busybox alone, in a network and a mount namespace of its own."""

    def __init__(self, root):
        self.root, self.children = root, []
        for directory in ("bin", "etc", "proc", "dev", "sys", "tmp", "run", "usr/local"):
            os.makedirs(os.path.join(root, directory))
        shutil.copy(shutil.which("busybox", path=ENV["PATH"]), self.path("bin/busybox"))
        for applet in run([self.path("bin/busybox"), "--list"]).stdout.split():
            if applet != "busybox":
                os.symlink("busybox", self.path(f"bin/{applet}"))
        for name in ("passwd", "group"):
            with open(self.path(f"etc/{name}"), "w", encoding="ascii") as file:
                file.write("root:x:0:0:root:/:/bin/sh\n" if name == "passwd" else "root:x:0:\n")
        self.holder = subprocess.Popen(["unshare", "-mn", "sh", "-c", HOLD, "sh", root], stdout=subprocess.PIPE, text=True,
                                       env=ENV, preexec_fn=netns.die_with_parent)
        assert self.holder.stdout.readline() == "ready\n"

    def path(self, name):
        return os.path.join(self.root, name)

    def _enter(self):
        enter = netns.entering(f"/proc/{self.holder.pid}/ns/net", f"/proc/{self.holder.pid}/ns/mnt")

        def chrooted():
            enter()
            os.chroot(self.root)
            os.chdir("/")
        return {"preexec_fn": chrooted, "env": {"PATH": "/bin:/usr/local/bin"}}

    def sh(self, text, **kw):
        return run(["/bin/sh", "-euc", text], **{**self._enter(), **kw})

    def start(self, *argv, **kw):
        child = subprocess.Popen(argv, **self._enter(), **kw)
        self.children.append(child)
        return child

    def add(self, name, tenant):
        """(pid in whose namespace it is, address)"""
        holder = self.start("/bin/unshare", "-n", "/bin/sh", "-c", "echo; exec sleep 600", stdout=subprocess.PIPE)
        holder.stdout.readline()
        alloc = f"{name:0>8}-0000-4000-8000-000000000000"
        env = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": alloc, "CNI_IFNAME": "eth0", "CNI_PATH": "/opt/cni/bin",
               "CNI_NETNS": f"/proc/{holder.pid}/ns/net",
               "CNI_ARGS": f"IgnoreUnknown=1;NOMAD_NAMESPACE={tenant};NOMAD_JOB_ID=j;NOMAD_GROUP_NAME=g;NOMAD_ALLOC_ID={alloc}"}
        said = self.sh("exec /opt/cni/bin/picket", stdin=json.dumps(CONF), env=env)
        return holder.pid, json.loads(said.stdout)["ips"][0]["address"].split("/")[0]

    def reaches(self, one, other):
        return self.sh(f"nsenter -n -t {one[0]} ping -c1 -W2 {other[1]}", check=False).returncode == 0

    def tree(self):
        """Path -> what is there: content's identity and time, or where a link leads."""
        found = {}
        for at, dirs, files in os.walk(self.root):
            dirs[:] = [name for name in dirs if os.path.join(at, name) not in map(self.path, ("proc", "dev", "sys", "tmp"))]
            for name in dirs + files:
                path = os.path.join(at, name)
                state = os.lstat(path)
                found[os.path.relpath(path, self.root)] = os.path.isdir(path) or (state.st_ino, state.st_mtime_ns)
        return found

    def close(self):
        for child in [*self.children, self.holder]:
            child.kill()
            child.wait()


@pytest.fixture(scope="module")
def bare(tarball, tmp_path_factory):
    needs("busybox", "unshare")
    made = Bare(str(tmp_path_factory.mktemp("bare")))
    shutil.copy(tarball, made.path("tmp/picket.tar.gz"))
    try:
        made.sh("cd /tmp && tar -xzf picket.tar.gz && mv picket-*-linux-* picket")
        yield made
    finally:
        made.close()


def test_packed_again_it_is_the_same_bytes(tarball):
    with open(tarball, "rb") as file:
        first = file.read()
    assert make_tarball() == tarball
    with open(tarball, "rb") as file:
        assert file.read() == first


def test_from_another_tree_it_is_the_same_bytes(tarball, tmp_path):
    """One with another path, other modes and times, in another time zone and language; what is told is the commit's time."""
    tree = tmp_path / "elsewhere/and-deeper"
    tree.mkdir(parents=True)
    run(["sh", "-c", 'umask 077; git ls-files -z | tar --null -T - -cf - | tar -C "$1" --no-same-permissions -xmf -', "sh", tree], cwd=TREE)
    (tree / "VERSION").write_text(run([os.path.join(TREE, "scripts/version")]).stdout, encoding="ascii")
    time = run(["git", "log", "-1", "--format=%ct"], cwd=TREE).stdout.strip()
    other = make_tarball(tree, "made", SOURCE_DATE_EPOCH=time, TZ="Asia/Tokyo", LANG="C.UTF-8", CCACHE_DISABLE="1")
    with open(tarball, "rb") as mine, open(tree / other, "rb") as theirs:
        assert os.path.basename(other) == os.path.basename(tarball) and mine.read() == theirs.read()


def test_it_has_what_it_is_made_of_and_no_path_of_where_it_was_built(bare):
    home = bare.path("tmp/picket/root/opt/picket")
    with open(os.path.join(home, "share/picket/picket.spdx.json"), encoding="utf-8") as file:
        document = json.load(file)
    contained = {r["relatedSpdxElement"] for r in document["relationships"] if r["relationshipType"] == "CONTAINS"}
    assert {"SPDXRef-glibc", "SPDXRef-openssl", "SPDXRef-curl", "SPDXRef-cjson"} <= contained
    assert "NOASSERTION" not in {p["versionInfo"] for p in document["packages"]}
    licences = os.listdir(os.path.join(home, "share/doc/picket/libraries"))
    assert {"libc6", "libssl3", "libcjson1", "libelf-dev"} <= set(licences)
    assert run(["grep", "-rlF", TREE, bare.path("tmp/picket")], check=False).stdout == ""
    for program in ("bin/picket", "sbin/picketd", "libexec/cni/picket"):
        sections = run(["readelf", "-SW", os.path.join(home, program)]).stdout
        assert ".debug" not in sections and ".symtab" not in sections


def test_an_image_is_filled_and_emptied(bare):
    bare.sh("mkdir /tmp/image && DESTDIR=/tmp/image /tmp/picket/install.sh")
    filled = set(run(["find", bare.path("tmp/image"), "!", "-type", "d", "-printf", "%P\n"]).stdout.split())
    with open(bare.path("tmp/picket/files"), encoding="utf-8") as file:
        assert filled == {line.split()[2] for line in file} | {"opt/picket/files"}
    assert not os.path.exists(bare.path("opt"))
    bare.sh("DESTDIR=/tmp/image sh /tmp/image/opt/picket/uninstall.sh")
    assert run(["find", bare.path("tmp/image"), "!", "-type", "d"]).stdout == ""


def test_a_failure_takes_everything_back(bare):
    """The last files go where a file stands in a folder's place."""
    with open(bare.path("etc/systemd"), "w", encoding="ascii"):
        pass
    before = bare.tree()
    said = bare.sh("/tmp/picket/install.sh", check=False)
    assert said.returncode and "taken back" in said.stderr, said
    assert bare.tree() == before
    os.unlink(bare.path("etc/systemd"))


def test_an_unfit_kernel_gets_nothing(bare):
    before = bare.tree()
    bare.sh("mount -t tmpfs tmpfs /sys/kernel")
    said = bare.sh("/tmp/picket/install.sh", check=False)
    bare.sh("umount /sys/kernel")
    assert said.returncode == 1 and "btf" in said.stdout and "nothing was installed" in said.stderr, said
    assert bare.tree() == before


def test_it_installs_and_fences_where_there_is_no_library(bare):
    said = bare.sh("/tmp/picket/install.sh").stdout
    assert "no systemd here" in said and not os.path.exists(bare.path("lib")) and not os.path.exists(bare.path("usr/lib"))
    assert os.readlink(bare.path("opt/cni/bin/picket")) == "/opt/picket/libexec/cni/picket"
    with open(bare.path("etc/picket/picketd.json"), "w", encoding="ascii") as file:
        file.write('{ "nomad": null }')
    bare.start("/opt/picket/sbin/picketd", stderr=subprocess.DEVNULL)
    wait_for(lambda: bare.sh("picket status", check=False).returncode == 0, lambda: bare.sh("picket status", check=False).stdout, 120)
    a, b, c = bare.add("a", "acme"), bare.add("b", "acme"), bare.add("c", "beta")
    assert bare.reaches(a, b) and not bare.reaches(c, b)
    wait_for(lambda: a[1] in bare.sh("picket endpoint list").stdout, "the list", 120)


def test_policies_in_consul_are_asked_for(bare):
    """The command line loads libcurl when it is asked about Consul: it came along, and all that it loads itself."""
    said = bare.sh("CONSUL_HTTP_ADDR=http://127.0.0.1:1 exec picket policy list -consul", check=False)
    assert said.returncode == 2 and "127.0.0.1 port 1" in said.stderr and "libcurl" not in said.stderr, said


def test_again_it_changes_nothing(bare):
    before = bare.tree()
    bare.sh("/tmp/picket/install.sh")
    after = bare.tree()
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed <= {"opt/picket/files"}, changed


def test_what_was_edited_is_kept(bare):
    with open(bare.path(UNIT), "a", encoding="ascii") as file:
        file.write("# mine\n")
    os.unlink(bare.path("opt/cni/bin/picket"))
    os.symlink("/elsewhere", bare.path("opt/cni/bin/picket"))
    said = bare.sh("/tmp/picket/install.sh").stdout
    assert f"/{UNIT} was edited: kept" in said and "/opt/cni/bin/picket is somebody else's: kept" in said
    with open(bare.path(UNIT), encoding="ascii") as file:
        assert file.read().endswith("# mine\n")
    with open(bare.path(UNIT + ".new"), encoding="ascii") as file:
        text = file.read()
    assert "ExecStart=/opt/picket/sbin/picketd" in text and "# mine" not in text


def test_an_update_drops_what_is_old(bare):
    """Another version's libraries are another folder: it goes once nothing loads them any more."""
    old = bare.path("opt/picket/lib/0123456789ab")
    os.makedirs(old)
    shutil.copy(bare.path("bin/busybox"), os.path.join(old, "libold.so"))
    listed = run(["sha256sum", os.path.join(old, "libold.so")]).stdout.split()[0]
    with open(bare.path("opt/picket/files"), "a", encoding="ascii") as file:
        file.write(f"755 {listed} opt/picket/lib/0123456789ab/libold.so\n")
    bare.sh("/tmp/picket/install.sh")
    assert not os.path.exists(old) and len(os.listdir(bare.path("opt/picket/lib"))) == 1


def test_uninstall_leaves_what_was_edited_and_the_fence(bare):
    said = bare.sh("/opt/picket/uninstall.sh").stdout
    assert f"/{UNIT} was edited: kept" in said
    left = {name for name, what in bare.tree().items() if what is not True and re.search("picket", name)}
    assert {name for name in left if not re.match("(run|var)/", name)} == {
        "etc/picket/picketd.json", UNIT, UNIT + ".new", "opt/cni/bin/picket"}
    assert os.path.isdir(bare.path("var/lib/picket/endpoints"))
