# SPDX-License-Identifier: Apache-2.0
"""D1 to D4, D10: what a verdict costs, against the least that a stateful one can be."""
import contextlib
import functools
import json
import subprocess

from sides import NFT, Router, lacks

@functools.cache
def figures(build):
    out = subprocess.run([f"{build}/bench/verdict"], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return json.loads(out)


def established(result, build):
    f = figures(build)
    result.add("D1", "established, IPv4 TCP, both policies", f["D1"]["ours"], f["D1"]["beside"],
               "parse and one lookup", 3)
    result.add("D1.reply", "the same, its responder's packets", f["D1.reply"]["ours"],
               f["D1.reply"]["beside"], "parse and one lookup")
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


# An address and a port for each of 10,000; those of what bench/taps sends are the last.
VMAP = """table ip bench {
	map rules {
		type ipv4_addr . inet_service : verdict
		elements = { %s }
	}
	chain forward {
		type filter hook forward priority 0;
		ip saddr . udp dport vmap @rules
	}
}
"""


def vmap(address):
    names = [f"10.60.{nr // 100}.{nr % 100} . {1000 + nr % 100}" for nr in range(9999)]
    return VMAP % ", ".join(f"{name} : accept" for name in [*names, f"{address} . 8080"])


def filled(result, build):
    f = figures(build)
    result.add("D3", "D1 at 10,000 rules, 100,000 peers, any of 64,000 live flows", f["D3"]["ours"],
               f["D3"]["beside"], "D1", 1.8)
    result.add("D3.floor", "the least at any of 64,000 live flows", f["D3.floor"]["ours"],
               f["D3.floor"]["beside"], "parse and one lookup")
    why = lacks(NFT)
    if why:
        result.skip("D3.added", why)
        return
    with contextlib.ExitStack() as stack:
        plain, ruled = (stack.enter_context(contextlib.closing(Router(name, build)))
                        for name in ("plain", "vmap"))
        ruled.load(vmap(ruled.ADDRESS[0]))
        out = subprocess.run([f"{build}/bench/taps", plain.path(), ruled.path()], check=True,
                             text=True, stdout=subprocess.PIPE).stdout
    ns = {name: path["ns"] for name, path in json.loads(out).items()}
    result.add("D3.added", "what of D3 the tables add",
               [a - b for a, b in zip(f["D3"]["ours"], f["D3"]["beside"])],
               [a - b for a, b in zip(ns["vmap"], ns["plain"])], "nft vmap of 10,000", 1)


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
    result.add("D10.range", "the same to a port that masquerade may take", f["D10.range"]["ours"],
               f["D10.range"]["beside"], "a parse and one lookup")
    result.add("D10.published", "the same to a port beside a published one", f["D10.published"]["ours"], limit=25)
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
