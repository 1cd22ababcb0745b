# SPDX-License-Identifier: Apache-2.0
"""Nodes, allocations, frames, tables and guests for the tests. tests/README.md shows how."""
from .alloc import Alloc
from .bpfmap import EGRESS, INGRESS, Tables
from .cni import CniError
from .frames import PacketSocket, Tap, VnetHeader
from .guest import Guest
from .leaks import Snapshot
from .node import Node, NodeOptions
from .reasons import BUILT, REASONS, prove, proving, quiet, settled
from .shell import Failed, binary, run, wait_for

__all__ = ["Alloc", "BUILT", "CniError", "EGRESS", "Failed", "Guest", "INGRESS", "Node",
           "NodeOptions", "PacketSocket", "REASONS", "Snapshot", "Tables", "Tap", "VnetHeader",
           "binary", "prove", "proving", "quiet", "run", "settled", "wait_for"]
