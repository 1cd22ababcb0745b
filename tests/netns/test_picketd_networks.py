# SPDX-License-Identifier: Apache-2.0
"""Several networks of Picket on one node: the pools and resolvers of all count, and one baseline."""
import ipaddress
import json
import os
import signal

import pytest
from harness import CniError
from harness.shell import wait_for

ALONE = {"nomad": None, "consul": None}
SECOND = {"name": "second", "pool": ["10.50.7.0/24"]}


def put(node, file, **plugin):
    directory = os.path.join(node.root, "opt/cni/config")
    os.makedirs(directory, exist_ok=True)
    plugin = {**node.plugin_conf(), **plugin}
    conflist = {"cniVersion": plugin.pop("cniVersion"), "name": plugin.pop("name"), "plugins": [plugin]}
    with open(os.path.join(directory, file), "w", encoding="utf-8") as out:
        json.dump(conflist, out)


def reload(node):
    before = node.log().count("op=reload")
    node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: node.log().count("op=reload") > before, "the reload")


def config(node, key):
    return node.api("/v1/config")["config"][key]["value"]


def pools(node):
    """In the tables."""
    found = set()
    for key, _ in node.tables.items("pools"):
        bits, address = int.from_bytes(key[:4], "little"), ipaddress.IPv6Address(key[4:20])
        found.add(f"{address.ipv4_mapped}/{bits - 96}" if address.ipv4_mapped else f"{address}/{bits}")
    return found


def test_pools_and_resolvers_are_the_union(node):
    put(node, "second.conflist", **SECOND, dns={"servers": ["9.9.9.9"]})
    node.start_picketd({"nomad": None, "consul": None})
    first, = (p for p in node.options.pool if ":" not in p)
    assert {first, "10.50.7.0/24"} <= set(config(node, "pools"))
    assert "9.9.9.9" in config(node, "resolvers")
    b = node.add("acme", "b", "b", conf=node.plugin_conf(**SECOND))
    assert b.address().startswith("10.50.7.")
    reload(node)
    wait_for(lambda: {first, "10.50.7.0/24"} <= pools(node), "both, after a reload")
    the_block_of_a_conflist_that_is_gone(node, b)


def the_block_of_a_conflist_that_is_gone(node, b):
    """It stays over a reload and a restart, and while its endpoint's record can't be read: who knows what address that has?"""
    os.unlink(os.path.join(node.root, "opt/cni/config/second.conflist"))
    reload(node)
    assert "10.50.7.0/24" in pools(node)
    node.kill_picketd()
    record, = (entry.path for entry in os.scandir(node.path("var/lib/picket/endpoints")) if entry.name.startswith(b.id))
    with open(record, "r+", encoding="utf-8") as file:
        text = file.read()
        file.seek(0)
        file.write("?")
    node.start_picketd(ALONE)
    wait_for(lambda: any(f"the first: {b.id}@eth0" in r["text"] for r in node.reasons("records")), "the record to be said")
    assert "10.50.7.0/24" in pools(node) and "10.50.7.0/24" not in config(node, "pools")
    node.kill_picketd()
    with open(record, "w", encoding="utf-8") as file:
        file.write(text)
    node.start_picketd(ALONE)
    wait_for(lambda: node.api(f"/v1/endpoints/{b.id}")["state"] == "open", "the record")
    assert "10.50.7.0/24" in pools(node)
    node.delete(b)
    wait_for(lambda: "10.50.7.0/24" not in pools(node), "its end, with its last endpoint")


def test_an_old_block_stays_while_an_endpoint_has_an_address_of_it(node):
    node.start_picketd({"nomad": None, "consul": None, "pools": ["10.40.7.0/24"]})
    a = node.add("acme", "a", "a", conf=node.plugin_conf(pool=["10.40.7.0/24"]))
    node.write_config({"nomad": None, "consul": None, "pools": ["10.60.0.0/16"]})
    reload(node)
    wait_for(lambda: "10.60.0.0/16" in pools(node), "the new one")
    assert "10.40.7.0/24" in pools(node), "never world as long as an endpoint has one"
    node.delete(a)
    wait_for(lambda: pools(node) == {"10.60.0.0/16"}, "the old one's end, with its last endpoint")


@pytest.mark.parametrize("one, two, strict", (("tenant", "deny", "deny"), ("open", "tenant", "tenant"), ("deny", "tenant", "deny"), ("tenant", "open", "tenant")))
def test_two_baselines_are_refused(node, one, two, strict):
    """The stricter one holds for what is there; the other's network takes no endpoint."""
    node.options.conf["baseline"] = one
    put(node, "second.conflist", **{**SECOND, "baseline": two})
    node.start_picketd({"nomad": None, "consul": None})
    assert node.api("/v1/status")["baseline"] == strict
    reason, = [r for r in node.api("/v1/status")["reasons"] if r["what"] == "config"]
    assert f'says baseline "{two}"' in reason["text"] and "picketd.json" in reason["fix"], reason
    lax, strict_conf = ({}, {**SECOND, "baseline": two}) if strict == two else ({**SECOND, "baseline": two}, {})
    node.add("acme", "a", "a", conf=node.plugin_conf(**strict_conf))
    with pytest.raises(CniError) as error:
        node.add("acme", "b", "b", conf=node.plugin_conf(**lax))
    assert error.value.code == 7 and "another one's of this node is" in error.value.msg
    node.write_config({"nomad": None, "consul": None, "baseline": "tenant"})
    reload(node)
    assert not [r for r in node.api("/v1/status")["reasons"] if r["what"] == "config"]
    node.add("acme", "b", "b", conf=node.plugin_conf(**lax))


def baseline(node):
    return node.api("/v1/config")["config"]["baseline"]["value"]


def test_a_conflist_that_cannot_be_read_loosens_no_baseline(node):
    """It alone said `deny`: over a reload and a restart that stays, until somebody says another one where it can be read."""
    put(node, "second.conflist", **SECOND, baseline="deny")
    node.start_picketd(ALONE)
    assert baseline(node) == "deny"
    with open(node.path("opt/cni/config/second.conflist"), "w", encoding="ascii") as file:
        file.write('{ "name": "second", "plugins": [ { "type": "')
    reload(node)
    assert baseline(node) == "deny" and node.reasons("config")
    node.kill_picketd(signal.SIGTERM)
    node.start_picketd(ALONE)
    assert baseline(node) == "deny"
    node.write_config({**ALONE, "baseline": "tenant"})
    reload(node)
    assert baseline(node) == "tenant"
    node.write_config(ALONE)
    put(node, "second.conflist", **SECOND)
    reload(node)
    assert baseline(node) == "tenant" and not node.reasons("config")
