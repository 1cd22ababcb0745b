/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the rule set of a subject: the entries that select it, what it falls back to, and the
 * program of that content, found or begun.
 */
#include "engine.h"

#include <string.h>

#include "picket/limits.h"
#include "str.h"

/* Remembers the first rule of each tier that asks for default deny, with and without audit. */
static void ask_default(struct pk_defaults *d, const struct rule_obj **first,
			const struct rule_obj *r, int dir)
{
	unsigned int tier = r->doc->tier;
	uint32_t number = r->rule->entries[dir][0].number;

	for (int audit = 0; audit < 2; audit++) {
		bool *set = audit ? &d->audit[tier] : &d->live[tier];
		const struct rule_obj **have = &first[tier * 2 + (unsigned int)audit];

		if (r->doc->audit && !audit)
			continue;
		if (*set && (strcmp((*have)->doc->name, r->doc->name) < 0 ||
			     (strcmp((*have)->doc->name, r->doc->name) == 0 &&
			      strcmp((*have)->doc->source, r->doc->source) < 0) ||
			     ((*have)->doc == r->doc && (*have)->rule < r->rule)))
			continue;
		*set = true;
		*have = r;
		*(audit ? &d->audit_rule[tier] : &d->live_rule[tier]) = number;
	}
}

struct gather {
	struct vec acts[2];
	const struct rule_obj *first[2][8];
	struct pk_defaults defaults[2];
};

static void gather_rules(const struct vec *rules, const struct pk_label_set *subject,
			 struct gather *g)
{
	for (size_t i = 0; i < rules->n; i++) {
		struct rule_obj *r = rules->at[i];
		enum pk_tri tri = rule_selects(r->doc, r->rule, subject);

		for (int dir = 0; dir < 2 && tri != PK_NO; dir++) {
			if (r->rule->default_deny[dir] && r->n[dir])
				ask_default(&g->defaults[dir], g->first[dir], r, dir);
			for (size_t j = 0; j < r->n[dir]; j++)
				if (!r->ents[dir][j].e->empty &&
				    ent_selects(&r->ents[dir][j], subject))
					vec_push(&g->acts[dir], &r->ents[dir][j]);
		}
	}
}

static int act_cmp(const void *a, const void *b)
{
	return ent_cmp(*(struct ent *const *)a, *(struct ent *const *)b);
}

static void gather_subject(struct pk_engine *engine, const struct ident *subject, struct gather *g)
{
	const char *tenant_name = subject->labels->tenant_name;
	struct subject_index *s;

	gather_rules(&engine->anywhere, subject->labels, g);
	if (tenant_name) {
		HASH_FIND_STR(engine->by_namespace, tenant_name, s);
		if (s)
			gather_rules(&s->rules, subject->labels, g);
	} else {
		for (s = engine->by_namespace; s; s = s->hh.next)
			gather_rules(&s->rules, subject->labels, g);
	}
	for (int dir = 0; dir < 2; dir++)
		if (g->acts[dir].n)
			qsort(g->acts[dir].at, g->acts[dir].n, sizeof(void *), act_cmp);
}

static struct spans *own_spans(const struct ident *subject, const struct vec *acts)
{
	const struct peer self = { .party = PK_PARTY_ENDPOINT,
				   .labels = subject->labels,
				   .ports = subject->ports,
				   .n_ports = subject->n_ports };
	struct spans *own = NULL;

	for (size_t i = 0; i < acts->n; i++) {
		const struct ent *ent = acts->at[i];

		if (!ent->label_ports)
			continue;
		if (!own)
			own = calloc(acts->n, sizeof(*own));
		if (!own)
			abort();
		for (size_t j = 0; j < ent->n_spans; j++)
			spans_push(&own[i], ent->spans[j]);
		ent_resolve(ent, &self, &own[i]);
	}
	return own;
}

