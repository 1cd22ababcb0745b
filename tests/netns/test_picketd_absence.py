# SPDX-License-Identifier: Apache-2.0
"""An absence is not a word: what is denied stays so when a file, a variable, a directory or what Consul
had is suddenly gone, until it is back or an operator says that it is meant so."""
import contextlib
import json
import os
import shutil
import signal
import uuid

import pytest
from fake.consul import PREFIX
from harness.shell import binary, wait_for

DENY = {"tier": "operator", "rules": [{"endpointSelector": {}, "ingressDeny": [
    {"fromEntities": ["all"]}]}]}
OLDER = {"tier": "operator", "rules": [{"endpointSelector": {}, "ingressDeny": [
    {"fromEntities": ["all"], "toPorts": [{"ports": [{"port": "1", "protocol": "TCP"}]}]}]}]}


ALLOW = {"rules": [{"endpointSelector": {}, "ingress": [{}]}]}
HEARD_S = 120   # until a store that was replaced is heard: a question for a later index than it has waits a minute


def with_consul(consul, **more):
    return {"nomad": None, "consul": {"address": consul.address}, **more}


def policies(node):
    return {f"{p['source']}/{p['name']}": p for p in node.api("/v1/policies")["policies"]}


def in_force(node):
    return {name for name, p in policies(node).items() if p["inForce"]}


def held(node):
    return {name for name, p in policies(node).items() if p["state"] == "held"}


def stored(node, path):
    node.written()
    return os.path.exists(os.path.join(node.root, "var/lib/picket/policies", path))


def journal(node):
    node.written()
    with open(os.path.join(node.root, "var/log/picket/policy.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class Pair:
    """Two endpoints of a tenant, which reach each other but for the policy that the test is about."""

    def __init__(self, node):
        self.node = node
        self.a, self.b = node.add("acme", "api", "web"), node.add("acme", "db", "db")

    def passes(self):
        """As documents, compiled rule sets and the tables that the guard reads say; all must agree."""
        def agreed():
            done = self.node.picket("policy", "explain", self.a.id[:8], self.b.id[:8], "5432/tcp",
                                    check=False)
            return done if done.returncode in (0, 1) else None
        return wait_for(agreed, "documents and tables that agree").returncode == 0


def is_denied(node, pair):
    """Also after whatever was just done has had its time to take effect: two passes of a control."""
    for _ in range(2):
        before = node.api("/v1/status")["policyRevision"]
        (rule,) = OLDER["rules"]
        node.policy("control.json", {**OLDER, "rules": [{**rule, "description": uuid.uuid4().hex}]})
        wait_for(lambda b=before: node.api("/v1/status")["policyRevision"] > b, "a later change")
    assert not pair.passes()


def reload(node):
    before = node.log().count("op=reload")
    node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: node.log().count("op=reload") > before, "the reload, or its refusal")


# -- the configuration

def test_a_reload_without_the_file_is_refused(node, consul):
    consul.put("operator/deny", DENY)
    config = with_consul(consul, baseline="deny")
    node.start_picketd(config)
    wait_for(lambda: in_force(node) == {"consul/operator/deny"}, "the key")
    pair = Pair(node)
    path = os.path.join(node.root, "etc/picket/picketd.json")
    os.rename(path, path + ".rpmsave")
    reload(node)
    (reason,) = node.reasons("config")
    assert "picketd.json was there before and is gone" in reason["text"]
    assert "-accept-missing-config" in reason["fix"]
    assert node.api("/v1/status")["baseline"] == "deny"
    assert "consul/operator/deny" in in_force(node) and stored(node, "operator/deny")
    is_denied(node, pair)
    # What an existing file says is the operator's word, looser or not.
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"root": node.root, "nomad": None, "consul": None}, file)
    reload(node)
    wait_for(lambda: node.api("/v1/status")["baseline"] == "tenant", "the new baseline")
    wait_for(lambda: "consul/operator/deny" not in in_force(node), "the withdrawal")
    assert not node.reasons("config")


def start_alone(node, *options):
    """picketd without a configuration written for it; (status, what it said)."""
    process = node.popen([binary("picketd"), "-root", node.root, *options], stdout=-1, stderr=-2,
                         text=True)
    said = process.communicate(timeout=120)[0]
    return process.returncode, said


