/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Chooses the address that an endpoint gets, by arithmetic only: no file, no clock. The lease files
 * are lib/state/lease.c's. The first (network), the gateway and the last (broadcast) address of an
 * IPv4 block are nobody's, and so is the first of an IPv6 block (the subnet routers' anycast
 * address, RFC 4291 2.6.1).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "lease.h"
#include "lease_marks.h"

struct cni_ipam {
	const struct pk_prefix *pool;
	size_t n_pools;
	union pk_addr gateway;	       /* configured IPv4 gateway, or all zero */
	const struct pk_lease *leases; /* sorted */
	size_t n_leases;
	bool (*is_local)(const union pk_addr *addr); /* the node's own are no endpoint's; or NULL */
};

/* Returns how many addresses of this block an endpoint may have (capped at 2^32). */
uint64_t cni_block_size(const struct pk_prefix *block, const union pk_addr *gateway);
/* Returns the n-th of them, n from 0. */
union pk_addr cni_block_addr(const struct pk_prefix *block, const union pk_addr *gateway,
			     uint64_t n);
/*
 * Returns the gateway of an IPv4 block: the configured one if it lies there, else the first
 * address.
 */
union pk_addr cni_block_gateway(const struct pk_prefix *block, const union pk_addr *gateway);
/* Returns the block that addr lies in and may be an endpoint's of; NULL if there is none. */
const struct pk_prefix *cni_block_of(const struct cni_ipam *ipam, const union pk_addr *addr);

/*
 * Picks the address to try next: the first free one of the family at or after index `hint` (a
 * slot's number: so that ADDs at the same time try different ones), wrapping round; where none is
 * free the one that rests longest. false: every address is held.
 */
bool cni_ipam_pick(const struct cni_ipam *ipam, bool v6, uint64_t hint, union pk_addr *out);
/*
 * Picks by the marks of one block, without any list, an address that is neither held nor rests.
 * false: none that has a mark; the leases themselves may know more.
 */
bool cni_ipam_pick_marked(const struct cni_ipam *ipam, const struct pk_lease_marks *marks,
			  uint64_t hint, uint64_t now_s, union pk_addr *out);
/* Returns whether the address is among the leases that are held. */
bool cni_ipam_is_held(const struct cni_ipam *ipam, const union pk_addr *addr);
bool cni_ipam_has_family(const struct cni_ipam *ipam, bool v6);
