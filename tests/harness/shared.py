# SPDX-License-Identifier: Apache-2.0
"""A node for all tests of a file. What starts it takes longer than most of them; each has endpoints of its own."""
import contextlib

from .node import Node, NodeOptions


@contextlib.contextmanager
def shared_node(request, **fields):
    """For a fixture of module scope: with picketd, whose log is shown where a test failed meanwhile."""
    failed = request.session.testsfailed
    with Node("n1", NodeOptions(**fields)) as node:
        node.start_picketd()
        yield node
        if request.session.testsfailed > failed:
            print(f"--- picketd of {node.name}\n{node.log()[-4000:]}")


@contextlib.contextmanager
def two_of_a_tenant(node):
    """Two new endpoints of one namespace, gone afterwards."""
    a, b = node.add("acme", "api", "web"), node.add("acme", "db", "db")
    a.tables = node.tables
    yield a, b
    for alloc in (a, b):
        node.delete(alloc)