def test_a_start_without_the_last_runs_file_is_refused(node):
    node.start_picketd({"nomad": None, "consul": None, "baseline": "deny"})
    node.kill_picketd()
    path = os.path.join(node.root, "etc/picket/picketd.json")
    os.rename(path, path + ".away")
    code, said = start_alone(node)
    assert code == 1 and path in said and "fix:" in said and "-accept-missing-config" in said
    # Neither a -config that names a directory without any.
    os.makedirs(os.path.join(node.root, "etc/picket/conf.d"))
    code, said = start_alone(node, "-config", os.path.join(node.root, "etc/picket/conf.d"))
    assert code == 1 and "-accept-missing-config" in said
    node.picketd = node.popen([binary("picketd"), "-root", node.root, "-accept-missing-config"])
    wait_for(node.picketd_answers, "picketd")
    node.kill_picketd()
    # Said once, it is known.
    node.picketd = node.popen([binary("picketd"), "-root", node.root])
    wait_for(node.picketd_answers, "picketd")


def test_one_of_several_configuration_files_is_gone(node):
    directory = os.path.join(node.root, "etc/picket/conf.d")
    os.makedirs(directory)
    for name, text in (("1.json", {"root": node.root, "nomad": None, "consul": None}),
                       ("2.json", {"baseline": "deny"})):
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            json.dump(text, file)
    with open(node.log_path, "a", encoding="utf-8") as log:
        node.picketd = node.popen([binary("picketd"), "-root", node.root, "-config", directory],
                                  stdout=log, stderr=log)
    wait_for(node.picketd_answers, "picketd")
    os.unlink(os.path.join(directory, "2.json"))
    reload(node)
    assert "2.json was there before" in node.reasons("config")[0]["text"]
    assert node.api("/v1/status")["baseline"] == "deny"
    with open(os.path.join(directory, "2.json"), "w", encoding="utf-8") as file:
        file.write("{}")
    reload(node)
    wait_for(lambda: node.api("/v1/status")["baseline"] == "tenant", "the word of the empty file")


def test_a_variable_that_is_gone_switches_nothing_off(node, consul):
    consul.put("operator/deny", DENY)
    env = {**os.environ, "CONSUL_HTTP_ADDR": consul.address}
    node.start_picketd({"nomad": None}, env=env)
    wait_for(lambda: in_force(node) == {"consul/operator/deny"}, "the key")
    pair = Pair(node)
    wait_for(lambda: stored(node, "operator/deny"), "the stored document")
    node.kill_picketd()
    node.start_picketd({"nomad": None})
    assert held(node) == {"consul/operator/deny"}
    (reason,) = node.reasons("policy")
    assert "its source is not configured" in reason["text"]
    assert "CONSUL_HTTP_ADDR" in reason["fix"] and "picket policy release consul" in reason["fix"]
    is_denied(node, pair)
    # The variable again: nothing is held any more, and one act is one act.
    node.kill_picketd()
    node.start_picketd({"nomad": None}, env=env)
    wait_for(lambda: node.source("consul")["state"] == "ok", "Consul")
    assert held(node) == set() and "consul/operator/deny" in in_force(node)
    consul.remove("operator/deny")
    wait_for(lambda: "consul/operator/deny" not in in_force(node), "the removal")


@pytest.mark.parametrize("word", [{"consul": None}, {"policies": {"kv": False}}])
def test_switched_off_is_a_word(node, consul, word):
    for name in "abcde":
        consul.put(f"operator/{name}", DENY)
    env = {**os.environ, "CONSUL_HTTP_ADDR": consul.address}
    node.start_picketd({"nomad": None}, env=env)
    wait_for(lambda: len(in_force(node)) == 5, "the keys")
    node.write_config({"nomad": None, **word})
    reload(node)
    wait_for(lambda: in_force(node) == set(), "the withdrawal")
    assert not node.reasons("policy")
    assert all(e["why"] for e in journal(node) if e["event"] == "went")


# -- Consul

def is_waiting(consul):
    """picketd has heard all that there is, and waits for more."""
    wait_for(lambda: all(consul.count(f"{below}?recurse=true&stale=true&index={index}&")
                         for below, index in consul.indexes_below().items()), "picketd's next questions")


def started(node, consul, names, config=None):
    for name in names:
        consul.put(f"operator/{name}", DENY)
    node.start_picketd(config or with_consul(consul))
    wait_for(lambda: in_force(node) == {f"consul/operator/{n}" for n in names}, "the keys")
    is_waiting(consul)
    return Pair(node)


