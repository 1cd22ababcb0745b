# SPDX-License-Identifier: Apache-2.0
"""`picket policy history|rollback` and `delete -history`: the history of documents in Consul, and what is made of one that can't be read."""
import json

import pytest
from fake.consul import PREFIX, ROOT
from test_policy_consul import DENY, OPEN, Cli

HISTORY = ROOT + "history/"


@pytest.fixture
def cli(node, consul):
    return Cli(node, consul)


def revisions(cli, *words):
    return json.loads(cli.ok("history", *words, "-json"))


def test_history_and_the_way_back(cli):
    cli.consul.token = {"AccessorID": "42252a85-8582", "SecretID": "never", "Description": "acme's deployer"}
    texts = [json.dumps(dict(OPEN, rules=[dict(OPEN["rules"][0], description=f"text {n}")])) for n in range(3)]
    mine = ("-namespace", "acme")
    for text in texts:
        cli.ok("apply", "-consul", *mine, cli.file("db", text))
    rows = revisions(cli, *mine, "db")
    assert [(r["verb"], r["by"], r["accessor"]) for r in rows] == [("apply", "acme's deployer", "42252a85-8582")] * 3
    assert rows[2]["from"] is None and [r["from"] for r in rows[:2]] == [r["to"] for r in rows[1:]]
    now, = json.loads(cli.ok("list", "-consul", *mine, "-json"))
    assert rows[0]["to"].startswith(now["sha"]) and all(r["time"].endswith("Z") for r in rows)
    assert "never" not in json.dumps(cli.consul.keys)
    key = "tenants/acme/db"
    assert "db: changed" in cli.ok("rollback", *mine, "db") and cli.keys()[key] == texts[1]
    cli.ok("rollback", *mine, "db")
    assert cli.keys()[key] == texts[2], "the last change was the way back"
    cli.ok("rollback", *mine, "consul/tenant/acme/db", "-to", rows[2]["to"][:8])
    assert cli.keys()[key] == texts[0]
    assert [r["verb"] for r in revisions(cli, *mine, "db")] == ["rollback"] * 3 + ["apply"] * 3
    cli.ok("delete", "-consul", *mine, "db")
    assert "db: created" in cli.ok("rollback", *mine, "db") and cli.keys()[key] == texts[0], "a deletion, taken back"
    cli.ok("apply", "-consul", *mine, cli.file("new", texts[0]))
    assert "new: deleted" in cli.ok("rollback", *mine, "new"), "before it was made there was none"
    assert {r["name"] for r in revisions(cli, *mine)} == {"db", "new"} and revisions(cli) == []
    cli.refused("has no one text", "rollback", *mine, "db", "-to", "ffffffff")
    cli.refused("fewer than 4 digits", "rollback", *mine, "db", "-to", "abc")
    cli.refused("has no one text", "rollback", *mine, "never")
    assert cli("history", *mine, "never").returncode == 1


def test_history_is_written_with_the_document_or_neither_is(cli):
    file, log = cli.file("deny", DENY), HISTORY + "operator/log/deny"
    cli.ok("apply", "-consul", file)
    verbs = dict((k, v) for v, k in cli.consul.transactions[-1])
    assert verbs == {PREFIX + "operator/deny": "cas", log: "cas"}, "one transaction"
    before = dict(cli.consul.keys)
    cli.file("deny", dict(DENY, audit=True))
    cli.consul.writers = (PREFIX, HISTORY + "operator/text/")
    cli.refused("Permission denied", "apply", "-consul", file)
    assert {k: v for k, v in cli.consul.keys.items() if "/text/" not in k} == \
        {k: v for k, v in before.items() if "/text/" not in k}
    cli.consul.writers = (PREFIX, HISTORY)
    # Somebody else's revision comes between: the document is as it was, and still nothing is written.
    cli.consul.meanwhile = lambda: cli.consul.touched.update({log: cli.consul.index + 1})
    cli.refused("somebody changed it meanwhile", "apply", "-consul", file)
    assert cli.keys()["operator/deny"] == before[PREFIX + "operator/deny"]
    cli.ok("apply", "-consul", file)
    text = next(k for k in cli.consul.keys if "/text/deny/" in k)
    cli.consul.keys[log] = json.dumps({"version": 1, "revisions": [{"verb": "apply", "from": text.split("/")[-1], "to": "0" * 32}]})
    cli.consul.keys[text] = json.dumps(OPEN)
    cli.refused("has no one text", "rollback", "deny", "-to", text.split("/")[-1])


