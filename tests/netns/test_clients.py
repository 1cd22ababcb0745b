# SPDX-License-Identifier: Apache-2.0
"""
Unmodified guests configure themselves: real DHCP clients behind a tap, each from nothing to address, route, MTU,
resolvers, search list and host name, a renewal and a release; and nothing that they send meanwhile counts as spoofed.
"""
import subprocess

import pytest
from harness import EGRESS, wait_for
from harness.client import Client

SERVERS4, SERVERS6 = ["10.0.0.53", "10.0.0.54"], ["fd00::53"]
SEARCH = ["corp.example", "b.example"]
# What a client's own start may come to: answered, or a group that nobody is in; and one that asked twice tells the
# gateway that nobody waits for the second answer.
QUIET = {"ok", "multicast", "icmp-unrelated"}


@pytest.fixture
def guest(make_node):
    node = make_node(conf={"dns": {"servers": SERVERS4 + SERVERS6, "search": SEARCH}, "mtu": 1400})
    alloc = node.add("acme", "api", "web")
    before = node.tables.counters(alloc.slot)
    with Client(alloc) as client:
        client.up()
        yield client
        counted = node.tables.counted(alloc.slot, before)
        assert {reason for direction, reason in counted if direction == EGRESS} <= QUIET, counted


def has_address(guest, family=4):
    bits = {4: 24, 6: 128}[family]
    return f"{guest.alloc.address(family)}/{bits}" in guest.addresses()


def await_address(guest, family=4):
    wait_for(lambda: has_address(guest, family), lambda: f"an address: {guest.addresses()}", 60)


def has_default(guest, family=4):
    via = guest.alloc.gateway if family == 4 else "fe80::1"
    return any(route.startswith(f"default via {via} ") for route in guest.routes(family))


def await_link_local(guest):
    """Duplicate detection of its link-local address has ended: nobody has answered."""
    wait_for(lambda: "fe80" in guest.run(["ip", "-6", "addr", "show", "dev", "eth0", "scope", "link", "-tentative"]).stdout,
             "a link-local address")


def hostname(guest):
    """As the guard tells it: its job's name and the beginning of the alloc's."""
    return f"api-{guest.alloc.id[:8]}"


def words(guest, key):
    """All that resolv.conf says under a key."""
    lines = [line.split() for line in guest.read("/etc/resolv.conf").splitlines()]
    return [word.rstrip(".") for line in lines if line and line[0] == key for word in line[1:]]


def mtu(guest):
    return int(guest.read("/sys/class/net/eth0/mtu"))


UDHCPC = """#!/bin/sh
printf '%s %s %s %s %s [%s] [%s] %s %s\\n' "$1" "$ip" "$mask" "$router" "$mtu" "$dns" "$search" "$domain" "$hostname" >>/run/udhcpc.log
"""


def test_busybox_udhcpc(guest):
    """P08: it gets its own lease, from the guard."""
    guest.write("/run/udhcpc.sh", UDHCPC, 0o755)
    client = guest.popen(["busybox", "udhcpc", "-f", "-R", "-i", "eth0", "-T", "1", "-O", "search", "-O", "mtu", "-O", "domain",
                          "-O", "hostname", "-p", "/run/udhcpc.pid", "-s", "/run/udhcpc.sh"], stderr=subprocess.PIPE, text=True)

    def log():
        return guest.read("/run/udhcpc.log").splitlines()

    lease = f"{guest.alloc.address()} 24 {guest.alloc.gateway} 1400 [{' '.join(SERVERS4)}] [{' '.join(SEARCH)}] {SEARCH[0]} {hostname(guest)}"
    wait_for(lambda: f"bound {lease}" in log(), log)
    inside = guest.read("/run/udhcpc.pid").strip()
    guest.run(["kill", "-USR1", inside])
    wait_for(lambda: f"renew {lease}" in log(), log)
    guest.run(["kill", "-TERM", inside])
    client.wait(60)
    assert "unicasting a release of" in client.stderr.read()


DHCLIENT = ["-1", "-v", "-cf", "/run/dhclient.conf", "-pf", "/run/dhclient.pid", "-lf", "/run/dhclient.lease", "eth0"]


def dhclient(guest, *argv):
    guest.write("/run/dhclient.conf", "also request interface-mtu;\nalso request dhcp6.name-servers;\n")
    return guest.run(["dhclient", *argv, *DHCLIENT]).stderr


def test_dhclient_4(guest):
    assert "DHCPACK of" in dhclient(guest, "-4")
    assert has_address(guest) and has_default(guest)
    assert words(guest, "nameserver") == SERVERS4 and words(guest, "search") == SEARCH
    assert words(guest, "domain") == SEARCH[:1] and f"mtu {1400} " in guest.run(["ip", "link", "show", "eth0"]).stdout
    assert guest.run(["hostname"]).stdout.strip() == hostname(guest)
    # Without a word to the server, then anew: it asks for what it had (INIT-REBOOT).
    guest.run(["dhclient", "-x", "-4", *DHCLIENT])
    assert "DHCPDISCOVER" not in dhclient(guest, "-4") and has_address(guest)
    assert "DHCPRELEASE of" in dhclient(guest, "-4", "-r")
    wait_for(lambda: not has_address(guest), guest.addresses)