@pytest.mark.parametrize("writes", [False, True], ids=["", "written"])
@pytest.mark.parametrize("names", ["a", "ab", "abcde"])
def test_a_consul_that_lost_its_data(node, consul, names, writes):
    """
    Wiped, or another cluster's: its index starts anew. Also where there was one document alone, and
    where somebody writes at once, which moves the index past the old one.
    """
    pair = started(node, consul, names)
    with consul.changed:
        consul.restore()
        if writes:
            consul.write_elsewhere()
    wait_for(lambda: len(held(node)) == len(names), "the hold", HEARD_S)
    assert node.api("/v1/status")["state"] == "degraded"
    assert "older" in node.reasons("policy")[0]["text"]
    assert "picket policy release consul" in node.reasons("policy")[0]["fix"]
    assert all(stored(node, f"operator/{n}") for n in names)
    is_denied(node, pair)
    # Nor does a restart forget it, whatever was written to Consul meanwhile.
    node.kill_picketd()
    with consul.changed:
        consul.index = 100000
    node.start_picketd(with_consul(consul))
    wait_for(lambda: node.source("consul")["state"] == "ok", "Consul's answer", HEARD_S)
    assert len(held(node)) == len(names)
    is_denied(node, pair)
    done = node.picket("policy", "release", "consul")
    assert all(f"consul/operator/{n}: released" in done.stdout for n in names)
    wait_for(pair.passes, "what the operator said")
    assert not node.reasons("policy") and not any(stored(node, f"operator/{n}") for n in names)
    assert node.picket("policy", "release", "consul", check=False).returncode == 1


def test_what_is_back_is_no_longer_held(node, consul):
    started(node, consul, "abc")
    before = consul.snapshot()
    consul.restore()
    wait_for(lambda: len(held(node)) == 3, "the hold", HEARD_S)
    consul.restore(before)
    wait_for(lambda: held(node) == set() and not node.reasons("policy"), "the data", HEARD_S)
    consul.put("operator/d", DENY)
    wait_for(lambda: "consul/operator/d" in in_force(node), "the next word")


def test_what_is_back_without_a_sign_is_heard_soon(node, consul):
    """While anything is held no question waits for a minute, nor are there many of them."""
    started(node, consul, "abc")
    keys = dict(consul.keys)
    consul.restore()
    wait_for(lambda: len(held(node)) == 3, "the hold", HEARD_S)
    is_waiting(consul)
    asked = consul.count(f"{PREFIX}operator/?recurse")
    with consul.changed:        # nobody who waits is woken
        consul.keys.update(keys)
        consul.touched.update(dict.fromkeys(keys, consul.index))
    wait_for(lambda: held(node) == set() and not node.reasons("policy"), "the data", 45)
    assert consul.count(f"{PREFIX}operator/?recurse") - asked < 20


@pytest.mark.parametrize("writes", [False, True], ids=["", "written"])
def test_a_restored_snapshot_brings_no_older_text_back(node, consul, writes):
    """Nothing is lacking: the one document says what it said an hour ago, which was less."""
    consul.put("operator/a", OLDER)
    before = consul.snapshot()
    consul.put("operator/a", DENY)
    pair = started(node, consul, "a")
    asked = consul.count(".history")
    with consul.changed:
        consul.restore(before)
        if writes:
            consul.write_elsewhere()
    wait_for(lambda: consul.count(".history") > asked, "the doubt", HEARD_S)
    wait_for(lambda: node.reasons("policy"), "the reason", HEARD_S)
    assert "nothing of it is taken" in node.reasons("policy")[0]["text"]
    is_denied(node, pair)
    consul.put("operator/b", OLDER)     # a write moves the index ahead: the rest stays as old as it was
    is_denied(node, pair)
    assert "consul/operator/b" not in in_force(node)
    done = node.picket("policy", "release", "consul")
    assert "is believed as it is now" in done.stderr
    wait_for(pair.passes, "what the operator said")
    wait_for(lambda: "consul/operator/b" in in_force(node), "its new document")
    assert not node.reasons("policy")


def test_a_snapshot_that_was_restored_while_nobody_waited(node, consul):
    """What is asked next has a newer index, for something was written since; a's text is older all the same."""
    consul.put("operator/a", OLDER)
    before = consul.snapshot()
    pair = started(node, consul, "a")
    with consul.changed:
        consul.keys, consul.touched = dict(before[0]), dict(before[1])
        consul.put("operator/b", OLDER)
    wait_for(lambda: node.reasons("policy"), "the reason", HEARD_S)
    assert "nothing of it is taken" in node.reasons("policy")[0]["text"]
    is_denied(node, pair)
    assert "consul/operator/b" not in in_force(node)
    node.picket("policy", "release", "consul")
    wait_for(pair.passes, "what the operator said")


