# SPDX-License-Identifier: Apache-2.0
"""The command lines of the programs, without a node: help, and what is said of a word that is none."""
import os
import re
import subprocess

import pytest

from test_commands import BUILD, ROOT


def done(program, *words):
    """(exit status, standard output, standard error)"""
    said = subprocess.run([os.path.join(BUILD, program), *words], capture_output=True, text=True, check=False, timeout=20)
    return said.returncode, said.stdout, said.stderr


@pytest.mark.parametrize("words", [[], ["endpoint"], ["endpoint", "list"], ["policy", "validate"], ["status"]], ids=" ".join)
def test_help_is_a_word_too(words):
    assert done("picket", "help", *words) == done("picket", *words, "-help")
    assert done("picket", "help", *words)[0] == 0


def test_help_tells_of_itself_and_of_each_exit_status():
    said = done("picket", "help")[1]
    assert "  help [NOUN [VERB]]" in said and done("picket", "help", "-help") == done("picket", "help", "help")
    told = re.findall(r"\b(\d+) ", said.split("Exit status: ")[1])
    with open(os.path.join(ROOT, "docs/cli.md"), encoding="utf-8") as page:
        assert told == re.findall(r"^\| (\d+) \|", page.read(), re.M) == ["0", "1", "2", "3", "127"]


def test_help_for_what_there_is_not():
    assert done("picket", "help", "frobble") == done("picket", "frobble")
    assert done("picket", "help", "endpoint", "lst") == done("picket", "endpoint", "lst")


@pytest.mark.parametrize("words, says", [
    (["-prnt-config"], 'unknown option "-prnt-config", did you mean "-print-config"?'), (["-zzzzzzz"], 'unknown option "-zzzzzzz"'),
    (["start"], 'unknown argument "start"'), (["-config"], "-config needs a value"), (["-root="], "-root= needs a value"), (["-log-level"], "-log-level needs a value"),
    (["-log-level", "loud"], '"loud" is none of error, warn, info, debug'), (["-config", "", "-root", "/"], "-config needs a value")], ids=str)
def test_a_word_of_picketd_that_is_none(words, says):
    assert done("picketd", *words) == (2, "", f"picketd: {says}\nfix: picketd -help\n")


def test_a_configuration_that_is_not_there(tmp_path):
    status, _, said = done("picketd", "-config", tmp_path / "none.json")
    assert status == 1 and "none.json: No such file or directory; fix: name a file or a directory that is there by -config" in said


@pytest.mark.parametrize("words, missing", [([], "from"), (["acme/api"], "to"), (["acme/api", "acme/db"], "the port"), (["-to", "acme/db"], "from")], ids=str)
def test_half_a_question_is_refused_before_picketd_is_asked(tmp_path, words, missing):
    status, _, said = done("picket", "-root", tmp_path, "explain", *words)
    assert status == 2 and f"{missing} is missing\nfix: picket policy explain" in said


def commands():
    """The words of each command."""
    listed = done("picket", "-help")[1].split("Commands:\n")[1].split("\n\n")[0]
    return [found[1].split() for found in re.finditer(r"^  ([a-z]+(?: [a-z]+)?)(?:$|  | [A-Z\[]| bash| --)", listed, re.M)]


def test_each_commands_help_fits_a_terminal_of_eighty_columns():
    named = commands()
    assert len(named) > 35 and ["policy", "rollout"] in named and ["tap"] in named and ["completion"] in named
    for words in [[], ["policy"], ["endpoint"], *named]:
        status, text, err = done("picket", *words, "-help")
        assert (status, err) == (0, "") and not [line for line in text.splitlines() if len(line) > 80], words
    assert not [line for line in done("picketd", "-help")[1].splitlines() if len(line) > 80]


def test_each_command_refuses_an_option_that_it_does_not_have():
    for words in commands():
        status, text, err = done("picket", *words, "-frobble")
        assert (status, text) == (2, "") and "-frobble" in err and "\nfix: picket " in err, words
