/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endpoints and tenants that a rule set treats differently from what they would fall back to.
 */
#include "engine.h"

#include <string.h>

/* Asks one by one which acts match a peer that isn't in the index. */
size_t acts_match(const struct pk_engine *engine, const struct side *side, const struct peer *peer,
		  uint32_t *acts)
{
	size_t n = 0;

	for (size_t i = 0; i < side->n_acts; i++)
		if (ent_matches(side->acts[i], peer, &engine->settings))
			acts[n++] = (uint32_t)i;
	return n;
}

bool acts_any_selective(const struct side *side, const uint32_t *acts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (side->acts[acts[i]]->ep == EP_SOME)
			return true;
	return false;
}

static void push_peer(struct program *p, const struct pk_peer_entry *peer)
{
	if (p->n_peers == p->room_peers) {
		p->room_peers = p->room_peers ? p->room_peers * 2 : 32;
		p->peers = realloc(p->peers, p->room_peers * sizeof(*p->peers));
		if (!p->peers)
			abort();
	}
	p->peers[p->n_peers++] = *peer;
}

static bool equal(const struct hash128 *a, const struct hash128 *b)
{
	return a->h[0] == b->h[0] && a->h[1] == b->h[1];
}

static bool is_own(const struct program *p, const struct tenant *t)
{
	return t && p->tenant_name && strcmp(p->tenant_name, t->name) == 0;
}

static struct peer tenant_peer(const struct tenant *t)
{
	return (struct peer){ .party = PK_PARTY_ENDPOINT, .labels = t->labels };
}

/*
 * Returns the content of the class that an endpoint of this tenant gets without an entry of its
 * own. *hit: the class holds acts that others of the tenant may lack.
 */
static struct hash128 fallback(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			       struct tenant *t, bool *hit)
{
	struct side *side = &p->side[dir];
	struct peer peer;
	struct recipe r = { .party = PK_PARTY_ENDPOINT };
	uint32_t *acts;
	struct hash128 content;

	*hit = is_own(p, t) ? side->same_hit : side->other_hit;
	if (!t)
		return side->unknown;
	if (is_own(p, t) || !side->varies)
		return is_own(p, t) ? side->same : side->other;
	if (t->asked[dir] == p->id) {
		*hit = t->hit[dir];
		return t->content[dir];
	}
	peer = tenant_peer(t);
	acts = calloc(side->n_acts + 1, sizeof(*acts));
	if (!acts)
		abort();
	r.acts = acts;
	r.to = &peer;
	r.n_acts = acts_match(engine, side, &peer, acts);
	*hit = acts_any_selective(side, acts, r.n_acts);
	content = class_of_recipe(engine, p, dir, &r)->content;
	free(acts);
	t->asked[dir] = p->id;
	t->hit[dir] = *hit;
	t->content[dir] = content;
	return content;
}

void program_add_tenant(struct pk_engine *engine, struct program *p, struct tenant *t)
{
	for (int dir = 0; dir < 2 && !p->too_large && p->has_tenants; dir++) {
		struct side *side = &p->side[dir];
		const struct peer peer = tenant_peer(t);
		struct recipe r = { .party = PK_PARTY_ENDPOINT, .to = &peer };
		uint32_t *acts;

		if (!side->varies || is_own(p, t))
			continue;
		acts = calloc(side->n_acts + 1, sizeof(*acts));
		if (!acts)
			abort();
		r.acts = acts;
		r.n_acts = acts_match(engine, side, &peer, acts);
		if (!equal(&class_of_recipe(engine, p, (enum pk_dir)dir, &r)->content,
			   &side->other)) {
			push_peer(p, &(struct pk_peer_entry){
					     .hash = { t->hash.h[0], t->hash.h[1] },
					     .dir = (uint8_t)dir,
					     .tenant = true,
					     .class_nr = class_number(engine, p, (enum pk_dir)dir,
								      &r) });
			pk_image_unref(p->image);
			p->image = NULL;
		}
		free(acts);
	}
}