@pytest.mark.parametrize("how", ["older", "other"])
def test_a_snapshot_that_was_restored_while_picketd_was_down(node, consul, how):
    """When picketd starts Consul's index is past the one that it knew. The key was changed before the text in force was
    written; or by a change of the very same number, which wrote another text."""
    consul.put("tenants/acme/t", ALLOW)
    consul.put("operator/a", OLDER)
    before = consul.snapshot()
    consul.put("operator/a", DENY)
    node.start_picketd(with_consul(consul))
    pair = Pair(node)
    wait_for(lambda: in_force(node) == {"consul/operator/a", "consul/tenant/acme/t"}, "both")
    wait_for(lambda: all(p["stored"] for p in policies(node).values()), "both on disk")
    node.kill_picketd()
    with consul.changed:
        touched = consul.touched if how == "other" else before[1]
        consul.keys, consul.touched = dict(before[0]), dict(touched)
        consul.index += 1000
        consul.put("operator/b", OLDER)
    node.start_picketd(with_consul(consul))
    wait_for(lambda: node.reasons("policy"), "the reason", HEARD_S)
    assert "nothing of it is taken" in node.reasons("policy")[0]["text"]
    is_denied(node, pair)
    assert in_force(node) == {"consul/operator/a", "consul/tenant/acme/t", "file/control"}
    # What one source has shown of the store counts for the others: this may be no act either.
    consul.remove("tenants/acme/t")
    wait_for(lambda: held(node) == {"consul/tenant/acme/t"}, "the hold", HEARD_S)
    node.picket("policy", "release", "consul")
    node.policy("control.json", None)
    wait_for(lambda: in_force(node) == {"consul/operator/a", "consul/operator/b"}, "what there is now")
    assert pair.passes()


def test_a_snapshot_without_a_denial_was_restored_while_picketd_was_down(node, consul):
    """What is left says what is in force, and one document lacks, as after one act: the index that was known tells."""
    consul.put("operator/a", OLDER)
    before = consul.snapshot()
    consul.put("operator/b", DENY)
    node.start_picketd(with_consul(consul))
    pair = Pair(node)
    wait_for(lambda: {"consul/operator/a", "consul/operator/b"} <= in_force(node), "both")
    wait_for(lambda: all(p["stored"] for p in policies(node).values()), "both on disk")
    node.kill_picketd()
    consul.restore(before)
    node.start_picketd(with_consul(consul))
    wait_for(lambda: node.reasons("policy"), "the reason", HEARD_S)
    is_denied(node, pair)
    assert held(node) == {"consul/operator/b"}


def test_a_prefix_that_was_too_short(node, consul):
    """kv delete -recurse: a newer index, and everything gone."""
    pair = started(node, consul, "ab")
    consul.remove_all()
    wait_for(lambda: len(held(node)) == 2, "the hold", HEARD_S)
    assert "lost all that it had at once" in node.reasons("policy")[0]["text"]
    is_denied(node, pair)
    consul.put("operator/a", DENY)
    wait_for(lambda: held(node) == {"consul/operator/b"}, "the one that is back")
    node.picket("policy", "release", "consul/operator/b")
    assert "consul/operator/b" not in in_force(node) and "consul/operator/a" in in_force(node)


def test_a_prefix_that_was_too_short_for_many_tenants(node, consul):
    """One document each: nobody's source lost more than one, the store lost them all."""
    tenants = ["acme", "bank", "shop"]
    consul.put("operator/o", OLDER)
    for tenant in tenants:
        consul.put(f"tenants/{tenant}/t", {"endpointSelector": {}, "ingress": [{}]})
    node.start_picketd(with_consul(consul))
    for tenant in tenants:
        node.add(tenant, "job", "g")
    wait_for(lambda: len(in_force(node)) == 4, "the keys")
    is_waiting(consul)
    consul.remove_all()
    wait_for(lambda: len(held(node)) == 4, "the hold", HEARD_S)
    consul.put("operator/.generation", "1")
    wait_for(lambda: in_force(node) == set(), "the meant state", HEARD_S)
    assert not node.reasons("policy")


def test_a_loss_that_is_confirmed_slowly_is_judged_with_the_others(node, consul):
    consul.put("operator/o", OLDER)
    consul.put("tenants/acme/t", {"endpointSelector": {}, "ingress": [{}]})
    node.start_picketd(with_consul(consul))
    node.add("acme", "job", "g")
    wait_for(lambda: len(in_force(node)) == 2, "the keys")
    is_waiting(consul)
    consul.later["tenants/acme/?recurse=true&consistent"] = 0.7
    consul.remove_all()
    wait_for(lambda: len(held(node)) == 2, "the hold", HEARD_S)


