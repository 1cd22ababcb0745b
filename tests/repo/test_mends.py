# SPDX-License-Identifier: Apache-2.0
"""
What a `fix:` says is done to what was refused, and then it is taken: a row of each table is the fix (a part of it), the refused text and the
mended one. Of files, options and arguments: what a node must be in is tried in tests/netns.
"""
import json
import os
import shutil
import subprocess

import pytest

from test_commands import BUILD
from test_symptoms import ROOT

POOL = {"pool": "10.40.7.0/24"}
BLOCKS = {"fabric": "routed", "consul": {}, "blocks": {"claim": True, "range": ["10.64.0.0/12"]}}
CA = {"certFile": "/a"}
PICKETD = [
    ('did you mean "pools"?', {"pool": ["10.40.0.0/16"]}, {"pools": ["10.40.0.0/16"]}),
    ('"blocks": { "range": ["10.64.0.0/12"], "claim": true }', {"blocks": {"claim": True}}, {"blocks": {"claim": True, "range": ["10.64.0.0/12"]}}),
    ("pools are the node's own, blocks are claimed", {**BLOCKS, "pools": ["10.64.1.0/24"]}, BLOCKS),
    ('widen "range", or say a longer "size"', {"blocks": {"claim": True, "range": ["10.64.0.0/25"]}},
     {"blocks": {"claim": True, "range": ["10.64.0.0/25"], "size": 26}}),
    ('say another "port" in "vxlan"', {"fabric": "vxlan", "consul": {}, "vxlan": {"port": 15000}}, {"fabric": "vxlan", "consul": {}, "vxlan": {"port": 4789}}),
    ('or take "store" back', {"store": "nomad", "nomad": None}, {"nomad": None}),
    ("name both, or neither", {"nomad": {**CA}}, {"nomad": {**CA, "keyFile": "/b"}}),
    ('name that in "tokenFile"', {"consul": {"token": "secret"}}, {"consul": {"tokenFile": "/etc/picket/consul.token"}}),
    ('"namespace": "default", or that of the job', {"services": [{"name": "db", "catalog": "nomad", "within": ["10.9.0.0/24"], "tenants": ["acme"]}]},
     {"services": [{"name": "db", "catalog": "nomad", "namespace": "default", "within": ["10.9.0.0/24"], "tenants": ["acme"]}]}),
    ("one entry with all its prefixes", {"services": [{"name": "db", "within": ["10.9.0.0/24"], "tenants": ["acme"]}, {"name": "db", "within": ["10.8.0.0/24"], "tenants": ["acme"]}]},
     {"services": [{"name": "db", "within": ["10.9.0.0/24", "10.8.0.0/24"], "tenants": ["acme"]}]}),
]
PICKETD += [
    ('did you mean "tenant"?', {"baseline": "tennant"}, {"baseline": "tenant"}),
    ('did you mean "address"?', {"nomad": {"adress": "http://127.0.0.1:4646"}}, {"nomad": {"address": "http://127.0.0.1:4646"}}),
    ('write "http://127.0.0.1:4646"', {"nomad": {"address": "127.0.0.1:4646"}}, {"nomad": {"address": "http://127.0.0.1:4646"}}),
    ('it has host bits set; did you mean "10.0.0.0/8"?', {"pools": ["10.0.0.1/8"]}, {"pools": ["10.0.0.0/8"]}),
    ('did you mean "vxlan"?', {"fabric": "vxln", "consul": {}}, {"fabric": "vxlan", "consul": {}}),
    ('did you mean "nomad"?', {"store": "nomd"}, {"store": "nomad"}),
    ('did you mean "ipv4"?', {"vxlan": {"underlay": "ipv5"}}, {"vxlan": {"underlay": "ipv4"}}),
    ("remove the key, or fill the list", {"nomad": {"address": []}}, {"nomad": {"address": ["http://10.0.0.1:4646"]}}),
]
PICKETD += [
    ("write 64, without quotes", {"capacity": {"endpoints": "64"}}, {"capacity": {"endpoints": 64}}),
    ("or leave the key out: it is 24", {"blocks": {"size": 40}}, {"blocks": {}}),
    ("write one from 1024 to 65535", {"vxlan": {"port": 70000}}, {"vxlan": {"port": 8479}}),
    ("write it without quotes", {"healthChecks": "true"}, {"healthChecks": True}),
    ("write true or false", {"healthChecks": 1}, {"healthChecks": False}),
]
CONFLIST = [
    ('did you mean "pool"?', {"pol": "10.40.7.0/24"}, POOL),
    ('say "cniVersion": "1.0.0"', {**POOL, "cniVersion": "0.2.0"}, POOL),
    ('say "name": "picket"', {**POOL, "name": "my net"}, POOL),
    ('write it as "10.40.7.0/24"', {"pool": "10.40.7.1"}, POOL),
    ('write "10.40.7.0/24"', {"pool": "10.40.7.1/24"}, POOL),
    ("drop it: the pool's first address is the gateway", {**POOL, "gateway": "10.40.7"}, POOL),
    ('take an address of the pool, or drop "gateway"', {**POOL, "gateway": "10.40.8.1"}, {**POOL, "gateway": "10.40.7.9"}),
    ('drop "attach", or say "mode": "vm"', {**POOL, "mode": "process", "attach": "host-tap"}, {**POOL, "mode": "vm", "attach": "host-tap"}),
    ('remove it and say "pool"', {"ipam": {}}, POOL),
    ('remove "ips" from the conflist\'s "capabilities"', {**POOL, "runtimeConfig": {"ips": ["10.0.0.1"]}}, POOL),
    ('without "bandwidth" in "capabilities" it gives none', {**POOL, "runtimeConfig": {"bandwidth": {"ingressRate": 1000}}}, POOL),
    ("remove the key, or fill the list", {"pool": []}, {}),
    ("docs/cni.md lists its keys", {**POOL, "root": "node1"}, {**POOL, "root": "ROOT"}),
    ('did you mean "picket.mac"?', {**POOL, "allowJobArgs": ["picket.mca"]}, {**POOL, "allowJobArgs": ["picket.mac"]}),
    ('did you mean "vm"?', {**POOL, "mode": "vmm"}, {**POOL, "mode": "vm"}),
    ('did you mean "open"?', {**POOL, "baseline": "opn"}, {**POOL, "baseline": "open"}),
    ('did you mean "info"?', {**POOL, "logLevel": "inf"}, {**POOL, "logLevel": "info"}),
    ('did you mean "bytesPerSecond"?', {**POOL, "limits": {"bytesPerSec": 1}}, {**POOL, "limits": {"bytesPerSecond": 1000000}}),
    ("docs/cni.md lists its keys", {**POOL, "runtimeConfig": {"portMappings": [{"hostPort": 80}]}},
     {**POOL, "runtimeConfig": {"portMappings": [{"hostPort": 80, "containerPort": 80}]}}),
]
PORT = {"hostPort": 80, "containerPort": 80}
CONFLIST += [
    ("publish TCP and UDP alone", {**POOL, "runtimeConfig": {"portMappings": [{**PORT, "protocol": "sctp"}]}}, {**POOL, "runtimeConfig": {"portMappings": [{**PORT, "protocol": "tcp"}]}}),
    ("write 1500, without quotes", {**POOL, "mtu": "1500"}, {**POOL, "mtu": 1500}),
    ("write one from 1280 to 9000", {**POOL, "mtu": 576}, {**POOL, "mtu": 1280}),
    ("or leave the key out: it is 1", {**POOL, "queues": 17}, POOL),
    ("write it without quotes", {**POOL, "strictStatus": "false"}, {**POOL, "strictStatus": False}),
]
MAC, LIMITS = "picket.mac=02:00:00:00:00:01", 'picket.limits={"bytesPerSecond":1000000}'
# What a job's author writes, and what the operator lets him write: (CNI_ARGS, allowJobArgs, environment).
JOB = [
    ('did you mean "picket.mac"?', ("picket.mca=02:00:00:00:00:01", ["picket.mac"], {}), (MAC, ["picket.mac"], {})),
    ('drop it from the job\'s cni args, or list it in the conflist\'s "allowJobArgs"', (MAC, [], {}), ("", [], {})),
    ('or list it in the conflist\'s "allowJobArgs"', (MAC, [], {}), (MAC, ["picket.mac"], {})),
    ('write picket.ip, and list "picket.ip" in the conflist\'s "allowJobArgs"', ("IP=10.40.7.9", [], {}), ("picket.ip=10.40.7.9", ["picket.ip"], {})),
    ('write picket.mac, and list "picket.mac" in the conflist\'s "allowJobArgs"', ("MAC=02:00:00:00:00:01", [], {}), (MAC, ["picket.mac"], {})),
    ("look at the job's network { cni { args } }, its name", ("NOMAD_NAMESPACE=a;NOMAD_NAMESPACE=b", [], {}), ("NOMAD_NAMESPACE=a", [], {})),
    ('write it as {"bytesPerSecond":1000000}', ("picket.limits=5", ["picket.limits"], {}), (LIMITS, ["picket.limits"], {})),
    ("use ADD, DEL, CHECK, GC, STATUS or VERSION", ("", [], {"CNI_COMMAND": "add"}), ("", [], {"CNI_COMMAND": "ADD"})),
    ("such as eth0", ("", [], {"CNI_IFNAME": "a/b"}), ("", [], {"CNI_IFNAME": "eth0"})),
    ("use the allocation's or the VM's id", ("", [], {"CNI_CONTAINERID": "a b"}), ("", [], {"CNI_CONTAINERID": "a-b"})),
]
JOB += [
    ('name "owner" and "group" in the conflist', ("NOMAD_NAMESPACE=a;TC_REDIRECT_TAP_UID=5", [], {}), ("NOMAD_NAMESPACE=a", [], {})),
]
EMPTY, ANY = {"endpointSelector": {}}, [{}]


