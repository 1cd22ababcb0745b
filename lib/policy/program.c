/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One rule set: its reserved classes, the classes of its cidr lists and names, and those endpoints
 * that it treats differently from their tenant's class. Kept between compiles, so that an endpoint
 * that comes or goes costs only its own entries; verdicts of a class never change once made.
 */
#include "engine.h"

#include <string.h>

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

/* Returns the list of the entry alone, however many prefixes there are. */
static enum shape_kind list_of(const struct ent *ent)
{
	return (enum shape_kind)(pk_entry_list(ent->doc, ent->rule, ent->e) / 2);
}

static enum shape_kind shape_of(const struct side *side, const struct ent *ent)
{
	enum shape_kind kind = list_of(ent);

	return side->prefixes[kind] < PK_CIDR_BESIDE_MIN ? SHAPE_OWN : kind;
}

/* Collects the acts of a cidr class: entries by prefix, and those that match the world anyway. */
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

		if (shape_of(side, ent) != SHAPE_OWN)
			continue;
		if (ent->by_prefix) {
			hit = next < c->n_acts && c->acts[next] == cidr++;
			next += hit;
			/* "A tenant policy's egress allow leaves them out". */
			if (hit && peer.out_of_reach && ent->doc->tenant_name && !ent->e->deny &&
			    ent->dir == PK_EGRESS && ent->e->kind == PK_PEERS_CIDR)
				hit = false;
		} else {
			hit = ent_matches(ent, &peer, &engine->settings);
		}
		if (hit)
			acts[n++] = (uint32_t)i;
	}
	return n;
}

/* Collects the acts of a class of a list that stands beside the rule set's own. */
static size_t match_beside(const struct side *side, enum shape_kind kind,
			   const struct cidr_class *c, uint32_t *acts)
{
	size_t n = 0;
	uint32_t cidr = 0;

	for (size_t i = 0; i < side->n_acts && n < c->n_acts; i++)
		if (shape_of(side, side->acts[i]) == kind && c->acts[n] == cidr++)
			acts[n++] = (uint32_t)i;
	return n;
}

static void shape_side(struct pk_engine *engine, struct side *side, enum pk_dir dir)
{
	if (side->shaped)
		return;
	for (size_t i = 0; i < side->n_acts; i++)
		side->prefixes[list_of(side->acts[i])] += pk_entry_prefixes(side->acts[i]->e);
	for (int kind = 0; kind < SHAPES; kind++) {
		struct vec cidrs = { 0 };

		for (size_t i = 0; i < side->n_acts; i++)
			if (side->acts[i]->by_prefix &&
			    shape_of(side, side->acts[i]) == (enum shape_kind)kind)
				vec_push(&cidrs, side->acts[i]);
		side->shape[kind] = shape_get(engine, dir, (enum shape_kind)kind,
					      (struct ent **)cidrs.at, cidrs.n);
		vec_done(&cidrs);
	}
	side->shaped = true;
}

static size_t n_classes(const struct side *side, enum shape_kind kind)
{
	return side->shape[kind] ? side->shape[kind]->n_classes : 0;
}

static void beside_class(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			 enum shape_kind kind, size_t i, uint32_t *acts)
{
	const struct side *side = &p->side[dir];
	const struct shape *shape = side->shape[kind];
	struct recipe r = { .acts = acts, .party = PK_PARTY_WORLD, .beside = true };

	r.n_acts = match_beside(side, kind, &shape->classes[i], acts);
	class_fixed(engine, p, dir, &r, shape->first + (uint32_t)i);
}

static void own_class(struct pk_engine *engine, struct program *p, enum pk_dir dir, size_t i,
		      uint32_t *acts)
{
	const struct side *side = &p->side[dir];
	const struct shape *shape = side->shape[SHAPE_OWN];
	const struct cidr_class *c = &shape->classes[i];
	struct recipe r = { .acts = acts,
			    .party = PK_PARTY_WORLD,
			    .is_protected = c->is_protected,
			    .resolver = c->resolver };

	r.n_acts = match_world(engine, side, c, acts);
	class_fixed(engine, p, dir, &r, shape->first + (uint32_t)i);
}

