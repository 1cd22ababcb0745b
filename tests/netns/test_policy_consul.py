# SPDX-License-Identifier: Apache-2.0
"""`picket policy apply|delete|list|show -consul`: documents into Consul by compare-and-set."""
import json
import os

import pytest
from fake.consul import PREFIX, ROOT
from harness.shell import run, wait_for

HISTORY = ROOT + "history/"
DENY = {"tier": "operator", "rules": [{"endpointSelector": {}, "egressDeny": [{"toCIDR": ["192.0.2.0/24"]}]}]}
OPEN = {"rules": [{"endpointSelector": {}, "ingress": [{}]}]}


class Cli:
    """Runs beside a fake Consul, writes its documents into files."""

    def __init__(self, node, consul):
        self.node, self.consul = node, consul
        self.folder = os.path.join(node.root, "docs")
        os.makedirs(self.folder)

    def file(self, name, document):
        path = os.path.join(self.folder, name + ".json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(document if isinstance(document, str) else json.dumps(document))
        return path

    def __call__(self, *words, **env):
        env = {"CONSUL_HTTP_ADDR": self.consul.address.removeprefix("http://"), **env}
        return self.node.picket("policy", *words, check=False, env={"PATH": os.environ["PATH"], **env})

    def ok(self, *words, **env):
        done = self(*words, **env)
        assert done.returncode == 0, done
        return done.stdout

    def refused(self, part, *words, status=2, **env):
        done = self(*words, **env)
        assert done.returncode == status and part in done.stderr, done
        return done.stderr

    def keys(self):
        """Of policies: what stands below their prefix."""
        return {k[len(PREFIX):]: v for k, v in self.consul.keys.items() if k.startswith(PREFIX)}


@pytest.fixture
def cli(node, consul):
    return Cli(node, consul)


def test_a_document_comes_changes_and_goes(cli):
    file = cli.file("deny", DENY)
    assert cli.ok("apply", "-consul", file) == f"deny: created (consul:{PREFIX}operator/deny)\n"
    assert json.loads(cli.keys()["operator/deny"]) == DENY
    assert "deny: unchanged" in cli.ok("apply", "-consul", file)
    assert len(cli.consul.transactions) == 2, "what is there already is not written"
    cli.file("deny", dict(DENY, audit=True))
    assert "deny: changed" in cli.ok("apply", "-consul", file)
    row, = json.loads(cli.ok("list", "-consul", "-json"))
    assert (row["name"], row["source"], row["state"], row["rules"]) == ("deny", "consul/operator", "audit", 1)
    assert row["index"] == cli.consul.touched[PREFIX + "operator/deny"] and len(row["sha"]) == 12
    assert cli.ok("show", "-consul", "deny") == cli.keys()["operator/deny"]
    assert "deny: deleted" in cli.ok("delete", "-consul", "consul/operator/deny")
    assert not cli.keys()
    cli.refused('no document "deny"', "delete", "-consul", "deny", status=1)
    cli.refused('no document "deny"', "show", "-consul", "deny", status=1)


def test_nodes_that_read_it_enforce_it(node, consul, cli):
    """The same keys that picketd reads, the operator's and a tenant's."""
    node.start_picketd({"nomad": None, "consul": {"address": consul.address}})
    node.add("acme", "api", "web")
    cli.ok("apply", "-consul", cli.file("deny", DENY))
    cli.ok("apply", "-consul", "-namespace", "acme", cli.file("mine", OPEN))
    wait_for(lambda: {(p["source"], p["name"], p["enforced"]) for p in node.api("/v1/policies")["policies"]} ==
             {("consul/operator", "deny", "yes"), ("consul/tenant/acme", "mine", "yes")}, "both in force", 30)
    live = {p["name"]: p["sha"] for p in node.api("/v1/policies")["policies"]}
    row, = json.loads(cli.ok("list", "-consul", "-namespace", "acme", "-json"))
    assert row["sha"] == live["mine"], "one digest everywhere"
    cli.ok("delete", "-consul", "-namespace", "acme", "mine")
    wait_for(lambda: [p["name"] for p in node.api("/v1/policies")["policies"] if p["state"] != "deleted"] == ["deny"],
             "what is deleted is out of force", 30)


def test_a_change_by_somebody_else_is_not_written_over(cli):
    file, key = cli.file("deny", DENY), "operator/deny"
    cli.consul.meanwhile = lambda: cli.consul.put(key, OPEN)
    said = cli.refused("somebody changed it meanwhile, nothing is written", "apply", "-consul", file)
    assert "fix: look at what is there now" in said
    assert json.loads(cli.keys()[key]) == OPEN
    cli.consul.meanwhile = lambda: cli.consul.put(key, dict(OPEN, audit=True))
    cli.refused("somebody changed it meanwhile", "delete", "-consul", "deny")
    assert json.loads(cli.keys()[key]) == dict(OPEN, audit=True)
    cli.consul.meanwhile = lambda: cli.consul.remove(key)
    cli.refused("somebody changed it meanwhile", "apply", "-consul", file)
    assert not cli.keys()


def test_what_a_node_would_refuse_is_not_written(cli):
    wrong = cli.file("wrong", {"rules": [{"endpointSelector": {}, "ingres": [{}]}]})
    said = cli.refused('did you mean "ingress"?', "apply", "-consul", cli.file("good", OPEN), wrong)
    assert "wrong.json:1:" in said
    cli.refused("toFQDNs can't be in force", "apply", "-consul",
                cli.file("names", {"rules": [{"endpointSelector": {}, "egress": [{"toFQDNs": [{"matchName": "a.b"}]}]}]}))
    other = cli.file("other", dict(OPEN, namespace="other"))
    assert "other" in cli.refused("namespace", "apply", "-consul", "-namespace", "acme", other)
    cli.refused("no namespace of Nomad", "apply", "-consul", "-namespace", "a/b", wrong)
    assert not cli.consul.requests, "all of it is known before Consul is asked"
    assert not cli.keys()


def test_what_is_too_much(cli):
    many = [{"endpointSelector": {}, "ingress": [{"fromCIDR": ["192.0.2.1/32"]}]}]
    cli.refused("Consul takes 385024", "apply", "-consul", cli.file("long", json.dumps(OPEN) + " " * 385024))
    cli.refused("nodes take 256 of 262144", "apply", "-consul", "-namespace", "acme",
                cli.file("wide", json.dumps(OPEN) + " " * 262144))
    cli.refused("nodes take 2048", "apply", "-consul", "-namespace", "acme", cli.file("rules", {"rules": many * 2049}))
    assert not cli.consul.transactions
    # What is at the edge fits, and Consul's own limit on a transaction holds it.
    cli.ok("apply", "-consul", cli.file("edge", json.dumps(OPEN).ljust(385024)))
    with cli.consul.changed:
        for n in range(256):
            cli.consul.keys[f"{PREFIX}tenants/acme/d{n}"] = json.dumps(OPEN)
    cli.refused("257 documents", "apply", "-consul", "-namespace", "acme", cli.file("more", OPEN))
    cli.ok("apply", "-consul", "-namespace", "acme", cli.file("d7", dict(OPEN, audit=True)))
    cli.ok("delete", "-consul", "-namespace", "acme", "d8")
    cli.ok("apply", "-consul", "-namespace", "acme", cli.file("more", OPEN))


def test_names_and_keys(cli):
    """As in a directory: a document is found by its name, whatever its key is called."""
    cli.consul.put("operator/old-key", dict(DENY, name="deny"))
    assert "operator/old-key" in cli.ok("apply", "-consul", cli.file("deny", dict(DENY, name="deny", audit=True)))
    assert list(cli.keys()) == ["operator/old-key"]
    cli.refused('write "name": "deny" into it', "apply", "-consul", cli.file("deny", DENY))
    cli.refused('holds the document "deny"', "apply", "-consul", cli.file("old-key", DENY))
    cli.consul.put("operator/bad", "{")
    assert "changed" in cli.ok("apply", "-consul", cli.file("bad", DENY)), "what is refused is replaced"
    cli.consul.put("operator/bad", "{")
    row, = json.loads(cli.ok("list", "-consul", "-refused", "-json"))
    assert (row["name"], row["state"]) == ("bad", "refused")
    cli.ok("delete", "-consul", "bad")
    cli.consul.put("operator/.generation", "1")
    cli.refused("no name of a document", "delete", "-consul", ".generation")
    cli.refused("no name of a document", "delete", "-consul", "consul/tenant/acme/deny")
    assert set(cli.keys()) == {"operator/old-key", "operator/.generation"}


def test_what_consul_refuses(cli):
    file = cli.file("deny", DENY)
    cli.consul.writers = (PREFIX + "tenants/acme/", HISTORY)
    said = cli.refused("Permission denied", "apply", "-consul", file)
    assert f'fix: give the token key_prefix "{PREFIX}operator/deny"' in said
    cli.ok("apply", "-consul", "-namespace", "acme", cli.file("mine", OPEN))
    cli.consul.token_known = False
    cli.refused("ACL not found", "apply", "-consul", file)
    cli.consul.token_known = True
    cli.consul.set_mode(403)
    assert "CONSUL_HTTP_TOKEN" in cli.refused("status 403", "apply", "-consul", file)
    cli.consul.set_mode(500)
    cli.refused("status 500", "apply", "-consul", file)
    cli.consul.set_mode("ok")
    cli.consul.leader = False
    cli.refused("no leader", "apply", "-consul", file)
    cli.consul.leader, cli.consul.indexes = True, False
    cli.refused("not Consul's KV", "apply", "-consul", file)
    assert list(cli.keys()) == ["tenants/acme/mine"]
    port = cli.consul.server.server_port
    cli.consul.stop()
    assert f"127.0.0.1:{port}" not in cli.keys() and "CONSUL_HTTP_ADDR" in cli.refused("Consul: ", "list", "-consul")


def test_a_write_whose_answer_is_lost(cli):
    """Neither yes nor no; said again it does no harm."""
    file = cli.file("deny", DENY)
    cli.consul.loses_answer = True
    said = cli.refused("whether it is written is not known", "apply", "-consul", file)
    assert "fix: apply again" in said and "operator/deny" in cli.keys()
    cli.consul.set_mode("ok")
    assert "unchanged" in cli.ok("apply", "-consul", file)


def test_some_are_written_then_one_is_not(cli):
    files = [cli.file(name, DENY) for name in ("one", "two", "three")]
    cli.consul.writers = (PREFIX + "operator/one", PREFIX + "operator/three", HISTORY)
    done = cli("apply", "-consul", *files)
    assert done.returncode == 3 and "one: created" in done.stdout and "Permission denied" in done.stderr
    assert set(cli.keys()) == {"operator/one"}
    cli.consul.writers = (PREFIX, HISTORY)
    assert cli.ok("apply", "-consul", *files).count("created") == 2
    cli.consul.writers = (PREFIX + "operator/one", HISTORY)
    done = cli("delete", "-consul", "one", "two")
    assert done.returncode == 3 and "one: deleted" in done.stdout


def test_many_that_go_at_once_are_held_by_nodes_and_it_says_so(cli):
    for name in ("a", "b", "c", "d", "e"):
        cli.consul.put("operator/" + name, DENY)
    assert not cli("delete", "-consul", "a").stderr
    done = cli("delete", "-consul", "b", "c", "d")
    assert done.returncode == 0 and "fix: picket policy release consul/operator" in done.stderr, done
    assert not cli("delete", "-consul", "e").stderr, "the last one alone is gone at once"


def test_a_consul_that_lost_its_data_is_written_anew(cli):
    file = cli.file("deny", DENY)
    cli.ok("apply", "-consul", file)
    cli.consul.restore()
    assert json.loads(cli.ok("list", "-consul", "-json")) == []
    assert "created" in cli.ok("apply", "-consul", file)


def test_where_its_keys_are(cli):
    """picketd.json's words, else options, else the defaults; and Consul's own variables."""
    file = cli.file("deny", DENY)
    cli.consul.writers = ("",)
    cli.ok("apply", "-consul", "-prefix", "net/fence", "-cluster", "east", file)
    assert "net/fence/v1/east/policies/operator/deny" in cli.consul.keys
    cli.node.write_config({"cluster": "west", "consul": {"prefix": "fence"}})
    cli.ok("apply", "-consul", file)
    assert "fence/v1/west/policies/operator/deny" in cli.consul.keys
    cli.refused('prefix "/x"', "apply", "-consul", "-prefix", "/x", file)
    cli.refused("no address", "list", "-consul", CONSUL_HTTP_ADDR="http://a:b@c")
    cli.refused("no absolute path", "list", "-consul", CONSUL_CACERT="ca.pem")
    cli.refused("CONSUL_CLIENT_KEY", "list", "-consul", CONSUL_CLIENT_CERT="/c.pem")
    cli.refused("/nowhere: No such file", "list", "-consul", CONSUL_HTTP_TOKEN_FILE="/nowhere")
    for words in (("apply", "-namespace", "acme", file), ("apply", "-consul", "-dir", "/x", file), ("list", "-cluster", "x"),
                  ("show", "-prefix", "x", "deny"), ("delete", "a", "b")):
        assert cli(*words).returncode == 2, words


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


def test_what_a_token_may_not_read_is_said(cli):
    """Consul answers as for a prefix without keys."""
    for name in ("deny", "other"):
        cli.ok("apply", "-consul", cli.file(name, DENY))
    token = {"CONSUL_HTTP_TOKEN": "a-tenants"}
    for denies in (True, False):
        cli.consul.denies, cli.consul.unseen = denies, "operator/"
        for words in (("list", "-consul"), ("show", "-consul", "deny"), ("delete", "-consul", "deny")):
            said = cli.refused(f"hides keys below {PREFIX}operator/", *words, **token)
            assert f'fix: give it key_prefix "{PREFIX}operator/" {{ policy = "read" }}' in said
        for words in (("history",), ("history", "deny")):
            cli.refused(f"hides keys below {HISTORY}operator/log/", *words, **token)
        cli.consul.unseen = "operator/other"
        done = cli("list", "-consul", "-json", **token)
        assert done.returncode == 0 and "hides keys" in done.stderr and len(json.loads(done.stdout)) == 1, done
        cli.consul.unseen = ""
        assert not cli("list", "-consul", **token).stderr and not cli("history", **token).stderr
        cli.refused('no document "none"', "show", "-consul", "none", status=1, **token)


def test_without_a_token_consul_does_not_say_what_it_hides(cli):
    cli.consul.denies = True
    done = cli("list", "-consul", "-json")
    assert done.returncode == 0 and json.loads(done.stdout) == [] and "fix: set CONSUL_HTTP_TOKEN" in done.stderr, done
    done = cli("show", "-consul", "none")
    assert done.returncode == 1 and "asked without a token" in done.stderr and "no document" in done.stderr, done
    cli.consul.put("operator/deny", DENY)
    assert not cli("list", "-consul").stderr, "what is shown may be read"
    cli.consul.denies = False
    cli.consul.keys.clear()
    assert cli("list", "-consul").stderr == "nothing to show\n"


def test_without_libcurl(cli):
    """It is loaded when it is needed: all else works without."""
    hide = ["unshare", "-m", "sh", "-c", 'for f; do mount --bind /dev/null "$f" || exit 99; done; exec "$0" policy list -consul']
    found = run(["sh", "-c", "ls /usr/lib/*/libcurl.so.4"]).stdout.split()
    done = cli.node.run([*hide, cli.node.program("picket"), *{os.path.realpath(f) for f in found}], check=False)
    assert done.returncode == 2 and "fix: install libcurl" in done.stderr, done
