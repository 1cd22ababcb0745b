/* SPDX-License-Identifier: Apache-2.0 */
#include "by_address.h"

#include <stdlib.h>
#include <uthash.h>

#include "str.h"

/*
 * An endpoint under one of its addresses. Those of equal addresses form a list, the newest first.
 */
struct holder {
	union pk_addr addr;
	struct pk_local_endpoint *ep;
	struct holder *older;
	UT_hash_handle hh; /* by addr; of the newest alone */
};

struct pk_by_address {
	struct holder *all;
};

struct pk_by_address *pk_by_address_new(void)
{
	return pk_alloc(sizeof(struct pk_by_address));
}

void pk_by_address_free(struct pk_by_address *index)
{
	struct holder *one, *next;

	if (!index)
		return;
	HASH_ITER (hh, index->all, one, next) {
		HASH_DEL(index->all, one);
		while (one) {
			struct holder *older = one->older;

			free(one);
			one = older;
		}
	}
	free(index);
}

static struct holder *find(const struct pk_by_address *index, const union pk_addr *addr)
{
	struct holder *one;

	HASH_FIND(hh, index->all, addr, sizeof(*addr), one);
	return one;
}

static void put(struct pk_by_address *index, struct holder *one)
{
	HASH_ADD(hh, index->all, addr, sizeof(one->addr), one);
}

void pk_by_address_add(struct pk_by_address *index, struct pk_local_endpoint *ep)
{
	for (size_t i = 0; i < ep->n_addresses; i++) {
		struct holder *one = pk_alloc(sizeof(*one));

		one->addr = ep->addresses[i];
		one->ep = ep;
		one->older = find(index, &one->addr);
		if (one->older)
			HASH_DEL(index->all, one->older);
		put(index, one);
	}
}

static void remove_one(struct pk_by_address *index, const struct pk_local_endpoint *ep,
		       const union pk_addr *addr)
{
	struct holder *first = find(index, addr), **at = &first, *gone;

	if (!first)
		return;
	HASH_DEL(index->all, first);
	while (*at && (*at)->ep != ep)
		at = &(*at)->older;
	gone = *at;
	if (gone)
		*at = gone->older;
	free(gone);
	if (first)
		put(index, first);
}

void pk_by_address_remove(struct pk_by_address *index, const struct pk_local_endpoint *ep)
{
	for (size_t i = 0; i < ep->n_addresses; i++)
		remove_one(index, ep, &ep->addresses[i]);
}

struct pk_local_endpoint *pk_by_address_get(const struct pk_by_address *index,
					    const union pk_addr *addr)
{
	const struct holder *one = find(index, addr);

	return one ? one->ep : NULL;
}
