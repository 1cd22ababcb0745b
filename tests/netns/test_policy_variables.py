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
    cli.refused('no document "deny"', "delete", "deny", status=1)
    cli.refused('no document "deny"', "show", "deny", status=1)


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


def test_a_first_change_that_another_made(cli):
    """The texts stay: the other's log comes after the document, and may name the very same."""
    Between(cli.nomad, "policies/operator/deny", lambda: cli.nomad.put_document("operator/deny", OPEN | {"tier": "operator"}), 1)
    cli.refused("somebody changed it meanwhile, nothing is written", "apply", cli.file("deny", DENY))
    kept = [path for path in cli.variables() if path.startswith("history/")]
    assert kept and all(path.startswith("history/operator/text/") for path in kept), kept


def test_a_token_that_may_not(cli):
    """Neither the document nor its history: the document's own end is what is said."""
    cli.nomad.unwritable.add("default")
    cli.refused("examples/acl", "apply", cli.file("deny", DENY))
    assert not cli.variables()


class Answers:
    """Nomad's word on writes of variables whose path holds a part: that status; with made the change is made all the same."""

    def __init__(self, nomad, part, status, made=False):
        self.change, self.part, self.status, self.made = nomad.change, part, status, made
        nomad.change = self

    def __call__(self, verb, path, text):
        if self.part not in path:
            return self.change(verb, path, text)
        if self.made:
            self.change(verb, path, text)
        return self.status, "Permission denied"


LACKS, MAY_LACK = "it is written, and its history lacks it", "it is written, and its history may lack it"


def made_all_the_same(cli, said, *words):
    done = cli(*words)
    assert done.returncode == 0 and said in done.stderr, done
    return done


@pytest.mark.parametrize("name, namespace", [("a" * 68, ()), ("a" * 80, ()), ("a" * 92, ()), ("x.y" + "b" * 63, ()), ("a" * 64, ("-namespace", "acme"))])
def test_a_name_too_long_for_a_history(cli, name, namespace):
    """Its document comes, changes, and above all goes: with a way to mend it said, without a history."""
    document = dict(DENY if not namespace else OPEN, name=name)
    file = cli.file("long", document)
    where = "acme" if namespace else "default"
    for what, change in ("created", document), ("changed", dict(document, audit=True)):
        cli.file("long", change)
        done = made_all_the_same(cli, LACKS, "apply", *namespace, file)
        assert f"{name}: {what}" in done.stdout and "Nomad takes 128" in done.stderr and "fix: shorten the names" in done.stderr, done
    cli.refused("has no one text", "rollback", *namespace, name)
    assert f"{name} has no history: the path of " in cli.refused("fix: shorten the names", "history", *namespace, name, status=1)
    assert cli("history", "-q", *namespace, name).stderr == "" and "[]" in cli.ok("history", "-json", *namespace)
    assert f"{name}: deleted" in made_all_the_same(cli, LACKS, "delete", *namespace, name).stdout
    assert not cli.variables(namespace=where)
    cli("apply", *namespace, file)
    assert "deleted with its history" in cli.ok("delete", "-history", *namespace, name)
    assert not cli.variables(namespace=where)


def test_the_longest_name_that_has_a_history(cli):
    name = "a" * 67
    file = cli.file("long", dict(DENY, name=name))
    cli.ok("apply", file)
    assert [row[0] for row in cli.history(name)] == ["apply"]
    cli.ok("delete", name)
    cli.ok("rollback", name)
    assert f"policies/operator/{name}" in cli.variables()


@pytest.mark.parametrize("broken", ["{", "[]", '{"version": 2, "revisions": []}'])
def test_a_history_that_cannot_be_read_is_in_no_changes_way(cli, broken):
    """One that nobody can read begins anew beside its text; another release's stays."""
    path, newer = "history/operator/log/deny", "2" in broken
    cli.ok("apply", cli.file("deny", DENY))
    cli.nomad.set_variable(path, {"value": broken})
    done = made_all_the_same(cli, "its history lacks it" if newer else "its history begins anew", "apply",
                             cli.file("deny", dict(DENY, audit=True)))
    assert "deny: changed" in done.stdout, done
    texts = [v["value"] for v in cli.variables("history/operator/text/").values()]
    assert (broken in texts) != newer and (cli.variables()[path]["value"] == broken) == newer
    if not newer:
        assert [row[0] for row in cli.history("deny")] == ["apply", "found", "unreadable"]
    assert "deny: deleted" in cli("delete", "deny").stdout


