/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One rule set: its reserved classes, the classes of its cidr lists and names, and those endpoints
 * that it treats differently from their tenant's class. Kept between compiles, so that an endpoint
 * that comes or goes costs only its own entries; verdicts of a class never change once made.
 */
#include "engine.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "str.h"

/* What one class is made of. */
struct recipe {
	const uint32_t *acts;		/* indexes that match, ascending */
	size_t n_acts;
	const struct peer *to;		/* whose ports labels mean on egress; NULL: nobody's */
	enum peer_is is;
	bool same;			/* of the subject's namespace */
	bool is_protected, resolver;	/* WORLD */
	const struct ent *name;		/* a name class: this entry alone */
};

struct draft {				/* a class before it has its number */
	struct pk_port_table table;
	struct hash128 content;
};

static bool is_world(enum peer_is is)
{
	return is == IS_WORLD4 || is == IS_WORLD6;
}

/* "The built-in baseline". */
static size_t baseline(const struct pk_engine *engine, const struct program *p, enum pk_dir dir,
		       const struct recipe *r, struct pk_claim *claim, uint32_t *otherwise)
{
	static const struct pk_span all[] = { { PK_SPAN_ALL, 0, UINT16_MAX } };
	static const struct pk_span dns[] = { { IPPROTO_TCP, 53, 53 }, { IPPROTO_UDP, 53, 53 } };
	const struct pk_settings *s = &engine->settings;
	bool out = dir == PK_EGRESS && is_world(r->is);

	*claim = (struct pk_claim){ .tier = PK_TIER_BUILTIN,
				    .kind = PK_KIND_ALLOW,
				    .spans = all,
				    .n_spans = 1 };
	*otherwise = PK_RULE_DEFAULT;
	if (p->init || s->baseline == PK_BASELINE_DENY)
		return 0;
	if (s->baseline == PK_BASELINE_OPEN) {
		claim->rule = PK_RULE_OPEN;
		return 1;
	}
	if (r->same || (out && !r->is_protected)) {
		claim->rule = r->same ? PK_RULE_SAME_TENANT : PK_RULE_WORLD;
		return 1;
	}
	if (out)
		*otherwise = PK_RULE_PROTECTED;
	if (dir != PK_EGRESS || !(r->is == IS_HOST ? s->resolver_host : r->resolver))
		return 0;
	claim->rule = PK_RULE_RESOLVER;
	claim->spans = dns;
	claim->n_spans = 2;
	return 1;
}

/* The act's spans at this peer: its own, or, with labels of the peer's ports, a list that the caller frees. */
static void spans_at(const struct side *side, uint32_t act, const struct recipe *r,
		     enum pk_dir dir, struct pk_claim *claim, struct spans *owned)
{
	const struct ent *ent = side->acts[act];

	claim->spans = ent->spans;
	claim->n_spans = ent->n_spans;
	if (!ent->label_ports)
		return;
	if (dir == PK_INGRESS) {
		claim->spans = side->own[act].at;
		claim->n_spans = side->own[act].n;
		return;
	}
	for (size_t i = 0; i < ent->n_spans; i++)
		spans_push(owned, ent->spans[i]);
	if (r->to)
		ent_resolve(ent, r->to, owned);
	claim->spans = owned->at;
	claim->n_spans = owned->n;
}

static void draft_done(struct draft *d)
{
	free(d->table.entries);
}

static void draft_make(const struct pk_engine *engine, const struct program *p, enum pk_dir dir,
		       const struct recipe *r, struct draft *out)
{
	const struct side *side = &p->side[dir];
	struct pk_defaults defaults = side->defaults;
	struct pk_claim *claims = calloc(r->n_acts + 1, sizeof(*claims));
	struct spans *owned = calloc(r->n_acts + 1, sizeof(*owned));
	size_t n = 0;

	if (!claims || !owned)
		abort();
	for (size_t i = 0; i < r->n_acts; i++) {
		const struct ent *ent = side->acts[r->acts[i]];

		claims[n] = (struct pk_claim){ .tier = ent->tier,
					       .kind = ent->kind,
					       .audit = ent->doc->audit,
					       .rule = ent->e->number };
		spans_at(side, r->acts[i], r, dir, &claims[n], &owned[i]);
		n += claims[n].n_spans != 0;
	}
	defaults.none = r->name != NULL;
	if (!r->name)
		n += baseline(engine, p, dir, r, &claims[n], &defaults.builtin);
	*out = (struct draft){ 0 };
	pk_ports_compile(claims, n, &defaults, &out->table);
	pk_hash128(out->table.entries ? (void *)out->table.entries : "",
		   out->table.n * sizeof(*out->table.entries), out->content.h);
	for (size_t i = 0; i < r->n_acts; i++)
		free(owned[i].at);
	free(owned);
	free(claims);
}

