# SPDX-License-Identifier: Apache-2.0
"""`picket policy plan` and `explain` on a real node: its connections, its tables."""
import contextlib
import json
import os
import re
import socket
import struct

import pytest
from harness import wait_for
from harness.shell import TREE

DB_FROM_BATCH = {"namespace": "acme", "rules": [{
    "description": "batch may query the database",
    "endpointSelector": {"matchLabels": {"nomad:job": "db"}},
    "ingress": [{"fromEndpoints": [{"matchLabels": {"nomad:job": "batch"}}],
                 "toPorts": [{"ports": [{"port": "5432", "protocol": "TCP"}]}]}]}]}


class Shop:
    """acme/api (two), acme/db, beta/ledger; connections from the first api to the database."""

    def __init__(self, node):
        self.node = node
        node.start_picketd()
        self.api, self.api2 = node.add("acme", "api", "web"), node.add("acme", "api", "web")
        self.db, self.other = node.add("acme", "db", "pg"), node.add("beta", "ledger", "srv")
        wait_for(lambda: len(node.api("/v1/world")["endpoints"]) == 4 and
                 node.api("/v1/status")["endpoints"]["inStep"] == 4, "four endpoints in step")

    @contextlib.contextmanager
    def connected(self, family, ports):
        """TCP connections api -> db, one to each port, open until the end."""
        kind = socket.AF_INET6 if family == 6 else socket.AF_INET
        with contextlib.ExitStack() as stack:
            for port in ports:
                with self.db.inside():
                    server = stack.enter_context(socket.socket(kind))
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    server.bind((self.db.address(family), port))
                    server.listen()
                with self.api.inside():
                    client = stack.enter_context(socket.socket(kind))
                    client.settimeout(10)
                    client.connect((self.db.address(family), port))
                stack.enter_context(server.accept()[0])
            yield

    def ask(self, *words, status=None):
        done = self.node.picket("policy", *words, "-json", check=False)
        assert status is None or done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def explain(self, source, target, port, status):
        return self.ask("explain", source, target, port, status=status)


@pytest.fixture
def shop(make_node):
    return Shop(make_node(conf={"mode": "process"}))


def write(path, document):
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def test_plan_counts_the_connections_that_it_would_cut(shop, tmp_path):
    file = write(tmp_path / "db.json", DB_FROM_BATCH)
    with shop.connected(4, [5432, 5433, 5433 + 1]), shop.connected(6, [5432]):
        plan = shop.ask("plan", file, status=1)
        cut = {(c["from"].split()[0], c["to"].split()[0], c["what"]): c["connectionsCut"]
               for c in plan["changes"] if c["connectionsCut"]}
        assert cut == {("acme/api/web", "acme/db/pg", "5432/tcp"): 2,
                       ("acme/api/web", "acme/db/pg", "other tcp ports"): 2}
        assert plan["connections"] == plan["connectionsCut"] == 4
        text = shop.node.picket("policy", "plan", file, check=False).stdout
        assert "cuts 4 live connections" in text and "4 of 4 would be cut" in text, text
        # Once it is in force nothing is left to cut, though the sockets stay open.
        shop.node.policy("db.json", DB_FROM_BATCH)
        wait_for(lambda: shop.explain("acme/api", "acme/db", "5432/tcp", None)["live"] == "deny",
                 "the policy in the tables")
        assert shop.ask("plan", str(tmp_path / "db.json"), status=0)["connectionsCut"] == 0


def test_plan_counts_inside_a_range_and_spares_what_stays(shop, tmp_path):
    ports = [{"port": "6000", "endPort": 6100, "protocol": "TCP"}]
    file = write(tmp_path / "range.json", {
        "namespace": "acme", "rules": [{
            "endpointSelector": {"matchLabels": {"nomad:job": "db"}},
            "enableDefaultDeny": {"ingress": False},
            "ingressDeny": [{"toPorts": [{"ports": ports}]}]}]})
    with shop.connected(4, [6050, 7000]):
        plan = shop.ask("plan", file, status=1)
        assert (plan["connections"], plan["connectionsCut"]) == (2, 1)
        assert [c["what"] for c in plan["changes"] if c["connectionsCut"]] == ["6000-6100/tcp"]


