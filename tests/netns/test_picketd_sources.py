# SPDX-License-Identifier: Apache-2.0
"""What picketd believes of its sources: policy files, Consul's keys, Nomad. Verdicts are test_picketd.py's."""
import contextlib
import json
import os
import signal
import socket
import sys
import time
import uuid

import pytest
from fake import FakeConsul, FakeNomad, serving
from harness.shell import Failed, binary, wait_for

HANGS = 61	# seconds: the case's minute
DENY_DB = {"endpointSelector": {"matchLabels": {"nomad:job": "db"}}, "ingress": [{}]}
OPERATOR = {"tier": "operator", "rules": [{"endpointSelector": {}, "egressDeny": [
    {"toCIDR": ["198.51.100.0/24"]}]}]}


def policies(node):
    """{"source/name": entry} of all places."""
    return {f"{p['source']}/{p['name']}": p for p in node.api("/v1/policies")["policies"]}


def in_force(node):
    return {name for name, p in policies(node).items() if p["inForce"]}


def after_requests(fake, part, more=3):
    """Waits until the fake was asked again a few times, so that what it said has been judged."""
    before = fake.count(part)
    wait_for(lambda: fake.count(part) >= before + more, f"{more} more requests for {part}", 60)


# -- files

def test_half_written_file_keeps_the_last_good_version(node):
    """P44: a file that is half written changes nothing, and its error says line and path; completed it counts."""
    node.policy("db.json", DENY_DB)
    node.start_picketd()
    good = policies(node)["file/db"]
    assert good["state"] != "refused" and good["inForce"]

    path = os.path.join(node.root, "etc/picket/policies.d/db.json")
    text = json.dumps({**DENY_DB, "description": "again"}, indent=1)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text[:60])
    half = wait_for(lambda: (p := policies(node)["file/db"])["state"] == "refused" and p["errors"][0]["line"] >= 3 and p,
                    "the half file's refusal")		# before that the file was empty
    assert half["inForce"] and half["sha"] == good["sha"]
    assert half["path"] == path and half["errors"][0]["path"]
    status = node.api("/v1/status")
    assert status["state"] != "ok" and status["documents"]["refused"] == 1
    assert any(r["what"] == "policy" for r in status["reasons"])

    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    whole = wait_for(lambda: (p := policies(node)["file/db"])["state"] != "refused" and p,
                     "the whole file")
    assert whole["sha"] != good["sha"] and not whole["errors"]


def test_refused_file_keeps_its_stored_version_over_a_restart(node):
    node.policy("db.json", DENY_DB)
    node.start_picketd()
    sha = policies(node)["file/db"]["sha"]
    wait_for(lambda: os.path.exists(os.path.join(node.root, "var/lib/picket/policies/file/db")),
             "the stored document")
    node.kill_picketd()
    node.policy("db.json", "{ broken")
    node.start_picketd()
    again = next(iter(policies(node).values()))
    assert again["state"] == "refused" and again["inForce"] and again["sha"] == sha

    node.policy("db.json", None)
    wait_for(lambda: policies(node) == {}, "the removal")
    wait_for(lambda: not os.path.exists(os.path.join(node.root, "var/lib/picket/policies/file/db")),
             "the stored document's removal")


@pytest.mark.parametrize("text", ("", "no document"))
def test_a_lost_stored_version_opens_nothing(node, text):
    """The file is half written and its stored version can't be read: what it denied stays so."""
    node.policy("db.json", DENY_DB)
    node.start_picketd()
    endpoint = node.add("acme", "db", "db")
    stored = os.path.join(node.root, "var/lib/picket/policies/file/db")
    rule_set, _, _ = node.tables.word(endpoint.slot)
    node.written()
    node.kill_picketd()
    with open(stored, "w", encoding="utf-8") as file:
        file.write(text)
    node.policy("db.json", "{ broken")
    node.start_picketd()

    status = node.api("/v1/status")
    reason = next(r for r in status["reasons"] if "var/lib/picket/policies/file/db" in r["text"])
    assert status["state"] != "ok" and "refused" in reason["fix"]
    assert node.tables.word(endpoint.slot)[0] == rule_set

    node.policy("db.json", DENY_DB)
    wait_for(lambda: not node.api("/v1/status")["reasons"] and in_force(node) == {"file/db"}, "the document again")
    assert node.tables.word(endpoint.slot)[0] == rule_set


