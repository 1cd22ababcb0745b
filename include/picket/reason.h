/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Why a packet passed or was denied. APPEND ONLY: numbers are stored in events, counters,
 * files and other people's dashboards; a number is never given a new meaning.
 *
 * X(number, SYMBOL, "kebab-name", built, "help"): built is 1 where the data path of this
 * release can produce it; the tests must prove each of those.
 */
#define PK_REASONS(X)                                                                              \
	X(0, OK, "ok", 1, "allowed")                                                               \
	X(1, MALFORMED, "malformed", 1, "a header contradicts itself or the packet's length")      \
	X(2, TRUNCATED, "truncated", 1, "the packet ends inside a header")                         \
	X(3, VLAN, "vlan", 1, "a VLAN tag, in the data or in metadata")                            \
	X(4, ETHERTYPE, "ethertype", 1, "neither IPv4, IPv6 nor ARP")                              \
	X(5, CHECKSUM, "checksum", 1, "a partial checksum that is not the L4 header's own")        \
	X(6, GSO, "gso", 1, "segmentation that does not fit the packet")                           \
	X(7, LENGTH, "length", 1, "longer than the MTU, or than its own headers say")              \
	X(8, IP_OPTION, "ip-option", 1, "an IPv4 option that is not padding")                      \
	X(9, EXT_HEADER, "ext-header", 1, "an IPv6 extension header that is not passed")           \
	X(10, FRAGMENT, "fragment", 1, "a fragment whose first has not passed, or that hides one") \
	X(11, SPOOFED_MAC, "spoofed-mac", 1, "source MAC is not this endpoint's")                  \
	X(12, SPOOFED_IPV4, "spoofed-ipv4", 1, "source IPv4 address is not this endpoint's")       \
	X(13, SPOOFED_IPV6, "spoofed-ipv6", 1, "source IPv6 address is not this endpoint's")       \
	X(14, SPOOFED_ARP, "spoofed-arp", 1, "ARP sender is not this endpoint, or an ARP reply")   \
	X(15, SPOOFED_ND, "spoofed-nd", 1, "neighbour discovery or a router's word of another")    \
	X(16, SPOOFED_DHCP, "spoofed-dhcp", 1, "DHCP for another client, or from a server")        \
	X(17, MULTICAST, "multicast", 1, "broadcast or multicast that nobody answers")             \
	X(18, RATE_LIMIT, "rate-limit", 1, "over a token bucket of this endpoint")                 \
	X(19, NO_FLOW, "no-flow", 1, "TCP that opens nothing and belongs to no flow")              \
	X(20, FLOW_BUDGET, "flow-budget", 1, "the endpoint's places for live flows are taken")     \
	X(21, FLOW_RATE, "flow-rate", 1, "too many new flows a second")                            \
	X(22, MAP_FULL, "map-full", 1, "the flow table refused an entry")                          \
	X(23, ICMP_UNRELATED, "icmp-unrelated", 1, "an ICMP error about no flow of this endpoint") \
	X(24, ENDPOINT_CLOSED, "endpoint-closed", 1, "the endpoint, or its peer, is closed")       \
	X(25, UNKNOWN_ENDPOINT, "unknown-endpoint", 1, "the device belongs to no slot")            \
	X(26, NO_RULE_SET, "no-rule-set", 1, "the endpoint's rule set is not there")               \
	X(27, POLICY_DENIED, "policy-denied", 1, "no policy allows it, or one denies it")          \
	X(28, NO_ROUTE, "no-route", 1, "the node has no route to the destination")                 \
	X(29, TTL, "ttl", 1, "TTL or hop limit ran out")                                           \
	X(30, TAIL_CALL_MISSING, "tail-call-missing", 1, "the slow path is not loaded")            \
	X(31, NOT_BUILT, "not-built", 1, "this release cannot carry it yet")                       \
	X(32, FORWARDING_OFF, "forwarding-off", 1, "the device lost its forwarding sysctl")        \
	X(33, MASQUERADE_FULL, "masquerade-full", 1, "no free port of the node to that peer")      \
	X(34, TUPLE_TAKEN, "tuple-taken", 1, "another flow holds the translated tuple")            \
	X(35, SPOOFED_REMOTE, "spoofed-remote", 1, "another node's address, not by the way to it") \
	X(36, OVERLAY_FOREIGN, "overlay-foreign", 1,                                               \
	  "an overlay packet that no node's way brought")                                          \
	X(37, OVERLAY_VNI, "overlay-vni", 1, "an overlay packet of another network identifier")    \
	X(38, OVERLAY_PORT, "overlay-port", 1, "UDP to the port that nodes alone send to")         \
	X(39, NO_MASQUERADE, "no-masquerade", 1,                                                   \
	  "to the world behind the node's address: neither TCP, UDP nor ping")

#define PK_REASON_ENUM_(nr, sym, name, built, help) PK_REASON_##sym = nr,
enum pk_reason { PK_REASONS(PK_REASON_ENUM_) PK_REASON_COUNT };

#define PK_REASON_SLOTS 64 /* places a counter row has; reasons may grow up to it */
_Static_assert(PK_REASON_COUNT <= PK_REASON_SLOTS, "ABI: counters have 64 places a row");
