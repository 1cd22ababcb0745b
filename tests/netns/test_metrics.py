# SPDX-License-Identifier: Apache-2.0
"""GET /metrics and /v1/health, on the socket and on the network."""
import contextlib
import http.client
import json
import os
import select
import signal
import socket

import pytest
from fake import FakeNomad, serving
from harness import CniError
from harness.cost import Cost
from harness.metrics import Metrics, scrape, table
from harness.servers import QUICK
from harness.shell import wait_for

WORK_MAX_MS = 250           # five times what the bench holds (R7), for a machine that does other things too


@pytest.fixture
def processes(make_node):
    """Process mode: a ping in the alloc's netns is the endpoint's own traffic."""
    return make_node(conf={"mode": "process"})


def job(metrics, namespace, name, direction="egress", verdict="allowed", what="packets"):
    return metrics.get(f"picket_job_{what}_total", namespace=namespace, nomad_job=name, direction=direction, verdict=verdict)


def jobs(metrics):
    return {(s["namespace"], s["nomad_job"]) for s in metrics.series("picket_job_packets_total")}


def test_each_metric_of_the_table_is_there(processes):
    """With its type and exactly its labels, and nothing that the table doesn't have."""
    node = processes
    with serving(node, FakeNomad, "here") as nomad:
        node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
        node.policy("bad.json", "{")
        node.add("acme", "api", "web")
        wait_for(lambda: scrape(node).get("picket_policy_documents", state="refused") == 1, "the refusal")
        wait_for(lambda: scrape(node).get("picket_source_up", source="nomad") == 1, "Nomad")
        metrics = scrape(node)
    wanted = table()
    assert len(wanted) > 30 and metrics.types == {name: kind for name, (kind, _) in wanted.items()}
    for name, (kind, labels) in wanted.items():
        series = metrics.series(name + ("_count" if kind == "histogram" else ""))
        assert series and all(sorted(s) == sorted(labels) for s in series), name
    assert metrics.get("picket_status_reasons", what="policy") == 1
    assert metrics.get("picket_status", state="degraded") == 1 and metrics.get("picket_status", state="ok") == 0
    status = node.api("/v1/status")
    for use in status["tables"]:
        assert metrics.get("picket_table_max_entries", table=use["name"]) == use["size"]
    assert metrics.get("picket_endpoints", state="open") == status["endpoints"]["open"] == 1


def test_packets_by_reason_and_by_job(processes):
    """As the counters have them. An endpoint that goes takes no packet with it, and its job's series goes with the last."""
    node = processes
    node.start_picketd()
    a, b = node.add("acme", "api", "web"), node.add("acme", "db", "pg")
    other = node.add("bank", "ledger", "g")
    assert a.pings(b) and not a.pings(other, timeout=QUICK)

    def as_counted():
        metrics, rows = scrape(node), node.api("/v1/counters")["counters"]
        sums = {}
        for row in rows:
            key = (row["direction"], row["reason"])
            packets, size = sums.get(key, (0, 0))
            sums[key] = (packets + row["packets"], size + row["bytes"])
        own = [r for r in node.api(f"/v1/counters?slot={a.slot}")["counters"] if r["direction"] == "egress"]
        passed, denied = (sum(r["packets"] for r in own if (r["reason"] == "ok") == ok) for ok in (True, False))
        return passed and denied and {("acme", "api"), ("acme", "db"), ("bank", "ledger")} == jobs(metrics) and \
            (job(metrics, "acme", "api"), job(metrics, "acme", "api", verdict="denied")) == (passed, denied) and all(metrics.get("picket_packets_total", direction=d, reason=r) == packets and
                   metrics.get("picket_bytes_total", direction=d, reason=r) == size
                   for (d, r), (packets, size) in sums.items()) and metrics
    metrics = wait_for(as_counted, "the counters' own numbers")
    assert metrics.get("picket_packets_total", direction="egress", reason="policy-denied") > 0

    before = metrics.get("picket_packets_total", direction="egress", reason="ok")
    node.delete(a)
    wait_for(lambda: ("acme", "api") not in jobs(scrape(node)), "the series' end")
    wait_for(lambda: not node.tables.word(a.slot)[0] and len(node.api("/v1/endpoints")["endpoints"]) == 2, "the end")
    assert scrape(node).get("picket_packets_total", direction="egress", reason="ok") >= before
    again = node.add("acme", "api", "web")
    metrics = wait_for(lambda: ("acme", "api") in jobs(m := scrape(node)) and m, "the new series")
    assert again.slot == a.slot or job(metrics, "acme", "api") == 0
    assert metrics.get("picket_packets_total", direction="egress", reason="ok") >= before


