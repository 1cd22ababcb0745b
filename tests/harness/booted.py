# SPDX-License-Identifier: Apache-2.0
"""
A clean Debian 12, booted with systemd as far as a container does (systemd-nspawn): its root is the image of
tests/kernel61/mkroot under a layer that goes with it, its network a namespace with one uplink, host0. The machine's own
network, /run, /sys and control groups never see it.
"""
import os
import signal
import subprocess
import tempfile

from . import netns
from .shell import run, wait_for

ADDRESS, WORLD = "192.0.2.2", "192.0.2.1"
# $1: a folder, $2: the image, $3: the name of its control group; the rest are nspawn's words. systemd-nspawn looks for a booted systemd; control groups
# are the second version alone, whatever the machine has.
BOOT = r"""
mount --make-rprivate /
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system /run/lock
cd "$1" && mkdir image layer && mount -o loop,ro "$2" image
mount -t tmpfs tmpfs layer && mkdir layer/upper layer/work layer/root layer/bpf
mount -t bpf bpf layer/bpf
mount -t overlay overlay -o lowerdir=image,upperdir=layer/upper,workdir=layer/work layer/root
while umount -l /sys/fs/cgroup 2>/dev/null; do :; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$3" && echo $$ >"/sys/fs/cgroup/$3/cgroup.procs"
ip link set lo up
exec systemd-nspawn -q -D layer/root -b --register=no --keep-unit --console=pipe --network-veth --bind="$PWD/layer/bpf:/sys/fs/bpf" \
	--capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN,CAP_SYS_RESOURCE --system-call-filter="bpf perf_event_open" "${@:4}"
"""


class Booted:
    """binds: paths that are seen read-only there, {inside: outside}."""

    def __init__(self, image, binds):
        self.dir = tempfile.mkdtemp(prefix="picket-booted-")
        self.name = os.path.basename(self.dir)
        self.log = open(os.path.join(self.dir, "console"), "wb")
        words = [f"--machine={self.name[-8:].replace('_', 'x')}", *(f"--bind-ro={out}:{inside}" for inside, out in binds.items())]
        self.nspawn = subprocess.Popen(["unshare", "-mn", "bash", "-euc", BOOT, "boot", self.dir, image, self.name, *words],
                                       stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=netns.die_with_parent)
        try:
            self.init = wait_for(self._init, self._console, 120)
            wait_for(lambda: self.run(["systemctl", "is-system-running"], check=False).stdout.strip() in ("running", "degraded"),
                     self._console, 180, pause=0.2)
            self._uplink()
        except BaseException:
            self.close()
            raise

    def _console(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as text:
            return f"a booted root: {text.read()[-3000:]}"

    def _init(self):
        if self.nspawn.poll() is not None:
            raise AssertionError(f"it ended: {self._console()}")
        with open(f"/proc/{self.nspawn.pid}/comm", encoding="ascii") as comm:
            if comm.read().strip() != "systemd-nspawn":
                return None
        with open(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children", encoding="ascii") as text:
            children = text.read().split()
        for child in children:
            with open(f"/proc/{child}/comm", encoding="ascii") as comm:
                if comm.read().strip() == "systemd":
                    return int(child)
        return None

    def _outside(self, *argv, **kw):
        """In the namespaces of systemd-nspawn itself: the world behind the uplink."""
        return run(argv, preexec_fn=netns.entering(f"/proc/{self.nspawn.pid}/ns/net", f"/proc/{self.nspawn.pid}/ns/mnt"), **kw)

    def outside(self):
        """This thread in the world's network namespace: sockets made there stay there."""
        return netns.inside(f"/proc/{self.nspawn.pid}/ns/net")

    def _uplink(self):
        veth, = [word.split("@")[0] for word in self._outside("ip", "-o", "link").stdout.replace(":", " ").split() if word.startswith("ve-")]
        self._outside("ip", "addr", "add", f"{WORLD}/24", "dev", veth)
        self._outside("ip", "link", "set", veth, "up")
        self.sh(f"ip addr add {ADDRESS}/24 dev host0; ip link set host0 up; ip route add default via {WORLD}")

    def run(self, argv, **kw):
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8",
               "DEBIAN_FRONTEND": "noninteractive"}
        return run(["nsenter", "-t", str(self.init), "-m", "-p", "-n", "-u", "-i", "-C", "env", "-C", "/root", "-i",
                    *(f"{name}={value}" for name, value in env.items()), *argv], **kw)

    def sh(self, text, **kw):
        return self.run(["sh", "-euc", text], **kw)

    def write(self, path, text):
        self.run(["sh", "-euc", 'mkdir -p "$(dirname "$0")" && cat >"$0"', path], stdin=text)

    def close(self):
        """All of it ends with its first process; the control groups are nobody's then."""
        if self.nspawn.poll() is None:
            if hasattr(self, "init"):
                os.kill(self.init, signal.SIGKILL)
            else:
                self.nspawn.kill()
            self.nspawn.wait()
        self.log.close()
        run(["unshare", "-m", "sh", "-c", 'mount -t cgroup2 cgroup2 /mnt && find "/mnt/$0" -depth -type d -exec rmdir {} +', self.name],
            check=False)
        run(["rm", "-rf", "--one-file-system", self.dir])
