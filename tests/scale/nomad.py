# SPDX-License-Identifier: Apache-2.0
"""Nomad's nodes and allocations, as picketd asks for them; a whole allocation is a real one with other names."""
import collections
import copy
import json
import os
import time

from harness.shell import TREE

from .server import Service

RECORDED = os.path.join(TREE, "tests/recorded/nomad-allocations.json")


class Nomad(Service):
    """places(tenant): (allocation, node) of each of its endpoints anywhere."""
    header = "X-Nomad-Index"

    def __init__(self, node, places):
        super().__init__()
        with open(RECORDED, encoding="utf-8") as file:
            self.recorded = json.load(file)[0]
        self.node, self.node_id, self.places = node, "7a94ec5f-0000-4000-8000-000000000001", places
        self.own, self.index = {}, 100		# own: the allocations of the node
        self.told = collections.deque(maxlen=8)	# (index, ns) of its last answers about them

    def put(self, alloc_id, tenant, job, group, meta=None):
        whole = copy.deepcopy(self.recorded)
        whole.update(ID=alloc_id, Namespace=tenant, JobID=job, TaskGroup=group, NodeID=self.node_id, NodeName=self.node, Name=f"{job}.{group}[0]")
        whole["Job"].update(ID=job, Name=job, Namespace=tenant, ParentID="", Meta={})
        whole["Job"]["TaskGroups"][0].update(Name=group, Meta=meta or {})
        self.own[alloc_id] = json.dumps(whole, separators=(",", ":")).encode()
        self.change()

    def change(self):
        self.index += 1
        self.wake("own")

    def concerns(self, key, what):
        return key == what

    def key_of(self, asked):
        if asked.path == f"/v1/node/{self.node_id}/allocations":
            return "own"
        return "else" if asked.path.startswith(("/v1/nodes", "/v1/alloc")) else None

    def index_of(self, asked):
        return self.index

    def sent(self, asked):
        if self.key_of(asked) == "own":
            self.told.append((asked.said, time.monotonic_ns()))

    def told_at(self, index):
        return next((ns for said, ns in list(self.told) if said >= index), None)

    def stub(self, tenant, alloc_id, node):
        """An entry of /v1/allocations without states and resources, as long as Nomad's own."""
        same = {key: self.recorded[key] for key in ("EvalID", "DesiredStatus", "ClientStatus", "ClientDescription", "DeploymentID", "CreateIndex",
                                                    "ModifyIndex", "CreateTime", "ModifyTime")}
        return {"ID": alloc_id, "Name": "api.web[0]", "Namespace": tenant, "NodeID": node, "NodeName": node, "JobID": "api", "JobType": "service",
                "JobVersion": 0, "TaskGroup": "web", "AllocatedResources": None, "TaskStates": None, "DesiredDescription": "",
                "DesiredTransition": {"Migrate": None, "Reschedule": None, "ForceReschedule": None, "NoShutdownDelay": None},
                "DeploymentStatus": {"Canary": False, "Healthy": True, "ModifyIndex": 11, "Timestamp": "2026-11-28T18:20:37Z"},
                "FollowupEvalID": "", "NextAllocation": "", "RescheduleTracker": None, "PreemptedAllocations": None, "PreemptedByAllocation": "", **same}

    def answer(self, asked):
        if asked.path == "/v1/nodes":
            return 200, [{"ID": self.node_id, "Name": self.node, "Datacenter": "dc1", "NodePool": "default", "Status": "ready", "Version": "1.11.2"}]
        if asked.path == f"/v1/node/{self.node_id}/allocations":
            return 200, b"[" + b",".join(self.own.values()) + b"]"
        if asked.path == "/v1/allocations":
            tenant = asked.query["namespace"]
            return 200, [self.stub(tenant, *place) for place in self.places(tenant)]
        if asked.path.startswith("/v1/allocation/"):
            found = self.own.get(asked.path.rsplit("/", 1)[1])
            return (200, found) if found else (404, b"alloc not found")
        return 404, b"no such path"
