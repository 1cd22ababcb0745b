# SPDX-License-Identifier: Apache-2.0
"""Real Nomad and Consul agents inside a node: one server and one client of Nomad, one Consul.

They are separate agents, so that the client can be restarted under running tasks. Everything that
must outlive a reboot of the node lies below the node's root.
"""
import http.client
import json
import os
import shutil
import signal
import subprocess
import urllib.parse

from . import netns
from .fabric import ELECTS_AT_ONCE
from .shell import Failed, TREE, binary, run, wait_for

CLIENT, SERVER, CONSUL = 4646, 4656, 8500

SERVER_HCL = """
datacenter = "dc1"
data_dir   = "{data}/nomad-server"
bind_addr  = "{address}"
log_level  = "WARN"
disable_update_check = true
ports {{
  http = 4656
  rpc  = 4657
  serf = 4658
}}
server {{
  enabled          = true
  bootstrap_expect = 1
  job_gc_interval  = "10m"
}}
"""

CLIENT_HCL = """
name       = "{name}"
datacenter = "dc1"
data_dir   = "{data}/nomad-client"
bind_addr  = "{address}"
log_level  = "INFO"
disable_update_check = true
leave_on_interrupt   = false
leave_on_terminate   = false
ports {{
  http = 4646
  rpc  = 4647
  serf = 4648
}}
client {{
  enabled           = true
  servers           = ["{server}:4657"]
  network_interface = "up0"
  cpu_total_compute = 4000
  memory_total_mb   = 8192
  cni_path          = "{cni_path}"
  cni_config_dir    = "{conf_dir}"
  gc_interval       = "10m"
  options = {{
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean"
  }}
}}
plugin "qemu" {{
  config {{
    image_paths = ["{images}"]
  }}
}}
plugin "raw_exec" {{
  config {{
    enabled = true
  }}
}}
consul {{
  address          = "{consul}"
  client_auto_join = false
  server_auto_join = false
}}
"""


def peer(name):
    """Path of the real program, built once if it must be; None with the reason printed if not."""
    done = subprocess.run([os.path.join(TREE, "scripts/peers"), name], stdout=subprocess.PIPE,
                          text=True, check=False, timeout=3000)
    return done.stdout.strip() if done.returncode == 0 else None


