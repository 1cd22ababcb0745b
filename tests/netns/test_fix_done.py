# SPDX-License-Identifier: Apache-2.0
"""What a `fix:` says on a node is done, and then it is taken (files and options: tests/repo/test_mends.py)."""
import json
import os
import signal

import pytest
from harness.cni import CniError
from harness.shell import wait_for

EVERYONE = {"endpointSelector": {}}
TAKEN = {"namespace": "acme", "rules": [{**EVERYONE, "egress": [{"toCIDR": ["192.0.2.1/32"]}]}]}


def is_refused(done, fix, status=2):
    """The command says the fix, and exits so."""
    assert done.returncode == status and f"fix: {fix}" in done.stdout + done.stderr, (done.returncode, done.stdout, done.stderr)


def fix_of(node, path, **kw):
    """What the API says to a question that it doesn't answer."""
    answer = node.api(path, check=False, **kw)
    assert answer.get("error"), answer
    return answer["fix"] or ""


def documents(node):
    return {p["name"]: p for p in node.api("/v1/policies")["policies"]}


def state(node, name, want):
    return wait_for(lambda: (p := documents(node).get(name)) and p["state"] == want and p, lambda: f"{name} {want}: {documents(node)}")


def is_told(node, fix):
    """The list of what is refused has it in a line of its own, to be copied."""
    lines = [line.strip() for line in node.picket("policy", "list", "-refused", check=False).stdout.splitlines()]
    assert f"fix: {fix}" in lines, lines


def test_questions_to_the_api(node):
    node.start_picketd({"nomad": None})
    ids = ["7f3a21c4-0000-4000-8000-00000000000a", "7f3a21c4-0000-4000-8000-00000000000b"]
    for id_, job in zip(ids, ("api", "db")):
        node.add("acme", job, "g", alloc_id=id_)
    assert "?last=20" in fix_of(node, "/v1/flows?last=many") and node.api_text("/v1/flows?last=20") is not None
    assert "docs/api.md lists them" in fix_of(node, "/v1/endpoint") and node.api("/v1/endpoints")["endpoints"]
    assert "give more of the id" in fix_of(node, "/v1/endpoints/7f3a21c4") and node.api(f"/v1/endpoints/{ids[1]}")["job"] == "db"
    for id_ in ids:
        assert node.picket("endpoint", "show", id_).returncode == 0
    is_refused(node.picket("endpoint", "show", "0000", check=False), '"picket endpoint list" has', 1)
    is_refused(node.picket("ip", "show", "192.0.2.9", check=False), '"picket ip list" has what is leased here', 1)
    address = node.picket("ip", "list", "-o", "address").stdout.split()[0]
    assert ids[0] in (said := node.picket("-json", "ip", "show", address).stdout) or ids[1] in said


def test_who_may_ask_and_where(node):
    is_refused(node.picket("policy", "list", check=False), "start picketd, or name its socket: -socket, -root")
    node.start_picketd({"nomad": None})
    assert node.picket("policy", "list").returncode == 0
    socket = node.path("run/picket/picketd.sock")
    assert node.run([node.program("picket"), "-socket", os.path.join(node.root, "run/picket/picketd.sock"), "policy", "list"]).returncode == 0 and socket
    is_refused(node.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", node.program("picket"), "-root", node.root, "policy", "list"], check=False),
               "run it as root, or as a member of the group picket")
    again = node.run([node.program("picketd"), "-root", node.root], check=False, timeout=60)
    assert again.returncode == 1 and "another picketd runs with this root: stop it first" in again.stdout + again.stderr
    node.kill_picketd(signal.SIGTERM)
    node.start_picketd({"nomad": None})
    assert node.picket("status").returncode in (0, 1)


