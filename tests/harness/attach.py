# SPDX-License-Identifier: Apache-2.0
"""`picket attach` and `picket detach` on a node: an endpoint that no CNI runtime makes."""
import json
import os

from .alloc import Alloc
from .shell import binary


class Attached(Alloc):
    """What attach made, as an allocation of which `picket attach -json` said everything."""

    def __init__(self, node, name, said):
        super().__init__(node, name, said["netns"])
        self.said = said

    def address(self, family=4):
        return self.said[f"ipv{family}"]["address"]

    @property
    def mac(self):
        return self.said["mac"]

    @property
    def has_host_tap(self):
        return self.said.get("attach") == "host-tap"

    @property
    def slot(self):
        record, = [name for name in self.node.records() if name.startswith(f"{self.id}@")]
        return int(record.split("@")[2])


def conflist(node, path="picket.conflist", **more):
    """A conflist of the node's own network below its root; its path."""
    conf = node.plugin_conf(**more)
    head = {key: conf.pop(key) for key in ("cniVersion", "name")}
    path = os.path.join(node.root, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**head, "plugins": [conf]}, file)
    return path


def command(node, *words, fault="", **kw):
    """picket attach or detach; CompletedProcess. fault: a kill point of the command or of the plugin."""
    where = "faults/" if fault else ""
    env = {"PICKET_FAULT": f"{fault}:1"} if fault else None
    return node.run([binary(where + "picket"), "-root", node.root, *words, "-plugin", binary(where + "picket-cni")],
                    check=False, env=env, **kw)


def attach(node, name, *words, **kw):
    """An endpoint; its conflist is the one below the node's root, unless words say another."""
    done = command(node, "attach", name, "-json", *words, **kw)
    assert done.returncode == 0, done.stdout + done.stderr
    made = Attached(node, name, json.loads(done.stdout))
    node.allocs[name] = made
    return made


def detach(node, name):
    done = command(node, "detach", name)
    assert done.returncode == 0, done.stdout + done.stderr
    node.allocs.pop(name, None)
    return done.stdout
