# SPDX-License-Identifier: Apache-2.0
"""
The CLI: its screens at several widths against tests/golden/cli (PICKET_GOLDEN=write makes them
anew), exit codes, JSON, hostile names, filters, pipes, and one real node.
"""
import glob
import json
import os
import re
import subprocess

import pytest
from fake.picketd import FakePicketd
from harness import wait_for
from harness.shell import TREE, binary, run
from harness.terminal import on_terminal

from cli_answers import ANSWERS, ENDPOINTS, STATUS

GOLDEN = os.path.join(TREE, "tests/golden/cli")
SCREENS = {"status": ["status", "-verbose"], "endpoint-list": ["endpoint", "list"],
           "endpoint-wide": ["endpoint", "list", "-o", "wide"],
           "endpoint-show": ["endpoint", "show", "10.40.7.12"], "policy-list": ["policy", "list"],
           "reasons": ["reasons", "spoofed-remote", "ok"], "node-list": ["node", "list"],
           "node-wide": ["node", "list", "-o", "wide"], "flows": ["flows"], "identity-list": ["identity", "list"], "counters": ["counters"]}
LISTS = {"endpoint list": "endpoints", "policy list": "policies", "identity list": "identities",
         "counters": "counters"}


@pytest.fixture
def root(tmp_path):
    """A root directory with a fake picketd behind its socket."""
    fake = FakePicketd(str(tmp_path / "run/picket/picketd.sock"), dict(ANSWERS))
    yield Cli(tmp_path, fake)
    fake.close()


class Cli:
    def __init__(self, root, fake=None):
        self.root, self.fake = str(root), fake

    def argv(self, words):
        return [binary("picket"), *words, "-root", self.root]

    @staticmethod
    def env(**more):
        return {"PATH": os.environ["PATH"], "TERM": "xterm", "LANG": "C.UTF-8", "TZ": "UTC", **more}

    def pipe(self, *words, **env):
        return subprocess.run(self.argv(words), capture_output=True, check=False, timeout=120,
                              env=self.env(**env))

    def terminal(self, width, *words, **env):
        """(output, status) on a terminal of that width."""
        return on_terminal(width, self.argv(words), self.env(**env))


def same(name, text):
    path = os.path.join(GOLDEN, name + ".txt")
    if os.environ.get("PICKET_GOLDEN") == "write":
        with open(path, "wb") as file:
            file.write(text)
    with open(path, "rb") as file:
        assert text.decode() == file.read().decode(), name


@pytest.mark.parametrize("name", SCREENS)
@pytest.mark.parametrize("width", (60, 80, 200))
def test_screen(root, name, width):
    text, _ = root.terminal(width, *SCREENS[name], NO_COLOR="1")
    same(f"{name}-{width}", text)
    assert b"\x1b" not in text
    if name not in ("endpoint-show", "flows", "status"):	# tables fit, or every column is at its least
        least = 14 * (26 + 2) if name.endswith("-wide") else 14 * 10
        assert all(len(line) <= max(width, least) for line in text.decode().splitlines()), text
        assert "\u2026" not in text.decode().splitlines()[0], "a title is cut"


@pytest.mark.parametrize("name", SCREENS)
def test_screen_piped_is_never_cut(root, name):
    done = root.pipe(*SCREENS[name])
    same(f"{name}-piped", done.stdout)
    assert b"\xe2\x80\xa6" not in done.stdout and b"\x1b" not in done.stdout


