/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives every subject its program, tells every program of the peers that came and went, and lets no
 * tenant's own rule sets take more than its share. All of it can be left at any point, and is taken
 * up by the next call with what changed meanwhile.
 */
#include "engine.h"

#include <string.h>

void programs_drop(struct pk_engine *engine, bool unused_only)
{
	struct program *p, *next;

	HASH_ITER (hh, engine->programs, p, next) {
		if (unused_only && p->used)
			continue;
		HASH_DEL(engine->programs, p);
		program_free(p);
	}
}

static bool is_gone(const struct pk_engine *engine, const struct pk_document *doc)
{
	return doc && !documents_find(engine, doc)->keep;
}

static bool is_stale(const struct pk_engine *engine, const struct program *p)
{
	for (int dir = 0; dir < 2; dir++) {
		const struct side *side = &p->side[dir];

		for (size_t i = 0; i < side->n_acts; i++)
			if (is_gone(engine, side->acts[i]->doc))
				return true;
		/* A rule whose entries are all empty still asks for default deny. */
		for (size_t i = 0; i < PK_ARRAY_LEN(side->askers); i++)
			if (is_gone(engine, side->askers[i]))
				return true;
	}
	return false;
}

/*
 * Returns whether most classes have lost their peers. None is ever taken back, so all are made anew
 * then.
 */
static bool is_wasteful(const struct program *p)
{
	size_t classes = 0;

	for (int dir = 0; dir < 2; dir++)
		classes += p->side[dir].next_class - p->side[dir].first_class;
	return p->step == BUILD_DONE && classes > 64 + 2 * p->n_peers;
}

void programs_forget(struct pk_engine *engine)
{
	for (struct program *p = engine->programs; p; p = p->hh.next)
		p->used = !is_stale(engine, p) && !is_wasteful(p);
	for (struct ident *i = engine->idents; i; i = i->hh.next)
		if (i->program && !i->program->used)
			i->program = NULL;
	for (struct base *b = engine->bases; b; b = b->hh.next)
		if (b->self.program && !b->self.program->used)
			b->self.program = NULL;
	programs_drop(engine, true);
}

/*
 * Takes out the class of a tenant of whom nobody is left among the peers; it comes back with the
 * next one.
 */
static void tenant_unknown(struct pk_engine *engine, struct tenant *t)
{
	for (struct program *p = engine->programs; p && t->known; p = p->hh.next)
		program_drop_peer(p, true, &t->hash);
	t->known = false;
}

static void forget_ident(struct pk_engine *engine, struct ident *ident)
{
	struct tenant *t = ident->tenant;

	if (ident->known) {
		for (struct program *p = engine->programs; p; p = p->hh.next) {
			program_drop_peer(p, false, &ident->hash);
			vec_remove(&p->todo, ident);
		}
		vec_remove(&engine->fresh, ident);
		index_remove(engine, ident);
	}
	HASH_DEL(engine->idents, ident);
	ident_clear(ident);
	free(ident);
	if (t && !t->idents.n)
		tenant_unknown(engine, t);
	tenant_drop(engine, t);
}

/* Forgets identities that are gone, indexes new ones, and has the programs told. */
static void take_queue(struct pk_engine *engine)
{
	struct vec queue = engine->queue;

	engine->queue = (struct vec){ 0 };
	for (size_t i = 0; i < queue.n; i++) {
		struct ident *ident = queue.at[i];

		ident->queued = false;
		if (!ident->refs) {
			forget_ident(engine, ident);
		} else if (!ident->known) {
			ident->known = true;
			index_add(engine, ident);
			vec_push(&engine->fresh, ident);
		}
	}
	vec_done(&queue);
}

static void tell_programs(struct pk_engine *engine, struct ident *ident)
{
	bool first = ident->tenant && !ident->tenant->known;

	for (struct program *p = engine->programs; p; p = p->hh.next) {
		if (first)
			program_add_tenant(engine, p, ident->tenant);
		program_add_ident(engine, p, ident);
	}
	if (first)
		ident->tenant->known = true;
}

bool link_peers(struct pk_engine *engine, const struct pk_slice *slice)
{
	take_queue(engine);
	while (engine->fresh.n) {
		tell_programs(engine, engine->fresh.at[--engine->fresh.n]);
		if (is_late(slice) && engine->fresh.n)
			return false;
	}
	return true;
}

/*
 * Returns whether the subject's program may be another one now: documents that went took their
 * programs along, and those that came may select it.
 */
static bool is_touched(const struct pk_engine *engine, const struct ident *subject)
{
	for (size_t i = 0; i < engine->added.n; i++) {
		const struct doc_obj *d = engine->added.at[i];

		for (size_t j = 0; j < d->n_rules; j++)
			if (rule_selects(d->doc, d->rules[j].rule, subject->labels) != PK_NO)
				return true;
	}
	return false;
}

static bool is_linked(const struct pk_engine *engine, const struct ident *subject)
{
	return subject->program && subject->linked == engine->subjects;
}

static size_t cidrs_of(const struct pk_engine *engine, const struct program *p)
{
	size_t n = 0;

	for (int dir = 0; dir < 2; dir++) {
		const struct shape *s = p->side[dir].shape[SHAPE_OWN];

		n += s && s->own && s->list && s->counted != engine->round ? s->list->n : 0;
	}
	return n;
}