def test_plan_of_a_file_world_counts_no_connections(shop, tmp_path):
    world = write(tmp_path / "world.json", {"endpoints": [
        {"name": "acme/db", "labels": {"nomad:namespace": "acme", "nomad:job": "db"}, "addresses": ["10.1.0.1"]},
        {"name": "acme/api", "labels": {"nomad:namespace": "acme", "nomad:job": "api"}, "addresses": ["10.1.0.2"]}]})
    plan = shop.ask("plan", "-world", world, write(tmp_path / "db.json", DB_FROM_BATCH), status=1)
    assert plan["connectionsCut"] is None and plan["closed"] == 1


def test_plan_of_a_deletion(shop):
    shop.node.policy("db.json", DB_FROM_BATCH)
    wait_for(lambda: shop.explain("acme/api", "acme/db", "5432/tcp", None)["live"] == "deny",
             "the policy in the tables")
    for name in ("db", "file/db"):
        plan = shop.ask("plan", "-without", name, status=1)
        assert (plan["opened"], plan["closed"]) == (1, 0)
    done = shop.node.picket("policy", "plan", "-without", "nope", check=False)
    assert done.returncode == 2 and "fix: picket policy list" in done.stderr


def test_plan_as_a_tenant_of_consul_would_have_it(shop, tmp_path):
    """A bare rule is its tenant's there, the operator's in the directory."""
    rule = {"endpointSelector": {"matchLabels": {"nomad:job": "api"}}, "ingressDeny": [{"fromEntities": ["all"]}]}
    file = write(tmp_path / "bare.json", rule)
    shop.node.add("beta", "api", "web")
    shop.node.add("beta", "db", "pg")
    wait_for(lambda: len(shop.node.api("/v1/world")["endpoints"]) == 6, "six endpoints")

    def closed_to(*words):
        return {c["to"].split("/")[0] for c in shop.ask("plan", *words, file, status=1)["changes"]}
    assert closed_to() == {"acme", "beta"}
    assert closed_to("-as", "consul/tenant/beta") == {"beta"}
    own = write(tmp_path / "own.json", {"namespace": "acme", "rules": [rule]})
    done = shop.node.picket("policy", "plan", "-as", "consul/tenant/beta", own, check=False)
    assert done.returncode == 2 and "acme" in done.stderr, done.stderr


def test_explain_asks_the_live_tables(shop):
    answer = shop.explain("acme/api", "acme/db/pg", "5432/tcp", 0)
    assert answer["agree"] and answer["live"] == answer["verdict"] == "allow"
    assert shop.explain("beta", "acme/db", "5432", 1)["live"] == "deny"
    shop.node.policy("db.json", DB_FROM_BATCH)
    wait_for(lambda: shop.explain("acme/api", "acme/db", "5432/tcp", None)["live"] == "deny",
             "the policy in the tables")
    answer = shop.explain("acme/api", shop.db.address(6), "5432/tcp", 1)
    assert answer["agree"] and answer["ingress"]["rule"]["document"] == "db"
    assert answer["ingress"]["rule"]["path"].endswith("db.json") and answer["ingress"]["rule"]["line"] == 1


def test_explain_says_where_tables_and_documents_differ(shop):
    """The database is moved to the api's rule set behind picketd's back: open, against its policy."""
    shop.node.policy("db.json", DB_FROM_BATCH)
    wait_for(lambda: shop.explain("acme/api", "acme/db", "80", None)["live"] == "deny", "the policy in the tables")
    rule_set, flags, revision = shop.node.tables.word(shop.db.slot)
    other = shop.node.tables.word(shop.api.slot)[0]
    assert other != rule_set
    with shop.node.tables.map("words") as words:
        words.set(struct.pack("I", shop.db.slot), struct.pack("Q", other << 40 | flags << 32 | revision))
    answer = shop.explain("acme/api", "acme/db", "80", 2)		# not 0, not 1: it can't be told
    assert (answer["agree"], answer["verdict"], answer["live"]) == (False, "deny", "allow"), answer
    shown = shop.node.picket("policy", "explain", "acme/api", "acme/db", "80", check=False).stdout
    assert "DIFFER" in shown and "the live tables say: allow" in shown, shown


