/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One rule set: its reserved classes, the classes of its cidr lists and names, and those endpoints
 * that it treats differently from their tenant's class. Kept between compiles, so that an endpoint
 * that comes or goes costs only its own entries; verdicts of a class never change once made.
 */
#include "engine.h"

#include <string.h>

#include "picket/limits.h"
#include "str.h"

static void reserved_classes(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			     uint32_t *acts, const struct pk_label_set *own)
{
	struct side *side = &p->side[dir];
	const struct peer peers[] = {
		[PK_CLASS_HOST] = { .party = PK_PARTY_HOST },
		[PK_CLASS_WORLD4] = { .party = PK_PARTY_WORLD },
		[PK_CLASS_WORLD6] = { .party = PK_PARTY_WORLD, .v6 = true },
		[PK_CLASS_REMOTE_NODE] = { .party = PK_PARTY_REMOTE_NODE },
		[PK_CLASS_INIT] = { .party = PK_PARTY_ENDPOINT, .labels = engine->init_labels },
		[PK_CLASS_UNKNOWN] = { .party = PK_PARTY_UNKNOWN,
				       .labels = engine->unknown_labels },
		[PK_CLASS_SAME_TENANT] = { .party = PK_PARTY_ENDPOINT, .labels = own },
		[PK_CLASS_OTHER_TENANT] = { .party = PK_PARTY_ENDPOINT,
					    .labels = engine->any_tenant,
					    .not_in = own->tenant_name ? own->tenant_name : "" },
	};

	for (uint32_t class_nr = PK_CLASS_HOST; class_nr < PK_ARRAY_LEN(peers); class_nr++) {
		struct recipe r = { .acts = acts, .party = peers[class_nr].party };
		struct hash128 content;

		r.n_acts = acts_match(engine, side, &peers[class_nr], acts);
		r.same = class_nr == PK_CLASS_SAME_TENANT;
		r.to = peers[class_nr].labels ? &peers[class_nr] : NULL;
		content = class_fixed(engine, p, dir, &r, class_nr);
		if (class_nr == PK_CLASS_UNKNOWN)
			side->unknown = content;
		if (class_nr == PK_CLASS_SAME_TENANT) {
			side->same = content;
			side->same_hit = acts_any_selective(side, acts, r.n_acts);
			class_remember(&side->contents, &content, class_nr, &content);
		}
		if (class_nr == PK_CLASS_OTHER_TENANT) {
			side->other = content;
			side->other_hit = acts_any_selective(side, acts, r.n_acts);
			class_remember(&side->contents, &content, class_nr, &content);
		}
	}
}

/* The acts of a cidr class: entries by prefix, and those that match the world anyway. */
static size_t match_world(const struct pk_engine *engine, const struct side *side,
			  const struct cidr_class *c, uint32_t *acts)
{
	const struct peer peer = { .party = PK_PARTY_WORLD,
				   .v6 = c->v6,
				   .out_of_reach = c->is_protected && !c->in_reach };
	size_t n = 0, next = 0;
	uint32_t cidr = 0;

	for (size_t i = 0; i < side->n_acts; i++) {
		const struct ent *ent = side->acts[i];
		bool hit;

		if (ent->e->kind == PK_PEERS_CIDR) {
			hit = next < c->n_acts && c->acts[next] == cidr++;
			next += hit;
			/* "A tenant policy's egress allow leaves them out". */
			if (hit && peer.out_of_reach && ent->doc->tenant_name && !ent->e->deny &&
			    ent->dir == PK_EGRESS)
				hit = false;
		} else {
			hit = ent_matches(ent, &peer, &engine->settings);
		}
		if (hit)
			acts[n++] = (uint32_t)i;
	}
	return n;
}

static void world_classes(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			  uint32_t *acts)
{
	struct side *side = &p->side[dir];
	struct vec cidrs = { 0 };

	for (size_t i = 0; i < side->n_acts; i++)
		if (side->acts[i]->e->kind == PK_PEERS_CIDR)
			vec_push(&cidrs, side->acts[i]);
	side->shape = shape_get(engine, dir, (struct ent **)cidrs.at, cidrs.n);
	vec_done(&cidrs);
	for (size_t i = 0; i < side->shape->n_classes && !p->too_large; i++) {
		const struct cidr_class *c = &side->shape->classes[i];
		struct recipe r = { .acts = acts,
				    .party = PK_PARTY_WORLD,
				    .is_protected = c->is_protected,
				    .resolver = c->resolver };

		r.n_acts = match_world(engine, side, c, acts);
		class_fixed(engine, p, dir, &r, PK_CLASS_FIRST + (uint32_t)i);
	}
	p->too_large |= side->shape->too_large;
	side->next_class = PK_CLASS_FIRST + (uint32_t)side->shape->n_classes;
}

