# SPDX-License-Identifier: Apache-2.0
"""Nomad's /v1/nodes, /v1/node/ID/allocations (blocking), /v1/allocation/ID and Variables; shapes as a real 1.11.2 gave them."""
import copy
import json
import re

from .server import FakeServer

NODE_ID = "7a94ec5f-0000-4000-8000-000000000001"
ROOT = "picket/v1/default/"
PATH = re.compile(r"[a-zA-Z0-9-_~/]{1,128}")


class FakeNomad(FakeServer):
    index_header = "X-Nomad-Index"

    def __init__(self, node="fake-node", **more):
        self.node, self.node_id = node, NODE_ID
        self.version = "1.11.2"     # of the agent; None: it says none
        self.allocs = {}
        self.raw = {}
        self.token, self.token_bad = None, False
        self.networks, self.plugins = [], {}    # of the node's record: modes, versions by plugin
        self.denies = set()         # namespaces whose allocs the token may not list
        self.services = {}          # {(namespace, name): [(id, address, port)…]}
        self.hidden = set()         # allocs that the node's list lacks, but /v1/allocation/ID gives
        self.variables = {}         # {(namespace, path): Items, CreateIndex, ModifyIndex}
        self.vars_index = 1
        self.unseen, self.unwritable = set(), set()     # namespaces whose variables the token may not see, or write
        self.others = {}            # further nodes: {name: (id, status)}
        self.lags = None            # what servers but the leader say of all nodes: (index, None: no header; {name: (id, status)})
        super().__init__(**more)

    def index_of(self, path):
        """The list of variables has an index of its own, that of the last change of any of them."""
        return self.vars_index if path == "/v1/vars" else self.index

    def set_variable(self, path, items, namespace="default"):
        """path is below the cluster's; items None: it is deleted."""
        with self.changed:
            self.bump()
            self.vars_index = self.index
            key = namespace, ROOT + path
            if items is None:
                del self.variables[key]
            else:
                made = self.variables.get(key, {"CreateIndex": self.index})["CreateIndex"]
                self.variables[key] = {"Items": items, "CreateIndex": made, "ModifyIndex": self.index}

    def put_document(self, key, document):
        """key as Consul's: "operator/x", "tenants/acme/x"; document None: it is deleted."""
        text = document if isinstance(document, str) else json.dumps(document)
        namespace = key.split("/")[1] if key.startswith("tenants/") else "default"
        self.set_variable("policies/" + key, document and {"document": text}, namespace)

    def snapshot(self):
        with self.changed:
            return copy.deepcopy(self.variables), self.vars_index

    def restore(self, saved):
        """As `nomad operator snapshot restore`: who waits goes on waiting, and the next write's index is above all before."""
        with self.changed:
            self.variables, self.vars_index = copy.deepcopy(saved[0]), saved[1]

    def wake(self):
        """Somebody writes a variable of no concern."""
        with self.changed:
            self.bump()
            self.vars_index = self.index

    def change(self, verb, path, text):
        """Variables alone."""
        if self.token_bad:
            return 403, "Permission denied"
        key = self.query.get("namespace", "default"), path.removeprefix("/v1/var/")
        if not path.startswith("/v1/var/") or not PATH.fullmatch(key[1]):
            return 400, "invalid path"
        if key[0] in self.unwritable:
            return 403, "Permission denied"
        there = self.variables.get(key)
        if "cas" in self.query and int(self.query["cas"]) != (there or {"ModifyIndex": 0})["ModifyIndex"]:
            return 409, self.variable(key) if there else {"Items": None, "CreateIndex": 0, "ModifyIndex": 0}
        items = verb == "PUT" and json.loads(text)["Items"]
        if items and sum(len(k.encode()) + len(v.encode()) for k, v in items.items()) > 65536:
            return 400, "variables are limited to 64KiB in total size"
        self.bump()
        self.vars_index = self.index
        if verb == "DELETE":
            self.variables.pop(key, None)
            return 204, ""
        self.variables[key] = {"Items": items, "CreateIndex": (there or {"CreateIndex": self.index})["CreateIndex"],
                               "ModifyIndex": self.index}
        return 200, self.variable(key)

    def variable(self, key, items=True):
        found = {"Namespace": key[0], "Path": key[1], **self.variables[key]}
        return found if items else {k: v for k, v in found.items() if k != "Items"}

    def put(self, alloc_id, namespace, job, group, *, meta=None, ports=None, services=None,
            parent="", status="running", hidden=False, elsewhere=False, node=None, raw=None, dns=None, hostname=None):
        """An alloc of this node, unless elsewhere, or of the node of that name. ports: {label: (host, own)}; services: as in a
        group of a job; raw: members of the alloc as JSON text, behind its own; dns, hostname: of its network block."""
        with self.changed:
            self.allocs[alloc_id] = {
                "ID": alloc_id, "Namespace": namespace, "JobID": job, "TaskGroup": group,
                "NodeID": "elsewhere" if elsewhere or node else self.node_id, "NodeName": node or self.node, "ClientStatus": status, "DesiredStatus": "run",
                "ModifyTime": 1763970000000000000,
                "Job": {"ID": job, "ParentID": parent, "Region": "global", "Meta": meta or {},
                        "TaskGroups": [{"Name": group, "Meta": None, "Services": services or [], "Networks": [{"Mode": "cni/picket", "DNS": dns, "Hostname": hostname}],
                                        "Tasks": [{"Name": "vm", "Services": None}]}]},
                "AllocatedResources": {"Shared": {"Ports": [
                    {"Label": label, "Value": host, "To": own, "HostIP": "127.0.0.1"}
                    for label, (host, own) in (ports or {}).items()]}}}
            self.raw[alloc_id] = ", " + raw if raw else ""
            (self.hidden.add if hidden or elsewhere or node else self.hidden.discard)(alloc_id)
            self.bump()

    def cni_args(self, alloc_id, namespace, job, group, own=None):
        """CNI_ARGS as an agent of this version gives them. own: the job's own, cni { args }."""
        version = [int(n) for n in (self.version or "1.11.2").split("+")[0].split(".")]
        args = {"IgnoreUnknown": "true"}
        if version >= [1, 8, 2]:
            args.update(own or {})
        if version >= [1, 9, 4]:
            args.update(NOMAD_REGION="global", NOMAD_NAMESPACE=namespace, NOMAD_JOB_ID=job,
                        NOMAD_GROUP_NAME=group, NOMAD_ALLOC_ID=alloc_id)
        return ";".join(f"{key}={value}" for key, value in args.items())

    def list_service(self, namespace, name, *instances):
        """instances: (id, address, port)."""
        with self.changed:
            self.services[namespace, name] = list(instances)
            self.bump()

    def remove(self, alloc_id):
        with self.changed:
            del self.allocs[alloc_id]
            self.bump()

    def other(self, name, id, status):
        return {"ID": id, "Name": name, "Datacenter": "dc1", "NodePool": "default", "Status": status, "Version": self.version}

    def lag(self, index, nodes):
        """Who waits is answered so at once."""
        with self.changed:
            self.lags = index, nodes
            self.bump()

    def text(self, alloc_id):
        return json.dumps(self.allocs[alloc_id])[:-1] + self.raw[alloc_id] + "}"

    def answer(self, path, query, headers):
        self.token_bad = bool(self.token) and headers.get("X-Nomad-Token") != self.token
        if self.token_bad:
            return 403, "Permission denied"
        if path == "/v1/nodes" and self.lags and "stale" in query and "filter" not in query:
            index, nodes = self.lags
            self.more_headers = {self.index_header: index and str(index)}
            return 200, [self.other(name, *node) for name, node in nodes.items()]
        if path == "/v1/nodes":
            return 200, [{"ID": self.node_id, "Name": self.node, "Datacenter": "dc1",
                          "NodePool": "default", "Status": "ready",
                          **({"Version": self.version} if self.version else {})},
                         *(self.other(name, *node) for name, node in self.others.items())]
        if path == "/v1/vars":
            return 200, [self.variable(key, items=False) for key in sorted(self.variables)
                         if key[1].startswith(query["prefix"]) and key[0] not in self.unseen]
        if path.startswith("/v1/var/"):
            key = query.get("namespace", "default"), path.removeprefix("/v1/var/")
            if key[0] in self.unseen:
                return 403, "Permission denied"
            return (200, self.variable(key)) if key in self.variables else (404, "variable not found")
        if path == f"/v1/node/{self.node_id}":
            return 200, {"ID": self.node_id, "Name": self.node, "SecretID": "",
                         "NodeResources": {"Networks": [{"Mode": mode} for mode in self.networks]},
                         "Attributes": {"os.name": "debian", "nomad.version": self.version, **{
                             f"plugins.cni.version.{name}": v for name, v in self.plugins.items()}}}
        if path == f"/v1/node/{self.node_id}/allocations":
            return 200, "[" + ",".join(self.text(i) for i in self.allocs if i not in self.hidden) + "]"
        if path.startswith("/v1/node/"):        # of the others
            name = next((n for n, (id, _) in self.others.items() if id == path.split("/")[3]), None)
            if name and path.endswith("/allocations"):
                return 200, "[" + ",".join(self.text(i) for i, a in self.allocs.items() if a["NodeName"] == name) + "]"
            return 404, "node not found"
        if path.startswith("/v1/service/"):
            name = path.rsplit("/", 1)[1]
            return 200, [{"ID": id, "ServiceName": name, "Namespace": query["namespace"], "Address": address, "Port": port}
                         for id, address, port in self.services.get((query["namespace"], name), [])]
        if path == "/v1/allocations":
            if self.denies and query["namespace"] in self.denies:
                return 403, "Permission denied"
            return 200, [{k: v for k, v in a.items() if k in ("ID", "Namespace", "NodeID", "NodeName", "ClientStatus")}
                         for a in self.allocs.values() if a["Namespace"] == query["namespace"]]
        if path.startswith("/v1/allocation/"):
            alloc_id = path.rsplit("/", 1)[1]
            return (200, self.text(alloc_id)) if alloc_id in self.allocs else (404, "alloc not found")
        return 404, "no such path"
