# SPDX-License-Identifier: Apache-2.0
"""Nomad and Consul as picketd sees them: the few paths it asks, with blocking queries, and every way to fail."""
import contextlib

from .consul import FakeConsul
from .nomad import FakeNomad

__all__ = ["FakeConsul", "FakeNomad", "serving"]


@contextlib.contextmanager
def serving(node, kind, *args):
    """One that listens within the node."""
    with node.inside():
        fake = kind(*args)
    try:
        yield fake
    finally:
        fake.stop()
