# SPDX-License-Identifier: Apache-2.0
"""Services that the operator declared: instances that a catalogue lists open what a policy's toServices names, and
nothing else that anybody registers opens anything."""
import contextlib
import json
import os
import signal
import socket
import uuid

import pytest
from fake import FakeConsul, FakeNomad, serving
from harness.fabric import made_cluster
from harness.servers import QUICK
from harness.shell import wait_for

PG = {"name": "pg", "within": ["10.9.0.0/24"], "tenants": ["acme"]}
TO_PG = {"namespace": "acme", "rules": [{"endpointSelector": {}, "egress": [
    {"toServices": [{"name": "pg"}], "toPorts": [{"ports": [{"port": "5432", "protocol": "TCP"}]}]}]}]}


def service(node, name="pg"):
    (found,) = [s for s in node.api("/v1/services")["services"] if s["name"] == name]
    return found


def states(node, name="pg"):
    return {i["address"]: i["state"] for i in service(node, name)["instances"]}


def why(node, address, name="pg"):
    return next(i["why"] for i in service(node, name)["instances"] if i["address"] == address)


def config(consul, *services, **more):
    return {"nomad": None, "consul": {"address": consul.address}, "services": list(services or [PG]), **more}


def opens(node, alloc, address, port="5432/tcp"):
    """As documents, compiled rule sets and the tables that the guard reads say; all must agree."""
    def agreed():
        done = node.picket("policy", "explain", alloc.id[:8], f"world:{address}", port, check=False)
        return done if done.returncode in (0, 1) else None
    return wait_for(agreed, "documents and tables that agree").returncode == 0


def counts(node, n, name="pg"):
    wait_for(lambda: service(node, name)["counts"] == n, lambda: f"{n} instances of {name}: {service(node, name)}")


def journal(node):
    node.written()
    with open(os.path.join(node.root, "var/log/picket/policy.jsonl"), encoding="utf-8") as file:
        return [(e["event"], e["path"]) for e in map(json.loads, file) if e["source"].endswith("/services")]


@contextlib.contextmanager
def declared(node, *services, document=TO_PG, **more):
    """A fake Consul, picketd that asks it, and an endpoint of acme under that document."""
    with serving(node, FakeConsul) as consul:
        consul.list_service("pg", ("pg-1", "10.9.0.5", 5432, "passing"))
        node.policy("pg.json", document)
        node.start_picketd(config(consul, *services, **more))
        yield consul, node.add("acme", "api", "web")


def test_an_instance_opens_its_address_and_nothing_else(node):
    with declared(node) as (consul, a):
        counts(node, 1)
        assert opens(node, a, "10.9.0.5")
        assert not opens(node, a, "10.9.0.5", "22/tcp")
        assert not opens(node, a, "10.9.0.6")
        assert not opens(node, node.add("other", "api", "web"), "10.9.0.5")    # its baseline has protected addresses closed
        consul.list_service("pg", ("pg-1", "10.9.0.5", 5432, "passing"), ("pg-2", "10.9.0.6", 5432, "warning"))
        counts(node, 2)
        assert opens(node, a, "10.9.0.6")
        assert node.api("/v1/status")["state"] == "ok"
        listed = node.picket("service", "list").stdout
        assert "10.9.0.5:5432, 10.9.0.6:5432" in listed
        shown = node.picket("policy", "explain", a.id[:8], "world:10.9.0.6", "5432/tcp").stdout
        assert "declared service pg" in shown
        assert 'picket_service_instances{state="counts"} 2' in node.api_text("/metrics")
        consul.list_service("pg", ("pg-2", "10.9.0.6", 5432, "passing"))        # one goes: at once
        counts(node, 1)
        assert not opens(node, a, "10.9.0.5") and opens(node, a, "10.9.0.6")
        assert journal(node) == [("came", "10.9.0.5"), ("came", "10.9.0.6"), ("went", "10.9.0.5")]


def test_show_names_the_service_that_is_meant(node):
    """Of two declared by one name the document's is the one that its namespace may mean."""
    with declared(node, PG, {**PG, "namespace": "infra", "within": ["10.9.7.0/24"]}) as (consul, _):
        consul.list_service("pg", ("pg-1", "10.9.0.5", 5432, "passing"), ("pg-7", "10.9.7.5", 5432, "passing"))
        shown = wait_for(lambda: [line for line in node.picket("policy", "show", "pg").stdout.splitlines() if "10.9." in line], "an instance")
        assert [line.strip() for line in shown] == ["declared service pg: 10.9.0.5"]


