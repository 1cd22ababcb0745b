# SPDX-License-Identifier: Apache-2.0
"""A real VMM on a host tap: QEMU, unprivileged in its netns, with the descriptor that `picket tap` was handed."""
import json
import os

import pytest
from harness import Guest, wait_for
from harness.guest import files_for, kernel_words
from harness.nomad import Cluster, peer
from harness.nomad_guest import NomadGuest
from harness.shell import TREE, binary, run

NODE = "192.0.2.2"
JOB = os.path.join(TREE, "examples/nomad/host-tap.nomad.hcl")


def test_a_guest_and_its_next_vmm(make_node):
    """It gets its address by DHCP, reaches its tenant's guest behind the other kind of tap, and its VMM may be started anew."""
    node = make_node(config={"nomad": None}, conf={"owner": 65534})
    node.start_picketd()
    api = node.add("acme", "api", "web", conf=node.plugin_conf(attach="host-tap"))
    db = node.add("acme", "db", "db")
    guest, other = Guest(api), Guest(db)
    guest.boot()
    other.boot()
    assert guest.reaches("tcp", db.address()) and other.reaches("tcp", api.address())
    wait_for(lambda: guest.reaches("ping", db.address(6)), "IPv6, once its address is proven")
    guest.off()
    again = Guest(api)
    again.boot()
    assert again.reaches("tcp", db.address()) and other.reaches("ping", api.address())
    for each in (again, other):
        each.off()


ECHO = """
job "echo" {{
  namespace = "{namespace}"
  group "echo" {{
    network {{
      mode = "cni/picket-process"
    }}
    task "echo" {{
      driver       = "raw_exec"
      kill_timeout = "1s"
      config {{
        command = "busybox"
        args    = ["nc", "-ll", "-p", "8080", "-e", "cat"]
      }}
      resources {{
        cpu    = 50
        memory = 32
      }}
    }}
  }}
}}
"""


@pytest.fixture(name="cluster")
def _cluster(make_node):
    """Nomad with three networks: the node's own, one of host taps and one of processes; without Consul."""
    nomad = peer("nomad")
    if not nomad:
        pytest.skip("no Nomad in PATH and no Go 1.26 to build one")
    node = make_node(config={"nomad": {"address": f"http://{NODE}:4646"}, "consul": None})
    cluster = Cluster(node, nomad, None)
    for name, conf in (("picket-host", {"attach": "host-tap", "owner": 65534, "group": 65534}), ("picket-process", {"mode": "process"})):
        plugin = {k: v for k, v in node.plugin_conf(**conf).items() if k not in ("cniVersion", "name")}
        with open(os.path.join(os.path.dirname(cluster.conflist), f"{name}.conflist"), "w", encoding="utf-8") as file:
            json.dump({"cniVersion": "1.0.0", "name": name, "plugins": [plugin]}, file)
    node.start_picketd()
    cluster.start_server()
    cluster.start_client()
    return cluster


def processes(word):
    """"UID COMMAND" of those that have the word in their command line."""
    listed = run(["ps", "-eo", "uid=,args="]).stdout.splitlines()
    return [" ".join(line.split()) for line in listed if word in line]


def write(path, text, mode):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def test_a_job_of_nomads(cluster):
    """
    The job file that is shipped: raw_exec runs `picket tap` as an unprivileged user, and QEMU on the descriptor. The guest has the
    address that Nomad says, reaches its tenant's process and not another tenant's; with the job everything of it is gone.
    """
    node = cluster.node
    kernel, initramfs = files_for(node)
    folder = os.path.join(node.base, "vm")		# which its user can enter
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    picket = write(os.path.join(folder, "picket"), f'#!/bin/sh\nexec {binary("picket")} -root {node.root} "$@"\n', 0o755)
    echoes = {}
    for namespace in ("acme", "beta"):
        cluster.namespace(namespace)
        cluster.run_job(write(os.path.join(node.root, f"{namespace}.nomad.hcl"), ECHO.format(namespace=namespace), 0o644))
    cluster.run_job(JOB, namespace="acme", kernel=kernel, initramfs=initramfs, words=kernel_words(), run=folder, picket=picket)
    for namespace in ("acme", "beta"):
        [alloc] = cluster.running(namespace, "echo")
        echoes[namespace] = alloc["NetworkStatus"]["Address"]
    [alloc] = cluster.running("acme", "host-tap")
    [endpoint] = [e for e in node.api("/v1/endpoints")["endpoints"] if e["containerId"] == alloc["ID"]]
    device = f"pk{endpoint['slot']}"
    assert endpoint["hostTap"] is True
    guest = NomadGuest(os.path.join(folder, "host-tap.sock"))
    [vmm] = processes(os.path.join(folder, "host-tap.sock"))
    assert vmm.startswith("65534 qemu-system"), vmm
    assert guest.ready()[0].split("/")[0] == alloc["NetworkStatus"]["Address"]
    wait_for(lambda: guest.reaches("tcp", echoes["acme"]), "the process of its tenant")
    assert not guest.reaches("tcp", echoes["beta"])
    cluster.stop_job("acme", "host-tap")
    wait_for(lambda: not any(alloc["ID"] in name for name in node.records()), "the end of its record")
    assert not processes(folder) and node.run(["ip", "link", "show", device], check=False).returncode
    guest.off()
