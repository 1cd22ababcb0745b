# SPDX-License-Identifier: Apache-2.0
"""
`picket check` on rule sets of the common tools, recorded from the tools themselves (tests/recorded/firewall/README.md), and on rules that
look like them: which chain drops, and whether a rule lets pk* through before.
"""
import json
import os
import shlex

import pytest
from harness import Node

RECORDED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "recorded", "firewall")


@pytest.fixture(name="bare", scope="module")
def bare_node():
    with Node("firewall") as node:
        yield node


def found(node):
    """{(tool and chain): whether pk* is let through}, of `picket check`'s lines."""
    lines = json.loads(node.picket("check", "-json", check=False, env={"NOMAD_ADDR": "http://127.0.0.1:1"}).stdout)
    said = [line for line in lines if line["what"] == "firewall"]
    if [line["text"] for line in said] == ["no chain of this node's drops what it takes in or forwards"]:
        return {}
    return {line["text"].split(" drops what ")[0].removesuffix(" lets pk* through"): line["state"] == "ok" for line in said}


def recorded(name):
    with open(os.path.join(RECORDED, name), encoding="utf-8") as file:
        return file.read()


def load(node, *commands):
    node.run(["nft", "flush", "ruleset"])
    for command, text in commands:
        node.run(command, stdin=text)


def chains(*families, names=("INPUT", "FORWARD")):
    return {f"nft: chain {name} of table {family}": False for family in families for name in names}


TOOLS = {
    "firewalld-nft": ([("nft -f -", "firewalld.nft")], chains("inet firewalld", names=("filter_INPUT", "filter_FORWARD"))),
    "firewalld-iptables": ([("iptables-restore", "firewalld.iptables"), ("ip6tables-restore", "firewalld.ip6tables")], chains("ip filter", "ip6 filter")),
    "ufw": ([("iptables-restore", "ufw.iptables"), ("ip6tables-restore", "ufw.ip6tables")], chains("ip filter", "ip6 filter")),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_recorded(bare, tool):
    """Both chains are named, and the fix of each opens it."""
    files, drops = TOOLS[tool]
    load(bare, *((command.split(), recorded(name)) for command, name in files))
    assert found(bare) == drops
    for line in json.loads(bare.picket("check", "-json", check=False, env={"NOMAD_ADDR": "http://127.0.0.1:1"}).stdout):
        if line["what"] == "firewall":
            bare.run(shlex.split(line["fix"]))
    assert found(bare) == dict.fromkeys(drops, True)


def test_opened_in_the_tools_own_chain(bare):
    """Where a rule of the operator's stands that the tool has a chain for: what other chains before it may do isn't in its way."""
    load(bare, (["iptables-restore"], recorded("ufw.iptables")))
    bare.run(["iptables", "-A", "ufw-user-input", "-i", "pk+", "-j", "ACCEPT"])
    bare.run(["iptables", "-A", "ufw-user-forward", "-o", "pk+", "-j", "ACCEPT"])
    assert found(bare) == dict.fromkeys(chains("ip filter"), True)
    load(bare, (["nft", "-f", "-"], recorded("firewalld.nft")))
    bare.run(["nft", "-f", "-"], stdin="""
        add chain inet firewalld filter_IN_trusted { accept; }
        insert rule inet firewalld filter_INPUT_ZONES iifname "pk*" goto filter_IN_trusted""")
    drops = chains("inet firewalld", names=("filter_INPUT", "filter_FORWARD"))
    assert found(bare) == {**drops, "nft: chain filter_INPUT of table inet firewalld": True}


RULES = [   # hook, rules of the base chain (policy accept), rules of a chain `more`; what is said: nothing, or whether pk* is let through
    ("input", "reject", "", False), ("input", "counter log drop", "", False), ("input", "tcp dport 22 accept; drop", "", False),
    ("input", "meta mark set 1 drop", "", False), ("input", "", "", None), ("input", "accept; drop", "", None),
    ("input", 'iifname "pk*" accept; drop', "", True), ("input", 'iifname "p*" accept; drop', "", True),
    ("input", 'iifname "pk1" accept; drop', "", False), ("input", 'iifname "pk1*" accept; drop', "", False),
    ("input", 'iifname != "pk*" accept; drop', "", False), ("input", 'iifname != "eth0" accept; drop', "", None),
    ("input", 'iifname "eth0" drop', "", None), ("input", 'oifname "pk*" accept; drop', "", False),
    ("input", 'iifname { "pk1", "eth0" } drop', "", None), ("input", "ip saddr 10.0.0.0/8 drop", "", None),
    ("input", 'tcp dport 22 iifname "pk*" accept; drop', "", False),
    ("forward", 'oifname "pk*" drop', "", False), ("forward", 'iifname "eth0" drop', "", None),
    ("forward", 'iifname "pk*" accept; drop', "", False), ("forward", 'oifname "pk*" accept; drop', "", True),
    ("input", "jump more", "drop", False), ("input", "jump more; drop", "accept", None), ("input", "goto more; accept", "drop", False),
    ("input", "goto more; drop", "", None), ("input", "jump more; drop", "return; accept", False),
    ("input", "jump more", 'iifname "pk*" return; drop', True), ("input", "jump more", "ip daddr 10.0.0.1 return; drop", None),
    ("input", "tcp dport 22 jump more", "drop", None), ("input", 'iifname "pk*" jump more; drop', "accept", True),
]


@pytest.mark.parametrize("hook, rules, more, said", RULES)
def test_rules(bare, hook, rules, more, said):
    lines = [f"type filter hook {hook} priority 0; policy accept", *rules.split(";")]
    load(bare, (["nft", "-f", "-"], "table inet t {\nchain more {\n" + "\n".join(more.split(";")) + "\n}\nchain base {\n" + "\n".join(lines) + "\n}\n}\n"))
    assert found(bare) == ({} if said is None else {"nft: chain base of table inet t": said})


def test_legacy(bare):
    """The same of iptables-legacy: a last rule that rejects, in a chain that is jumped to; what a comment says asks nothing."""
    if bare.run(["iptables-legacy", "-L"], check=False).returncode:
        pytest.skip("this kernel has no tables of iptables-legacy")
    load(bare)
    for tool in ("iptables-legacy", "ip6tables-legacy"):
        for words in ("-N zones", "-A zones -p tcp --dport 22 -j ACCEPT", "-A zones -i eth0 -j RETURN", "-A zones -m comment --comment end -j REJECT",
                      "-A INPUT -s ::1 -j DROP" if tool.startswith("ip6") else "-A INPUT -s 127.0.0.1 -j DROP", "-A INPUT -i lo -j ACCEPT", "-A INPUT -g zones",
                      "-P FORWARD DROP"):
            bare.run([tool, *words.split()])
    assert found(bare) == {f"{tool}: chain {chain} of table filter": False
                           for tool in ("iptables-legacy", "ip6tables-legacy") for chain in ("INPUT", "FORWARD")}
    bare.run(["iptables-legacy", "-I", "zones", "-i", "pk+", "-j", "ACCEPT"])
    bare.run(["ip6tables-legacy", "-I", "FORWARD", "!", "-o", "eth0", "-j", "ACCEPT"])
    assert found(bare) == {"iptables-legacy: chain INPUT of table filter": True, "iptables-legacy: chain FORWARD of table filter": False,
                           "ip6tables-legacy: chain INPUT of table filter": False}
    for tool in ("iptables-legacy", "ip6tables-legacy"):
        bare.run([tool, "-P", "FORWARD", "ACCEPT"])
        for words in ("-F", "-X"):
            bare.run([tool, words])
    assert found(bare) == {}
