# SPDX-License-Identifier: Apache-2.0
"""What a `fix:` says mends (test_mends.py): what Cilium wrote and YAML, others' lists of plugins, STATUS, what `picket attach` declares, clients' certificates."""
import json
import os

import pytest

from test_commands import BUILD
from test_mends import ANY, EMPTY, PLUGIN, POOL, cilium, entry, picket, rule, said, tenants, write

OTHER = {"matchLabels": {"io.kubernetes.pod.namespace": "other"}}
SOME = {"matchExpressions": [{"key": "io.kubernetes.pod.namespace", "operator": "Exists"}]}
APP = {"matchLabels": {"app": "web"}}
REMOTE = {"matchLabels": {"app": "web", "io.cilium.k8s.policy.cluster": "old"}}
CIDR = {"fromCIDR": ["203.0.113.0/24"]}
NAMED = {"toPorts": [{"ports": [{"port": "HTTP"}]}]}
SERVICE = {"k8sServiceSelector": {"selector": APP}}


def everywhere(ingress):
    """A policy of no namespace: (options, document)."""
    return [], {"apiVersion": "cilium.io/v2", "kind": "CiliumClusterwideNetworkPolicy", "metadata": {"name": "a"},
                "spec": {"endpointSelector": {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "acme"}}, "ingress": [ingress]}}


def of_netreap(**rules):
    return [], [{"endpointSelector": APP, **rules}]


# (fix, how Cilium has it, the same mended): (options, document). A note that nothing is lost by ("repaired") goes, too.
IMPORT = [
    ("name its addresses by CIDR", cilium(ingress={"fromEntities": ["kube-apiserver"]}), cilium(ingress=CIDR)),
    ('write its addresses as "cidr"', cilium(ingress={"fromCIDRSet": [{"cidrGroupRef": "offices"}]}), cilium(ingress={"fromCIDRSet": [{"cidr": "203.0.113.0/24"}]})),
    ("name the service by k8sService", cilium(egress=[{"toServices": [SERVICE]}]),
     cilium(egress=[{"toServices": [{"k8sService": {"serviceName": "db", "namespace": "acme"}}]}])),
    ("give -cluster NAME, if that is this cluster's name in Cilium", cilium(ingress={"fromEndpoints": [REMOTE]}), cilium(["-cluster", "old"], ingress={"fromEndpoints": [REMOTE]})),
    ("name them by matchLabels or In", cilium(ingress={"fromEndpoints": [SOME]}), cilium(ingress={"fromEndpoints": [OTHER]})),
    ("name the namespace in its matchLabels", everywhere({"fromEndpoints": [APP]}),
     everywhere({"fromEndpoints": [{"matchLabels": {"app": "web", "k8s:io.kubernetes.pod.namespace": "acme"}}]})),
    ("name host and remote-node, if no endpoint is meant", of_netreap(ingressDeny=[{"fromEntities": ["cluster"]}]),
     of_netreap(ingressDeny=[{"fromEntities": ["host", "remote-node"]}])),
    ("call the jobs' port so", cilium(ingress={**CIDR, **NAMED}), cilium(ingress={**CIDR, "toPorts": [{"ports": [{"port": "http"}]}]})),
    ("give the jobs this meta key", cilium(about={"endpointSelector": APP}, ingress=CIDR), cilium(about={"endpointSelector": {"matchLabels": {"meta:app": "web"}}}, ingress=CIDR)),
]


@pytest.mark.parametrize("fix, wrong, right", IMPORT, ids=[row[0] for row in IMPORT])
def test_what_a_fix_says_mends_what_cilium_wrote(tmp_path, fix, wrong, right):
    def carried(value):
        options, document = value
        namespace = () if isinstance(document, dict) and "Clusterwide" in document["kind"] else ("-namespace", "acme")
        return picket(tmp_path, "policy", "import", *namespace, *options, write(tmp_path / "cilium.json", document))[1]
    assert fix in carried(wrong), carried(wrong)
    mended = carried(right)
    assert "endpointSelector" in mended and fix not in mended, mended


YAML = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: a, namespace: acme}}\nspec:\n  endpointSelector: {{}}\n  ingress:\n{}"
LABELS = "  - fromEndpoints: [{{matchLabels: {{version: {}}}}}]\n"
WORDS = [
    ("put it in quotes, if it is text", LABELS.format("0x10"), LABELS.format('"0x10"')),
    ("write out what it stands for", "  - fromEndpoints: [&a {matchLabels: {x: b}}, *a]\n", "  - fromEndpoints: [{matchLabels: {x: b}}, {matchLabels: {x: b}}]\n"),
]


@pytest.mark.parametrize("fix, wrong, right", WORDS, ids=[row[0] for row in WORDS])
def test_what_a_fix_says_mends_yaml(tmp_path, fix, wrong, right):
    def carried(text):
        file = tmp_path / "cilium.yaml"
        file.write_text(YAML.format(text), encoding="utf-8")
        return picket(tmp_path, "policy", "import", file)[1]
    assert f"fix: {fix}" in carried(wrong), carried(wrong)
    mended = carried(right)
    assert "endpointSelector" in mended and fix not in mended, mended


