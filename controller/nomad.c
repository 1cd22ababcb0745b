/* SPDX-License-Identifier: GPL-2.0-only */
#include "nomad.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "own.h"

void pk_alloc_done(struct pk_alloc *a)
{
	for (size_t i = 0; i < a->n_ports; i++)
		free(a->ports[i].label);
	for (size_t i = 0; i < a->n_meta; i++) {
		free(a->meta[i].key);
		free(a->meta[i].value);
	}
	for (size_t i = 0; i < a->n_services; i++)
		free(a->services[i]);
	free(a->id);
	free(a->tenant_name);
	free(a->job_id);
	free(a->node);
	free(a->job);
	free(a->group);
	free(a->region);
	free(a->ports);
	free(a->meta);
	free(a->services);
	free(a->checks);
	*a = (struct pk_alloc){ 0 };
}

void pk_allocs_done(struct pk_allocs *allocs)
{
	for (size_t i = 0; i < allocs->n; i++)
		pk_alloc_done(&allocs->list[i]);
	free(allocs->list);
	*allocs = (struct pk_allocs){ 0 };
}

static char *copy(const char *text)
{
	char *p = strdup(text);

	if (!p)
		abort();
	return p;
}

/* One more element, zeroed. Bodies are capped, so is what they make. */
static void *grow(void *list, size_t *n, size_t size)
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

static const struct pk_json *at(const struct pk_json *v, const char *key)
{
	return v && pk_json_type(v) == PK_JSON_OBJECT ? pk_json_get(v, key) : NULL;
}

static const char *text_at(const struct pk_json *v, const char *key)
{
	const char *text = pk_json_string(at(v, key));

	return text ?: "";
}

/* First element or member of what may be null or absent. */
static const struct pk_json *first(const struct pk_json *v)
{
	return v && (pk_json_type(v) == PK_JSON_ARRAY || pk_json_type(v) == PK_JSON_OBJECT)
		       ? pk_json_first(v)
		       : NULL;
}

static bool interpolated(const char *text)
{
	return strstr(text, "${") != NULL;
}

static uint16_t port_at(const struct pk_json *v, const char *key)
{
	int64_t port = 0;
	const struct pk_json *p = at(v, key);

	return p && pk_json_int(p, 1, 65535, &port) == 0 ? (uint16_t)port : 0;
}

static void add_ports(struct pk_alloc *a, const struct pk_json *alloc)
{
	const struct pk_json *shared = at(at(alloc, "AllocatedResources"), "Shared");

	for (const struct pk_json *p = first(at(shared, "Ports")); p; p = pk_json_next(p)) {
		uint16_t host = port_at(p, "Value"), own = port_at(p, "To");
		struct pk_alloc_port *port;
		bool known = false;

		for (size_t i = 0; i < a->n_ports; i++)
			known |= strcmp(a->ports[i].label, text_at(p, "Label")) == 0 &&
				 a->ports[i].host == host;
		if (known || !*text_at(p, "Label") || !host)
			continue;
		a->ports = grow(a->ports, &a->n_ports, sizeof(*a->ports));
		port = &a->ports[a->n_ports - 1];
		port->label = copy(text_at(p, "Label"));
		port->host = host;
		port->own = own ? own : host; /* "to" absent: the same */
	}
}

static void add_meta(struct pk_alloc *a, const struct pk_json *meta)
{
	for (const struct pk_json *m = first(meta); m; m = pk_json_next(m)) {
		const char *value = pk_json_string(m), *key = pk_json_key(m);
		struct pk_alloc_meta *to = NULL;

		if (!value || !key)
			continue;
		for (size_t i = 0; i < a->n_meta; i++)
			if (strcmp(a->meta[i].key, key) == 0)
				to = &a->meta[i];
		if (!to) {
			a->meta = grow(a->meta, &a->n_meta, sizeof(*a->meta));
			to = &a->meta[a->n_meta - 1];
			to->key = copy(key);
		}
		free(to->value);
		to->value = copy(value);
		to->unknown = interpolated(value);
	}
}

/* A check's or service's port: a label of the group, or a number. */
static uint16_t resolve_port(const struct pk_alloc *a, const char *label)
{
	uint64_t port;

	for (size_t i = 0; i < a->n_ports; i++)
		if (strcmp(a->ports[i].label, label) == 0)
			return a->ports[i].own;
	return pk_parse_u64(label, 65535, &port) == 0 ? (uint16_t)port : 0;
}

static void add_check(struct pk_alloc *a, const struct pk_json *service,
		      const struct pk_json *check)
{
	const char *type = text_at(check, "Type");
	const char *label = text_at(check, "PortLabel");
	uint16_t port;

	if (strcmp(type, "http") != 0 && strcmp(type, "tcp") != 0 && strcmp(type, "grpc") != 0)
		return; /* a script or a TTL opens nothing */
	port = resolve_port(a, *label ? label : text_at(service, "PortLabel"));
	if (!port)
		return;
	for (size_t i = 0; i < a->n_checks; i++)
		if (a->checks[i] == port)
			return;
	a->checks = grow(a->checks, &a->n_checks, sizeof(*a->checks));
	a->checks[a->n_checks - 1] = port;
}