/* Makes the i-th class of a direction's lists, counted from the own one's first. */
static void world_class(struct pk_engine *engine, struct program *p, enum pk_dir dir, size_t i,
			uint32_t *acts)
{
	int kind = SHAPE_OWN;

	while (i >= n_classes(&p->side[dir], (enum shape_kind)kind))
		i -= n_classes(&p->side[dir], (enum shape_kind)kind++);
	if (kind == SHAPE_OWN)
		own_class(engine, p, dir, i, acts);
	else
		beside_class(engine, p, dir, (enum shape_kind)kind, i, acts);
}

/* Makes the classes of the world; false: it is late, and there are more to make. */
static bool world_classes(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			  const struct pk_slice *slice)
{
	struct side *side = &p->side[dir];
	uint32_t *acts = calloc(side->n_acts + 1, sizeof(*acts));
	bool late = false;
	size_t n = 0;

	if (!acts)
		abort();
	shape_side(engine, side, dir);
	for (int kind = 0; kind < SHAPES; kind++)
		n += n_classes(side, (enum shape_kind)kind);
	while (p->at < n && !p->too_large && !late) {
		world_class(engine, p, dir, p->at++, acts);
		late = is_late(slice);
	}
	free(acts);
	if (p->at < n && !p->too_large)
		return false;
	p->at = 0;
	for (int kind = 0; kind < SHAPES; kind++)
		p->too_large |= side->shape[kind] && side->shape[kind]->too_large;
	side->next_class = PK_CLASS_FIRST + (uint32_t)n_classes(side, SHAPE_OWN);
	return true;
}

static void name_classes(struct pk_engine *engine, struct program *p, enum pk_dir dir)
{
	struct side *side = &p->side[dir];

	for (uint32_t i = 0; i < side->n_acts; i++) {
		const struct recipe r = {
			.acts = &i, .n_acts = 1, .party = PK_PARTY_WORLD, .beside = true
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
	side->first_class = side->next_class;
}

/* Begins with what needs the subject's tenant. */
void program_begin(struct pk_engine *engine, struct program *p, const struct pk_label_set *own)
{
	for (int dir = 0; dir < 2; dir++) {
		uint32_t *acts = calloc(p->side[dir].n_acts + 1, sizeof(*acts));

		if (!acts)
			abort();
		reserved_classes(engine, p, (enum pk_dir)dir, acts, own);
		free(acts);
	}
}

/* Goes on to the next step, once this one was done for both directions. */
static void step_done(struct program *p)
{
	p->step += p->dir == 1;
	p->dir = !p->dir;
}

static bool build_step(struct pk_engine *engine, struct program *p, const struct pk_slice *slice)
{
	enum pk_dir dir = (enum pk_dir)p->dir;

	switch (p->step) {
	case BUILD_WORLD:
		if (!world_classes(engine, p, dir, slice))
			return false;
		break;
	case BUILD_NAMES:
		name_classes(engine, p, dir);
		break;
	case BUILD_TENANTS:
		p->has_tenants = true;
		if (dir == 0 && (p->side[0].varies || p->side[1].varies) && !p->too_large)
			peers_assign_tenants(engine, p);
		break;
	case BUILD_PEERS:
		if (p->side[dir].selective && !p->too_large &&
		    !peers_assign_endpoints(engine, p, dir, slice))
			return false;
		p->has_peers[dir] = true;
		break;
	case BUILD_DONE:
		break;
	}
	step_done(p);
	return true;
}

bool program_build(struct pk_engine *engine, struct program *p, enum build_step until,
		   const struct pk_slice *slice)
{
	while (p->step < until)
		if (!build_step(engine, p, slice))
			return false;
	return true;
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
	for (int dir = 0; dir < 2; dir++) {
		const struct side *side = &p->side[dir];

		for (int kind = 0; kind < SHAPES; kind++)
			if (side->shape[kind])
				image->list[2 * kind + dir] =
					pk_cidr_list_ref(side->shape[kind]->list);
	}
	for (size_t i = 0; i < p->n_verdicts && !image->audit; i++) {
		const struct pk_verdict_value *v = &p->verdicts[i].value;

		image->audit = v->live.verdict != v->audit.verdict || v->live.rank != v->audit.rank;
	}
	pk_image_finish(image);
	p->image = image;
}

static void free_own(struct side *side)
{
	for (size_t i = 0; side->own && i < side->n_acts; i++)
		free(side->own[i].at);
	free(side->own);
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
	if (p->alone)
		program_free(p->alone);
	vec_done(&p->todo);
	free(p->tenant_name);
	free(p->verdicts);
	free(p->peers);
	free(p->names);
	pk_image_unref(p->image);
	free(p);
}