class Cluster:
    """Nomad and Consul of a node; .node is the harness's Node with an uplink."""

    def __init__(self, node, nomad, consul):
        self.node, self.nomad, self.consul = node, nomad, consul
        self.address = node.options.up_address.split("/")[0]
        self.data = os.path.join(node.root, "var/lib")
        self.images = os.path.join(node.root, "images")
        self.cni_path = os.path.join(node.root, "opt/cni/bin")
        self.agents = {}
        for directory in (self.images, self.cni_path, os.path.join(node.root, "opt/cni/config"),
                          os.path.join(node.root, "var/log")):
            os.makedirs(directory, exist_ok=True)
        shutil.copy(binary("picket-cni"), os.path.join(self.cni_path, "picket"))
        self.conflist = node.write_config()

    # -- agents

    def start(self):
        self.start_consul()
        self.start_server()
        self.start_client()

    def _agent(self, name, argv):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("NOMAD_", "CONSUL_", "AWS_"))}
        with open(self.log_path(name), "a", encoding="utf-8") as log:
            # A group of its own: a client's death must not take the tasks' executors with it.
            self.agents[name] = self.node.track(subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                preexec_fn=netns.entering(self.node.net, self.node.mnt)))

    def log_path(self, name):
        return os.path.join(self.node.root, f"var/log/{name}.log")

    def log(self, name, tail=4000):
        with open(self.log_path(name), encoding="utf-8", errors="replace") as file:
            return file.read()[-tail:]

    def start_consul(self):
        self._agent("consul", [self.consul, "agent", "-server", "-bootstrap-expect=1",
                               f"-data-dir={self.data}/consul", f"-bind={self.address}",
                               f"-node={self.node.name}", "-client=127.0.0.1", "-log-level=warn", *ELECTS_AT_ONCE,
                               "-disable-host-node-id"])
        wait_for(lambda: self._answers("consul", CONSUL, "/v1/status/leader", lambda a: a),
                 "Consul's leader", timeout=180, pause=0.2)

    def _config(self, name, template):
        path = os.path.join(self.node.root, f"etc/{name}.hcl")
        with open(path, "w", encoding="utf-8") as file:
            file.write(template.format(
                data=self.data, address=self.address, server=self.address, consul=f"127.0.0.1:{CONSUL}", name=self.node.name,
                images=self.images, cni_path=self.cni_path, conf_dir=os.path.dirname(self.conflist)))
        return path

    def start_server(self):
        self._agent("server", [self.nomad, "agent", "-config",
                               self._config("server", SERVER_HCL)])
        wait_for(lambda: self._answers("server", SERVER, "/v1/status/leader", lambda a: a),
                 "Nomad's leader", timeout=180, pause=0.2)

    def start_client(self):
        self._agent("client", [self.nomad, "agent", "-config",
                               self._config("client", CLIENT_HCL)])
        wait_for(self._node_ready, "Nomad's client", timeout=180, pause=0.3)

    def _node_ready(self):
        nodes = self._answers("client", SERVER, "/v1/nodes", lambda a: a)
        return nodes and any(n["Name"] == self.node.name and n["Status"] == "ready" and
                             self._has_network(n["ID"]) for n in nodes)

    def _has_network(self, node_id):
        """Nomad has seen cni/picket (contracts: NodeResources.Networks, never NodeNetworks)."""
        networks = self.get(SERVER, f"/v1/node/{node_id}")["NodeResources"]["Networks"] or []
        return any(n["Mode"] == f"cni/{self.node.options.network}" for n in networks)

    def _answers(self, agent, port, path, take):
        if self.agents[agent].poll() is not None:
            raise Failed(f"{agent} ended\n{self.log(agent)}")
        try:
            return take(self.get(port, path))
        except (OSError, http.client.HTTPException, Failed):
            return None

    def stop_agent(self, name, number=signal.SIGTERM):
        agent = self.agents.pop(name)
        agent.send_signal(number)
        agent.wait(timeout=60)

    # -- HTTP

    def request(self, port, method, path, body=None):
        host = "127.0.0.1" if port == CONSUL else self.address
        with self.node.inside():
            connection = http.client.HTTPConnection(host, port, timeout=60)
            connection.connect()
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status >= 300:
            raise Failed(f"{method} {path}: {answer.status} {text}")
        return json.loads(text) if text.strip()[:1] in '[{"tfn' and text.strip() else text

    def get(self, port, path):
        return self.request(port, "GET", path)

    def kv_put(self, key, value):
        return self.request(CONSUL, "PUT", "/v1/kv/" + urllib.parse.quote(key), value)

    def kv_delete(self, key):
        return self.request(CONSUL, "DELETE", "/v1/kv/" + urllib.parse.quote(key))

    # -- Nomad's CLI, as an operator uses it

    def cli(self, *argv, check=True, timeout=120):
        env = {"NOMAD_ADDR": f"http://{self.address}:{SERVER}", "NOMAD_CLI_NO_COLOR": "1"}
        return run([self.nomad, *argv], check=check, timeout=timeout,
                   env={**os.environ, **env},
                   preexec_fn=netns.entering(self.node.net, self.node.mnt))

    def namespace(self, name):
        self.cli("namespace", "apply", name)

    def run_job(self, path, **variables):
        words = [f"-var={key}={value}" for key, value in variables.items()]
        return self.cli("job", "run", "-detach", *words, path)

    def stop_job(self, namespace, job):
        return self.cli("job", "stop", f"-namespace={namespace}", "-purge", job)

    def allocs(self, namespace, job):
        """The job's allocations, newest first, whole."""
        listed = self.get(SERVER, f"/v1/job/{job}/allocations?namespace={namespace}")
        listed.sort(key=lambda a: a["CreateIndex"], reverse=True)
        return [self.get(SERVER, f"/v1/allocation/{a['ID']}?namespace={namespace}")
                for a in listed]

    def running(self, namespace, job, count=1, timeout=240):
        """Waits until `count` allocations run and have an address."""
        def ready():
            found = [a for a in self.allocs(namespace, job) if a["ClientStatus"] == "running" and
                     (a.get("NetworkStatus") or {}).get("Address")]
            return found if len(found) >= count else None
        try:
            return wait_for(ready, f"{namespace}/{job}", timeout=timeout, pause=0.3)
        except Failed as failed:
            raise Failed(f"{failed}\n{self.describe(namespace, job)}") from failed

    def describe(self, namespace, job):
        """What Nomad's own CLI says of the job's newest allocation."""
        allocs = self.allocs(namespace, job)
        if not allocs:
            return self.cli("job", "status", f"-namespace={namespace}", job, check=False).stdout
        return self.cli("alloc", "status", f"-namespace={namespace}", allocs[0]["ID"],
                        check=False).stdout

    def console(self, namespace, alloc_id, task):
        """What the guest printed so far: the task's standard output."""
        return self.cli("alloc", "logs", f"-namespace={namespace}", alloc_id, task,
                        check=False).stdout
