# SPDX-License-Identifier: Apache-2.0
"""What scripts/lint-sizes calls a fault is one."""
import importlib.machinery
import importlib.util
import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def script(name):
    """A script without .py as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), os.path.join(ROOT, "scripts", name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def test_a_conditional_operator_inside_another_is_found():
    nested = script("lint-sizes").nested
    for text in ("x = a ? b : c ? d : e;", "x = a ? (b ? 1 : 2) : 3;", "f(a ? g(b ? 1 : 2) : 3);", "x = a\n\t? b\n\t: c ? d : e;"):
        assert len(list(nested(text))) == 1, text
    for text in ("x = a ? b : c; y = d ? e : f;", "f(a ? b : c, d ? e : f);", "x = a ?: b ?: c;", 'x = a ? "b ? c : d" : e; /* f ? g : h */',
                 "x = a ? b ?: c : d;"):
        assert not list(nested(text)), text


def test_the_length_of_a_function_is_its_lines():
    functions = script("lint-sizes").functions
    text = "static int f(int a,\n\t     int b)\n{\n\treturn a;\n}\n\nint g(void)\n{\n\tint x;\n\n\treturn x;\n}\n"
    assert list(functions(text.splitlines())) == [(1, "f", 1), (7, "g", 3)]


def test_a_comment_without_its_noun_is_found():
    riddles = script("lint-comments").riddles
    text = "/* Of the walk. */\nint a; /* Its end */\n\n/*\n * Whose it is\n * now.\n */\nchar *b = \"/* Who */\";\n/* The ends of it. */\n\t/* Its owner. */\n"
    assert [line for line, _ in riddles(text)] == [1, 4, 10]


def test_a_conditional_operator_inside_another_is_a_fault_in_tests_too(tmp_path):
    sizes = script("lint-sizes")
    for folder in ("tests", "lib"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.c").write_text("int f(int a)\n{\n\treturn a ? 1 : a + 1 ? 2 : 3;\n}\n", encoding="utf-8")
        soft, hard = [], []
        sizes.check(str(tmp_path / folder / "a.c"), soft, hard)
        assert not soft and len(hard) == 1 and hard[0].endswith("a.c:3: a conditional operator inside another")
