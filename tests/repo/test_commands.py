# SPDX-License-Identifier: Apache-2.0
"""What README.md, docs/ and the `fix:` texts tell people to type, edit and look at is there."""
import json
import os
import re
import shlex
import subprocess

import pytest

from test_pages import keys_of
from test_symptoms import ROOT, printed, read

BUILD = os.path.join(ROOT, os.environ.get("PICKET_BUILD", "build"))
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "tests/README.md", "examples/policies/README.md",
         *(f"docs/{name}" for name in sorted(os.listdir(os.path.join(ROOT, "docs"))))]
CALL = re.compile(r"(?<![\w./<-])(picketd?) ([a-z-][^`;|&>#():,]*)")
NO_VERBS = {"in", "for", "plugin"}    # "no network of type picket in …"


def code(page):
    """The spans and blocks of a page, a text each."""
    text = re.sub(r"^```(?!sh\n).*?^```$", "", read(page), flags=re.M | re.S)
    fenced = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    rest = re.sub(r"^```sh\n.*?^```$", "", text, flags=re.M | re.S)
    yield from (line for block in fenced for line in block.splitlines())
    yield from re.findall(r"^    (?!  )(.*)", rest, re.M)
    yield from (span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", re.sub(r"^    .*", "", rest, flags=re.M)))


def calls(texts):
    """(program, arguments) of each."""
    for text in texts:
        for program, rest in CALL.findall(text.replace("\\|", " ")):
            rest = re.sub(r"[\[\]…\"']|<\w+>|\.\.\.|\.$|\\.\\n", " ", rest)
            yield program, tuple(shlex.split(rest))


def refused(program, words):
    """What the program says of a command that it doesn't have: with -help behind it nothing is done."""
    said = subprocess.run([os.path.join(BUILD, program), *words, "-help"], capture_output=True, text=True, check=False, timeout=20)
    return said.stderr if said.returncode else ""


def is_one(program, words):
    return bool(words) and not (program == "picketd" and not words[0].startswith("-")) and words[0] not in NO_VERBS


def unknown(found):
    return {" ".join((program, *words)): why for program, words in sorted(set(found)) if is_one(program, words)
            for why in [refused(program, words)] if why}


def test_what_is_no_command_is_noticed():
    assert unknown([("picket", ("endpoint", "lst")), ("picket", ("sweep", "-al")), ("picketd", ("-print",)), ("picket", ("frob",))]).keys() == {
        "picket endpoint lst", "picket sweep -al", "picketd -print", "picket frob"}


@pytest.mark.parametrize("page", PAGES)
def test_each_command_of_a_page_is_one(page):
    assert not unknown(calls(code(page)))


def test_the_pages_have_many():
    assert len({call for page in PAGES for call in calls(code(page)) if is_one(*call)}) > 45


def test_each_command_in_a_text_of_the_programs_is_one():
    found = set(calls(text.replace("`", ";").replace('\\"', ";")for text in printed() if "%s <verb>" not in text))
    assert len(found) > 20
    assert not unknown(found)


def test_each_setting_that_a_fix_names_is_one():
    keys = set(keys_of(json.loads(read("examples/picketd.schema.json"))))
    texts = [*printed(), *(text for page in PAGES for text in code(page))]
    named = {name for text in texts for name in re.findall(r"(\w+\.\w+) in picketd\.json", text)}
    assert "capacity.endpoints" in named and "limits.flowsPerEndpoint" in named
    assert not {name for name in named if set(name.split(".")) - keys}


def test_each_file_of_ours_that_is_named_is_there():
    texts = [text for page in PAGES for text in code(page)] + list(printed())
    named = {name.rstrip(".") for text in texts for name in re.findall(r"(?<![\w/.<>-])((?:scripts|examples|packaging|tests|demo)/[\w./-]+)", text)}
    missing = {name for name in named if not os.path.exists(os.path.join(ROOT, name)) and not name.endswith("_")}
    assert len(named) > 20 and not missing, missing


def test_each_target_of_make_is_one():
    targets = set()
    for name in ("Makefile", "mk/bench.mk", "mk/cni.mk", "mk/demo.mk", "mk/package.mk", "mk/test.mk"):
        targets.update(word for line in re.findall(r"^([\w -]+):(?!=)", read(name), re.M) for word in line.split())
        targets.update(word for line in re.findall(r"^\.PHONY: (.*)", read(name), re.M) for word in line.split())
    named = {word for page in PAGES for text in code(page) for word in re.findall(r"(?:^|sudo |&& )make ([a-z][a-z-]*)(?![a-z=])", text)}
    assert len(named) > 10 and not named - targets, named - targets
