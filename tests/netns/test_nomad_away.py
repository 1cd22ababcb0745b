# SPDX-License-Identifier: Apache-2.0
"""
Nomad is gone while allocations end and start, and comes back: ADD and DEL go on, what runs is under its last verdicts, and all is in step again.
PICKET_AWAY says for how many seconds more it is gone, with an allocation that ends and one that starts every few; `make soak` has ten minutes.
"""
import os
import time
import uuid

import pytest
from fake import FakeNomad, serving
from harness.servers import QUICK
from harness.shell import wait_for
from test_picketd import ONLY_API, confirmed, in_step

GONE = {"hangs": "hang", "refuses": 500, "cuts": "cut"}
AWAY, EVERY = int(os.environ.get("PICKET_AWAY", "5")), 5		# seconds


class Jobs:
    """Allocations of a node as Nomad has them; while it is away it goes on placing."""

    def __init__(self, node, nomad):
        self.node, self.nomad = node, nomad

    def run(self, tenant, job):
        ident = str(uuid.uuid4())
        self.nomad.put(ident, tenant, job, "g")
        return self.node.add(tenant, job, "g", alloc_id=ident)

    def end(self, alloc):
        self.node.delete(alloc)
        self.nomad.remove(alloc.id)


@pytest.mark.parametrize("how", GONE)
def test_allocs_end_and_start_meanwhile(make_node, capsys, how):
    """P45: Nomad is away while allocs end and start: ADD and DEL work, verdicts stay, and all is in step soon after it is back."""
    node = make_node(conf={"mode": "process"})
    with serving(node, FakeNomad, "here") as nomad:
        config = {"nomad": {"address": nomad.address, "node": "here"}, "consul": None}
        node.start_picketd(config)
        node.policy("db.json", ONLY_API)
        wait_for(lambda: any(p["name"] == "db" for p in node.api("/v1/policies")["policies"]), "the document")
        jobs = Jobs(node, nomad)
        api, db, batch, ended = (jobs.run("acme", job) for job in ("api", "db", "batch", "api"))
        for alloc in api, db, batch, ended:
            confirmed(node, alloc, "yes")
        wait_for(lambda: api.pings(db, timeout=QUICK), "the open path")
        assert not batch.pings(db, timeout=QUICK)
        words = [node.tables.word(alloc.slot) for alloc in (api, db, batch)]
        nomad.set_mode(GONE[how])
        with nomad.changed:
            nomad.bump()
        late = [jobs.run("acme", "api"), jobs.run("beta", "api")]
        jobs.end(ended)
        assert not any(alloc.pings(db, timeout=QUICK) for alloc in late), "a claim that nobody confirms opens nothing, and no other tenant"
        assert api.pings(db) and not batch.pings(db, timeout=QUICK), "what runs is as it was"
        if how != "hangs":	# a question that waits is no silence for a minute
            wait_for(lambda: node.source("nomad")["state"] == "stale", "it to be said", 90)
        for _ in range(AWAY // EVERY):
            begun = time.monotonic()
            jobs.end(late.pop(0))
            late.insert(0, jobs.run("acme", "api"))
            assert api.pings(db) and not batch.pings(db, timeout=QUICK) and not late[0].pings(db, timeout=QUICK), "nothing of it changes with time"
            time.sleep(max(0, begun + EVERY - time.monotonic()))
        node.kill_picketd()
        node.start_picketd(config)
        late.append(jobs.run("acme", "api"))
        short = jobs.run("acme", "batch")
        jobs.end(short)
        assert api.pings(db) and not batch.pings(db, timeout=QUICK), "also from what is stored"
        assert [node.tables.word(alloc.slot)[0] for alloc in (api, db, batch)] == [word[0] for word in words]
        nomad.set_mode("ok")
        back = time.monotonic()
        for alloc in api, db, batch, *late:
            confirmed(node, alloc, "yes")
        wait_for(lambda: in_step(node), "all in step")
        with capsys.disabled():
            print(f" away for {AWAY} s more, in step {time.monotonic() - back:.1f} s after", end=" ")
        for alloc, reached in (api, True), (late[0], True), (late[2], True), (batch, False), (late[1], False):
            wait_for(lambda alloc=alloc, reached=reached: alloc.pings(db, timeout=QUICK) == reached, f"{alloc.id} {reached}")
        wait_for(lambda: node.api("/v1/status")["state"] == "ok", lambda: node.api("/v1/status")["reasons"], 60)
        assert {e["containerId"] for e in node.api("/v1/endpoints")["endpoints"]} == {a.id for a in (api, db, batch, *late)}