/* acts: those that match the identity. */
static void assign_ident(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			 const struct ident *ident, const uint32_t *acts, size_t n)
{
	const struct peer peer = { .party = PK_PARTY_ENDPOINT,
				   .labels = ident->labels,
				   .ports = ident->ports,
				   .n_ports = ident->n_ports };
	const struct recipe r = { .acts = acts,
				  .n_acts = n,
				  .to = &peer,
				  .party = PK_PARTY_ENDPOINT,
				  .same = is_own(p, ident->tenant) };
	const struct class_of *c = class_of_recipe(engine, p, dir, &r);
	struct hash128 without;
	bool hit;

	without = fallback(engine, p, dir, ident->tenant, &hit);
	if (ident->tenant && equal(&c->content, &without))
		return;
	push_peer(p, &(struct pk_peer_entry){ .hash = { ident->hash.h[0], ident->hash.h[1] },
					      .dir = (uint8_t)dir,
					      .class_nr = class_number(engine, p, dir, &r) });
	pk_image_unref(p->image);
	p->image = NULL;
}

void program_add_ident(struct pk_engine *engine, struct program *p, struct ident *ident)
{
	const struct peer peer = { .party = PK_PARTY_ENDPOINT,
				   .labels = ident->labels,
				   .ports = ident->ports,
				   .n_ports = ident->n_ports };

	for (int dir = 0; dir < 2 && !p->too_large; dir++) {
		struct side *side = &p->side[dir];
		uint32_t *acts;

		if (!side->selective || ident->labels->init || !p->has_peers[dir])
			continue;
		acts = calloc(side->n_acts + 1, sizeof(*acts));
		if (!acts)
			abort();
		assign_ident(engine, p, (enum pk_dir)dir, ident, acts,
			     acts_match(engine, side, &peer, acts));
		free(acts);
	}
}

void program_drop_peer(struct program *p, bool tenant, const struct hash128 *hash)
{
	size_t out = 0;

	for (size_t i = 0; i < p->n_peers; i++) {
		const struct pk_peer_entry *e = &p->peers[i];

		if (e->tenant != tenant || e->hash[0] != hash->h[0] || e->hash[1] != hash->h[1])
			p->peers[out++] = *e;
	}
	if (out == p->n_peers)
		return;
	p->n_peers = out;
	pk_image_unref(p->image);
	p->image = NULL;
}

struct pair {
	const struct ident *ident;
	uint32_t act; /* UINT32_MAX: no act, but must be looked at */
};

struct pairs {
	struct pair *at;
	size_t n, room;
};

static void push_pair(struct pairs *s, const struct ident *ident, uint32_t act)
{
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 256;
		s->at = realloc(s->at, s->room * sizeof(*s->at));
		if (!s->at)
			abort();
	}
	s->at[s->n++] = (struct pair){ ident, act };
}

static int hash_cmp(const struct hash128 *a, const struct hash128 *b)
{
	if (a->h[0] != b->h[0])
		return a->h[0] < b->h[0] ? -1 : 1;
	return a->h[1] < b->h[1] ? -1 : a->h[1] > b->h[1];
}

static int pair_cmp(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int c = x->ident == y->ident ? 0 : hash_cmp(&x->ident->hash, &y->ident->hash);

	if (c)
		return c;
	return x->act < y->act ? -1 : x->act > y->act;
}

/* Looks at every endpoint whose fallback class holds acts that it may not match itself. */
static void push_tenants(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			 struct pairs *pairs)
{
	for (struct tenant *t = engine->tenants; t; t = t->hh.next) {
		bool hit;

		fallback(engine, p, dir, t, &hit);
		for (size_t i = 0; i < t->idents.n && hit; i++)
			push_pair(pairs, t->idents.at[i], UINT32_MAX);
	}
	for (size_t i = 0; i < engine->uncertain.n; i++) {
		const struct ident *ident = engine->uncertain.at[i];

		if (!ident->tenant)
			push_pair(pairs, ident, UINT32_MAX);
	}
}

static size_t alike(const struct side *side, uint32_t *alike_acts)
{
	size_t n = 0;

	for (size_t i = 0; i < side->n_acts; i++)
		if (side->acts[i]->ep == EP_ALL)
			alike_acts[n++] = (uint32_t)i;
	return n;
}

/* Merges two ascending lists that have no act in common. */
static size_t merge(const uint32_t *a, size_t na, const struct pair *b, size_t nb, uint32_t *out)
{
	size_t i = 0, j = 0, n = 0;

	while (j < nb && b[j].act != UINT32_MAX) {
		while (i < na && a[i] < b[j].act)
			out[n++] = a[i++];
		out[n++] = b[j++].act;
	}
	while (i < na)
		out[n++] = a[i++];
	return n;
}

