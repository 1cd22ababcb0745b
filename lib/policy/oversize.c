/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out whether a tenant's documents alone make a rule set too large, and remembers which ones
 * did: these aren't built again each time that the operators change theirs.
 */
#include "engine.h"

struct oversized *oversized_find(const struct pk_engine *engine, const struct hash128 *own)
{
	struct oversized *o;

	HASH_FIND(hh, engine->oversized, own, sizeof(*own), o);
	return o;
}

static void copy_own(struct side *to, const struct side *from)
{
	to->acts = calloc(from->n_acts + 1, sizeof(struct ent *));
	to->own = from->own ? calloc(from->n_acts + 1, sizeof(*to->own)) : NULL;
	if (!to->acts || (from->own && !to->own))
		abort();
	for (size_t i = 0; i < from->n_acts; i++) {
		if (!from->acts[i]->doc->tenant_name)
			continue;
		for (size_t j = 0; from->own && j < from->own[i].n; j++)
			spans_push(&to->own[to->n_acts], from->own[i].at[j]);
		to->acts[to->n_acts++] = from->acts[i];
	}
	to->defaults = from->defaults;
}

/* Begins a program of the same acts, less the operators'; its world classes are what tells. */
static struct program *alone(struct pk_engine *engine, const struct program *p)
{
	struct program *a = pk_alloc(sizeof(*a));

	a->init = p->init;
	a->max_verdicts = p->max_verdicts;
	for (int dir = 0; dir < 2; dir++)
		copy_own(&a->side[dir], &p->side[dir]);
	program_begin(engine, a, engine->any_tenant);
	return a;
}

bool program_blame(struct pk_engine *engine, struct program *p, const struct pk_slice *slice)
{
	struct oversized *o;

	if (p->blamed || !p->has_own)
		return true;
	if (!p->alone)
		p->alone = alone(engine, p);
	if (!program_build(engine, p->alone, BUILD_NAMES, slice))
		return false;
	p->blamed = true;
	if (p->alone->too_large && !oversized_find(engine, &p->own)) {
		o = pk_alloc(sizeof(*o));
		o->own = p->own;
		o->used = true;
		HASH_ADD(hh, engine->oversized, own, sizeof(o->own), o);
	}
	program_free(PK_MOVE(p->alone, NULL));
	return true;
}

/* Forgets what no document makes any more, once all subjects were asked. */
void oversized_free(struct pk_engine *engine, bool unused_only)
{
	struct oversized *o, *next;

	HASH_ITER (hh, engine->oversized, o, next) {
		if (unused_only && PK_MOVE(o->used, false))
			continue;
		HASH_DEL(engine->oversized, o);
		free(o);
	}
}
