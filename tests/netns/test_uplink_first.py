# SPDX-License-Identifier: Apache-2.0
"""What somebody else puts before pk_from_uplink where picketd runs: ours is the first again, or what stands there is said."""
import contextlib
import signal

import pytest
from harness import wait_for
from test_picketd_guard import XDP, XDP_PASSES, pinned, tcx_before
from test_uplinks import PROGRAM, UP0, add, filters, plant, run, uplink_lines, uplinks


def test_it_is_first_again_where_picketd_runs(node):
    node.start_picketd()
    add(node)
    node.picketd.send_signal(signal.SIGSTOP)	# it hears of filters, and would be quicker than the next line
    plant(node, "up0")
    assert len(seen := filters(node, "up0")) == 2 and seen[1] == PROGRAM, seen		# the newest of one preference is the first
    node.picketd.send_signal(signal.SIGCONT)
    wait_for(lambda: len(seen := filters(node, "up0")) == 2 and seen[0] == PROGRAM, lambda: f"ours first: {filters(node, 'up0')}")
    assert not node.reasons("uplink")


@contextlib.contextmanager
def xdp_before(node, device):
    run(node, f"ip link set dev {device} xdpgeneric pinned {pinned(node, 'xdp', XDP, XDP_PASSES)}")
    yield
    run(node, f"ip link set dev {device} xdpgeneric off")


@pytest.mark.parametrize("before,kind", ((tcx_before, "a TCX program"), (xdp_before, "an XDP program")), ids=("tcx", "xdp"))
def test_what_it_cannot_be_put_before_is_said(node, before, kind):
    """P57: status and `picket check` name what stands there, endpoints come and go all the same; once it is gone nothing is said."""
    node.start_picketd()
    add(node)
    with before(node, "up0"):
        node.picketd.send_signal(signal.SIGHUP)		# the kernel tells nobody of TCX: the audit sees it
        reason, = wait_for(lambda: node.reasons("uplink"), "the reason")
        assert reason["text"].startswith("uplink up0: program ") and f" ({kind}) stands before {PROGRAM}:" in reason["text"], reason
        assert "find out what it does" in reason["fix"] and node.api("/v1/status")["state"] != "ok"
        assert ("warn", f'up0: "{kind}" stands before {PROGRAM}') in uplink_lines(node)
        assert filters(node, "up0") == [PROGRAM] and uplinks(node) == UP0
        node.delete(add(node, "acme", "db", "db"))
    node.picketd.send_signal(signal.SIGHUP)
    wait_for(lambda: not node.reasons("uplink"), "nothing to say any more")
    assert ("ok", "up0: 192.0.2.2, 2001:db8::2, MTU 1500") in uplink_lines(node)