def test_a_token_without_rights_to_the_history(cli):
    """The document comes and goes all the same; what the history lacks the next change finds."""
    file = cli.file("deny", DENY)
    cli.ok("apply", file)
    rest, was = cli.nomad.change, cli.history("deny")
    Answers(cli.nomad, "/history/", 403)
    cli.file("deny", dict(DENY, audit=True))
    for words in ("apply", file), ("delete", "deny"):
        done = made_all_the_same(cli, LACKS, *words)
        assert "fix: set NOMAD_TOKEN" in done.stderr and "examples/acl" in done.stderr, done
    assert not cli.variables("policies/") and cli.history("deny") == was
    cli.nomad.change = rest
    cli.ok("apply", file)
    assert [row[0] for row in cli.history("deny")] == ["apply", "found", "apply"]


@pytest.mark.parametrize("made", [False, True])
def test_a_log_whose_answer_is_lost(cli, made):
    """Nobody knows then whether it was written."""
    Answers(cli.nomad, "history/operator/log/", 500, made)
    said = made_all_the_same(cli, MAY_LACK, "apply", cli.file("deny", DENY)).stderr
    assert LACKS not in said
    assert bool(cli.variables("history/operator/log/")) == made


def test_the_same_two_texts_again(cli):
    """A to B, back, and to B again, while another writes the log: the first time is not this one."""
    file = cli.file("deny", DENY)
    cli.ok("apply", file)
    cli.file("deny", dict(DENY, audit=True))
    cli.ok("apply", file)
    cli.ok("rollback", "deny")
    was = cli.history("deny")
    path = "history/operator/log/deny"
    Between(cli.nomad, path, lambda: cli.nomad.set_variable(path, cli.variables()[path]), 1)
    cli.ok("apply", file)
    assert [row[0] for row in was] == ["rollback", "apply", "apply"]
    assert cli.history("deny") == [was[1], *was]


def test_another_tells_of_this_change_first(cli):
    """Who changes the document next, before this change's log is written, finds it: it stands there once."""
    file = cli.file("deny", DENY)
    cli.ok("apply", file)
    cli.file("deny", dict(DENY, audit=True))
    cli.ok("apply", file)
    cli.ok("rollback", "deny")
    path = "history/operator/log/deny"

    def find():
        log = json.loads(cli.variables()[path]["value"])
        log["revisions"].insert(0, dict(log["revisions"][1], verb="found", time=None, by=None))
        cli.nomad.set_variable(path, {"value": json.dumps(log)})

    Between(cli.nomad, path, find, 1)
    cli.ok("apply", file)
    assert [row[0] for row in cli.history("deny")] == ["found", "rollback", "apply", "apply"]


@pytest.mark.parametrize("items, said", [({"value": '{"version": 2, "revisions": []}'}, LACKS), ({"other": "x"}, LACKS),
                                         ({"value": "{"}, "its history begins anew")])
def test_another_writes_a_log_that_nobody_reads_meanwhile(cli, items, said):
    """What is read again is judged as what was read first: another release's stays, a text that nobody can read is kept."""
    cli.ok("apply", cli.file("deny", DENY))
    path, before = "history/operator/log/deny", cli.variables("history/operator/text/")
    Between(cli.nomad, path, lambda: cli.nomad.set_variable(path, items), 1)
    done = made_all_the_same(cli, said, "apply", cli.file("deny", dict(DENY, audit=True)))
    assert "deny: changed" in done.stdout and json.loads(cli.ok("show", "deny"))["audit"], done
    texts = cli.variables("history/operator/text/")
    assert before.items() <= texts.items(), "no older text goes"
    if said == LACKS:
        assert cli.variables()[path] == items
    else:
        assert [row[0] for row in cli.history("deny")] == ["apply", "found", "unreadable"] and items in texts.values()