def test_a_new_picketd_counts_from_zero(processes):
    """Else what it finds would be a leap after what looks like a start."""
    node = processes
    node.start_picketd()
    a, b = node.add("acme", "api", "web"), node.add("acme", "api", "web")
    assert a.pings(b)
    wait_for(lambda: job(scrape(node), "acme", "api"), "the count")
    node.kill_picketd()
    wait_for(lambda: node.start_picketd(), "a new one")
    # The records' times have whole seconds: what was attached in the second of the start may count.
    metrics = wait_for(lambda: ("acme", "api") in jobs(m := scrape(node)) and m, "its series")
    at_start = job(metrics, "acme", "api")
    assert a.pings(b)
    wait_for(lambda: job(scrape(node), "acme", "api") > at_start, "what came since")


def test_names_of_tenants_are_escaped(processes):
    """A job's name can end no value and no line, and what is no UTF-8 takes no answer away."""
    node = processes
    hostile = 'a"} 1\npicket_status{state="ok"} 1\\'
    with serving(node, FakeNomad, "here") as nomad:
        node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
        alloc = "11111111-2222-3333-4444-555555555555"
        nomad.put(alloc, "acme", hostile, "g")
        node.add("acme", None, "g", alloc_id=alloc)
        metrics = wait_for(lambda: ("acme", hostile) in jobs(m := scrape(node)) and m, "its series")
        assert job(metrics, "acme", hostile) is not None
        assert len(metrics.series("picket_status")) == 3


def test_verbs_of_the_plugin(node):
    """Counted by the plugin itself, whether picketd runs or not; with the code of what failed."""
    first = node.add("acme", "api", "web")
    with pytest.raises(CniError) as failed:
        node.cni("ADD", "no-such-netns", "/run/netns/none", args="IgnoreUnknown=true")
    code = str(failed.value.code)
    node.check(first)
    node.delete(first)
    node.start_picketd()
    metrics = scrape(node)
    assert metrics.get("picket_cni_begun_total", verb="ADD") == 2
    assert metrics.get("picket_cni_failed_total", verb="ADD", code=code) == 1
    assert sum(v for (name, _), v in metrics.samples.items() if name == "picket_cni_failed_total") == 1
    for verb, n in (("ADD", 2), ("DEL", 1), ("CHECK", 1)):
        assert metrics.get("picket_cni_duration_seconds_count", verb=verb) == n
        assert metrics.get("picket_cni_duration_seconds_bucket", verb=verb, le="+Inf") == n
        assert metrics.get("picket_cni_duration_seconds_sum", verb=verb) > 0
    node.kill_picketd()
    node.add("acme", "api", "web")
    node.start_picketd()
    assert scrape(node).get("picket_cni_begun_total", verb="ADD") == 3


def test_pools(node):
    node.start_picketd()
    node.add("acme", "api", "web")
    metrics = scrape(node)
    (pool,) = metrics.series("picket_pool_addresses")
    assert metrics.get("picket_pool_addresses", **pool) == 253
    wait_for(lambda: scrape(node).get("picket_pool_used_addresses", **pool) == 1, "the address")


# -- health

def health(node):
    """(HTTP status, answer)"""
    connection = socket.socket(socket.AF_UNIX)
    with contextlib.closing(connection):
        connection.connect(node.path("run/picket/picketd.sock"))
        connection.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, json.loads(answer.read())


def agrees(node, status, state):
    answer = health(node)
    shown = node.api("/v1/status")
    told = node.picket("status", check=False)
    metrics = scrape(node)
    return answer[0] == status and answer[1]["state"] == shown["state"] == state and \
        answer[1]["reasons"] == shown["reasons"] and told.returncode == ["ok", "degraded", "failing"].index(state) and \
        metrics.get("picket_status", state=state) == 1


def test_health_is_what_status_says(node):
    node.start_picketd()
    wait_for(lambda: agrees(node, 200, "ok"), "well")
    node.policy("bad.json", "{")
    wait_for(lambda: agrees(node, 200, "degraded"), "degraded, and well for a probe")
    node.policy("bad.json", None)
    node.add("acme", "api", "web")
    wait_for(lambda: agrees(node, 200, "ok"), "well again")
    bpffs = node.root + "/sys/fs/bpf"
    node.run(["umount", bpffs])
    node.run(["mount", "-t", "bpf", "bpf", bpffs])
    node.add("acme", "api", "web")
    wait_for(lambda: agrees(node, 503, "failing"), "failing", 60, 0.2)
    assert [r for r in health(node)[1]["reasons"] if r["what"] == "enforcement" and r["fix"]]


# -- the network

LISTEN = ("127.0.0.1", 4680)


def ask(node, path="/metrics", method="GET", address=LISTEN):
    """(status, text) as somebody on the node gets it over TCP."""
    with node.inside(), contextlib.closing(http.client.HTTPConnection(*address, timeout=30)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def listening(node, address=LISTEN):
    return node.run(["ss", "-ltnH", f"sport = :{address[1]}"]).stdout.strip()


def configured(listen):
    return {"nomad": None, "consul": None, "http": {"listen": listen}}


def reload(node, config):
    node.write_config(config)
    before = node.log().count("op=reload")
    node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: node.log().count("op=reload") > before, "the reload")


