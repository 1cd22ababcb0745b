# SPDX-License-Identifier: Apache-2.0
"""Nomad and Consul as picketd sees them: the few paths it asks, with blocking queries, and every way to fail."""
from .consul import FakeConsul
from .nomad import FakeNomad

__all__ = ["FakeConsul", "FakeNomad"]