def connects(alloc, address):
    """Whether a TCP connection to 5432 comes about; a denial is silence, or refused by the node."""
    with alloc.inside(), socket.socket() as client:
        client.settimeout(QUICK)
        return client.connect_ex((address, 5432)) == 0


def test_packets_reach_an_instance_and_no_other_address(make_node):
    """By real stacks: a server at a registered address is reached, one beside it isn't; the path closes with it."""
    node = make_node(conf={"mode": "process"})
    with declared(node) as (consul, a), contextlib.ExitStack() as stack:
        for address in ("10.9.0.5", "10.9.0.6"):
            node.world.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"])
            with node.world.inside():
                server = stack.enter_context(socket.create_server((address, 5432)))
            server.listen(16)
        counts(node, 1)
        assert opens(node, a, "10.9.0.5")
        wait_for(lambda: connects(a, "10.9.0.5"), "a connection")
        assert not connects(a, "10.9.0.6")
        consul.list_service("pg", ("pg-2", "10.9.0.6", 5432, "passing"))
        counts(node, 1)
        wait_for(lambda: states(node) == {"10.9.0.6": "counts"}, "the other instance")
        assert opens(node, a, "10.9.0.6")
        wait_for(lambda: connects(a, "10.9.0.6"), "a connection")
        assert not connects(a, "10.9.0.5")


def test_a_false_registration_opens_nothing(node):
    """Whoever may write to the catalogue: an address elsewhere, an endpoint's of another tenant, an unknown one of the
    pools, this node's own, a name."""
    with declared(node, {**PG, "within": ["10.9.0.0/24", "10.40.0.0/16", "192.0.2.0/24"]}) as (consul, a):
        victim = node.add("victim", "db", "db")
        false = {"10.8.0.5": "outside of", victim.address(): "of an endpoint", "10.40.7.250": "the cluster's pools",
                 "192.0.2.2": "this node's own", "db.example.com": "no IP address"}
        consul.list_service("pg", ("pg-1", "10.9.0.5", 5432, "passing"),
                            *((f"_nomad-task-{victim.id}-group-db-pg-{i}", address, 5432, "passing")
                              for i, address in enumerate(false)))
        wait_for(lambda: len(states(node)) == 6, "all that is registered")
        assert states(node) == {"10.9.0.5": "counts", **{address: "refused" for address in false}}
        for address, reason in false.items():
            assert reason in why(node, address)
        assert service(node)["counts"] == 1 and opens(node, a, "10.9.0.5")
        assert not opens(node, a, "10.8.0.5")
        assert not a.pings(victim, timeout=1)
        (reason,) = node.reasons("services")
        assert "5 instances of service pg are not counted" in reason["text"] and "picket service list" in reason["fix"]


def test_without_a_declaration_the_catalogue_is_not_asked(node):
    with declared(node, {**PG, "name": "other"}) as (consul, a):
        assert not opens(node, a, "10.9.0.5")
        assert consul.count("/v1/health/") == 0         # nobody names "other", and "pg" isn't declared
        assert service(node, "other")["state"] == "idle"
        unresolved = node.picket("policy", "show", "pg").stdout
        assert 'no endpoint registers service "pg"' in unresolved


def test_a_tenant_that_is_not_listed_opens_nothing(node):
    with declared(node, {**PG, "tenants": ["shop"]}) as (_, a):
        counts(node, 1)
        assert not opens(node, a, "10.9.0.5")
        assert "doesn't list this namespace" in node.picket("policy", "show", "pg").stdout