@pytest.mark.parametrize("env, colour", [
    ({}, True), ({"NO_COLOR": "1"}, False), ({"PICKET_NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False),
    ({"NO_COLOR": ""}, True)])
def test_colour_on_a_terminal(root, env, colour):
    text, _ = root.terminal(120, "policy", "list", **env)
    assert (b"\x1b[" in text) == colour


def test_colour_into_a_pipe_only_by_force(root):
    assert b"\x1b[31m" in root.pipe("policy", "list", "-force-color").stdout
    assert b"\x1b[31m" in root.pipe("policy", "list", CLICOLOR_FORCE="1").stdout
    assert b"\x1b" not in root.pipe("policy", "list", "-no-color", CLICOLOR_FORCE="1").stdout
    assert b"\x1b" not in root.pipe("policy", "list", CLICOLOR_FORCE="0").stdout


def test_a_locale_without_utf8_gets_no_ellipsis(root):
    text, _ = root.terminal(60, "endpoint", "list", LANG="C", LC_ALL="C", NO_COLOR="1")
    assert b"~" in text and b"\xe2\x80\xa6" not in text


@pytest.mark.parametrize("name", SCREENS)
def test_what_tenants_wrote_cannot_drive_a_terminal(root, name):
    for text in (root.terminal(200, *SCREENS[name], NO_COLOR="1")[0], root.pipe(*SCREENS[name]).stdout):
        text = text.decode()
        for bad in ("\x1b", "\u202e", "\x7f", "\r"):
            assert bad not in text, repr(bad)


@pytest.mark.parametrize("words", LISTS)
def test_json_of_every_list(root, words):
    want = ANSWERS["/v1/" + LISTS[words]][LISTS[words]]
    for flag in ("-json", "--json", "-o=json"):
        assert json.loads(root.pipe(*words.split(), flag).stdout) == want
    lines = root.pipe(*words.split(), "-o", "jsonl").stdout.decode().splitlines()
    assert [json.loads(line) for line in lines] == want


def test_json_of_one_thing(root):
    assert json.loads(root.pipe("status", "-json").stdout) == STATUS
    assert json.loads(root.pipe("endpoint", "show", "0000000c", "-json").stdout) == ENDPOINTS[0]


def test_named_columns_have_no_header(root):
    done = root.pipe("endpoint", "list", "-namespace", "acme", "-o", "namespace,hostDevice")
    assert done.stdout == b"acme  pk12\nacme  pk31\n"
    assert root.pipe("endpoint", "list", "-o", "nope").returncode == 2


def test_json_lines_are_lines(root, tmp_path):
    good = tmp_path / "good.json"
    good.write_text('{"endpointSelector": {}, "ingress": [{}]}', encoding="utf-8")
    bad = tmp_path / "bad.json"
    bad.write_text("[", encoding="utf-8")
    world = f"{TREE}/examples/reach.json"
    for words, n in ((["status"], 1), (["endpoint", "show", "0000000c"], 1), (["version"], 1),
                     (["policy", "validate", str(good), str(bad)], 2),
                     (["policy", "plan", "-world", world, str(good)], 1),
                     (["policy", "explain", "-world", world, "acme/api", "acme/db", "5432"], 1),
                     (["policy", "show", "-world", world, "acme-db-only-from-api"], 1)):
        lines = root.pipe(*words, "-o", "jsonl").stdout.decode().splitlines()
        assert len([json.loads(line) for line in lines]) == n, (words, lines)


def columns_in_the_docs():
    """[command, ...] of every example in README and docs/ that chooses columns."""
    found = []
    for path in [os.path.join(TREE, "README.md"), *glob.glob(os.path.join(TREE, "docs/*.md"))]:
        with open(path, encoding="utf-8") as file:
            found += re.findall(r"([a-z]+(?: list)?) -o ([a-zA-Z]+(?:,[a-zA-Z]+)+)", file.read())
    return found


def test_columns_that_the_docs_name_exist(root):
    assert columns_in_the_docs()
    for command, columns in columns_in_the_docs():
        done = root.pipe(*command.split(), "-o", columns)
        assert done.returncode == 0 and done.stdout, (command, columns, done.stderr)


def test_filters_that_the_docs_show_work(root):
    with open(os.path.join(TREE, "docs/cli.md"), encoding="utf-8") as file:
        shown = re.findall(r"^    picket (flows .*)$", file.read(), re.M)
    assert len(shown) >= 3
    for line in shown:
        words = line.split(" && ")[0].split()
        done = root.pipe(*words)
        assert done.returncode in (0, 1) and not done.stderr.startswith(b"picket flows:"), (line, done)


def test_columns_are_chosen_of_lists_alone(root):
    done = root.pipe("status", "-o", "state")
    assert (done.returncode, done.stdout) == (2, b"") and b"none of wide, json, jsonl" in done.stderr
    assert b"containerId, namespace, job" in root.pipe("endpoint", "list", "-o", "nope").stderr


@pytest.mark.parametrize("words", ["endpoint list -namespace none", "flows -job none", "ip list"])
def test_nothing_is_said_not_shown_as_a_bare_header(root, words):
    done = root.pipe(*words.split())
    assert (done.returncode, done.stdout) == (0, b"") and done.stderr.endswith(b"nothing to show\n"), done
    shown = root.pipe(*words.split(), "-o", "jsonl").stdout
    assert not shown or b"lostEvents" in shown


def test_a_verdict_that_there_is_not_is_refused(root):
    done = root.pipe("flows", "-verdict", "deny")
    assert (done.returncode, done.stdout) == (2, b"") and b'-verdict "deny" is none of denied, allowed, revoked' in done.stderr
    assert root.pipe("flows", "-verdict", "denied").returncode == 0


def test_times_in_text_are_local(root):
    text = root.pipe("status", TZ="Asia/Kolkata").stdout.decode()
    assert "2026-11-23T19:43:39+05:30" in text, text


@pytest.mark.parametrize("spelling", ["10.40.7.12", "FD40:0::7:c", "02:70:1A:2B:3C:0c", "pk12", "0000000c", "acme/api/web", "acme/api"])
def test_an_endpoint_by_any_of_its_names(root, spelling):
    assert json.loads(root.pipe("endpoint", "show", spelling, "-json").stdout)["slot"] == 12


ANSWERED = {"explain": ["explain", "acme/api", "acme/db", "5432/tcp"],
            "explain-denied": ["explain", "-from", "acme/web", "-to", "acme/db", "-port", "5432"],
            "plan": ["plan", "FILE"],
            "show": ["show", "acme-db-only-from-api"]}


@pytest.mark.parametrize("name", ANSWERED)
def test_answer_about_policy(tmp_path, name):
    """Of the cookbook's world: the screens of plan, explain and show."""
    file = tmp_path / "web-too.json"
    file.write_text(json.dumps({"name": "acme-db-only-from-api", "namespace": "acme", "rules": [{
        "endpointSelector": {"matchLabels": {"job": "db"}},
        "ingress": [{"fromEndpoints": [{"matchLabels": {"job": job}} for job in ("web", "worker")],
                     "toPorts": [{"ports": [{"port": "5432", "protocol": "TCP"}]}]}]}]}), encoding="utf-8")
    words = ["policy", ANSWERED[name][0], "-world", "examples/reach.json",
             *(str(file) if word == "FILE" else word for word in ANSWERED[name][1:])]
    done = subprocess.run([binary("picket"), *words], capture_output=True, check=False, timeout=120, cwd=TREE,
                          env=Cli.env())
    same(f"policy-{name}", done.stdout)


@pytest.mark.parametrize("name", ANSWERED)
def test_an_answer_about_policy_is_wrapped_at_words(root, name):
    """On a terminal a line breaks at blanks and goes on indented; a path stays whole. Into a pipe nothing breaks."""
    words = ["policy", ANSWERED[name][0], "-world", f"{TREE}/examples/reach.json",
             *(f"{TREE}/examples/policies/acme-ping-the-database.json" if word == "FILE" else word for word in ANSWERED[name][1:])]
    piped = root.pipe(*words).stdout.decode()
    shown = root.terminal(40, *words, NO_COLOR="1")[0].decode()
    lines = shown.splitlines()
    assert len(lines) > len(piped.splitlines()) and shown.split() == piped.split()
    assert all(len(line) <= 40 or len(line.split()) == 1 or not line[:41].strip().count(" ") for line in lines), shown


@pytest.mark.parametrize("words, state", [(["status"], "    "), (["check"], 18 * " ")])
def test_a_fix_is_copied_whole(tmp_path, words, state):
    """At no width does it break: the first half of a command that is pasted is another command."""
    command = "iptables -I INPUT -s 192.0.2.0/24 -p udp --dport 4789 -m comment --comment overlay -j ACCEPT"
    wordy = "a sentence " * 12 + "ends"
    reasons = [{"what": "overlay", "text": wordy, "fix": command}]
    fake = FakePicketd(str(tmp_path / "run/picket/picketd.sock"), {**ANSWERS, "/v1/status": dict(STATUS, reasons=reasons)})
    lines = Cli(tmp_path, fake).terminal(60, *words, NO_COLOR="1")[0].decode().splitlines()
    fake.close()
    assert f"{state}fix: {command}" in lines, lines
    assert not [line for line in lines if wordy in line], "the sentence breaks"


EXITS = [
    ("status", 1), ("status -q", 1), ("endpoint list", 0), ("endpoint list -namespace none -q", 1),
    ("endpoint list -namespace=acme -q", 0), ("endpoint show nope", 1), ("endpoint show", 2),
    ("endpoint show a b", 2), ("endpoint", 2), ("endpoint -help", 0), ("endpoint lst", 127),
    ("bogus", 127), ("", 2), ("-help", 0), ("--help", 0), ("status -bogus", 2), ("status extra", 2),
    ("status -json=yes", 2), ("flows -from-ip nope", 2), ("flows -port 65536", 2), ("flows -not", 2),
    ("flows -not -last 3", 2), ("flows -last 0", 2), ("flows -since yesterday", 2), ("flows -q -job none", 1),
    ("flows -q -job api", 0), ("version", 0), ("reasons", 0), ("reasons spoofed-mac", 0), ("reasons nothing", 2),
    ("flows -reason nothing", 2), ("completion fish", 2), ("completion bash", 0),
    ("ip show nope", 2), ("ip show 10.0.0.1", 1), ("ip list", 0), ("check", 2)]


@pytest.mark.parametrize("words, status", EXITS)
def test_exit_status(root, words, status):
    done = root.pipe(*words.split())
    assert done.returncode == status, done
    if status == 127 or (status == 2 and words not in ("check", "")):
        assert b"fix: " in done.stderr, done.stderr
    if "-q" in words.split():
        assert done.stdout == b""


@pytest.mark.parametrize("words, near", [("statsu", "status"), ("endpoint lst", "list"), ("status -verbos", "-verbose")])
def test_did_you_mean(root, words, near):
    assert f'did you mean "{near}"'.encode() in root.pipe(*words.split()).stderr


FILTERS = [
    ("", "12345"), ("-verdict denied", "134"), ("-not -verdict denied", "25"), ("-ip 10.40.7.41", "3"),
    ("-ip 10.40.7.0/24", "1235"), ("-from-ip 10.40.7.31", ""), ("-to-ip 10.40.7.31", "235"),
    ("-port 443", "1"), ("-from-port 443", ""), ("-to-port 5432", "235"), ("-namespace evil", "3"),
    ("-namespace evil -namespace acme", "12345"), ("-not -namespace evil", "1245"), ("-to-job db", "235"),
    ("-job api -to-job db", "25"), ("-group web", "1245"), ("-alloc 00000029", "3"),
    ("-label meta:tier=web", "125"), ("-to-label meta:tier=web", ""), ("-identity 41", "3"),
    ("-reason spoofed-nd", "4"), ("-protocol icmpv6", "4"), ("-direction ingress", "235"),
    ("-policy file/db-only-from-api", "2"), ("-rule 77", "2"), ("-4", "1235"), ("-6", "4"), ("-4 -6", "12345"),
    ("-last 2", "45"), ("-last 1 -verdict denied", "4"), ("-since 2026-11-23T14:13:03Z", "345"),
    ("-since 2026-11-23T15:13:03+01:00 -until 2026-11-23T14:13:04Z", "3"), ("-since 1m", ""), ("-node vm-17 -port 443", "1")]


@pytest.mark.parametrize("words, want", FILTERS)
def test_flow_filters(root, words, want):
    lines = root.pipe("flows", "-json", *words.split()).stdout.decode().splitlines()
    events = [json.loads(line) for line in lines]
    assert "".join(str(int(e["time"][17:19])) for e in events if "lostEvents" not in e) == want


def test_follow_shows_the_last_that_pass_and_goes_on(root):
    """The last N of the past pass the filters, whatever they are; then everything that passes."""
    def event(second, verdict="denied"):
        return {**ANSWERS["/v1/flows"][0], "time": f"2026-11-23T14:{second // 60:02}:{second % 60:02}.000Z", "verdict": verdict}
    past = [event(i, "denied" if i % 2 else "allowed") for i in range(100)]
    root.fake.answers["/v1/flows"] = [*past, "", event(200), event(201, "allowed"), event(202)]
    for words, want in (("-verdict denied", [*range(61, 100, 2), 200, 202]), ("-verdict denied -last 3", [95, 97, 99, 200, 202]),
                        ("", [*range(80, 100), 200, 201, 202])):
        lines = root.pipe("flows", "-f", "-json", *words.split()).stdout.decode().splitlines()
        times = [json.loads(line)["time"] for line in lines]
        assert [int(t[14:16]) * 60 + int(t[17:19]) for t in times] == want, words


def numbered(n):
    return {**ANSWERS["/v1/flows"][0], "time": f"2026-11-23T14:{n // 60:02}:{n % 60:02}.000Z"}


def seconds(output):
    times = [json.loads(line)["time"] for line in output.decode().splitlines()]
    return [int(t[14:16]) * 60 + int(t[17:19]) for t in times]


def test_since_reads_the_files_and_the_rotated_ones(root):
    """picketd keeps 1,024 of 1,505; the files have them all but the very last."""
    events = [numbered(i) for i in range(1505)]
    directory = os.path.join(root.root, "var/log/picket")
    os.makedirs(directory, exist_ok=True)
    for name, part in (("flows.jsonl.2", events[:500]), ("flows.jsonl.1", events[500:1200]), ("flows.jsonl", events[1200:1504])):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.writelines(json.dumps(event) + "\n" for event in part)
            file.write("{ cut")
    root.fake.answers["/v1/flows"] = events[-1024:]
    root.fake.answers["/v1/config"] = {"config": {"flows.file": {"value": os.path.join(directory, "flows.jsonl")}}}
    assert seconds(root.pipe("flows", "-json", "-since", "2026-11-23T14:00:00Z").stdout) == [*range(1505)]
    assert seconds(root.pipe("flows", "-json", "-since", "2026-11-23T14:05:00Z").stdout) == [*range(300, 1505)]
    assert seconds(root.pipe("flows", "-json", "-since", "2026-11-23T14:00:00Z", "-until", "2026-11-23T14:01:00Z").stdout) \
        == [*range(61)]
    assert seconds(root.pipe("flows", "-json", "-since", "2026-11-23T14:00:00Z", "-last", "3").stdout) == [1502, 1503, 1504]
    root.fake.answers["/v1/flows"] = []		# picketd started just now
    assert seconds(root.pipe("flows", "-json", "-since", "2026-11-23T14:00:00Z").stdout) == [*range(1504)]
    root.fake.answers["/v1/config"] = {"config": {"flows.file": {"value": None}}}
    root.fake.answers["/v1/flows"] = events[-1024:]
    done = root.pipe("flows", "-json", "-since", "2026-11-23T14:00:00Z")
    assert seconds(done.stdout) == [*range(481, 1505)]
    assert b'the last 1024 that picketd keeps; what was before is not shown: "flows.file" is null' in done.stderr


def test_flows_from_the_file_without_picketd(tmp_path):
    cli = Cli(tmp_path)
    os.makedirs(tmp_path / "var/log/picket")
    with open(tmp_path / "var/log/picket/flows.jsonl", "w", encoding="utf-8") as file:
        for event in ANSWERS["/v1/flows"]:
            file.write(json.dumps(event) + "\n")
        file.write('{"time": "cut')
    done = cli.pipe("flows", "-verdict", "denied", "-o", "jsonl")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 4	# the lost ones are said too
    assert b"offline" in done.stderr
    # Where picketd was told to write it.
    os.makedirs(tmp_path / "etc/picket")
    os.rename(tmp_path / "var/log/picket/flows.jsonl", tmp_path / "elsewhere.jsonl")
    (tmp_path / "etc/picket/picketd.json").write_text(
        json.dumps({"flows": {"file": str(tmp_path / "elsewhere.jsonl")}}), encoding="utf-8")
    assert cli.pipe("flows", "-verdict", "denied", "-o", "jsonl").stdout == done.stdout


def test_lost_events_are_said_on_standard_error(root):
    assert b"1204 events lost" in root.pipe("flows").stderr
    assert b"1204" not in root.pipe("flows").stdout


def test_a_reader_that_goes_away_is_no_failure(root):
    many = {"endpoints": [dict(ENDPOINTS[0], slot=n) for n in range(3000)]}
    root.fake.answers["/v1/endpoints"] = many
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(root.argv(["endpoint", "list", "-json"]), stdout=theirs, env=root.env(),
                          stderr=subprocess.PIPE, check=False, timeout=120)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


def test_it_starts_without_curl():
    needed = run(["ldd", binary("picket")], check=False).stdout
    for library in ("curl", "ssl", "event"):
        assert library not in needed, needed


def test_an_error_of_the_api_is_shown_with_its_fix(root):
    root.fake.answers["/v1/endpoints"] = (503, {"error": "tables\u001b[2J are not there", "fix": "wait"})
    done = root.pipe("endpoint", "list")
    assert done.returncode == 2 and b"fix: wait" in done.stderr
    assert b"\x1b" not in done.stderr and b"are not there" in done.stderr


def test_apply_shouts_when_picketd_refuses(root, tmp_path):
    """Written, valid, and not in force: a full table, say."""
    file = tmp_path / "db.json"
    file.write_text('{"endpointSelector": {}, "ingress": [{}]}', encoding="utf-8")
    root.fake.answers["/v1/policies/file/db"] = {
        "state": "refused", "errors": [{"line": 0, "text": "table verdicts is full\u001b[2J: 65536 of 65536"}]}
    done = root.pipe("policy", "apply", str(file))
    assert done.returncode == 1 and b"picketd refuses db: table verdicts is full" in done.stderr, done
    assert b"\x1b" not in done.stderr and b"fix: picket policy list -refused" in done.stderr
    taken = {"state": "active", "text": file.read_text(encoding="utf-8"), "enforced": "1 of 2 endpoints"}
    root.fake.answers["/v1/policies/file/db"] = taken
    done = root.pipe("policy", "apply", str(file))
    assert done.returncode == 1 and b"the tables do not have it: enforced: 1 of 2 endpoints" in done.stderr, done
    root.fake.answers["/v1/policies/file/db"] = {**taken, "enforced": "yes"}
    done = root.pipe("policy", "apply", str(file))
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_picketd_that_knows_nothing_of_it_is_no_absent_one(root, tmp_path):
    """404: somebody listens, and nothing of it is in force."""
    file = tmp_path / "db.json"
    file.write_text('{"endpointSelector": {}, "ingress": [{}]}', encoding="utf-8")
    root.fake.answers["/v1/policies/file/db"] = (404, {"error": "no such document"})
    done = root.pipe("policy", "apply", str(file))
    assert done.returncode == 1 and b"picketd has not taken db yet: " in done.stderr, done


def test_completion_knows_what_help_knows():
    script = run([binary("picket"), "completion", "bash"]).stdout

    def complete(*words):
        code = f"{script}\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _picket; " \
            "printf '%s\\n' \"${COMPREPLY[@]}\""
        return run(["bash", "-c", code]).stdout.split()

    assert {"endpoint", "status", "policy", "flows", "help"} <= set(complete("picket", "''")) <= set(complete("picket", "help", "''"))
    assert set(complete("picket", "endpoint", "''")) >= {"list", "show"}
    assert "-refused" in complete("picket", "policy", "list", "-re")
    help_text = run([binary("picket"), "flows", "-help"]).stdout
    options = set(re.findall(r"^  (?:-[a-z], )?(-[a-z0-9-]+)", help_text, re.M))
    assert len(options) > 30 and options <= set(complete("picket", "flows", "-"))


def test_completion_of_zsh_knows_the_same(tmp_path):
    """zsh's own functions are stood in for: each prints the words that it is given."""
    script = tmp_path / "_picket"
    script.write_bytes(run([binary("picket"), "completion", "zsh"]).stdout.encode())

    def complete(*words):
        code = "_describe() { [[ $1 == -o ]] && shift; print -l -- ${(P)2} }; _files() { print FILES }; compdef() { : }\n" \
            f"source {script}; words=({' '.join(words)}); CURRENT={len(words)}; PREFIX=${{words[-1]}}; _picket"
        return dict(line.partition(":")[::2] for line in run(["zsh", "-f", "-c", code]).stdout.splitlines())

    nouns = complete("picket", "''")
    assert {"endpoint", "status", "policy", "flows", "help"} <= set(nouns) == set(complete("picket", "help", "''"))
    assert nouns["status"] == "how the node is, what is wrong first"
    assert set(complete("picket", "endpoint", "''")) == {"list", "show"}
    assert "-refused" in complete("picket", "policy", "list", "-re")
    help_text = run([binary("picket"), "flows", "-help"]).stdout
    options = set(re.findall(r"^  (?:-[a-z], )?(-[a-z0-9-]+)", help_text, re.M))
    assert len(options) > 30 and options - {"-h"} <= set(complete("picket", "flows", "-"))
    assert set(complete("picket", "policy", "fmt", "x")) == {"FILES"}


def test_a_real_node(make_node):
    node = make_node(conf={"mode": "process"})
    assert node.picket("status", "-q", check=False).returncode == 2		# nothing is loaded
    node.start_picketd()
    a = node.add("acme", "api", "web")
    wait_for(lambda: json.loads(node.picket("endpoint", "list", "-json").stdout), "the endpoint")
    online = json.loads(node.picket("endpoint", "show", a.address(), "-json").stdout)
    assert (online["containerId"], online["namespace"], online["job"]) == (a.id, "acme", "api")
    assert node.picket("status", "-wait", "10s", check=False).returncode == 0, \
        node.picket("status", check=False).stdout
    found = json.loads(node.picket("check", "-json", check=False).stdout)
    assert {c["what"]: c["state"] for c in found}["guard"] == "ok", found
    assert a.address() in node.picket("ip", "list").stdout
    assert a.id in node.picket("ip", "show", a.address()).stdout
    done = node.picket("endpoint", "show", "acme/api", "-vmm", "firecracker", check=False)
    assert done.returncode == 2 and "has no tap" in done.stderr
    node.kill_picketd()
    done = node.picket("endpoint", "list", "-json")
    offline = json.loads(done.stdout)
    assert "offline" in done.stderr and [e["containerId"] for e in offline] == [a.id]
    assert offline[0]["addresses"] == online["addresses"]
    done = node.picket("status", check=False)
    assert done.returncode == 1 and "    fix: start picketd" in done.stdout
    assert len(node.picket("status", "-o", "jsonl", check=False).stdout.splitlines()) == 1
    assert "nothing is left behind" in node.picket("sweep").stdout
    node.delete(a)


def test_what_a_vmm_needs(node):
    a = node.add("acme", "api", "web")
    fragment = json.loads(node.picket("endpoint", "show", a.id[:8], "-vmm", "firecracker").stdout)
    assert fragment["network-interfaces"] == [
        {"iface_id": "eth0", "host_dev_name": "tap0", "guest_mac": a.mac}]
    assert fragment["boot-source"]["boot_args"].startswith(f"ip={a.address()}::{a.gateway}:")
    assert json.loads(node.picket("endpoint", "show", a.id[:8], "-vmm", "json").stdout) == a.driver_file()


def test_who_may_not_is_told_who_may(make_node, tmp_path):
    """Not root and not of the group: the cause, never "restart picketd"."""
    node = make_node(conf={"mode": "process"})
    node.start_picketd()
    node.run(["cp", binary("picket"), f"{node.root}/picket"])
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", f"{node.root}/picket", "-root", node.root]
    done = node.run([*nobody, "status"], check=False)
    assert done.returncode == 2 and "fix: run it as root" in done.stderr, done.stderr
    found = json.loads(node.run([*nobody, "check", "-json"], check=False).stdout)
    assert found[0]["what"] == "user" and found[0]["state"] == "fail"
    assert not [c for c in found if "restart picketd" in (c["fix"] or "")], found
