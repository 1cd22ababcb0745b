# SPDX-License-Identifier: Apache-2.0
"""D1, D2, D4, D10: what a verdict costs, against the least that a stateful one can be."""
import functools
import json
import subprocess

@functools.cache
def figures(build):
    out = subprocess.run([f"{build}/bench/verdict"], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return json.loads(out)


def established(result, build):
    f = figures(build)
    result.add("D1", "established, IPv4 TCP, both policies", f["D1"]["ours"], f["D1"]["floor"],
               "parse and one lookup", 3)
    result.add("D1.reply", "the same, its responder's packets", f["D1.reply"]["ours"],
               f["D1.reply"]["floor"], "parse and one lookup")
    out = subprocess.run([f"{build}/bench/both"], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    both = json.loads(out)
    result.add("D1.both", "both directions of one flow at once, on two processors", both["both"],
               both["alone"], "one after the other")


def others(result, build):
    f = figures(build)
    for row, what, target in (("D2.ipv6", "established, IPv6", 1.25),
                              ("D2.service", "established, through a published port", 1.2),
                              ("D2.masquerade", "established, masqueraded", 1.3)):
        result.add(row, what, f[row]["ours"], f["D1"]["ours"], "D1", target)


def denied(result, build):
    f = figures(build)
    result.add("D4.first", "a flow's first packet, and its flow deleted", f["D4.first"]["ours"],
               limit=700)
    result.add("D4.world", "the same, to the world", f["D4.world"]["ours"])
    result.add("D4.cidr", "the same, to an address among 50,000 prefixes of the operator's",
               f["D4.cidr"]["ours"], limit=1100)
    result.add("D4.denied", "denied by policy", f["D4.denied"]["ours"], limit=350)
    result.add("D4.spoofed", "spoofed source", f["D4.spoofed"]["ours"], limit=60)


def hosts_own(result, build):
    f = figures(build)
    result.add("D10", "a packet of the host's own, at the uplink", f["D10.0"]["ours"], limit=25)
    result.add("D10.flat", "with 100,000 flows of ours, against none", f["D10.100000"]["ours"],
               f["D10.0"]["ours"], "ours at 0", 1.1)


def flow_life(result, build):
    out = subprocess.run([f"{build}/bench/life"], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    life = json.loads(out)
    result.add("D12.resolver", f"500 answered DNS questions a second for {life['seconds']} s, denied",
               [life["resolver"]], unit="packets", limit=0)
    result.add("D12.proxy", "4,000 live of 4,096, 500 new ones a second beside, denied",
               [life["proxy"]], unit="packets", limit=0)
