# SPDX-License-Identifier: Apache-2.0
"""The machines: QEMU without KVM, Debian's own kernel and root, and the built tree beside it."""
import dataclasses
import glob
import os
import shutil
import subprocess
import tempfile
import time

from harness import netns
from harness.guest import kernel_words
from harness.shell import TREE, run
from parts import HERE, Unfetched, Unmade

MODULES = "virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk"
SOURCES = ("tests", "include", "examples")
MEMORY = 3072
CONSOLE_MOST = 64 << 20


@dataclasses.dataclass
class Kind:
    """Of an architecture: how QEMU is called, what runs there (report.py) and what that needs."""
    qemu: str
    machine: tuple
    console: str
    suites: tuple
    programs: tuple


KINDS = {
    # An old processor's features and no mitigations: -cpu max took half as much time again.
    "amd64": Kind("qemu-system-x86_64", ("q35", "-cpu", "Nehalem"), "ttyS0",
                  ("bpf", "policy", "guard", "netns", "kinds", "kernel", "lockdown"),
                  ("picket", "picketd", "picket-cni", "tests/bpf-test")),
    # The pointer authentication of -cpu max costs three times the time.
    "arm64": Kind("qemu-system-aarch64", ("virt", "-cpu", "cortex-a72"), "ttyAMA0",
                  ("bpf", "kernel"), ("tests/bpf-test",)),
}

# A few minutes of what KINDS takes an hour for: part of every `make test`.
SHORT = dataclasses.replace(KINDS["amd64"], suites=("bpf", "guard", "kernel", "lockdown"))


class Stopped(Exception):
    """A machine didn't end by itself, or not well."""


def busybox(root_image, out):
    """The root's own, where this machine's is for another processor."""
    run(["debugfs", "-R", f"dump /usr/bin/busybox {out}", root_image],
        env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"})
    os.chmod(out, 0o755)
    return out


def tree_image(out, build, programs):
    """A disk image of what the tests need of this tree and of a build."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(out)) as tree:
        for part in SOURCES:
            shutil.copytree(os.path.join(TREE, part), os.path.join(tree, part), symlinks=True,
                            ignore=shutil.ignore_patterns("__pycache__", "corpus"))
        for program in programs:
            to = os.path.join(tree, "build", program)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copy2(os.path.join(build, program), to)
        size = sum(os.lstat(os.path.join(at, name)).st_size + 4096
                   for at, dirs, files in os.walk(tree) for name in dirs + files)
        with open(out, "wb") as file:
            file.truncate(size * 5 // 4 + (64 << 20))
        run(["mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d", tree, out],
            env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"})
    return out


class Machine:
    """boot() runs it to its end. Its disks are never changed: what it writes goes with it."""

    def __init__(self, kind, kernel, root, build, work):
        if not shutil.which(kind.qemu):
            raise Unfetched(f"no {kind.qemu}; fix: scripts/install-deps")
        os.makedirs(work, exist_ok=True)
        self.kind, self.kernel = kind, glob.glob(os.path.join(kernel, "boot/vmlinuz-*"))[0]
        self.initramfs = os.path.join(work, "initramfs.gz")
        run([os.path.join(TREE, "tests/guest/mkinitramfs"), kernel, self.initramfs, MODULES,
             os.path.join(HERE, "initramfs/init")],
            env={**os.environ, "BUSYBOX": busybox(root, os.path.join(work, "busybox"))})
        self.disks = (root, tree_image(os.path.join(work, "tree.img"), build, kind.programs))

    def command(self, console, report, words):
        disks = [word for path in self.disks
                 for word in ("-drive", f"file={path},format=raw,if=virtio,snapshot=on")]
        return [self.kind.qemu, "-accel", "tcg,thread=multi", "-machine", *self.kind.machine,
                "-smp", "2", "-m", str(MEMORY), "-nodefaults", "-no-user-config",
                "-display", "none", "-no-reboot", "-kernel", self.kernel,
                "-initrd", self.initramfs,
                "-append", kernel_words("mitigations=off", *words, console=self.kind.console), *disks,
                "-serial", f"file:{console}", "-device", "virtio-serial-pci",
                "-chardev", f"file,id=report,path={report}",
                "-device", "virtserialport,chardev=report,name=report"]

    def boot(self, console, report, words, silence):
        for path in (console, report):
            open(path, "wb").close()
        qemu = subprocess.Popen(self.command(console, report, words), stdin=subprocess.DEVNULL,
                                preexec_fn=netns.die_with_parent)
        try:
            status = watch(qemu, console, silence)
        finally:
            qemu.kill()
            qemu.wait()
        if status:
            raise Stopped(f"QEMU ended with status {status}")


def watch(qemu, console, silence):
    """QEMU's exit status; silence: how many seconds its console may say nothing."""
    size, end = 0, time.monotonic() + silence
    while time.monotonic() < end:
        try:
            return qemu.wait(1)
        except subprocess.TimeoutExpired:
            pass
        if os.path.getsize(console) > CONSOLE_MOST:
            raise Stopped(f"its console is past {CONSOLE_MOST} bytes")
        if os.path.getsize(console) > size:
            size, end = os.path.getsize(console), time.monotonic() + silence
    raise Stopped(f"its console said nothing for {silence} s")
