# SPDX-License-Identifier: Apache-2.0
"""Blocks that nodes claim in Consul: no address twice, whatever happens to nodes, Consul or state."""
import ipaddress
import json
import os
import re
import shutil
import signal
import struct
import time

import pytest
from harness.cni import CniError
from harness.fabric import made_cluster
from harness.servers import QUICK, pings
from harness.shell import wait_for

PER_BLOCK = 5	# of a /29: but for its first, its gateway and its last
ANEW = 120	# seconds until a store that came back, or is another, has been heard: questions that wait for a later index do so for a minute


@pytest.fixture(name="cluster")
def cluster_fixture(request, fabric):
    with made_cluster(request.node.name, fabric, claim=True) as made:
        yield made


def start(cluster, *nodes, **more):
    for node in nodes or cluster.nodes:
        node.start_picketd(cluster.config(node, **more), wait=False)
    for node in nodes or cluster.nodes:
        node.picketd_serves()


def handed(node):
    """The blocks that the plugin may take addresses from."""
    try:
        with open(os.path.join(node.root, "var/lib/picket/node.json"), encoding="utf-8") as file:
            return json.load(file)["claimed"]["blocks"]
    except FileNotFoundError:
        return []


def has(node, n):
    wait_for(lambda: len(handed(node)) == n, lambda: f"{node.name} to hand out {n} blocks\n{node.log()[-2000:]}", ANEW)
    return handed(node)


def claims(cluster):
    """{block: node} of those that aren't given back."""
    found = {key: cluster.consul.get(key) for key in cluster.consul.keys("blocks/")}
    return {key.removeprefix("blocks/").replace("_", "/"): c["node"] for key, c in found.items() if "returned" not in c}


def why(node):
    return [r["text"] for r in node.api("/v1/status")["reasons"] if r["what"] == "cluster"]


def test_endpoints_live_in_claimed_blocks(cluster):
    """Without a pool; another block before the first is full; addresses are reached across nodes."""
    one, two = cluster.nodes
    with pytest.raises(CniError) as before:
        one.add("acme", "api", "web")
    assert before.value.code == 7 and "claim" in before.value.details
    start(cluster)
    for node in cluster.nodes:
        has(node, 2)
    assert claims(cluster) == {block: node.name for node in cluster.nodes for block in handed(node)}
    made = [one.add("acme", "api", "web") for _ in range(PER_BLOCK - 1)]
    has(one, 3)
    made += [one.add("acme", "api", "web") for _ in range(PER_BLOCK)]
    assert len({a.address(4) for a in made}) == len(made)
    b = two.add("acme", "db", "db")
    wait_for(lambda: two.tables.count("remote") == 2 * len(made), "two to know all", 30)
    for a in made[0], made[-1]:
        wait_for(lambda: pings(a, b.address(4), QUICK) and pings(b, a.address(6), QUICK), "routes to each block")


def answer_of(node):
    """Of an ADD that is refused."""
    with pytest.raises(CniError) as refused:
        node.add("acme", "api", "web")
    return refused.value


def restart(cluster, node, **more):
    node.kill_picketd()
    start(cluster, node, **more)


def age(node, until):
    """As if the node had been away: what it claimed counted until then."""
    path = os.path.join(node.root, "var/lib/picket/node.json")
    with open(path, encoding="utf-8") as file:
        settings = json.load(file)
    settings["claimed"]["until"] = until
    with open(path, "w", encoding="utf-8") as file:
        json.dump(settings, file)


def give(cluster, block, node):
    """A claim is somebody's, by whatever way."""
    cluster.consul.put("blocks/" + block.replace("/", "_"), {"version": 1, "number": 2 ** 50, "node": node, "machine": "x"})