def test_critical_is_out_and_all_critical_is_held(node):
    """As Consul's DNS has it, passing and warning count. Checks that all fail at once are as likely the checker's fault."""
    with declared(node) as (consul, a):
        counts(node, 1)
        consul.list_service("pg", *((f"pg-{i}", f"10.9.0.{i}", 5432, "passing") for i in (5, 6, 7)))
        counts(node, 3)
        consul.list_service("pg", *((f"pg-{i}", f"10.9.0.{i}", 5432, "critical" if i == 7 else "passing") for i in (5, 6, 7)))
        counts(node, 2)
        assert not opens(node, a, "10.9.0.7") and states(node)["10.9.0.7"] == "critical"
        consul.list_service("pg", *((f"pg-{i}", f"10.9.0.{i}", 5432, "critical") for i in (5, 6, 7)))
        wait_for(lambda: states(node)["10.9.0.5"] == "held", lambda: f"what is held: {states(node)}")
        assert opens(node, a, "10.9.0.5") and opens(node, a, "10.9.0.6") and not opens(node, a, "10.9.0.7")


def test_a_wiped_catalogue_is_held_until_it_is_back_or_released(node):
    with declared(node) as (consul, a):
        two = ("pg-1", "10.9.0.5", 5432, "passing"), ("pg-2", "10.9.0.6", 5432, "passing")
        consul.list_service("pg", *two)
        counts(node, 2)
        consul.list_service("pg")
        wait_for(lambda: set(states(node).values()) == {"held"}, "held instances")
        assert opens(node, a, "10.9.0.5")
        (reason,) = node.reasons("services")
        assert "lost all that it had" in reason["text"] and "picket policy release services" in reason["fix"]
        consul.list_service("pg", *two)
        wait_for(lambda: set(states(node).values()) == {"counts"} and not node.reasons("services"), "what is back")
        consul.list_service("pg")
        wait_for(lambda: set(states(node).values()) == {"held"}, "held instances")
        node.picket("policy", "release", "services")
        counts(node, 0)
        assert not opens(node, a, "10.9.0.5")
        assert node.picket("policy", "release", "services", check=False).returncode == 1


HUGE = b"[" + b",".join([b'{"Service": {"ID": "x", "Address": "10.9.0.9"}}'] * 2000) + b"]"
ODD = {"the servers have no leader": ("leader", False), "may not see all": ("filters", True), "without an index": ("indexes", False),
       "byte 1: an answer of another kind": ("odd", b'{"pg": []}'), "byte 3": ("odd", b"[{]"), "more than 1024": ("odd", HUGE),
       "status 500": ("mode", 500)}


def test_a_catalogue_that_says_nothing_changes_nothing(node):
    with declared(node) as (consul, a):
        counts(node, 1)
        pg = consul.services["pg"]
        for said, (what, value) in ODD.items():
            before = getattr(consul, what)
            if isinstance(value, bytes):
                value = 200, {"Content-Type": "application/json", "X-Consul-Index": "99"}, value
            with consul.changed:
                setattr(consul, what, value)
            consul.list_service("pg")           # it would be gone
            wait_for(lambda s=said: s in (service(node)["lastError"] or ""), lambda s=said: f"{s}: {service(node)}")
            assert service(node)["counts"] == 1 and opens(node, a, "10.9.0.5") and not opens(node, a, "10.9.0.9")
            assert any("doesn't tell of service pg" in r["text"] for r in node.reasons("services"))
            with consul.changed:
                setattr(consul, what, before)
            consul.list_service("pg", *pg)
            wait_for(lambda: service(node)["state"] == "ok" and states(node) == {"10.9.0.5": "counts"}, "an answer")


def test_a_view_of_the_agents_is_news_alone(node):
    """Consul's agent answers what waited from a view of its own, which knows no leader and doesn't say what it hides."""
    with declared(node) as (consul, a):
        counts(node, 1)
        consul.streams = True
        consul.list_service("pg", ("pg-1", "10.9.0.5", 5432, "passing"), ("pg-2", "10.9.0.6", 5432, "passing"))
        counts(node, 2)
        consul.filters = True
        consul.list_service("pg")
        wait_for(lambda: "may not see all" in (service(node)["lastError"] or ""), lambda: f"what is hidden: {service(node)}")
        assert service(node)["counts"] == 2 and opens(node, a, "10.9.0.6")
        assert "have no leader" not in node.log()


def test_ports_of_one_address_are_one_in_the_journal(node):
    with declared(node) as (consul, a):
        counts(node, 1)
        consul.list_service("pg", ("pg-1", "10.9.0.5", 5432, "passing"), ("pg-2", "10.9.0.5", 5433, "critical"))
        wait_for(lambda: len(service(node)["instances"]) == 2, "both ports")
        node.add("acme", "api", "web")          # a pass, with which all are judged again
        assert opens(node, a, "10.9.0.5")
        assert journal(node) == [("came", "10.9.0.5")]


