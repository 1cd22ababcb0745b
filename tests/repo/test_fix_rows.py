# SPDX-License-Identifier: Apache-2.0
"""
Each `fix:` of the sources has a row that refuses, does what it says and is taken then; or it stands here, with the test that does so elsewhere, or
with why no test can. A new fix fails this until it has one of the three.
"""
import ast
import glob
import os
import re

import pytest

from fix_texts import fixes
from test_symptoms import ROOT, read

ROWS = ("tests/repo/test_mends*.py", "tests/netns/test_fix_done*.py")
VALUE = re.compile(r"%(?:\.\d+)?l*[a-z]")      # what the program puts there


def parts(fix):
    return [part.strip(' ;,"') for part in VALUE.split(fix)]


def names(text, fix):
    """The text of a test is enough of that fix to be no other's: its longest part, or some words of 14 characters or more."""
    longest = max(parts(fix), key=len)
    return longest in text or (len(text) >= 14 and " " in text and text in fix)


def said_in(*patterns):
    """Every text of those tests."""
    for file in (file for pattern in patterns for file in glob.glob(os.path.join(ROOT, pattern))):
        for node in ast.walk(ast.parse(read(os.path.relpath(file, ROOT)))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"^(fix: )?\s*|\s+$", "", node.value)


# {how a fix begins: (the test that does it, words of it there)}
ELSEWHERE = {
    "%s -I %s -p udp --dport": ("netns/test_overlay_edges.py", 'one.run(shlex.split(line["fix"]))'),
    "nft insert rule": ("netns/test_overlay_edges.py", 'one.run(shlex.split(line["fix"]))'),
    "sysctl -w net.ipv6": ("netns/test_check.py", "net.ipv6.conf.default.disable_ipv6=0"),
    "picket status says what holds its disk up": ("netns/test_picketd_disk.py", "fix: picket status says"),
    "give picketd's tokens and yours": ("netns/test_rollout.py", "no live node says"),
    "give it key_prefix": ("netns/test_policy_consul.py", 'give it key_prefix "'),
    "give it the rights of examples/acl in that": ("netns/test_policy_variables.py", "examples/acl"),
    "give the token key_prefix": ("netns/test_policy_consul.py", 'give the token key_prefix "'),
    "set CONSUL_HTTP_TOKEN": ("netns/test_policy_consul.py", "fix: set CONSUL_HTTP_TOKEN"),
    "install libcurl": ("netns/test_policy_consul.py", "fix: install libcurl"),
    "delete it again, with -history": ("netns/test_policy_variables.py", "fix: delete it again, with -history"),
    "look at what is there now": ("netns/test_policy_consul.py", "fix: look at what is there now"),
    "picket policy release %s on each node": ("netns/test_policy_consul.py", "picket policy release consul/"),
    "copy %s elsewhere": ("netns/test_policy_history.py", "fix: copy {LOG} elsewhere"),
    "the next change keeps that text": ("netns/test_policy_history.py", "fix: the next change keeps that text"),
    "use the release that wrote it": ("netns/test_policy_history.py", "fix: use the release that wrote it"),
    "set NOMAD_TOKEN": ("netns/test_policy_variables.py", "fix: set NOMAD_TOKEN"),
    "start the job anew without them": ("netns/test_cni_kill.py", "fix: start the job anew without them"),
    "look at what the node is busy with": ("netns/test_cni_again.py", "look at what the node is busy with"),
    "bring its keys back": ("netns/test_cluster.py", "release consul"),
    "install the release that wrote it on this node": ("netns/test_blocks.py", "delete the key"),
    "spread the tenants over more nodes": ("netns/test_cluster.py", "spread the tenants"),
    "nomad alloc stop: the next one": ("netns/test_picketd_netns.py", "nomad alloc stop"),
    "picket attach it again": ("netns/test_attach.py", '"picket detach" in reason["fix"]'),
    "stop the allocations that": ("netns/test_picketd_pins.py", "start them anew"),
    "bring them back": ("netns/test_services.py", "picket policy release services"),
    "%s; where it is meant so": ("netns/test_picketd_absence.py", "picket policy release consul"),
    "delete those that end in its name": ("netns/test_variables_cluster.py", "delete those that end in its name"),
    "delete what nobody needs there": ("netns/test_picketd_answers.py", "delete what nobody needs"),
    "see who registered it": ("netns/test_services.py", "picket service list"),
    'give each node a "node"': ("netns/test_blocks.py", "two nodes are named"),
    "see the server's log": ("netns/test_picketd_answers.py", "see the server's log"),
    "give picketd's token the rights": ("netns/test_picketd_sources.py", "rights that examples/acl lists"),
    "; fix: give picketd's token the rights": ("e2e/test_fleet.py", "give picketd's token the rights that examples/acl lists"),
    "stop its allocation and start it anew": ("netns/test_picketd_netns.py", "nomad alloc stop"),
    "see that journald": ("netns/test_picketd_disk.py", "journald"),
    "see what holds that disk up": ("netns/test_picketd_disk.py", "dmesg"),
    "drain this node first": ("netns/test_blocks.py", "would give up"),
    "stop their allocations": ("netns/test_blocks.py", "by its claim"),
    'widen "range" on each node': ("netns/test_blocks.py", 'widen \\"range\\"'),
    "stop picketd there; -force": ("netns/test_blocks.py", '"lives" in refused.stderr'),
    "give picketd's token read-job": ("e2e/test_fleet.py", '"read-job"'),
    "put it back; where it is meant": ("netns/test_picketd_absence.py", "-accept-missing-config"),
    'service_prefix "" and node_prefix': ("e2e/test_secured.py", "fix: service_prefix"),
    "set another one in picketd's environment": ("netns/test_picketd_answers.py", "in picketd's environment"),
    "let there be a file that picketd may write": ("netns/test_picketd_disk.py", "let there be a file that picketd may write, or none"),
    "put it back, or name another one": ("netns/test_files_absence.py", '"put it back" in reason["fix"]'),
    "put the directory back": ("netns/test_files_absence.py", "put the directory back, or mount it"),
    "put a regular file there": ("netns/test_state_files.py", "put a regular file there"),
    "its disk fails": ("netns/test_full_disk.py", "its disk fails: see dmesg"),
    "start picketd and let it reach Consul": ("netns/test_clock.py", "confirmed too long ago"),
    "shorten the names": ("netns/test_policy_variables.py", "fix: shorten the names"),
    "name resolvers that guests reach": ("netns/test_check.py", '"dns": { "servers"'),
    "name a device that has one": ("netns/test_uplinks.py", "fix: name a device that has one"),
    "narrow those policies": ("netns/test_picketd.py", "too large"),
    "install the release that loaded them": ("netns/test_upgrade.py", "; fix: install"),
}