def test_files_come_and_go(node):
    node.start_picketd()
    assert policies(node) == {}
    node.policy("a.json", DENY_DB)
    wait_for(lambda: in_force(node) == {"file/a"}, "a in force")
    node.policy("b.json", {"name": "a", "rules": [DENY_DB]})
    refused = wait_for(lambda: [p for p in node.api("/v1/policies")["policies"]
                                if p["state"] == "refused"], "the namesake's refusal")
    assert "a.json" in refused[0]["errors"][0]["text"] and not refused[0]["inForce"]
    node.policy("a.json", None)
    wait_for(lambda: [p["path"][-6:] for p in node.api("/v1/policies")["policies"]
                      if p["inForce"]] == ["b.json"], "the namesake in force")
    node.policy(".hidden.json", DENY_DB)
    node.policy("note.txt", "no policy")
    node.policy("names.json", {"endpointSelector": {}, "egress": [
        {"toFQDNs": [{"matchName": "a.example"}]}]})
    names = wait_for(lambda: policies(node).get("file/names"), "the toFQDNs document")
    assert names["state"] == "refused" and "toFQDNs" in names["errors"][0]["text"]
    assert len(policies(node)) == 2


def test_directory_that_goes_changes_nothing(node):
    node.policy("a.json", DENY_DB)
    node.start_picketd()
    directory = os.path.join(node.root, "etc/picket/policies.d")
    os.rename(directory, directory + ".away")
    wait_for(lambda: node.source("files")["state"] == "stale", "the source's state")
    assert in_force(node) == {"file/a"}
    os.rename(directory + ".away", directory)
    wait_for(lambda: node.source("files")["state"] == "ok", "the source again")
    node.policy("a.json", None)
    wait_for(lambda: in_force(node) == set(), "the removal")


# -- Consul

def test_a_directory_that_becomes_another_is_followed(node):
    """Its name is a link that is set anew, then nothing, then a directory: each is seen at once."""
    node.policy("a.json", DENY_DB)
    directory = os.path.join(node.root, "etc/picket/policies.d")
    second = os.path.join(node.root, "etc/picket/second")
    os.rename(directory, directory + ".1")
    os.symlink(directory + ".1", directory)
    os.mkdir(second)
    node.start_picketd()
    assert in_force(node) == {"file/a"}
    os.symlink(second, directory + ".new")
    os.rename(directory + ".new", directory)
    wait_for(lambda: in_force(node) == set(), "the second directory, which is empty")
    node.policy("b.json", DENY_DB)
    wait_for(lambda: in_force(node) == {"file/b"}, "its document")
    os.unlink(directory)
    wait_for(lambda: node.source("files")["state"] == "stale", "the source's state")
    assert in_force(node) == {"file/b"}
    os.mkdir(directory)
    wait_for(lambda: in_force(node) == set(), "the new directory")
    node.policy("c.json", DENY_DB)
    wait_for(lambda: in_force(node) == {"file/c"}, "its document")


@pytest.fixture
def consul(node):
    with serving(node, FakeConsul) as fake:
        yield fake


@pytest.fixture
def acme(node):
    """An endpoint of the tenant: only of tenants that are here are documents asked for."""
    return node.add("acme", "db", "db")


def with_consul(fake, **more):
    return {"nomad": None, "consul": {"address": fake.address, **more}}


def test_consul_keys_are_documents(node, consul, acme):
    consul.put("operator/no-test-net", OPERATOR)
    consul.put("tenants/acme/db", DENY_DB)
    consul.put("tenants/acme/other", {"namespace": "beta", "rules": [DENY_DB]})
    consul.put("tenants/acme/top", OPERATOR)
    node.start_picketd(with_consul(consul))
    wait_for(lambda: in_force(node) == {"consul/operator/no-test-net", "consul/tenant/acme/db"}, "both keys")
    found = policies(node)
    assert found["consul/tenant/acme/db"]["namespace"] == "acme"
    assert found["consul/tenant/acme/other"]["state"] == "refused"     # another's namespace
    assert found["consul/tenant/acme/top"]["state"] == "refused"       # a tenant's key is no operator's

    consul.put("tenants/acme/db", "{ broken")
    wait_for(lambda: policies(node)["consul/tenant/acme/db"]["state"] == "refused", "the refusal")
    assert "consul/tenant/acme/db" in in_force(node)
    consul.remove("tenants/acme/db")
    wait_for(lambda: in_force(node) == {"consul/operator/no-test-net"}, "the key's removal")


