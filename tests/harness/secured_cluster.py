# SPDX-License-Identifier: Apache-2.0
"""What a cluster needs that is run as in production: certificates on both sides, ACLs on, tokens by the policies of examples/acl."""
import json
import os
import re
import ssl
import urllib.error
import urllib.request
import uuid

from .fabric import Consul
from .secured import CONSUL_NAMES
from .shell import TREE
from .tls import Authority

CONSUL_HCL = """
addresses {{
  https = "{addresses}"
}}
ports {{
  http     = -1
  https    = 8501
  dns      = -1
  grpc     = -1
  grpc_tls = -1
  serf_wan = -1
}}
acl {{
  enabled        = true
  default_policy = "deny"
  tokens {{
    initial_management = "{root}"
    agent              = "{root}"
  }}
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


def rules_of(name):
    """The policy of that name in examples/acl: {a rule's first line: the rule}."""
    with open(os.path.join(TREE, f"examples/acl/{name}.hcl"), encoding="utf-8") as file:
        return {rule.split("{")[0].strip(): rule for rule in re.findall(r"^\w+[^\n]*\{\n.*?^\}", file.read(), re.M | re.S)}


class Keys:
    """An authority and what a client of both has: a certificate, and the tokens that may do all."""

    def __init__(self, directory):
        self.authority = Authority(directory)
        self.cert, self.key = self.authority.signed("client", ("client",))
        self.root = str(uuid.uuid4())
        context = ssl.create_default_context(cafile=self.authority.ca)
        context.load_cert_chain(self.cert, self.key)
        self.handlers = (urllib.request.HTTPSHandler(context=context),)

    def agent(self, template, name, *names, **words):
        """The text of an agent's configuration; names: whom its certificate is for."""
        cert, key = self.authority.signed(name, names)
        return template.format(ca=self.authority.ca, cert=cert, key=key, root=self.root, **words)

    def source(self, address, name, token_file):
        """An agent as picketd.json names it."""
        return {"address": address, "serverName": name, "tokenFile": token_file,
                "caFile": self.authority.ca, "certFile": self.cert, "keyFile": self.key}

    def environment(self, program, address, token=None):
        """An operator's shell."""
        upper = program.upper()
        return {f"{upper}_CACERT": self.authority.ca, f"{upper}_CLIENT_CERT": self.cert, f"{upper}_CLIENT_KEY": self.key,
                **({"NOMAD_ADDR": address, "NOMAD_TOKEN": token or self.root, "NOMAD_CLI_NO_COLOR": "1"} if program == "nomad" else
                   {"CONSUL_HTTP_ADDR": address, "CONSUL_HTTP_TOKEN": token or self.root})}


class SecuredConsul(Consul):
    """Asked by HTTPS, with a certificate and a token."""

    def __init__(self, program, node, address, *others):
        super().__init__(program, node, address, *others)
        self.secrets = Keys(os.path.join(node.base, "tls"))
        self.url = f"https://{address}:8501"
        self.handlers, self.headers = self.secrets.handlers, {"X-Consul-Token": self.secrets.root}
        self.config = os.path.join(node.base, "consul.hcl")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(self.secrets.agent(CONSUL_HCL, "consul", *CONSUL_NAMES, address, *others, addresses=self.clients))

    def words(self):
        return [f"-config-file={self.config}"]

    def token(self, name, rules):
        """The secret of a new one that may do what these rules say, and its policy's name is this."""
        known = {p["Name"]: p["ID"] for p in json.loads(self.ask("GET", "/v1/acl/policies"))}
        self.ask("PUT", f"/v1/acl/policy{'/' + known[name] if name in known else ''}", json.dumps({"Name": name, "Rules": rules}).encode())
        return json.loads(self.ask("PUT", "/v1/acl/token", json.dumps({"Policies": [{"Name": name}]}).encode()))["SecretID"]

    def status(self, token, verb, path, body=None):
        """Of the answer to somebody else's request."""
        try:
            self.ask(verb, path, body, {"X-Consul-Token": token})
            return 200
        except urllib.error.HTTPError as e:
            return e.code
