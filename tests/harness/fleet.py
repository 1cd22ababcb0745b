# SPDX-License-Identifier: Apache-2.0
"""
Nodes behind a router, each a client of one real Nomad, with a real Consul: a cluster as it is run, by certificates, tokens and the policies that
are shipped.
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request

from . import netns
from .alloc import Alloc
from .fabric import Cluster, Fabric, made_cluster
from .nomad import CLIENT_HCL, SERVER, SERVER_HCL, peer
from .secured import CONSUL_NAMES, NOMAD_NAMES
from .secured import NOMAD_KEYS_HCL
from .secured_cluster import SecuredConsul, rules_of
from .shell import Failed, binary, run, wait_for

NAME = "default"	# of the cluster: the rules of examples/acl are for it
# What a test of both fabrics is given: routes between blocks that each node is told, an overlay with blocks that each claims.
FABRICS = {"routed": {}, "vxlan": {"overlay": {}, "claim": True}}


class Fleet(Cluster):
    """Nomad's server is where Consul is; its clients are named as the nodes are."""

    def __init__(self, base, fabric, name, nomad, **how):
        self.nomad, self.agents, self.secrets = nomad, {}, fabric.consul.secrets
        self.url = f"https://{fabric.address}:{SERVER}"
        self.images = os.path.join(base, "images")
        os.makedirs(self.images, exist_ok=True)
        super().__init__(base, fabric, name, count=3, routed=True, **how)

    # -- agents

    def start(self):
        """All agents, then picketd on each node, which knows the others."""
        self.start_server()
        self.bootstrap()
        for node in self.nodes:		# side by side, each agent and picketd
            self.give_tokens(node)
            self.start_client(node)
            node.start_picketd(self.config(node), wait=False)
        wait_for(self.clients_ready, lambda: f"Nomad's clients\n{self.log(self.nodes[0].name)}", 240)
        for node in self.nodes:
            node.picketd_serves()
        for node in self.nodes:
            wait_for(lambda node=node: sorted(n["state"] for n in node.api("/v1/nodes")["nodes"]) == ["live", "live", "this"],
                     f"{node.name} to know the others", 120)

    def config(self, node, **more):
        address = self.addresses(int(node.name[1:]))[0]
        sources = {"nomad": {**self.secrets.source(f"https://{address}:4646", NOMAD_NAMES[1], self.token_file(node, "nomad")), "node": node.name},
                   "consul": self.secrets.source(self.consul.url, CONSUL_NAMES[0], self.token_file(node, "consul"))}
        blocks = {"blocks": {"range": ["10.64.0.0/16", "fd64::/16"], "claim": True}} if self.claim else {}
        return super().config(node, **{**sources, **blocks, **more})

    def blocks_of(self, node):
        """What the plugin takes its addresses from."""
        if not self.claim:
            return set(self.blocks(int(node.name[1:])))
        with open(os.path.join(node.root, "var/lib/picket/node.json"), encoding="utf-8") as file:
            return set(json.load(file)["claimed"]["blocks"])

    @staticmethod
    def token_file(node, program):
        return os.path.join(node.root, f"etc/{program}.token")

    def give_tokens(self, node, consul=None, nomad=None):
        """A new token of each for its picketd, by the policies that are shipped; consul, nomad: other rules in their place."""
        rules = {program: given or "\n".join(rules_of(f"{program}-picket").values()) for program, given in (("consul", consul), ("nomad", nomad))}
        name = f"picket-{node.name}"
        for program, secret in ("consul", self.consul.token(name, rules["consul"])), ("nomad", self.nomad_token(name, rules["nomad"])):
            path = self.token_file(node, program)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path + ".new", "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(secret)
            os.rename(path + ".new", path)

    def nomad_token(self, name, rules):
        """The secret of a new one that may do what these rules say, and its policy's name is this."""
        self.post(f"/v1/acl/policy/{name}", {"Name": name, "Rules": rules})
        return json.loads(self.post("/v1/acl/token", {"Type": "client", "Name": name, "Policies": [name]}))["SecretID"]

    def bootstrap(self):
        def done():
            with contextlib.suppress(OSError):
                return self.post("/v1/acl/bootstrap", {"BootstrapSecret": self.secrets.root}, token="")
        wait_for(done, lambda: f"Nomad's first token\n{self.log('server')}", 60)

    def log_path(self, name):
        return os.path.join(self.base, f"nomad-{name}.log")

    def log(self, name, tail=3000):
        with open(self.log_path(name), encoding="utf-8", errors="replace") as file:
            return file.read()[-tail:]

    def _agent(self, name, node, template, **words):
        path = os.path.join(self.base, f"nomad-{name}.hcl")
        with open(path, "w", encoding="utf-8") as file:
            file.write(template.format(name=name, data=os.path.join(self.base, f"data-{name}"), images=self.images,
                                       server=self.fabric.address, consul=self.consul.url.removeprefix("https://"), **words))
            file.write(self.secrets.agent(NOMAD_KEYS_HCL, f"nomad-{name}", *NOMAD_NAMES, words["address"]))
        env = {k: v for k, v in os.environ.items() if not k.startswith(("NOMAD_", "CONSUL_", "AWS_"))}
        env |= {**self.secrets.environment("consul", self.consul.url.removeprefix("https://")), "CONSUL_HTTP_SSL": "true"}
        with open(self.log_path(name), "a", encoding="utf-8") as log:
            # A group of its own: an agent's death must not take the tasks' executors with it.
            self.agents[name] = node.track(subprocess.Popen([self.nomad, "agent", "-config", path], stdin=subprocess.DEVNULL,
                                                            stdout=log, stderr=log, env=env, preexec_fn=netns.entering(node.net, node.mnt)))

    def start_server(self):
        self._agent("server", self.fabric.node, SERVER_HCL, address=self.fabric.address)
        wait_for(self.has_leader, lambda: f"Nomad's leader\n{self.log('server')}", 180)

    def has_leader(self):
        """Nobody is asked for a token before there is one."""
        if self.agents["server"].poll() is not None:
            raise Failed(f"the server ended\n{self.log('server')}")
        return json.loads(self.ask("GET", "/v1/status/leader", token=""))

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

    def ask(self, verb, path, body=None, token=None):
        """Nomad's server; token: another than the one that may do all."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *self.secrets.handlers)
        headers = {"X-Nomad-Token": self.secrets.root if token is None else token}
        with self.fabric.node.inside():
            request = urllib.request.Request(self.url + path, data=body and json.dumps(body).encode(), method=verb, headers=headers)
            with opener.open(request, timeout=60) as answer:
                return answer.read()

    def get(self, path):
        return json.loads(self.ask("GET", path))

    def post(self, path, body, token=None):
        return self.ask("POST", path, body, token)

    def status(self, token, verb, path, body=None):
        """Of Nomad's answer to somebody else's request."""
        try:
            self.ask(verb, path, body, token)
            return 200
        except urllib.error.HTTPError as e:
            return e.code

    def answer(self, path):
        try:
            return self.get(path)
        except OSError:
            return None

    def cli(self, *argv, check=True):
        return run([self.nomad, *argv], check=check, timeout=120, env={**os.environ, **self.secrets.environment("nomad", self.url)},
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


@contextlib.contextmanager
def made_fleet(base, **how):
    """A fleet that runs; None: there is no Nomad or Consul and nothing to build them with."""
    nomad, consul = peer("nomad"), peer("consul")
    if not nomad or not consul:
        yield None
        return
    fabric = Fabric(base, consul, SecuredConsul)
    try:
        with made_cluster(NAME, fabric, kind=Fleet, nomad=nomad, **how) as made:
            made.start()
            yield made
    finally:
        fabric.close()
