/* SPDX-License-Identifier: Apache-2.0 */
/* One label set for all who say the same. */
#include <string.h>
#include <uthash.h>

#include "label.h"

struct entry {
	struct pk_label_set *set;
	UT_hash_handle hh;
};

struct pk_label_sets {
	struct entry *all; /* by text */
};

struct pk_label_sets *pk_label_sets_new(void)
{
	return pk_alloc(sizeof(struct pk_label_sets));
}

static void drop(struct pk_label_sets *sets, struct entry *e)
{
	HASH_DEL(sets->all, e);
	pk_label_set_free(e->set);
	free(e);
}

void pk_label_sets_free(struct pk_label_sets *sets)
{
	struct entry *e, *next;

	if (!sets)
		return;
	HASH_ITER (hh, sets->all, e, next)
		drop(sets, e);
	free(sets);
}

int pk_label_sets_parse(struct pk_label_sets *sets, const char *text, struct pk_label_set **out,
			struct pk_err *err)
{
	struct pk_label_set *set;
	struct entry *e;
	int r;

	HASH_FIND_STR(sets->all, text, e);
	if (!e) {
		r = pk_label_set_parse(text, &set, err);
		if (r < 0)
			return r;
		e = pk_alloc(sizeof(*e));
		e->set = set;
		HASH_ADD_KEYPTR(hh, sets->all, set->text, strlen(set->text), e);
	}
	*out = pk_label_set_share(e->set);
	return 0;
}

void pk_label_sets_tidy(struct pk_label_sets *sets)
{
	struct entry *e, *next;

	HASH_ITER (hh, sets->all, e, next)
		if (!e->set->sharers)
			drop(sets, e);
}

size_t pk_label_sets_count(const struct pk_label_sets *sets)
{
	return HASH_COUNT(sets->all);
}
