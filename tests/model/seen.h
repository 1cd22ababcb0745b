/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the model sees in a frame. Numbers are in host order. */
#include "tests/model/model.h"

#define L3 14

enum kind { KIND_NONE, KIND_ARP, KIND_V4, KIND_V6 };

struct seen {
	enum pk_reason reason; /* ok, or why it can't be read */
	enum kind kind;
	union pk_addr src, dst; /* of an IP packet; ARP: sender's and target's */
	uint8_t dmac[6], smac[6];
	uint8_t proto, ttl;
	uint32_t l4, l3_len; /* where the protocol's header begins; the IP packet's length */
	uint32_t payload;
	bool ports;
	uint16_t sport, dport; /* an echo's id in both */
	uint8_t tcp, type, code;
	uint32_t seq, ack, window;		  /* of TCP */
	uint8_t shift;				  /* of later windows, as a SYN's options say */
	bool shifts;				  /* they say it */
	bool group, request, reply, error, other; /* of ICMP: which of them */
	bool first, later;			  /* fragments */
	uint32_t id, offset;
	bool atomic;   /* IPv4: not in pieces, and never to be */
	bool unsummed; /* UDP without a checksum */
	bool partial;  /* somebody else finishes its checksum: it holds the pseudo-header's sum */
};

/* What is said of a packet that is to be cut up. */
#define GSO_TCP4  (1u << 0)
#define GSO_DODGY (1u << 1)
#define GSO_ECN	  (1u << 2)
#define GSO_TCP6  (1u << 4)
#define GSO_UDP	  (1u << 17)

uint16_t get16(const uint8_t *at);
uint32_t get32(const uint8_t *at);
void put16(uint8_t *at, uint16_t v);
void put32(uint8_t *at, uint32_t v);
uint32_t sum_of(const uint8_t *at, size_t n, uint32_t sum); /* one's complement, not folded */
uint16_t fold(uint32_t sum);

void see(const struct frame *f, struct seen *s);
union pk_addr addr_v4(uint32_t host_order);
uint32_t addr_number(const union pk_addr *a); /* of an IPv4 one */
bool addr_same(const union pk_addr *a, const union pk_addr *b);
bool addr_none(const union pk_addr *a);
bool addr_is_v4(const union pk_addr *a);
bool addr_within(const union pk_addr *a, const uint8_t *prefix, uint32_t bits);
bool is_icmp(uint8_t proto);
