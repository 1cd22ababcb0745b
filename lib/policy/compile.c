/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is there and what is stale: endpoints, identities and tenants, documents, and which programs
 * they touch.
 */
#include "engine.h"

#include <errno.h>
#include <string.h>

#include "picket/limits.h"
#include "str.h"

static void *dup_array(const void *from, size_t bytes)
{
	void *p;

	if (!bytes)
		return NULL;
	p = malloc(bytes);
	if (!p)
		abort();
	return memcpy(p, from, bytes);
}

static void copy_settings(struct pk_settings *to, const struct pk_settings *from)
{
	*to = *from;
	to->pools = dup_array(from->pools, from->n_pools * sizeof(*from->pools));
	to->resolvers = dup_array(from->resolvers, from->n_resolvers * sizeof(*from->resolvers));
	to->reach = dup_array(from->reach, from->n_reach * sizeof(*from->reach));
}

static void free_settings(struct pk_settings *s)
{
	free(s->pools);
	free(s->resolvers);
	free(s->reach);
}

struct pk_engine *pk_engine_new(const struct pk_settings *settings)
{
	struct pk_engine *engine = pk_alloc(sizeof(*engine));

	copy_settings(&engine->settings, settings);
	engine->world = pk_world_new();
	engine->idents_changed = 1;
	engine->unknown_labels = pk_label_set_unknown();
	engine->any_tenant = pk_label_set_of_tenant(NULL);
	engine->init_labels = pk_label_set_init();
	engine->resubject = true;
	return engine;
}

/* --- programs --- */

static void drop_programs(struct pk_engine *engine, bool unused_only)
{
	struct program *p, *next;

	HASH_ITER (hh, engine->programs, p, next) {
		if (unused_only && p->used)
			continue;
		HASH_DEL(engine->programs, p);
		program_free(p);
	}
}