def rule(**more):
    return {**EMPTY, **more}


def entry(**more):
    return rule(ingress=[more])


def port(**more):
    return entry(toPorts=[{"ports": [more]}])


def labels(**more):
    return entry(fromEndpoints=[{"matchLabels": more}])


def tenants(*rules):
    return {"namespace": "acme", "rules": [*rules]}


def key(name, value="x"):
    return tenants(labels(**{name: value}))


def expression(**more):
    return tenants(entry(fromEndpoints=[{"matchExpressions": [{"key": "job", "operator": "Exists", **more}]}]))


OPERATOR = {"tier": "operator"}
POLICY = [
    ('did you mean "ingress"?', rule(ingres=ANY), rule(ingress=ANY)),
    ('"ingress": [{}] denies everything in', EMPTY, rule(ingress=ANY)),
    ("it into an element of", {"name": "x", "rules": [rule(ingress=ANY)], "ingress": ANY}, {"name": "x", "rules": [rule(ingress=ANY)]}),
    ("types of ICMP go under", port(port="8", protocol="ICMP"), entry(icmps=[{"fields": [{"type": 8}]}])),
    ('say "family": "IPv6"', entry(icmps=[{"fields": [{"type": "RouterSolicitation"}]}]), entry(icmps=[{"fields": [{"type": "RouterSolicitation", "family": "IPv6"}]}])),
    ('say "family": "IPv4"', entry(icmps=[{"fields": [{"type": "Timestamp", "family": "IPv6"}]}]), entry(icmps=[{"fields": [{"type": "Timestamp", "family": "IPv4"}]}])),
    ('did you mean "nomad:job"?', key("nomad:jbo"), key("nomad:job")),
    ('write "consul:service" or "meta:service"', key("nomad:service"), key("consul:service")),
    ('write "consul:service" or "meta:service"', key("nomad:service"), key("meta:service")),
    ("name the addresses by toCIDR until then", rule(egress=[{"toFQDNs": [{"matchName": "a.example"}]}]), rule(egress=[{"toCIDR": ["192.0.2.1/32"]}])),
    ('add "nomad:namespace"', labels(job="x"), labels(job="x", **{"nomad:namespace": "acme"})),
    ("Kubernetes' labels don't exist here", key("k8s:app"), key("meta:app")),
    ("there are host, world, remote-node and init", key("reserved:kube", ""), key("reserved:host", "")),
    ("a label starts with nomad:, consul:, meta: or reserved:", key("docker:app"), key("meta:app")),
    ("an entity stands alone in its selector", labels(**{"reserved:host": "", "meta:a": "b"}), key("reserved:host", "")),
    ('write ""', key("reserved:host", "yes"), key("reserved:host", "")),
    ("remove it", expression(values=["a"]), expression()),
    ('add "nomad:namespace" to its matchLabels', {**OPERATOR, "rules": [labels(**{"meta:tier": "x"})]},
     {**OPERATOR, "rules": [labels(**{"meta:tier": "x", "nomad:namespace": "acme"})]}),
    ('if need be the entity "all"', {**OPERATOR, "rules": [entry(**{"pass": True})]}, {**OPERATOR, "rules": [entry(**{"pass": True, "fromEntities": ["all"]})]}),
]


