# SPDX-License-Identifier: Apache-2.0
"""Policy files as their authors handle them: validate, schema, fmt, apply. No node, no controller."""

import glob
import json
import os
import subprocess

import jsonschema
import pytest

PICKET = os.path.join(os.environ.get("PICKET_BUILD", "build"), "picket")
SCHEMA = "examples/policy.schema.json"
TAKEN = sorted(glob.glob("tests/golden/policy/taken/*.json") + glob.glob("examples/policies/*.json"))
REFUSED = sorted(glob.glob("tests/golden/policy/refused/*.json"))

# What a schema can't say: it compares values, or reads the text and not the value.
READER_ALONE = {
    "nothing", "a-key-twice",
    "a-range-backwards", "an-except-outside", "an-except-that-is-wider", "an-except-of-the-other-family",
    "meta-of-any-namespace-as-the-operator-s-peer", "meta-of-any-namespace-as-the-operator-s-subject",
    "meta-the-namespace-by-notin",
}


def picket(*arguments, **more):
    return subprocess.run([PICKET, *map(str, arguments)], capture_output=True, text=True, timeout=60,
                          check=False, **more)


def without_comments(text):
    """JSON with comments -> JSON."""
    out, i = [], 0
    while i < len(text):
        if text[i] == '"':
            end = i + 1
            while text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            out.append(text[i:end + 1])
            i = end + 1
        elif text.startswith("//", i):
            i = text.index("\n", i)
        elif text.startswith("/*", i):
            i = text.index("*/", i) + 2
        else:
            out.append(text[i])
            i += 1
    return "".join(out)


def stem(path):
    return os.path.basename(path)[:-len(".json")]