static void unlink_programs(struct pk_engine *engine)
{
	for (struct ident *i = engine->idents; i; i = i->hh.next)
		i->program = NULL;
	for (struct base *b = engine->bases; b; b = b->hh.next)
		b->self.program = NULL;
	drop_programs(engine, false);
	shapes_free(engine, false);
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

/* Classes are never taken back; where most of them have lost their peers, all is made anew. */
static bool is_wasteful(const struct program *p)
{
	size_t classes = 0;

	for (int dir = 0; dir < 2; dir++)
		classes += p->side[dir].next_class - p->side[dir].first_class;
	return classes > 64 + 2 * p->n_peers;
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
	drop_programs(engine, true);
}

void pk_engine_set_settings(struct pk_engine *engine, const struct pk_settings *settings)
{
	free_settings(&engine->settings);
	copy_settings(&engine->settings, settings);
	unlink_programs(engine);
	engine->resubject = true;
}

void pk_engine_set_limits(struct pk_engine *engine, const struct pk_engine_limits *limits)
{
	engine->limits = *limits;
}

/* --- endpoints --- */

static struct endpoint *find_endpoint(const struct pk_engine *engine, const char *key)
{
	struct endpoint *e;

	HASH_FIND_STR(engine->endpoints, key, e);
	return e;
}

void pk_engine_put(struct pk_engine *engine, struct pk_world_endpoint *ep)
{
	struct endpoint *e = find_endpoint(engine, ep->key);
	struct ident *ident = ident_take(engine, ep);

	if (e) {
		ident_drop(engine, e->ident, e->ep->local);
	} else {
		e = pk_alloc(sizeof(*e));
		e->key = pk_strdup(ep->key);
		HASH_ADD_KEYPTR(hh, engine->endpoints, e->key, strlen(e->key), e);
	}
	pk_world_put(engine->world, ep);
	e->ep = ep;
	e->ident = ident;
}

static void endpoint_free(struct pk_engine *engine, struct endpoint *e)
{
	HASH_DEL(engine->endpoints, e);
	free(e->key);
	free(e);
}

int pk_engine_remove(struct pk_engine *engine, const char *key)
{
	struct endpoint *e = find_endpoint(engine, key);

	if (!e)
		return -ENOENT;
	ident_drop(engine, e->ident, e->ep->local);
	pk_world_remove(engine->world, key);
	endpoint_free(engine, e);
	return 0;
}

const struct pk_world *pk_engine_world(const struct pk_engine *engine)
{
	return engine->world;
}

/* Recomputes every identity: the set of port labels that policies name has changed. */
void idents_retake(struct pk_engine *engine)
{
	for (struct endpoint *e = engine->endpoints; e; e = e->hh.next) {
		struct ident *ident;

		if (!e->ep->n_ports)
			continue;
		ident = ident_take(engine, e->ep);
		ident_drop(engine, e->ident, e->ep->local);
		e->ident = ident;
	}
}

/* --- bases --- */

static struct base *find_base(const struct pk_engine *engine, const char *name)
{
	struct base *b;

	HASH_FIND_STR(engine->bases, name, b);
	return b;
}

struct base *base_of_labels(struct pk_engine *engine, const char *name,
			    const struct pk_label_set *labels)
{
	struct base *b = pk_alloc(sizeof(*b));

	b->name = pk_strdup(name);
	b->self.labels = pk_label_set_copy(labels);
	b->self.is_base = true;
	if (labels->tenant_name)
		b->self.tenant = tenant_take(engine, labels->tenant_name);
	HASH_ADD_KEYPTR(hh, engine->bases, b->name, strlen(b->name), b);
	return b;
}

void pk_engine_want_base(struct pk_engine *engine, const char *tenant_name)
{
	own_labels *labels = NULL;

	if (find_base(engine, tenant_name ? tenant_name : ""))
		return;
	labels = pk_label_set_of_tenant(tenant_name);
	base_of_labels(engine, tenant_name ? tenant_name : "", labels);
}

static void base_free(struct pk_engine *engine, struct base *b)
{
	HASH_DEL(engine->bases, b);
	tenant_drop(engine, b->self.tenant);
	ident_clear(&b->self);
	free(b->name);
	free(b);
}

void pk_engine_drop_base(struct pk_engine *engine, const char *tenant_name)
{
	struct base *b = find_base(engine, tenant_name ? tenant_name : "");

	if (b)
		base_free(engine, b);
}

/* --- compile --- */

/*
 * Nobody of the tenant is left among the peers: its class goes, and comes back with the next one.
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
		for (struct program *p = engine->programs; p; p = p->hh.next)
			program_drop_peer(p, false, &ident->hash);
		index_remove(engine, ident);
	}
	HASH_DEL(engine->idents, ident);
	ident_clear(ident);
	free(ident);
	if (t && !t->idents.n)
		tenant_unknown(engine, t);
	tenant_drop(engine, t);
}

/*
 * Those that are gone leave; those that are new are indexed. *fresh: identities that old programs
 * don't know.
 */
static void take_queue(struct pk_engine *engine, struct vec *fresh)
{
	size_t kept = 0;

	for (size_t i = 0; i < engine->queue.n; i++) {
		struct ident *ident = engine->queue.at[i];

		if (ident->refs)
			engine->queue.at[kept++] = ident;
		else
			vec_push(fresh, ident);
	}
	engine->queue.n = kept;
	for (size_t i = 0; i < fresh->n; i++)
		forget_ident(engine, fresh->at[i]);
	fresh->n = 0;
	for (size_t i = 0; i < engine->queue.n; i++) {
		struct ident *ident = engine->queue.at[i];

		ident->queued = false;
		if (ident->known)
			continue;
		ident->known = true;
		index_add(engine, ident);
		vec_push(fresh, ident);
	}
	engine->queue.n = 0;
}

/* Documents that went took their programs along; those that came may select the subject. */
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

static void use(struct pk_engine *engine, struct ident *subject)
{
	if (engine->resubject || !subject->program || is_touched(engine, subject))
		subject->program = program_get(engine, subject);
	subject->program->used = true;
	for (int dir = 0; dir < 2; dir++)
		subject->program->side[dir].shape->used = true;
}

static bool any_wasteful(const struct pk_engine *engine)
{
	for (const struct program *p = engine->programs; p; p = p->hh.next)
		if (is_wasteful(p))
			return true;
	return false;
}

static void link_subjects(struct pk_engine *engine)
{
	if (any_wasteful(engine))
		programs_forget(engine);
	for (struct program *p = engine->programs; p; p = p->hh.next)
		p->used = false;
	for (struct shape *s = engine->shapes; s; s = s->hh.next)
		s->used = false;
	for (struct ident *i = engine->idents; i; i = i->hh.next) {
		if (i->local_refs)
			use(engine, i);
		else
			i->program = NULL;
	}
	for (struct base *b = engine->bases; b; b = b->hh.next)
		use(engine, &b->self);
	drop_programs(engine, true);
	shapes_free(engine, true);
	engine->resubject = false;
	engine->added.n = 0;
}

static void tell_programs(struct pk_engine *engine, const struct vec *fresh)
{
	for (size_t i = 0; i < fresh->n; i++) {
		struct ident *ident = fresh->at[i];
		bool first = ident->tenant && !ident->tenant->known;

		for (struct program *p = engine->programs; p; p = p->hh.next) {
			if (p->built == engine->generation)
				continue;
			if (first)
				program_add_tenant(engine, p, ident->tenant);
			program_add_ident(engine, p, ident);
		}
		if (first)
			ident->tenant->known = true;
	}
}

static int over(struct pk_err *err, const char *what, size_t need, size_t have)
{
	pk_fail(err, 0, "the policies need %zu %s, the tables hold %zu", need, what, have);
	pk_code(err, -E2BIG, PK_CODE_CAPACITY);
	return pk_fix(err, -E2BIG, PK_FIX_CAPACITY ", or narrow the policies");
}

static void measure(const struct pk_engine *engine, struct pk_engine_size *out)
{
	*out = (struct pk_engine_size){ 0 };
	for (const struct program *p = engine->programs; p; p = p->hh.next) {
		out->rule_sets++;
		out->verdicts += p->n_verdicts;
		out->peers += p->n_peers;
		if (p->n_verdicts > out->largest)
			out->largest = p->n_verdicts;
	}
	for (const struct shape *s = engine->shapes; s; s = s->hh.next) {
		out->lists += s->list != NULL;
		out->cidrs += s->list ? s->list->n : 0;
	}
	for (const struct ident *i = engine->idents; i; i = i->hh.next)
		out->identities += i->refs != 0;
	for (const struct tenant *t = engine->tenants; t; t = t->hh.next)
		out->tenants += t->idents.n != 0;
}

void pk_engine_size(const struct pk_engine *engine, struct pk_engine_size *out)
{
	measure(engine, out);
}

static int check(const struct pk_engine *engine, struct pk_err *err)
{
	const struct pk_engine_limits *l = &engine->limits;
	struct pk_engine_size s;

	measure(engine, &s);
	if (l->rule_sets && s.rule_sets > l->rule_sets)
		return over(err, "rule sets", s.rule_sets, l->rule_sets);
	if (l->verdicts && s.verdicts > l->verdicts)
		return over(err, "verdict entries", s.verdicts, l->verdicts);
	if (l->peers && s.peers > l->peers)
		return over(err, "peer classes", s.peers, l->peers);
	if (l->cidrs && s.cidrs > l->cidrs)
		return over(err, "prefixes", s.cidrs, l->cidrs);
	return 0;
}

struct oversize {
	const struct ident *first;
	size_t n;
};

static int too_large(const struct pk_engine *engine, const struct oversize *o, struct pk_err *err)
{
	const char *tenant_name = o->first->labels->tenant_name;
	size_t max = engine->limits.rule_set ? engine->limits.rule_set : PK_RULE_SET_VERDICTS_MAX;

	pk_fail(err, 0,
		"a rule set for '%.128s' is too large, of more than %zu verdict entries or of "
		"prefixes that overlap too often: it stays as it was (%zu alike)",
		tenant_name ? tenant_name : "init", max, o->n);
	pk_code(err, -EFBIG, PK_CODE_CAPACITY);
	return pk_fix(err, -EFBIG,
		      "narrow those policies: what grows is prefixes with holes times ports");
}

/* A rule set that doesn't fit leaves the one before it in force. */
static void publish(struct ident *subject, struct oversize *o)
{
	struct pk_image *image = NULL;

	if (subject->program && subject->program->too_large) {
		o->first = o->first ? o->first : subject;
		o->n++;
		return;
	}
	if (subject->program) {
		program_image(subject->program);
		image = pk_image_ref(subject->program->image);
	}
	pk_image_unref(subject->published);
	subject->published = image;
}

int pk_engine_compile(struct pk_engine *engine, struct pk_err *err)
{
	struct oversize oversize = { 0 };
	struct vec fresh = { 0 };
	int r;

	engine->generation++;
	take_queue(engine, &fresh);
	link_subjects(engine);
	tell_programs(engine, &fresh);
	vec_done(&fresh);
	r = check(engine, err);
	if (r < 0)
		return r;
	for (struct ident *i = engine->idents; i; i = i->hh.next)
		if (i->local_refs || i->published)
			publish(i, &oversize);
	for (struct base *b = engine->bases; b; b = b->hh.next)
		publish(&b->self, &oversize);
	return oversize.n ? too_large(engine, &oversize, err) : 0;
}

struct pk_image *pk_engine_image(const struct pk_engine *engine, const char *key)
{
	const struct endpoint *e = find_endpoint(engine, key);

	return e && e->ep->local ? e->ident->published : NULL;
}

struct pk_image *pk_engine_base(const struct pk_engine *engine, const char *tenant_name)
{
	const struct base *b = find_base(engine, tenant_name ? tenant_name : "");

	return b ? b->self.published : NULL;
}

int pk_engine_identity(const struct pk_engine *engine, const char *key, struct pk_identity_ref *out)
{
	const struct endpoint *e = find_endpoint(engine, key);

	if (!e)
		return -ENOENT;
	*out = (struct pk_identity_ref){ .hash = { e->ident->hash.h[0], e->ident->hash.h[1] },
					 .text = e->ident->labels->text,
					 .tenant_name = e->ident->labels->tenant_name };
	return 0;
}

void pk_engine_free(struct pk_engine *engine)
{
	struct endpoint *e, *next_e;
	struct ident *i, *next_i;
	struct base *b, *next_b;

	if (!engine)
		return;
	unlink_programs(engine);
	HASH_ITER (hh, engine->endpoints, e, next_e)
		endpoint_free(engine, e);
	index_free(engine);
	HASH_ITER (hh, engine->idents, i, next_i) {
		HASH_DEL(engine->idents, i);
		tenant_drop(engine, i->tenant);
		ident_clear(i);
		free(i);
	}
	HASH_ITER (hh, engine->bases, b, next_b)
		base_free(engine, b);
	documents_free(engine);
	vec_done(&engine->queue);
	pk_world_free(engine->world);
	free_settings(&engine->settings);
	pk_label_set_free(engine->unknown_labels);
	pk_label_set_free(engine->init_labels);
	pk_label_set_free(engine->any_tenant);
	free(engine);
}
