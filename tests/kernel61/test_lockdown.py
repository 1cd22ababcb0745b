# SPDX-License-Identifier: Apache-2.0
"""
Kernel lockdown refuses probe reads, and before Linux 6.2 there is no other way to the metadata. Last
of a machine's tests: lockdown can't be taken back.
"""
import os

import pytest
from harness import CniError

with open("/proc/cmdline", encoding="ascii") as words:
    pytestmark = pytest.mark.skipif("picket.word=" not in words.read(),
                                    reason="only in the machine of tests/kernel61")


def test_the_load_is_refused_and_nothing_weaker_takes_its_place(make_node):
    with open("/sys/kernel/security/lockdown", "w", encoding="ascii") as lockdown:
        lockdown.write("confidentiality")
    node = make_node()
    with pytest.raises(CniError) as refused:
        node.add("acme", "api", "web")
    assert refused.value.code == 103
    assert "before 6.2 the guard reads checksum and segmentation by bpf_probe_read_kernel" in str(refused.value)
    assert not os.path.exists(node.path("sys/fs/bpf/picket/current"))
    links = node.json(["ip", "-json", "link"])
    assert not [link["ifname"] for link in links if link["ifname"].startswith("pk")]
