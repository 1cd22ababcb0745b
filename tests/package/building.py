# SPDX-License-Identifier: Apache-2.0
"""Builds what tests/package installs."""
import os
import shutil

import pytest

from harness.shell import TREE, build_dir, run

ENV = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}


def needs(*programs):
    missing = [name for name in programs if not shutil.which(name, path=ENV["PATH"])]
    if missing:
        pytest.skip(f"no {' nor '.join(missing)}; fix: scripts/install-deps")


def make_deb(part, *version, tree=None):
    """The folder below the build's where the package is then; its `tree` is what it was built in. tree: one of another build, which moves there."""
    needs("dpkg-buildpackage", "dh", "scdoc")
    where = os.path.join(build_dir(), "package", part)
    shutil.rmtree(where, ignore_errors=True)
    if tree:
        os.makedirs(where)
        os.rename(tree, os.path.join(where, "tree"))
    run([os.path.join(TREE, "packaging/make-deb"), where, *version], env={**ENV, "PK_KEEP_TREE": "1"}, timeout=900)
    return where


def make_tarball(tree=TREE, build=None, **env):
    """Its path."""
    needs("scdoc")
    said = run(["make", "-C", tree, "--no-print-directory", f"-j{len(os.sched_getaffinity(0))}", f"B={build or build_dir()}", "tarball"],
               env={**ENV, **env}, timeout=900)
    return said.stdout.split()[-1]