def test_two_tenants_acts_are_two_acts(node, consul):
    consul.put("operator/o", OLDER)
    for tenant in ("acme", "bank"):
        for name in "ab":
            consul.put(f"tenants/{tenant}/{name}", {"endpointSelector": {}, "ingress": [{}]})
    node.start_picketd(with_consul(consul))
    for tenant in ("acme", "bank"):
        node.add(tenant, "job", "g")
    wait_for(lambda: len(in_force(node)) == 5, "the keys")
    is_waiting(consul)
    consul.remove("tenants/acme/a")
    consul.remove("tenants/bank/a")
    wait_for(lambda: len(in_force(node)) == 3, "both removals")
    assert held(node) == set()


def test_more_than_half_of_many(node, consul):
    started(node, consul, "abcde")
    with consul.changed:
        for name in "abc":
            del consul.keys[f"picket/v1/default/policies/operator/{name}"]
            consul.touch(f"operator/{name}")
    wait_for(lambda: held(node) == {f"consul/operator/{n}" for n in "abc"}, "the hold", HEARD_S)
    consul.remove("operator/d")         # one act is one act, also now
    wait_for(lambda: "consul/operator/d" not in in_force(node), "the removal", HEARD_S)
    assert len(held(node)) == 3


def test_a_raised_generation_means_it(node, consul):
    """One key tells all nodes what `policy release` tells one."""
    pair = started(node, consul, "abc")
    consul.put("operator/.generation", "7")
    is_waiting(consul)
    consul.restore()
    wait_for(lambda: len(held(node)) == 3, "the hold", HEARD_S)
    consul.put("operator/.generation", "6")
    is_denied(node, pair)
    consul.put("operator/.generation", "8")
    wait_for(lambda: in_force(node) == {"file/control"}, "the meant state", HEARD_S)
    assert not node.reasons("policy")
    wait_for(pair.passes, "the meant state")


def test_one_document_after_the_other(node, consul):
    """Each removed by one act is out at once, the last one too."""
    started(node, consul, "abcd")
    for left, name in (("bcd", "a"), ("cd", "b"), ("d", "c"), ("", "d")):
        consul.remove(f"operator/{name}")
        wait_for(lambda n=left: in_force(node) == {f"consul/operator/{x}" for x in n}, name)
    assert held(node) == set()


# -- the directory

# -- what is said

def test_each_change_is_a_line(node, consul):
    node.policy("a.json", OLDER)
    node.start_picketd(with_consul(consul))
    sha = policies(node)["file/a"]["sha"]
    node.policy("a.json", DENY)
    wait_for(lambda: policies(node)["file/a"]["sha"] != sha, "the change")
    consul.put("operator/k", DENY)
    wait_for(lambda: "consul/operator/k" in in_force(node), "the key")
    node.policy("a.json", None)
    wait_for(lambda: "file/a" not in in_force(node), "the removal")
    lines = [(e["event"], e["source"], e["name"]) for e in journal(node)]
    assert lines == [("came", "file", "a"), ("changed", "file", "a"), ("came", "consul/operator", "k"),
                     ("went", "file", "a")]
    came, changed, key, went = journal(node)
    assert came["sha"] == sha == changed["before"] and changed["sha"] == went["before"] != sha
    assert key["index"] == consul.touched[PREFIX + "operator/k"] and went["why"] == "its file is gone"
    for event, name in (("came", "a"), ("changed", "a"), ("came", "k"), ("went", "a")):
        assert f'op=document event={event} source=' in node.log() and f'name="{name}"' in node.log()
    # A restart brings nothing new, and loses nothing.
    node.kill_picketd()
    shutil.copy(os.path.join(node.root, "var/log/picket/policy.jsonl"), os.path.join(node.root, "before"))
    node.start_picketd(with_consul(consul))
    wait_for(lambda: node.source("consul")["state"] == "ok", "Consul")
    assert len(journal(node)) == 4


def test_a_name_writes_no_line_of_its_own(node):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(node.root, "var/log/picket/policy.jsonl"))
    node.policy("a.json", {**DENY, "name": 'x" event=went name="y'})
    node.start_picketd()
    assert [e["name"] for e in journal(node)] == ['x" event=went name="y']
