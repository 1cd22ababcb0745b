# SPDX-License-Identifier: Apache-2.0
"""`enforced` is what the tables have, not what was read: apply and delete wait for it and say when it isn't so."""
import json
import os
import time

import pytest
from harness.shell import wait_for

ALLOW = {"namespace": "acme", "rules": [{"endpointSelector": {}, "ingress": [{}]}]}
DENY = {"tier": "operator", "rules": [{"endpointSelector": {}, "ingressDeny": [{"fromEntities": ["all"]}]}]}


def too_large(job):
    """A rule set of more verdicts than one may have: each prefix has the ports of other entries, so a class of its own."""
    def entry(bit):
        return {"toCIDR": [f"20.{i // 128}.{i % 128 * 2}.0/24" for i in range(2048) if i >> bit & 1],
                "toPorts": [{"ports": [{"port": str(1000 + 100 * bit + 3 * i), "protocol": "TCP"} for i in range(20)]}]}

    return {"namespace": "acme", "rules": [{"endpointSelector": {"matchLabels": {"nomad:job": job}},
                                            "egressDeny": [entry(bit) for bit in range(11)]}]}


def enforced(node):
    return {p["name"]: p["enforced"] for p in node.api("/v1/policies")["policies"]}


def apply(node, tmp_path, name, document):
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    return node.picket("policy", "apply", str(file), check=False)


def lose(node, name):
    """Its stored version can't be read, and nor can its file: what it said is unknown."""
    node.kill_picketd()
    with open(os.path.join(node.root, "var/lib/picket/policies/file", name), "w", encoding="utf-8") as file:
        file.write("no document")
    node.policy(f"{name}.json", "{ broken")
    node.start_picketd()


def test_a_rule_set_that_is_too_large_is_not_enforced(node, tmp_path):
    node.start_picketd()
    node.add("acme", "api", "web")
    node.add("acme", "db", "db")
    assert apply(node, tmp_path, "old", ALLOW).returncode == 0
    assert enforced(node) == {"old": "yes"}
    done = apply(node, tmp_path, "large", too_large("db"))
    assert done.returncode == 1 and "the tables do not have it: enforced: no" in done.stderr, done
    assert "fix: picket status says" in done.stderr
    assert enforced(node) == {"old": "yes", "large": "no"}, "what was there is there still"
    # One of its two endpoints can have it.
    done = apply(node, tmp_path, "both", {**ALLOW, "rules": ALLOW["rules"] * 2})
    assert done.returncode == 1 and "enforced: 1 of 2 endpoints" in done.stderr, done
    assert "1 of 2 endpoints" in node.picket("policy", "list").stdout
    # The operators' is, in all: for db under them alone.
    assert apply(node, tmp_path, "op", DENY).returncode == 0
    assert enforced(node) == {"old": "1 of 2 endpoints", "large": "no", "both": "1 of 2 endpoints", "op": "yes"}
    assert node.api("/v1/status")["endpoints"]["inStep"] == 1
    assert node.picket("policy", "delete", "large").returncode == 0
    assert enforced(node) == {"old": "yes", "both": "yes", "op": "yes"}


def test_beside_a_lost_document_nothing_is_enforced(node, tmp_path):
    """And what was deleted is shown for as long as the tables may have it."""
    node.policy("db.json", DENY)
    node.policy("other.json", ALLOW)
    node.start_picketd()
    endpoint = node.add("acme", "db", "db")
    wait_for(lambda: enforced(node) == {"db": "yes", "other": "yes"}, "both")
    lose(node, "db")
    assert enforced(node)["other"] == "no", "nobody knows what the tables have"
    done = apply(node, tmp_path, "new", ALLOW)
    assert done.returncode == 1 and "enforced: no" in done.stderr, done
    before = node.tables.word(endpoint.slot)
    done = node.picket("policy", "delete", "other", check=False)
    assert done.returncode == 1 and "the tables may have it still: enforced: yes" in done.stderr, done
    other = next(p for p in node.api("/v1/policies")["policies"] if p["name"] == "other")
    assert (other["state"], other["inForce"]) == ("deleted", False)
    assert node.tables.word(endpoint.slot) == before
    node.policy("db.json", DENY)
    wait_for(lambda: enforced(node) == {"db": "yes", "new": "yes"}, "the tables again")


def test_what_stays_in_force_is_so_at_each_moment(node):
    """While another document comes and goes, and in force is what tables have: never said before, nor taken back."""
    node.policy("old.json", ALLOW)
    node.start_picketd()
    node.add("acme", "api", "web")
    wait_for(lambda: enforced(node) == {"old": "yes"}, "the old one")
    for turn in range(20):
        node.policy("new.json", DENY if turn % 2 == 0 else None)
        want = {"old": "yes", **({"new": "yes"} if turn % 2 == 0 else {})}
        until, seen = time.monotonic() + 90, None
        while seen != want:
            assert time.monotonic() < until, seen
            listed = node.api("/v1/policies")["policies"]
            seen = {p["name"]: p["enforced"] for p in listed}
            for p in listed:
                assert p["state"] == "deleted" or p["inForce"] == (p["enforced"] != "no"), p
                assert p["name"] != "old" or p["inForce"], (turn, listed)


def test_one_that_selects_nobody_is_enforced_with_the_next_pass(node, tmp_path):
    node.start_picketd()
    assert apply(node, tmp_path, "a", {**ALLOW, "namespace": "nobody"}).returncode == 0
    assert enforced(node) == {"a": "yes"}
    assert node.picket("policy", "delete", "a").returncode == 0 and enforced(node) == {}


def test_a_restart_knows_what_the_tables_have(node, tmp_path):
    node.start_picketd()
    node.add("acme", "db", "db")
    assert apply(node, tmp_path, "a", ALLOW).returncode == 0
    node.kill_picketd()
    node.start_picketd()
    wait_for(lambda: enforced(node) == {"a": "yes"}, "the same")


def test_nobody_listens(node, tmp_path):
    """What is written then is in no table."""
    for argv in (["apply", "a"], ["delete", "a"]):
        done = apply(node, tmp_path, "a", ALLOW) if argv[0] == "apply" else \
            node.picket("policy", "delete", "a", check=False)
        assert done.returncode == 1 and "can't be asked: nothing of it is enforced" in done.stderr, done
    file = tmp_path / "a.json"
    assert node.picket("policy", "apply", "-dir", tmp_path / "d", file).stderr == ""


@pytest.mark.parametrize("how", ("a file that changed since", "a file that it was started with"))
def test_apply_writes_where_picketd_reads(node, tmp_path, how):
    read, other = tmp_path / "read", tmp_path / "other"
    node.start_picketd({"nomad": None, "consul": None, "policies": {"directory": str(read)}})
    node.write_config({"nomad": None, "consul": None, "policies": {"directory": str(other)}})
    if how == "a file that it was started with":
        os.unlink(os.path.join(node.root, "etc/picket/picketd.json"))
    assert apply(node, tmp_path, "a", ALLOW).returncode == 0
    assert (read / "a.json").exists() and not other.exists() and enforced(node) == {"a": "yes"}
    assert node.picket("policy", "delete", "a").returncode == 0 and not (read / "a.json").exists()