# {how a fix begins: why no test here can do it}
NOT_HERE = {
    "run as root": "said where the kernel refuses a netlink socket, which anybody may open: nobody but root gets that far",
    "sysctl net.core.bpf_jit_enable": "the switch is the first network namespace's alone, and the machine's own settings are not a test's to change",
    "boot Linux 6.2": "needs a kernel before 6.2 that is locked down; tests/kernel61 boots one that isn't",
    "TCX needs Linux 6.6": "needs a kernel before 6.6; tests/kernel61 runs the programs there, not the node tests",
    "see that the kernel has VXLAN": "the kernel has it, and a module that is taken out is the machine's",
    ", or narrow the policies": "needs more rule sets or identities than the largest tables hold: minutes of compiling",
    "give the file endpoints of its own": "`picket policy test` always asks the node where a file has none; other callers of the function might not",
    "`picket check` says more": "a fallback: what STATUS finds today has a fix of its own",
    "raise picketd's": "a fallback: that no slot is left has a fix of its own; this is for a kernel that doesn't answer for its devices",
    "do it again": "said to whoever waits for a removal in the moment in which picketd ends; tests/unit/test_removal.c cancels one",
    "do it again once that is mended": "needs a store that fails between two steps of a removal; tests/unit/test_removal.c fails each",
    "do it again once it has": "needs a node that is known from disk alone, and a store that hasn't answered since the start",
    "give picketd's token ": "needs a token that may delete a node's keys and not what it told; tests/unit/test_removal.c has the answer",
    "`picket status` says why": "needs the question for a tap between a word that closes and the endpoint's end",
    "use picketd and picket of one release": "needs a release whose question has another number: there is none yet",
    "delete those that nobody needs": "more than 65,536 variables: an answer of minutes",
    "spread the tenant's allocations": "more shares than one variable holds: thousands of endpoints of a tenant on a node",
    "write another one into the file": "needs a token file whose token ends while it is asked for; tests/unit/test_token_watch.c ends it",
    "stop the allocation whose record": "needs a block that passed to another node, and beside it a record that can't be read",
    "each node's pools are its own": "needs a node that lies of its pools: tests/netns/test_cluster.py has one, which nobody mends",
    'see that "nomad" in picketd.json': "needs a Nomad that answers the node and not of nodes: tests/unit/test_nomad_nodes.c has the answers",
    "read %s to see what it was": "says where a text is kept; there is nothing to be taken then",
}


def lacking():
    said = {text for text in said_in(*ROWS) if text}
    return {fix: file for fix, file in fixes().items() if not any(names(text, fix) for text in said)}


def begins(fix):
    """The entry of a fix: the longest that it begins with."""
    return max((start for start in {**ELSEWHERE, **NOT_HERE} if fix.startswith(start)), key=len, default=None)


def test_each_fix_has_a_row_or_a_reason():
    assert not {fix: file for fix, file in lacking().items() if not begins(fix)}


def test_no_entry_is_of_a_fix_that_has_a_row_or_is_gone():
    kept = {begins(fix) for fix in lacking()} - {None}
    assert set(ELSEWHERE) | set(NOT_HERE) == kept, (set(ELSEWHERE) | set(NOT_HERE)) ^ kept
    assert not set(ELSEWHERE) & set(NOT_HERE)


@pytest.mark.parametrize("start", ELSEWHERE, ids=[start[:50] for start in ELSEWHERE])
def test_what_is_done_elsewhere_is(start):
    file, words = ELSEWHERE[start]
    assert words in read(f"tests/{file}"), (file, words)


def test_a_fix_that_nobody_does_is_noticed():
    assert not any(names(text, "turn it off and on again, %s") for text in said_in(*ROWS) if text)
    assert names("turn it off and on again", "turn it off and on again, %s") and not names("on again", "turn it off and on again, %s")