static void fill_side(struct side *side, struct gather *g, int dir, const struct ident *subject)
{
	bool anonymous = !subject->labels->tenant_name && !subject->labels->init;
	bool shared = anonymous && subject->is_base;

	side->acts = (struct ent **)PK_MOVE(g->acts[dir].at, NULL);
	side->n_acts = g->acts[dir].n;
	side->defaults = g->defaults[dir];
	for (size_t i = 0; i < PK_ARRAY_LEN(side->askers); i++)
		side->askers[i] = g->first[dir][i] ? g->first[dir][i]->doc : NULL;
	if (dir == PK_INGRESS)
		side->own = own_spans(
			subject, &(struct vec){ .at = (void **)side->acts, .n = side->n_acts });
	/*
	 * The base of "any tenant" serves several tenants: a peer of the same tenant to one of them
	 * is a stranger to the next.
	 */
	for (size_t i = 0; i < side->n_acts && !shared; i++) {
		const struct ent *ent = side->acts[i];

		side->selective |= ent->ep == EP_SOME;
		side->varies |= ent->ep == EP_SOME && (ent->varies || anonymous);
	}
}

static struct hash128 program_key(const struct program *p, const struct ident *subject)
{
	struct hash128 key;
	struct pk_str s = { .cap = (size_t)1 << 30 };
	int nameless = 0;

	if (!subject->labels->tenant_name)
		nameless = subject->is_base ? 1 : 2;
	pk_str_addf(&s, "%d %d %d %s;", p->init, p->stands_in, nameless,
		    p->tenant_name ? p->tenant_name : "*");
	for (int dir = 0; dir < 2; dir++) {
		const struct side *side = &p->side[dir];

		pk_str_addf(&s, "%zu:", side->n_acts);
		for (size_t i = 0; i < side->n_acts; i++) {
			pk_str_addn(&s, &side->acts[i]->serial, sizeof(side->acts[i]->serial));
			pk_str_addn(&s, &side->acts[i]->e->number, sizeof(uint32_t));
			for (size_t j = 0; side->own && j < side->own[i].n; j++)
				pk_str_addf(&s, "%d %u %u,", side->own[i].at[j].proto,
					    side->own[i].at[j].lo, side->own[i].at[j].hi);
		}
		pk_str_addn(&s, &side->defaults, sizeof(side->defaults));
	}
	if (s.failed)
		abort();
	pk_hash128(s.text, s.len, key.h);
	pk_str_done(&s);
	return key;
}

/*
 * Makes a key as program_key does, but by rule numbers: it is equal where plugin and controller
 * compile the same.
 */
static struct hash128 program_origin(const struct program *p, const struct ident *subject)
{
	struct hash128 origin = { { 0, 0 } };
	struct pk_str s = { .cap = (size_t)1 << 30 };

	if (!p->side[0].selective && !p->side[1].selective)
		return origin;
	pk_str_addf(&s, "%d %d %s;", p->init, subject->labels->tenant_name != NULL,
		    p->tenant_name ? p->tenant_name : "");
	for (int dir = 0; dir < 2; dir++) {
		const struct side *side = &p->side[dir];

		pk_str_addf(&s, "%zu:", side->n_acts);
		for (size_t i = 0; i < side->n_acts; i++)
			pk_str_addn(&s, &side->acts[i]->e->number, sizeof(uint32_t));
	}
	if (s.failed)
		abort();
	pk_hash128(s.text, s.len, origin.h);
	pk_str_done(&s);
	return origin;
}

struct part { /* what tells an act from others */
	uint64_t serial;
	uint32_t number, n_own;
};

static size_t parts_of(const struct side *side, bool tenant, struct part *out)
{
	size_t n = 0;

	for (size_t i = 0; i < side->n_acts; i++)
		if ((side->acts[i]->doc->tenant_name != NULL) == tenant)
			out[n++] = (struct part){
				.serial = side->acts[i]->serial,
				.number = side->acts[i]->e->number,
				.n_own = side->own ? (uint32_t)side->own[i].n : 0,
			};
	return n;
}

/*
 * Returns the digest of the part that documents of a tenant, or those of the operators, make of it.
 */
static struct hash128 part_of(const struct program *p, bool tenant)
{
	size_t n = p->side[0].n_acts + p->side[1].n_acts;
	struct part *parts = calloc(n + 1, sizeof(*parts));
	struct hash128 hash[3] = { 0 }, all;

	if (!parts)
		abort();
	for (int dir = 0; dir < 2; dir++) {
		const struct pk_defaults *d = &p->side[dir].defaults;

		n = parts_of(&p->side[dir], tenant, parts);
		pk_hash128(parts, n * sizeof(*parts), hash[dir].h);
		for (int tier = 0; tier < 4 && !tenant; tier++)
			if (tier != PK_TIER_TENANT && d->live[tier])
				hash[2].h[dir] = hash[2].h[dir] * 31 + d->live_rule[tier] + 1;
	}
	free(parts);
	pk_hash128(hash, sizeof(hash), all.h);
	return all;
}

