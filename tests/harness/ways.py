# SPDX-License-Identifier: Apache-2.0
"""Where kernels differ: how the guard reads a packet's metadata (one way or both), what a tap takes; and whether Nomad and Consul are here."""
import pytest

from .nomad import peer


def _has_kfunc():
    """Linux 6.2 and up: bpf_cast_to_kern_ctx, by its name among the kernel's types."""
    with open("/sys/kernel/btf/vmlinux", "rb") as types:
        return b"\0bpf_cast_to_kern_ctx\0" in types.read()


WAYS = ("kfunc", "probe") if _has_kfunc() else ("probe",)


def fault_of(way):
    """NodeOptions.fault: the way that the loader wouldn't choose takes a test build."""
    return "" if way == WAYS[0] else "no-kfunc"


def needs_udp_segments(tap):
    """Skips the test where the tap's writer can't ask for UDP segmentation."""
    if not tap.takes_udp_segments():
        pytest.skip("before Linux 6.2 a tap refuses UDP segmentation from its writer")


def nomad_and_consul():
    """Paths of the real programs; where there are none the test is skipped."""
    nomad, consul = peer("nomad"), peer("consul")
    if not nomad or not consul:
        pytest.skip("no Nomad or Consul in PATH and no Go 1.26 to build them")
    return nomad, consul
