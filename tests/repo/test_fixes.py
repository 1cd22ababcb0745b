# SPDX-License-Identifier: Apache-2.0
"""What the programs' texts tell people to write into files or behind a command is taken there (commands: test_commands.py)."""
import json
import os
import re
import subprocess

import jsonschema
import pytest

from test_commands import BUILD, PAGES
from test_symptoms import ROOT, printed, read

SCHEMAS = {name: json.loads(read(f"examples/{name}.schema.json")) for name in ("picketd", "conflist", "policy")}
KEY = re.compile(r'"(\$?[A-Za-z]\w*)":\s*')
IN_PLACE = {"%s", "%.200s", "...", "picket"}      # values that stand for somebody's own
OTHERS_KEYS = {"portMappings", "reserved:host"}   # CNI's capabilities, and labels, have names of their own
# Of other programs: nomad, systemctl, and words of Nomad's.
OTHERS_OPTIONS = {"-self", "-w", "-t", "-ulnp"}


def texts():
    """The texts that people read: not those that are JSON Schema, or an answer of the API."""
    seen = {text.replace('\\"', '"') for text in printed()}
    return sorted(text for text in seen if not re.search(r'\$ref|"(properties|required|items|enum|anyOf|if|then|minItems|minProperties|const|layout'
                                                         r'|number|error|maxItems)"', text))


def fragments(text):
    """(key, value) of each piece of JSON in a text; the value is None where the text leaves it out."""
    at, found = 0, json.JSONDecoder()
    for key in KEY.finditer(text):
        if key.start() < at:
            continue
        try:
            value, at = found.raw_decode(text, key.end())
        except ValueError:
            value = None
        yield key[1], value


def places(schema, key):
    """Every schema that a key of that name has, wherever it stands."""
    if isinstance(schema, dict):
        if key in schema.get("properties", {}):
            yield schema["properties"][key]
        for part in schema.values():
            yield from places(part, key)
    elif isinstance(schema, list):
        for part in schema:
            yield from places(part, key)


def is_taken(key, value):
    """Some file of ours has that key, and takes the value."""
    for whole in SCHEMAS.values():
        for place in places(whole, key):
            if value is None or (isinstance(value, str) and value in IN_PLACE):
                return True
            # What a reference of it points to is in the whole.
            if jsonschema.Draft202012Validator({"$defs": whole.get("$defs", {}), "allOf": [place]}).is_valid(value):
                return True
    return False


def not_taken(found):
    return {f'"{key}": {json.dumps(value)}': text for text in found for key, value in fragments(text)
            if key not in OTHERS_KEYS and not is_taken(key, value)}


def test_what_is_no_setting_is_noticed():
    assert not_taken(['say "pol": "10.0.0.0/8"', 'say "pool": 7', 'set "masquerade": { "prots": "1-2" }', 'say "mode": "box"']).keys() == {
        '"pol": "10.0.0.0/8"', '"pool": 7', '"masquerade": {"prots": "1-2"}', '"mode": "box"'}


def test_each_setting_that_a_text_writes_is_taken():
    found = texts()
    assert len({key for text in found for key, _ in fragments(text)}) > 15
    assert not not_taken(found)


def options():
    """Those of picket, by the completion that comes from the parser's own table, and of picketd."""
    said = subprocess.run([os.path.join(BUILD, "picket"), "completion", "bash"], check=True, capture_output=True, text=True).stdout
    help_ = subprocess.run([os.path.join(BUILD, "picketd"), "-help"], check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"(?<![\w-])-[a-z][a-z-]*", said + help_)) | {"-help"}


def test_each_option_that_a_text_names_is_one():
    known = options() | OTHERS_OPTIONS
    assert {"-apply", "-accept-missing-config", "-world"} <= known and "-aply" not in known
    named = {option for text in texts() if " " in text and "%s-" not in text for option in re.findall(r"(?<![\w%-])-[a-z][a-z-]+(?![\w-])", text)}
    assert len(named) > 20
    assert not named - known, named - known


# What a page shows of a file is read by what reads the file. The first line says which it is, else its keys do.
def shown(page):
    return re.findall(r"^```jsonc?\n(.*?)^```$", read(page), re.M | re.S)


def settings(page):
    """The blocks that are picketd.json, whole or in part."""
    keys = set(SCHEMAS["picketd"]["properties"])
    for text in shown(page):
        try:
            value = json.loads(text)
        except ValueError:
            continue
        if isinstance(value, dict) and value and not set(value) - keys:
            yield text


@pytest.mark.parametrize("page", sorted(page for page in PAGES if os.path.isfile(os.path.join(ROOT, page)) and list(settings(page))))
def test_each_configuration_that_a_page_shows_is_taken(page, tmp_path):
    for number, text in enumerate(settings(page)):
        file = tmp_path / f"{number}.json"
        file.write_text(text, encoding="utf-8")
        said = subprocess.run([os.path.join(BUILD, "picketd"), "-root", tmp_path, "-config", file, "-print-config"],
                              capture_output=True, text=True, check=False, timeout=20)
        assert said.returncode == 0, (text, said.stderr)


def test_what_the_page_of_addresses_says_of_its_commands_is_so():
    """`picket … # allowed: why`: exit status 0; denied: 1."""
    lines = re.findall(r"^picket (policy .*?) +# (allowed|denied):", read("docs/addresses.md"), re.M)
    assert len(lines) == len(re.findall("^picket ", read("docs/addresses.md"), re.M)) > 8
    for words, said in lines:
        done = subprocess.run([os.path.join(BUILD, "picket"), *words.split()], cwd=ROOT, capture_output=True, text=True, check=False, timeout=20)
        assert done.returncode == (said == "denied"), (words, done.stdout, done.stderr)