@pytest.mark.parametrize("mode", [500, 403, 429, "stale", "hang"])
def test_an_answer_that_is_none_changes_nothing(node, consul, acme, mode):
    """P46: an error, a stale index or a hang of Consul's changes nothing."""
    consul.put("operator/a", OPERATOR)
    consul.put("tenants/acme/b", DENY_DB)
    node.start_picketd(with_consul(consul))
    wait_for(lambda: len(in_force(node)) == 2, "both keys")
    consul.set_mode(mode)
    if mode == "hang":
        with consul.changed:
            consul.bump()
        time.sleep(HANGS)	# no longer than a question may take: what it is answered at last counts as any
        assert in_force(node) == {"consul/operator/a", "consul/tenant/acme/b"}
    else:
        after_requests(consul, "/v1/kv/")
    assert in_force(node) == {"consul/operator/a", "consul/tenant/acme/b"}
    if isinstance(mode, int):
        assert node.source("consul")["state"] == "stale"
        assert str(mode) in node.source("consul")["lastError"]

    consul.set_mode("ok")
    consul.put("operator/c", OPERATOR)
    wait_for(lambda: "consul/operator/c" in in_force(node), "Consul's word again", 60)
    consul.remove("operator/a")
    wait_for(lambda: in_force(node) == {"consul/operator/c", "consul/tenant/acme/b"}, "the removal", 60)


def test_an_empty_list_needs_a_known_token(node, consul):
    """P46: an empty list is a word only where it is read consistently, by a token that is known."""
    consul.put("operator/a", OPERATOR)
    node.start_picketd(with_consul(consul))
    wait_for(lambda: in_force(node) == {"consul/operator/a"}, "the key")
    consul.token_known = False
    for mode in ("empty", "none"):
        with consul.changed:    # under a newer index: without one it would be a restored store
            consul.touch("operator/a")
            consul.set_mode(mode)
        after_requests(consul, "/v1/acl/token/self", 2)
        assert in_force(node) == {"consul/operator/a"}
    assert consul.count("consistent") >= 2
    consul.token_known = True
    wait_for(lambda: in_force(node) == set(), "a confirmed empty list", 60)


def test_what_a_token_may_not_see_is_not_gone(node, consul, acme):
    consul.put("operator/a", OPERATOR)
    consul.put("tenants/acme/b", DENY_DB)
    node.start_picketd(with_consul(consul))
    wait_for(lambda: len(in_force(node)) == 2, "both keys")
    consul.unseen = "tenants/"
    consul.put("operator/c", OPERATOR)
    with consul.changed:
        consul.touch("tenants/acme/b")
    wait_for(lambda: "consul/operator/c" in in_force(node), "the key that it may see")
    after_requests(consul, "/v1/kv/")
    assert in_force(node) == {"consul/operator/a", "consul/operator/c", "consul/tenant/acme/b"}
    assert node.source("consul")["state"] == "stale"
    assert "key_prefix" in node.source("consul")["lastError"]
    consul.unseen = ""
    consul.remove("tenants/acme/b")
    wait_for(lambda: in_force(node) == {"consul/operator/a", "consul/operator/c"}, "the removal", 60)


def test_a_key_in_no_policys_place_is_said(node, consul, acme):
    consul.put("operators/a", OPERATOR)
    consul.put("tenants/acme/", "")                 # a folder
    node.start_picketd(with_consul(consul))
    reason = wait_for(lambda: [r for r in node.api("/v1/status")["reasons"] if "operators/" in r["text"]],
                      "the stray key")[0]
    assert "operator/NAME" in reason["fix"] and "operators/" in node.log() and policies(node) == {}
    assert "tenants/acme" not in node.log()


def test_a_name_that_becomes_free_in_consul(node, consul):
    for key in "ab":
        consul.put(f"operator/{key}", {**OPERATOR, "name": "same"})
    node.start_picketd(with_consul(consul))
    wait_for(lambda: {d["path"][-1]: d["state"] for d in node.api("/v1/policies")["policies"]}
             == {"a": "active", "b": "refused"}, "one of them")
    consul.remove("operator/a")
    wait_for(lambda: [(d["path"][-1], d["state"]) for d in node.api("/v1/policies")["policies"]]
             == [("b", "active")], "the other")


def test_an_answer_without_an_index_is_none(node, consul):
    consul.indexes = False
    consul.put("operator/a", OPERATOR)
    with serving(node, FakeNomad, "here") as nomad:
        nomad.indexes = False
        node.start_picketd({"nomad": {"address": nomad.address, "node": "here"},
                            "consul": {"address": consul.address}})
        for name in ("nomad", "consul"):
            wait_for(lambda n=name: "without an index" in (node.source(n)["lastError"] or ""), name)
    assert in_force(node) == set()