static bool has_own_acts(const struct program *p)
{
	for (int dir = 0; dir < 2; dir++)
		for (size_t i = 0; i < p->side[dir].n_acts; i++)
			if (p->side[dir].acts[i]->doc->tenant_name)
				return true;
	return false;
}

static size_t least(size_t a, size_t limit)
{
	return limit && limit < a ? limit : a;
}

size_t max_verdicts(const struct pk_engine *engine, bool has_own)
{
	const struct pk_engine_limits *l = &engine->limits;
	size_t max = l->rule_set ? l->rule_set : PK_RULE_SET_VERDICTS_MAX;

	return has_own ? least(least(max, l->tenant_verdicts), l->tenant_rule_set) : max;
}

/* Takes over p and returns the program of its key: one that is there, else p itself, begun. */
static struct program *settle(struct pk_engine *engine, struct ident *subject, struct program *p)
{
	struct program *found;
	struct oversized *known;

	if (subject->labels->tenant_name && (p->side[0].selective || p->side[1].selective)) {
		p->tenant_name = pk_strdup(subject->labels->tenant_name);
	}
	p->key = program_key(p, subject);
	HASH_FIND(hh, engine->programs, &p->key, sizeof(p->key), found);
	if (found) {
		program_free(p);
		return found;
	}
	HASH_ADD(hh, engine->programs, key, sizeof(p->key), p);
	p->id = ++engine->serial;
	p->origin = program_origin(p, subject);
	p->operators = part_of(p, false);
	p->own = part_of(p, true);
	p->has_own = has_own_acts(p);
	p->max_verdicts = max_verdicts(engine, p->has_own);
	known = p->has_own ? oversized_find(engine, &p->own) : NULL;
	if (known) {
		known->used = p->too_large = p->blamed = true;
		p->step = BUILD_DONE;
		return p;
	}
	program_begin(engine, p,
		      subject->labels->tenant_name ? subject->tenant->labels : engine->any_tenant);
	return p;
}

/* Leaves out the acts of tenants' documents. */
static void drop_own(struct vec *acts)
{
	size_t n = 0;

	for (size_t i = 0; i < acts->n; i++) {
		const struct ent *ent = acts->at[i];

		if (!ent->doc->tenant_name)
			acts->at[n++] = acts->at[i];
	}
	acts->n = n;
}

/* Returns the first act of a tenant's document, which is named where those are left out. */
static uint32_t own_number(const struct gather *g)
{
	for (int dir = 0; dir < 2; dir++)
		for (size_t i = 0; i < g->acts[dir].n; i++) {
			const struct ent *ent = g->acts[dir].at[i];

			if (ent->doc->tenant_name)
				return ent->e->number;
		}
	return PK_RULE_DEFAULT;
}

/* Denies in the tenant tier, since documents of the tenant that aren't known may deny anything. */
static void deny_tenant_tier(struct pk_defaults *d, uint32_t number)
{
	if (!d->live[PK_TIER_TENANT])
		d->live_rule[PK_TIER_TENANT] = number;
	if (!d->audit[PK_TIER_TENANT])
		d->audit_rule[PK_TIER_TENANT] = number;
	d->live[PK_TIER_TENANT] = d->audit[PK_TIER_TENANT] = true;
}

static struct program *draft(struct pk_engine *engine, struct ident *subject, bool closed)
{
	struct program *p = pk_alloc(sizeof(*p));
	struct gather g = { 0 };
	uint32_t number;

	gather_subject(engine, subject, &g);
	number = own_number(&g);
	p->init = subject->labels->init;
	p->stands_in = closed;
	for (int dir = 0; dir < 2; dir++) {
		if (closed) {
			drop_own(&g.acts[dir]);
			deny_tenant_tier(&g.defaults[dir], number);
		}
		fill_side(&p->side[dir], &g, dir, subject);
	}
	return p;
}

struct program *program_get(struct pk_engine *engine, struct ident *subject)
{
	return settle(engine, subject, draft(engine, subject, false));
}

struct program *program_get_closed(struct pk_engine *engine, struct ident *subject)
{
	return settle(engine, subject, draft(engine, subject, true));
}
