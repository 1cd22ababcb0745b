# SPDX-License-Identifier: Apache-2.0
"""What `picket check` says of a node whose picketd has never run: by its file, as picketd will."""
import pytest
from test_uplinks import uplink_lines, veth


@pytest.mark.parametrize("conf", ({}, {"uplinks": ["up0"]}), ids=["the default route's", "the conflist's"])
def test_check_before_the_first_run_of_picketd(make_node, conf):
    """What picketd.json says is what picketd will live by: it counts before the conflist's word and the default route."""
    node = make_node(conf={"mode": "process", **conf})
    veth(node, "wan0", "203.0.113.9/24")
    node.write_config({"nomad": None, "consul": None})
    assert [text for _, text in uplink_lines(node) if "203.0.113.9" in text] == []
    node.write_config({"uplinks": ["wan0"], "masquerade": {"ipv4": True, "ports": "12000-12999"}, "nomad": None, "consul": None})
    assert uplink_lines(node) == [("ok", "wan0: 203.0.113.9, MTU 1500")]
    assert uplink_lines(node, "masquerade") == [("ok", "of IPv4, by ports 12000-12999")]
    node.write_config({"uplinks": ["wan9"], "nomad": None, "consul": None})
    assert uplink_lines(node) == [("warn", "uplink wan9: this node has no such device")]
