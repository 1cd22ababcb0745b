/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The node with an uplink to the world: masquerade, published ports, what comes in by up0. */
#include "tests/bpf/node.h"

#define WORLD_NODE_V4 0xc0000201 /* 192.0.2.1, up0's */
#define WORLD_LOW     10000	 /* ports that masquerade has */
#define WORLD_HIGH    10003

/* The tables as at first, with the uplink; every endpoint is masqueraded. */
void world_start(void);
/* Port `own` of slot behind the node's port, on the node's address addr or (0) on each. */
void world_publish(uint32_t addr, uint16_t port, uint32_t slot, uint16_t own);
void world_publish_udp(uint16_t port, uint32_t slot, uint16_t own); /* on each */

uint16_t world_port(const struct pkt *p, size_t off);
void world_put_port(struct pkt *p, size_t off, uint16_t port);
struct pkt world_to_node(enum who from, struct l4 l4);
/* p, TCP by IPv4, with a sequence number, an acknowledgement and a window. */
struct pkt world_says(struct pkt p, uint32_t seq, uint32_t ack, uint16_t window);

/* The same bytes but for the Ethernet header, one hop less in `is`, every checksum right. */
bool world_one_hop(const struct pkt *is, const struct pkt *was);
/* To that endpoint's MAC, from the gateway's. */
bool world_to(const struct pkt *p, enum who who);
/* Whatever comes in that nobody here asked for goes on to the host as it came. */
void world_untouched(const char *text, struct pkt p);