def test_a_refused_document_is_said_once(tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text('{"endpointSelector": {}, "egres": [{}]}', encoding="utf-8")
    for words in (["plan", "-world", "examples/reach.json", bad],
                  ["explain", "-world", "examples/reach.json", "-with", bad, "acme/api", "acme/db", "80"]):
        done = picket("policy", *words)
        assert done.returncode == 2 and done.stderr.count("unknown key") == 1, done.stderr
        assert 'did you mean "egress"' in done.stderr


@pytest.mark.parametrize("recipe", sorted(glob.glob("examples/policies/*.json")), ids=stem)
def test_each_recipe_is_proven(tmp_path, recipe):
    """Without it, something that examples/reach.json expects doesn't hold."""
    with open("examples/reach.json", encoding="utf-8") as file:
        reach = json.loads(without_comments(file.read()))
    names = [name for name in reach["policies"] if name != f"policies/{os.path.basename(recipe)}"]
    assert len(names) == len(reach["policies"]) - 1
    reach["policies"] = [os.path.abspath(f"examples/{n}") if isinstance(n, str) else n for n in names]
    (tmp_path / "reach.json").write_text(json.dumps(reach), encoding="utf-8")
    assert picket("policy", "test", tmp_path / "reach.json").returncode == 1


@pytest.fixture(scope="module")
def schema():
    with open(SCHEMA, encoding="utf-8") as file:
        text = json.load(file)
    jsonschema.Draft202012Validator.check_schema(text)
    return jsonschema.Draft202012Validator(text)


def test_the_schema_file_is_in_step():
    with open(SCHEMA, encoding="utf-8") as file:
        assert file.read() == picket("policy", "schema").stdout


@pytest.mark.parametrize("path", TAKEN, ids=stem)
def test_reader_and_schema_take(path, schema):
    assert picket("policy", "validate", path).returncode == 0
    with open(path, encoding="utf-8") as file:
        schema.validate(json.loads(without_comments(file.read())))


@pytest.mark.parametrize("path", REFUSED, ids=stem)
def test_reader_and_schema_refuse(path, schema):
    answer = picket("policy", "validate", path)
    assert answer.returncode == 1
    assert f"{path}:" in answer.stdout and ": error: ." in answer.stdout
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if stem(path) in READER_ALONE:
        assert not text.strip() or schema.is_valid(json.loads(text)), "the schema can say it after all"
    else:
        assert not schema.is_valid(json.loads(text))


def test_the_schema_takes_the_documents_of_the_expectations(schema):
    for path in sorted(glob.glob("tests/policy/*.json")):
        with open(path, encoding="utf-8") as file:
            for document in json.loads(without_comments(file.read()))["policies"]:
                schema.validate(document)


@pytest.mark.parametrize("text", [
    '{"rules":[],"rules":[]}', '[] []', '["a\\u0000b"]', '[{"endpointSelector":{"matchLabels":{"job":"a\\u0000"}},"ingress":[{}]}]',
    "[" * 2000 + "]" * 2000, '[{"port":080}]', '\ufeff[]', '[{"a":9007199254740993}]',
])
def test_bad_text_is_refused_with_line_and_reason(text, tmp_path):
    path = tmp_path / "p.json"
    path.write_text(text, encoding="utf-8")
    answer = picket("policy", "validate", path)
    assert answer.returncode == 1
    assert f"{path}:1:" in answer.stdout and "1 of 1 document refused" in answer.stdout


def test_bad_utf8_is_refused(tmp_path):
    path = tmp_path / "p.json"
    path.write_bytes(b'[{"endpointSelector":{"matchLabels":{"job":"\xff"}},"ingress":[{}]}]')
    answer = picket("policy", "validate", path)
    assert answer.returncode == 1 and "byte 0xff is not UTF-8" in answer.stdout


def test_an_error_looks_like_a_compilers(tmp_path):
    path = tmp_path / "db.json"
    path.write_text('[{\n  "endpointSelector": {},\n  "egress": [{ "toEntity": ["host"] }]\n}]\n', encoding="utf-8")
    assert picket("policy", "validate", path).stdout == (
        f"{path}:3:16: error: .[0].egress[0].toEntity: unknown key\n"
        '    3 |   "egress": [{ "toEntity": ["host"] }]\n'
        '      |                ^~~~~~~~~~ did you mean "toEntities"?\n'
        "1 of 1 document refused, 1 error\n")
    note = json.loads(picket("policy", "validate", "--json", path).stdout)[0]
    assert note["valid"] is False
    assert note["notes"][0] == {
        "severity": "error", "file": str(path), "line": 3, "column": 16, "path": ".[0].egress[0].toEntity",
        "text": "unknown key", "fix": 'did you mean "toEntities"?'}
    quiet = picket("policy", "validate", "-q", path)
    assert quiet.returncode == 1 and quiet.stdout == ""


def test_a_hostile_text_is_safe_on_a_terminal(tmp_path):
    path = tmp_path / "p.json"
    path.write_text('[{"\u202e\u009b31mx": 1}]', encoding="utf-8")
    out = picket("policy", "validate", path).stdout
    assert "\u202e" not in out and "\u009b" not in out and "\\xe2\\x80\\xae" in out


def test_validate_reads_a_directory_as_picketd_does(tmp_path):
    rule = '{"name":"same","rules":[{"endpointSelector":{},"ingress":[{}]}]}'
    (tmp_path / "a.json").write_text(rule, encoding="utf-8")
    (tmp_path / "ignored.txt").write_text("x", encoding="utf-8")
    assert picket("policy", "validate", tmp_path).returncode == 0
    (tmp_path / "b.json").write_text(rule, encoding="utf-8")
    answer = picket("policy", "validate", tmp_path)
    assert answer.returncode == 1 and f'the name "same" is taken by {tmp_path}/a.json' in answer.stdout


def test_validate_of_a_tenants_place(tmp_path):
    path = tmp_path / "p.json"
    path.write_text('{"namespace":"beta","rules":[{"endpointSelector":{},"ingress":[{}]}]}', encoding="utf-8")
    assert picket("policy", "validate", "-namespace", "beta", path).returncode == 0
    assert picket("policy", "validate", "-namespace", "acme", path).returncode == 1


def test_what_tenant_reach_lists_is_no_warning(tmp_path):
    """Of this node's settings, as picketd made them, and of an expectations file's own."""
    path = tmp_path / "p.json"
    path.write_text('{"namespace":"acme","rules":[{"endpointSelector":{},"egress":[{"toCIDR":["10.1.2.0/24"]},'
                    '{"toEntities":["host","remote-node"]}]}]}', encoding="utf-8")
    warned = picket("policy", "validate", path)
    assert warned.returncode == 0 and warned.stdout.count("tenantReach") == 3, warned.stdout
    state = tmp_path / "root/var/lib/picket"
    state.mkdir(parents=True)
    (state / "node.json").write_text('{"tenantReach":["10.1.0.0/16","host"]}', encoding="utf-8")
    told = picket("policy", "validate", "-root", tmp_path / "root", path).stdout
    assert told.count("tenantReach") == 1 and "remote-node" in told, told
    world = tmp_path / "w.json"
    world.write_text(json.dumps({"tenantReach": ["10.0.0.0/8", "host", "remote-node"], "policies": ["p.json"], "expect": [], "endpoints": [
        {"name": "x", "labels": {"nomad:namespace": "acme", "nomad:job": "x"}, "addresses": ["10.20.0.1"]}]}), encoding="utf-8")
    done = picket("policy", "test", world)
    assert done.returncode == 0 and "tenantReach" not in done.stdout + done.stderr, done.stderr


def test_a_file_that_cant_be_read_is_no_answer(tmp_path):
    for verb in ("validate", "fmt", "import"):
        answer = picket("policy", verb, tmp_path / "absent.json")
        assert answer.returncode == 2 and "absent.json" in answer.stderr


def test_fmt(tmp_path):
    path = tmp_path / "p.json"
    path.write_text('// why\n[{"endpointSelector":{},"ingress":[{}] /* all */}]', encoding="utf-8")
    path.chmod(0o640)
    wanted = '// why\n[\n  {\n    "endpointSelector": {},\n    "ingress": [{}] /* all */\n  }\n]\n'
    assert picket("policy", "fmt", path).stdout == wanted
    assert picket("policy", "fmt", "-", input=path.read_text(encoding="utf-8")).stdout == wanted
    listed = picket("policy", "fmt", "-l", path)
    assert (listed.returncode, listed.stdout) == (1, f"{path}\n")
    assert picket("policy", "fmt", "-w", path).returncode == 0
    assert path.read_text(encoding="utf-8") == wanted and path.stat().st_mode & 0o777 == 0o640
    assert picket("policy", "fmt", "-l", path).returncode == 0
    path.write_text("[", encoding="utf-8")
    assert picket("policy", "fmt", "-w", path).returncode == 2
    assert path.read_text(encoding="utf-8") == "["


def document(name, port):
    return ('{"name":"%s","namespace":"acme","rules":[{"endpointSelector":{},"ingress":[{"toPorts":'
            '[{"ports":[{"port":%d}]}]}]}]}' % (name, port))


def test_apply_and_delete(tmp_path):
    directory, new = tmp_path / "root/etc/picket/policies.d", tmp_path / "new.json"
    root = ("-root", tmp_path / "root")

    def apply(text):
        new.write_text(text, encoding="utf-8")
        return picket("policy", "apply", *root, new)

    assert apply(document("web", 80)).stdout == f"web: created ({directory}/web.json)\n"
    assert apply(document("web", 80)).stdout == f"web: unchanged ({directory}/web.json)\n"
    assert apply(document("web", 81)).stdout == f"web: changed ({directory}/web.json)\n"
    (directory / "web.json").rename(directory / "10-web.json")
    assert "web: changed" in apply(document("web", 82)).stdout
    assert [p.name for p in directory.iterdir()] == ["10-web.json"]       # where the document is, no second one
    gone = picket("policy", "delete", *root, "web")
    assert gone.returncode == 1 and "can't be asked" in gone.stderr      # no picketd: the tables may have it
    assert not list(directory.iterdir())
    again = picket("policy", "delete", *root, "web")
    assert again.returncode == 1 and 'no document "web"' in again.stderr
    assert picket("policy", "apply", "-dir", directory, new).returncode == 0
    assert picket("policy", "delete", "-dir", directory, "web").returncode == 0


def test_apply_writes_nothing_that_a_node_would_refuse(tmp_path):
    root, good, bad, names = tmp_path / "root", tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.json"
    good.write_text(document("good", 80), encoding="utf-8")
    bad.write_text(document("bad", 65536), encoding="utf-8")
    names.write_text('{"namespace":"acme","rules":[{"endpointSelector":{},"egress":[{"toFQDNs":[{"matchName":"a.b"}]}]}]}',
                     encoding="utf-8")
    assert picket("policy", "apply", "-root", root, good, bad).returncode == 2
    refused = picket("policy", "apply", "-root", root, good, names)
    assert refused.returncode == 2 and "toFQDNs can't be in force on a node yet" in refused.stderr
    assert not (root / "etc/picket/policies.d").exists()


def test_apply_never_overwrites_another_document(tmp_path):
    directory, new = tmp_path / "d", tmp_path / "new.json"
    directory.mkdir()
    (directory / "web.json").write_text(document("other", 80), encoding="utf-8")
    new.write_text(document("web", 80), encoding="utf-8")
    for arguments in (("apply", "-dir", directory, new), ("delete", "-dir", directory, "web")):
        answer = picket("policy", *arguments)
        assert answer.returncode == 2 and 'holds the document "other"' in answer.stderr
    assert (directory / "web.json").read_text(encoding="utf-8") == document("other", 80)


def test_apply_goes_where_the_configuration_says(tmp_path):
    (tmp_path / "etc/picket").mkdir(parents=True)
    (tmp_path / "etc/picket/picketd.json").write_text(
        '{ "policies": { "directory": "%s" } } // ours' % (tmp_path / "elsewhere"), encoding="utf-8")
    answer = picket("policy", "apply", "-root", tmp_path, "-", input=document("web", 80))
    assert answer.returncode == 1 and (tmp_path / "elsewhere/web.json").exists()
    unnamed = picket("policy", "apply", "-root", tmp_path, "-", input='[{"endpointSelector":{},"ingress":[{}]}]')
    assert unnamed.returncode == 2 and 'needs a "name"' in unnamed.stderr


def test_a_suite_says_which_of_its_policies_is_missing(tmp_path):
    suite = tmp_path / "suite.json"
    suite.write_text('{ "endpoints": [],\n  "policies": [{ "rules": [] }, "gone.json"],\n  "expect": [] }')
    answer = picket("policy", "test", suite)
    assert answer.returncode == 2
    assert f"{suite}:2: .policies[1]: open {tmp_path}/gone.json: No such file" in answer.stderr


def test_plan_says_in_a_line_what_changes_alike(tmp_path):
    """One rule that closes a database to nobody else but one: not a line for each peer and port."""
    world, rule = tmp_path / "world.json", tmp_path / "db.json"
    names = [("acme", "api"), ("acme", "db"), ("acme", "x"), ("acme", "y"), ("beta", "z")]
    world.write_text(json.dumps({"baseline": "open", "endpoints": [
        {"name": f"{tenant}/{job}", "labels": {"nomad:namespace": tenant, "nomad:job": job}, "addresses": [f"10.1.0.{i + 1}"]}
        for i, (tenant, job) in enumerate(names)]}), encoding="utf-8")
    rule.write_text(json.dumps({"namespace": "acme", "rules": [{
        "endpointSelector": {"matchLabels": {"nomad:job": "db"}},
        "ingress": [{"fromEndpoints": [{"matchLabels": {"nomad:job": "api"}}],
                     "toPorts": [{"ports": [{"port": "5432", "protocol": "TCP"}]}]}]}]}), encoding="utf-8")
    told = picket("policy", "plan", "-world", str(world), str(rule)).stdout.splitlines()
    lines = [line for line in told if " -> acme/db  " in line]
    assert len(lines) == 4
    assert ("  - acme/x, acme/y, beta/z, host, remote-node -> acme/db  5432/tcp, other tcp ports, other udp ports, icmp 8/0, "
            "icmpv6 128/0  allowed -> denied  (5 x 1 endpoints)") in lines
    wide = picket("policy", "plan", "-world", str(world), "-o", "wide", str(rule)).stdout.splitlines()
    assert len([line for line in wide if " -> acme/db  " in line]) == 41
    assert "  - beta/z -> acme/db  5432/tcp  allowed -> denied" in wide


def test_a_path_through_a_file():
    """It is no file, whatever of it is missing."""
    done = picket("policy", "validate", f"{TAKEN[0]}/x.json")
    assert done.returncode == 2 and "fix: name a file that is there" in done.stderr, done


@pytest.mark.parametrize("words", (("apply",), ("delete", "other")))
def test_a_pipe_in_the_policy_directory(tmp_path, words):
    """Nobody waits for its writer."""
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "other.json").write_text('{"name": "other", "rules": [{"endpointSelector": {}, "ingress": [{}]}]}', encoding="utf-8")
    files = [TAKEN[0]] if words == ("apply",) else []
    picket("-root", tmp_path, "policy", *words, "-dir", tmp_path, *files)
    assert os.path.exists(tmp_path / "other.json") == (words == ("apply",))
