/* SPDX-License-Identifier: Apache-2.0 */
#include "ipam.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static int compare_addr(const void *key, const void *lease)
{
	return memcmp(key, &((const struct pk_lease *)lease)->addr, sizeof(union pk_addr));
}

/* NULL = free. HELD sorts before RESTING, so the first of equals tells. */
static const struct pk_lease *find(const struct cni_ipam *ipam, const union pk_addr *addr)
{
	const struct pk_lease *l;

	if (!ipam->n_leases)
		return NULL;
	l = bsearch(addr, ipam->leases, ipam->n_leases, sizeof(*l), compare_addr);
	while (l && l > ipam->leases && pk_addr_equal(&l[-1].addr, addr))
		l--;
	return l;
}

union pk_addr cni_block_gateway(const struct pk_prefix *block, const union pk_addr *gateway)
{
	union pk_addr first = block->addr;

	if (!pk_addr_is_zero(gateway) && pk_prefix_has(block, gateway))
		return *gateway;
	first.w[3] = htonl(ntohl(first.w[3]) + 1);
	return first;
}

/* Offset of an IPv4 gateway inside its block. */
static uint64_t gateway_index(const struct pk_prefix *block, const union pk_addr *gateway)
{
	union pk_addr g = cni_block_gateway(block, gateway);

	return ntohl(g.w[3]) - ntohl(block->addr.w[3]);
}

uint64_t cni_block_size(const struct pk_prefix *block, const union pk_addr *gateway)
{
	unsigned int bits = (block->v6 ? 128u : 32u) - block->len;
	uint64_t all = bits >= 32 ? UINT64_C(1) << 32 : UINT64_C(1) << bits;
	uint64_t index;

	if (block->v6)
		return all - 1;
	index = gateway_index(block, gateway);
	return all - 2 - (index != 0 && index != all - 1);
}

union pk_addr cni_block_addr(const struct pk_prefix *block, const union pk_addr *gateway,
			     uint64_t n)
{
	union pk_addr a = block->addr;
	uint64_t index = n + 1;

	if (!block->v6 && index >= gateway_index(block, gateway))
		index++;
	/* A block's host bits are zero, and at most 32 of them are used. */
	a.w[3] = htonl(ntohl(a.w[3]) + (uint32_t)index);
	return a;
}

const struct pk_prefix *cni_block_of(const struct cni_ipam *ipam, const union pk_addr *addr)
{
	for (size_t i = 0; i < ipam->n_pools; i++) {
		const struct pk_prefix *block = &ipam->pool[i];
		union pk_addr gateway, last = block->addr;

		if (!pk_prefix_has(block, addr) || pk_addr_equal(addr, &block->addr))
			continue;
		if (block->v6)
			return block;
		gateway = cni_block_gateway(block, &ipam->gateway);
		last.w[3] = htonl(ntohl(last.w[3]) | (uint32_t)(0xffffffffull >> block->len));
		if (!pk_addr_equal(addr, &gateway) && !pk_addr_equal(addr, &last))
			return block;
	}
	return NULL;
}

bool cni_ipam_is_held(const struct cni_ipam *ipam, const union pk_addr *addr)
{
	const struct pk_lease *l = find(ipam, addr);

	return l && l->state == PK_LEASE_HELD;
}

bool cni_ipam_has_family(const struct cni_ipam *ipam, bool v6)
{
	for (size_t i = 0; i < ipam->n_pools; i++)
		if (ipam->pool[i].v6 == v6)
			return true;
	return false;
}

/* Visits at most n_leases + 1 addresses a block and start, and the node's own: a free one must be
 * among them. */
static bool pick_free(const struct cni_ipam *ipam, const struct pk_prefix *block, uint64_t start,
		      union pk_addr *out)
{
	uint64_t size = cni_block_size(block, &ipam->gateway);
	uint64_t tries = size < ipam->n_leases + 1 ? size : ipam->n_leases + 1;

	for (uint64_t i = 0; i < tries; i++) {
		union pk_addr a = cni_block_addr(block, &ipam->gateway, (start + i) % size);

		if (find(ipam, &a))
			continue;
		if (!ipam->is_local || !ipam->is_local(&a)) {
			*out = a;
			return true;
		}
		tries += tries < size;
	}
	return false;
}

bool cni_ipam_pick_marked(const struct cni_ipam *ipam, const struct pk_lease_marks *marks,
			  uint64_t hint, uint64_t now_s, union pk_addr *out)
{
	uint64_t size = cni_block_size(&marks->block, &ipam->gateway);

	if (size > PK_MARKS_MAX)
		size = PK_MARKS_MAX;
	for (uint64_t i = 0; i < size; i++) {
		union pk_addr a = cni_block_addr(&marks->block, &ipam->gateway, (hint + i) % size);
		const uint32_t *mark = pk_lease_mark(marks, &a);

		if (!mark || *mark == PK_MARK_HELD || pk_lease_mark_rests(*mark, now_s))
			continue;
		if (!ipam->is_local || !ipam->is_local(&a)) {
			*out = a;
			return true;
		}
	}
	return false;
}

static bool pick_resting(const struct cni_ipam *ipam, bool v6, union pk_addr *out)
{
	const struct pk_lease *best = NULL;

	for (size_t i = 0; i < ipam->n_leases; i++) {
		const struct pk_lease *l = &ipam->leases[i];

		if (l->state != PK_LEASE_RESTING || pk_addr_is4(&l->addr) == v6 ||
		    find(ipam, &l->addr)->state == PK_LEASE_HELD || !cni_block_of(ipam, &l->addr))
			continue;
		if (!best || l->freed_s < best->freed_s)
			best = l;
	}
	if (best)
		*out = best->addr;
	return best != NULL;
}

bool cni_ipam_pick(const struct cni_ipam *ipam, bool v6, uint64_t hint, union pk_addr *out)
{
	for (size_t i = 0; i < ipam->n_pools; i++) {
		const struct pk_prefix *block = &ipam->pool[i];
		uint64_t size = cni_block_size(block, &ipam->gateway);

		if (block->v6 == v6 && pick_free(ipam, block, hint % size, out))
			return true;
	}
	return pick_resting(ipam, v6, out);
}