static void assign_pairs(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			 struct pairs *pairs, uint32_t *acts, const uint32_t *common,
			 size_t n_common)
{
	size_t end;

	if (pairs->n)
		qsort(pairs->at, pairs->n, sizeof(*pairs->at), pair_cmp);
	for (size_t i = 0; i < pairs->n && !p->too_large; i = end) {
		for (end = i + 1; end < pairs->n && pairs->at[end].ident == pairs->at[i].ident;)
			end++;
		if (pairs->at[i].ident->labels->init)
			continue;
		assign_ident(engine, p, dir, pairs->at[i].ident, acts,
			     merge(common, n_common, &pairs->at[i], end - i, acts));
	}
}

/* Assigns classes by what each entry matches, which is quicker where most match little. */
static void assign_by_entry(struct pk_engine *engine, struct program *p, enum pk_dir dir)
{
	struct side *side = &p->side[dir];
	uint32_t *acts = calloc(side->n_acts * 2 + 2, sizeof(*acts));
	uint32_t *common = acts + side->n_acts + 1;
	struct pairs pairs = { 0 };
	size_t n_common;

	if (!acts)
		abort();
	n_common = alike(side, common);
	for (uint32_t i = 0; i < side->n_acts; i++) {
		const struct vec *v;

		if (side->acts[i]->ep != EP_SOME)
			continue;
		v = index_matched(engine, side->acts[i]);
		for (size_t j = 0; j < v->n; j++)
			push_pair(&pairs, v->at[j], i);
	}
	push_tenants(engine, p, dir, &pairs);
	assign_pairs(engine, p, dir, &pairs, acts, common, n_common);
	free(pairs.at);
	free(acts);
}

/* Assigns classes identity by identity. It keeps no pairs, and may be left after each of them. */
static bool assign_by_ident(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			    const struct pk_slice *slice)
{
	struct side *side = &p->side[dir];
	uint32_t *acts = calloc(side->n_acts + 1, sizeof(*acts));
	bool late = false;

	if (!acts)
		abort();
	for (struct ident *i = engine->idents; i && !p->todo_made; i = i->hh.next)
		if (i->known && !i->labels->init)
			vec_push(&p->todo, i);
	p->todo_made = true;
	while (p->todo.n && !p->too_large && !late) {
		const struct ident *ident = p->todo.at[--p->todo.n];
		const struct peer peer = { .party = PK_PARTY_ENDPOINT,
					   .labels = ident->labels,
					   .ports = ident->ports,
					   .n_ports = ident->n_ports };

		assign_ident(engine, p, dir, ident, acts, acts_match(engine, side, &peer, acts));
		late = is_late(slice);
	}
	free(acts);
	if (p->todo.n && !p->too_large)
		return false;
	p->todo.n = 0;
	p->todo_made = false;
	return true;
}

bool peers_assign_endpoints(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			    const struct pk_slice *slice)
{
	const struct side *side = &p->side[dir];
	size_t most = 0;

	for (size_t i = 0; i < side->n_acts && !p->todo_made && most <= engine->by_entry_max; i++)
		if (side->acts[i]->ep == EP_SOME)
			most += index_most(engine, side->acts[i]);
	p->has_peers[dir] = true;
	if (p->todo_made || most > engine->by_entry_max)
		return assign_by_ident(engine, p, dir, slice);
	assign_by_entry(engine, p, dir);
	return true;
}

static int tenant_cmp(const void *a, const void *b)
{
	return hash_cmp(&(*(struct tenant *const *)a)->hash, &(*(struct tenant *const *)b)->hash);
}

void peers_assign_tenants(struct pk_engine *engine, struct program *p)
{
	struct vec sorted = { 0 };

	for (struct tenant *t = engine->tenants; t; t = t->hh.next)
		if (t->idents.n)
			vec_push(&sorted, t);
	if (sorted.n)
		qsort(sorted.at, sorted.n, sizeof(*sorted.at), tenant_cmp);
	for (size_t i = 0; i < sorted.n; i++)
		program_add_tenant(engine, p, sorted.at[i]);
	vec_done(&sorted);
}
