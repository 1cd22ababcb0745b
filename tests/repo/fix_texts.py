# SPDX-License-Identifier: Apache-2.0
"""Every text of the sources that says how to mend something."""
import re
import subprocess

from test_symptoms import LITERAL, ROOT, read

# A text that has a name of its own, in its file or in a header.
NAMED = re.compile(rf'#define (\w+)\s(?:\\\s)*({LITERAL})\s*\n')
# A function that takes a fix has a parameter of that name. These have none: which argument it is.
TAKES = {"pk_fix": 2, "import_refuse": 3, "import_loss": 3, "import_repair": 3}
TAKER = re.compile(r"(\w+)\(([^()]*\bconst char \*fix\b)")
SAID = re.compile(rf'{LITERAL}(?:\s*{LITERAL})*')
GIVEN = re.compile(rf'(?:\bfix\w*(?:\[\])? = |\bfix, sizeof\([^)]*\), |define (?:\w+_)?FIX(?:_\w+)?\s(?:\\\s)*|return )((?:\s*{LITERAL})+)')


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


def takers(text):
    """{function that is declared there: which argument is the fix}"""
    return {found[1]: found[2].count(",") for found in TAKER.finditer(text)}


def with_texts(code, named):
    """The code with each such name's text in its place, but for where it is defined."""
    return re.sub(r"(?<!#define )\b[A-Z]\w+\b", lambda found: named.get(found[0], found[0]), code)


def of_file(text, takes):
    for call in re.finditer(rf"\b({'|'.join(takes)})\(", text):
        given = arguments(text, call.end())
        if takes[call[1]] < len(given):
            yield from literals(given[takes[call[1]]])
    for given in GIVEN.finditer(text):
        if "return" not in given[0] or re.search(r"\w*fix\w*\([^;{]*\)\s*\{[^}]*$", text[:given.start()]):
            yield from literals(given[1])
    for said in literals(text):
        yield from re.split(r"(?:(?<!\w)|\\n)fix: ", said)[1:]


def fixes():
    """{fix: the file that says it first}"""
    listed = subprocess.run(["git", "ls-files", "lib/*.[ch]", "controller/*.[ch]", "cni/*.[ch]", "cli/*.[ch]"], cwd=ROOT, check=True,
                            capture_output=True, text=True).stdout.split()
    texts = {name: re.sub(r"/\*.*?\*/", " ", read(name), flags=re.S) for name in listed}
    headers = [code for name, code in texts.items() if name.endswith(".h")]
    declared, named, found = dict(TAKES), {}, {}
    for code in headers:
        declared |= takers(code)
        named |= {name: text for name, text, *_ in NAMED.findall(code)}
    for name, code in texts.items():
        code = with_texts(code, named | {name: text for name, text, *_ in NAMED.findall(code)})
        for text in of_file(code, declared | takers(code)):
            if len(text.strip(' %s.";\\n')) > 3 and not re.fullmatch(r"\w+:?", text):
                found.setdefault(text.removesuffix("\\n"), name)
    return found
