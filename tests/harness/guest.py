# SPDX-License-Identifier: Apache-2.0
"""A real microVM on an allocation's tap, asked over its console (tests/guest/init)."""
import collections
import fcntl
import glob
import os
import shutil
import stat
import subprocess
import threading

from .shell import TREE, Failed, binary, build_dir, run, wait_for

_KVM_CREATE_VM = 0xAE01
_OWNER = (65534, 65534)
_MODULES = "virtio_ring virtio failover net_failover virtio_mmio virtio_net"


def accelerator():
    """(name, groups): kvm where the machine lets a group in and a VM can be made, else tcg."""
    try:
        kvm = os.stat("/dev/kvm")
        with open("/dev/kvm", "rb", buffering=0) as file:
            os.close(fcntl.ioctl(file, _KVM_CREATE_VM, 0))
    except OSError:
        return "tcg", ()
    if stat.S_IMODE(kvm.st_mode) & 0o060 != 0o060 or os.environ.get("PICKET_ACCEL") == "tcg":
        return "tcg", ()
    return "kvm", (kvm.st_gid,)


def image():
    """(kernel, initramfs), made once in the cache and the build directory."""
    kernel = run([os.path.join(TREE, "tests/guest/fetch-kernel")], timeout=600).stdout.strip()
    parts = [os.path.join(TREE, "tests/guest", name) for name in
             ("mkinitramfs", "init", "dhcp", "probe")]
    initramfs = os.path.join(build_dir(), "guest", "initramfs.gz")
    if (not os.path.exists(initramfs)
            or os.path.getmtime(initramfs) < max(map(os.path.getmtime, parts))):
        run([parts[0], kernel, initramfs, _MODULES, *parts[1:]])
    return glob.glob(os.path.join(kernel, "boot/vmlinuz-*"))[0], initramfs


def files_for(node):
    """The image where the guests' unprivileged owner can read it."""
    directory = os.path.join(node.base, "image")
    if not os.path.isdir(directory):
        kernel, initramfs = image()
        os.mkdir(directory, 0o755)
        shutil.copyfile(kernel, os.path.join(directory, "vmlinuz"))
        shutil.copyfile(initramfs, os.path.join(directory, "initramfs.gz"))
    return os.path.join(directory, "vmlinuz"), os.path.join(directory, "initramfs.gz")


def kernel_words(*more, console="ttyS0"):
    """
    A kernel's command line. Without tsc_early_khz one boot in twelve hangs under TCG on a
    busy machine: the kernel measures its clock against an emulated timer, and fails.
    """
    with open("/proc/cpuinfo", encoding="ascii") as file:
        khz = next((int(float(line.split(":")[1]) * 1000) for line in file
                    if line.startswith("cpu MHz")), 2000000)
    # The kernel's tests of its own ciphers are an eighth of what a boot costs under TCG.
    words = [f"console={console}", "reboot=t", "panic=-1", "quiet", "cryptomgr.notests", f"tsc_early_khz={khz}"]
    return " ".join(words + list(more))


def command(kernel, initramfs, mac, *, accel="tcg", ip6="", tap="ifname=tap0,script=no,downscript=no", memory=96):
    """QEMU's command line for a guest with its console on standard input and output; tap: how it gets it."""
    cpu = "host" if accel == "kvm" else "max"
    return ["qemu-system-x86_64", "-machine", f"microvm,accel={accel}", "-cpu", cpu,
            "-m", str(memory), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-serial", "stdio", "-kernel", kernel, "-initrd", initramfs,
            "-append", kernel_words(*([f"picket.ip6={ip6}"] if ip6 else [])),
            "-netdev", f"tap,id=n0,{tap}",
            "-device", f"virtio-net-device,netdev=n0,mac={mac}"]


class Guest:
    """
    A guest in an attached allocation. ask() sends a command and answers its words; start() and
    Answer.wait() let several run side by side.
    """

    def __init__(self, alloc, credentials=_OWNER):
        self.alloc = alloc
        driver = alloc.driver_file()
        mac = driver.get("mac") or alloc.mac
        kernel, initramfs = files_for(alloc.node)
        accel, groups = accelerator()
        argv = command(kernel, initramfs, mac, accel=accel, ip6=alloc.address(6) or "")
        if alloc.has_host_tap:
            argv = [binary("picket"), "-root", alloc.node.root, "tap", "--", *command(
                kernel, initramfs, mac, accel=accel, ip6=alloc.address(6) or "", tap="fd=3")]
        self.process = alloc.popen(
            argv,
            credentials=(*credentials, *groups), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", bufsize=1)
        self.console = collections.deque(maxlen=200)
        self._answers, self._next, self._lock = {}, 0, threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for line in self.process.stdout:
                line = line.strip("\r\n\0 ")
                at = line.find("@")
                words = line[at + 1:].split() if at >= 0 else []
                if len(words) >= 2 and (words[0] == "boot" or words[0].startswith("q")):
                    self._answers[words[0]] = words[1:]
                else:
                    self.console.append(line)
        except ValueError:
            return		# closed by the node's end

    def boot(self, timeout=240):
        """Wait until it has its address; the words of its lease."""
        words = self.wait("boot", timeout)
        if words[0] != "ok":
            raise Failed(f"guest: no address by DHCP: {words}\n{self.tail()}")
        return words[1:]

    def tail(self):
        return "\n".join(list(self.console)[-15:])

    def start(self, *words):
        """Send a command; its id for wait()."""
        with self._lock:
            self._next += 1
            question = f"q{self._next}"
        self.process.stdin.write(" ".join([question, *map(str, words)]) + "\n")
        self.process.stdin.flush()
        return question

    def wait(self, question, timeout=90):
        def answered():
            if self.process.poll() is not None and question not in self._answers:
                raise Failed(f"QEMU ended with {self.process.returncode}\n{self.tail()}")
            return self._answers.get(question)
        try:
            return wait_for(answered, f"the guest's answer to {question}", timeout)
        except Failed as failed:
            raise Failed(f"{failed}\n{self.tail()}") from failed

    def ask(self, *words, timeout=90):
        return self.wait(self.start(*words), timeout)

    def reaches(self, protocol, address, port=8080):
        """Whether a probe (ping or tcp) was answered."""
        words = [protocol, address] + ([port] if protocol != "ping" else [])
        return self.ask(*words)[0] == "ok"

    def off(self):
        """End the VMM, as a task that is killed."""
        self.process.kill()
        self.process.wait()