def test_the_network_hears_nothing_until_it_is_told(node):
    node.start_picketd()
    assert not node.run(["ss", "-ltnH"]).stdout.strip()
    reload(node, configured("127.0.0.1:4680"))
    assert Metrics(ask(node)[1]).get("picket_status", state="ok") == 1
    reload(node, configured("[::1]:4681"))
    assert not listening(node) and ask(node, address=("::1", 4681))[0] == 200
    reload(node, configured(None))
    assert not node.run(["ss", "-ltnH"]).stdout.strip()


def test_the_network_gets_two_paths_and_changes_nothing(node):
    """Root there is nobody."""
    node.start_picketd(configured("127.0.0.1:4680"))
    status, text = ask(node)
    assert status == 200 and Metrics(text).types["picket_status"] == "gauge"
    assert json.loads(ask(node, "/v1/health")[1]) == health(node)[1]
    for path in ("/v1/status", "/v1/world", "/v1/config", "/v1/flows?follow=1", "/v1/endpoints", "/", "/metrics/x", "/v1/policies/x"):
        status, text = ask(node, path)
        assert status == 404 and "socket" in json.loads(text)["fix"], path
    for method, path in (("POST", "/v1/reload"), ("POST", "/v1/policies/release")):
        assert ask(node, path, method)[0] == 404
    for method in ("POST", "PUT", "DELETE"):
        assert ask(node, "/metrics", method)[0] == 405
    assert "op=reload" not in node.log()


def test_many_clients_of_the_network_are_no_matter(node):
    """Sixteen hold connections, the others are told; root, readers and the plugin have theirs as before."""
    node.start_picketd(configured("127.0.0.1:4680"))
    node.add("acme", "warm", "up")
    cost = Cost(node)
    held = []
    try:
        with node.inside():
            for _ in range(64):
                held.append(socket.create_connection(LISTEN, timeout=30))
        turned = wait_for(lambda: len(t := select.select(held, [], [], 0)[0]) >= 48 and t, "48 that are told")
        assert len(turned) == 48 and all(c.recv(100).startswith(b"HTTP/1.1 503 ") for c in turned)
        node.api("/v1/status")
        node.add("acme", "job", "g")
        assert cost.memory < 8 << 20
    finally:
        for connection in held:
            connection.close()
    wait_for(lambda: answered(node), "a place that became free")


def answered(node):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return ask(node)[0] == 200


def test_who_asks_all_the_time_gets_what_is_there(node):
    """Those who come together get one answer, and picketd serves the others meanwhile."""
    node.start_picketd(configured("127.0.0.1:4680"))
    connections = []
    with node.inside():
        for _ in range(8):
            connections.append(socket.create_connection(LISTEN, timeout=30))
    for _ in range(5):
        os.kill(node.picketd.pid, signal.SIGSTOP)		# they come together
        for connection in connections:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        os.kill(node.picketd.pid, signal.SIGCONT)
        texts = set()
        for connection in connections:
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            texts.add(answer.read())
        assert len(texts) <= 2
    for connection in connections:
        connection.close()
    # One that goes while its answer is made takes nothing with it.
    for _ in range(20):
        with node.inside(), socket.create_connection(LISTEN, timeout=30) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_for(lambda: ask(node)[0] == 200, "a place for one more", 30)
    assert node.picketd.poll() is None


def test_an_address_that_is_taken_is_a_reason(node):
    with node.inside():
        taken = socket.create_server(LISTEN)
    node.start_picketd(configured("127.0.0.1:4680"))
    (reason,) = [r for r in node.api("/v1/status")["reasons"] if r["what"] == "http"]
    assert "127.0.0.1 port 4680" in reason["text"] and "listen" in reason["fix"]
    taken.close()
    wait_for(lambda: listening(node) and not node.api("/v1/status")["reasons"], "the port")
    assert ask(node)[0] == 200


def test_a_scrape_of_many_endpoints_holds_nobody(processes):
    """Each turn of it is short, and what it says of all of them is right."""
    node = processes
    node.start_picketd({"nomad": None, "consul": None, "capacity": {"endpoints": 256}})
    many = [node.new_netns(f"many{i}") for i in range(2)]
    for i in range(60):
        alloc = many[i % 2]
        node.cni("ADD", alloc.id, alloc.path, ifname=f"e{i}", args=node.cni_args(alloc.id, f"t{i % 40}", f"job{i}", "g"))
    wait_for(lambda: scrape(node).get("picket_endpoints", state="open") == 60, "all of them", 90)
    for _ in range(10):
        metrics = scrape(node)
    assert len(jobs(metrics)) == 60
    assert Cost(node).turns.cpu_ms <= WORK_MAX_MS
