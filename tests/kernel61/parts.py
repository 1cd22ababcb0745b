# SPDX-License-Identifier: Apache-2.0
"""What machines are made of: Debian's kernel and root for an architecture, tests/bpf built for it."""
import os
import shutil
import signal
import subprocess
import sys

from harness.shell import TREE, build_dir, run

HERE = os.path.dirname(os.path.abspath(__file__))
LOWEST = "6.1."
FETCH_SECONDS = 1200
NOT_FETCHED = 75
CROSS = {"arm64": "aarch64-linux-gnu"}


class Unfetched(Exception):
    """A part isn't to be had here: nothing is known about the kernel then."""


class Unmade(Exception):
    """It can be had, and something of ours failed with it."""


def made(argv, unfetched):
    """The path that a maker prints; unfetched: its statuses when it could not fetch."""
    name = os.path.basename(argv[0])
    maker = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, err = maker.communicate(timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(maker.pid, signal.SIGKILL)
        maker.communicate()
        raise Unfetched(f"{name} did not end in {FETCH_SECONDS} s") from None
    sys.stderr.write(err)
    if maker.returncode:
        why = (err.strip().splitlines() or ["no word"])[-1]
        kind = Unfetched if maker.returncode in unfetched else Unmade
        raise kind(f"{name}: status {maker.returncode}: {why}")
    return out.strip()


def kernel(arch):
    """The kernel's folder; it must be the lowest one."""
    folder = made([os.path.join(TREE, "tests/guest/fetch-kernel"), arch], unfetched=range(1, 256))
    release = os.listdir(os.path.join(folder, "lib/modules"))[0]
    if not release.startswith(LOWEST):
        raise Unfetched(f"this machine's Debian has Linux {release}, not {LOWEST}x")
    return folder


def root(arch, kernel_folder, more=()):
    """The image of the machine's root; more: a list of packages, all are installed then."""
    return made([os.path.join(HERE, "mkroot"), arch, kernel_folder, *more], unfetched=(NOT_FETCHED,))


def cross_build(arch, image):
    """tests/bpf for that architecture, beside the build; where it is."""
    tool = f"{CROSS[arch]}-gcc"
    if not shutil.which(tool):
        raise Unfetched(f"no {tool}; fix: apt-get install gcc-{CROSS[arch]}")
    build = os.path.join(build_dir(), arch)
    run(["make", "-C", TREE, "--no-print-directory", f"B={build}", f"CROSS={CROSS[arch]}",
         f"SYSROOT={image.removesuffix('.img')}.root", "cross-test-bin"], timeout=900)
    return build