def test_consul_away_at_start_keeps_what_was_in_force(node, consul):
    consul.put("operator/a", OPERATOR)
    node.start_picketd(with_consul(consul))
    wait_for(lambda: in_force(node) == {"consul/operator/a"}, "the key")
    wait_for(lambda: os.path.exists(os.path.join(node.root, "var/lib/picket/policies/operator/a")),
             "the stored document")
    node.kill_picketd()
    consul.set_mode(500)
    node.start_picketd(with_consul(consul))
    assert in_force(node) == {"consul/operator/a"}
    after_requests(consul, "/v1/kv/")
    assert in_force(node) == {"consul/operator/a"}
    consul.set_mode("ok")
    wait_for(lambda: node.source("consul")["state"] == "ok", "Consul's word again", 60)
    consul.remove("operator/a")
    wait_for(lambda: in_force(node) == set(), "the removal", 60)


def test_token_file_is_read_again(node):
    with serving(node, FakeNomad, "here") as nomad:
        nomad.token = "right"
        token = os.path.join(node.root, "etc/picket/nomad.token")
        with open(token, "w", encoding="utf-8") as file:
            file.write("wrong\n")
        node.start_picketd({"nomad": {"address": nomad.address, "node": "here", "tokenFile": token},
                            "consul": None})
        wait_for(lambda: "403" in (node.source("nomad")["lastError"] or ""), "the refusal")
        said = [r for r in node.api("/v1/status")["reasons"] if r["what"] == "nomad"]
        assert said and said[0]["text"].startswith("nomad refuses what it is asked (status 403"), said
        assert "rights that examples/acl lists" in said[0]["fix"]
        with open(token, "w", encoding="utf-8") as file:
            file.write("right\n")
        wait_for(lambda: node.source("nomad")["state"] == "ok", "the new token", 60)
        assert "wrong" not in node.log() and "right" not in node.log()


# -- the controller itself

def test_nomad_away_and_back(node):
    with serving(node, FakeNomad, "here") as nomad:
        node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
        wait_for(lambda: node.source("nomad")["state"] == "ok", "Nomad's answer")
        nomad.set_mode(500)
        wait_for(lambda: node.source("nomad")["state"] == "stale", "the stale state", 60)
        assert node.api("/v1/status")["state"] != "ok"
        nomad.set_mode("ok")
        wait_for(lambda: node.source("nomad")["state"] == "ok", "Nomad's answer again", 60)


def test_nomads_client_comes_back_as_another_node(node):
    with serving(node, FakeNomad, "here") as nomad:
        nomad.put("a", "acme", "api", "g")
        node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
        wait_for(lambda: "1 allocs" in node.source("nomad")["detail"], "Nomad's list")
        nomad.set_mode(500)
        wait_for(lambda: node.source("nomad")["state"] == "stale", "the outage")
        nomad.node_id = "0b5e4c11-0000-4000-8000-000000000002"
        nomad.set_mode("ok")
        wait_for(lambda: node.source("nomad")["detail"].startswith("node 0b5e4c11"), "the new id", 60)


def test_an_alloc_of_another_node_confirms_nothing(node):
    with serving(node, FakeNomad, "here") as nomad:
        node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
        wait_for(lambda: node.source("nomad")["state"] == "ok", "Nomad's list")
        here, away = str(uuid.uuid4()), str(uuid.uuid4())
        nomad.put(here, "acme", "api", "g", hidden=True)
        nomad.put(away, "acme", "api", "g", elsewhere=True)
        for alloc, confirmed in ((here, "yes"), (away, "no")):
            node.add("acme", "api", "g", alloc_id=alloc)
            wait_for(lambda a=alloc, c=confirmed: node.api(f"/v1/endpoints/{a}")["confirmed"] == c, f"{confirmed} of {alloc}")
        assert nomad.count(f"/v1/allocation/{away}") == 1


