# SPDX-License-Identifier: Apache-2.0
"""
What can be changed in a function, each change small enough to be one mistake of its author's:
a check that always or never holds, an operand of && or || that no longer counts, a comparison the
other way round, a bound moved by one.
"""
import hashlib

from tokens import Source
from tree import Reader, functions

# What a function returns that refuses: a check that always refuses is no mistake that hides.
REFUSALS = {"false", "NULL", "-", "reason", "r", "TC_ACT_SHOT", "pk_fail", "pk_wrap"}
FLIPPED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
MOVED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}


class Mutant:
    """One change of one file; its name is by content, so that it outlives a change elsewhere."""

    def __init__(self, file, function, what, source, edits):
        self.file, self.function, self.what = file, function, what
        self.edits = sorted(edits)
        self.line = source.line(self.edits[0][0])
        self.before, self.after = (self._lines(source, mutated) for mutated in (False, True))
        self.again = 0		# how many of the same content stand before it in its function

    def _text(self, data):
        for start, end, new in reversed(self.edits):
            data = data[:start] + new.encode() + data[end:]
        return data

    def _lines(self, source, mutated):
        first = source.lines[self.line - 1]
        stop = source.data.find(b"\n", self.edits[-1][1])
        stop = len(source.data) if stop < 0 else stop
        if not mutated:
            return source.data[first:stop].decode().split("\n")
        grown = sum(len(new) - (end - start) for start, end, new in self.edits)
        return self._text(source.data)[first:stop + grown].decode().split("\n")

    def apply(self, data):
        return self._text(data)

    def suites(self, side):
        return side.suites(self.file)

    @property
    def content(self):
        strip = lambda lines: tuple(line.strip() for line in lines)
        return self.file, self.function, strip(self.before), strip(self.after)

    def rank(self, seed):
        text = repr((seed, self.content, self.again))
        return hashlib.sha256(text.encode()).hexdigest()

    def diff(self):
        return "\n".join(["-" + line for line in self.before] + ["+" + line for line in self.after])


class Finder:
    """The mutants of one function."""

    def __init__(self, file, node, source):
        self.file, self.name, self.source = file, node["name"], source
        self.reader = Reader(file, node)
        self.found = []
        for child in node["inner"]:
            if child.get("kind") == "CompoundStmt":
                self.visit(child)

    def add(self, what, *edits):
        self.found.append(Mutant(self.file, self.name, what, self.source, edits))

    def visit(self, node):
        kind = node.get("kind")
        if kind == "StaticAssertDecl":
            return
        if kind == "IfStmt":
            self.check(node)
        elif kind == "ConditionalOperator":
            self.choice(node)
        elif kind == "BinaryOperator":
            self.operator(node)
        for child in node.get("inner", ()):
            self.visit(child)

    # Where a node's tokens are: numbers of its first and last one, or None.

    def first(self, node):
        at = self.reader.place(node["range"]["begin"]) if node.get("range", {}).get("begin") else None
        return self.source.index(at[0]) if at else None

    def last(self, node):
        at = self.reader.place(node["range"]["end"])
        index = self.source.index(at[0]) if at else None
        if index is None or at[1]:
            return index
        following = index + 1		# a macro's name: with its arguments, where it has any
        if self.source.tokens[following].text == "(":
            return self.source.partner(following)
        return index

    def operator_of(self, node):
        """The number of the token that is the binary operator."""
        first = self.first(node["inner"][1])
        if first and self.source.tokens[first - 1].text == node["opcode"]:
            return first - 1
        return None

    def wrap(self, what, first, last, rest):
        """(text) rest, around tokens first to last."""
        if first is None or last is None or first > last or not self.source.balanced(first, last):
            return
        start, end = self.source.tokens[first].start, self.source.tokens[last].end
        self.add(what, (start, start, "(("), (end, end, f") {rest})"))

    def replace(self, what, index, new):
        token = self.source.tokens[index]
        self.add(what, (token.start, token.end, new))

    # The changes.

    def check(self, node):
        index = self.first(node)
        if index is None or self.source.tokens[index].text != "if":
            return
        closing = self.source.partner(index + 1)
        self.wrap("a check never holds", index + 2, closing - 1, "&& 0")
        if not self.refuses(closing + 1):
            self.wrap("a check always holds", index + 2, closing - 1, "|| 1")

    def refuses(self, index):
        """Is the statement that begins with this token a return of a refusal?"""
        tokens = [token.text for token in self.source.tokens[index:index + 3]]
        tokens = tokens[1:] if tokens[0] == "{" else tokens
        return tokens[0] == "return" and (
            tokens[1] in REFUSALS or
            tokens[1].startswith("PK_REASON_") and tokens[1:3] != ["PK_REASON_OK", ";"])

    def choice(self, node):
        """cond ? a : b; a comparison as the condition has its own changes."""
        condition, first = node["inner"][0], self.first(node["inner"][1])
        while condition["kind"] in ("ParenExpr", "ImplicitCastExpr"):
            condition = condition["inner"][0]
        if first is None or self.source.tokens[first - 1].text != "?":
            return
        if condition["kind"] == "BinaryOperator" and condition["opcode"] in FLIPPED:
            return
        self.wrap("a choice never holds", self.first(node), first - 2, "&& 0")
        self.wrap("a choice always holds", self.first(node), first - 2, "|| 1")

    def operator(self, node):
        code = node["opcode"]
        at = self.operator_of(node)
        if at is None:
            return
        if code in ("&&", "||"):
            left, right = node["inner"]
            rest = "|| 1" if code == "&&" else "&& 0"
            if left.get("opcode") != code:	# of a && b && c, each on its own
                self.wrap("an operand doesn't count", self.first(left), at - 1, rest)
            self.wrap("an operand doesn't count", at + 1, self.last(right), rest)
        if code in FLIPPED:
            self.replace("a comparison is flipped", at, FLIPPED[code])
        if code in MOVED:
            self.replace("a bound is moved by one", at, MOVED[code])


def numbered(mutants):
    """Those of one place and one text are one; of the same text elsewhere each has its number."""
    seen, alike, result = set(), {}, []
    for mutant in sorted(mutants, key=lambda m: (m.file, m.edits)):
        place = (mutant.file, tuple(mutant.edits))
        if place in seen:
            continue
        seen.add(place)
        mutant.again = alike[mutant.content] = alike.get(mutant.content, -1) + 1
        result.append(mutant)
    return result


def mutants_of(dumps, wanted, read):
    """All mutants of the functions in the dumps, in the order of files and places."""
    sources, found = {}, []
    for dump in dumps:
        for file, node in functions(dump, wanted):
            if file not in sources:
                sources[file] = Source(read(file))
            found += Finder(file, node, sources[file]).found
    return numbered(found)
