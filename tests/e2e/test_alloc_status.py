# SPDX-License-Identifier: Apache-2.0
"""
What a job's author reads in `nomad alloc status` when ADD refuses: the golden text of each error
code (tests/golden/cni-errors.json), through a real Nomad. Each row has a network and a root of its
own. Where a conflist alone can't bring the error about (Nomad writes the environment, libcni the
JSON), a shim between Nomad and the plugin does.
"""
import json
import os
import re
import shlex
import struct

import pytest

from harness import Node, NodeOptions, Tables, wait_for
from harness.nomad import Cluster
from harness.ways import nomad_and_consul

HERE = os.path.dirname(os.path.abspath(__file__))
JOB = """
job "{name}" {{
  type = "batch"
  group "g" {{
    network {{
      mode = "cni/{name}"
    }}
    restart {{
      attempts = 0
      mode     = "fail"
    }}
    reschedule {{
      attempts  = 0
      unlimited = false
    }}
    task "t" {{
      driver = "raw_exec"
      config {{
        command = "/bin/true"
      }}
    }}
  }}
}}
"""
# What a shim does before the plugin runs; $CNI_NETNS and $CNI_CONTAINERID are Nomad's.
BEFORE = {"eth0_is_there":
          'nsenter --net="$CNI_NETNS" ip link add eth0 type veth peer name x',
          "lock_is_held": 'mkdir -p "$ROOT/run/picket/lock"'}
# flock(1) takes another kind of lock than the plugin's.
LOCKED = ("import fcntl, subprocess, sys; f = open(sys.argv[1], 'a'); fcntl.lockf(f, fcntl.LOCK_EX); "
          "sys.exit(subprocess.call(sys.argv[2:]))")
UNDER = {"lock_is_held": f'/usr/bin/python3 -c "{LOCKED}" "$ROOT/run/picket/lock/endpoints" '}


def rows():
    """The first row of each code, named as its network."""
    with open(os.path.join(HERE, "../golden/cni-errors.json"), encoding="utf-8") as golden:
        first = {}
        for row in json.load(golden):
            first.setdefault(row["code"], dict(row, network=f"row{row['code']}"))
    return list(first.values())


ROWS = rows()


def needs_shim(row):
    conf = row.get("conf", {})
    return (any(key in row for key in ("stdin", "netns", "args")) or "cniVersion" in conf
            or "runtimeConfig" in conf or row.get("setup") in BEFORE)


class Row:
    """A golden row on a node: its root, and its network's conflist."""

    def __init__(self, node, row):
        self.node, self.row = node, row
        self.root = os.path.join(node.root, row["network"])
        self.conf = node.plugin_conf(**{"root": self.root, **row.get("conf", {})})
        self.conf.setdefault("cniVersion", "1.0.0")
        os.makedirs(os.path.join(self.root, "sys/fs/bpf"))
        os.makedirs(os.path.join(self.root, "var/lib"))
        getattr(self, row.get("setup", "nothing"), self.nothing)()

    def nothing(self):
        if self.row.get("setup") != "no_bpffs":
            self.node.run(["mount", "-t", "bpf", "bpf", os.path.join(self.root, "sys/fs/bpf")])

    def first_endpoint(self):
        self.nothing()
        self.node.add("acme", "api", "web", conf=self.conf)

    lock_is_held = first_endpoint

    def other_layout(self):
        self.first_endpoint()
        maps = os.path.relpath(os.path.join(self.root, "sys/fs/bpf/picket/maps"), self.node.root)
        with Tables(self.node.path(maps)).map("node") as table:
            value = bytearray(table.get(struct.pack("I", 0)))
            value[16:20] = struct.pack("I", 9999)
            table.set(struct.pack("I", 0), bytes(value))

    def one_slot(self):
        os.makedirs(os.path.join(self.root, "var/lib/picket"))
        with open(os.path.join(self.root, "var/lib/picket/node.json"), "w", encoding="ascii") as f:
            json.dump({"nomad": False, "capacity": {"endpoints": 1}}, f)
        self.nothing()		# pk1, the one place's device, is that of the row before

    def file_in_place_of_state(self):
        self.nothing()
        with open(os.path.join(self.root, "var/lib/picket"), "w", encoding="ascii"):
            pass

    def configure(self, cluster):
        """Its conflist and, where it needs one, its shim."""
        name = self.row["network"]
        plugin = {k: v for k, v in self.conf.items() if k not in ("cniVersion", "name")}
        if needs_shim(self.row):
            self.write_shim(cluster)
            plugin = {"type": name}
        path = os.path.join(os.path.dirname(cluster.conflist), f"{name}.conflist")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"cniVersion": "1.0.0", "name": name, "plugins": [plugin]}, file)

    def write_shim(self, cluster):
        row, setup = self.row, self.row.get("setup")
        stdin = os.path.join(self.root, "stdin")
        with open(stdin, "w", encoding="utf-8") as file:
            file.write(row.get("stdin") or json.dumps(self.conf))
        changed = {"ROOT": self.root, "CNI_NETNS": row.get("netns"), "CNI_ARGS": row.get("args")}
        plugin = os.path.join(cluster.cni_path, "picket")
        path = os.path.join(cluster.cni_path, row["network"])
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\n[ -n "$CNI_COMMAND" ] || exec {plugin}\n')
            file.writelines(f"export {key}={shlex.quote(value)}\n"
                            for key, value in changed.items() if value is not None)
            file.write(f"{BEFORE.get(setup, ':')}\n"
                       f"exec {UNDER.get(setup, '')}{plugin} <{stdin}\n")
        os.chmod(path, 0o755)

    def shown(self, cluster):
        """What `nomad alloc status` says of the job's failed allocation, without what differs."""
        def failed():
            found = cluster.allocs("default", self.row["network"])
            return found if found and found[0]["ClientStatus"] == "failed" else None
        alloc = wait_for(failed, f"{self.row['network']} to fail", timeout=120, pause=0.5)[0]
        text = cluster.describe("default", self.row["network"])
        text = text.replace(self.root, "{root}").replace(alloc["ID"], "{id}")
        text = text.replace("/var/run/netns/", "/run/netns/")
        text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "{uuid}", text)
        return re.sub(r"conflist:1:\d+", "conflist:1:N", text)


@pytest.fixture(scope="module")
def refused():
    """(cluster, {code: Row}), every job submitted."""
    nomad, consul = nomad_and_consul()
    with Node("node1", NodeOptions()) as node:
        cluster = Cluster(node, nomad, consul)
        # Devices are the node's, whatever the root: code 11's text names slot 1, so it is first.
        ordered = sorted(ROWS, key=lambda row: row["code"] != 11)
        made = {row["code"]: Row(node, row) for row in ordered}
        for row in made.values():
            row.configure(cluster)
        cluster.start()
        for row in made.values():
            path = os.path.join(node.root, f"{row.row['network']}.nomad.hcl")
            with open(path, "w", encoding="utf-8") as file:
                file.write(JOB.format(name=row.row["network"]))
            cluster.run_job(path)
        yield cluster, made


def test_every_code_is_here():
    assert {row["code"] for row in ROWS} >= {2, 4, 6, 7, 11, *range(100, 108)}


@pytest.mark.parametrize("code", [row["code"] for row in ROWS])
def test_alloc_status_shows(refused, code):
    cluster, made = refused
    row = made[code]
    shown = row.shown(cluster)
    assert f"{row.row['msg']}; {row.row['details']}" in shown, shown
