# SPDX-License-Identifier: Apache-2.0
"""A C file as tokens: comments, strings and preprocessor lines are never mistaken for code."""
import bisect
import re

LEXEMES = re.compile(rb"""
    (?P<blank>(?:\s|\\\r?\n)+ | /\*.*?\*/ | //[^\n]*)
  | (?P<text>"(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*')
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<mark><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)
""", re.X | re.S)
OPENING, CLOSING = {"(": ")", "[": "]", "{": "}"}, {")", "]", "}"}


class Token:
    """Text and place of one token; offsets are of bytes, as the compiler's are."""

    def __init__(self, text, start):
        self.text, self.start, self.end = text, start, start + len(text)


class Source:
    """A file's bytes, its tokens and its lines."""

    def __init__(self, data):
        self.data = data
        self.tokens = [Token(m.group().decode("latin-1"), m.start())
                       for m in LEXEMES.finditer(data) if m.lastgroup != "blank"]
        self.starts = [t.start for t in self.tokens]
        self.lines = [0] + [m.end() for m in re.finditer(rb"\n", data)]

    def index(self, offset):
        """The number of the token that begins at the offset; None where none does."""
        at = bisect.bisect_left(self.starts, offset)
        return at if at < len(self.starts) and self.starts[at] == offset else None

    def line(self, offset):
        return bisect.bisect_right(self.lines, offset)

    def partner(self, index):
        """The number of the token that closes the bracket at index; None where none does."""
        depth = 0
        for at in range(index, len(self.tokens)):
            text = self.tokens[at].text
            if text in OPENING:
                depth += 1
            elif text in CLOSING:
                depth -= 1
                if not depth:
                    return at
        return None

    def balanced(self, first, last):
        """Do the brackets of tokens first to last close one another?"""
        open_ones = []
        for token in self.tokens[first:last + 1]:
            if token.text in OPENING:
                open_ones.append(OPENING[token.text])
            elif token.text in CLOSING and (not open_ones or open_ones.pop() != token.text):
                return False
        return not open_ones
