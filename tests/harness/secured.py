# SPDX-License-Identifier: Apache-2.0
"""Real agents as they are secured in production: TLS that wants a client's certificate, ACLs on."""
import json
import os
import re
import signal
import subprocess

from . import netns
from .shell import Failed, run, wait_for
from .tls import Authority

# What an agent of Nomad's needs for ACLs and for TLS with client certificates.
NOMAD_KEYS_HCL = """
acl {{
  enabled = true
}}
tls {{
  http = true
  rpc  = true
  ca_file   = "{ca}"
  cert_file = "{cert}"
  key_file  = "{key}"
  verify_server_hostname = true
  verify_https_client    = true
}}
"""

NOMAD_HCL = """
name       = "{name}"
data_dir   = "{data}/nomad"
bind_addr  = "127.0.0.1"
addresses {{
  http = "127.0.0.1 ::1"
}}
log_level  = "WARN"
disable_update_check = true
advertise {{
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}}
server {{
  enabled          = true
  bootstrap_expect = 1
}}
client {{
  enabled = true
  servers = ["127.0.0.1:4647"]
  options = {{
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean"
  }}
}}
plugin "raw_exec" {{
  config {{
    enabled = true
  }}
}}
"""

CONSUL_HCL = """
node_name   = "{name}-{agent}"
data_dir    = "{data}/{agent}"
bind_addr   = "{address}"
log_level   = "warn"
server      = true
bootstrap_expect     = {expect}
disable_host_node_id = true
{join}
performance {{
  raft_multiplier = 1
}}
addresses {{
  http  = "unix://{socket}"
  https = "{https}"
}}
ports {{
  https    = 8501
  dns      = -1
  grpc_tls = -1
  serf_wan = -1
}}
acl {{
  enabled        = true
  default_policy = "deny"
}}
tls {{
  https {{
    ca_file   = "{ca}"
    cert_file = "{cert}"
    key_file  = "{key}"
    verify_incoming = true
  }}
}}
"""

NOMAD_NAMES = ("server.global.nomad", "client.global.nomad")
CONSUL_NAMES = ("server.dc1.consul",)