@pytest.mark.parametrize("mode", ["flap", "back", "drip"])
def test_odd_indexes_and_slow_answers_are_borne(node, mode):
    """Each answer comes at once, under indexes that rise and fall, or byte by byte: what it says is taken."""
    with declared(node) as (consul, a):
        counts(node, 1)
        consul.set_mode(mode)
        consul.list_service("pg", ("pg-1", "10.9.0.5", 5432, "passing"), ("pg-2", "10.9.0.6", 5432, "passing"))
        counts(node, 2)
        assert opens(node, a, "10.9.0.6")
        consul.set_mode("ok")
        wait_for(lambda: set(states(node).values()) == {"counts"}, "both")


def test_a_question_that_waits_is_asked_anew_with_another_token(node, monkeypatch):
    """What waits was asked by a token that isn't known any more: not at the end of its wait, but once there is another."""
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "x")
    with declared(node) as (consul, _):
        counts(node, 1)
        wait_for(lambda: consul.count("/health/service/pg?stale=true&index") and consul.count("/token/self?stale=true&index"), "what waits")
        with consul.changed:
            consul.token_known = False
            consul.bump()
        wait_for(lambda: node.reasons("consul"), "the token's loss, said")
        asked = consul.count("/health/service/pg")
        consul.token_known = True
        wait_for(lambda: consul.count("/health/service/pg") > asked, "the catalogue to be asked anew", 40)
        counts(node, 1)


def test_what_counted_counts_after_a_restart_without_consul(node):
    with declared(node) as (consul, a):
        counts(node, 1)
        assert opens(node, a, "10.9.0.5")
        node.kill_picketd()
        consul.set_mode("cut")
        node.start_picketd(config(consul))
        assert opens(node, a, "10.9.0.5") and service(node)["counts"] == 1
        consul.set_mode("ok")
        wait_for(lambda: service(node)["state"] == "ok", "an answer")
        assert opens(node, a, "10.9.0.5")


def test_a_reload_takes_a_declaration_back(node):
    with declared(node) as (consul, a):
        counts(node, 1)
        assert opens(node, a, "10.9.0.5")
        node.write_config(config(consul, {**PG, "within": ["10.9.0.128/25"]}))
        node.picketd.send_signal(signal.SIGHUP)
        wait_for(lambda: states(node) == {"10.9.0.5": "refused"}, lambda: f"a narrower declaration: {service(node)}")
        assert not opens(node, a, "10.9.0.5")
        node.write_config(config(consul))
        node.picketd.send_signal(signal.SIGHUP)
        counts(node, 1)
        assert opens(node, a, "10.9.0.5")


def test_a_catalogue_that_is_taken_out_opens_nothing(node):
    with declared(node) as (consul, a):
        counts(node, 1)
        assert opens(node, a, "10.9.0.5")
        node.write_config({**config(consul), "consul": None})
        node.picketd.send_signal(signal.SIGHUP)
        counts(node, 0)
        assert service(node)["state"] == "off" and not opens(node, a, "10.9.0.5")
        node.write_config(config(consul))
        node.picketd.send_signal(signal.SIGHUP)
        counts(node, 1)
        assert opens(node, a, "10.9.0.5")


def test_a_deny_counts_for_all_that_is_declared(node):
    """Whatever the catalogue says: who deregisters an instance opens nothing."""
    document = {"namespace": "acme", "rules": [{"endpointSelector": {}, "egressDeny": [{"toServices": [{"name": "pg"}]}],
                                               "enableDefaultDeny": {"egress": False}}]}
    with declared(node, {**PG, "within": ["203.0.113.0/28"]}, document=document) as (consul, a):
        wait_for(lambda: service(node)["state"] == "ok", "an answer")
        assert not opens(node, a, "203.0.113.5") and opens(node, a, "203.0.113.16")
        consul.list_service("pg")
        wait_for(lambda: not states(node), "no instance")
        assert not opens(node, a, "203.0.113.5")


