# SPDX-License-Identifier: Apache-2.0
"""
Which resolvers and search list a running guest is told: its job's own from Nomad's word on, else the node's as
resolv.conf has them now, which picketd follows.
"""
import os

import pytest
from harness import EGRESS, wait_for
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (ICMPv6ND_RS, ICMPv6NDOptDNSSL, ICMPv6NDOptRDNSS, IPv6)
from scapy.layers.l2 import Ether
from test_resolver import REAL, STUB, put
from fake import FakeNomad, serving

ALLOC = "3f1c7a52-0000-4000-8000-000000000001"


class Guest:
    """Asks on the allocation's tap, once each time."""

    def __init__(self, alloc):
        self.alloc, self.vmm = alloc, alloc.tap()
        self.mac = bytes.fromhex(alloc.mac.replace(":", ""))

    def ask(self, frame, layer):
        self.vmm.drain()
        self.vmm.send(frame)
        got = self.vmm.receive(lambda raw: layer in Ether(raw))
        assert got, f"no answer with {layer.__name__}"
        return Ether(got)

    def offered(self):
        return self.ask(Ether(src=self.alloc.mac, dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255") /
                         UDP(sport=68, dport=67) / BOOTP(chaddr=self.mac) / DHCP(options=[("message-type", "discover"), "end"]),
                        DHCP)

    def hostname(self):
        return dict(o for o in self.offered()[DHCP].options if isinstance(o, tuple) and len(o) == 2).get("hostname", b"").decode()

    def dhcp(self):
        """(servers, domain, the search list's bytes)"""
        offer = self.offered()
        said = {o[0]: o[1:] for o in offer[DHCP].options if isinstance(o, tuple)}
        return list(said.get("name_server", ())), said.get("domain", (b"",))[0].decode(), search_of(bytes(offer[DHCP]))

    def router(self):
        """(servers, search list)"""
        ra = self.ask(Ether(src=self.alloc.mac, dst="33:33:00:00:00:02") / IPv6(src="fe80::99", dst="ff02::2", hlim=255) /
                      ICMPv6ND_RS(), ICMPv6NDOptRDNSS)
        names = [name.decode() if isinstance(name, bytes) else name
                 for name in (ra[ICMPv6NDOptDNSSL].searchlist if ICMPv6NDOptDNSSL in ra else [])]
        return list(ra[ICMPv6NDOptRDNSS].dns), [name.rstrip(".") for name in names]


def search_of(options):
    """The names of option 119, walked by hand: scapy joins them."""
    at = 0
    while at < len(options) and options[at] != 255:
        if options[at] == 119:
            return names_of(options[at + 2:at + 2 + options[at + 1]])
        at += 1 if options[at] == 0 else 2 + options[at + 1]
    return []


def names_of(wire):
    names, labels = [], []
    while wire:
        label, wire = wire[1:1 + wire[0]], wire[1 + wire[0]:]
        if label:
            labels.append(label.decode())
        else:
            names.append(".".join(labels))
            labels = []
    return names


def effective(node):
    return node.api("/v1/world")["resolvers"]


@pytest.fixture
def nomad(node):
    with serving(node, FakeNomad, "here") as fake:
        yield fake


def start(node, nomad):
    node.start_picketd({"nomad": {"address": nomad.address, "node": "here"}, "consul": None})
    wait_for(lambda: node.source("nomad")["state"] == "ok", "Nomad's answer")


def test_a_jobs_dns_is_told_from_its_confirmation_on(node, nomad):
    put(node, REAL)
    start(node, nomad)
    nomad.put(ALLOC, "acme", "api", "web", dns={"Servers": ["10.1.1.53", "fd00:1::53", "198.51.100.53"], "Searches": ["job.example"],
                                               "Options": ["ndots:2"]})
    guest = Guest(node.add("acme", "api", "web", alloc_id=ALLOC))
    # ADD waited for Nomad's word, so the first question hears it.
    assert guest.dhcp() == (["10.1.1.53", "198.51.100.53"], "job.example", ["job.example"])
    assert guest.router() == (["fd00:1::53"], ["job.example"])
    # A job can't open a protected address by naming it; the operator is told how.
    log = node.log()
    assert "its job names the resolver 10.1.1.53, a protected address" in log and "its job names the resolver fd00:1::53" in log
    assert "the resolver 198.51.100.53" not in log
    assert effective(node) == ["192.0.2.1", "2001:db8::1"]
    # Another word of Nomad's is followed; what the job leaves out is the node's, as for tasks.
    nomad.put(ALLOC, "acme", "api", "web", dns={"Servers": [], "Searches": ["other.example", "b.example"]})
    wait_for(lambda: guest.dhcp() == (["192.0.2.1"], "other.example", ["other.example", "b.example"]), guest.dhcp)
    nomad.put(ALLOC, "acme", "api", "web")
    wait_for(lambda: guest.dhcp() == (["192.0.2.1"], "upstream.example", ["upstream.example"]), guest.dhcp)


def test_ADD_waits_for_its_jobs_dns(node, nomad):
    """Nomad takes its time to answer: what a guest asks first, after ADD, already hears the job's word."""
    put(node, REAL)
    start(node, nomad)
    nomad.later["/v1/"] = 2
    nomad.put(ALLOC, "acme", "api", "web", dns={"Servers": ["198.51.100.53"], "Searches": ["job.example"]})
    guest = Guest(node.add("acme", "api", "web", alloc_id=ALLOC, conf=node.plugin_conf(waitForController="30s")))
    assert guest.dhcp() == (["198.51.100.53"], "job.example", ["job.example"])


def test_a_guests_host_name(node, nomad):
    """By its job and alloc as ADD has them, else as its network block asks; what is none asks for nothing."""
    put(node, REAL)
    start(node, nomad)
    guest = Guest(node.add("acme", "Api_v2", "web", alloc_id=ALLOC))
    assert guest.hostname() == "api-v2-3f1c7a52"
    nomad.put(ALLOC, "acme", "Api_v2", "web", hostname="mail.corp")
    wait_for(lambda: guest.hostname() == "mail.corp", guest.hostname)
    nomad.put(ALLOC, "acme", "Api_v2", "web", hostname="web-${NOMAD_ALLOC_INDEX}")
    wait_for(lambda: guest.hostname() == "api-v2-3f1c7a52", guest.hostname)


def test_another_namespaces_dns_is_nobodys(node, nomad):
    """In quarantine nothing counts that Nomad says of the allocation."""
    put(node, REAL)
    start(node, nomad)
    nomad.put(ALLOC, "other", "api", "web", dns={"Servers": ["10.1.1.53"]})
    guest = Guest(node.add("acme", "api", "web", alloc_id=ALLOC))
    wait_for(lambda: node.api(f"/v1/endpoints/{ALLOC}")["confirmed"] == "contradicted", "Nomad's word")
    assert guest.dhcp()[0] == ["192.0.2.1"]


def write(node, text):
    """As a network manager does it: another file in its place."""
    path = os.path.join(node.root, "etc/resolv.conf")
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(path + ".new", path)


def test_resolv_conf_is_followed(node):
    put(node, REAL)
    node.start_picketd()
    guest = Guest(node.add("acme", "api", "web"))
    named = Guest(node.add("acme", "db", "db", conf=node.plugin_conf(dns={"servers": ["192.0.2.77"], "search": ["fixed.example"]})))
    before = node.tables.word(guest.alloc.slot)
    assert guest.dhcp() == (["192.0.2.1"], "upstream.example", ["upstream.example"])
    write(node, "nameserver 10.0.0.7\nsearch new.example\n")
    wait_for(lambda: guest.dhcp() == (["10.0.0.7"], "new.example", ["new.example"]), guest.dhcp)
    assert named.dhcp() == (["192.0.2.77"], "fixed.example", ["fixed.example"])
    # The baseline lets it ask there: the protected address is open for DNS, and for that alone.
    wait_for(lambda: effective(node) == ["10.0.0.7"], lambda: effective(node))
    wait_for(lambda: node.tables.word(guest.alloc.slot) != before, "another rule set")
    wait_for(lambda: allowed(guest, 53), lambda: node.tables.counters(guest.alloc.slot))
    assert not allowed(guest, 54)
    # A new endpoint begins with it.
    assert Guest(node.add("acme", "new", "new")).dhcp()[0] == ["10.0.0.7"]


def allowed(guest, port):
    """Does a datagram to the new resolver pass its policy?"""
    tables, slot = guest.alloc.node.tables, guest.alloc.slot
    before = tables.counters(slot)
    guest.vmm.send(Ether(src=guest.alloc.mac, dst="02:70:6b:00:00:01") / IP(src=guest.alloc.address(), dst="10.0.0.7") /
                   UDP(sport=40000 + port, dport=port) / b"x")
    verdicts = {(EGRESS, "ok"), (EGRESS, "policy-denied")}		# the netns' own stack has others
    return wait_for(lambda: verdicts & tables.counted(slot, before).keys(), "a count") == {(EGRESS, "ok")}


def test_a_resolv_conf_that_names_nobody_is_no_word(node):
    put(node, STUB, REAL)
    node.start_picketd()
    guest = Guest(node.add("acme", "api", "web"))
    os.unlink(os.path.join(node.root, "etc/resolv.conf"))
    wait_for(lambda: "op=resolv" in node.log(), "that it was seen")
    assert guest.dhcp()[0] == ["192.0.2.1"] and effective(node) == ["192.0.2.1", "2001:db8::1"]
    # What systemd-resolved itself asks is followed too.
    put(node, STUB, "nameserver 192.0.2.9\n")
    wait_for(lambda: guest.dhcp()[0] == ["192.0.2.9"], guest.dhcp)
    wait_for(lambda: effective(node) == ["192.0.2.9"], lambda: effective(node))
