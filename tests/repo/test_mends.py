# SPDX-License-Identifier: Apache-2.0
"""
What a `fix:` says is done to what was refused, and then it is taken: a row of each table is the fix (a part of it), the refused text and the
mended one. Of files, options and arguments: what a node must be in is tried in tests/netns.
"""
import json
import os
import subprocess

import pytest

from test_commands import BUILD

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


def said(argv, **kw):
    """(whether it was taken, what it said)"""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30, **kw)
    return done.returncode == 0, " ".join((done.stdout + done.stderr).replace('\\"', '"').split())


def picketd(root, value):
    file = root / "picketd.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    return said([os.path.join(BUILD, "picketd"), "-root", root, "-config", file, "-print-config"], env={"PATH": os.environ["PATH"]})


def plugin(root, value):
    """A call of ADD into no network namespace: what is wrong with the conflist is said before."""
    conf = {"cniVersion": "1.0.0", "name": "picket", "type": "picket", "root": str(root), **value}
    if conf["root"] == "ROOT":
        conf["root"] = str(root)
    env = {"PATH": os.environ["PATH"], "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_NETNS": str(root / "none"), "CNI_PATH": "/none"}
    _, text = said([os.path.join(BUILD, "picket-cni")], input=json.dumps(conf), env=env)
    return "pass the path of a network namespace made for this container" in text, text


def policy(root, value):
    """A warning isn't taken in silence."""
    file = root / "document.json"
    file.write_text(json.dumps(value), encoding="utf-8")
    taken, text = said([os.path.join(BUILD, "picket"), "-root", root, "policy", "validate", file])
    return taken and "warning" not in text, text


ROWS = [(ask, *row) for ask, rows in ((picketd, PICKETD), (plugin, CONFLIST), (policy, POLICY)) for row in rows]


@pytest.mark.parametrize("ask, fix, wrong, right", ROWS, ids=[f"{row[0].__name__}: {row[1]}"[:70] for row in ROWS])
def test_what_a_fix_says_mends(tmp_path, ask, fix, wrong, right):
    taken, text = ask(tmp_path, wrong)
    assert not taken and fix in text, text
    taken, text = ask(tmp_path, right)
    assert taken, text


def test_a_row_that_mends_nothing_is_noticed(tmp_path):
    assert not policy(tmp_path, EMPTY)[0] and not plugin(tmp_path, {"pol": 1})[0] and not picketd(tmp_path, {"pol": 1})[0]
    assert policy(tmp_path, rule(ingress=ANY))[0] and plugin(tmp_path, POOL)[0] and picketd(tmp_path, {})[0]
