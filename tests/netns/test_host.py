# SPDX-License-Identifier: Apache-2.0
"""Nothing of a VM reaches the node itself, metadata addresses or a loopback."""
import ctypes
import json
import os
import socket
import struct

import pytest
from harness import EGRESS, proving, wait_for
from harness.bpfmap import bpf
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from test_floods import questions
from test_picketd_guard import OBJ_PIN, passing_program

GATEWAY_MAC = "02:70:6b:00:00:01"
PORTS = (22, 4646, 4647, 4648, 4680, 8300, 8301, 8302, 8500, 8501, 8502, 8503, 8600)
QUIET = 0.3


@pytest.fixture
def vm(make_node):
    node = make_node(conf={"owner": 65534})
    a = node.add("acme", "job", "group")
    a.vmm = a.tap(credentials=(65534, 65534))
    a.vmm.drain()
    yield a
    a.vmm.close()


def ip(a, address):
    eth = Ether(src=a.mac, dst=GATEWAY_MAC)
    if ":" in address:
        return eth / IPv6(src=a.address(6), dst=address)
    return eth / IP(src=a.address(), dst=address)


def node_addresses(node):
    links = json.loads(node.run(["ip", "-j", "addr"]).stdout)
    return sorted({a["local"] for link in links for a in link["addr_info"]})


class HostSockets:
    """TCP and UDP sockets of the host on every address and each of the ports."""

    def __init__(self, node):
        self.sockets = []
        with node.inside():
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                for port in PORTS:
                    s = socket.socket(socket.AF_INET6, kind)
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("::", port))
                    if kind == socket.SOCK_STREAM:
                        s.listen()
                    s.setblocking(False)
                    self.sockets.append((kind, port, s))

    def heard(self):
        found = []
        for kind, port, s in self.sockets:
            try:
                found.append((port, s.accept() if kind == socket.SOCK_STREAM else s.recv(2000)))
            except BlockingIOError:
                pass
        return found

    def close(self):
        for _, _, s in self.sockets:
            s.close()


def more_addresses(vm):
    """Another interface, and link-local addresses, also of the endpoint's own host device."""
    run, host = vm.node.run, f"pk{vm.slot}"
    run(["ip", "link", "add", "other", "type", "veth", "peer", "name", "end"])
    run(["ip", "link", "set", "other", "up"])
    run(["sysctl", "-qw", f"net.ipv6.conf.{host}.disable_ipv6=0"])
    for device, address in ("other", "203.0.113.7/24"), ("other", "2001:db8:77::7/64"), ("other", "fe80::77/64"), ("up0", "fe80::78/64"), (host, "fe80::79/64"):
        run(["ip", "addr", "add", address, "dev", device, *(["nodad"] if ":" in address else [])])


def test_no_port_of_the_node_answers(vm):
    """P28: on every address of each of its interfaces, link-local ones too, by TCP, UDP and ping: denied, and no socket of the host hears anything."""
    more_addresses(vm)
    addresses = node_addresses(vm.node)
    assert {"127.0.0.1", "::1", "203.0.113.7", "2001:db8:77::7", "fe80::77", "fe80::78", "fe80::79", "192.0.2.2", "2001:db8::2"} <= set(addresses), addresses
    sockets = HostSockets(vm.node)
    try:
        for address in addresses:
            probes = [ICMPv6EchoRequest(id=3) if ":" in address else ICMP(type=8, id=3)]
            for port in PORTS:
                probes += TCP(sport=40000, dport=port, flags="S"), UDP(sport=40000, dport=port) / b"x"
            with proving(vm.node.tables, vm.slot, EGRESS, "policy-denied", len(probes)):
                for probe in probes:
                    vm.vmm.send(ip(vm, address) / probe)
        assert vm.vmm.receive(lambda raw: TCP in Ether(raw) or ICMP in Ether(raw) or
                              ICMPv6EchoReply in Ether(raw), QUIET) is None
        assert sockets.heard() == []
    finally:
        sockets.close()


def test_uplink_is_policy_denied(vm):
    with proving(vm.node.tables, vm.slot, EGRESS, "policy-denied"):
        vm.vmm.send(ip(vm, vm.node.options.up_address.split("/")[0]) /
                    TCP(sport=40000, dport=22, flags="S"))


@pytest.mark.parametrize("family", (4, 6))
def test_the_gateway_answers_ping_in_the_guard(vm, family):
    """P28: the gateway's ping is answered all the same, by the guard."""
    if family == 4:
        vm.vmm.send(ip(vm, vm.gateway) / ICMP(type=8, id=5, seq=1) / b"hello")
        reply = vm.vmm.receive(lambda raw: ICMP in Ether(raw) and Ether(raw)[ICMP].type == 0)
        assert reply and Ether(reply)[IP].src == vm.gateway
    else:
        vm.vmm.send(ip(vm, "fe80::1") / ICMPv6EchoRequest(id=5, seq=1, data=b"hello"))
        reply = vm.vmm.receive(lambda raw: ICMPv6EchoReply in Ether(raw))
        assert reply and Ether(reply)[IPv6].src == "fe80::1"
    assert Ether(reply).src == GATEWAY_MAC and Ether(reply).dst == vm.mac


