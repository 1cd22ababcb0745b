/* SPDX-License-Identifier: Apache-2.0 */
#include "pairs.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "absence.h"
#include "own.h"

struct pair {
	char *node;
	enum pk_hosting word;
	bool seen;  /* asked for by the settling that is under way */
	bool asked; /* it was there before the question */
	bool here;  /* the answer has it */
	UT_hash_handle hh;
};

struct pk_pairs {
	struct pair *list;
};

struct pk_pairs *pk_pairs_new(void)
{
	return pk_alloc(sizeof(struct pk_pairs));
}

static void pair_free(struct pk_pairs *pairs, struct pair *p)
{
	HASH_DEL(pairs->list, p);
	free(p->node);
	free(p);
}

void pk_pairs_free(struct pk_pairs *pairs)
{
	while (pairs->list)
		pair_free(pairs, pairs->list);
	free(pairs);
}

void pk_pairs_begin(struct pk_pairs *pairs)
{
	for (struct pair *p = pairs->list; p; p = p->hh.next)
		p->seen = false;
}

enum pk_hosting pk_pairs_of(struct pk_pairs *pairs, const char *node, bool *is_new)
{
	struct pair *p;

	HASH_FIND_STR(pairs->list, node, p);
	if (!p) {
		p = pk_alloc(sizeof(*p));
		p->node = pk_strdup(node);
		p->word = PK_HOSTING_ASKED;
		HASH_ADD_KEYPTR(hh, pairs->list, p->node, strlen(p->node), p);
	}
	p->seen = true;
	*is_new = !p->asked;
	return p->word;
}

void pk_pairs_end(struct pk_pairs *pairs)
{
	struct pair *p, *next;

	HASH_ITER (hh, pairs->list, p, next)
		if (!p->seen)
			pair_free(pairs, p);
}

bool pk_pairs_any_new(const struct pk_pairs *pairs)
{
	for (const struct pair *p = pairs->list; p; p = p->hh.next)
		if (!p->asked)
			return true;
	return false;
}

void pk_pairs_asked(struct pk_pairs *pairs)
{
	for (struct pair *p = pairs->list; p; p = p->hh.next) {
		p->asked = true;
		p->here = false;
	}
}

void pk_pairs_here(struct pk_pairs *pairs, const char *node)
{
	struct pair *p;

	HASH_FIND_STR(pairs->list, node, p);
	if (p)
		p->here = true;
}

bool pk_pairs_lack(const struct pk_pairs *pairs)
{
	for (const struct pair *p = pairs->list; p; p = p->hh.next)
		if (p->asked && !p->here && p->word != PK_HOSTING_NO)
			return true;
	return false;
}

static bool put(struct pair *p, enum pk_hosting word)
{
	bool changed = p->word != word;

	p->word = word;
	return changed;
}

/* Counts the pairs that Nomad said yes of, and how many of them the answer lacks. */
static struct pk_absence absence_of(const struct pk_pairs *pairs)
{
	struct pk_absence a = { 0 };

	for (const struct pair *p = pairs->list; p; p = p->hh.next)
		if (p->word == PK_HOSTING_YES) {
			a.had++;
			a.lacks += !p->here;
		}
	return a;
}

void pk_pairs_take(struct pk_pairs *pairs, struct pk_pairs_taken *taken)
{
	const struct pk_absence a = absence_of(pairs);

	*taken = (struct pk_pairs_taken){ .had = a.had,
					  .lacks = a.lacks,
					  .held = pk_absence_held(&a) };
	for (struct pair *p = pairs->list; p; p = p->hh.next) {
		if (!p->asked)
			continue;
		if (p->here)
			taken->changed |= put(p, PK_HOSTING_YES);
		else if (p->word != PK_HOSTING_YES || !taken->held)
			taken->changed |= put(p, PK_HOSTING_NO);
		taken->any_no |= !p->here;
	}
}

bool pk_pairs_silent(struct pk_pairs *pairs)
{
	bool changed = false;

	for (struct pair *p = pairs->list; p; p = p->hh.next)
		if (p->asked && p->word == PK_HOSTING_ASKED)
			changed |= put(p, PK_HOSTING_SILENT);
	return changed;
}
