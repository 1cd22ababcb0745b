/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Nomad's allocs read the plain way: the whole text parsed, then looked up in its tree. What
 * nomad_reader.c says of an answer is compared with this. It has no budget and refuses an answer as
 * a whole.
 */
#include <stdlib.h>
#include <string.h>

#include "controller/sources/nomad.h"
#include "json.h"
#include "own.h"

static inline char *tree_copy(const char *text)
{
	char *p = strdup(text);

	if (!p)
		abort();
	return p;
}

/* One more element, zeroed. Bodies are capped, so is what they make. */
static void *tree_grow(void *list, size_t *n, size_t size)
{
	if ((*n & (*n - 1)) == 0) {
		list = realloc(list, (*n ? *n * 2 : 1) * size);
		if (!list)
			abort();
	}
	memset((char *)list + *n * size, 0, size);
	(*n)++;
	return list;
}

static const struct pk_json *tree_at(const struct pk_json *v, const char *key)
{
	return v && pk_json_type(v) == PK_JSON_OBJECT ? pk_json_get(v, key) : NULL;
}

static const char *tree_text_at(const struct pk_json *v, const char *key)
{
	const char *text = pk_json_string(tree_at(v, key));

	return text ?: "";
}

/* First element or member of what may be null or absent. */
static const struct pk_json *tree_first(const struct pk_json *v)
{
	return v && (pk_json_type(v) == PK_JSON_ARRAY || pk_json_type(v) == PK_JSON_OBJECT)
		       ? pk_json_first(v)
		       : NULL;
}

static bool tree_interpolated(const char *text)
{
	return strstr(text, "${") != NULL;
}

static uint16_t tree_port_at(const struct pk_json *v, const char *key)
{
	int64_t port = 0;
	const struct pk_json *p = tree_at(v, key);

	return p && pk_json_int(p, 1, 65535, &port) == 0 ? (uint16_t)port : 0;
}

static void tree_add_ports(struct pk_alloc *a, const struct pk_json *alloc)
{
	const struct pk_json *shared = tree_at(tree_at(alloc, "AllocatedResources"), "Shared");

	for (const struct pk_json *p = tree_first(tree_at(shared, "Ports")); p;
	     p = pk_json_next(p)) {
		uint16_t host = tree_port_at(p, "Value"), own = tree_port_at(p, "To");
		struct pk_alloc_port *port;
		bool known = false;

		for (size_t i = 0; i < a->n_ports; i++)
			known |= strcmp(a->ports[i].label, tree_text_at(p, "Label")) == 0 &&
				 a->ports[i].host == host;
		if (known || !*tree_text_at(p, "Label") || !host)
			continue;
		a->ports = tree_grow(a->ports, &a->n_ports, sizeof(*a->ports));
		port = &a->ports[a->n_ports - 1];
		port->label = tree_copy(tree_text_at(p, "Label"));
		port->host = host;
		port->own = own ? own : host; /* "to" absent: the same */
	}
}

static void tree_add_meta(struct pk_alloc *a, const struct pk_json *meta)
{
	for (const struct pk_json *m = tree_first(meta); m; m = pk_json_next(m)) {
		const char *value = pk_json_string(m), *key = pk_json_key(m);
		struct pk_alloc_meta *to = NULL;

		if (!value || !key)
			continue;
		for (size_t i = 0; i < a->n_meta; i++)
			if (strcmp(a->meta[i].key, key) == 0)
				to = &a->meta[i];
		if (!to) {
			a->meta = tree_grow(a->meta, &a->n_meta, sizeof(*a->meta));
			to = &a->meta[a->n_meta - 1];
			to->key = tree_copy(key);
		}
		free(to->value);
		to->value = tree_copy(value);
		to->unknown = tree_interpolated(value);
	}
}

/* A check's or service's port: a label of the group, or a number. */
static uint16_t tree_resolve_port(const struct pk_alloc *a, const char *label)
{
	uint64_t port;

	for (size_t i = 0; i < a->n_ports; i++)
		if (strcmp(a->ports[i].label, label) == 0)
			return a->ports[i].own;
	return pk_parse_u64(label, 65535, &port) == 0 ? (uint16_t)port : 0;
}

static void tree_add_check(struct pk_alloc *a, const struct pk_json *service,
			   const struct pk_json *check)
{
	const char *type = tree_text_at(check, "Type");
	const char *label = tree_text_at(check, "PortLabel");
	uint16_t port;

	if (strcmp(type, "http") != 0 && strcmp(type, "tcp") != 0 && strcmp(type, "grpc") != 0)
		return; /* a script or a TTL opens nothing */
	port = tree_resolve_port(a, *label ? label : tree_text_at(service, "PortLabel"));
	if (!port)
		return;
	for (size_t i = 0; i < a->n_checks; i++)
		if (a->checks[i] == port)
			return;
	a->checks = tree_grow(a->checks, &a->n_checks, sizeof(*a->checks));
	a->checks[a->n_checks - 1] = port;
}

