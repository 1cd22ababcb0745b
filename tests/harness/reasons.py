# SPDX-License-Identifier: Apache-2.0
"""The reasons of include/picket/reason.h, and the list of those that a test proved."""
import contextlib
import os
import re
import time

from .shell import TREE, Failed, wait_for


def _read():
    with open(os.path.join(TREE, "include/picket/reason.h"), encoding="utf-8") as file:
        rows = re.findall(r'X\((\d+),\s*\w+,\s*"([^"]+)",\s*([01]),', file.read())
    names = [name for _, name, _ in rows]
    if [int(number) for number, _, _ in rows] != list(range(len(rows))) or not rows:
        raise Failed("include/picket/reason.h: the list of reasons can't be read")
    return names, {name for _, name, built in rows if built == "1"}


REASONS, BUILT = _read()


def prove(name):
    """Note that this test saw the counter of reason `name` rise by what it sent."""
    if name not in REASONS:
        raise Failed(f"no reason is called {name}")
    path = os.environ.get("PK_PROVED")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(name + "\n")


def settled(tables, slot, pause=0.3):
    """Waits until what was sent has been counted: for a while no counter has risen."""
    before = None
    while before != (before := tables.counters(slot)):
        time.sleep(pause)


def quiet(alloc):
    """Ends what the stack of the allocation's netns says by itself; what it said until then is counted."""
    alloc.run(["sysctl", "-qw", "net.ipv6.conf.eth0.disable_ipv6=1"])
    settled(alloc.node.tables, alloc.slot)


@contextlib.contextmanager
def proving(tables, slot, direction, name, packets=1):
    """What happens inside must raise this one counter of the slot by exactly `packets`."""
    before = tables.counters(slot)
    yield
    # What crosses a veth may be judged a moment later.
    wait_for(lambda: tables.counted(slot, before).get((direction, name), 0) >= packets,
             lambda: f"{name}: counted {tables.counted(slot, before)}, not {packets} packets")
    seen = tables.counted(slot, before)
    if seen[direction, name] != packets:
        raise Failed(f"{name}: counted {seen}, not {packets} packets")
    prove(name)
