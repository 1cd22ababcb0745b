/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Frames for the tests: a right one of each kind, and places in it to change. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "picket/types.h"

struct pkt {
	uint8_t b[9000];
	size_t len;
};

/* Who is at the node of the tests: node.h makes them. Last byte of MAC and addresses. */
enum who {
	WHO_A = 11,	  /* slot 1, tenant 1 */
	WHO_B = 12,	  /* slot 2, tenant 1 */
	WHO_C = 13,	  /* slot 3, tenant 2 */
	WHO_CLOSED = 14,  /* slot 4, its word is 0 */
	WHO_GATEWAY = 1,  /* of the pool 10.20.0.0/24 */
	WHO_NOBODY = 77,  /* of the pool, not there */
	WHO_HOST = 201,	  /* 192.0.2.1, fd00:2::1: the node's own */
	WHO_WORLD = 202,  /* 198.51.100.9, 2001:db8:9::9 */
	WHO_FAR = 204,	  /* 10.93.0.204, fd00:93::cc: behind the overlay's device */
	WHO_NOROUTE = 203 /* 203.0.113.9, 2001:db8:dead::9: unreachable by the FIB */
};

union pk_addr pkt_ip4(enum who who);
union pk_addr pkt_ip6(enum who who);
void pkt_mac(enum who who, uint8_t mac[6]);

struct l4 {
	uint8_t proto;
	uint16_t sport, dport; /* ICMP: type << 8 | code in dport, id in sport */
	uint8_t tcp_flags;
	size_t payload;
};
#define TCP(sp, dp, fl) (struct l4){ 6, sp, dp, fl, 0 }
#define UDP(sp, dp)	(struct l4){ 17, sp, dp, 0, 8 }
#define PING(id)	(struct l4){ 1, id, 8 << 8, 0, 8 }
#define PONG(id)	(struct l4){ 1, id, 0, 0, 8 }
#define PING6(id)	(struct l4){ 58, id, 128 << 8, 0, 8 }
#define PONG6(id)	(struct l4){ 58, id, 129 << 8, 0, 8 }
#define SYN		0x02
#define ACK		0x10
#define FIN		0x01
#define RST		0x04
#define PUSH		0x08

/* Ethernet from `from` to the gateway's MAC, right lengths and checksums. */
struct pkt pkt_v4(enum who from, enum who to, struct l4 l4);
struct pkt pkt_v6(enum who from, enum who to, struct l4 l4);
struct pkt pkt_v4_to(enum who from, uint32_t to, struct l4 l4);
struct pkt pkt_v6_to(enum who from, const union pk_addr *to, struct l4 l4);
struct pkt pkt_arp(enum who from, uint16_t op, uint32_t target);
/* type 133 RS, 135 NS, 136 NA: from own or (link_local) fe80::11, with own link-layer option. */
struct pkt pkt_nd(enum who from, uint8_t type, const union pk_addr *target, int link_local);
struct pkt pkt_dhcp(enum who from, uint8_t type, uint32_t requested, uint32_t server);
/* A DHCPv6 message of n bytes from fe80::<who> to all servers and relays. */
struct pkt pkt_dhcp6(enum who from, const char *message, size_t n);
/* An ICMP error from `from` to `to` that quotes the network header and 8 bytes of `about`. */
struct pkt pkt_error(enum who from, enum who to, const struct pkt *about);
/* The same with n bytes behind the network header. */
struct pkt pkt_error_long(enum who from, enum who to, const struct pkt *about, size_t n);

bool pkt_is_arp(const struct pkt *p);
union pk_addr pkt_destination(const struct pkt *p); /* of an IP packet; else all zero */

/* One's complement sum over the frame's L4 with its pseudo-header: 0xffff = right. */
uint16_t pkt_l4_sum(const struct pkt *p);
uint16_t pkt_ip_sum(const struct pkt *p);
/* Sets every checksum right again. */
void pkt_seal(struct pkt *p);
/* The L4 checksum as who leaves it to the device writes it: the pseudo-header's sum. */
void pkt_partial(struct pkt *p);
/* The bytes from `from` to `to` of what lies behind the IP header, as a fragment; more follow but
 * for the last. */
struct pkt pkt_piece(const struct pkt *whole, size_t from, size_t to, uint32_t id);
struct pkt pkt_piece_at(const struct pkt *whole, size_t from, size_t to, uint32_t id,
			uint32_t offset); /* that says it lies elsewhere */
void pkt_more(struct pkt *p);		  /* it says that more follow */
/* So much payload more, in every length and checksum. */
void pkt_longer(struct pkt *p, size_t more);