def test_dhclient_6(guest):
    await_link_local(guest)
    assert "RCV: Reply message" in dhclient(guest, "-6")
    assert has_address(guest, 6)
    wait_for(lambda: has_default(guest, 6), lambda: guest.routes(6))
    assert words(guest, "nameserver") == SERVERS6 and words(guest, "search") == SEARCH
    lease = guest.read("/run/dhclient.lease")
    assert "option dhcp6.server-id 0:3:0:1:2:70:6b:0:0:1;" in lease and "max-life 86400;" in lease, lease
    # Stopped without a word: it confirms what it had.
    guest.run(["dhclient", "-x", "-6", *DHCLIENT])
    assert "XMT: Confirm" in dhclient(guest, "-6") and has_address(guest, 6)
    assert "XMT: Release" in dhclient(guest, "-6", "-r")
    wait_for(lambda: not has_address(guest, 6), guest.addresses)


DHCPCD = """duid
option domain_name_servers, domain_name, domain_search, interface_mtu, host_name
option dhcp6_name_servers, dhcp6_domain_search
nodelay
noipv4ll
env force_hostname=YES
"""


def test_dhcpcd(guest, tmp_path):
    guest.write("/run/dhcpcd.conf", DHCPCD)
    with open(tmp_path / "log", "w", encoding="utf-8") as log:
        client = guest.popen(["dhcpcd", "-B", "-d", "-f", "/run/dhcpcd.conf", "eth0"], stdout=log, stderr=subprocess.STDOUT)

    def said(text):
        return text in (tmp_path / "log").read_text(encoding="utf-8")

    await_address(guest, 4)	# after three ARP probes for it, which nobody answers
    await_address(guest, 6)
    wait_for(lambda: set(words(guest, "nameserver")) == set(SERVERS4 + SERVERS6), lambda: guest.read("/etc/resolv.conf"))
    assert has_default(guest) and has_default(guest, 6) and set(words(guest, "search")) == set(SEARCH)
    assert " mtu 1400 " in guest.run(["ip", "route", "show", "default"]).stdout
    assert said("REPLY6 received from fe80::1") and said(f"acknowledged {guest.alloc.address()} from {guest.alloc.gateway}")
    wait_for(lambda: said(f"Setting hostname: {hostname(guest)}"), "its host name")
    guest.run(["dhcpcd", "-n", "eth0"])
    wait_for(lambda: said("rebinding lease of") and said("run-hooks RENEW"), "its lease renewed")
    wait_for(lambda: said("broadcasting REBIND6") and said("run-hooks REBOOT6"), "its DHCPv6 lease renewed")
    # It is told until it hears: on a busy machine the daemon now and then loses the word, and says nothing of it.
    wait_for(lambda: guest.run(["dhcpcd", "-k", "eth0"], check=False) and client.poll() is not None,
             lambda: (tmp_path / "log").read_text(encoding="utf-8")[-2000:], 120)
    assert said("broadcasting RELEASE6") and not has_address(guest, 6)


NETWORKD = """[Match]
Name=eth0
[Network]
DHCP=yes
IPv6AcceptRA=yes
[DHCPv4]
UseMTU=yes
UseDomains=yes
[IPv6AcceptRA]
UseDomains=yes
"""


def networkd(guest, log):
    return guest.popen(["env", "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console", "/lib/systemd/systemd-networkd"],
                       stdout=log, stderr=subprocess.STDOUT)


def test_systemd_networkd(guest, tmp_path):
    guest.write("/etc/systemd/network/10-eth0.network", NETWORKD)
    guest.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    index = guest.run(["ip", "-o", "link", "show", "eth0"]).stdout.split(":")[0]

    def state(kind):
        lines = guest.read(f"/run/systemd/netif/{kind}/{index}").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    with open(tmp_path / "log", "w", encoding="utf-8") as log:
        for _ in range(2):	# the second one asks for what the first one had
            client = networkd(guest, log)
            await_address(guest, 4)
            await_address(guest, 6)
            wait_for(lambda: state("links").get("ADMIN_STATE") == "configured", lambda: state("links"))
            wait_for(lambda: has_default(guest) and has_default(guest, 6), guest.routes)
            wait_for(lambda: set(state("links")["DNS"].split()) == set(SERVERS4 + SERVERS6), lambda: state("links"))
            link, lease = state("links"), state("leases")
            assert set(link["DOMAINS"].split()) == set(SEARCH)
            assert lease["MTU"] == "1400" and lease["DOMAIN_SEARCH_LIST"] == " ".join(SEARCH) and lease["LIFETIME"] == "86400"
            assert lease["HOSTNAME"] == hostname(guest)
            guest.run(["busybox", "killall", "-TERM", "systemd-networkd"])
            client.wait(60)
    said = (tmp_path / "log").read_text(encoding="utf-8")
    assert "DHCPv6 client: State changed: solicitation -> bound" in said
