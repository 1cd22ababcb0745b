/* SPDX-License-Identifier: Apache-2.0 */
#include "name_set.h"

#include <string.h>
#include <uthash.h>

#include "own.h"

struct pk_name_set {
	UT_hash_handle hh;
	char name[];
};

bool pk_name_set_has(struct pk_name_set *set, const char *name)
{
	struct pk_name_set *found;

	HASH_FIND_STR(set, name, found);
	return found;
}

void pk_name_set_add(struct pk_name_set **set, const char *name)
{
	size_t len = strlen(name);
	struct pk_name_set *entry;

	if (pk_name_set_has(*set, name))
		return;
	entry = pk_alloc(sizeof(*entry) + len + 1);
	memcpy(entry->name, name, len + 1);
	HASH_ADD_STR(*set, name, entry);
}

void pk_name_set_free(struct pk_name_set *set)
{
	struct pk_name_set *entry, *next;

	HASH_ITER (hh, set, entry, next) {
		HASH_DEL(set, entry);
		free(entry);
	}
}
