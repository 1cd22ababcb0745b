# SPDX-License-Identifier: Apache-2.0
"""The version that scripts/version says, and that the binaries say."""
import os
import shutil
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("PICKET_BUILD", "build"))


@pytest.fixture
def tree(tmp_path):
    """A checkout with the script and the file VERSION; git(...) runs there."""
    os.mkdir(tmp_path / "scripts")
    shutil.copy(os.path.join(ROOT, "scripts/version"), tmp_path / "scripts/version")
    (tmp_path / "VERSION").write_text("1.2.3\n")

    def git(*words):
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=x", "-c", "user.email=x@y", *words], check=True,
                       capture_output=True)
    return tmp_path, git


def said(path):
    return subprocess.run([path / "scripts/version"], check=True, capture_output=True, text=True).stdout.strip()


def test_without_git_it_is_the_files(tree):
    path, _ = tree
    assert said(path) == "1.2.3"


def test_without_a_tag_it_is_the_files(tree):
    path, git = tree
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "x")
    assert said(path) == "1.2.3"


def test_with_a_tag_it_is_what_git_describes(tree):
    path, git = tree
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "x")
    git("tag", "-am", "x", "v2.0.0")
    assert said(path) == "2.0.0"
    git("commit", "--allow-empty", "-qm", "y")
    assert said(path).startswith("2.0.0-1-g")


def test_the_binaries_say_it():
    version = subprocess.run([os.path.join(ROOT, "scripts/version")], check=True, capture_output=True,
                             text=True).stdout.strip()
    told = {name: subprocess.run([os.path.join(BUILD, name), *word], capture_output=True, text=True, check=False)
            for name, word in (("picket", ["version"]), ("picketd", ["-version"]), ("picket-cni", []))}
    assert told["picket"].stdout.startswith(f"picket {version}, ")
    assert told["picketd"].stdout == f"picketd {version}\n"
    assert f"CNI picket plugin v{version}\n" in told["picket-cni"].stdout + told["picket-cni"].stderr


def test_the_version_is_looked_at_in_each_build():
    """What says the version is compiled again when it changes: the rule must run whatever is there already."""
    said = subprocess.run(["make", "-n", f"B={BUILD}", f"{BUILD}/gen/version"], cwd=ROOT, check=True, capture_output=True, text=True)
    assert "cmp -s" in said.stdout, said.stdout