static void tree_add_services(struct pk_alloc *a, const struct pk_json *services)
{
	for (const struct pk_json *s = tree_first(services); s; s = pk_json_next(s)) {
		const char *name = tree_text_at(s, "Name");

		bool known = false;

		for (size_t i = 0; i < a->n_services; i++)
			known |= strcmp(a->services[i], name) == 0;
		if (tree_interpolated(name)) {
			a->services_unknown = true;
		} else if (*name && !known) {
			a->services = tree_grow(a->services, &a->n_services, sizeof(*a->services));
			a->services[a->n_services - 1] = tree_copy(name);
		}
		for (const struct pk_json *c = tree_first(tree_at(s, "Checks")); c;
		     c = pk_json_next(c))
			tree_add_check(a, s, c);
	}
}

static const struct pk_json *tree_group_of(const struct pk_json *job, const char *name)
{
	for (const struct pk_json *g = tree_first(tree_at(job, "TaskGroups")); g;
	     g = pk_json_next(g))
		if (strcmp(tree_text_at(g, "Name"), name) == 0)
			return g;
	return NULL;
}

static bool tree_is_terminal(const struct pk_json *alloc)
{
	static const char *const over[] = { "complete", "failed", "lost" };
	const char *client = tree_text_at(alloc, "ClientStatus");

	for (size_t i = 0; i < PK_ARRAY_LEN(over); i++)
		if (strcmp(client, over[i]) == 0)
			return true;
	return false;
}

static inline int tree_decode(const struct pk_json_doc *doc, const struct pk_json *v,
			      struct pk_alloc *a, struct pk_err *err)
{
	static const char *const needed[] = { "ID", "Namespace", "JobID", "TaskGroup" };
	const struct pk_json *job = tree_at(v, "Job"), *group;

	for (size_t i = 0; i < PK_ARRAY_LEN(needed); i++)
		if (!*tree_text_at(v, needed[i]))
			return pk_json_fail(err, doc, v, false, "an alloc without %s", needed[i]);
	group = tree_group_of(job, tree_text_at(v, "TaskGroup"));
	if (!group)
		return pk_json_fail(err, doc, v, false, "an alloc without its job's group");
	a->id = tree_copy(tree_text_at(v, "ID"));
	a->tenant_name = tree_copy(tree_text_at(v, "Namespace"));
	a->job_id = tree_copy(tree_text_at(v, "JobID"));
	a->node = tree_copy(tree_text_at(v, "NodeID"));
	a->job = tree_copy(*tree_text_at(job, "ParentID") ? tree_text_at(job, "ParentID")
							  : a->job_id);
	a->group = tree_copy(tree_text_at(v, "TaskGroup"));
	a->region = tree_copy(tree_text_at(job, "Region"));
	a->terminal = tree_is_terminal(v);
	tree_add_ports(a, v);
	tree_add_meta(a, tree_at(job, "Meta"));
	tree_add_meta(a, tree_at(group, "Meta"));
	tree_add_services(a, tree_at(group, "Services"));
	for (const struct pk_json *t = tree_first(tree_at(group, "Tasks")); t; t = pk_json_next(t))
		tree_add_services(a, tree_at(t, "Services"));
	return 0;
}

static inline int tree_alloc(const char *body, size_t len, struct pk_alloc *out, struct pk_err *err)
{
	own_json *doc = NULL;
	int r = pk_json_parse("Nomad's alloc", body, len, PK_JSON_RELAXED, &doc, err);

	*out = (struct pk_alloc){ 0 };
	if (r == 0)
		r = tree_decode(doc, pk_json_root(doc), out, err);
	if (r < 0)
		pk_alloc_done(out);
	return r;
}

static inline int tree_allocs(const char *body, size_t len, struct pk_allocs *out,
			      struct pk_err *err)
{
	own_json *doc = NULL;
	int r = pk_json_parse("Nomad's allocs", body, len, PK_JSON_RELAXED, &doc, err);

	*out = (struct pk_allocs){ 0 };
	if (r < 0)
		return r;
	if (pk_json_type(pk_json_root(doc)) != PK_JSON_ARRAY)
		return pk_fail(err, 0, "Nomad's allocs: not an array");
	for (const struct pk_json *v = pk_json_first(pk_json_root(doc)); v && r == 0;
	     v = pk_json_next(v)) {
		out->list = tree_grow(out->list, &out->n, sizeof(*out->list));
		r = tree_decode(doc, v, &out->list[out->n - 1], err);
	}
	if (r < 0)
		pk_allocs_done(out);
	return r;
}

/* Do both say the same of an alloc? */
static inline bool tree_equal(const struct pk_alloc *a, const struct pk_alloc *b)
{
	own_str x = { 0 };
	own_str y = { 0 };

	pk_alloc_encode(a, &x);
	pk_alloc_encode(b, &y);
	return strcmp(a->node, b->node) == 0 && strcmp(x.text, y.text) == 0;
}
