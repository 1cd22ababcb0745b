/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A node with an overlay: another node's endpoint WHO_FAR, packets in tunnels, who gets them. */
#include <linux/if_link.h>

#include "tests/bpf/devices.h"
#include "tests/bpf/world.h"

#define OVERLAY_PORT   8479
#define OVERLAY_VNI    112
#define OVERLAY_REMOTE 500 /* an identity */
#define OVERLAY_ETH    14

extern const uint8_t overlay_router[6]; /* up0's neighbour to everywhere */
extern const uint8_t overlay_mac[6];
/* Over IPv4, or over IPv6. */
extern bool overlay_over6;
/* Over IPv4 without UDP's checksum, as nodes send: the device has no part in it. */
extern bool overlay_plain;
/*
 * Until when the device may be left out: as picketd says it while it sees no IPsec policy, not at
 * all, until now, or until long after any that picketd says.
 */
enum overlay_lease {
	OVERLAY_LEASE_FRESH,
	OVERLAY_LEASE_NONE,
	OVERLAY_LEASE_OVER,
	OVERLAY_LEASE_AHEAD,
};
extern enum overlay_lease overlay_lease;

void overlay_end(struct pk_node *n); /* the node's settings with the overlay */
void overlay_renew(void);	     /* overlay_lease from now on */
union pk_addr overlay_node(enum who who);
/* The block of that address is the other node's, whose end is at WHO_WORLD's address. */
void overlay_block(union pk_addr addr, uint32_t bits);
/* WHO_FAR is an endpoint of that tenant, on the other node. */
void overlay_start(uint32_t tenant);
struct pkt overlay_packet(bool v6, enum who from, enum who to, struct l4 l4);
size_t overlay_outer_len(void);
/* Packets that the device has taken out of tunnels, and has put into them. */
struct rtnl_link_stats overlay_stats(void);
void overlay_put16(uint8_t *at, size_t n);
/* The outer IPv4 header's sum, as everything in it is now. */
void overlay_sum_up(struct pkt *p);
/* The frame in its tunnel, from a node as its way brings it. */
struct pkt overlay_wrapped(enum who node, uint32_t vni, const struct pkt *inner);
/*
 * Returns whether the guard takes it out, as it does of what came plain and the kernel merges none
 * of; before Linux 6.3 the device takes IPv6 out of IPv4.
 */
bool overlay_guard_unwraps(const struct pkt *outer);
bool overlay_comes_to(uint32_t slot, struct pkt *got, int ms);
/* It comes in by up0, and is let through the whole way to slot, or is counted there. */
void overlay_in(const char *text, struct pkt outer, uint32_t slot, enum pk_reason reason);
void overlay_in_of(const char *text, struct pkt inner, uint32_t slot, enum pk_reason reason);