LOG, TEXTS = HISTORY + "operator/log/deny", HISTORY + "operator/text/deny/"


@pytest.mark.parametrize("broken", ["{", "", "\x00\xff", "[]", '{"version": 1}', '{"revisions": []}', '{"version": 1, "revisions": [}',
                                    '{"version": 1, "revisions": "x"}', '{"version": 1, "revisions": {"a": {}}}'])
def test_a_history_that_nobody_can_read_is_in_no_changes_way(cli, broken):
    """The change is made; a new history begins beside the text of the old one, which stays as long as a revision would."""
    file = cli.file("deny", DENY)
    cli.ok("apply", "-consul", file)
    first = json.loads(cli.consul.keys[LOG])["revisions"][0]["to"]
    cli.consul.keys[LOG] = broken
    cli.ok("apply", "-consul", cli.file("other", OPEN | {"tier": "operator"}))
    done = cli("history")
    assert done.returncode == 3 and "other" in done.stdout and LOG in done.stderr and "keeps that text beside a new" in done.stderr, done
    for words in ("history", "deny"), ("rollback", "deny"):
        assert LOG in cli.refused("fix: the next change keeps that text beside a new history; picket policy delete -consul -history NAME", *words)
    assert cli.consul.keys[LOG] == broken, "who asks changes nothing"
    done = cli("apply", "-consul", cli.file("deny", dict(DENY, audit=True)))
    assert done.returncode == 0 and "deny: changed" in done.stdout and "its history begins anew" in done.stderr, done
    log = json.loads(cli.consul.keys[LOG])["revisions"]
    assert [r["verb"] for r in log] == ["apply", "found", "unreadable"] and log[1]["to"] == first
    assert ("log" in log[2]) == bool(broken), "an empty log has no text to keep"
    kept = TEXTS + log[2].get("log", "")
    assert cli.consul.keys.get(kept) == (broken or None) and (not broken or kept in done.stderr), done
    assert "unreadable" in cli.ok("history", "deny")
    cli.ok("rollback", "deny")
    assert json.loads(cli.keys()["operator/deny"]) == DENY and bool(broken) == (kept in cli.consul.keys), "the next change leaves it"
    for n in range(18):
        cli.ok("apply", "-consul", cli.file("deny", dict(DENY, rules=(n + 1) * DENY["rules"], audit=bool(n % 2))))
    assert kept not in cli.consul.keys and len(revisions(cli, "deny")) == 20


def test_what_histories_that_nobody_can_read_leave_of_an_answer(cli):
    """Some: the others are shown (3). All: there is no answer (2), and none that there is nothing. -q prints neither."""
    for name in ("deny", "other"):
        cli.ok("apply", "-consul", cli.file(name, DENY))
    cli.consul.keys[LOG] = "{"
    done, quiet = cli("history"), cli("history", "-q")
    assert done.returncode == quiet.returncode == 3 and "other" in done.stdout and LOG in done.stderr
    assert not quiet.stdout and not quiet.stderr
    cli.consul.keys[HISTORY + "operator/log/other"] = "{"
    done, quiet = cli("history"), cli("history", "-q")
    assert done.returncode == quiet.returncode == 2 and not done.stdout and "nothing to show" not in done.stderr
    assert done.stderr.count("picket policy history: ") == 2 and not quiet.stdout and not quiet.stderr
    for name in ("deny", "other"):
        cli.ok("delete", "-consul", "-history", name)
    assert (cli("history").returncode, cli("history").stderr, cli("history", "-q").returncode) == (0, "nothing to show\n", 1)


