/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The documents in force, flattened once each, and found by the namespace of those they may select.
 */
#include "engine.h"

#include <string.h>

struct doc_obj *documents_find(const struct pk_engine *engine, const struct pk_document *doc)
{
	struct doc_obj *d;

	HASH_FIND_PTR(engine->docs, &doc, d);
	return d;
}

static void ent_declare(const struct pk_engine *engine, struct ent *ent)
{
	ent->by_prefix =
		ent->e->kind == PK_PEERS_CIDR || declared_each(&engine->settings, ent, NULL, NULL);
}

static void flatten_rule(struct pk_engine *engine, struct rule_obj *r, struct ent **next,
			 uint32_t index)
{
	for (int dir = 0; dir < 2; dir++) {
		r->ents[dir] = *next;
		r->n[dir] = r->rule->n_entries[dir];
		for (size_t i = 0; i < r->n[dir]; i++) {
			struct ent *ent = (*next)++;

			*ent = (struct ent){ .doc = r->doc,
					     .rule = r->rule,
					     .e = &r->rule->entries[dir][i],
					     .serial = ++engine->serial,
					     .order = (uint64_t)index << 32 | i,
					     .dir = (uint8_t)dir };
			ent_init(ent);
			ent_declare(engine, ent);
		}
	}
}

void documents_declare(struct pk_engine *engine)
{
	for (struct doc_obj *d = engine->docs; d; d = d->hh.next)
		for (size_t i = 0; i < d->n_rules; i++)
			for (int dir = 0; dir < 2; dir++)
				for (size_t j = 0; j < d->rules[i].n[dir]; j++)
					ent_declare(engine, &d->rules[i].ents[dir][j]);
}

static void drop_doc(struct pk_engine *engine, struct doc_obj *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_rules; i++)
		n += d->rules[i].n[0] + d->rules[i].n[1];
	for (size_t i = 0; i < n; i++) {
		free(d->ents[i].spans);
		vec_done(&d->ents[i].matched);
	}
	HASH_DEL(engine->docs, d);
	free(d->ents);
	free(d->rules);
	free(d);
}

static void index_in(struct pk_engine *engine, const char *tenant_name, struct rule_obj *r)
{
	struct subject_index *s;

	HASH_FIND_STR(engine->by_namespace, tenant_name, s);
	if (!s) {
		s = pk_alloc(sizeof(*s));
		s->name = pk_strdup(tenant_name);
		HASH_ADD_KEYPTR(hh, engine->by_namespace, s->name, strlen(s->name), s);
	}
	if (!s->rules.n || s->rules.at[s->rules.n - 1] != r)
		vec_push(&s->rules, r);
}

/* Returns the requirement of an operator's selector that names the namespaces; NULL: none does. */
static const struct pk_requirement *namespace_of(const struct rule_obj *r)
{
	const struct pk_selector *sel = &r->rule->subject;

	for (size_t i = 0; i < sel->n_req && !r->doc->tenant_name && !sel->is_entity; i++)
		if (sel->req[i].op == PK_OP_IN && strcmp(sel->req[i].key, "nomad:namespace") == 0)
			return &sel->req[i];
	return NULL;
}

static void index_rule(struct pk_engine *engine, struct rule_obj *r)
{
	const struct pk_requirement *req = namespace_of(r);

	for (size_t i = 0; req && i < req->n_values; i++)
		index_in(engine, req->values[i], r);
	if (r->doc->tenant_name)
		index_in(engine, r->doc->tenant_name, r);
	else if (!req)
		vec_push(&engine->anywhere, r);
}

static struct doc_obj *add_doc(struct pk_engine *engine, const struct pk_document *doc)
{
	struct doc_obj *d = pk_alloc(sizeof(*d));
	struct ent *next;
	size_t n = 0;

	for (size_t i = 0; i < doc->n_rules; i++)
		n += doc->rules[i].n_entries[0] + doc->rules[i].n_entries[1];
	d->doc = doc;
	d->n_rules = doc->n_rules;
	d->rules = calloc(doc->n_rules + 1, sizeof(*d->rules));
	d->ents = next = calloc(n + 1, sizeof(*d->ents));
	if (!d->rules || !d->ents)
		abort();
	for (size_t i = 0; i < doc->n_rules; i++) {
		d->rules[i].doc = doc;
		d->rules[i].rule = &doc->rules[i];
		flatten_rule(engine, &d->rules[i], &next, (uint32_t)i);
		index_rule(engine, &d->rules[i]);
	}
	HASH_ADD_PTR(engine->docs, doc, d);
	return d;
}

static void drop_subjects(struct pk_engine *engine, struct subject_index *s)
{
	HASH_DEL(engine->by_namespace, s);
	vec_done(&s->rules);
	free(s->name);
	free(s);
}