def test_an_outage_and_old_state(cluster):
    """Without Consul what was claimed counts for a day; after that it is asked for first, and may be another's."""
    one = cluster.nodes[0]
    start(cluster, one)
    mine = has(one, 2)
    cluster.consul.kill()
    restart(cluster, one)
    a = one.add("acme", "api", "web")
    assert handed(one) == mine, "from what is stored"
    one.delete(a)
    one.kill_picketd()
    age(one, int(time.time()) - 1)
    assert answer_of(one).code == 11, "the plugin alone"
    start(cluster, one)
    assert answer_of(one).code == 11 and handed(one) == []
    assert one.api("/v1/nodes")["nodes"][0]["blocks"] == [], "nor does it say that they are its"
    wait_for(lambda: "before Consul has answered" in str(why(one)), "status says it")
    cluster.consul.start()
    assert has(one, 2) == mine
    one.add("acme", "api", "web")
    one.kill_picketd()
    age(one, int(time.time()) - 1)
    lost = mine[0]
    give(cluster, lost, "n9")
    start(cluster, one)
    wait_for(lambda: len(handed(one)) == 2, "another block in its place", ANEW)
    assert lost not in handed(one)
    wait_for(lambda: lost not in cluster.consul.get("nodes/n1")["blocks"], "its word")
    wait_for(lambda: "n9's by its claim" in str(why(one)), "whose endpoint is a stray is said")
    assert one.add("acme", "api", "web").address(4) not in lost


def test_claims_that_go(cluster):
    """A key that is deleted, a store that is wiped, a state directory that is lost: every block stays whose it was."""
    one, two = cluster.nodes
    start(cluster)
    was = {node: has(node, 2) for node in cluster.nodes}
    a, b = one.add("acme", "api", "web"), two.add("acme", "db", "db")
    wait_for(lambda: pings(a, b.address(4), QUICK) and pings(b, a.address(6), QUICK), "both to know both", 30)
    everybodys = claims(cluster)
    cluster.consul.ask("DELETE", f"/v1/kv/{cluster.consul.prefix}blocks/{was[one][0].replace('/', '_')}")
    wait_for(lambda: claims(cluster) == everybodys and handed(one) == was[one], "the claim again", 30)
    assert pings(a, b.address(4))
    cluster.consul.kill()
    shutil.rmtree(cluster.consul.data)
    cluster.consul.start()
    wait_for(lambda: claims(cluster) == everybodys, "all claims again", ANEW)
    wait_for(lambda: all(handed(node) == was[node] for node in cluster.nodes), "which count", ANEW)
    assert pings(a, b.address(4)) and pings(b, a.address(6))
    wait_for(lambda: cluster.consul.get("nodes/n1"), "its word again, under another session", ANEW)
    one.kill_picketd()
    for part in "cluster", "node.json", "published.json":
        path = os.path.join(one.root, "var/lib/picket", part)
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    session = json.loads(cluster.consul.ask("GET", f"/v1/kv/{cluster.consul.prefix}nodes/n1"))[0]["Session"]
    cluster.consul.ask("PUT", f"/v1/session/destroy/{session}")	# what its time to live does within two minutes
    start(cluster, one)
    assert has(one, 2) == was[one] and claims(cluster) == everybodys, "it finds its own"
    wait_for(lambda: pings(a, b.address(4), QUICK), "and what others say", 30)
    give(cluster, was[one][0], "n9")
    wait_for(lambda: was[one][0] not in handed(one) and len(handed(one)) == 2, "another's is given no more", 30)
    wait_for(lambda: "n9's by its claim" in str(why(one)), "whose it is by now")


def test_one_name_for_two_nodes(cluster):
    """The second one hands out nothing, says nothing of itself, and says why."""
    one = cluster.nodes[0]
    start(cluster, one)
    mine = has(one, 2)
    wait_for(lambda: (cluster.consul.get("nodes/n1") or {}).get("blocks") == mine, "its word")
    before = cluster.consul.get("nodes/n1")
    twin = cluster.more(3, "n1")
    start(cluster, twin)
    wait_for(lambda: "two nodes are named" in str(why(twin)), "status says it", 30)
    assert answer_of(twin).code == 11 and handed(twin) == []
    assert cluster.consul.get("nodes/n1") == before and handed(one) == mine
    one.add("acme", "api", "web")


