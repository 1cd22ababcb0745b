# SPDX-License-Identifier: Apache-2.0
"""Firecracker's own SDK reads what the plugin printed, for every CNI version (tests/vmconf)."""
import json
import os
import re
import shutil
import subprocess

import pytest
from harness.shell import TREE, build_dir, run

VERSIONS = ("0.3.1", "0.4.0", "1.0.0", "1.1.0")


def go():
    found = shutil.which("go", path=os.environ["PATH"] + ":/usr/local/go/bin")
    if not found:
        return None
    said = subprocess.run([found, "version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"go(\d+)\.(\d+)", said)
    return found if version and tuple(map(int, version.groups())) >= (1, 26) else None


@pytest.fixture(scope="module")
def reader():
    """The Go test, compiled once; it runs inside the node, where the results' netns paths are."""
    compiler = go()
    if not compiler:
        pytest.skip("no Go 1.26 in PATH or /usr/local/go/bin")
    path = os.path.join(build_dir(), "vmconf.test")
    env = {**os.environ, "HOME": os.environ.get("HOME", "/root"), "GOFLAGS": "-buildvcs=false"}
    run([compiler, "test", "-c", "-o", path, "."], cwd=os.path.join(TREE, "tests/vmconf"),
        env=env, timeout=600)
    return path


def case(alloc):
    driver = alloc.driver_file()
    return {"containerID": alloc.id, "tap": "tap0", "result": alloc.result,
            "expect": {"mac": alloc.mac, "ip": alloc.address() + "/24", "gateway": alloc.gateway,
                       "kernelArgument": driver["kernelIp"], "mtu": 1400}}


def test_firecracker_sdk_accepts_the_result(make_node, reader):
    node = make_node(conf={"mtu": 1400, "dns": {"servers": ["10.0.0.53", "10.0.0.54"]}})
    results = os.path.join(node.root, "results")
    os.mkdir(results)
    for version in VERSIONS:
        alloc = node.add("acme", "job", "group", conf=node.plugin_conf(cniVersion=version))
        assert alloc.result["cniVersion"] == version
        with open(os.path.join(results, f"{version}.json"), "w", encoding="utf-8") as file:
            json.dump(case(alloc), file)
    said = node.run([reader, "-test.v"], env={"PICKET_RESULTS": results}, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    assert said.stdout.count("--- PASS: TestFirecrackerReadsResult/") == len(VERSIONS), said.stdout