def test_nomads_own_catalogue(node):
    """A service of Nomad's is of a namespace; an instance that is an endpoint counts by its record alone."""
    db = {"name": "db", "catalog": "nomad", "namespace": "infra", "within": ["10.9.1.0/24", "10.40.0.0/16"], "tenants": ["acme"]}
    node.policy("db.json", {"namespace": "acme", "rules": [{"endpointSelector": {}, "egress": [
        {"toServices": [{"name": "db", "namespace": "infra"}]}]}]})
    with serving(node, FakeNomad) as nomad:
        node.start_picketd({"nomad": {"address": nomad.address, "node": "fake-node"}, "consul": None, "services": [db]})
        a, d = node.add("acme", "api", "web"), node.add("infra", "db", "db")
        nomad.put(a.id, "acme", "api", "web")
        nomad.put(d.id, "infra", "db", "db", services=[{"Name": "db", "PortLabel": "5432", "Provider": "nomad"}])
        tied = f"_nomad-task-{d.id}-group-db-db-pg"
        nomad.list_service("infra", "db", ("_nomad-task-x-group-db-db-pg", "10.9.1.5", 5432), (tied, d.address(), 5432),
                           ("_nomad-task-x-group-db-db-pg", a.address(), 5432))
        wait_for(lambda: states(node, "db") == {"10.9.1.5": "counts", d.address(): "endpoint", a.address(): "refused"},
                 lambda: f"three instances: {service(node, 'db')}")
        assert opens(node, a, "10.9.1.5", "80/tcp") and not opens(node, a, "10.9.1.6", "80/tcp")
        assert nomad.count("/v1/service/db?stale=true&namespace=infra") >= 1
        nomad.list_service("infra", "db", (tied, d.address(), 5432))
        counts(node, 0, "db")
        assert not opens(node, a, "10.9.1.5", "80/tcp")


def nomad_of(stack, node):
    with node.inside():
        fake = FakeNomad(node=node.name)
    stack.callback(fake.stop)
    return fake


def test_a_service_of_another_tenant_on_another_node(request, fabric):
    """The catalogue isn't asked: what Nomad's record has an alloc register goes from node to node as its label."""
    named = {"namespace": "acme", "rules": [{"endpointSelector": {}, "egress": [
        {"toServices": [{"name": "redis", "namespace": "data"}]}]}]}
    taken = {"namespace": "data", "rules": [{"endpointSelector": {}, "ingress": [
        {"fromEndpoints": [{"matchLabels": {"nomad:namespace": "acme"}}]}]}]}
    redis = [{"Name": "redis", "PortLabel": "6379", "Provider": "consul"}]
    with made_cluster(request.node.name, fabric) as cluster, contextlib.ExitStack() as stack:
        one, two = cluster.nodes
        nomads = nomad_of(stack, one), nomad_of(stack, two)
        for node, nomad in zip(cluster.nodes, nomads):
            node.start_picketd(cluster.config(node, nomad={"address": nomad.address, "node": node.name}), wait=False)
        for node in cluster.nodes:
            node.picketd_serves()
        one.policy("named.json", named)
        two.policy("taken.json", taken)

        def run(node, tenant, job, services=()):
            alloc = str(uuid.uuid4())
            for other, nomad in zip(cluster.nodes, nomads):
                nomad.put(alloc, tenant, job, "g", services=list(services), node=None if node is other else node.name)
            return node.add(tenant, job, "g", alloc_id=alloc)

        a, b, c = run(one, "acme", "api"), run(two, "data", "redis", redis), run(two, "data", "other")
        wait_for(lambda: one.tables.count("remote") == 4 and two.tables.count("remote") == 2,
                 "both of data, whom no selector names, and acme, whom one does", 90)
        assert {s["name"] for s in one.api("/v1/services")["services"]} == set()

        def passes(target):
            done = one.picket("policy", "explain", a.id[:8], target, "6379/tcp", check=False)
            return "out of" in done.stdout and done.returncode == 0

        wait_for(lambda: passes(b.address()), lambda: f"the service on the other node: {one.api('/v1/nodes')}", 60)
        wait_for(lambda: a.pings(b, timeout=QUICK), "a packet to it", 60)
        assert not passes(c.address()) and not a.pings(c, timeout=QUICK)
        two.delete(b)
        for nomad in nomads:
            nomad.remove(b.id)
        wait_for(lambda: one.tables.count("remote") == 2, "the instance to be gone", 60)
        assert not passes(b.address())