static void unindex_in(struct pk_engine *engine, const char *tenant_name, const struct rule_obj *r)
{
	struct subject_index *s;

	HASH_FIND_STR(engine->by_namespace, tenant_name, s);
	if (!s)
		return;
	vec_remove(&s->rules, r);
	if (!s->rules.n)
		drop_subjects(engine, s);
}

static void unindex_rule(struct pk_engine *engine, const struct rule_obj *r)
{
	const struct pk_requirement *req = namespace_of(r);

	for (size_t i = 0; req && i < req->n_values; i++)
		unindex_in(engine, req->values[i], r);
	if (r->doc->tenant_name)
		unindex_in(engine, r->doc->tenant_name, r);
	else if (!req)
		vec_remove(&engine->anywhere, r);
}

static void drop_index(struct pk_engine *engine)
{
	struct subject_index *s, *next;

	HASH_ITER (hh, engine->by_namespace, s, next)
		drop_subjects(engine, s);
	vec_done(&engine->anywhere);
}

static int cmp_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static void collect_names(const struct doc_obj *d, struct vec *names)
{
	for (size_t i = 0; i < d->n_rules; i++)
		for (int dir = 0; dir < 2; dir++)
			for (size_t j = 0; j < d->rules[i].n[dir]; j++) {
				const struct ent *ent = &d->rules[i].ents[dir][j];

				for (size_t k = 0; k < ent->e->n_ports && ent->label_ports; k++)
					if (ent->e->ports[k].label)
						vec_push(names, ent->e->ports[k].label);
			}
}

/* Collects the port labels that policies name; returns whether they are others than before. */
static bool name_ports(struct pk_engine *engine)
{
	struct vec all = { 0 };
	size_t n = 0;
	char **names;
	bool same;

	for (const struct doc_obj *d = engine->docs; d; d = d->hh.next)
		collect_names(d, &all);
	if (all.n)
		qsort(all.at, all.n, sizeof(*all.at), cmp_text);
	names = calloc(all.n + 1, sizeof(*names));
	if (!names)
		abort();
	for (size_t i = 0; i < all.n; i++)
		if (!n || strcmp(names[n - 1], all.at[i]) != 0) {
			names[n] = strdup(all.at[i]);
			if (!names[n++])
				abort();
		}
	vec_done(&all);
	same = n == engine->n_port_names;
	for (size_t i = 0; i < n && same; i++)
		same = strcmp(names[i], engine->port_names[i]) == 0;
	free_names(engine->port_names, engine->n_port_names);
	engine->port_names = names;
	engine->n_port_names = n;
	return !same;
}

static bool names_ports(const struct doc_obj *d)
{
	for (size_t i = 0; i < d->n_rules; i++)
		for (int dir = 0; dir < 2; dir++)
			for (size_t j = 0; j < d->rules[i].n[dir]; j++)
				if (d->rules[i].ents[dir][j].label_ports)
					return true;
	return false;
}

/*
 * Drops the documents that aren't kept, and before that the programs' entries of them, which point
 * into them. Returns whether one of these documents named ports.
 */
static bool drop_old(struct pk_engine *engine, size_t n_kept)
{
	struct doc_obj *d, *next;
	bool ports = false;

	if (HASH_COUNT(engine->docs) == n_kept)
		return false;
	programs_forget(engine);
	HASH_ITER (hh, engine->docs, d, next) {
		if (d->keep)
			continue;
		ports |= names_ports(d);
		for (size_t i = 0; i < d->n_rules; i++)
			unindex_rule(engine, &d->rules[i]);
		vec_remove(&engine->added, d);
		drop_doc(engine, d);
	}
	return ports;
}

void pk_engine_set_documents(struct pk_engine *engine, struct pk_document *const *docs, size_t n)
{
	struct doc_obj *d;
	bool renumbered, ports = false;
	size_t n_kept = 0;

	for (d = engine->docs; d; d = d->hh.next)
		d->keep = false;
	for (size_t i = 0; i < n; i++) {
		d = documents_find(engine, docs[i]);
		if (!d) {
			d = add_doc(engine, docs[i]);
			ports |= names_ports(d);
			vec_push(&engine->added, d);
		}
		n_kept += !d->keep;
		d->keep = true;
	}
	ports |= drop_old(engine, n_kept);
	engine->rules = pk_rules_renew(engine->rules, docs, n, &renumbered);
	if (ports && name_ports(engine))
		idents_retake(engine);
	engine->resubject |= renumbered;
	engine->subjects++;
}

const struct pk_rules *pk_engine_rules(const struct pk_engine *engine)
{
	return engine->rules;
}

void documents_free(struct pk_engine *engine)
{
	struct doc_obj *d, *next;

	HASH_ITER (hh, engine->docs, d, next)
		drop_doc(engine, d);
	drop_index(engine);
	vec_done(&engine->added);
	free_names(engine->port_names, engine->n_port_names);
	pk_rules_free(engine->rules);
}