def test_a_log_that_is_deleted_meanwhile_loses_no_older_text(cli):
    path = "history/operator/log/deny"
    for n in range(3):
        cli.ok("apply", cli.file("deny", dict(DENY, rules=(n + 1) * DENY["rules"])))
    before = cli.variables("history/operator/text/")
    Between(cli.nomad, path, lambda: cli.nomad.set_variable(path, None), 1)
    made_all_the_same(cli, "its history begins anew", "apply", cli.file("deny", dict(DENY, audit=True)))
    assert len(before) == 3 and before.items() <= cli.variables("history/operator/text/").items()
    assert [row[0] for row in cli.history("deny")] == ["apply", "found", "unreadable"]


def test_a_log_without_its_item_stays_as_it_is(cli):
    """Somebody wrote the variable by hand: what is in it isn't known, and isn't written over."""
    path = "history/operator/log/deny"
    cli.ok("apply", cli.file("deny", DENY))
    before = cli.variables("history/operator/text/")
    cli.nomad.set_variable(path, {"document": "{}"})
    for words in ("history", "deny"), ("rollback", "deny"):
        assert path in cli.refused('its variable has no item "value"\nfix: picket policy delete -consul -history NAME (or -nomad)', *words)
    for words in ("apply", cli.file("deny", dict(DENY, audit=True))), ("delete", "deny"):
        made_all_the_same(cli, LACKS, *words)
    assert cli.variables()[path] == {"document": "{}"} and before.items() <= cli.variables("history/operator/text/").items()
    cli.ok("delete", "-history", "deny")
    assert not cli.variables()


def test_a_damaged_history_loses_no_older_text(cli):
    path = "history/operator/log/deny"
    for n in range(4):
        cli.ok("apply", cli.file("deny", dict(DENY, rules=(n + 1) * DENY["rules"])))
    before = cli.variables("history/operator/text/")
    assert len(before) == 4
    cli.nomad.set_variable(path, {"value": cli.variables()[path]["value"].replace("revisions", "revisionz", 1)})
    for audit in True, False:
        cli.ok("apply", cli.file("deny", dict(DENY, audit=audit)))
        assert before.items() <= cli.variables("history/operator/text/").items()


def test_a_deletion_with_its_history_that_ends_half_way(cli):
    """The document goes first. Where its history stays it says so (3), never that nothing is written, and once more ends it."""
    file = cli.file("deny", DENY)
    path = "history/operator/log/deny"
    rest = cli.nomad.change

    def touch():
        cli.nomad.set_variable(path, cli.variables()[path])

    for stands_in_the_way in (lambda: Between(cli.nomad, path, touch, 1), lambda: Answers(cli.nomad, "history/", 403),
                              lambda: Answers(cli.nomad, "history/operator/text/", 500)):
        cli.ok("apply", file)
        stands_in_the_way()
        said = cli.refused("the document is deleted, its history is not", "delete", "-history", "deny", status=3)
        assert "nothing is written" not in said and "fix: delete it again, with -history" in said, said
        assert not cli.variables("policies/") and cli.variables("history/")
        cli.nomad.change = rest
        assert "deleted with its history" in cli.ok("delete", "-history", "deny")
        assert not cli.variables()
    cli.ok("apply", file)
    Between(cli.nomad, "policies/operator/deny", lambda: cli.nomad.put_document("operator/deny", OPEN | {"tier": "operator"}), 1)
    cli.refused("somebody changed it meanwhile, nothing is written", "delete", "-history", "deny")
    assert cli.variables("policies/") and cli.variables("history/")


def test_a_change_reads_no_old_text(cli):
    """What texts there are is known by their keys; only a way back reads any."""
    file = cli.file("deny", DENY)
    for n in range(5):
        cli.ok("apply", cli.file("deny", dict(DENY, rules=(n + 1) * DENY["rules"])))
    cli.file("deny", DENY)
    cli.nomad.requests.clear()
    cli.ok("apply", file)
    texts = [asked for asked in cli.nomad.requests if f"/v1/var/{PLACE}history/operator/text/" in str(asked)]
    assert not texts and cli.nomad.count("history/operator/log/deny")
    cli.ok("rollback", "deny")
    assert [asked for asked in cli.nomad.requests if f"/v1/var/{PLACE}history/operator/text/" in str(asked)]


def test_who_lives_is_nomads_word_alone(cli):
    """A list of nodes without an index is another's."""
    cli.ok("apply", cli.file("deny", DENY))
    cli.nomad.set_variable("nodes/n9", {"node": "no-such-node", "value": "{}"})
    cli.nomad.indexes = False
    cli.refused("without an index", "rollout")
