# SPDX-License-Identifier: Apache-2.0
"""Each command of ours that a `fix:` gives is run on a node where picketd runs: it does or answers something."""
import json
import os
import re
import sys

from harness.shell import TREE, binary, run, wait_for

sys.path.insert(0, os.path.join(TREE, "tests/repo"))

from fix_texts import fixes  # noqa: E402

DOCUMENT = {"name": "db", "namespace": "acme", "rules": [{"endpointSelector": {}, "ingress": [{}]}]}
OLD = [{"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "a"},
        "spec": {"endpointSelector": {"matchLabels": {"nomad:job": "db"}}, "ingress": [{"fromEntities": ["all"]}]}}]
# What is written for what a sentence leaves open.
OWN = {"endpoint show %s -vmm json": "endpoint show acme/api/web -vmm json", "policy release %s": "policy release file/db",
       "policy import FILE": "policy import -namespace acme FILE", "policy explain acme/api acme/db 5432/tcp": "policy explain acme/api acme/db 5432/tcp"}
# What needs another node than this test's, and where it is run.
ELSEWHERE = {"attach": ("test_attach.py", '"attach", "a"'), "detach": ("test_attach.py", '"detach"'), "detach %s": ("test_attach.py", '"detach", "vm"'),
             "node remove NAME": ("test_blocks.py", '"node", "remove"'), "node remove %.64s": ("test_blocks.py", '"node", "remove", "n7"'),
             "policy list -nomad": ("../e2e/test_variables.py", '"list", "-nomad"')}
LAST = ("sweep -apply", "sweep -all -apply")      # picketd has ended then
# Sentences that go on behind the command.
WORD = r"(?:\w+/\w+|-?[a-z][a-z-]*|%(?:\.\d+)?s|[A-Z]{2,})"
SAYS = re.compile(rf"(?<![\w./])picket ({WORD}(?: {WORD})*)")


def verbs():
    """{noun: its verbs} of the command line's own help."""
    found = {}
    for noun, verb in re.findall(r"^  ([a-z]+) ?([a-z]*)", run([binary("picket"), "-help"]).stdout.split("Common options")[0], re.M):
        found.setdefault(noun, set()).add(verb)
    return found


def commands():
    """The words of each, without what a sentence says behind them."""
    known, found = verbs(), {}
    for text, name in fixes().items():
        for said in SAYS.findall(text):
            words = said.split()
            if words[0] not in known:
                continue
            kept = words[:2] if words[1:2] and words[1] in known[words[0]] else words[:1]
            for word in words[len(kept):]:
                if not (word.startswith("-") or re.match(r"%|[A-Z]{2,}$|.*/", word) or kept[-1] in ("-o", "-vmm", "release")):
                    break
                kept.append(word)
            found[" ".join(kept)] = name
    return found


def test_the_texts_have_them():
    found = commands()
    assert {"status", "check", "policy list -refused", "sweep -apply", "node list -o wide", "ip list", "policy release consul"} <= set(found), found
    assert len(found) > 18, sorted(found)


def argv(command, old):
    return [old if word == "FILE" else word for word in OWN.get(command, command).split()]


def test_each_does_or_answers_something(node, consul, tmp_path):
    """No usage error, and no "could not tell": 0 or 1."""
    old = tmp_path / "old.json"
    old.write_text(json.dumps(OLD), encoding="utf-8")
    node.start_picketd({"node": "n1", "nomad": None, "consul": {"address": consul.address}})
    allocs = [node.add("acme", job, group) for job, group in (("api", "web"), ("db", "pg"))]
    node.policy("db.json", DOCUMENT)
    wait_for(lambda: node.api("/v1/policies")["policies"], "the document")
    consul.put("operator/all", {"rules": [{"endpointSelector": {}, "ingress": [{}]}]})
    env = {"PATH": os.environ["PATH"], "CONSUL_HTTP_ADDR": consul.address.removeprefix("http://")}
    mine = [command for command in sorted(commands()) if command not in ELSEWHERE and command not in LAST]
    said = {command: node.picket(*argv(command, str(old)), check=False, env=env) for command in mine}
    assert said["check"].returncode == 2 and "ok" in said.pop("check").stdout, "it found faults: no Nomad"
    for alloc in allocs:
        node.delete(alloc)
    node.kill_picketd()
    said.update({command: node.picket(*command.split(), check=False, env=env) for command in LAST})
    assert not {command: done for command, done in said.items() if done.returncode not in (0, 1)}
    assert not {command: done for command, done in said.items() if not (done.stdout + done.stderr).strip()}


def test_what_is_run_elsewhere_is():
    assert set(ELSEWHERE) | set(OWN) <= set(commands())
    for file, words in ELSEWHERE.values():
        with open(os.path.join(os.path.dirname(__file__), file), encoding="utf-8") as text:
            assert words in text.read(), (file, words)