def texts_of(cli):
    return {k: v for k, v in cli.consul.keys.items() if k.startswith(TEXTS)}


@pytest.mark.parametrize("broken", ["a byte", ""])
def test_a_damaged_history_loses_no_older_text(cli, broken):
    """Nobody knows which texts it named: they stay for as long as the row that stands for it, and go with that row."""
    for n in range(5):
        cli.ok("apply", "-consul", cli.file("deny", dict(DENY, rules=(n + 1) * DENY["rules"])))
    before = texts_of(cli)
    assert len(before) == 5
    cli.consul.keys[LOG] = cli.consul.keys[LOG].replace("revisions", "revisionz", 1) if broken else ""
    for n in range(17):
        cli.ok("apply", "-consul", cli.file("deny", dict(DENY, rules=(n + 6) * DENY["rules"])))
        assert before.items() <= texts_of(cli).items(), n
    assert any(r["verb"] == "unreadable" for r in revisions(cli, "deny"))
    cli.ok("apply", "-consul", cli.file("deny", dict(DENY, audit=True)))
    cli.ok("apply", "-consul", cli.file("deny", DENY))
    rows = revisions(cli, "deny")
    assert {k.removeprefix(TEXTS) for k in texts_of(cli)} == {d for r in rows for d in (r["from"], r["to"]) if d}, "the row went, and they"


def test_a_log_that_is_deleted_alone_loses_no_older_text(cli):
    """It is as one that nobody can read. A text that a change which failed left behind is no sign of one."""
    cli.ok("apply", "-consul", cli.file("deny", DENY))
    cli.consul.keys = {key: text for key, text in cli.consul.keys.items() if key in texts_of(cli)}
    assert "anew" not in cli("apply", "-consul", cli.file("deny", DENY)).stderr
    for n in range(1, 4):
        cli.ok("apply", "-consul", cli.file("deny", dict(DENY, rules=(n + 1) * DENY["rules"])))
    before, first = texts_of(cli), revisions(cli, "deny")[-1]["to"]
    assert len(before) == 4
    del cli.consul.keys[LOG]
    done = cli("apply", "-consul", cli.file("deny", dict(DENY, audit=True)))
    assert done.returncode == 0 and f"its history begins anew: there is no {LOG}, and 3 older texts are there that no log names" in done.stderr, done
    assert before.items() <= texts_of(cli).items() and [r["verb"] for r in revisions(cli, "deny")] == ["apply", "found", "unreadable"]
    cli.ok("rollback", "deny", "-to", first)
    assert json.loads(cli.keys()["operator/deny"]) == DENY and before.items() <= texts_of(cli).items()


def test_the_way_back_to_a_text_that_is_named_needs_no_log(cli):
    for n in range(3):
        cli.ok("apply", "-consul", cli.file("deny", dict(DENY, rules=(n + 1) * DENY["rules"])))
    first = revisions(cli, "deny")[-1]["to"]
    cli.consul.keys[LOG] = "{"
    cli.refused(LOG, "rollback", "deny")
    cli.refused("has no one text", "rollback", "deny", "-to", "0123")
    done = cli("rollback", "deny", "-to", first[:8])
    assert done.returncode == 0 and "begins anew" in done.stderr and json.loads(cli.keys()["operator/deny"]) == DENY, done


def test_a_history_that_nobody_can_read_and_consul_does_not_take_again(cli):
    """In base64 it is more than a transaction holds: the document is written alone, and it says why and what to do."""
    cli.ok("apply", "-consul", cli.file("deny", DENY))
    before = texts_of(cli)
    cli.consul.keys[LOG] = big = "x" * (400 << 10)
    done = cli("apply", "-consul", cli.file("deny", dict(DENY, audit=True)))
    assert done.returncode == 0 and "its history lacks it" in done.stderr and "413" in done.stderr and f"fix: copy {LOG} elsewhere" in done.stderr, done
    assert json.loads(cli.keys()["operator/deny"])["audit"] and cli.consul.keys[LOG] == big and texts_of(cli) == before
    done = cli("delete", "-consul", "deny")
    assert done.returncode == 0 and not cli.keys() and cli.consul.keys[LOG] == big, done
    cli.consul.keys[LOG] = ""
    done = cli("apply", "-consul", cli.file("deny", DENY))
    assert "begins anew" in done.stderr and before.items() <= texts_of(cli).items(), "as the fix says"


