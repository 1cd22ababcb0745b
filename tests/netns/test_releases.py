# SPDX-License-Identifier: Apache-2.0
"""
A rolling upgrade: nodes of two releases whose tables have another layout, side by side on a fabric. The release before is
in the cache where `scripts/release-before` has built it, which `make test` and `make soak` do, from a history that has it.
"""
import os
import signal
import subprocess

import pytest
from harness.fabric import made_cluster
from harness.servers import QUICK, pings
from harness.shell import TREE, build_dir, wait_for
from harness.tenants import Tenants
from test_connectivity import Echo
from test_upgrade import Traffic

LAYOUT = "maps have layout"


@pytest.fixture(name="before", scope="module")
def before_fixture():
    found = subprocess.run([os.path.join(TREE, "scripts/release-before"), "-cached"], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(found.stderr.strip())
    return found.stdout.strip()


@pytest.fixture(name="cluster")
def cluster_fixture(request, fabric):
    with made_cluster(request.node.name, fabric) as made:
        yield made


def layout(node):
    return node.api("/v1/status")["enforcement"]["layout"]


def install(cluster, node, build):
    """As a package does: the programs are exchanged, picketd is started again; what is loaded stays."""
    if node.picketd:
        node.kill_picketd(signal.SIGTERM)
    node.options.build = build
    node.start_picketd(cluster.config(node))


def boot(cluster, node, build):
    """It boots, and has the other release then."""
    node.kill_picketd(signal.SIGTERM)
    node.stop_all()
    node.start()
    cluster.rejoin(node)
    node.options.build = build
    node.start_picketd(cluster.config(node))


class Across:
    """Questions from one node's VM to the other's and back, and what each guard counted meanwhile."""

    def __init__(self, a, b):
        self.ends = a, b
        self.echoes = [Echo(end.inside()) for end in self.ends]
        self.traffic = [Traffic(a, b.address()), Traffic(b, a.address())]
        self.counted = {}

    def __enter__(self):
        self.counted = {end: [end.node.tables.counters(slot) for slot in (0, end.slot)] for end in self.ends}
        for each in self.traffic:
            each.start()
        return self

    def seen(self):
        return {f"{end.node.name} slot {slot}": end.node.tables.counted(slot, was)
                for end, counters in self.counted.items() for slot, was in zip((0, end.slot), counters)}

    def goes_on(self):
        asked = [each.sent for each in self.traffic]
        wait_for(lambda: all(each.sent > n + 100 for each, n in zip(self.traffic, asked)), "traffic to go on")

    def __exit__(self, kind, *_):
        for each in self.traffic:
            each.end()
        for echo in self.echoes:
            echo.close()
        if kind is None:
            lost = [(each.sent, each.lost) for each in self.traffic]
            assert all(sent > 200 and not n for sent, n in lost), (lost, self.seen())


def both(a, b):
    return all(pings(x, y.address(f), QUICK) for x, y in ((a, b), (b, a)) for f in (4, 6))


def place(tenants, node, tenant, job):
    return tenants.add(node.add(tenant, job, "web"), tenant)


def test_exchanged_in_place_beside_another_release(cluster, before):
    """Where the tables are another release's, the picketd that is started says so and leaves everything as it is, for as long as it runs."""
    one, two = cluster.nodes
    install(cluster, one, before)
    install(cluster, two, build_dir())
    assert layout(one) < layout(two)
    tenants = Tenants(cluster)
    try:
        a, b = place(tenants, one, "acme", "api"), place(tenants, two, "acme", "db")
        place(tenants, two, "other", "x")
        wait_for(lambda: both(a, b), "the two releases to reach each other", 90)
        with Across(a, b) as across:
            for node, other, was in ((one, build_dir(), before), (two, before, build_dir())):
                install(cluster, node, other)
                wait_for(lambda node=node: any(LAYOUT in r["text"] for r in node.api("/v1/status")["reasons"]), f"{node.name} to say that it must boot")
                across.goes_on()
                install(cluster, node, was)
                wait_for(lambda node=node: node.api("/v1/status")["state"] == "ok", lambda node=node: node.api("/v1/status")["reasons"])
                across.goes_on()
    finally:
        tenants.stop()
    assert tenants.crossed == [] and tenants.within and tenants.sent > 100


def test_node_by_node_and_back(cluster, before):
    """A rolling upgrade as docs/operations.md has it, and the way back: drained, booted with the other release, in use again."""
    one, two = cluster.nodes
    install(cluster, one, before)
    install(cluster, two, before)
    tenants = Tenants(cluster)
    try:
        vms = [place(tenants, node, "acme", "api") for node in cluster.nodes]
        place(tenants, two, "other", "x")
        wait_for(lambda: both(*vms), "the nodes to reach each other", 90)
        for node, build in ((one, build_dir()), (two, build_dir()), (one, before)):
            i = cluster.nodes.index(node)
            tenants.drop(vms[i])
            boot(cluster, node, build)
            tenants.watch(cluster.fabric.node.net, f"p{i + 1}", tenants.stopped)
            vms[i] = place(tenants, node, "acme", "api")
            place(tenants, node, "other", "x")
            wait_for(lambda: both(*vms), lambda build=build: f"the nodes to reach each other beside {build}", 90)
            wait_for(lambda node=node: node.api("/v1/status")["state"] == "ok", lambda node=node: node.api("/v1/status")["reasons"], 59)
        assert layout(one) < layout(two)
    finally:
        tenants.stop()
    assert tenants.crossed == [] and tenants.within and tenants.sent > 100
