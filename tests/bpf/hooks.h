/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which reasons each hook can come to, read off bpf/lib: a reason's checks, and the hooks whose way
 * leads there. The tests must prove each pair by a packet, and none that isn't named here.
 */
#include "picket/reason.h"

#define F (1u << NODE_FROM)   /* pk_from_endpoint, and where it goes on */
#define T (1u << NODE_TO)     /* pk_to_endpoint */
#define U (1u << NODE_UP)     /* pk_from_uplink */
#define X (1u << NODE_FABRIC) /* pk_from_fabric */

#define HOOKS_OF(H)                                                                                \
	H(OK, F | T | U | X)                                                                       \
	H(MALFORMED, F | T | U | X)                                                                \
	H(TRUNCATED, F | T | U | X)                                                                \
	H(VLAN, F | T | X)	/* at an uplink a tag is the host's */                             \
	H(ETHERTYPE, F | T | X) /* there, IP alone is looked at */                                 \
	H(CHECKSUM, F)		/* a VMM's word is believed nowhere; others' is the kernel's */    \
	H(GSO, F)                                                                                  \
	H(LENGTH, F | U | X) /* the stack cuts for the device */                                   \
	H(IP_OPTION, F | T | X)                                                                    \
	H(EXT_HEADER, F | T | U | X)                                                               \
	H(FRAGMENT, F | T | U | X)                                                                 \
	H(SPOOFED_MAC, F)                                                                          \
	H(SPOOFED_IPV4, F | T | U | X)                                                             \
	H(SPOOFED_IPV6, F | T | U | X)                                                             \
	H(SPOOFED_ARP, F)                                                                          \
	H(SPOOFED_ND, F | T | U | X) /* a redirect, wherever it comes from */                      \
	H(SPOOFED_DHCP, F)                                                                         \
	H(MULTICAST, F | T | U | X)                                                                \
	H(RATE_LIMIT, F | T | U | X)                                                               \
	H(NO_FLOW, F | T | U | X)                                                                  \
	H(FLOW_BUDGET, F | T | U | X)                                                              \
	H(FLOW_RATE, F | T | U | X)                                                                \
	H(MAP_FULL, F | T | U | X)                                                                 \
	H(ICMP_UNRELATED, F | T | U | X)                                                           \
	H(ENDPOINT_CLOSED, F | T | U | X)                                                          \
	H(UNKNOWN_ENDPOINT, F | T | U | X)                                                         \
	H(NO_RULE_SET, F | T | U | X)                                                              \
	H(POLICY_DENIED, F | T | U | X)                                                            \
	H(NO_ROUTE, F | T | U | X)                                                                 \
	H(TTL, F | U | X) /* the stack has counted the hop */                                      \
	H(TAIL_CALL_MISSING, F | T | U | X)                                                        \
	H(NOT_BUILT, F | T | U) /* out of the overlay nobody's address has no way back */          \
	H(FORWARDING_OFF, F | T | U | X)                                                           \
	H(MASQUERADE_FULL, F)                                                                      \
	H(TUPLE_TAKEN, F | U) /* an alias answers an endpoint's peer or the node's address */      \
	H(SPOOFED_REMOTE, T | U | X)                                                               \
	H(OVERLAY_FOREIGN, U | X)                                                                  \
	H(OVERLAY_VNI, X)                                                                          \
	H(OVERLAY_PORT, F)                                                                         \
	H(NO_MASQUERADE, F)