def test_a_history_longer_than_is_read_stays_as_it_is(cli):
    """Consul's own limit can be set higher than ours: what isn't read whole isn't written over."""
    cli.ok("apply", "-consul", cli.file("deny", DENY))
    cli.consul.keys[LOG] = big = "x" * (3 << 19)
    assert LOG in cli.refused("it is longer than a document may be\nfix: picket policy delete -consul -history NAME", "history", "deny")
    done = cli("apply", "-consul", cli.file("deny", dict(DENY, audit=True)))
    assert done.returncode == 0 and "its history lacks it" in done.stderr and cli.consul.keys[LOG] == big, done
    assert json.loads(cli.keys()["operator/deny"])["audit"]
    cli.ok("delete", "-consul", "-history", "deny")
    assert not cli.consul.keys


def test_a_document_goes_beside_a_history_that_nobody_can_read(cli):
    cli.ok("apply", "-consul", cli.file("deny", DENY))
    cli.consul.keys[LOG] = "{"
    done = cli("delete", "-consul", "deny")
    assert done.returncode == 0 and "begins anew" in done.stderr and not cli.keys(), done
    assert [r["verb"] for r in revisions(cli, "deny")] == ["delete", "found", "unreadable"]
    cli.consul.keys[LOG] = "{"
    cli.ok("delete", "-consul", "-history", "deny")
    assert not cli.consul.keys


def test_another_releases_history_stays_as_it_is(cli):
    file, newer = cli.file("deny", DENY), '{"version": 2, "revisions": []}'
    cli.ok("apply", "-consul", file)
    cli.consul.keys[LOG] = newer
    for words in ("history", "deny"), ("rollback", "deny"):
        assert "another version" in cli.refused("fix: use the release that wrote it", *words)
    done = cli("apply", "-consul", cli.file("deny", dict(DENY, audit=True)))
    assert done.returncode == 0 and "its history lacks it" in done.stderr and "is of another version\n" in done.stderr, done
    assert json.loads(cli.keys()["operator/deny"])["audit"] and cli.consul.keys[LOG] == newer
    assert cli("delete", "-consul", "deny").returncode == 0 and not cli.keys() and cli.consul.keys[LOG] == newer


def test_what_was_written_without_picket_is_a_revision_too(cli):
    file = cli.file("deny", DENY)
    cli.ok("apply", "-consul", file)
    cli.consul.put("operator/deny", OPEN)
    cli.ok("rollback", "deny")
    assert json.loads(cli.keys()["operator/deny"]) == DENY
    rows = revisions(cli, "deny")
    assert [(r["verb"], r["by"], r["time"] is None) for r in rows[1:2]] == [("found", None, True)]
    assert [r["verb"] for r in rows] == ["rollback", "found", "apply"]
    cli.ok("rollback", "deny")
    assert json.loads(cli.keys()["operator/deny"]) == OPEN, "its text was kept"
    cli.consul.put("operator/theirs", DENY)
    cli.ok("delete", "-consul", "theirs")
    cli.ok("rollback", "theirs")
    assert json.loads(cli.keys()["operator/theirs"]) == DENY


def test_without_acls_who_it_was_is_a_claim(cli):
    for acls, known in ((False, True), (True, False)):
        cli.consul.acls, cli.consul.token_known = acls, known or not acls
        done = cli("apply", "-consul", cli.file("deny", dict(DENY, audit=acls)))
        if known:
            assert done.returncode == 0, done
            assert revisions(cli, "deny")[0]["accessor"] is None
            assert "(claimed)" in cli.ok("history", "deny") and "@" in revisions(cli, "deny")[0]["by"]
        else:
            assert "ACL not found" in done.stderr