def test_explain_of_what_is_closed_in_the_tables(shop):
    """No rule says it, yet nothing passes: the documents' "allowed" is not the answer."""
    with shop.node.tables.map("words") as words:
        words.set(struct.pack("I", shop.db.slot), struct.pack("Q", 0))
    answer = shop.explain("acme/api", "acme/db", "80", 2)
    assert (answer["verdict"], answer["live"], answer["agree"]) == ("allow", "deny", False), answer
    assert "no open endpoint" in answer["liveError"]


def test_flows_say_which_document_closed(shop):
    shop.node.policy("db.json", DB_FROM_BATCH)
    wait_for(lambda: shop.explain("acme/api", "acme/db", "80", None)["live"] == "deny", "the policy in the tables")
    with shop.api.inside(), socket.socket() as client:
        client.setblocking(False)
        client.connect_ex((shop.db.address(), 80))
        wait_for(lambda: "no rule (tenant, closed by file/db)" in
                 shop.node.picket("flows", "-verdict", "denied", "-port", "80").stdout, "the denial")


@pytest.mark.parametrize("target, port, is_, status", [
    ("10.40.7.99", "80", "an unknown endpoint of the pools", 1),	# never world
    ("192.0.2.2", "80", "this node", 1), ("2001:db8::2", "80", "this node", 1),
    ("10.200.0.1", "80", "the world", 1), ("host", "icmp:8", "this node", 1)])
def test_explain_finds_out_who_is_at_an_address(shop, target, port, is_, status):
    shown = shop.node.picket("policy", "explain", "acme/api", target, port, check=False)
    assert (shown.returncode, f"{target}  {is_}" in shown.stdout) == (status, True), shown.stdout
    assert "live tables, compiled rule sets and evaluator agree" in shown.stdout


def test_explain_says_what_is_not_built(shop, tmp_path):
    """Of the live node, with a file, of a world of files: what the data path drops is never called allowed."""
    more = tmp_path / "more.json"
    more.write_text('{"namespace":"acme","rules":[{"endpointSelector":{},"ingress":[{}]}]}', encoding="utf-8")
    for options in ([], ["-with", more]):
        shown = shop.node.picket("policy", "explain", "acme/api", "world:198.51.100.9", "9/sctp", *map(str, options), check=False)
        assert shown.returncode == 1 and "dropped as no-masquerade" in shown.stdout.splitlines()[0], shown.stdout
        assert "this release has no masquerade of other protocols than TCP, UDP and ping" in shown.stdout
    for target, port in (("acme/db", "9/sctp"), ("acme/db", "icmp:13"), ("world:2001:db8::9", "9/sctp")):
        shown = shop.node.picket("policy", "explain", "acme/api", target, port, check=False)
        assert shown.returncode == 0 and "dropped" not in shown.stdout, shown.stdout
    world = tmp_path / "world.json"
    world.write_text(json.dumps({"baseline": "open", "endpoints": [
        {"name": f"x/{n}", "labels": {"nomad:namespace": "x", "nomad:job": n}, "addresses": [f"10.20.0.{i}"],
         **({"masquerade": {"ipv4": False, "ipv6": True}} if n == "own" else {})}
        for i, n in ((1, "a"), (2, "b"), (3, "own"))], "policies": [], "expect": [
            {"from": "x/a", "to": "world:198.51.100.9", "port": "9/sctp", "verdict": "allow"},
            {"from": "x/own", "to": "world:198.51.100.9", "port": "9/sctp", "verdict": "allow"},
            {"from": "x/own", "to": "world:2001:db8::9", "port": "9/sctp", "verdict": "allow"},
            {"from": "x/a", "to": "x/b", "port": "9/sctp", "verdict": "allow"},
            {"from": "x/a", "to": "x/b", "port": "9/tcp", "verdict": "allow"}]}), encoding="utf-8")
    done = shop.node.picket("policy", "test", str(world))
    assert done.returncode == 0 and done.stderr.count("dropped as no-masquerade") == 2 and "no masquerade of" in done.stderr, done.stderr


