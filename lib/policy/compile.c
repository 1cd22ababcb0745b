/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps who is there and what is stale: endpoints, identities and tenants, documents, and which
 * programs they touch.
 */
#include "engine.h"

#include <errno.h>
#include <string.h>

#include "picket/limits.h"
#include "str.h"

#define BY_ENTRY_MAX 65536

struct pk_engine *pk_engine_new(const struct pk_settings *settings)
{
	struct pk_engine *engine = pk_alloc(sizeof(*engine));

	pk_settings_copy(&engine->settings, settings);
	engine->world = pk_world_new();
	engine->idents_changed = 1;
	engine->subjects = 1;
	engine->by_entry_max = BY_ENTRY_MAX;
	engine->unknown_labels = pk_label_set_unknown();
	engine->any_tenant = pk_label_set_of_tenant(NULL);
	engine->init_labels = pk_label_set_init();
	engine->resubject = true;
	return engine;
}

static void unlink_programs(struct pk_engine *engine)
{
	for (struct ident *i = engine->idents; i; i = i->hh.next)
		i->program = NULL;
	for (struct base *b = engine->bases; b; b = b->hh.next)
		b->self.program = NULL;
	programs_drop(engine, false);
	shapes_free(engine, false);
}

void pk_engine_set_settings(struct pk_engine *engine, const struct pk_settings *settings)
{
	pk_settings_copy(&engine->settings, settings);
	unlink_programs(engine);
	documents_declare(engine);
	engine->resubject = true;
	engine->subjects++;
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
		if (p->too_large) /* it is never published */
			continue;
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
	size_t max = max_verdicts(engine, tenant_name != NULL);

	pk_fail(err, 0,
		"a rule set for \"%.128s\" is too large, of more than %zu verdict entries, of "
		"prefixes that overlap too often, or of more than its tenant has left: it stays as "
		"it was (%zu alike)",
		tenant_name ? tenant_name : "init", max, o->n);
	pk_code(err, -EFBIG, PK_CODE_CAPACITY);
	return pk_fix(err, -EFBIG,
		      "narrow those policies: what grows is prefixes with holes times ports");
}

/* Publishes the subject's rule set. One that doesn't fit leaves the one before it in force. */
static void publish(struct pk_engine *engine, struct ident *subject, struct oversize *o)
{
	struct program *p = subject->program;
	struct pk_image *image = NULL;

	if (p && (!is_fitting(subject) || p->stands_in)) {
		o->first = o->first ? o->first : subject;
		o->n++;
	}
	if (p && !is_fitting(subject))
		return;
	if (p) {
		program_image(p);
		image = pk_image_ref(p->image);
		subject->operators = p->operators;
	}
	if (subject->published && (!image || memcmp(image->digest, subject->published->digest,
						    sizeof(image->digest)) != 0))
		engine->changes++;
	pk_image_unref(subject->published);
	subject->published = image;
}

uint64_t pk_engine_changes(const struct pk_engine *engine)
{
	return engine->changes;
}

/* Each image costs as much time as its rule set is large. */
static bool make_images(struct pk_engine *engine, const struct pk_slice *slice)
{
	for (struct program *p = engine->programs; p; p = p->hh.next) {
		if (p->too_large || p->image)
			continue;
		program_image(p);
		if (is_late(slice) && p->hh.next)
			return false;
	}
	return true;
}

int pk_engine_compile_slice(struct pk_engine *engine, const struct pk_slice *slice,
			    struct pk_err *err)
{
	struct oversize oversize = { 0 };
	int r;

	/* Peers first: what is built afterwards knows them. */
	if (!link_peers(engine, slice) || !link_subjects(engine, slice))
		return -EAGAIN;
	r = check(engine, err);
	if (r < 0)
		return r;
	if (!make_images(engine, slice))
		return -EAGAIN;
	for (struct ident *i = engine->idents; i; i = i->hh.next)
		if (i->local_refs || i->published)
			publish(engine, i, &oversize);
	for (struct base *b = engine->bases; b; b = b->hh.next)
		publish(engine, &b->self, &oversize);
	return oversize.n ? too_large(engine, &oversize, err) : 0;
}

int pk_engine_compile(struct pk_engine *engine, struct pk_err *err)
{
	return pk_engine_compile_slice(engine, NULL, err);
}

struct pk_image *pk_engine_image(const struct pk_engine *engine, const char *key)
{
	const struct endpoint *e = find_endpoint(engine, key);

	return e && e->ep->local ? e->ident->published : NULL;
}

enum pk_fit pk_engine_fit(const struct pk_engine *engine, const char *key)
{
	const struct endpoint *e = find_endpoint(engine, key);
	const struct ident *i = e ? e->ident : NULL;
	const struct program *p = i ? i->program : NULL;

	if (!p || !p->image || !is_fitting(i) || !i->published ||
	    memcmp(p->image->digest, i->published->digest, sizeof(p->image->digest)) != 0)
		return PK_FIT_NONE;
	return p->stands_in ? PK_FIT_OPERATORS : PK_FIT_ALL;
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
	oversized_free(engine, false);
	vec_done(&engine->queue);
	vec_done(&engine->fresh);
	vec_done(&engine->locals);
	pk_world_free(engine->world);
	pk_settings_done(&engine->settings);
	pk_label_set_free(engine->unknown_labels);
	pk_label_set_free(engine->init_labels);
	pk_label_set_free(engine->any_tenant);
	free(engine);
}
