/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Addresses, prefixes and MACs as text, strict both ways; ports and protocols for people. */
#include <stdbool.h>
#include <stdint.h>

#include "picket/types.h"

#define PK_ADDR_TEXT 64 /* room for any address or prefix */
#define PK_MAC_TEXT  18

/* PK_GATEWAY_MAC as bytes. */
extern const uint8_t pk_gateway_mac[6];

struct pk_prefix {
	union pk_addr addr; /* host bits stay as given; pk_prefix_mask clears them */
	uint8_t len;	    /* bits of the family: 0..32 or 0..128 */
	bool v6;
};
/*
 * A block of another node, and the address of that node's end of the overlay (all zero: it has
 * none).
 */
struct pk_far_block {
	struct pk_prefix prefix;
	union pk_addr node;
};

/*
 * Reads a dotted quad (four parts, no leading zero) or RFC 4291 text; -EINVAL otherwise. A
 * v4-mapped IPv6 text is refused.
 */
int pk_addr_parse(const char *text, union pk_addr *out);
const char *pk_addr_format(const union pk_addr *addr, char text[PK_ADDR_TEXT]);
/* Reads "a.b.c.d/len" or "x::/len"; a bare address is /32 or /128. -EINVAL otherwise. */
int pk_prefix_parse(const char *text, struct pk_prefix *out);
const char *pk_prefix_format(const struct pk_prefix *prefix, char text[PK_ADDR_TEXT]);
void pk_prefix_mask(struct pk_prefix *prefix);
bool pk_prefix_has(const struct pk_prefix *prefix, const union pk_addr *addr);
/* Returns whether a contains every address of b. */
bool pk_prefix_covers(const struct pk_prefix *a, const struct pk_prefix *b);
/* Returns the length within the 128 bits of the v4-mapped form: +96 for IPv4. */
static inline unsigned int pk_prefix_bits(const struct pk_prefix *prefix)
{
	return prefix->v6 ? prefix->len : prefix->len + 96u;
}

/* Returns "tcp", "udp", "sctp", "icmp" or "icmpv6"; NULL for any other protocol. */
const char *pk_proto_word(uint8_t proto);

#define PK_PORT_TEXT 16
/* Writes "8080/tcp"; the number alone where the protocol has no word. The port is in host order. */
const char *pk_port_format(uint16_t port, uint8_t proto, char text[PK_PORT_TEXT]);

/* Reads six pairs of hexadecimal digits between colons; -EINVAL otherwise. */
int pk_mac_parse(const char *text, uint8_t mac[6]);
const char *pk_mac_format(const uint8_t mac[6], char text[PK_MAC_TEXT]);

bool pk_addr_is4(const union pk_addr *addr);
bool pk_addr_is_zero(const union pk_addr *addr);
bool pk_addr_equal(const union pk_addr *a, const union pk_addr *b);
union pk_addr pk_addr_from4(__be32 v4);
__be32 pk_addr_to4(const union pk_addr *addr);