def test_explain_says_what_it_takes_for_the_world(shop):
    """A private address may be another node's, of which this node knows nothing."""
    shown = shop.node.picket("policy", "explain", "acme/api", "10.99.0.5", "443/tcp", check=False).stdout
    assert "10.99.0.5 is a private address that this node doesn't know: it counts as the world" in shown, shown
    shown = shop.node.picket("policy", "explain", "acme/api", "203.0.113.7", "443/tcp", check=False).stdout
    assert "private address" not in shown


@pytest.mark.parametrize("source, target, says", [
    ("acme", "acme/db", '"acme" may be'), ("acme/a", "acme/db", '"acme/a" is no endpoint'),
    ("host", "world:203.0.113.1", "neither side"), ("acme/api", None, "to is missing")])
def test_explain_refuses_what_it_cannot_tell(shop, source, target, says):
    done = shop.node.picket("policy", "explain", source, *([target, "80"] if target else []), check=False)
    assert done.returncode == 2 and says in done.stderr and "fix: " in done.stderr, done.stderr


def test_a_tenant_called_host_is_not_the_host(shop):
    shop.node.add("host", "a", "b")
    wait_for(lambda: len(shop.node.api("/v1/world")["endpoints"]) == 5, "its endpoint")
    assert shop.explain("host", "acme/db", "80", 1)["egress"] is None
    assert shop.explain("host/a", "acme/db", "80", 1)["egress"]["endpoint"].startswith("host/a/b ")


def test_expectations_of_the_live_node_name_its_endpoints_as_people_do(shop, tmp_path):
    file = write(tmp_path / "live.json", {"expect": [
        {"from": "acme/api", "to": "acme/db/pg", "port": "5432/tcp", "verdict": "allow"},
        {"from": "beta/ledger/srv", "to": shop.db.id[:8], "port": "5432/tcp", "verdict": "deny"}]})
    for engine in ("reference", "compiled", "kernel"):
        assert shop.node.picket("policy", "test", "-engine", engine, file).stdout == "2 expectations hold, 0 don't\n"
    file = write(tmp_path / "unclear.json", {"expect": [
        {"from": "acme", "to": "acme/db", "port": "5432/tcp", "verdict": "allow"}]})
    done = shop.node.picket("policy", "test", file, check=False)
    assert done.returncode == 2 and "may be" in done.stderr, done.stderr


def test_explain_of_a_group_takes_two_of_it(shop):
    """Two allocations of one identity: not "reaches itself"."""
    answer = shop.explain("acme/api", "acme/api/web", "80", 0)
    assert answer["egress"]["endpoint"] != answer["ingress"]["endpoint"]


def test_what_is_suggested_spares_what_is_live(shop, tmp_path):
    """From the connections of now, with nothing configured: one document, as picketd would take it."""
    assert shop.node.picket("policy", "suggest", check=False).returncode == 1
    file = tmp_path / "suggested.json"
    with shop.connected(4, [5432]), shop.connected(6, [5433]):
        done = shop.node.picket("policy", "suggest", "-namespace", "acme")
        file.write_text(done.stdout, encoding="utf-8")
        assert [(r["endpointSelector"]["matchLabels"]["nomad:job"], "ingress" in r, "egress" in r)
                for r in json.loads(done.stdout)["rules"]] == [("api", False, True), ("db", True, False)]
        assert shop.node.picket("policy", "validate", str(file)).returncode == 0
        assert shop.node.picket("policy", "fmt", "-l", str(file)).stdout == ""
        plan = shop.ask("plan", str(file), status=1)
        assert (plan["connections"], plan["connectionsCut"], plan["opened"]) == (2, 0, 0) and plan["closed"]
        again = shop.node.picket("policy", "suggest", "-dir", str(tmp_path / "out"))
        whole, lines = (shop.node.picket("policy", "suggest", "-o", form).stdout for form in ("json", "jsonl"))
        assert [json.loads(line) for line in lines.splitlines()] == json.loads(whole)
    assert again.stdout.splitlines() == [f"{tmp_path}/out/suggested-acme.json"]


def test_suggest_without_flows_says_what_to_do(shop):
    done = shop.node.picket("policy", "suggest", check=False)
    assert (done.returncode, done.stdout) == (1, "") and '"allowed": "new"' in done.stderr