def test_documents(node):
    node.start_picketd({"nomad": None})
    node.policy("a.json", {**TAKEN, "name": "one"})
    node.policy("b.json", {**TAKEN, "name": "one"})
    state(node, "one", "unresolved")
    wait_for(lambda: 'give it a "name" of its own' in [e["fix"] for p in node.api("/v1/policies")["policies"] for e in p["errors"]], "the refusal")
    is_told(node, 'give it a "name" of its own')
    node.policy("b.json", {**TAKEN, "name": "two"})
    state(node, "two", "unresolved")
    node.policy("c.json", {**TAKEN, "name": "three", "rules": [{**EVERYONE, "egress": [{"toFQDNs": [{"matchName": "a.example"}]}]}]})
    assert [e["fix"] for e in state(node, "c", "refused")["errors"]] == ["use toCIDR, or leave the rule out"]
    is_told(node, "use toCIDR, or leave the rule out")
    node.policy("c.json", {**TAKEN, "name": "three"})
    state(node, "three", "unresolved")
    is_refused(node.picket("policy", "delete", "four", check=False), "picket policy list shows all", 1)
    assert node.picket("policy", "delete", "three").returncode == 0 and "three" not in documents(node)
    is_refused(node.picket("policy", "release", "nobody", check=False), "picket policy list", 1)
    assert "a source (file, consul) or a document (file/db)" in fix_of(node, "/v1/policies/release", method="POST", body={})
    assert "fix: a source" not in json.dumps(node.api("/v1/policies/release", "POST", {"what": "file"}, check=False)), "nothing of it is held"


def test_settings_that_status_names(node):
    node.start_picketd({"nomad": None, "http": {"listen": "192.0.2.77:4680"}})
    assert 'give "http"."listen" an address of this node and a port that is free' in node.reasons("http")[0]["fix"]
    node.write_config({"nomad": None, "http": {"listen": "127.0.0.1:4680"}})
    node.api("/v1/reload", "POST")
    wait_for(lambda: not node.reasons("http"), "the listener")
    is_refused(node.picket("policy", "suggest", check=False), 'let picketd keep allowed flows: "flows": { "allowed": "new" }', 1)
    is_refused(node.picket("node", "remove", "n9", check=False), 'say "fabric" and "consul" in picketd.json')


def is_kept_out(node, fix, **kw):
    """ADD says the fix, as a job's author reads it; what it says."""
    with pytest.raises(CniError) as refused:
        node.add("acme", "api", "web", **kw)
    text = str(refused.value).replace('\\"', '"')
    assert fix in text, text
    return text


def conf(node, **more):
    return {**node.plugin_conf(), **more}


def test_an_address_that_a_job_asks_for(node):
    asks = conf(node, allowJobArgs=["picket.ip"])
    is_kept_out(node, "let the job ask for one of the pool, or for none", conf=asks, **{"picket.ip": "192.0.2.9"})
    taken = node.add("acme", "api", "web").address()
    is_kept_out(node, "`picket ip list` shows whose it is", conf=asks, **{"picket.ip": taken})
    listed = node.picket("ip", "list", "-o", "address").stdout.split()
    assert taken in listed
    free = next(a for a in (taken.rsplit(".", 1)[0] + f".{n}" for n in range(100, 110)) if a not in listed)
    assert node.add("acme", "api", "web", conf=asks, **{"picket.ip": free}).address() == free


def test_a_pool_that_is_used_up(node):
    node.add("acme", "api", "web")      # the tables are loaded with a larger one
    small = conf(node, pool=["10.99.0.0/30"])
    first = node.add("acme", "api", "web", conf=small)
    is_kept_out(node, "`picket ip list` shows who has them", conf=small)
    assert first.address() in node.picket("ip", "list").stdout
    assert node.add("acme", "api", "web", conf=conf(node, pool=["10.99.0.0/30", "10.99.1.0/24"])).address().startswith("10.99.1.")


def test_a_port_that_another_has(node):
    def publishes(port):
        return conf(node, runtimeConfig={"portMappings": [{"hostPort": port, "containerPort": 80, "protocol": "tcp"}]})
    holder = node.add("acme", "db", "pg", conf=publishes(8080))
    assert "), which has it, or take another port" in is_kept_out(node, f"stop acme/db/pg ({holder.id}, pk", conf=publishes(8080))
    other = node.add("acme", "api", "web", conf=publishes(8081))
    node.delete(holder)
    node.delete(other)
    node.add("acme", "api", "web", conf=publishes(8080))


def test_an_interface_that_is_there(node):
    alloc = node.new_netns("7f3a21c4-0000-4000-8000-00000000000c")
    alloc.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other"])
    args = node.cni_args(alloc.id, "acme", "api", "web")
    with pytest.raises(CniError) as refused:
        node.cni("ADD", alloc.id, alloc.path, args=args)
    assert "delete it, or give each plugin of the list its own interface" in str(refused.value)
    alloc.run(["ip", "link", "del", "eth0"])
    alloc.args, alloc.result = args, node.cni("ADD", alloc.id, alloc.path, args=args)
    node.delete(alloc)
