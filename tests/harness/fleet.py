# SPDX-License-Identifier: Apache-2.0
"""Nodes behind a router, each a client of one real Nomad, with a real Consul: a cluster as it is run."""
import json
import os
import shutil
import signal
import subprocess
import urllib.request

from . import netns
from .alloc import Alloc
from .fabric import Cluster
from .nomad import CLIENT_HCL, SERVER, SERVER_HCL
from .shell import Failed, binary, run, wait_for


class Fleet(Cluster):
    """Nomad's server is where Consul is; its clients are named as the nodes are."""

    def __init__(self, base, fabric, name, nomad, **how):
        self.nomad, self.agents = nomad, {}
        self.images = os.path.join(base, "images")
        os.makedirs(self.images, exist_ok=True)
        super().__init__(base, fabric, name, count=3, routed=True, **how)

    # -- agents

    def start(self):
        """All agents, then picketd on each node, which knows the others."""
        self.start_server()
        for node in self.nodes:
            self.start_client(node)
        wait_for(self.clients_ready, lambda: f"Nomad's clients\n{self.log(self.nodes[0].name)}", 240)
        for node in self.nodes:
            node.start_picketd(self.config(node), wait=False)
        for node in self.nodes:
            node.picketd_serves()
        for node in self.nodes:
            wait_for(lambda node=node: sorted(n["state"] for n in node.api("/v1/nodes")["nodes"]) == ["live", "live", "this"],
                     f"{node.name} to know the others", 120)

    def config(self, node, **more):
        address = self.addresses(int(node.name[1:]))[0]
        return super().config(node, **{"nomad": {"address": f"http://{address}:4646", "node": node.name}, **more})

    def log_path(self, name):
        return os.path.join(self.base, f"nomad-{name}.log")

    def log(self, name, tail=3000):
        with open(self.log_path(name), encoding="utf-8", errors="replace") as file:
            return file.read()[-tail:]

    def _agent(self, name, node, template, **words):
        path = os.path.join(self.base, f"nomad-{name}.hcl")
        with open(path, "w", encoding="utf-8") as file:
            file.write(template.format(name=name, data=os.path.join(self.base, f"data-{name}"), images=self.images,
                                       server=self.fabric.address, consul=f"{self.fabric.address}:8500", **words))
        env = {k: v for k, v in os.environ.items() if not k.startswith(("NOMAD_", "CONSUL_", "AWS_"))}
        with open(self.log_path(name), "a", encoding="utf-8") as log:
            # A group of its own: an agent's death must not take the tasks' executors with it.
            self.agents[name] = node.track(subprocess.Popen([self.nomad, "agent", "-config", path], stdin=subprocess.DEVNULL,
                                                            stdout=log, stderr=log, env=env, preexec_fn=netns.entering(node.net, node.mnt)))

    def start_server(self):
        self._agent("server", self.fabric.node, SERVER_HCL, address=self.fabric.address)
        wait_for(lambda: self.answer("/v1/status/leader"), "Nomad's leader", 180)

    def start_client(self, node):
        plugins = os.path.join(node.root, "opt/cni/bin")
        os.makedirs(plugins, exist_ok=True)
        shutil.copy(binary("picket-cni"), os.path.join(plugins, "picket"))
        conflist = node.write_config(self.config(node))
        self._agent(node.name, node, CLIENT_HCL, address=self.addresses(int(node.name[1:]))[0], cni_path=plugins,
                    conf_dir=os.path.dirname(conflist))

    def clients_ready(self):
        for name, agent in self.agents.items():
            if agent.poll() is not None:
                raise Failed(f"{name} ended\n{self.log(name)}")
        ready = [n for n in self.answer("/v1/nodes") or [] if n["Status"] == "ready"]
        return len(ready) == len(self.nodes) and all(self.has_network(n["ID"]) for n in ready)

    def has_network(self, node_id):
        networks = self.get(f"/v1/node/{node_id}")["NodeResources"]["Networks"] or []
        return any(n["Mode"] == f"cni/{self.nodes[0].options.network}" for n in networks)

    def close(self):
        server = self.agents.pop("server", None)
        if server:
            server.send_signal(signal.SIGKILL)
            server.wait()
        super().close()

    # -- what an operator does

    def get(self, path):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with self.fabric.node.inside():
            with opener.open(f"http://{self.fabric.address}:{SERVER}{path}", timeout=60) as answer:
                return json.loads(answer.read())

    def answer(self, path):
        try:
            return self.get(path)
        except OSError:
            return None

    def cli(self, *argv, check=True):
        env = {**os.environ, "NOMAD_ADDR": f"http://{self.fabric.address}:{SERVER}", "NOMAD_CLI_NO_COLOR": "1"}
        return run([self.nomad, *argv], check=check, timeout=120, env=env,
                   preexec_fn=netns.entering(self.fabric.node.net, self.fabric.node.mnt))

    def run_job(self, path, **variables):
        return self.cli("job", "run", "-detach", *[f"-var={key}={value}" for key, value in variables.items()], path)

    def drain(self, node):
        """Begins it: what runs there moves, nothing new comes."""
        ident = next(n["ID"] for n in self.get("/v1/nodes") if n["Name"] == node.name)
        self.cli("node", "drain", "-enable", "-yes", "-detach", "-deadline", "2m", ident)

    # -- allocations

    def running(self, namespace, job, count):
        """Its running allocations, once there are so many and each has an address: {node's name: Placed}."""
        def ready():
            found = [a for a in self.get(f"/v1/job/{job}/allocations?namespace={namespace}")
                     if a["ClientStatus"] == "running" and a["DesiredStatus"] == "run"]
            whole = [self.get(f"/v1/allocation/{a['ID']}?namespace={namespace}") for a in found]
            whole = [a for a in whole if (a.get("NetworkStatus") or {}).get("Address")]
            return whole if len(whole) == count else None
        whole = wait_for(ready, lambda: f"{namespace}/{job}\n{self.describe(namespace, job)}", 240)
        return {a["NodeName"]: Placed(next(n for n in self.nodes if n.name == a["NodeName"]), a) for a in whole}

    def describe(self, namespace, job):
        said = [self.cli("job", "status", f"-namespace={namespace}", job, check=False).stdout]
        for a in self.answer(f"/v1/job/{job}/allocations?namespace={namespace}") or []:
            said.append(self.cli("alloc", "status", f"-namespace={namespace}", a["ID"], check=False).stdout[-1500:])
        return "\n".join(said)


class Placed(Alloc):
    """An allocation that Nomad has placed; its endpoint is the plugin's work, called by Nomad."""

    def __init__(self, node, record):
        super().__init__(node, record["ID"], f"/run/netns/{record['ID']}")
        self.record = record

    def endpoint(self):
        """As picketd has it; None: it is gone."""
        return next((e for e in self.node.api("/v1/endpoints")["endpoints"] if e["containerId"] == self.id), None)

    def address(self, family=4):
        if not hasattr(self, "known"):
            self.known = self.endpoint()["addresses"]
        return next(a for a in self.known if (":" in a) == (family == 6))
