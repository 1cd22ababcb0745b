# SPDX-License-Identifier: Apache-2.0
"""What is installed is built once, and so is the root of the machines."""
import os
import shutil
import sys

import pytest

from building import make_deb, make_tarball, needs
from harness.shell import TREE

sys.path.insert(0, os.path.join(TREE, "tests/kernel61"))

import parts  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="session")
def deb():
    where = make_deb("first")
    shutil.rmtree(os.path.join(where, "tree"))
    return where


@pytest.fixture(scope="session")
def again():
    """The same once more, from nothing."""
    return make_deb("and-the-second")


@pytest.fixture(scope="session")
def newer(again):
    """Only what has the version in it is built anew."""
    where = make_deb("newer", "9.9.9", tree=os.path.join(again, "tree"))
    shutil.rmtree(os.path.join(where, "tree"))
    return where


@pytest.fixture(scope="session")
def tarball():
    return make_tarball()


@pytest.fixture(scope="session")
def kernel_and_root():
    """(Debian's kernel, the image of a Debian in which everything is installed)"""
    needs("debootstrap")
    try:
        kernel = parts.kernel("amd64")
        return kernel, parts.root("amd64", kernel, [os.path.join(HERE, "packages")])
    except parts.Unfetched as why:
        pytest.skip(str(why))