static void add_services(struct pk_alloc *a, const struct pk_json *services)
{
	for (const struct pk_json *s = first(services); s; s = pk_json_next(s)) {
		const char *name = text_at(s, "Name");

		if (interpolated(name)) {
			a->services_unknown = true;
		} else if (*name) {
			a->services = grow(a->services, &a->n_services, sizeof(*a->services));
			a->services[a->n_services - 1] = copy(name);
		}
		for (const struct pk_json *c = first(at(s, "Checks")); c; c = pk_json_next(c))
			add_check(a, s, c);
	}
}

static const struct pk_json *group_of(const struct pk_json *job, const char *name)
{
	for (const struct pk_json *g = first(at(job, "TaskGroups")); g; g = pk_json_next(g))
		if (strcmp(text_at(g, "Name"), name) == 0)
			return g;
	return NULL;
}

static bool is_terminal(const struct pk_json *alloc)
{
	static const char *const over[] = { "complete", "failed", "lost" };
	const char *client = text_at(alloc, "ClientStatus");

	for (size_t i = 0; i < PK_ARRAY_LEN(over); i++)
		if (strcmp(client, over[i]) == 0)
			return true;
	return false;
}

static int decode(const struct pk_json_doc *doc, const struct pk_json *v, struct pk_alloc *a,
		  struct pk_err *err)
{
	static const char *const needed[] = { "ID", "Namespace", "JobID", "TaskGroup" };
	const struct pk_json *job = at(v, "Job"), *group;

	for (size_t i = 0; i < PK_ARRAY_LEN(needed); i++)
		if (!*text_at(v, needed[i]))
			return pk_json_fail(err, doc, v, false, "an alloc without %s", needed[i]);
	group = group_of(job, text_at(v, "TaskGroup"));
	if (!group)
		return pk_json_fail(err, doc, v, false, "an alloc without its job's group");
	a->id = copy(text_at(v, "ID"));
	a->tenant_name = copy(text_at(v, "Namespace"));
	a->job_id = copy(text_at(v, "JobID"));
	a->node = copy(text_at(v, "NodeID"));
	a->job = copy(*text_at(job, "ParentID") ? text_at(job, "ParentID") : a->job_id);
	a->group = copy(text_at(v, "TaskGroup"));
	a->region = copy(text_at(job, "Region"));
	a->terminal = is_terminal(v);
	add_ports(a, v);
	add_meta(a, at(job, "Meta"));
	add_meta(a, at(group, "Meta"));
	add_services(a, at(group, "Services"));
	for (const struct pk_json *t = first(at(group, "Tasks")); t; t = pk_json_next(t))
		add_services(a, at(t, "Services"));
	return 0;
}

int pk_alloc_decode(const char *body, size_t len, struct pk_alloc *out, struct pk_err *err)
{
	own_json *doc = NULL;
	int r = pk_json_parse("Nomad's alloc", body, len, PK_JSON_RELAXED, &doc, err);

	*out = (struct pk_alloc){ 0 };
	if (r == 0)
		r = decode(doc, pk_json_root(doc), out, err);
	if (r < 0)
		pk_alloc_done(out);
	return r;
}

int pk_allocs_decode(const char *body, size_t len, struct pk_allocs *out, struct pk_err *err)
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
		out->list = grow(out->list, &out->n, sizeof(*out->list));
		r = decode(doc, v, &out->list[out->n - 1], err);
	}
	if (r < 0)
		pk_allocs_done(out);
	return r;
}

static int take_node(const struct pk_json *v, struct pk_nomad_node *out)
{
	const struct {
		const char *key;
		char *to;
		size_t room;
	} part[] = { { "ID", out->id, sizeof(out->id) },
		     { "Name", out->name, sizeof(out->name) },
		     { "Datacenter", out->datacenter, sizeof(out->datacenter) },
		     { "NodePool", out->pool, sizeof(out->pool) } };

	for (size_t i = 0; i < PK_ARRAY_LEN(part); i++) {
		const char *text = text_at(v, part[i].key);

		if (strlen(text) >= part[i].room)
			return -ENAMETOOLONG;
		strcpy(part[i].to, text);
	}
	return 0;
}

int pk_nomad_node_find(const char *body, size_t len, const char *name, struct pk_nomad_node *out,
		       struct pk_err *err)
{
	own_json *doc = NULL;
	const struct pk_json *best = NULL;
	unsigned int ready = 0;
	int r = pk_json_parse("Nomad's nodes", body, len, PK_JSON_RELAXED, &doc, err);

	if (r < 0)
		return r;
	for (const struct pk_json *v = first(pk_json_root(doc)); v; v = pk_json_next(v)) {
		bool is_ready = strcmp(text_at(v, "Status"), "ready") == 0;

		if (strcmp(text_at(v, "Name"), name) != 0 && strcmp(text_at(v, "ID"), name) != 0)
			continue;
		if (!best || (is_ready && ready == 0))
			best = v;
		ready += is_ready;
	}
	if (!best)
		return pk_fix(err, pk_fail(err, ENOENT, "Nomad knows no node \"%s\"", name),
			      "set \"nomad\": { \"node\": … } to this client's name or id");
	if (ready > 1)
		return pk_fix(err,
			      pk_fail(err, 0, "Nomad has %u ready nodes named \"%s\"", ready, name),
			      "set \"nomad\": { \"node\": … } to this client's id");
	r = take_node(best, out);
	return r < 0 ? pk_fail(err, -r, "Nomad's node \"%s\"", name) : 0;
}