POLICY += [
    ('did you mean "toEntities"?', rule(egress=[{"toEntity": ["host"]}]), rule(egress=[{"toEntities": ["host"]}])),
    ('did you mean "host"?', rule(egress=[{"toEntities": ["hsot"]}]), rule(egress=[{"toEntities": ["host"]}])),
    ('did you mean "tenant"?', {"tier": "tenants", "rules": [rule(ingress=ANY)]}, {"tier": "tenant", "rules": [rule(ingress=ANY)]}),
    ("write two entries", rule(egress=[{"toEntities": ["host"], "toCIDR": ["192.0.2.0/24"]}]), rule(egress=[{"toEntities": ["host"]}, {"toCIDR": ["192.0.2.0/24"]}])),
    ('write "10.0.0.0/8"', rule(egress=[{"toCIDR": ["10.0.0.1/8"]}]), rule(egress=[{"toCIDR": ["10.0.0.0/8"]}])),
    ('write "80"', port(port="080", protocol="TCP"), port(port="80", protocol="TCP")),
    ('did you mean "EchoRequest"?', entry(icmps=[{"fields": [{"type": "EchoReqest"}]}]), entry(icmps=[{"fields": [{"type": "EchoRequest"}]}])),
    ('did you mean "NeighborSolicitation"?', entry(icmps=[{"fields": [{"type": "NeighbourSolicitation", "family": "IPv6"}]}]),
     entry(icmps=[{"fields": [{"type": "NeighborSolicitation", "family": "IPv6"}]}])),
    ("picket policy import FILE carries it over", {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "x"}, "spec": rule(ingress=ANY)},
     {"name": "x", "rules": [rule(ingress=ANY)]}),
]
POLICY += [
    ('write "port": 8000, "endPort": 8080', port(port="8000-8080", protocol="TCP"), port(port=8000, endPort=8080, protocol="TCP")),
    ("write one from 0 to 65535", port(port=70000), port(port=7000)),
    ("write one from 1 to 65535", port(port=80, endPort=0), port(port=80, endPort=81)),
    ("write 81, without quotes", port(port=80, endPort="81"), port(port=80, endPort=81)),
    ("write it without quotes", {"audit": "true", "rules": [rule(ingress=ANY)]}, {"audit": True, "rules": [rule(ingress=ANY)]}),
    ("put it in [ ]", rule(ingress={}), rule(ingress=ANY)),
    ("remove the key, or fill the list", entry(toPorts=[]), entry(toPorts=[{"ports": [{"port": 80}]}])),
]
POLICY += [(f'write the protocol as "{name}"', port(port=80, protocol=number), port(port=80, protocol=name))
           for name, number in (("TCP", 6), ("UDP", 17), ("SCTP", 132))]