class Secured:
    """One agent of each in a node; their certificates are for NOMAD_NAMES and CONSUL_NAMES alone."""

    nomad_address, consul_address = "https://127.0.0.1:4646", "https://127.0.0.1:8501"

    def __init__(self, node, nomad, consul):
        self.node, self.programs = node, {"nomad": nomad, "consul": consul}
        self.authority = Authority(os.path.join(node.root, "etc/tls"))
        self.cert, self.key = self.authority.signed("picketd", ("picketd",))
        self.socket = os.path.join(node.root, "run/consul.sock")
        self.tokens, self.agents = {}, {}

    def _config(self, name, template, names, **more):
        cert, key = self.authority.signed(name, names)
        path = os.path.join(self.node.root, f"etc/{name}.hcl")
        with open(path, "w", encoding="utf-8") as file:
            file.write(template.format(
                name=self.node.name, data=os.path.join(self.node.root, "var/lib"),
                ca=self.authority.ca, cert=cert, key=key, **more))
        return path

    def _agent(self, name, config):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("NOMAD_", "CONSUL_", "AWS_"))}
        program = "nomad" if name == "nomad" else "consul"
        flag = "-config-file" if program == "consul" else "-config"
        with open(self._log_path(name), "a", encoding="utf-8") as log:
            self.agents[name] = self.node.track(subprocess.Popen(
                [self.programs[program], "agent", f"{flag}={config}"], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=env,
                preexec_fn=netns.entering(self.node.net, self.node.mnt)))

    def _log_path(self, name):
        return os.path.join(self.node.root, f"var/log/{name}.log")

    def log(self, name, tail=4000):
        with open(self._log_path(name), encoding="utf-8", errors="replace") as file:
            return file.read()[-tail:]

    def start(self):
        self.start_again()
        self.bootstrap("consul")
        self.bootstrap("nomad")

    def start_again(self):
        """Both, with what they have; also after a boot."""
        self.start_consul()
        self.start_nomad()

    def start_nomad(self):
        self._agent("nomad", self._config("nomad", NOMAD_HCL + NOMAD_KEYS_HCL, NOMAD_NAMES))

    def start_consul(self, agent="consul", address="127.0.0.1", expect=1):
        """A server; those that expect others look for them at 127.0.0.2."""
        join = 'retry_join = ["127.0.0.2"]\nretry_interval = "1s"' if expect > 1 else ""
        socket = self.socket if agent == "consul" else f"{self.socket}-{agent}"
        self._agent(agent, self._config(agent, CONSUL_HCL, CONSUL_NAMES, agent=agent, address=address,
                                        https=f"{address} ::1" if agent == "consul" else address, expect=expect, join=join, socket=socket))

    def stop(self, name, number=signal.SIGKILL):
        agent = self.agents.pop(name)
        agent.send_signal(number)
        agent.wait(timeout=60)

    def bootstrap(self, name):
        self.tokens.pop(name, None)
        field = {"consul": "SecretID", "nomad": "Secret ID"}[name]
        self.tokens[name] = wait_for(lambda: self._bootstrap(name, field), f"{name}'s first token",
                                     timeout=90, pause=0.2)

    def _bootstrap(self, name, field):
        for agent, process in self.agents.items():
            if process.poll() is not None:
                raise Failed(f"{agent} ended\n{self.log(agent)}")
        return self._secret(self.cli(name, "acl", "bootstrap", check=False).stdout, field)

    @staticmethod
    def _secret(text, field):
        found = re.search(rf"^{field}\s*[:=]\s*(\S+)", text or "", re.M)
        return found and found[1]

    def environment(self, name):
        """What an operator's own shell has for this agent's tool."""
        upper = name.upper()
        address = {"nomad": ("NOMAD_ADDR", self.nomad_address),
                   "consul": ("CONSUL_HTTP_ADDR", self.consul_address)}[name]
        server_name = {"nomad": NOMAD_NAMES[0], "consul": CONSUL_NAMES[0]}[name]
        return dict([address], **{f"{upper}_CACERT": self.authority.ca,
                                  f"{upper}_CLIENT_CERT": self.cert,
                                  f"{upper}_CLIENT_KEY": self.key,
                                  f"{upper}_TLS_SERVER_NAME": server_name})

    def cli(self, name, *argv, check=True, token=None):
        """token: instead of the operator's."""
        env = dict(os.environ, NOMAD_CLI_NO_COLOR="1", **self.environment(name))
        token = token or self.tokens.get(name)
        if token:
            env["NOMAD_TOKEN" if name == "nomad" else "CONSUL_HTTP_TOKEN"] = token
        return run([self.programs[name], *argv], check=check, env=env,
                   preexec_fn=netns.entering(self.node.net, self.node.mnt))

    def policy_token(self, name, rules):
        """The secret of a new token of Consul with these rules (a file of examples/acl)."""
        if f"{name}:" not in self.cli("consul", "acl", "policy", "list").stdout.split():
            self.cli("consul", "acl", "policy", "create", f"-name={name}", f"-rules=@{rules}")
        return json.loads(self.cli("consul", "acl", "token", "create", f"-policy-name={name}",
                                   "-format=json").stdout)["SecretID"]

    def picket_token(self, name, rules):
        """(id, secret) of a new token with these rules (a file of examples/acl)."""
        if name == "nomad":
            self.cli(name, "acl", "policy", "apply", "picket", rules)
            text = self.cli(name, "acl", "token", "create", "-type=client", "-policy=picket",
                            "-json").stdout
        else:
            if "picket:" not in self.cli(name, "acl", "policy", "list").stdout.split():
                self.cli(name, "acl", "policy", "create", "-name=picket", f"-rules=@{rules}")
            text = self.cli(name, "acl", "token", "create", "-policy-name=picket",
                            "-format=json").stdout
        token = json.loads(text)
        return token["AccessorID"], token["SecretID"]
