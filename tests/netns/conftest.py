# SPDX-License-Identifier: Apache-2.0
"""Servers that the node's picketd asks; a test that wants more of one makes its own."""
import pytest

from fake import FakeConsul, FakeNomad


@pytest.fixture
def consul(node):
    with node.inside():
        fake = FakeConsul()
    yield fake
    fake.stop()


@pytest.fixture
def nomad(node):
    with node.inside():
        fake = FakeNomad()
    yield fake
    fake.stop()