IN, CLUSTER = {"fromEndpoints": [{}]}, {"matchLabels": {"io.cilium.k8s.policy.cluster": "old"}}


def cilium(options=(), ingress=IN, about=None, **more):
    """A policy of Cilium's and how it is carried over: (options, document)."""
    spec = {**(about or EMPTY), **(more or {"ingress": [ingress]})}
    return list(options), {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "a", "namespace": "acme"}, "spec": spec}


IMPORT = [
    ("name the addresses by toCIDR", cilium(egress=[{"toFQDNs": [{"matchName": "a.example"}]}]), cilium(egress=[{"toCIDR": ["192.0.2.1/32"]}])),
    ("name the nodes by the entities host and remote-node", cilium(ingress={"fromNodes": [{}]}), cilium(ingress={"fromEntities": ["host", "remote-node"]})),
    ("name the others by their namespaces", cilium(ingress={"fromEntities": ["cluster"]}),
     cilium(ingress={"fromEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "other"}}]})),
    ("write it without leading zeros", cilium(ingress={**IN, "toPorts": [{"ports": [{"port": "080"}]}]}), cilium(ingress={**IN, "toPorts": [{"ports": [{"port": "80"}]}]})),
    ("give -cluster NAME", cilium(about={"endpointSelector": CLUSTER}), cilium(["-cluster", "old"], about={"endpointSelector": CLUSTER})),
    ("keep the host's firewall for what it closes", cilium(about={"nodeSelector": {}}), cilium()),
]
SERVICE_ACCOUNT = {"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "web"}}
IMPORT += [
    ('the operator\'s "tenantReach" lists what it needs', cilium(egress=[{"toEntities": ["world"]}]), cilium(egress=[{"toCIDR": ["203.0.113.0/24"]}])),
    ('the operator\'s "tenantReach" must list it', cilium(egress=[{"toCIDR": ["10.9.0.0/24"]}]), cilium(egress=[{"toCIDR": ["203.0.113.0/24"]}])),
    ("name its endpoints by labels that jobs have", cilium(about={"endpointSelector": SERVICE_ACCOUNT}), cilium(about={"endpointSelector": {"matchLabels": {"app": "web"}}})),
]
# Variables of the environment, as picketd reads them.
ENVIRONMENT = [
    ("http://HOST:PORT, https://HOST:PORT or unix:///PATH, without a password, or unset it", {"NOMAD_ADDR": "a b"}, {"NOMAD_ADDR": "http://127.0.0.1:4646"}),
    ("http://HOST:PORT, https://HOST:PORT or unix:///PATH, without a password, or unset it", {"CONSUL_HTTP_ADDR": "http://me:secret@127.0.0.1:8500"}, {}),
    ("a client's certificate and its key belong together: name both, or neither", {"NOMAD_CLIENT_CERT": "/a"}, {"NOMAD_CLIENT_CERT": "/a", "NOMAD_CLIENT_KEY": "/b"}),
    ("set it to one, or unset it", {"NOMAD_CACERT": "ca.pem"}, {"NOMAD_CACERT": "/etc/picket/ca.pem"}),
]
PLUGIN = os.path.join(BUILD, "picket-cni")
EXAMPLE, REACH = os.path.join(ROOT, "examples/policies/operator-dns-for-everyone.json"), os.path.join(ROOT, "examples/reach.json")
WORLD = ["explain", "-world", os.path.join(ROOT, "tests/policy/meaning-entities.json")]
# (fix, refused words of `picket`, mended ones, what these say)
WORDS = [
    ("an endpoint's name, host, remote-node, world:ADDRESS or unknown:ADDRESS", [*WORLD, "z/a", "host", "80/tcp"], [*WORLD, "x/a", "host", "80/tcp"], "out of x/a"),
    ("give the whole name", [*WORLD, "x", "host", "80/tcp"], [*WORLD, "x/a", "host", "80/tcp"], "out of x/a"),
    ("name the endpoint", [*WORLD, "x/a", "world:10.20.0.2", "80/tcp"], [*WORLD, "x/a", "x/b", "80/tcp"], "into x/b"),
    ("write it as world:192.0.2.1 or world:2001:db8::1", [*WORLD, "x/a", "world:192.0.2", "80/tcp"], [*WORLD, "x/a", "world:192.0.2.1", "80/tcp"], "into world:192.0.2.1"),
    ("write it as world:192.0.2.1 or world:2001:db8::1", [*WORLD, "x/a", "world:www", "80/tcp"], [*WORLD, "x/a", "world:2001:db8::1", "80/tcp"], "into world:2001:db8::1"),
    ('write it as "80/tcp", udp, sctp', [*WORLD, "x/a", "host", "80/tpc"], [*WORLD, "x/a", "host", "80/tcp"], "out of x/a"),
    ('write it as "80/tcp"', [*WORLD, "x/a", "host", "http"], [*WORLD, "x/a", "host", "80/tcp"], "out of x/a"),
    ("a name like echo-request, TYPE or TYPE/CODE", [*WORLD, "x/a", "host", "icmp:ping"], [*WORLD, "x/a", "host", "icmp:echo-request"], "out of x/a"),
    ("a name like echo-request, TYPE or TYPE/CODE", [*WORLD, "x/a", "host", "icmp:3/999"], [*WORLD, "x/a", "host", "icmp:3/4"], "out of x/a"),
    ("picket policy explain acme/api acme/db 5432/tcp", [*WORLD, "x/a", "x/b"], [*WORLD, "x/a", "x/b", "5432/tcp"], "out of x/a"),
    ("file, consul/operator, consul/tenant/NAMESPACE", [*WORLD, "-as", "operator", "x/a", "host", "80/tcp"], [*WORLD, "-as", "consul/operator", "x/a", "host", "80/tcp"],
     "out of x/a"),
    ("picket policy fmt -help", ["policy", "fmt", "-widht", "3"], ["policy", "fmt", "-help"], "comments stay"),
    ("picket reasons", ["reasons", "denied"], ["reasons"], "policy-denied"),
    ("what has no tenant is in quarantine, and has no labels", ["attach", "a", "-label", "tier=db"], ["attach", "a", "-label", "tier=db", "-tenant", "acme"],
     "no network of type picket"),
    ("say it as -label tier=db", ["attach", "a", "-label", "tier", "-tenant", "acme"], ["attach", "a", "-label", "tier=db", "-tenant", "acme"], "no network of type picket"),
    ("the namespace is -tenant", ["attach", "a", "-label", "nomad:namespace=acme", "-tenant", "acme"], ["attach", "a", "-tenant", "acme"], "no network of type picket"),
    ("name it as a Nomad namespace is named", ["attach", "a", "-tenant", "a/b"], ["attach", "a", "-tenant", "a-b"], "no network of type picket"),
    ("put examples/picket.conflist there, or say -conflist", ["attach", "a", "-tenant", "acme"],
     ["attach", "a", "-tenant", "acme", "-conflist", os.path.join(ROOT, "examples/picket.conflist")], 'say -root as its "root" is'),
    ('say the one that "store" of picketd.json names', ["policy", "list", "-consul", "-nomad"], ["policy", "list", "-consul"], "Consul"),
    ("leave it out: the path of a variable begins with picket/v1/", ["policy", "list", "-nomad", "-prefix", "x"], ["policy", "list", "-nomad"], "Nomad"),
    ("give it from /", ["-root", "here", "policy", "schema"], ["policy", "schema"], "$schema"),
    ("of a-z A-Z 0-9 _ . -, such as db-1", ["detach", "a b"], ["detach", "a-b", "-plugin", PLUGIN], "was not attached"),
    ("such ids are Nomad's to give", ["detach", "7f3a21c4-0000-4000-8000-000000000001"], ["detach", "db-1", "-plugin", PLUGIN], "was not attached"),
    ("job, group and keys of your own are", ["attach", "a", "-label", "consul:service=db", "-tenant", "acme"], ["attach", "a", "-label", "job=db", "-tenant", "acme"],
     "no network of type picket"),
    ("give names with slashes between them", ["policy", "list", "-consul", "-prefix", "a//b"], ["policy", "list", "-consul", "-prefix", "a/b"], "set CONSUL_HTTP_ADDR"),
    ("name a file that is there", ["policy", "validate", f"{EXAMPLE}.jsn"], ["policy", "validate", EXAMPLE], "1 document valid"),
    ("name a file that is there", ["policy", "fmt", f"{EXAMPLE}.jsn"], ["policy", "fmt", EXAMPLE], "endpointSelector"),
    ("name a file that is there", ["policy", "test", f"{REACH}.jsn"], ["policy", "test", REACH], " hold"),
    ("name a file that is there", ["policy", "plan", "-world", f"{REACH}.jsn", EXAMPLE], ["policy", "plan", "-world", REACH, EXAMPLE], "Nothing was changed"),
    ("name a file that is there", ["policy", "plan", "-world", REACH, f"{EXAMPLE}.jsn"], ["policy", "plan", "-world", REACH, EXAMPLE], "Nothing was changed"),
    ("name a file that is there", [*WORLD, "-with", f"{EXAMPLE}.jsn", "x/a", "host", "80/tcp"], [*WORLD, "-with", EXAMPLE, "x/a", "host", "80/tcp"], "out of x/a"),
    ("name a file that is there", ["policy", "suggest", "-flows", f"{EXAMPLE}.jsn"], ["policy", "suggest", "-flows", os.devnull], "no allowed flow was seen"),
    ("it is a directory: name the files in it", ["policy", "fmt", os.path.dirname(EXAMPLE)], ["policy", "fmt", EXAMPLE], "endpointSelector"),
    ("name the files", ["policy", "import", os.path.join(ROOT, "docs")], ["policy", "import", EXAMPLE], "endpointSelector"),
]


def said(argv, **kw):
    """(whether it was taken, what it said)"""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30, **kw)
    return done.returncode == 0, " ".join((done.stdout + done.stderr).replace('\\"', '"').split())


def picketd(root, value):
    file = root / "picketd.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    return said([os.path.join(BUILD, "picketd"), "-root", root, "-config", file, "-print-config"], env={"PATH": os.environ["PATH"]})


def environment(root, value):
    return said([os.path.join(BUILD, "picketd"), "-root", root, "-print-config"], env={"PATH": os.environ["PATH"], **value})


def plugin(root, value, **more):
    """A call of ADD into no network namespace: what is wrong with the conflist is said before."""
    conf = {"cniVersion": "1.0.0", "name": "picket", "type": "picket", "root": str(root), **value}
    if conf["root"] == "ROOT":
        conf["root"] = str(root)
    env = {"PATH": os.environ["PATH"], "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_NETNS": str(root / "none"), "CNI_PATH": "/none", **more}
    _, text = said([os.path.join(BUILD, "picket-cni")], input=json.dumps(conf), env=env)
    return "pass the path of a network namespace made for this container" in text, text


def policy(root, value):
    """A warning isn't taken in silence."""
    file = root / "document.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    taken, text = said([os.path.join(BUILD, "picket"), "-root", root, "policy", "validate", file])
    return taken and "warning" not in text, text


def job(root, value):
    args, allowed, env = value
    return plugin(root, {**POOL, "allowJobArgs": allowed}, CNI_ARGS=args, **env)


def carried(root, value):
    """What is lost or refused says so by its exit status."""
    options, document = value
    file = root / "cilium.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return said([os.path.join(BUILD, "picket"), "policy", "import", "-namespace", "acme", *options, file])


ROWS = [(ask, *row) for ask, rows in ((picketd, PICKETD), (plugin, CONFLIST), (job, JOB), (policy, POLICY), (carried, IMPORT),
                                   (environment, ENVIRONMENT)) for row in rows]


@pytest.mark.parametrize("ask, fix, wrong, right", ROWS, ids=[f"{row[0].__name__}: {row[1]}"[:70] for row in ROWS])
def test_what_a_fix_says_mends(tmp_path, ask, fix, wrong, right):
    taken, text = ask(tmp_path, wrong)
    assert not taken and fix in text, text
    taken, text = ask(tmp_path, right)
    assert taken, text


@pytest.mark.parametrize("fix, wrong, right, says", WORDS, ids=[f"{row[0]}"[:70] for row in WORDS])
def test_what_a_fix_says_mends_a_command(tmp_path, fix, wrong, right, says):
    """What needs a node says so then, and no longer what was wrong."""
    def ask(words):
        return said([os.path.join(BUILD, "picket"), *(["-root", tmp_path] if words[0] != "-root" else []), *words], env={"PATH": os.environ["PATH"]})
    taken, text = ask(wrong)
    assert not taken and fix in text, text
    taken, text = ask(right)
    assert says in text and fix not in text, text


def test_a_row_that_mends_nothing_is_noticed(tmp_path):
    assert not policy(tmp_path, EMPTY)[0] and not plugin(tmp_path, {"pol": 1})[0] and not picketd(tmp_path, {"pol": 1})[0]
    assert policy(tmp_path, rule(ingress=ANY))[0] and plugin(tmp_path, POOL)[0] and picketd(tmp_path, {})[0]


def write(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def picket(root, *words):
    return said([os.path.join(BUILD, "picket"), "-root", root, *words], env={"PATH": os.environ["PATH"]})


def test_where_imported_documents_go(tmp_path):
    many, out = os.path.join(ROOT, "examples/policies"), tmp_path / "out"
    out.mkdir()
    taken, text = picket(tmp_path, "policy", "import", many)
    assert not taken and "say -dir DIR where to put them" in text, text
    assert picket(tmp_path, "policy", "import", many, "-dir", out)[0] and len(os.listdir(out)) > 10
    taken, text = picket(tmp_path, "policy", "import", many, "-dir", out)
    assert not taken and "give an empty directory" in text, text
    (tmp_path / "empty").mkdir()
    assert picket(tmp_path, "policy", "import", many, "-dir", tmp_path / "empty")[0]


def test_a_file_that_holds_another_document(tmp_path):
    directory = tmp_path / "d"
    directory.mkdir()
    held = write(directory / "a.json", {"name": "b", "rules": [rule(ingress=ANY)]})
    new = write(tmp_path / "new.json", {"name": "a", "rules": [rule(ingress=ANY)]})
    taken, text = picket(tmp_path, "policy", "apply", "-dir", directory, new)
    assert not taken and "rename that file to b.json" in text, text
    held.rename(directory / "b.json")
    assert picket(tmp_path, "policy", "apply", "-dir", directory, new)[0]


def test_a_document_of_another_namespace_and_one_without_a_name(tmp_path):
    own = write(tmp_path / "own.json", tenants(rule(ingress=ANY)))
    taken, text = picket(tmp_path, "policy", "validate", "-namespace", "bank", own)
    assert not taken and "remove it, or move the document" in text, text
    assert picket(tmp_path, "policy", "validate", "-namespace", "bank", write(tmp_path / "own.json", {"rules": [rule(ingress=ANY)]}))[0]
    hidden = write(tmp_path / ".own.json", tenants(rule(ingress=ANY)))
    taken, text = picket(tmp_path, "policy", "validate", hidden)
    assert not taken and 'give it a "name"' in text, text
    assert picket(tmp_path, "policy", "validate", write(hidden, {"name": "own", **tenants(rule(ingress=ANY))}))[0]


def test_a_world_without_endpoints(tmp_path):
    world = write(tmp_path / "world.json", {"policies": []})
    taken, text = picket(tmp_path, "explain", "-world", world, "x/a", "host", "80/tcp")
    assert not taken and 'give a file with "endpoints" by -world' in text, text
    write(world, {"endpoints": [{"name": "x/a", "labels": {"nomad:namespace": "x"}, "addresses": ["10.20.0.1"]}]})
    assert "out of x/a" in picket(tmp_path, "explain", "-world", world, "x/a", "host", "80/tcp")[1]


def test_a_chain_of_plugins_is_not_attached_to(tmp_path):
    ours = {"type": "picket", "root": str(tmp_path), **POOL}
    chain = write(tmp_path / "chain.conflist", {"cniVersion": "1.0.0", "name": "n", "plugins": [ours, {"type": "portmap"}]})
    taken, text = picket(tmp_path, "attach", "a", "-tenant", "acme", "-conflist", chain)
    assert not taken and "say -conflist FILE with no plugin beside it" in text, text
    write(chain, {"cniVersion": "1.0.0", "name": "n", "plugins": [ours]})
    taken, text = picket(tmp_path, "attach", "a", "-tenant", "acme", "-conflist", chain)
    assert not taken and "install it in /opt/cni/bin, or say -plugin FILE" in text, text
    assert "was not attached" in picket(tmp_path, "detach", "a", "-plugin", PLUGIN)[1]


def test_gc_wants_its_list(tmp_path):
    def collect(**more):
        conf = {"cniVersion": "1.1.0", "name": "picket", "type": "picket", "root": str(tmp_path), **POOL, **more}
        return said([PLUGIN], input=json.dumps(conf), env={"PATH": os.environ["PATH"], "CNI_COMMAND": "GC", "CNI_PATH": "/none"})
    taken, text = collect()
    assert not taken and "call GC with the attachments that are in use, [] where none is" in text, text
    assert "call GC" not in collect(**{"cni.dev/valid-attachments": []})[1]


def test_a_conflist_that_is_no_json(tmp_path):
    def ask(text):
        env = {"PATH": os.environ["PATH"], "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_NETNS": "/none", "CNI_PATH": "/none"}
        return said([PLUGIN], input=text, env=env)[1]
    fix = "look at the conflist in the runtime's CNI configuration directory"
    whole = json.dumps({"cniVersion": "1.0.0", "name": "picket", "type": "picket", "root": str(tmp_path), **POOL})
    assert fix in ask(whole[:-5])
    assert fix not in (mended := ask(whole)) and "pass the path of a network namespace" in mended, mended


def network(root, name="picket", **more):
    """A list with one plugin of ours."""
    return {"cniVersion": "1.0.0", "name": name, "plugins": [{"type": "picket", "root": str(root), "capabilities": {"portMappings": True}, **POOL, **more}]}


ONE = {"a.conflist": {}}
# (fix, what differs from a good list in each refused file, the same mended); None: the file is no JSON, a list: it holds one plugin alone.
NETWORKS = [
    ('add "capabilities": { "portMappings": true } to the plugin', {"a.conflist": {"capabilities": {}}}, ONE),
    ("write the network's name in lower case", {"a.conflist": {"name": "Picket"}}, ONE),
    ("name the networks differently, or remove the file that isn't meant", {"a.conflist": {}, "b.conflist": {}}, ONE),
    ('say the same "baseline" in both, or say it in picketd.json', {"a.conflist": {"baseline": "deny"}, "b.conflist": {"name": "b", "pool": "10.40.8.0/24"}},
     {"a.conflist": {"baseline": "deny"}, "b.conflist": {"name": "b", "pool": "10.40.8.0/24", "baseline": "deny"}}),
    ("mend or remove the file: Nomad reads them all", {"a.conflist": {}, "b.conflist": None}, ONE),
    ("write it as a list", {"a.conf": []}, ONE),
]


@pytest.mark.parametrize("fix, wrong, right", NETWORKS, ids=[row[0][:50] for row in NETWORKS])
def test_what_check_says_of_the_networks(tmp_path, fix, wrong, right):
    directory = tmp_path / "opt/cni/config"

    def look(files):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        for name, more in files.items():
            if more:
                write(directory / name, network(tmp_path, **more))
            elif more is None:
                (directory / name).write_text("{", encoding="utf-8")
            else:
                single = {"cniVersion": "1.0.0", "name": "picket", **network(tmp_path)["plugins"][0]}
                write(directory / name, single if more == [] else network(tmp_path))
        return picket(tmp_path, "check")[1]
    assert fix in look(wrong) and fix not in look(right)


def test_which_of_several_networks(tmp_path):
    directory = tmp_path / "opt/cni/config"
    directory.mkdir(parents=True)
    for name in ("a", "b"):
        write(directory / f"{name}.conflist", network(tmp_path, name))
    taken, text = picket(tmp_path, "attach", "vm", "-tenant", "acme")
    assert not taken and "say which by -network" in text, text
    assert "install it in /opt/cni/bin" in picket(tmp_path, "attach", "vm", "-tenant", "acme", "-network", "a")[1]


def test_a_configuration_that_is_not_there(tmp_path):
    def ask(path):
        return said([os.path.join(BUILD, "picketd"), "-root", tmp_path, "-config", path, "-print-config"], env={"PATH": os.environ["PATH"]})
    taken, text = ask(tmp_path / "picketd.jsn")
    assert not taken and "name a file or a directory that is there by -config" in text, text
    assert ask(write(tmp_path / "picketd.json", {}))[0] and ask(tmp_path / "parts")[0] is False
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts/a.json", {"nomad": None})
    assert ask(tmp_path / "parts")[0]


def test_a_key_that_a_file_of_expectations_does_not_have(tmp_path):
    world = {"endpoints": [{"name": "x/a", "labels": {"nomad:namespace": "x"}, "addresses": ["10.20.0.1"]}]}
    row = {"from": "x/a", "to": "world:192.0.2.1", "port": "80/tcp", "verdict": "allow"}
    file = write(tmp_path / "reach.json", {**world, "verbs": [row]})
    taken, text = picket(tmp_path, "policy", "test", file)
    assert not taken and (fix := "use one of: ") in text, text
    known = text.split(fix)[1].split(", ")
    assert "expect" in known and picket(tmp_path, "policy", "test", write(file, {**world, "expect": [row]}))[0]


def test_which_store_a_command_asks(tmp_path):
    config = tmp_path / "etc/picket/picketd.json"
    config.parent.mkdir(parents=True)
    write(config, {"store": "nomad"})
    taken, text = picket(tmp_path, "policy", "list", "-consul")
    assert not taken and "fix: say -nomad" in text, text
    assert "set NOMAD_ADDR" in picket(tmp_path, "policy", "list", "-nomad")[1]


def test_netreaps_key_and_its_namespace(tmp_path):
    key_of_netreap = write(tmp_path / "key.json", [{"endpointSelector": {"matchLabels": {"app": "web"}}, "ingress": [{}]}])
    taken, text = picket(tmp_path, "policy", "import", key_of_netreap)
    assert not taken and "give -namespace NAME, if these are one namespace's policies" in text, text
    assert picket(tmp_path, "policy", "import", "-namespace", "acme", key_of_netreap)[0]
