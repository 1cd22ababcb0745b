/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Honest frames by their description. */
#include "tests/model/cast.h"

struct make {
	union pk_addr src, dst;
	uint8_t proto, ttl, tcp, type, code;
	uint16_t sport, dport; /* an echo's id: sport */
	uint32_t seq, ack;     /* of TCP */
	uint16_t window;
	uint8_t scale;	      /* of TCP: how far windows are shifted, + 1; 0 = no such option */
	uint32_t payload;     /* bytes behind the protocol's header */
	const uint8_t *quote; /* what they are; NULL: any */
	uint32_t options;     /* IPv4: words of them; IPv6: extension headers */
	uint8_t option;	      /* their kind: IPv4's option, IPv6's next header */
	bool piece, more;     /* a fragment, at `offset` of the datagram `id` */
	bool atomic;	      /* IPv4: it may not be cut */
	uint32_t id, offset;
};

void make_frame(struct frame *f, const struct make *m, const uint8_t smac[6]);
void make_arp(struct frame *f, uint32_t slot, uint16_t op, const union pk_addr *target);
/* Neighbour discovery of `slot`, with its own link-layer address as an option. */
void make_nd(struct frame *f, uint32_t slot, uint8_t type, const union pk_addr *target, bool own);
/* Its checksum is others' to finish; size: and the frame theirs to cut up. */
void make_beside(struct frame *f, struct beside *b, uint32_t size);
void make_seal(struct frame *f); /* every checksum that can be found is right */
