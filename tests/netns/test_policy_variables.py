# SPDX-License-Identifier: Apache-2.0
"""`picket policy … -nomad`: documents in Nomad's Variables, one change at a time, with a history beside them."""
import json
import os

import pytest
from test_policy_consul import DENY, OPEN, Cli

PLACE = "picket/v1/default/"


class VarsCli(Cli):
    def __init__(self, node, nomad):
        super().__init__(node, None)
        self.nomad = nomad

    def __call__(self, *words, **env):
        return self.node.picket("policy", words[0], "-nomad", *words[1:], check=False,
                                env={"PATH": os.environ["PATH"], "NOMAD_ADDR": self.nomad.address, **env})

    def variables(self, below="", namespace="default"):
        return {path.removeprefix(PLACE): v["Items"] for (ns, path), v in sorted(self.nomad.variables.items())
                if ns == namespace and path.startswith(PLACE + below)}

    def history(self, *words):
        return [(r["verb"], (r["from"] or "")[:6], (r["to"] or "")[:6]) for r in json.loads(self.ok("history", "-json", *words))]


@pytest.fixture
def cli(node, nomad):
    return VarsCli(node, nomad)


def test_a_document_comes_changes_and_goes(cli):
    file = cli.file("deny", DENY)
    assert cli.ok("apply", file) == f"deny: created (nomad:{PLACE}policies/operator/deny)\n"
    assert json.loads(cli.variables("policies/")["policies/operator/deny"]["document"]) == DENY
    before = cli.nomad.vars_index
    assert "deny: unchanged" in cli.ok("apply", file) and cli.nomad.vars_index == before, "what is there already is not written"
    cli.file("deny", dict(DENY, audit=True))
    assert "deny: changed" in cli.ok("apply", file)
    row, = json.loads(cli.ok("list", "-json"))
    assert (row["name"], row["source"], row["state"], row["rules"]) == ("deny", "nomad/operator", "audit", 1)
    assert json.loads(cli.ok("show", "deny")) == dict(DENY, audit=True)
    assert "deny: deleted" in cli.ok("delete", "nomad/operator/deny")
    assert not cli.variables("policies/")
    cli.refused("no document 'deny'", "delete", "deny", status=1)
    cli.refused("no document 'deny'", "show", "deny", status=1)


def test_history_and_the_way_back(cli):
    """As in Consul: each change with its two digests, `rollback` to what was before the last, texts that no log names go."""
    file = cli.file("deny", DENY)
    cli.ok("apply", file)
    cli.file("deny", dict(DENY, audit=True))
    cli.ok("apply", file)
    (changed, old, new), (created, none, first) = cli.history("deny")
    assert (changed, created, none) == ("apply", "apply", "") and old == first != new
    assert "(claimed)" in cli.ok("history"), "this Nomad has no ACLs"
    assert "deny: changed" in cli.ok("rollback", "deny")
    assert json.loads(cli.ok("show", "deny")) == DENY
    cli.ok("rollback", "-to", new, "deny")
    cli.ok("delete", "deny")
    assert cli.history("deny")[0] == ("delete", new, "")
    cli.ok("rollback", "deny")
    assert json.loads(cli.ok("show", "deny")) == dict(DENY, audit=True)
    cli.nomad.put_document("operator/deny", OPEN | {"tier": "operator"})	# by other means
    cli.ok("apply", file)
    assert [row[0] for row in cli.history("deny")][:2] == ["apply", "found"]
    for n in range(21):
        cli.ok("apply", cli.file("deny", dict(DENY, rules=(n + 1) * DENY["rules"])))
    assert len(cli.history("deny")) == 20
    assert len(cli.variables("history/operator/text/deny/")) == 21
    assert "deleted with its history" in cli.ok("delete", "-history", "deny")
    assert not cli.variables()


def test_a_tenants_history_is_in_its_own_namespace(cli):
    cli.ok("apply", "-namespace", "acme", cli.file("mine", OPEN))
    assert {path.split("/")[0] for path in cli.variables(namespace="acme")} == {"history", "policies"} and not cli.variables()
    assert [row[0] for row in cli.history("-namespace", "acme")] == ["apply"] and cli.history() == []
    cli.ok("rollback", "-namespace", "acme", "mine")
    assert not cli.variables("policies/", "acme")


class Between:
    """Somebody else writes just before a variable is changed whose path holds a part, n times."""

    def __init__(self, nomad, part, write, times):
        self.change, self.part, self.write, self.left = nomad.change, part, write, times
        nomad.change = self

    def __call__(self, verb, path, text):
        if self.part in path and self.left:
            self.left -= 1
            self.write()
        return self.change(verb, path, text)


def test_somebody_else_is_first(cli):
    """To the document: nothing is written, and no history says so. To the log alone: it is read again."""
    file = cli.file("deny", DENY)
    cli.ok("apply", file)
    cli.file("deny", dict(DENY, audit=True))
    was = cli.history("deny")
    Between(cli.nomad, "policies/operator/deny", lambda: cli.nomad.put_document("operator/deny", OPEN | {"tier": "operator"}), 1)
    cli.refused("somebody changed it meanwhile, nothing is written", "apply", file)
    assert cli.history("deny") == was
    path = "history/operator/log/deny"

    def touch():
        cli.nomad.set_variable(path, cli.variables()[path])

    Between(cli.nomad, path, touch, 2)
    cli.ok("apply", file)
    assert [row[0] for row in cli.history("deny")] == ["apply", "found", "apply"]
    cli.file("deny", DENY)
    Between(cli.nomad, path, touch, 99)
    said = cli("apply", file)
    assert said.returncode == 0 and "deny: changed" in said.stdout and "it is written, and its history lacks it" in said.stderr, said
    Between(cli.nomad, path, touch, 0)
    assert json.loads(cli.ok("show", "deny")) == DENY


def test_a_token_that_may_not(cli):
    """Neither is written: its text comes first."""
    cli.nomad.unwritable.add("default")
    cli.refused("examples/acl", "apply", cli.file("deny", DENY))
    assert not cli.variables()
