# SPDX-License-Identifier: Apache-2.0
"""Entering network and mount namespaces by setns, for one thread or a child."""
import contextlib
import ctypes
import os
import signal

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name, *args):
    if getattr(_libc, name)(*args) < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def setns(path, kind):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("setns", fd, kind)
    finally:
        os.close(fd)


def die_with_parent():
    _call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@contextlib.contextmanager
def inside(path):
    """This thread in the network namespace at path: sockets made there stay there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(path, CLONE_NEWNET)
        yield
    finally:
        _call("setns", home, CLONE_NEWNET)
        os.close(home)


def entering(net, mnt=None, credentials=None, pdeathsig=True):
    """A preexec_fn: the child in net (and mnt), then as (uid, gid, *groups), no capabilities."""
    def enter():
        net_fd = os.open(net, os.O_RDONLY | os.O_CLOEXEC)
        if mnt:
            directory = os.getcwd()
            setns(mnt, CLONE_NEWNS)
            try:
                os.chdir(directory)
            except OSError:
                os.chdir("/")
        _call("setns", net_fd, CLONE_NEWNET)
        os.close(net_fd)
        if credentials:
            uid, gid, *groups = credentials
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
        if pdeathsig:
            die_with_parent()
    return enter


def processes_of(namespace, kind):
    """Ids of the processes whose namespace ("net" or "mnt") has this inode."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if os.stat(f"/proc/{name}/ns/{kind}").st_ino == namespace:
                found.append(int(name))
        except OSError:
            continue
    return found