def test_a_range_that_is_used_up(cluster):
    """Two blocks for two nodes, claimed in one moment: each has one, and a third is refused with what to do."""
    blocks = {"range": ["10.64.0.0/28"], "claim": True, "size": 29}
    start(cluster, blocks=blocks)
    one, two = cluster.nodes
    assert sorted(has(one, 1) + has(two, 1)) == ["10.64.0.0/29", "10.64.0.8/29"]
    for _ in range(PER_BLOCK):
        one.add("acme", "api", "web")
    wait_for(lambda: "no IPv4 block of /29 is free" in str(why(one)), "status says it before it hurts", 30)
    assert "no ADD succeeds" not in str(why(one)), "it has addresses yet"
    assert answer_of(one).code == 102
    one.write_config(cluster.config(one, blocks={**blocks, "range": ["10.65.0.0/24"]}))
    one.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: "would give up" in str(one.reasons("config")), "a range without them is refused")
    one.write_config(cluster.config(one, blocks={**blocks, "range": ["10.64.0.0/28", "10.65.0.0/24"]}))
    one.picketd.send_signal(signal.SIGHUP)
    has(one, 2)
    assert one.add("acme", "api", "web").address(4).startswith("10.65.0.")


def test_a_family_without_a_block(cluster):
    """Nothing is handed out before each family of the range has a block: an endpoint that began without one would stay so."""
    one, two = cluster.nodes
    blocks = {"range": ["10.64.0.0/24", "fd64::/64"], "claim": True, "size": 29}
    start(cluster, one, blocks=blocks)
    assert "fd64::/64" in has(one, 2)
    start(cluster, two, blocks=blocks)
    wait_for(lambda: "no IPv6 block of /64 is free" in str(why(two)), lambda: why(two), 30)
    wait_for(lambda: "n2" in claims(cluster).values(), "a block of IPv4")
    refused = answer_of(two)
    assert handed(two) == [] and refused.code == 11 and "a block of each family" in f"{refused.msg} {refused.details}", refused
    reason, = [r for r in two.reasons("cluster") if "no IPv6 block" in r["text"]]
    assert "no ADD succeeds on it" in reason["text"] and "widen \"range\"" in reason["fix"], reason
    assert "no ADD succeeds" in " ".join(two.picket("status", check=False).stdout.split())
    two.write_config(cluster.config(two, blocks={**blocks, "range": ["10.64.0.0/24", "fd64::/62"]}))
    two.picketd.send_signal(signal.SIGHUP)
    has(two, 2)
    assert "no ADD succeeds" not in str(why(two))
    made = two.add("acme", "api", "web")
    assert made.address(4) and made.address(6)


def told(cluster):
    """What tenant acme is told: {"DOCUMENT/NODE"}."""
    below = "status/tenants/acme/"
    return {key.removeprefix(below) for key in cluster.consul.keys(below)}