static void push_verdicts(struct program *p, enum pk_dir dir, uint32_t class,
			  const struct pk_port_table *table)
{
	while (p->n_verdicts + table->n > p->room_verdicts) {
		p->room_verdicts = p->room_verdicts ? p->room_verdicts * 2 : 64;
		p->verdicts = realloc(p->verdicts, p->room_verdicts * sizeof(*p->verdicts));
		if (!p->verdicts)
			abort();
	}
	for (size_t i = 0; i < table->n; i++) {
		const struct pk_port_entry *e = &table->entries[i];

		p->verdicts[p->n_verdicts++] = (struct pk_verdict_entry){
			.key = { .prefixlen = e->prefixlen,
				 .class = class,
				 .dir = (uint8_t)dir,
				 .proto = e->proto,
				 .port = htons(e->port) },
			.value = e->value,
		};
	}
}

static const struct class_of *find_class(const struct class_of *map, const struct hash128 *key)
{
	struct class_of *found;

	HASH_FIND(hh, map, key, sizeof(*key), found);
	return found;
}

static void remember(struct class_of **map, const struct hash128 *key, uint32_t class,
		     const struct hash128 *content)
{
	struct class_of *c;

	if (find_class(*map, key))
		return;
	c = pk_alloc(sizeof(*c));
	*c = (struct class_of){ .key = *key, .class = class, .content = *content };
	HASH_ADD(hh, *map, key, sizeof(c->key), c);
}

static void forget(struct class_of **map)
{
	struct class_of *c, *next;

	HASH_ITER(hh, *map, c, next) {
		HASH_DEL(*map, c);
		free(c);
	}
}

/* A class of a given number. */
static struct hash128 fixed_class(const struct pk_engine *engine, struct program *p,
				  enum pk_dir dir, const struct recipe *r, uint32_t class)
{
	struct draft d;

	draft_make(engine, p, dir, r, &d);
	push_verdicts(p, dir, class, &d.table);
	draft_done(&d);
	return d.content;
}

/* Acts that match a peer which isn't in the index: asked one by one. */
static size_t match_all(const struct pk_engine *engine, const struct side *side,
			const struct peer *peer, uint32_t *acts)
{
	size_t n = 0;

	for (size_t i = 0; i < side->n_acts; i++)
		if (ent_matches(side->acts[i], peer, &engine->settings))
			acts[n++] = (uint32_t)i;
	return n;
}

static bool any_selective(const struct side *side, const uint32_t *acts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (side->acts[acts[i]]->ep == EP_SOME)
			return true;
	return false;
}

static void reserved_classes(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			     uint32_t *acts, const struct pk_label_set *own)
{
	struct side *side = &p->side[dir];
	const struct peer peers[] = {
		[PK_CLASS_HOST] = { .is = IS_HOST },
		[PK_CLASS_WORLD4] = { .is = IS_WORLD4 },
		[PK_CLASS_WORLD6] = { .is = IS_WORLD6 },
		[PK_CLASS_REMOTE_NODE] = { .is = IS_REMOTE_NODE },
		[PK_CLASS_INIT] = { .is = IS_ENDPOINT, .labels = engine->init_labels },
		[PK_CLASS_UNKNOWN] = { .is = IS_UNKNOWN, .labels = engine->unknown_labels },
		[PK_CLASS_SAME_TENANT] = { .is = IS_ENDPOINT, .labels = own },
		[PK_CLASS_OTHER_TENANT] = { .is = IS_ENDPOINT,
					    .labels = engine->any_tenant,
					    .not_in = own->namespace ? own->namespace : "" },
	};

	for (uint32_t class = PK_CLASS_HOST; class < PK_ARRAY_LEN(peers); class ++) {
		struct recipe r = { .acts = acts, .is = peers[class].is };
		struct hash128 content;

		r.n_acts = match_all(engine, side, &peers[class], acts);
		r.same = class == PK_CLASS_SAME_TENANT;
		r.to = peers[class].labels ? &peers[class] : NULL;
		content = fixed_class(engine, p, dir, &r, class);
		if (class == PK_CLASS_UNKNOWN)
			side->unknown = content;
		if (class == PK_CLASS_SAME_TENANT) {
			side->same = content;
			side->same_hit = any_selective(side, acts, r.n_acts);
			remember(&side->contents, &content, class, &content);
		}
		if (class == PK_CLASS_OTHER_TENANT) {
			side->other = content;
			side->other_hit = any_selective(side, acts, r.n_acts);
			remember(&side->contents, &content, class, &content);
		}
	}
}

