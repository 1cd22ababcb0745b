# SPDX-License-Identifier: Apache-2.0
"""A few nodes that share endpoints and blocks through Nomad's Variables, without Consul."""
import json
import os
import signal
import uuid

import pytest
from fake import FakeNomad
from harness.fabric import Cluster, Fabric, made_cluster
from harness.servers import QUICK, pings
from harness.shell import wait_for
from test_metrics import reload

ROOT = "picket/v1/default/"
NO_TENANT = "picket-nobody"	# a namespace by which picketd finds out whether its token reads in all of them


class VariablesCluster(Cluster):
    """Its nodes ask a Nomad that has a record of each of them."""

    def __init__(self, base, fabric, name, nomad=None, **how):
        self.nomad = nomad
        super().__init__(base, fabric, name, **how)
        for node in self.nodes:
            nomad.others[node.name] = (str(uuid.uuid4()), "ready")

    def config(self, node, **more):
        config = super().config(node, **more)
        del config["consul"]
        return {**config, "cluster": "default", "store": "nomad", "nomad": {"address": self.nomad.address, "node": node.name}}

    def add(self, node, tenant, job):
        endpoint = node.add(tenant, job, job)
        self.nomad.put(endpoint.id, tenant, job, job, node=node.name)
        return endpoint

    def status(self, name, status):
        with self.nomad.changed:
            self.nomad.others[name] = (self.nomad.others[name][0], status)
            self.nomad.bump()

    def start(self):
        for node in self.nodes:
            node.start_picketd(self.config(node), wait=False)
        for node in self.nodes:
            node.picketd_serves()


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    base = tmp_path_factory.mktemp("fabric")
    base.chmod(0o755)
    made = Fabric(str(base), None)
    yield made
    made.close()


@pytest.fixture
def nomad(bare):
    with bare.node.inside():
        fake = FakeNomad(host=Fabric.address)
    yield fake
    fake.stop()


@pytest.fixture
def cluster(bare, nomad):
    with made_cluster("default", bare, VariablesCluster, nomad=nomad) as made:
        yield made


@pytest.fixture
def claiming(bare, nomad):
    with made_cluster("default", bare, VariablesCluster, nomad=nomad, claim=True) as made:
        yield made


def nodes_of(node):
    return {n["name"]: n for n in node.api("/v1/nodes")["nodes"]}


def both_reach(a, b):
    """By the tables and the routes of both nodes."""
    wait_for(lambda: pings(a, b.address(4), QUICK) and pings(b, a.address(4), QUICK),
             lambda: f"{a.node.api('/v1/nodes')} {a.node.log()[-1500:]}", 90)


def shares(nomad):
    """{path: endpoints} of what nodes say of tenants."""
    return {path.removeprefix(ROOT): json.loads(v["Items"]["value"])["endpoints"]
            for (_, path), v in list(nomad.variables.items()) if path.startswith(ROOT + "tenants/")}


def test_a_tenant_reaches_its_own_alone(cluster, nomad):
    one, two = cluster.nodes
    cluster.start()
    a, b, c = cluster.add(one, "acme", "api"), cluster.add(two, "acme", "db"), cluster.add(two, "other", "x")
    for node in one, two:
        wait_for(lambda n=node: n.tables.count("remote") == 2, lambda n=node: f"{n.api('/v1/status')} {nomad.variables}", 90)
    both_reach(a, b)
    assert not pings(a, c.address(4), QUICK) and not pings(c, a.address(4), QUICK)
    assert nodes_of(one)["n2"]["state"] == "live"
    assert {ns for ns, path in nomad.variables if "/tenants/" in path and "/status/" not in path} == {"default"}
    wait_for(lambda: one.api("/v1/status")["state"] == "ok", lambda: one.api("/v1/status")["reasons"], 60)
    cluster.status("n2", "down")
    wait_for(lambda: nodes_of(one)["n2"]["state"] == "stale", lambda: nodes_of(one), 60)
    assert pings(a, b.address(4)), "stale, not void"
    cluster.status("n2", "ready")
    wait_for(lambda: nodes_of(one)["n2"]["state"] == "live", lambda: nodes_of(one), 60)
    policy = {"name": "no-db", "rules": [{"endpointSelector": {"matchLabels": {"job": "api"}},
                                          "egressDeny": [{"toEndpoints": [{"matchLabels": {"job": "db"}}]}]}]}
    nomad.put_document("tenants/acme/no-db", policy)
    wait_for(lambda: not pings(a, b.address(4), QUICK), "a tenant's policy", 60)
    nomad.put_document("tenants/acme/no-db", None)
    wait_for(lambda: pings(a, b.address(4), QUICK), "its end", 60)
    two.delete(b)
    with nomad.changed:
        nomad.allocs.pop(b.id)
        nomad.bump()
    wait_for(lambda: not shares(nomad)["tenants/acme/n2"], "that there is none", 60)
    wait_for(lambda: one.tables.count("remote") == 0, "the other's table", 60)