def test_facts_go_with_their_endpoint(node):
    facts = os.path.join(node.root, "var/lib/picket/facts")
    with serving(node, FakeNomad, "here") as nomad:
        config = {"nomad": {"address": nomad.address, "node": "here"}, "consul": None}
        node.start_picketd(config)
        allocs = []
        for _ in range(2):
            nomad.put(str(uuid.uuid4()), "acme", "api", "g")
            allocs.append(node.add("acme", "api", "g", alloc_id=list(nomad.allocs)[-1]))
        wait_for(lambda: os.path.isdir(facts) and len(os.listdir(facts)) == 2, "the facts of both")
        node.kill_picketd()
        node.delete(allocs[0])
        node.start_picketd(config)
        wait_for(lambda: os.listdir(facts) == [f"{allocs[1].id}.json"], "the end of the first one's")
        node.delete(allocs[1])
        wait_for(lambda: os.listdir(facts) == [], "the end of both")


def test_a_reload_that_names_nomad_asks_it_before_it_sweeps(node):
    node.start_picketd({"nomad": None, "consul": None})
    gone, lost = node.add("acme", "api", "g"), node.add("acme", "api", "g")
    node.drop_netns(gone)
    wait_for(lambda: not any(gone.id in name for name in node.records()), "the sweep")
    node.write_config({"nomad": {"address": "http://127.0.0.1:1", "node": "here"}, "consul": None})
    node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: node.source("nomad")["lastError"], "Nomad's silence")
    node.drop_netns(lost)
    wait_for(lambda: node.api("/v1/status")["endpoints"]["orphans"] == 1, "the sweep's look")
    assert any(lost.id in name for name in node.records())


def test_a_nomad_that_fell_silent_is_no_witness(node):
    """What its last answer didn't have may have come since."""
    with serving(node, FakeNomad, "here") as nomad:
        node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
        wait_for(lambda: node.source("nomad")["state"] == "ok", "Nomad's answer")
        nomad.set_mode(500)
        wait_for(lambda: node.source("nomad")["state"] != "ok", "its silence")
        lost = node.add("acme", "api", "g")
        node.drop_netns(lost)
        wait_for(lambda: node.api("/v1/status")["endpoints"]["orphans"] == 1, "the sweep's look")
        assert any(lost.id in name for name in node.records())


def test_reload_is_whole_or_not_at_all(node):
    node.policy("a.json", DENY_DB)
    node.start_picketd()
    node.write_config({"nomad": None, "consul": None, "baselin": "deny"})
    node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: any(r["what"] == "config" and "baseline" in r["fix"]
                         for r in node.api("/v1/status")["reasons"]), "the reason")
    assert node.api("/v1/status")["baseline"] == "tenant"
    node.write_config({"nomad": None, "consul": None, "baseline": "deny"})
    node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: node.api("/v1/status")["baseline"] == "deny", "the new baseline")
    assert not any(r["what"] == "config" for r in node.api("/v1/status")["reasons"])
    assert in_force(node) == {"file/a"}

    def stored():
        with open(os.path.join(node.root, "var/lib/picket/node.json"), encoding="utf-8") as file:
            return json.load(file).get("baseline")
    wait_for(lambda: stored() == "deny", "the stored baseline")


def test_second_controller_is_refused(node):
    node.start_picketd()
    second = node.popen([binary("picketd"),
                         "-root", node.root], stdout=-1, stderr=-1, text=True)
    _, err = second.communicate(timeout=120)
    assert second.returncode == 1 and "fix:" in err and "another picketd" in err
    assert node.api("/v1/status")["pid"] == node.picketd.pid


def test_socket_serves_readers_and_lets_root_alone_change(node):
    node.start_picketd()
    path = node.path("run/picket/picketd.sock")
    assert os.stat(path).st_mode & 0o777 == 0o660
    with pytest.raises(Exception, match="404"):
        node.api("/v1/nothing")
    with pytest.raises(Exception, match="405"):
        node.api("/v1/status", method="POST", body={})
    for body in ({"containerId": "x"}, {"containerId": "x", "ifname": "eth0", "slot": 0},
                 {"containerId": "x", "ifname": "eth0", "slot": 1, "what": 1}):
        with pytest.raises(Exception, match="400"):
            node.api("/v1/endpoints", method="POST", body=body)
    with pytest.raises(Exception, match="404"):
        node.api("/v1/endpoints", method="POST",
                 body={"containerId": "none", "ifname": "eth0", "slot": 1})
    assert node.api("/v1/endpoints") == {"endpoints": []}


CONNECT = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


