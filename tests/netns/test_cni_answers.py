# SPDX-License-Identifier: Apache-2.0
"""What the guard answers an endpoint with, as its VMM sees it on the tap."""
import pytest
from harness import EGRESS, VnetHeader, proving
from harness.frames import GSO_UDP_L4, PATIENCE
from harness.ways import WAYS, fault_of, needs_udp_segments
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS,
                                ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6)
from scapy.layers.l2 import ARP, Ether
from scapy.utils import checksum

GATEWAY_MAC = "02:70:6b:00:00:01"
BROADCAST = "ff:ff:ff:ff:ff:ff"
ND = "33:33:ff:00:00:01"


def mac_bytes(mac):
    return bytes.fromhex(mac.replace(":", ""))


@pytest.fixture(params=WAYS)
def vm(request, make_node):
    """An endpoint and its open tap. The host end's egress drops everything: the guard alone answers."""
    node = make_node(conf={"dns": {"servers": ["10.0.0.53"]}, "mtu": 1400},
                     config={"nomad": None, "consul": None},
                     fault=fault_of(request.param))
    node.start_picketd()
    node.kill_picketd()		# it would put the host end's filter right again
    a = node.add("acme", "api", "web")
    # The guard in its place drops whatever the endpoint didn't send.
    node.run(["tc", "filter", "del", "dev", f"pk{a.slot}", "egress"])
    node.run(["tc", "filter", "add", "dev", f"pk{a.slot}", "egress", "pref", "1", "bpf", "da",
              "object-pinned", f"{node.root}/sys/fs/bpf/picket/current/pk_from_endpoint"])
    tap = a.tap()
    a.node, a.vmm = node, tap
    tap.drain()
    yield a
    tap.close()


def ask(a, frame, want, header=None, timeout=PATIENCE):
    """Send, and the first answer that want() takes, dissected."""
    a.vmm.send(frame, header)
    got = a.vmm.receive(lambda raw: want(Ether(raw)), timeout)
    return Ether(got) if got else None


def checked(packet):
    """The checksums of an answer are right: rebuilt by scapy they are what they were."""
    for layer in (IP, UDP, ICMP):
        if layer in packet:
            fresh = packet.copy()
            del fresh[layer].chksum
            again = Ether(bytes(fresh))
            assert again[layer].chksum == packet[layer].chksum or packet[layer].chksum == 0
    return packet


def dhcp(a, kind, chaddr=None, **options):
    return (Ether(src=a.mac, dst=BROADCAST) / IP(src="0.0.0.0", dst="255.255.255.255") /
            UDP(sport=68, dport=67) / BOOTP(chaddr=mac_bytes(chaddr or a.mac), xid=0x1234) /
            DHCP(options=[("message-type", kind), *options.items(), "end"]))


def option(packet, name):
    return next((o[1] for o in packet[DHCP].options if o[0] == name), None)


def test_own_discover_gets_the_own_lease_only(vm):
    offer = checked(ask(vm, dhcp(vm, "discover"), lambda p: DHCP in p))
    assert offer[Ether].src == GATEWAY_MAC and offer[BOOTP].yiaddr == vm.address()
    assert offer[BOOTP].xid == 0x1234 and option(offer, "message-type") == 2
    assert option(offer, "router") == vm.gateway and option(offer, "name_server") == "10.0.0.53"
    assert option(offer, "subnet_mask") == "255.255.255.0"
    ack = checked(ask(vm, dhcp(vm, "request", requested_addr=vm.address(), server_id=vm.gateway),
                      lambda p: DHCP in p))
    assert option(ack, "message-type") == 5 and ack[BOOTP].yiaddr == vm.address()
    # Another's address is never acknowledged.
    other = ask(vm, dhcp(vm, "request", requested_addr="10.40.7.99", server_id=vm.gateway),
                lambda p: DHCP in p, timeout=0.5)
    assert other is None or option(other, "message-type") == 6


def test_foreign_chaddr_and_a_guests_offer_are_dropped(vm):
    tables = vm.node.tables
    with proving(tables, vm.slot, EGRESS, "spoofed-dhcp"):
        assert ask(vm, dhcp(vm, "discover", chaddr="02:70:00:00:00:99"), lambda p: DHCP in p,
                   timeout=0.5) is None
    offer = (Ether(src=vm.mac, dst=BROADCAST) / IP(src=vm.address(), dst="255.255.255.255") /
             UDP(sport=67, dport=68) / BOOTP(op=2, yiaddr="10.40.7.99", chaddr=mac_bytes(vm.mac)) /
             DHCP(options=[("message-type", "offer"), "end"]))
    with proving(tables, vm.slot, EGRESS, "spoofed-dhcp"):
        vm.vmm.send(offer)
        assert vm.vmm.receive(lambda raw: DHCP in Ether(raw), timeout=0.5) is None


def arp(a, target, sender=None):
    return (Ether(src=a.mac, dst=BROADCAST) /
            ARP(op=1, hwsrc=a.mac, psrc=a.address() if sender is None else sender, pdst=target))


def is_arp_reply(packet):
    return ARP in packet and packet[ARP].op == 2