def test_a_node_that_is_removed(cluster):
    """By the operator's word: its keys go, its blocks rest; it takes them back if it comes again."""
    one, two = cluster.nodes
    start(cluster)
    was = {node: has(node, 2) for node in cluster.nodes}
    two.add("acme", "db", "db")
    one.add("acme", "api", "web")
    wait_for(lambda: one.tables.count("remote") == 2, "one to know two's", 30)
    refused = one.picket("node", "remove", "n2", check=False)
    assert refused.returncode == 2 and "lives" in refused.stderr
    assert "is this node" in one.picket("node", "remove", "n1", check=False).stderr
    assert "no node" in one.picket("node", "remove", "n7", check=False).stderr
    cluster.consul.put("policies/tenants/acme/mine", {"rules": []})
    wait_for(lambda: told(cluster) == {"mine/n1", "mine/n2"}, lambda: told(cluster), 60)
    cluster.consul.put("status/tenants/acme/n2/n1", {"node": "n1"})	# of a document that is called as the node
    two.kill_picketd()
    done = one.picket("node", "remove", "-force", "n2")
    assert done.stdout == "n2 is forgotten: 4 keys are gone, 2 blocks rest\n" and not done.stderr, done
    assert told(cluster) == {"mine/n1", "n2/n1"}
    wait_for(lambda: one.tables.count("remote") == 0, "nothing of it is believed", 30)
    assert claims(cluster) == {block: "n1" for block in was[one]}
    assert not [k for k in cluster.consul.keys() if k.endswith("/n2")]
    start(cluster, two)
    assert has(two, 2) == was[two]
    wait_for(lambda: one.tables.count("remote") == 2, "it is known again", 30)


MANY = 4000	# keys of what a node told: some seconds


def tell_many(cluster, node):
    """As the node told tenants of so many documents."""
    for at in range(0, MANY, 64):
        keys = [f"{cluster.consul.prefix}status/tenants/t{i % 50}/d{i}/{node}" for i in range(at, min(at + 64, MANY))]
        cluster.consul.ask("PUT", "/v1/txn", json.dumps([{"KV": {"Verb": "set", "Key": k, "Value": "e30="}} for k in keys]).encode())


def test_a_node_that_told_thousands_is_removed(cluster):
    """Who doesn't wait for the end is told so; it goes on, once for each node, and goes on where it was stopped."""
    one, two = cluster.nodes
    start(cluster)
    was = has(two, 2)
    wait_for(lambda: len(one.api("/v1/nodes")["nodes"]) == 2, "one to know two", 30)
    tell_many(cluster, "n2")
    two.kill_picketd()
    brief = one.picket("node", "remove", "-force", "-wait", "0.05s", "n2", check=False)
    assert brief.returncode == 2 and "not done yet" in brief.stderr and "picketd goes on" in brief.stderr, brief
    again = one.picket("node", "remove", "-force", "n2", check=False)
    assert again.returncode == 2 and "under way already" in again.stderr, again
    wait_for(lambda: len(cluster.consul.keys("status/tenants/")) < MANY, "some to be gone", 30)
    one.kill_picketd()
    left = len(cluster.consul.keys("status/tenants/"))
    assert 0 < left < MANY and claims(cluster).keys() >= set(was), "what makes it known goes last"
    start(cluster, one)
    wait_for(lambda: len(one.api("/v1/nodes")["nodes"]) == 2, "one to know two again", 30)
    done = one.picket("node", "remove", "-force", "n2")
    gone = int(re.fullmatch(r"n2 is forgotten: (\d+) keys are gone, 2 blocks rest\n", done.stdout)[1])
    assert left <= gone <= left + 1 and not done.stderr, "one more is its word; one may have gone as picketd was killed"
    assert not [k for k in cluster.consul.keys() if k.endswith("/n2")]
    assert f'op=remove node="n2" keys={gone} blocks=2' in one.log()


def test_a_pool_beside_claims(cluster):
    """Of a network that names a pool no endpoint is made on a node that claims; each says so."""
    one = cluster.nodes[0]
    start(cluster, one)
    has(one, 2)
    beside = {**one.plugin_conf(), "pool": ["10.99.0.0/24"]}
    with pytest.raises(CniError) as refused:
        one.add("acme", "api", "web", conf=beside)
    assert refused.value.code == 7 and 'drop "pool", or "claim" from "blocks" of picketd.json' in refused.value.details
    assert one.add("acme", "api", "web").address().startswith("10.64.")
    one.options.pool = ("10.99.0.0/24",)
    restart(cluster, one)
    assert "takes no new endpoint" in str(one.reasons("config"))
    check = one.picket("check", check=False)
    assert "this node claims its blocks" in check.stdout
    assert handed(one), "what is claimed stays so"


