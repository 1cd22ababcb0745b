# SPDX-License-Identifier: Apache-2.0
"""Fixtures of every Python test: nodes that are gone afterwards, also when the test failed."""
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import Node, NodeOptions, Snapshot  # noqa: E402


def pytest_configure():
    # A run that is told to end takes its nodes along, as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs root: sudo make test"))


@pytest.fixture
def make_node(request):
    """make_node(name="n1", **NodeOptions fields): nodes that end with the test."""
    made = []

    def make(name="n1", **fields):
        node = Node(name, NodeOptions(**fields))
        made.append(node)
        return node

    yield make
    report = getattr(request.node, "report_call", None)
    for node in reversed(made):
        if report is not None and report.failed and node.log():
            print(f"--- picketd of {node.name}\n{node.log()[-4000:]}")
        node.close()


@pytest.fixture
def node(make_node):
    """One node with an uplink; nothing of Picket is loaded yet."""
    return make_node()


@pytest.fixture
def no_leaks():
    """no_leaks(node): what the node holds now must be what it holds at the test's end."""
    before = []
    yield lambda node, ignore=(): before.append((node, Snapshot(node), ignore))
    for node, snapshot, ignore in before:
        snapshot.assert_same(Snapshot(node), ignore)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, f"report_{call.when}", outcome.get_result())