def test_its_files_pins_and_socket_are_roots(node):
    """P55: nobody who isn't root, or of the socket's group, reads a pin, a record or a token, or connects."""
    token = os.path.join(node.root, "etc/picket/token")
    with open(token, "w", encoding="utf-8") as file:
        file.write("secret")
    node.start_picketd({"nomad": None, "consul": {"address": "http://127.0.0.1:1", "tokenFile": token}})
    node.add("acme", "api", "web")
    for top in "sys/fs/bpf/picket", "var/lib/picket":
        assert os.stat(node.path(top)).st_mode & 0o7077 == 0, top
        inside = [os.path.join(where, name) for where, _, names in os.walk(node.path(top)) for name in names]
        assert inside and not [path for path in inside if not os.path.islink(path) and os.stat(path).st_mode & 0o077 and top.startswith("sys")]
    assert "secret" not in node.log() and "secret" not in node.api_text("/v1/config")
    socket_ = os.path.join(node.root, "run/picket/picketd.sock")
    os.chmod(node.root, 0o755)
    ask = ["--clear-groups", sys.executable, "-c", CONNECT, socket_]
    refused = node.run(["setpriv", "--reuid=65534", "--regid=65534", *ask], check=False)
    assert "PermissionError" in refused.stderr, refused
    node.run(["setpriv", "--reuid=65534", f"--regid={os.stat(node.path('run/picket/picketd.sock')).st_gid}", *ask])


def connect_more(node, clients, most):
    """Connects until there are `most` clients, or until picketd takes no more for now."""
    while len(clients) < most:
        clients.append(socket.socket(socket.AF_UNIX))
        clients[-1].setblocking(False)
        try:
            clients[-1].connect(node.path("run/picket/picketd.sock"))
        except BlockingIOError:
            clients.pop().close()
            return


def taken(node):
    """The connections to its API that picketd has taken: other work opens descriptors of its own."""
    directory = f"/proc/{node.picketd.pid}/fd"
    held = set()
    for number in os.listdir(directory):
        with contextlib.suppress(FileNotFoundError):        # closed since the directory was read
            held.add(os.readlink(f"{directory}/{number}"))
    with open("/proc/net/unix") as sockets:     # a socket that was taken is of its client's netns
        rows = [line.split() for line in sockets]
    connected = [row for row in rows if row[-1].endswith("/picketd.sock") and row[5] == "03"]
    return sum(f"socket:[{row[6]}]" in held for row in connected)


def test_more_clients_than_descriptors_stop_nothing(node):
    node.start_picketd()
    clients = []

    def all_taken():
        connect_more(node, clients, 300)
        return taken(node) >= 60

    wait_for(all_taken, "connections")
    node.policy("a.json", DENY_DB)
    wait_for(lambda: "revision=2 " in node.log(), "the policy in force")
    assert taken(node) <= 64 + 2 * 16, "SPAN_MAX of httpd.c, with those that are being turned away"
    wait_for(lambda: taken(node) <= 64, "the end of those that were turned away")
    for client in clients:
        client.close()

    def answers():                      # the queue of those who were never let in empties first
        try:
            return in_force(node) == {"file/a"}
        except (BlockingIOError, Failed):	# nobody took the client, or its place was still another's
            return False

    wait_for(answers, "an answer for the next client")
    wait_for(lambda: taken(node) == 0, "the connections' end")


def test_followers_are_limited_and_readers_are_not(node):
    node.start_picketd()
    streams = []
    for _ in range(16):
        streams.append(socket.socket(socket.AF_UNIX))
        streams[-1].connect(node.path("run/picket/picketd.sock"))
        streams[-1].sendall(b"GET /v1/flows?follow=1&last=0 HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_for(lambda: node.api("/v1/status")["events"]["subscribers"] == 16, "the followers")
    with pytest.raises(Exception, match="503"):
        node.api("/v1/flows?follow=1")
    node.api_text("/v1/flows?last=1")
    streams.pop().close()
    wait_for(lambda: node.api("/v1/status")["events"]["subscribers"] == 15, "one less")
    for stream in streams:
        stream.close()


def test_curl_speaks_to_the_socket(node):
    node.start_picketd()
    path = node.path("run/picket/picketd.sock")
    told = json.loads(node.run(["curl", "-sS", "--fail-with-body", "--unix-socket", path,
                                "http://picketd/v1/status"]).stdout)
    assert told["pid"] == node.picketd.pid
    # By hand: a client that is still sending when the answer comes may see the connection cut instead.
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as big:
        big.settimeout(30)
        big.connect(path)
        big.sendall(b"POST /v1/endpoints HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n")
        assert big.recv(100).startswith(b"HTTP/1.1 413 ")
    head = node.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", path,
                     "-H", "X: " + "x" * 9000, "http://picketd/v1/status"], check=False)
    assert head.stdout in ("400", "413") or head.returncode != 0