SERVICES = {"toServices": [{"name": "db"}]}
# A warning of a document: (fix, warned of, mended).
DOCUMENTS = [
    ('add "namespace"', {"tier": "operator", "rules": [rule(egress=[SERVICES])]},
     {"tier": "operator", "rules": [rule(egress=[{"toServices": [{"name": "db", "namespace": "acme"}]}])]}),
    ("known here: ", {"qqqqqq": 1, "rules": [rule(ingress=ANY)]}, {"name": "q", "rules": [rule(ingress=ANY)]}),
    ('write "10.0.0.0/8"', {"rules": [rule(egress=[{"toCIDR": ["10.0.0.1/8"]}])]}, {"rules": [rule(egress=[{"toCIDR": ["10.0.0.0/8"]}])]}),
]


@pytest.mark.parametrize("fix, wrong, right", DOCUMENTS, ids=[row[0] for row in DOCUMENTS])
def test_what_a_fix_says_mends_a_document(tmp_path, fix, wrong, right):
    def validated(document):
        return picket(tmp_path, "policy", "validate", write(tmp_path / "document.json", document))
    assert fix in validated(wrong)[1], validated(wrong)
    taken, text = validated(right)
    assert taken and "fix: " not in text, text


PLUGINS = [{"type": "picket", **POOL}]
LIST = {"cniVersion": "1.0.0", "name": "picket", "plugins": PLUGINS}
# (fix, the file that Nomad stops at, the same mended)
LISTS = [
    ("add the list of its plugins, or move the file away", {"cniVersion": "1.0.0", "name": "zone"}, {"cniVersion": "1.0.0", "name": "zone", "plugins": [{"type": "bridge"}]}),
    ('name the network: "name": "picket"', {key: value for key, value in LIST.items() if key != "name"}, LIST),
    ("name the plugin's \"type\", or move the file away", {"cniVersion": "1.0.0", "name": "zone", "plugins": [{}]},
     {"cniVersion": "1.0.0", "name": "zone", "plugins": [{"type": "bridge"}]}),
]


@pytest.mark.parametrize("fix, wrong, right", LISTS, ids=[row[0] for row in LISTS])
def test_what_check_says_of_a_list(tmp_path, fix, wrong, right):
    directory = tmp_path / "opt/cni/config"
    directory.mkdir(parents=True)

    def look(value):
        write(directory / "a.conflist", value)
        return picket(tmp_path, "check")[1]
    assert fix in look(wrong), look(wrong)
    assert "Nomad stops at this file" not in look(right) and fix not in look(right)


def test_a_list_for_another_root(tmp_path):
    directory = tmp_path / "opt/cni/config"
    directory.mkdir(parents=True)

    def look(**more):
        write(directory / "a.conflist", {**LIST, "plugins": [{**PLUGINS[0], **more}]})
        return picket(tmp_path, "check")[1]
    fix = "in it, or check with -root of its own"
    assert f'say "root": "{tmp_path}" {fix}' in look(), look()
    assert fix not in look(root=str(tmp_path))


def test_a_name_that_is_empty(tmp_path):
    def ask(name):
        file = write(tmp_path / "picketd.json", {"nomad": {"serverName": name}})
        return said([os.path.join(BUILD, "picketd"), "-root", tmp_path, "-config", file, "-print-config"], env={"PATH": os.environ["PATH"]})
    assert "remove the key, or give it a value" in ask("")[1]
    assert ask("server.global.nomad")[0]


def plugin(root, command, *argv, **conf):
    value = {"cniVersion": "1.1.0", "name": "picket", "type": "picket", "root": str(root), **conf}
    env = {"PATH": os.environ["PATH"], "CNI_COMMAND": command, "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_NETNS": str(root / "none"), "CNI_PATH": "/none"}
    return said([PLUGIN, *argv], input=json.dumps(value), env=env)[1]


def test_labels_that_nobody_may_declare(tmp_path):
    def declared(labels):
        return plugin(tmp_path, "ADD", "--declared", json.dumps(sorted(["nomad:namespace=acme", *labels]), separators=(",", ":")), **POOL)
    fix = "use job, group or keys of your own"
    assert fix in (text := declared(["consul:service=db"])), text
    assert fix not in (text := declared(["meta:service=db"])) and "pass the path of a network namespace" in text, text


def test_a_clients_certificate_without_its_key(tmp_path):
    """As the CLI reads the environment; the file is looked for after that."""
    def ask(**env):
        return said([os.path.join(BUILD, "picket"), "-root", tmp_path, "policy", "list", "-consul"], env={"PATH": os.environ["PATH"], "CONSUL_HTTP_ADDR": "https://127.0.0.1:1", **env})[1]
    fix = "a client's certificate and its key belong together: set both, or neither"
    cert = os.path.join(tmp_path, "a.pem")
    assert fix in (text := ask(CONSUL_CLIENT_CERT=cert)), text
    assert fix not in ask() and fix not in ask(CONSUL_CLIENT_CERT=cert, CONSUL_CLIENT_KEY=cert)


def test_a_row_of_these_that_mends_nothing_is_noticed(tmp_path):
    assert not picket(tmp_path, "policy", "validate", write(tmp_path / "document.json", EMPTY))[0]
    assert picket(tmp_path, "policy", "validate", write(tmp_path / "document.json", rule(ingress=ANY)))[0]
