# SPDX-License-Identifier: Apache-2.0
"""Servers that the node's picketd asks; a test that wants more of one makes its own."""
import contextlib

import pytest

from fake import FakeConsul, FakeNomad
from harness.fabric import Fabric, consul_program


# Files that take minutes, most of them in waiting: they begin first, so that no lane works on one of them when the others are done.
LONGEST = {"test_variables_cluster", "test_cni_kill", "test_overlay_edges", "test_picketd", "test_cluster_keys", "test_hostile", "test_cni_again", "test_clock",
           "test_picketd_answers", "test_picketd_absence", "test_picketd_sources", "test_picketd_churn", "test_three_servers", "test_blocks", "test_cluster",
           "test_uplink_changes"}


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture
def consul_of():
    """Makes the Consul of a node."""
    with contextlib.ExitStack() as stack:
        def make(node):
            with node.inside():
                fake = FakeConsul()
            stack.callback(fake.stop)
            return fake
        yield make


@pytest.fixture
def consul(node, consul_of):
    return consul_of(node)


@pytest.fixture
def nomad(node):
    with node.inside():
        fake = FakeNomad()
    yield fake
    fake.stop()


@pytest.fixture(scope="module")
def fabric(tmp_path_factory):
    """What several nodes stand in, with a real Consul."""
    program = consul_program()
    if not program:
        pytest.skip("no Consul, and no Go to build one")
    base = tmp_path_factory.mktemp("fabric")
    base.chmod(0o755)
    made = Fabric(str(base), program)
    yield made
    made.close()