def test_an_outage_and_a_restart_without_nomad(cluster, nomad):
    one, two = cluster.nodes
    cluster.start()
    a, b = cluster.add(one, "acme", "api"), cluster.add(two, "acme", "db")
    both_reach(a, b)
    nomad.set_mode("cut")
    one.kill_picketd()
    one.start_picketd(cluster.config(one))
    assert pings(a, b.address(4)), "what is stored is in force"
    nomad.set_mode("ok")
    d = cluster.add(two, "acme", "more")
    wait_for(lambda: pings(a, d.address(4), QUICK), "what came meanwhile", 90)


def test_a_reload_of_the_files_directory_alone(cluster, nomad, tmp_path):
    """What asks Nomad's Variables and what writes there go on by it."""
    one, two = cluster.nodes
    cluster.start()
    a, b = cluster.add(one, "acme", "api"), cluster.add(two, "acme", "db")
    both_reach(a, b)
    for name in "first", "second":
        (tmp_path / name).mkdir()
        reload(one, cluster.config(one, policies={"directory": str(tmp_path / name)}))
    c, d = cluster.add(one, "acme", "more"), cluster.add(two, "acme", "more")
    both_reach(c, d)
    nomad.put_document("operator/none", {"tier": "operator", "rules": [{"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["all"]}]}]})
    wait_for(lambda: not pings(d, c.address(4), QUICK), "the document", 90)
    assert one.kill_picketd(signal.SIGTERM) == 0


def test_a_reload_that_names_another_cluster_writes_there_at_once(cluster, nomad):
    """Nomad said which node this is, and isn't waited for to say so again."""
    one = cluster.nodes[0]
    cluster.start()
    wait_for(lambda: ("default", ROOT + "nodes/n1") in nomad.variables, "its key", 90)
    nomad.later["/v1/nodes?stale=true&filter="] = 600
    one.written()
    os.unlink(one.path("var/lib/picket/published.json"))     # or it remembers who holds its keys
    reload(one, {**cluster.config(one), "cluster": "other"})
    wait_for(lambda: ("default", "picket/v1/other/nodes/n1") in nomad.variables, lambda: f"{list(nomad.variables)} {one.log()[-1500:]}", 60)


def test_a_lost_store_is_written_again(cluster, nomad):
    """Each node writes its own anew."""
    one, two = cluster.nodes
    cluster.start()
    a, b = cluster.add(one, "acme", "api"), cluster.add(two, "acme", "db")
    both_reach(a, b)
    with nomad.changed:
        nomad.variables.clear()
    nomad.wake()
    wait_for(lambda: {"tenants/acme/n1", "tenants/acme/n2"} <= set(shares(nomad)), lambda: f"{nomad.variables}", 90)
    both_reach(a, b)


def test_two_nodes_of_one_name(cluster, nomad):
    """What another node that lives holds is not taken over."""
    one, two = cluster.nodes
    nomad.others["twin"] = (str(uuid.uuid4()), "ready")
    nomad.set_variable("nodes/n1", {"node": nomad.others["twin"][0], "value": json.dumps(
        {"version": 1, "number": 1, "blocks": ["10.64.9.0/24"], "addresses": []})})
    cluster.start()
    wait_for(lambda: one.reasons("cluster"), "it says so", 90)
    assert nomad.variables["default", ROOT + "nodes/n1"]["Items"]["node"] == nomad.others["twin"][0]
    cluster.status("twin", "down")
    wait_for(lambda: nomad.variables["default", ROOT + "nodes/n1"]["Items"]["node"] == nomad.others["n1"][0], "its own again", 90)


def handed(node):
    """The blocks that the plugin may take addresses from, of both families."""
    try:
        with open(f"{node.root}/var/lib/picket/node.json", encoding="utf-8") as file:
            return len(json.load(file)["claimed"]["blocks"]) >= 2
    except (OSError, KeyError, TypeError):
        return False


def test_blocks_are_claimed(claiming, nomad):
    """By compare-and-set, one a node; each hands out addresses of its own."""
    one, two = claiming.nodes
    claiming.start()

    def claims():
        return {json.loads(v["Items"]["value"])["node"] for (_, path), v in list(nomad.variables.items())
                if path.startswith(ROOT + "blocks/")}

    wait_for(lambda: claims() == {"n1", "n2"}, lambda: f"{nomad.variables} {one.log()[-2000:]}", 120)
    wait_for(lambda: all(n.api("/v1/status")["state"] == "ok" for n in claiming.nodes),
             lambda: [n.api("/v1/status")["reasons"] for n in claiming.nodes], 90)
    for node in one, two:
        wait_for(lambda n=node: handed(n), lambda n=node: n.log()[-2000:], 90)
    a, b = claiming.add(one, "acme", "api"), claiming.add(two, "acme", "db")
    both_reach(a, b)


def parts_of(nomad, node):
    """{path: endpoints} of one node's share of the tenant."""
    return {path: len(endpoints) for path, endpoints in shares(nomad).items() if path.split("/")[1:3] == ["acme", node]}


def test_a_share_in_several_variables(cluster, nomad):
    """What one variable has no room for lies in more; while their number changes nobody is in none; they go with the node."""
    one, two = cluster.nodes
    cluster.start()
    cluster.add(two, "acme", "db")
    meta = {f"k{i:02}": 60 * "x" for i in range(60)}		# some 6 KB an endpoint: ten fill a variable
    vms, known = [], 0
    for i in range(14):
        vms.append(one.add("acme", "api", "web"))
        nomad.put(vms[-1].id, "acme", "api", "web", node="n1", meta=meta | {"k00": f"{i:060}"})
        before, known = known, two.tables.count("remote")
        assert known >= before, "one was forgotten"

    def all_known():
        """Looked at all the time, while parts are made."""
        nonlocal known
        before, known = known, two.tables.count("remote")
        assert known >= before, "one was forgotten"
        parts = parts_of(nomad, "n1")	# who goes over to another part is in both for a moment
        return known == 28 and len(parts) == 2 and sum(parts.values()) == 14

    wait_for(all_known, lambda: f"{parts_of(nomad, 'n1')} {one.api('/v1/status')['reasons']}", 90)
    assert nodes_of(two)["n1"]["endpoints"] == 14 and not nodes_of(two)["n1"]["refused"], nodes_of(two)
    for vm in vms[2:]:
        one.delete(vm)
    wait_for(lambda: parts_of(nomad, "n1") == {"tenants/acme/n1": 2, "tenants/acme/n1/1": 0}, lambda: parts_of(nomad, "n1"), 90)
    wait_for(lambda: two.tables.count("remote") == 4, "the two that are left", 60)
    nomad.put_document("tenants/acme/mine", {"rules": []})
    mine = {("acme", f"{ROOT}status/tenants/acme/mine/{node.name}") for node in cluster.nodes}
    wait_for(lambda: mine <= set(nomad.variables), "both nodes' word of it", 60)
    one.kill_picketd()
    cluster.status("n1", "down")
    wait_for(lambda: nodes_of(two)["n1"]["state"] == "stale", lambda: nodes_of(two), 60)
    two.picket("node", "remove", "n1")
    assert not parts_of(nomad, "n1") and (nomad_place("nodes/n1") not in nomad.variables)
    assert {path for _, path in nomad.variables if "/status/" in path and path.endswith("/n1")} == set()
    assert ("acme", f"{ROOT}status/tenants/acme/mine/n2") in nomad.variables
    wait_for(lambda: two.tables.count("remote") == 0, "that it is forgotten", 60)


def nomad_place(key):
    return "default", ROOT + key


@pytest.mark.parametrize("sees", ["none of it", "the tenant's by his name"])
def test_a_node_is_removed_by_a_token_that_sees_no_tenants(cluster, nomad, sees):
    """What it told them may be left: that is said, with the right that lacks, and the rest goes."""
    one, two = cluster.nodes
    cluster.start()
    for node, job in zip(cluster.nodes, ("web", "db")):
        cluster.add(node, "acme", job)
    mine = ("acme", f"{ROOT}status/tenants/acme/mine/n1")
    nomad.put_document("tenants/acme/mine", {"rules": []})
    wait_for(lambda: mine in nomad.variables and nodes_of(two).get("n1", {}).get("endpoints") == 1, "its word of it, and of its endpoint", 90)
    one.kill_picketd()
    cluster.status("n1", "down")
    wait_for(lambda: nodes_of(two)["n1"]["state"] == "stale", lambda: nodes_of(two), 60)
    with nomad.changed:
        nomad.unseen = {"acme", NO_TENANT} if sees == "none of it" else {NO_TENANT}
        nomad.bump()
    done = two.picket("node", "remove", "n1")
    assert "may be left what it told below picket/v1/default/status/tenants/" in done.stderr, done
    assert 'fix: give picketd\'s token namespace "*" { variables { path "picket/v1/default/status/tenants/*"' in done.stderr, done
    assert nomad_place("nodes/n1") not in nomad.variables and nomad_place("status/nodes/n1") not in nomad.variables and not parts_of(nomad, "n1")
    assert (mine in nomad.variables) == (sees == "none of it")


def test_more_than_a_node_tells_is_left_and_counted(cluster, nomad):
    """A tenant may make more keys that end in a node's name than are listed: the others go, and how many are left is said."""
    one, two = cluster.nodes
    cluster.start()
    cluster.add(one, "acme", "web")
    cluster.add(two, "acme", "db")
    wait_for(lambda: nodes_of(two).get("n1", {}).get("endpoints") == 1, "its endpoint", 90)
    one.kill_picketd()
    cluster.status("n1", "down")
    wait_for(lambda: nodes_of(two)["n1"]["state"] == "stale", lambda: nodes_of(two), 60)
    with nomad.changed:
        nomad.bump()
        nomad.vars_index = nomad.index
        nomad.variables.update({("acme", f"{ROOT}status/tenants/acme/x{i}/n1"): {
            "Items": {"text": "{}"}, "CreateIndex": nomad.index, "ModifyIndex": nomad.index} for i in range(515)})
    done = two.picket("node", "remove", "-wait", "2m", "n1")
    assert "3 more of its keys there" in done.stderr and "delete those that end in its name" in done.stderr, done
    assert sum("/status/tenants/acme/" in path for _namespace, path in nomad.variables) == 3
    assert nomad_place("nodes/n1") not in nomad.variables and not parts_of(nomad, "n1")


def test_nodes_are_asked_for_once_one_of_them_changes(cluster, nomad):
    """Each answer names all nodes. Where the history is another one they are asked for anew."""
    cluster.start()
    whole, waits = "/v1/nodes?stale=true", "/v1/nodes?stale=true&index="
    wait_for(lambda: nomad.count(waits) >= 2, "questions that wait", 60)
    assert all("&wait=60s" in path for path in nomad.requests if waits in path)
    assert nomad.requests.count("/v1/nodes") == 2, "each node's first is for the leader; any server may answer the others"
    nomad.rewind(5)
    wait_for(lambda: nomad.count(waits + "5&"), "a question behind the other history", 60)
    assert nomad.requests.count("/v1/nodes") > 2, "the leader's word"


def states(cluster):
    """{name: what the other node knows of it}."""
    one, two = cluster.nodes
    return {b.name: nodes_of(a).get(b.name, {}).get("state") for a, b in ((one, two), (two, one))}


def all_live(cluster, nomad):
    """Both nodes hear of each other, and ask for what changes about nodes."""
    cluster.start()
    wait_for(lambda: set(states(cluster).values()) == {"live"}, lambda: states(cluster), 90)
    wait_for(lambda: nomad.count("/v1/nodes?stale=true&index=") >= 2, "questions that wait", 60)


def still_live(cluster):
    one, two = cluster.nodes
    assert set(states(cluster).values()) == {"live"}, states(cluster)
    assert "lives" in one.picket("node", "remove", two.name, check=False).stderr


def asked_of_the_leader(cluster, nomad):
    """Both nodes, beside what each asked it at its start."""
    def asked():
        assert set(states(cluster).values()) == {"live"}, states(cluster)
        return nomad.requests.count("/v1/nodes") >= 4

    wait_for(asked, lambda: nomad.requests[-20:], 90)


@pytest.mark.parametrize("fails", [False, True], ids=["", "after a failure"])
def test_an_older_list_of_nodes_is_asked_of_the_leader(cluster, nomad, fails):
    """By a server that lags: it says that nobody is ready yet."""
    all_live(cluster, nomad)
    older = 5, {name: (id, "initializing") for name, (id, _) in nomad.others.items()}
    if fails:
        nomad.set_mode(500)
        with nomad.changed:
            nomad.lags = older
        wait_for(lambda: all('op=nodes err="status 500' in node.log() for node in cluster.nodes), "questions that fail", 60)
        nomad.set_mode("ok")
    else:
        nomad.lag(*older)
    asked_of_the_leader(cluster, nomad)
    still_live(cluster)
    cluster.status("n2", "down")
    wait_for(lambda: nodes_of(cluster.nodes[0])["n2"]["state"] == "stale", lambda: nodes_of(cluster.nodes[0]), 90)


@pytest.mark.parametrize("index, says", [(None, "without an index"), (1000, "lacks this one")])
def test_a_list_of_nodes_that_is_no_truth(cluster, nomad, index, says):
    """It names nobody: the node that asks is there, whatever the list says."""
    all_live(cluster, nomad)
    nomad.lag(index, {})
    asked_of_the_leader(cluster, nomad)
    still_live(cluster)
    for node in cluster.nodes:
        assert "op=nodes err=" in node.log() and says in node.log(), node.log()[-1500:]
    wait_for(lambda: any("each counts as it did" in r["text"] and says in r["text"] for r in cluster.nodes[0].reasons("cluster")),
             lambda: cluster.nodes[0].reasons("cluster"), 60)
    nomad.lags = None
    wait_for(lambda: not cluster.nodes[0].reasons("cluster"), lambda: cluster.nodes[0].reasons("cluster"), 90)
    cluster.status("n2", "down")
    wait_for(lambda: nodes_of(cluster.nodes[0])["n2"]["state"] == "stale", lambda: nodes_of(cluster.nodes[0]), 90)


def test_a_server_that_lags_at_a_start_is_no_word(cluster, nomad):
    """Nothing was heard before by which it would be known: the first list is the leader's."""
    nomad.lags = 5, {name: (id, "initializing") for name, (id, _) in nomad.others.items()}
    cluster.start()
    wait_for(lambda: set(states(cluster).values()) == {"live"}, lambda: states(cluster), 60)


def test_a_node_that_the_list_lacked_is_asked_for_anew(cluster, nomad):
    """Which node this is Nomad said after its list of all."""
    nomad.lag(20, {})
    nomad.later["/v1/nodes?stale=true&filter="] = 3
    cluster.start()
    wait_for(lambda: nomad.requests.count("/v1/nodes") >= 2, lambda: nomad.requests[-20:], 60)
    wait_for(lambda: set(states(cluster).values()) == {"live"}, lambda: states(cluster), 90)


def test_a_restore_has_the_nodes_asked_for(cluster, nomad):
    """The question that waits would hear of it a minute later."""
    all_live(cluster, nomad)
    def heard():
        wait_for(lambda: sum("/v1/vars?" in path and f"&index={nomad.vars_index}&" in path for path in list(nomad.requests)) >= 2,
                 lambda: nomad.requests[-20:], 60)

    document = {"tier": "operator", "rules": [{"endpointSelector": {"matchLabels": {"job": "none"}}, "ingressDeny": [{"fromEntities": ["all"]}]}]}
    nomad.put_document("operator/none", document)
    heard()
    saved = nomad.snapshot()
    nomad.put_document("operator/none", document)
    heard()
    assert nomad.requests.count("/v1/nodes") == 2, "of each node's start"
    nomad.restore(saved)
    wait_for(lambda: nomad.requests.count("/v1/nodes") >= 4, lambda: nomad.requests[-20:], 60)