/* Of a cidr class: entries by prefix, and those that match the world anyway. */
static size_t match_world(const struct pk_engine *engine, const struct side *side,
			  const struct cidr_class *c, uint32_t *acts)
{
	const struct peer peer = { .is = c->v6 ? IS_WORLD6 : IS_WORLD4,
				   .out_of_reach = c->is_protected && !c->in_reach };
	size_t n = 0, next = 0;
	uint32_t cidr = 0;

	for (size_t i = 0; i < side->n_acts; i++) {
		const struct ent *ent = side->acts[i];
		bool hit;

		if (ent->e->kind == PK_PEER_CIDR) {
			hit = next < c->n_acts && c->acts[next] == cidr++;
			next += hit;
			/* "A tenant policy's egress allow leaves them out". */
			if (hit && peer.out_of_reach && ent->doc->namespace && !ent->e->deny &&
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
		if (side->acts[i]->e->kind == PK_PEER_CIDR)
			vec_push(&cidrs, side->acts[i]);
	side->shape = shape_get(engine, dir, (struct ent **)cidrs.at, cidrs.n);
	vec_done(&cidrs);
	for (size_t i = 0; i < side->shape->n_classes; i++) {
		const struct cidr_class *c = &side->shape->classes[i];
		struct recipe r = { .acts = acts,
				    .is = c->v6 ? IS_WORLD6 : IS_WORLD4,
				    .is_protected = c->is_protected,
				    .resolver = c->resolver };

		r.n_acts = match_world(engine, side, c, acts);
		fixed_class(engine, p, dir, &r, PK_CLASS_FIRST + (uint32_t)i);
	}
	side->next_class = PK_CLASS_FIRST + (uint32_t)side->shape->n_classes;
}

static void name_classes(struct pk_engine *engine, struct program *p, enum pk_dir dir)
{
	struct side *side = &p->side[dir];

	for (uint32_t i = 0; i < side->n_acts; i++) {
		const struct recipe r = { .acts = &i,
					  .n_acts = 1,
					  .is = IS_WORLD4,
					  .name = side->acts[i] };

		if (side->acts[i]->e->kind != PK_PEER_FQDNS)
			continue;
		p->names = realloc(p->names, (p->n_names + 1) * sizeof(*p->names));
		if (!p->names)
			abort();
		p->names[p->n_names++] = (struct pk_name_class){ .class = side->next_class,
								 .number = side->acts[i]->e->number,
								 .entry = side->acts[i]->e };
		fixed_class(engine, p, dir, &r, side->next_class++);
	}
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

/* Acts and resolved port labels: equal signatures, equal classes. */
static struct hash128 sign(const struct side *side, const struct recipe *r, enum pk_dir dir)
{
	struct hash128 key;
	struct pk_str s = { 0 };

	pk_str_add(&s, r->same ? "s" : "o");
	pk_str_addn(&s, r->acts, r->n_acts * sizeof(*r->acts));
	for (size_t i = 0; i < r->n_acts && dir == PK_EGRESS && r->to; i++) {
		const struct ent *ent = side->acts[r->acts[i]];
		struct spans owned = { 0 };

		if (!ent->label_ports)
			continue;
		ent_resolve(ent, r->to, &owned);
		pk_str_addf(&s, "/%zu:", owned.n);
		for (size_t j = 0; j < owned.n; j++)
			pk_str_addf(&s, "%d %u %u,", owned.at[j].proto, owned.at[j].lo,
				    owned.at[j].hi);
		free(owned.at);
	}
	if (s.failed)
		abort();
	pk_hash128(s.text, s.len, key.h);
	pk_str_done(&s);
	return key;
}

/* The class of an endpoint or tenant by its recipe: known by signature, by content, or new. */
static const struct class_of *class_of_recipe(struct pk_engine *engine, struct program *p,
					      enum pk_dir dir, const struct recipe *r)
{
	struct side *side = &p->side[dir];
	struct hash128 key = sign(side, r, dir);
	const struct class_of *c = find_class(side->signatures, &key);
	struct draft d;
	uint32_t class;

	if (c)
		return c;
	draft_make(engine, p, dir, r, &d);
	c = find_class(side->contents, &d.content);
	class = c ? c->class : 0;
	remember(&side->signatures, &key, class, &d.content);
	draft_done(&d);
	return find_class(side->signatures, &key);
}

/* Give a recipe's class its number when it is first used by a peer. */
static uint32_t number_class(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			     const struct recipe *r)
{
	struct side *side = &p->side[dir];
	const struct class_of *c = class_of_recipe(engine, p, dir, r);
	const struct class_of *have = find_class(side->contents, &c->content);
	struct draft d;

	if (have)
		return have->class;
	draft_make(engine, p, dir, r, &d);
	push_verdicts(p, dir, side->next_class, &d.table);
	draft_done(&d);
	remember(&side->contents, &c->content, side->next_class, &c->content);
	return side->next_class++;
}

static bool equal(const struct hash128 *a, const struct hash128 *b)
{
	return a->h[0] == b->h[0] && a->h[1] == b->h[1];
}

static bool is_own(const struct program *p, const struct tenant *t)
{
	return t && p->namespace && strcmp(p->namespace, t->name) == 0;
}

static struct peer tenant_peer(const struct tenant *t)
{
	return (struct peer){ .is = IS_ENDPOINT, .labels = t->labels };
}

/* What an endpoint of this tenant gets without an entry of its own; *hit: it holds acts that others of the tenant may lack. */
static struct hash128 fallback(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			       struct tenant *t, bool *hit)
{
	struct side *side = &p->side[dir];
	struct peer peer;
	struct recipe r = { .is = IS_ENDPOINT };
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
	r.n_acts = match_all(engine, side, &peer, acts);
	*hit = any_selective(side, acts, r.n_acts);
	content = class_of_recipe(engine, p, dir, &r)->content;
	free(acts);
	t->asked[dir] = p->id;
	t->hit[dir] = *hit;
	t->content[dir] = content;
	return content;
}

void program_add_tenant(struct pk_engine *engine, struct program *p, struct tenant *t)
{
	for (int dir = 0; dir < 2; dir++) {
		struct side *side = &p->side[dir];
		const struct peer peer = tenant_peer(t);
		struct recipe r = { .is = IS_ENDPOINT, .to = &peer };
		uint32_t *acts;

		if (!side->varies || is_own(p, t))
			continue;
		acts = calloc(side->n_acts + 1, sizeof(*acts));
		if (!acts)
			abort();
		r.acts = acts;
		r.n_acts = match_all(engine, side, &peer, acts);
		if (!equal(&class_of_recipe(engine, p, (enum pk_dir)dir, &r)->content,
			   &side->other)) {
			push_peer(p, &(struct pk_peer_entry){
					     .hash = { t->hash.h[0], t->hash.h[1] },
					     .dir = (uint8_t)dir,
					     .tenant = true,
					     .class = number_class(engine, p, (enum pk_dir)dir,
								   &r) });
			pk_image_unref(p->image);
			p->image = NULL;
		}
		free(acts);
	}
}

/* acts: those that match the identity. */
static void place_ident(struct pk_engine *engine, struct program *p, enum pk_dir dir,
			const struct ident *ident, const uint32_t *acts, size_t n)
{
	const struct peer peer = { .is = IS_ENDPOINT,
				   .labels = ident->labels,
				   .ports = ident->ports,
				   .n_ports = ident->n_ports };
	const struct recipe r = { .acts = acts,
				  .n_acts = n,
				  .to = &peer,
				  .is = IS_ENDPOINT,
				  .same = is_own(p, ident->tenant) };
	const struct class_of *c = class_of_recipe(engine, p, dir, &r);
	struct hash128 without;
	bool hit;

	without = fallback(engine, p, dir, ident->tenant, &hit);
	if (ident->tenant && equal(&c->content, &without))
		return;
	push_peer(p, &(struct pk_peer_entry){ .hash = { ident->hash.h[0], ident->hash.h[1] },
					      .dir = (uint8_t)dir,
					      .class = number_class(engine, p, dir, &r) });
	pk_image_unref(p->image);
	p->image = NULL;
}

void program_add_ident(struct pk_engine *engine, struct program *p, struct ident *ident)
{
	const struct peer peer = { .is = IS_ENDPOINT,
				   .labels = ident->labels,
				   .ports = ident->ports,
				   .n_ports = ident->n_ports };

	for (int dir = 0; dir < 2; dir++) {
		struct side *side = &p->side[dir];
		uint32_t *acts;

		if (!side->selective || ident->labels->init)
			continue;
		acts = calloc(side->n_acts + 1, sizeof(*acts));
		if (!acts)
			abort();
		place_ident(engine, p, (enum pk_dir)dir, ident, acts,
			    match_all(engine, side, &peer, acts));
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
	uint32_t act;		/* UINT32_MAX: no act, but must be looked at */
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

/* Endpoints whose fallback class holds what they may not match themselves are all looked at. */
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

/* Both ascending, without doubles. */
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

static void place_endpoints(struct pk_engine *engine, struct program *p, enum pk_dir dir)
{
	struct side *side = &p->side[dir];
	uint32_t *acts = calloc(side->n_acts * 2 + 2, sizeof(*acts));
	uint32_t *common = acts + side->n_acts + 1;
	struct pairs pairs = { 0 };
	size_t n_common, end;

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
	if (pairs.n)
		qsort(pairs.at, pairs.n, sizeof(*pairs.at), pair_cmp);
	for (size_t i = 0; i < pairs.n; i = end) {
		for (end = i + 1; end < pairs.n && pairs.at[end].ident == pairs.at[i].ident;)
			end++;
		if (pairs.at[i].ident->labels->init)
			continue;
		place_ident(engine, p, dir, pairs.at[i].ident, acts,
			    merge(common, n_common, &pairs.at[i], end - i, acts));
	}
	free(pairs.at);
	free(acts);
}

static int tenant_cmp(const void *a, const void *b)
{
	return hash_cmp(&(*(struct tenant *const *)a)->hash, &(*(struct tenant *const *)b)->hash);
}

static void place_tenants(struct pk_engine *engine, struct program *p)
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
		free(acts);
	}
	if (p->side[0].varies || p->side[1].varies)
		place_tenants(engine, p);
	for (int dir = 0; dir < 2; dir++)
		if (p->side[dir].selective)
			place_endpoints(engine, p, (enum pk_dir)dir);
	p->built = engine->generation;
}

/* First in order by tier, without and with the audit documents. */
static void ask_default(struct pk_defaults *d, const struct rule_obj **first, const struct rule_obj *r,
			int dir)
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
	const char *namespace = subject->labels->namespace;
	struct subject_index *s;

	gather_rules(&engine->anywhere, subject->labels, g);
	if (namespace) {
		HASH_FIND_STR(engine->by_namespace, namespace, s);
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
	const struct peer self = { .is = IS_ENDPOINT,
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
	bool anonymous = !subject->labels->namespace && !subject->labels->init;
	bool shared = anonymous && subject->is_base;

	side->acts = (struct ent **)PK_MOVE(g->acts[dir].at, NULL);
	side->n_acts = g->acts[dir].n;
	side->defaults = g->defaults[dir];
	if (dir == PK_INGRESS)
		side->own = own_spans(subject, &(struct vec){ .at = (void **)side->acts,
							      .n = side->n_acts });
	/* The base of any tenant serves several: whoever is the same tenant to one is another to the next. */
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

	pk_str_addf(&s, "%d %d %s;", p->init,
		    subject->labels->namespace ? 0 :
		    subject->is_base	       ? 1 :
						 2,
		    p->namespace ? p->namespace : "*");
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
	pk_str_addf(&s, "%d %d %s;", p->init, subject->labels->namespace != NULL,
		    p->namespace ? p->namespace : "");
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
	if (subject->labels->namespace && (p->side[0].selective || p->side[1].selective)) {
		p->namespace = strdup(subject->labels->namespace);
		if (!p->namespace)
			abort();
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
	build(engine, p, subject->labels->namespace ? subject->tenant->labels : engine->any_tenant);
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
		forget(&side->signatures);
		forget(&side->contents);
	}
	free(p->namespace);
	free(p->verdicts);
	free(p->peers);
	free(p->names);
	pk_image_unref(p->image);
	free(p);
}