def test_arp(vm):
    for target in (vm.gateway, "10.40.7.200"):	# nobody's: an answer tells nothing
        reply = ask(vm, arp(vm, target), is_arp_reply)
        assert reply[ARP].hwsrc == GATEWAY_MAC and reply[ARP].psrc == target
        assert reply[ARP].hwdst == vm.mac and reply[Ether].dst == vm.mac


def test_the_own_address_is_never_answered_for(vm):
    """ARP probe, gratuitous ARP, duplicate address detection."""
    for sender in ("0.0.0.0", vm.address()):
        assert ask(vm, arp(vm, vm.address(), sender), is_arp_reply, timeout=0.5) is None
    dad = (Ether(src=vm.mac, dst=ND) / IPv6(src="::", dst="ff02::1:ff00:1", hlim=255) /
           ICMPv6ND_NS(tgt=vm.address(6)))
    assert ask(vm, dad, lambda p: ICMPv6ND_NA in p, timeout=0.5) is None


def test_neighbour_discovery(vm):
    for target in ("fe80::1", "fd00:40:7::77"):
        ns = (Ether(src=vm.mac, dst=ND) / IPv6(src=vm.address(6), dst="ff02::1:ff00:1", hlim=255) /
              ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=vm.mac))
        na = ask(vm, ns, lambda p: ICMPv6ND_NA in p)
        assert na[ICMPv6ND_NA].tgt == target and na[Ether].dst == vm.mac
        assert na[ICMPv6NDOptDstLLAddr].lladdr == GATEWAY_MAC and na[IPv6].hlim == 255
        assert icmp6_checksum_is_right(na)


def icmp6_checksum_is_right(packet):
    again = packet.copy()
    layer = again[IPv6].payload
    was = layer.cksum
    del layer.cksum
    return Ether(bytes(again))[IPv6].payload.cksum == was


def echo(a, payload=b"x" * 56):
    return (Ether(src=a.mac, dst=GATEWAY_MAC) / IP(src=a.address(), dst=a.gateway) /
            ICMP(type=8, id=7, seq=1) / payload)


def is_echo_reply(packet):
    return ICMP in packet and packet[ICMP].type == 0


def test_ping_of_the_gateway(vm):
    reply = checked(ask(vm, echo(vm), is_echo_reply))
    assert reply[IP].src == vm.gateway and reply[IP].dst == vm.address()
    assert bytes(reply[ICMP].payload) == b"x" * 56 and checksum(bytes(reply[IP])[:20]) == 0
    six = (Ether(src=vm.mac, dst=GATEWAY_MAC) / IPv6(src=vm.address(6), dst="fe80::1") /
           ICMPv6EchoRequest(id=7, seq=1, data=b"y" * 40))
    reply = ask(vm, six, lambda p: ICMPv6EchoReply in p)
    assert reply[IPv6].src == "fe80::1" and reply[ICMPv6EchoReply].data == b"y" * 40
    assert icmp6_checksum_is_right(reply)


def partial_udp(frame):
    """The frame with the pseudo-header's sum alone where UDP's checksum is."""
    raw = bytearray(bytes(frame))
    packet = Ether(bytes(raw))
    pseudo = (bytes(map(int, packet[IP].src.split("."))) + bytes(map(int, packet[IP].dst.split(".")))
              + bytes([0, 17]) + packet[UDP].len.to_bytes(2, "big"))
    raw[14 + 20 + 6:14 + 20 + 8] = (~checksum(pseudo) & 0xffff).to_bytes(2, "big")
    return bytes(raw)


def test_a_request_whose_checksum_is_partial(vm):
    """What a guest with checksum offload sends: the UDP field holds the pseudo-header's sum alone."""
    offer = ask(vm, partial_udp(dhcp(vm, "discover")), lambda p: DHCP in p,
                VnetHeader(flags=1, csum_start=34, csum_offset=6))
    assert checked(offer)[BOOTP].yiaddr == vm.address()


def gso(size):
    return VnetHeader(flags=1, gso_type=GSO_UDP_L4, hdr_len=42, gso_size=size, csum_start=34,
                      csum_offset=6)


def test_a_request_that_asks_for_segmentation(vm):
    """Of one segment: answered as any other. Of several: no DHCP request; denied, never half answered."""
    needs_udp_segments(vm.vmm)
    offer = ask(vm, partial_udp(dhcp(vm, "discover")), lambda p: DHCP in p, gso(1400))
    assert checked(offer)[BOOTP].yiaddr == vm.address()
    long = dhcp(vm, "discover") / (b"\0" * 1000)
    with proving(vm.node.tables, vm.slot, EGRESS, "gso"):
        assert ask(vm, partial_udp(long), lambda p: DHCP in p, gso(700), timeout=0.5) is None


def test_a_request_that_is_not_linear(vm):
    """The sender picks where the linear part ends (hdr_len): the answer is whole all the same."""
    reply = ask(vm, echo(vm, b"z" * 1300), is_echo_reply, VnetHeader(hdr_len=34))
    assert bytes(checked(reply)[ICMP].payload) == b"z" * 1300