/* Charges the subject's tenant with what its program takes, once. */
static void count(struct pk_engine *engine, const struct ident *subject)
{
	struct program *p = subject->program;
	struct tenant *t = subject->tenant;

	if (!t || !p->has_own || !is_fitting(subject) || p->counted == engine->round)
		return;
	t->verdicts += p->n_verdicts;
	t->peers += p->n_peers;
	t->cidrs += cidrs_of(engine, p);
	p->counted = engine->round;
	for (int dir = 0; dir < 2; dir++)
		p->side[dir].shape[SHAPE_OWN]->counted = engine->round;
}

static bool fits(const struct pk_engine *engine, const struct tenant *t, const struct program *p)
{
	const struct pk_engine_limits *l = &engine->limits;

	if (!t || !p->has_own || p->counted == engine->round)
		return true;
	return (!l->tenant_verdicts || t->verdicts + p->n_verdicts <= l->tenant_verdicts) &&
	       (!l->tenant_peers || t->peers + p->n_peers <= l->tenant_peers) &&
	       (!l->tenant_cidrs || t->cidrs + cidrs_of(engine, p) <= l->tenant_cidrs);
}

/* Links a subject anew once its tenant has room again. */
static void retry(const struct pk_engine *engine, struct ident *subject)
{
	size_t have = subject->tenant ? subject->tenant->verdicts : 0;

	if (subject->wants_verdicts &&
	    have + subject->wants_verdicts <= engine->limits.tenant_verdicts)
		subject->linked = 0;
}

/* Collects the identities of this node's endpoints, and bases: a few, where peers may be many. */
static void collect_locals(struct pk_engine *engine)
{
	engine->locals.n = 0;
	for (struct ident *i = engine->idents; i; i = i->hh.next) {
		if (i->local_refs)
			vec_push(&engine->locals, i);
		else
			i->program = NULL;
	}
	for (struct base *b = engine->bases; b; b = b->hh.next)
		vec_push(&engine->locals, &b->self);
}

/* Counts what each tenant's linked programs have; those that are linked keep it. */
static void count_all(struct pk_engine *engine)
{
	const struct vec *locals = &engine->locals;

	engine->round++;
	for (struct tenant *t = engine->tenants; t; t = t->hh.next)
		t->verdicts = t->peers = t->cidrs = 0;
	for (size_t i = 0; i < locals->n; i++)
		if (is_linked(engine, locals->at[i]))
			count(engine, locals->at[i]);
	for (size_t i = 0; i < locals->n; i++)
		retry(engine, locals->at[i]);
}

static bool is_same(const struct hash128 *a, const struct hash128 *b)
{
	return a->h[0] == b->h[0] && a->h[1] == b->h[1];
}

/*
 * Finds what a subject gets whose own program can't be published. Its last program stays unless the
 * operators' documents have changed since; then a program without the tenant's documents takes its
 * place, since no tenant undoes the operators' word. False: that program isn't built yet.
 */
static bool stand_in(struct pk_engine *engine, struct ident *subject, struct program **p,
		     const struct pk_slice *slice)
{
	if (!subject->published || !(*p)->has_own || is_same(&(*p)->operators, &subject->operators))
		return true;
	*p = program_get_closed(engine, subject);
	return program_build(engine, *p, BUILD_DONE, slice);
}

/* Gives the subject its program; false: there is more to do. */
static bool link_subject(struct pk_engine *engine, struct ident *subject,
			 const struct pk_slice *slice)
{
	struct program *p = subject->program;

	if (engine->resubject || !p || subject->linked == 0 || is_touched(engine, subject))
		p = program_get(engine, subject);
	if (!program_build(engine, p, BUILD_DONE, slice) ||
	    (p->too_large && !program_blame(engine, p, slice)))
		return false;
	subject->wants_verdicts = 0;
	if (!p->too_large && !fits(engine, subject->tenant, p))
		subject->wants_verdicts = p->n_verdicts;
	if ((p->too_large || subject->wants_verdicts) && !stand_in(engine, subject, &p, slice))
		return false;
	subject->program = p;
	subject->linked = engine->subjects;
	count(engine, subject);
	return true;
}

static bool any_wasteful(const struct pk_engine *engine)
{
	for (const struct program *p = engine->programs; p; p = p->hh.next)
		if (is_wasteful(p))
			return true;
	return false;
}

static bool link_all(struct pk_engine *engine, const struct pk_slice *slice)
{
	for (size_t i = 0; i < engine->locals.n; i++) {
		struct ident *subject = engine->locals.at[i];

		if (!is_linked(engine, subject) &&
		    (!link_subject(engine, subject, slice) || is_late(slice)))
			return false;
	}
	return true;
}

static void use(struct ident *subject)
{
	subject->program->used = true;
	for (int dir = 0; dir < 2; dir++)
		for (int kind = 0; kind < SHAPES; kind++)
			if (subject->program->side[dir].shape[kind])
				subject->program->side[dir].shape[kind]->used = true;
}

/* Drops what nobody uses any more. */
static void drop_unused(struct pk_engine *engine)
{
	for (struct program *p = engine->programs; p; p = p->hh.next)
		p->used = false;
	for (struct shape *s = engine->shapes; s; s = s->hh.next)
		s->used = false;
	for (size_t i = 0; i < engine->locals.n; i++)
		use(engine->locals.at[i]);
	programs_drop(engine, true);
	shapes_free(engine, true);
	oversized_free(engine, true);
}

bool link_subjects(struct pk_engine *engine, const struct pk_slice *slice)
{
	if (any_wasteful(engine))
		programs_forget(engine);
	collect_locals(engine);
	count_all(engine);
	if (!link_all(engine, slice))
		return false;
	drop_unused(engine);
	engine->resubject = false;
	engine->added.n = 0;
	return true;
}
