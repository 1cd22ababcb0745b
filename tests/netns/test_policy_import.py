# SPDX-License-Identifier: Apache-2.0
"""
`picket policy import`: what was written for Cilium never allows here what Cilium's own rules deny, and where the
import calls itself without loss it means the same. The measure is tests/cilium/reference.py; PICKET_SEED and
PICKET_WORLDS choose other and more worlds.
"""
import json
import os
import random

import pytest
from cilium.reference import Policy, api_rules, kubernetes_rules
from cilium.worlds import Author, World, kubernetes_object
from harness.shell import TREE, binary, run

FILES = os.path.join(TREE, "tests/cilium")
SEED = int(os.environ.get("PICKET_SEED", "1"))
WORLDS = int(os.environ.get("PICKET_WORLDS", "40"))


def what(traffic):
    return {"icmp": "echo-request"} if traffic.protocol == "ICMP" else {"port": f"{traffic.port}/{traffic.protocol.lower()}"}


def ask_picket(directory, world, documents):
    """{(from, to, n): {"egress": ..., "ingress": ...}} of Picket's engines; n: of the traffic."""
    connections = list(world.connections())
    file = directory / "expect.json"
    file.write_text(json.dumps({
        "baseline": "open", "endpoints": world.endpoints, "policies": [str(d) for d in documents],
        "expect": [{"from": s, "to": t, **what(x), "verdict": "allow"} for s, t, x in connections]}), encoding="utf-8")
    answers = None
    for engine in ("reference", "compiled"):
        done = run([binary("picket"), "policy", "test", "-json", "-engine", engine, str(file)], check=False)
        assert done.returncode in (0, 1), done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(lines) == len(connections)
        sides = [[line[d] and line[d]["verdict"] == "allow" for d in ("egress", "ingress")] for line in lines]
        assert answers is None or answers == sides
        answers = sides
    return connections, answers


def import_files(directory, files, *options):
    """(status, documents): what the CLI makes of the texts, all in one run."""
    source, target = directory / "source", directory / "target"
    source.mkdir()
    for name, value in files.items():
        (source / name).write_text(json.dumps(value), encoding="utf-8")
    done = run([binary("picket"), "policy", "import", "-dir", str(target), *options, str(source)], check=False)
    return done, sorted(target.iterdir()) if target.exists() else []


def compare(directory, world, policy, status, documents, said):
    """How many verdicts were compared, and how many are narrower here."""
    connections, answers = ask_picket(directory, world, documents)
    subjects, compared, narrower = set(world.subjects()), 0, 0
    for (source, target, traffic), sides in zip(connections, answers):
        for ingress, (subject, peer) in ((False, (source, target)), (True, (target, source))):
            if subject not in subjects:
                continue
            theirs = policy.allows(world.identities[subject], ingress, world.identities[peer], traffic)
            ours = sides[ingress]
            told = (directory, subject, "ingress" if ingress else "egress", peer, traffic, said)
            assert theirs or not ours, ("opened", *told)
            # Of a peer in init Picket knows nothing, not even that a label is absent: a deny may count for it.
            assert status or theirs == ours or peer == "init", ("another meaning without a loss", *told)
            compared += 1
            narrower += theirs != ours
    return compared, narrower


def run_worlds(tmp_path, make):
    compared = narrower = lossless = refused = 0
    for i in range(WORLDS):
        rng = random.Random(f"{SEED}-{make.__name__}-{i}")
        directory = tmp_path / f"w{i}"
        directory.mkdir()
        world, policy, files, options = make(rng)
        done, documents = import_files(directory, files, *options)
        assert done.returncode in (0, 1, 2), done
        if done.returncode == 2:
            assert "error: " in done.stderr
            refused += 1
            continue
        lossless += done.returncode == 0
        more, less = compare(directory, world, policy, done.returncode, documents, done.stderr)
        compared, narrower = compared + more, narrower + less
    print(f"{make.__name__}: {compared} verdicts, {narrower} narrower, {lossless} worlds lossless, {refused} refused")
    assert compared > WORLDS * 200 and lossless >= WORLDS // 10, (compared, narrower, lossless, refused)


def kubernetes(rng):
    world = World(rng, True)
    objects = [kubernetes_object(rng, i) for i in range(rng.randint(1, 3))]
    return world, Policy(kubernetes_rules(objects)), {f"{i}.json": o for i, o in enumerate(objects)}, []


def netreap(rng):
    """The one key that netreap watches, imported as the operator's."""
    rules = [Author(rng, False).rule() for _ in range(rng.randint(1, 3))]
    return World(rng, False), Policy(api_rules(rules)), {"key.json": rules}, []


