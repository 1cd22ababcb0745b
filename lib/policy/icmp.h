/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Cilium's names of ICMP types, and protocols by name. */
#include <stdbool.h>
#include <stdint.h>

/*
 * The names are spelled as Cilium spells them (1.18), the numbers are IANA's. The first name of a
 * number is the one printed.
 */
#define PK_ICMP4_TYPES(X)                                                                          \
	X(0, "EchoReply")                                                                          \
	X(3, "DestinationUnreachable")                                                             \
	X(5, "Redirect")                                                                           \
	X(8, "EchoRequest")                                                                        \
	X(8, "Echo")                                                                               \
	X(9, "RouterAdvertisement")                                                                \
	X(10, "RouterSelection")                                                                   \
	X(11, "TimeExceeded")                                                                      \
	X(12, "ParameterProblem")                                                                  \
	X(13, "Timestamp")                                                                         \
	X(14, "TimestampReply")                                                                    \
	X(40, "Photuris")                                                                          \
	X(42, "ExtendedEchoRequest")                                                               \
	X(43, "ExtendedEchoReply")
#define PK_ICMP6_TYPES(X)                                                                          \
	X(1, "DestinationUnreachable")                                                             \
	X(2, "PacketTooBig")                                                                       \
	X(3, "TimeExceeded")                                                                       \
	X(4, "ParameterProblem")                                                                   \
	X(128, "EchoRequest")                                                                      \
	X(129, "EchoReply")                                                                        \
	X(130, "MulticastListenerQuery")                                                           \
	X(131, "MulticastListenerReport")                                                          \
	X(132, "MulticastListenerDone")                                                            \
	X(133, "RouterSolicitation")                                                               \
	X(134, "RouterAdvertisement")                                                              \
	X(135, "NeighborSolicitation")                                                             \
	X(136, "NeighborAdvertisement")                                                            \
	X(137, "RedirectMessage")                                                                  \
	X(138, "RouterRenumbering")                                                                \
	X(139, "ICMPNodeInformationQuery")                                                         \
	X(140, "ICMPNodeInformationResponse")                                                      \
	X(141, "InverseNeighborDiscoverySolicitation")                                             \
	X(142, "InverseNeighborDiscoveryAdvertisement")                                            \
	X(144, "HomeAgentAddressDiscoveryRequest")                                                 \
	X(145, "HomeAgentAddressDiscoveryReply")                                                   \
	X(146, "MobilePrefixSolicitation")                                                         \
	X(147, "MobilePrefixAdvertisement")                                                        \
	X(157, "DuplicateAddressRequestCodeSuffix")                                                \
	X(158, "DuplicateAddressConfirmationCodeSuffix")                                           \
	X(160, "ExtendedEchoRequest")                                                              \
	X(161, "ExtendedEchoReply")

/*
 * Reads "EchoRequest" or a number 0..255; -EINVAL: it is none. loose: case and hyphens don't matter
 * ("echo-request"), as in expectations and on command lines.
 */
int pk_icmp_type(const char *text, bool v6, bool loose, uint8_t *out);
/* Returns the number's name; NULL where it has none. */
const char *pk_icmp_type_name(bool v6, uint8_t type);
/* Returns every known name of a family, with NULL at the end. */
const char *const *pk_icmp_type_names(bool v6);

/* Reads "TCP", "icmpv6", "any" or "47", in any case; -EINVAL: it is none. "any" is PK_PROTO_ANY. */
int pk_protocol_parse(const char *text, uint8_t *out);
const char *pk_protocol_name(uint8_t proto); /* "TCP"; NULL where it has none */
/* Returns whether the protocol has ports: TCP, UDP, SCTP, and PK_PROTO_ANY. */
bool pk_protocol_has_ports(uint8_t proto);