def test_a_claim_that_cannot_be_read(cluster):
    """Whose that block is isn't known: nobody takes it, and status says which key and what to do. Once it is gone the block is free."""
    one = cluster.nodes[0]
    blocks = {"range": ["10.64.0.0/28"], "claim": True, "size": 29}
    unread = "blocks/10.64.0.8_29"
    cluster.consul.put(unread, {"version": 2, "number": 1, "holder": "n9"})
    start(cluster, one, blocks=blocks)
    assert has(one, 1) == ["10.64.0.0/29"]
    reason, = wait_for(lambda: [r for r in one.reasons("cluster") if "can't be read" in r["text"]], lambda: one.reasons("cluster"), 30)
    assert "1 claim can't be read: no node takes its block" in reason["text"] and unread in reason["text"] and "delete the key" in reason["fix"], reason
    for _ in range(PER_BLOCK):
        one.add("acme", "api", "web")
    wait_for(lambda: "no IPv4 block of /29 is free" in str(why(one)), "it is taken", 30)
    cluster.consul.ask("DELETE", f"/v1/kv/{cluster.consul.prefix}{unread}")
    assert has(one, 2) == ["10.64.0.0/29", "10.64.0.8/29"]
    wait_for(lambda: not [r for r in one.reasons("cluster") if "can't be read" in r["text"]], "nothing to say", 30)


def pool_of(node, block):
    """Whose the table says the block is: 1 this node's, 2 another's; None: it isn't there."""
    address, length = block.split("/")
    key = struct.pack("=I", 96 + int(length)) + ipaddress.ip_address("::ffff:" + address).packed
    value = dict(node.tables.items("pools")).get(key)
    return value and struct.unpack("=I", value[:4])[0]


def test_a_block_that_another_node_has_by_now(cluster):
    """A record that can't be read may be of an endpoint in it. The other node has it all the same, so that its endpoints are reached; it is said."""
    one = cluster.nodes[0]
    start(cluster, one)
    lost = has(one, 2)[0]
    a = one.add("acme", "api", "web")
    record = one.path(f"var/lib/picket/endpoints/{next(r for r in one.records() if r.startswith(a.id))}")
    with open(record, encoding="utf-8") as file:
        text = file.read()
    with open(record, "w", encoding="utf-8") as file:
        file.write("{ torn")
    restart(cluster, one)
    wait_for(lambda: one.reasons("records"), "the record", 30)
    assert pool_of(one, lost) == 1
    give(cluster, lost, "n9")
    wait_for(lambda: lost not in handed(one), "the claim of another", 30)
    assert pool_of(one, lost) == 1, "nobody else says to have it yet: it is never world"
    cluster.consul.put("nodes/n9", {"version": 1, "number": 5, "blocks": [lost], "addresses": ["192.0.2.9"]})
    wait_for(lambda: pool_of(one, lost) == 2, lambda: one.log()[-2000:], 30)
    reason = wait_for(lambda: [r for r in one.reasons("records") if lost in r["text"]], lambda: one.reasons("records"), 30)[0]
    assert "is another node's by now" in reason["text"] and "start it anew" in reason["fix"]
    restart(cluster, one)
    again = wait_for(lambda: [r for r in one.reasons("records") if lost in r["text"]], lambda: one.reasons("records"), 30)[0]
    assert again == reason, "the tables say whose the block is, and the endpoint's address"
    with open(record, "w", encoding="utf-8") as file:
        file.write(text)
    restart(cluster, one)
    wait_for(lambda: not one.reasons("records"), "a record that can be read", 30)
    wait_for(lambda: "n9's by its claim" in str(why(one)), "whose endpoint is a stray is said", 30)
    assert pool_of(one, lost) == 2