def test_a_document_has_one_name_in_force_or_not(node):
    node.start_picketd()
    for document, refused in (({"nme": 1}, True), (DB_FROM_BATCH, False), ({"nme": 1}, True)):
        node.policy("db.json", document)
        wait_for(lambda: [p["state"] == "refused" for p in node.api("/v1/policies")["policies"]] == [refused],
                 "the document to be read")
        assert node.picket("policy", "list", "-o", "name").stdout.strip() == "file/db"
        assert (node.api("/v1/policies/file/db")["state"] == "refused") == refused
    assert "\n    fix: did you mean" in node.picket("policy", "list").stdout


def test_apply_says_whether_it_is_in_force(shop, tmp_path):
    file = write(tmp_path / "db.json", DB_FROM_BATCH)
    done = shop.node.picket("policy", "apply", file)
    assert done.stderr == "" and shop.node.api("/v1/policies/file/db")["text"] == json.dumps(DB_FROM_BATCH)
    # picketd refuses what no reader of one file can: the name is another file's.
    with open(f"{shop.node.root}/etc/picket/policies.d/a-namesake.json", "w", encoding="utf-8") as other:
        json.dump({**DB_FROM_BATCH, "name": "web"}, other)
    wait_for(lambda: "file/web" in shop.node.picket("policy", "list", "-o", "name").stdout, "the namesake")
    nameless = write(tmp_path / "web.json", DB_FROM_BATCH)
    done = shop.node.picket("policy", "apply", nameless, check=False)	# it would not be "web" there
    assert done.returncode == 2 and 'fix: write "name": "web" into it' in done.stderr, done.stderr
    shop.node.kill_picketd()
    done = shop.node.picket("policy", "apply", write(tmp_path / "new.json", DB_FROM_BATCH), check=False)
    assert done.returncode == 1 and "can't be asked" in done.stderr


def test_in_step_means_the_tables(shop):
    """Whenever picketd says that all run as the documents say, the tables agree with them."""
    for turn in range(12):
        document = DB_FROM_BATCH if turn % 2 == 0 else None
        shop.node.policy("db.json", document)
        wait_for(lambda: bool(shop.node.api("/v1/policies")["policies"]) == bool(document) and
                 shop.node.api("/v1/status")["endpoints"]["inStep"] == 4, "all in step", pause=0.001)
        words = [shop.node.tables.word(e.slot) for e in (shop.db, shop.api)]
        assert (words[0][0] != words[1][0]) == bool(document), (turn, words)


def shape(text):
    """What is the same in every run: not ids, numbers, paths, nor a rule's own words."""
    text = re.sub(r"\b[0-9a-f]{8}\b", "ID", text.rstrip("\n"))
    text = re.sub(r"\(/[^)]*\)", "(PATH)", text)
    return re.sub(r"\d+", "N", re.sub(r"asked for by (\w+): .* \(PATH\)", r"asked for by \1: (PATH)", text))


def example(command):
    """The lines of docs/cli.md below `picket COMMAND`."""
    with open(os.path.join(TREE, "docs/cli.md"), encoding="utf-8") as file:
        block = file.read().split(f"\n    picket {command}\n", 1)[1].split("\n\n", 1)[0]
    return shape("\n".join(line[4:] for line in block.splitlines()))


def test_the_docs_examples_look_so(shop, tmp_path):
    deny = {"namespace": "acme", "rules": [{"endpointSelector": {"matchLabels": {"nomad:job": "db"}},
            "enableDefaultDeny": {"ingress": False},
            "ingressDeny": [{"fromEndpoints": [{"matchLabels": {"nomad:job": "api"}}],
                             "toPorts": [{"ports": [{"port": "5432", "protocol": "TCP"}]}]}]}]}
    with shop.connected(4, [5432, 5433]), shop.connected(6, [5432]):
        text = shop.node.picket("policy", "plan", write(tmp_path / "db.json", deny), check=False).stdout
    assert shape(text) == example("policy plan db.json")
    shop.node.policy("db.json", DB_FROM_BATCH)
    wait_for(lambda: shop.explain("acme/api", "acme/db", "5432/tcp", None)["live"] == "deny", "the policy in the tables")
    text = shop.node.picket("policy", "explain", "acme/api", "acme/db", "5432/tcp", check=False).stdout
    assert shape(text) == example("policy explain acme/api acme/db 5432/tcp")