def netreap_of_a_namespace(rng):
    rules = [Author(rng, False, "a").rule() for _ in range(rng.randint(1, 3))]
    return World(rng, False, ("a",)), Policy(api_rules(rules)), {"key.json": rules}, ["-namespace", "a"]


@pytest.mark.parametrize("make", (kubernetes, netreap, netreap_of_a_namespace))
def test_an_import_never_opens(tmp_path, make):
    run_worlds(tmp_path, make)


def picket(*arguments, **more):
    return run([binary("picket"), "policy", *map(str, arguments)], check=False, **more)


def rules(path):
    value = json.loads(path if isinstance(path, str) else path.read_text(encoding="utf-8"))
    return value["rules"] if isinstance(value, dict) else value


def test_netreaps_usual_key():
    """Cilium's health endpoint is nothing here; whose labels meta are, -namespace says."""
    key = os.path.join(FILES, "netreap-key.json")
    refused = picket("import", key)
    assert refused.returncode == 2 and not refused.stdout
    assert "give -namespace NAME, if these are one namespace's policies" in refused.stderr
    done = picket("import", "-namespace", "acme", key)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr and "an endpoint of Cilium's own" in done.stderr
    assert rules(done.stdout) == [{
        "endpointSelector": {"matchLabels": {"meta:app": "web"}},
        "ingress": [{"fromEndpoints": [{"matchLabels": {"meta:app": "lb"}}],
                     "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}]}]}]


def test_what_was_imported_is_imported_as_it_is(tmp_path):
    new = tmp_path / "new.json"
    done = picket("import", "-namespace", "acme", os.path.join(FILES, "netreap-key.json"))
    new.write_text(done.stdout, encoding="utf-8")
    assert picket("validate", new).returncode == 0
    again = picket("import", new)
    assert (again.returncode, again.stdout, again.stderr) == (0, done.stdout, "")


def test_a_key_that_cilium_ignored_is_refused(tmp_path):
    path = tmp_path / "old.json"
    path.write_text('[{"endpointSelector":{},"egress":[{"toEntity":["host"],"fromEntities":["world"]}]}]', encoding="utf-8")
    done = picket("import", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert 'did you mean "toEntities"?' in done.stderr and done.stderr.count("Cilium reads no such key here") == 2


def test_what_kubectl_prints_as_yaml(tmp_path):
    """Several documents and a List in one file, with what a cluster adds; what is no policy is passed over."""
    done = picket("import", "-dir", tmp_path / "out", os.path.join(FILES, "kubectl.yaml"))
    assert done.returncode == 1, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["deny-metadata.json", "shop-api.json", "shop-web.json"]
    assert rules(tmp_path / "out/shop-web.json")[0]["ingress"] == [{
        "fromEndpoints": [{"matchLabels": {"meta:app.kubernetes.io/name": "lb"}}],
        "toPorts": [{"ports": [{"port": "8080", "protocol": "TCP"}]}]}]
    assert '"ConfigMap" is no policy: passed over' in done.stderr
    # The note names the place in the YAML text, and shows its line.
    with open(os.path.join(FILES, "kubectl.yaml"), encoding="utf-8") as file:
        lines = file.read().splitlines()
    line = next(i for i, text in enumerate(lines, 1) if "toEntities" in text) + 1
    assert f'kubectl.yaml:{line}:9: error: .[3].items[0].spec.egress[0].toEntities[0]: "world" leaves' in done.stderr, done.stderr
    assert f"{line:5} | {lines[line - 1]}" in done.stderr
    assert "documents: 3, repairs: " in done.stderr and "losses: 1, refused: 0" in done.stderr


@pytest.mark.parametrize("text, says", [
    ("port: 0777", ":1:7: error: .: a word that readers of YAML take for different things"),
    ("a: {b: no}", ":1:8: error: "), ("a: 22:22", ":1:4: error: "), ("a: 1_000", ":1:4: error: "),
    ("no: b", ":1:1: error: "), ("a: &x [1]\nb: *x", ":2:4: error: .: an alias isn't read"),
    ("a: !!int '1'", ":1:4: error: .: a tag isn't read"), ("<<: {}", ":1:1: error: "), ("a: [", "error: "),
    ("a: b\na: c", ":2:1: error: .a: this key appears twice"), ("[a]: b", "a key is no text"),
    ("- kind: NetworkPolicy", '"NetworkPolicy" is no CiliumNetworkPolicy'), ("--- ~\n---\n", "nothing to import")])
def test_yaml_that_is_refused(tmp_path, text, says):
    path = tmp_path / "p.yaml"
    path.write_text(text, encoding="utf-8")
    done = picket("import", path)
    assert done.returncode == 2 and says in done.stderr and not done.stdout, done.stderr


def test_yaml_that_looks_odd(tmp_path):
    """Addresses, versions, quoted words and text of several lines are text; true and numbers are what they are."""
    path = tmp_path / "p.yaml"
    path.write_text("""---
kind: CiliumNetworkPolicy
metadata: {name: "on", namespace: 'a'}
spec:
  description: |
    ein schöner
    Tag 😀
  endpointSelector:
    matchLabels: {app: "no", "80": 'x', version: 1.2.3}
  enableDefaultDeny: {ingress: true}
  ingress:
  - fromCIDR: [10.0.0.1, 10.0.0.0/8, fd00::1, 1::2]
    toPorts:
    - ports:
      - {port: "80", protocol: TCP, endPort: 90}
""", encoding="utf-8")
    done = picket("import", path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"name": "a-on", "namespace": "a", "rules": [{
        "description": "ein schöner\nTag 😀\n",
        "endpointSelector": {"matchLabels": {"meta:app": "no", "meta:80": "x", "meta:version": "1.2.3"}},
        "enableDefaultDeny": {"ingress": True},
        "ingress": [{"fromCIDR": ["10.0.0.1", "10.0.0.0/8", "fd00::1", "1::2"],
                     "toPorts": [{"ports": [{"port": "80", "protocol": "TCP", "endPort": 90}]}]}]}]}
    assert picket("import", "-", stdin=path.read_text(encoding="utf-8")).stdout == done.stdout


def policy(name, namespace, spec):
    return {"kind": "CiliumNetworkPolicy", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def test_requirements_hold_over_all_files_of_a_run(tmp_path):
    """One file's fromRequires counts for a selector of another that matches the world and hosts."""
    spec = {"endpointSelector": {}, "ingress": [{"fromEndpoints": [{"matchLabels": {"reserved:host": ""}}]}]}
    alone, documents = import_files(tmp_path, {"a.json": policy("a", "n", spec)})
    assert rules(documents[0])[0]["ingress"] == [{"fromEntities": ["host"]}] and alone.returncode == 0
    (tmp_path / "two").mkdir()
    done, documents = import_files(tmp_path / "two", {
        "a.json": policy("a", "n", spec),
        "b.json": policy("b", "n", {"endpointSelector": {}, "ingress": [{"fromRequires": [{"matchLabels": {"x": "y"}}]}]})})
    assert done.returncode == 1 and "since a rule has requirements" in done.stderr
    assert rules(documents[0])[0]["ingress"] == [{"fromEndpoints": []}]


def test_one_document_that_is_refused_stops_no_other(tmp_path):
    node = {"kind": "CiliumClusterwideNetworkPolicy", "metadata": {"name": "h"}, "spec": {"nodeSelector": {}, "ingress": [{}]}}
    done, documents = import_files(tmp_path, {"a.json": policy("a", "n", {"endpointSelector": {}, "ingress": [{}]}), "h.json": node})
    assert done.returncode == 2 and [d.name for d in documents] == ["n-a.json"]
    assert "a rule about nodes" in done.stderr and "refused: 1; what the refused ones close isn't closed" in done.stderr


def test_where_the_documents_go(tmp_path):
    two = tmp_path / "two.json"
    two.write_text(json.dumps([policy("a", "n", {"endpointSelector": {}, "ingress": [{}]}),
                               policy("b", "n", {"endpointSelector": {}, "ingress": [{}]})]), encoding="utf-8")
    done = picket("import", two)		# two documents, one standard output
    assert done.returncode == 2 and "fix: say -dir DIR" in done.stderr
    assert picket("import", "-dir", tmp_path / "out", two).returncode == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["n-a.json", "n-b.json"]
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(policy("../b", "n", {"endpointSelector": {}, "ingress": [{}]})), encoding="utf-8")
    done = picket("import", "-dir", tmp_path / "bad", bad)
    assert done.returncode == 2 and 'found "n-../b"' in done.stderr and not list((tmp_path / "bad").iterdir())
    again = picket("import", "-dir", tmp_path / "out", two)
    assert again.returncode == 2 and "File exists" in again.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    done = picket("import", empty)
    assert done.returncode == 2 and "has no *.json, *.yaml, *.yml" in done.stderr
