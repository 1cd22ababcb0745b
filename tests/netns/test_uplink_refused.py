# SPDX-License-Identifier: Apache-2.0
"""A device that the settings name as an uplink and that can be none: before the programs are loaded, and as they are."""
import pytest
from harness import CniError
from test_uplinks import BARE, add, uplink_lines


@pytest.mark.parametrize("kind", BARE)
def test_check_and_load_refuse_such_a_device_by_name(node, kind):
    """By the conflist before anything is loaded, and by picketd.json: in status and in the log, and an ADD is refused likewise."""
    device = BARE[kind](node)
    refused = f"{device} can be no uplink: a device of kind "

    def failed():
        return [text for state, text in uplink_lines(node) if state == "fail"]
    node.options.conf["uplinks"] = [device]
    node.write_config()
    assert len(said := failed()) == 1 and said[0].startswith(refused), said
    del node.options.conf["uplinks"]
    node.start_picketd({"uplinks": [device], "nomad": None, "consul": None})
    assert len(said := failed()) == 1 and said[0].startswith(refused), said
    reason, = [r for r in node.api("/v1/status")["reasons"] if r["what"] == "load"]
    assert reason["text"].startswith(refused) and "name a device that has one" in reason["fix"]
    assert refused in node.log()
    with pytest.raises(CniError) as error:
        add(node)
    assert error.value.code == 7 and error.value.msg.startswith(refused)