static void name_classes(struct pk_engine *engine, struct program *p, enum pk_dir dir)
{
	struct side *side = &p->side[dir];

	for (uint32_t i = 0; i < side->n_acts; i++) {
		const struct recipe r = {
			.acts = &i, .n_acts = 1, .party = PK_PARTY_WORLD, .name = side->acts[i]
		};

		if (side->acts[i]->e->kind != PK_PEERS_FQDNS)
			continue;
		p->names = realloc(p->names, (p->n_names + 1) * sizeof(*p->names));
		if (!p->names)
			abort();
		p->names[p->n_names++] = (struct pk_name_class){ .class_nr = side->next_class,
								 .number = side->acts[i]->e->number,
								 .entry = side->acts[i]->e };
		class_fixed(engine, p, dir, &r, side->next_class++);
	}
}

static void build(struct pk_engine *engine, struct program *p, const struct pk_label_set *own)
{
	for (int dir = 0; dir < 2; dir++) {
		struct side *side = &p->side[dir];
		uint32_t *acts = calloc(side->n_acts + 1, sizeof(*acts));

		if (!acts)
			abort();
		reserved_classes(engine, p, (enum pk_dir)dir, acts, own);
		world_classes(engine, p, (enum pk_dir)dir, acts);
		name_classes(engine, p, (enum pk_dir)dir);
		p->side[dir].first_class = p->side[dir].next_class;
		free(acts);
	}
	if ((p->side[0].varies || p->side[1].varies) && !p->too_large)
		peers_assign_tenants(engine, p);
	for (int dir = 0; dir < 2; dir++)
		if (p->side[dir].selective && !p->too_large)
			peers_assign_endpoints(engine, p, (enum pk_dir)dir);
	p->built = engine->generation;
}

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

static void free_own(struct side *side)
{
	for (size_t i = 0; side->own && i < side->n_acts; i++)
		free(side->own[i].at);
	free(side->own);
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
	 * The base of any tenant serves several: whoever is the same tenant to one is another to
	 * the next.
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
	pk_str_addf(&s, "%d %d %s;", p->init, nameless, p->tenant_name ? p->tenant_name : "*");
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

/* As program_key, by rule numbers: equal where plugin and controller compile the same. */
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

struct program *program_get(struct pk_engine *engine, struct ident *subject)
{
	struct program *p = pk_alloc(sizeof(*p)), *found;
	struct gather g = { 0 };

	gather_subject(engine, subject, &g);
	p->init = subject->labels->init;
	for (int dir = 0; dir < 2; dir++)
		fill_side(&p->side[dir], &g, dir, subject);
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
	p->max_verdicts =
		engine->limits.rule_set ? engine->limits.rule_set : PK_RULE_SET_VERDICTS_MAX;
	p->origin = program_origin(p, subject);
	build(engine, p,
	      subject->labels->tenant_name ? subject->tenant->labels : engine->any_tenant);
	return p;
}

static void copy(void *to, const void *from, size_t n, size_t size)
{
	void **out = to;

	*out = calloc(n + 1, size);
	if (!*out)
		abort();
	if (n)
		memcpy(*out, from, n * size);
}

void program_image(struct program *p)
{
	struct pk_image *image;

	if (p->image)
		return;
	image = pk_alloc(sizeof(*image));
	image->refs = 1;
	memcpy(image->origin, p->origin.h, sizeof(image->origin));
	copy(&image->verdicts, p->verdicts, p->n_verdicts, sizeof(*p->verdicts));
	copy(&image->peers, p->peers, p->n_peers, sizeof(*p->peers));
	copy(&image->names, p->names, p->n_names, sizeof(*p->names));
	image->n_verdicts = p->n_verdicts;
	image->n_peers = p->n_peers;
	image->n_names = p->n_names;
	image->uses_names = p->n_names != 0;
	for (int dir = 0; dir < 2; dir++)
		image->list[dir] = pk_cidr_list_ref(p->side[dir].shape->list);
	for (size_t i = 0; i < p->n_verdicts && !image->audit; i++) {
		const struct pk_verdict_value *v = &p->verdicts[i].value;

		image->audit = v->live.verdict != v->audit.verdict || v->live.rank != v->audit.rank;
	}
	pk_image_finish(image);
	p->image = image;
}

void program_free(struct program *p)
{
	for (int dir = 0; dir < 2; dir++) {
		struct side *side = &p->side[dir];

		free_own(side);
		free(side->acts);
		classes_forget(&side->signatures);
		classes_forget(&side->contents);
	}
	free(p->tenant_name);
	free(p->verdicts);
	free(p->peers);
	free(p->names);
	pk_image_unref(p->image);
	free(p);
}
