# SPDX-License-Identifier: Apache-2.0
"""docs/ says what the code's own tables say."""
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("PICKET_BUILD", "build"))


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def test_generated_parts_are_in_step():
    done = subprocess.run([sys.executable, os.path.join(ROOT, "scripts/gen-docs"), "--check"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, f"behind: {done.stdout}fix: make docs\n{done.stderr}"
    for name, part in (("docs/reasons.md", "`spoofed-mac`"), ("docs/cni.md", "| 106 | capacity")):
        assert part in read(name)


def test_the_tables_of_state_are_the_pinned_ones():
    maps = read("lib/tables/bpfmap.h").split("#define PK_MAPS(X)")[1].split("\n\n")[0]
    pinned = set(re.findall(r'X\(\w+, "(\w+)"\)', maps))
    section = read("docs/state.md").split("## Tables")[1].split("\n### ")[0]
    told = set()
    for row in re.findall(r"^\| (`.*?) \|", section, re.M):
        told.update(re.findall(r"`(\w+)`", row))
    assert len(pinned) > 15
    assert told - {"programs"} == pinned


def test_each_command_is_told():
    help_ = subprocess.run([os.path.join(BUILD, "picket"), "-help"], check=True, capture_output=True, text=True).stdout
    commands = re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?:  |  *\[| [A-Z]|$)", help_.split("Commands:")[1].split("Common options:")[0],
                          re.M)
    page = read("docs/cli.md")
    assert len(commands) > 20
    missing = [c for c in commands if not re.search(rf"`{c.split()[0]}\b", page) or not re.search(rf"\b{c.split()[-1]}\b", page)]
    assert not missing, missing


def test_the_manual_page_has_each_command_and_option(tmp_path):
    """gen-man makes it of docs/cli.md and of the help, whose table is the parser's."""
    subprocess.run([sys.executable, os.path.join(ROOT, "scripts/gen-man"), tmp_path], check=True, env={**os.environ, "PICKET_BUILD": BUILD})
    page = (tmp_path / "picket.1.scd").read_text(encoding="utf-8").replace("\\", "")
    said = subprocess.run([os.path.join(BUILD, "picket"), "completion", "zsh"], check=True, capture_output=True, text=True).stdout
    options = set(re.findall(r"(?<![\w-])-[a-z][a-z-]+(?=[:'\[])", said))
    help_ = subprocess.run([os.path.join(BUILD, "picket"), "-help"], check=True, capture_output=True, text=True).stdout
    commands = re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?:  |  *\[| [A-Z]|$)", help_.split("Commands:")[1].split("Common options:")[0], re.M)
    assert len(options) > 60 and len(commands) > 20
    assert not [c for c in commands if f"Usage: picket {c}" not in page]
    assert not [o for o in options if not re.search(rf"(?<![\w-]){o}(?![\w-])", page)]


def keys_of(schema):
    """The key paths of a JSON Schema's object."""
    for name, value in schema.get("properties", {}).items():
        yield name
        for inner in [value, *value.get("anyOf", [])]:
            yield from keys_of(inner)


def test_each_key_of_picketd_json_is_told():
    keys = set(keys_of(json.loads(read("examples/picketd.schema.json")))) - {"$schema", "token", "ui", "metrics", "range", "size"}
    pages = read("docs/install.md") + read("docs/api.md") + read("docs/cni.md") + read("docs/policy.md") + read("docs/cli.md") + \
        read("examples/picketd.json")
    assert len(keys) > 50
    missing = [key for key in keys if f'"{key}"' not in pages and f"`{key}`" not in pages]
    assert not missing, missing


def test_each_file_that_the_map_names_is_there():
    """docs/architecture.md: `lib/base/err.h`, or a name alone, whose folder the line has."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    named = set(re.findall(r"`([\w./-]+\.(?:c|h|py|md|json|mk|bpf\.c))`", read("docs/architecture.md")))
    assert len(named) > 60
    assert not {name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in listed)} - {"_private.h", "x_private.h"}


def test_each_folder_of_code_has_its_row():
    """docs/architecture.md, "Folders": a file lies in one of those, and each is there."""
    listed = subprocess.run(["git", "ls-files", "*.c", "*.h"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    folders = {os.path.dirname(name) + "/" for name in listed if name.startswith(("lib/", "cni/", "cli/", "controller/"))}
    named = set(re.findall(r"^\| `([\w/]+/)` \|", read("docs/architecture.md").split("## Folders")[1].split("\n## ")[0], re.M))
    assert len(folders) > 15 and folders <= named, folders - named
    assert not {name for name in named if not os.path.isdir(os.path.join(ROOT, name))}


def test_no_row_of_a_table_is_a_page():
    """What is longer stands below the table, as sentences."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    rows = [(name, line) for name in listed for line in read(name).splitlines() if line.startswith("|")]
    assert len(rows) > 500
    long = [f"{name}: {line[:60]}" for name, line in rows if len(line) > 500]
    assert not long, long


def test_each_page_is_reached_from_the_first():
    """From README.md every page under docs/ can be clicked to."""
    seen, todo = set(), ["README.md"]
    while todo:
        name = todo.pop()
        if name in seen or not os.path.isfile(os.path.join(ROOT, name)):
            continue
        seen.add(name)
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(name)):
            todo.append(os.path.normpath(os.path.join(os.path.dirname(name), link)))
    pages = {f"docs/{name}" for name in os.listdir(os.path.join(ROOT, "docs")) if name.endswith(".md")}
    assert not pages - seen, pages - seen


def test_each_link_leads_somewhere():
    broken = []
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in listed.split():
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(name)):
            if not os.path.exists(os.path.join(ROOT, os.path.dirname(name), link)):
                broken.append(f"{name}: {link}")
    assert not broken, broken


def quotes(name):
    """What the comments of a file quote: "…" and […] leave something out."""
    for comment in re.findall(r"/\*(.*?)\*/", read(name), re.S):
        said = re.sub(r"\s+", " ", re.sub(r"\n\s*\*", " ", comment))
        yield from re.findall(r'"([^"]+)"', said)


def plain(text):
    return re.sub(r"\s+", " ", re.sub(r"[`\[\]]|\(\S+\.md\S*\)", "", text)).lower()


def test_what_the_evaluator_quotes_is_said():
    """The reference evaluator is docs/policy.md, sentence by sentence."""
    page = plain(read("docs/policy.md"))
    said = [quote for name in ("lib/policy/judge.c", "lib/policy/judge_match.c") for quote in quotes(name)]
    assert len(said) > 20
    assert not [part for quote in said for part in plain(quote).split("…") if part.strip() not in page]
