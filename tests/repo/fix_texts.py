# SPDX-License-Identifier: Apache-2.0
"""Every text of the sources that says how to mend something."""
import re
import subprocess

from test_symptoms import LITERAL, ROOT, read

# The functions that take a fix, and which argument it is; "_fix" at a function's end: it returns some.
TAKES = {"pk_fix": 2, "check_line": 3, "pk_api_reason": 4, "pk_read_error": 3, "pk_read_warn": 2, "cli_fail": 2, "pk_exchange_error": 3,
         "import_refuse": 3, "import_loss": 3}
CALL = re.compile(rf"\b({'|'.join(TAKES)})\(")
SAID = re.compile(rf'{LITERAL}(?:\s*{LITERAL})*')
GIVEN = re.compile(rf'(?:\bfix\w*(?:\[\])? = |define \w*FIX\w*\s(?:\\\s)*|return )((?:\s*{LITERAL})+)')


def arguments(text, at):
    """Those of the call whose bracket is open at that place."""
    depth, begin, found = 1, at, []
    while depth:
        literal = re.compile(rf"{LITERAL}|'(?:\\.|[^'\\])+'").match(text, at)
        if literal:
            at = literal.end()
            continue
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(text[at], 0)
        if not depth or (depth == 1 and text[at] == ","):
            found.append(text[begin:at])
            begin = at + 1
        at += 1
    return found


def literals(code):
    """The texts in it; literals behind each other are one."""
    for run in SAID.finditer(code):
        yield "".join(re.findall(LITERAL, run[0])).replace('\\"', '"')


def of_file(name):
    text = re.sub(r"/\*.*?\*/", " ", read(name), flags=re.S)
    for call in CALL.finditer(text):
        given = arguments(text, call.end())
        if TAKES[call[1]] < len(given):
            yield from literals(given[TAKES[call[1]]])
    for given in GIVEN.finditer(text):
        if "return" not in given[0] or re.search(r"\w*fix\w*\([^;{]*\)\s*\{[^}]*$", text[:given.start()]):
            yield from literals(given[1])
    for said in literals(text):
        if "fix: " in said:
            yield said.split("fix: ", 1)[1]


def fixes():
    """{fix: the file that says it first}"""
    listed = subprocess.run(["git", "ls-files", "lib/*.[ch]", "controller/*.[ch]", "cni/*.[ch]", "cli/*.[ch]"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.split()
    found = {}
    for name in listed:
        for text in of_file(name):
            if len(text.strip(' %s.";\\n')) > 3:
                found.setdefault(text.removesuffix("\\n"), name)
    return found