def test_a_first_change_that_is_not_made_leaves_nothing(cli):
    """Its text would look like one of a history that somebody deleted."""
    file = cli.file("deny", DENY)
    cli.consul.meanwhile = lambda: cli.consul.put("operator/deny", OPEN)
    cli.refused("somebody changed it meanwhile", "apply", "-consul", file)
    assert not [k for k in cli.consul.keys if k.startswith(HISTORY)]
    cli.consul.remove("operator/deny")
    cli.consul.writers = (HISTORY,)
    cli.refused("Permission denied", "apply", "-consul", file)
    assert not cli.consul.keys and cli("history", "deny").returncode == 1
    cli.consul.writers = (PREFIX, HISTORY)
    cli.file("deny", dict(DENY, audit=True))
    done = cli("apply", "-consul", file)
    assert (done.returncode, done.stderr) == (0, "") and [r["verb"] for r in revisions(cli, "deny")] == ["apply"]


def test_a_first_change_that_is_not_made_takes_no_text_of_anothers(cli):
    """Somebody else's first change, made meanwhile, has the same text."""
    file = cli.file("deny", DENY)
    cli.ok("apply", "-consul", file)
    made = dict(cli.consul.keys)
    cli.ok("delete", "-consul", "-history", "deny")

    def made_again():
        cli.consul.bump()
        cli.consul.keys.update(made)
        cli.consul.touched.update(dict.fromkeys(made, cli.consul.index))

    cli.consul.meanwhile = made_again
    cli.refused("somebody changed it meanwhile", "apply", "-consul", file)
    assert cli.consul.keys == made and len(made) == 3


def test_history_has_an_end(cli):
    """20 revisions and their texts; the rest goes with the change that made it too much."""
    for n in range(23):
        cli.ok("apply", "-consul", cli.file("deny", dict(DENY, rules=[dict(DENY["rules"][0], description=str(n))])))
    rows = revisions(cli, "deny")
    texts = {k.split("/")[-1] for k in cli.consul.keys if k.startswith(HISTORY + "operator/text/deny/")}
    assert len(rows) == 20 and texts == {d for r in rows for d in (r["from"], r["to"])}
    cli.ok("rollback", "deny", "-to", rows[19]["from"])
    assert '"3"' not in cli.keys()["operator/deny"] and '"2"' in cli.keys()["operator/deny"]


def test_a_history_can_be_forgotten(cli):
    """With its document, or later; what is not of it stays."""
    for name in ("deny", "deny2"):
        for audit in (True, False):
            cli.ok("apply", "-consul", cli.file(name, dict(DENY, audit=audit)))
    others = {k for k in cli.consul.keys if "deny2" in k}
    cli.refused("say -consul", "delete", "-history", "deny")
    assert "deny: deleted with its history" in cli.ok("delete", "-consul", "-history", "deny")
    assert set(cli.consul.keys) == others and len(cli.consul.transactions[-1]) == 4, "all in one transaction"
    cli.refused('no document "deny"', "delete", "-consul", "-history", "deny", status=1)
    cli.ok("delete", "-consul", "deny2")
    assert len(cli.consul.keys) == 3, "log and two texts of what is gone"
    assert not cli("delete", "-consul", "-history", "deny2").stderr
    assert not cli.consul.keys
    # More texts than one transaction takes, none of which its log names.
    cli.ok("apply", "-consul", cli.file("deny", DENY))
    cli.consul.keys |= {f"{HISTORY}operator/text/deny/{n:032x}": "{}" for n in range(150)}
    cli.ok("delete", "-consul", "-history", "deny")
    assert not cli.consul.keys


def test_a_history_that_somebody_changes_meanwhile_stays(cli):
    file = cli.file("deny", DENY)
    cli.ok("apply", "-consul", file)
    before = dict(cli.consul.keys)
    cli.consul.meanwhile = lambda: cli.consul.put("operator/deny", OPEN)
    cli.refused("somebody changed it meanwhile", "delete", "-consul", "-history", "deny")
    assert set(cli.consul.keys) == set(before)
