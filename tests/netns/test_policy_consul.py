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