METADATA = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200")
# The first of them as IPv6 may write it: mapped, compatible, by NAT64's two prefixes, by 6to4.
SPELLINGS = ("::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1")


def probe_of(protocol):
    return TCP(sport=40000, dport=80, flags="S") if protocol == "tcp" else \
        UDP(sport=40000, dport=80) / b"x"


@pytest.mark.parametrize("address", METADATA + SPELLINGS)
@pytest.mark.parametrize("protocol", ("tcp", "udp"))
def test_metadata_is_denied_by_the_baseline(vm, address, protocol):
    """By the tenant's base alone, before any controller. P29: every metadata address is policy-denied, TCP and UDP."""
    with proving(vm.node.tables, vm.slot, EGRESS, "policy-denied"):
        vm.vmm.send(ip(vm, address) / probe_of(protocol))


def test_the_rule_is_that_of_protected_addresses(vm):
    """P29: the rule that is told is `baseline: protected addresses`."""
    vm.node.start_picketd()
    asked = METADATA + SPELLINGS[1:] + ("127.0.0.1", "::1")		# a mapped one is told as IPv4's
    for address in asked:
        for protocol in ("tcp", "udp"):
            vm.vmm.send(ip(vm, address) / probe_of(protocol))

    def rules():
        events = [json.loads(line) for line in vm.node.api_text("/v1/flows?last=100").splitlines()]
        return {(e["destination"]["ip"], e["protocol"]): (e["reason"], e["rule"]["description"])
                for e in events if e.get("rule")}
    wanted = {(address, protocol): ("policy-denied", "baseline: protected addresses")
              for address in asked for protocol in ("tcp", "udp")}
    wait_for(lambda: rules().keys() >= wanted.keys(), lambda: f"the events, now {rules()}")
    assert {key: rules()[key] for key in wanted} == wanted
    shown = vm.node.picket("flows", "-port", "80", "-last", "100").stdout
    assert shown.count("policy-denied egress, baseline: protected addresses") == len(wanted), shown


@pytest.mark.parametrize("address", ("127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "0.0.0.0"))
def test_loopback_of_the_node_is_out_of_reach(vm, address):
    """P30: a frame for the gateway to any spelling of a loopback is denied, and no socket of the host hears it."""
    sockets = HostSockets(vm.node)
    try:
        for probe in (TCP(sport=40000, dport=4646, flags="S"), UDP(sport=40000, dport=8600) / b"x"):
            with proving(vm.node.tables, vm.slot, EGRESS, "policy-denied"):
                vm.vmm.send(ip(vm, address) / probe)
        assert vm.vmm.receive(lambda raw: TCP in Ether(raw), QUIET) is None
        assert sockets.heard() == []
    finally:
        sockets.close()


DROPS = bytes([0xb7, 0, 0, 0, 2, 0, 0, 0, 0x95] + 7 * [0])	# r0 = 2 (TC_ACT_SHOT); exit


def test_the_gateways_answers_pass_no_egress(vm):
    """P61: ARP, ND, DHCP and ping are answered, with right checksums, while the program at the host end's egress drops whatever it sees."""
    pin, node = os.path.join(vm.node.root, "sys/fs/bpf/drops"), vm.node
    name, program = ctypes.create_string_buffer(os.fsencode(node.path("sys/fs/bpf/drops"))), passing_program(code=DROPS)
    bpf(OBJ_PIN, struct.pack("QI", ctypes.addressof(name), program))
    os.close(program)
    node.run(["tc", "filter", "del", "dev", f"pk{vm.slot}", "egress"])
    node.run(["tc", "filter", "add", "dev", f"pk{vm.slot}", "egress", "bpf", "da", "object-pinned", pin])
    with node.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
        host.sendto(b"dropped", (vm.address(), 9))
    assert vm.vmm.receive(lambda raw: b"dropped" in raw, QUIET) is None
    for kind, question in questions(vm).items():
        vm.vmm.drain()
        vm.vmm.send(question)
        answer = vm.vmm.receive(lambda raw: raw[:6] == mac_bytes(vm.mac) and raw[6:12] == mac_bytes(GATEWAY_MAC))
        assert answer, kind
        assert bytes(unsummed(Ether(answer))) == answer, kind


def unsummed(packet):
    """The packet with its checksums made anew."""
    for layer in packet.iterpayloads():
        for field in ("chksum", "cksum"):
            if field in layer.fields:
                delattr(layer, field)
    return packet


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))
