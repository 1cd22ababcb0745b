/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nomad_reader_private.h"
#include "own.h"
#include "picket/limits.h"
#include "str.h"

/*
 * The most bytes that are kept of one alloc while it is read: Nomad names its group only after its
 * job.
 */
#define KEPT_MAX (1u << 20)

static void labels_done(struct labels *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->list[i].key);
		free(l->list[i].value);
	}
	free(l->list);
}

static void texts_done(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

static void group_done(struct group *g)
{
	free(g->name);
	labels_done(&g->meta);
	labels_done(&g->services);
	texts_done(g->checks, g->n_checks);
	free(g->dns_servers);
	free(g->dns_search);
	free(g->hostname);
	*g = (struct group){ 0 };
}

static void service_done(struct service *s)
{
	free(s->name);
	free(s->port);
	free(s->type);
	free(s->check_port);
	texts_done(s->checks, s->n_checks);
	*s = (struct service){ 0 };
}

/* Frees what was read beside the alloc. */
static void rest_done(struct reading *r)
{
	labels_done(&r->meta);
	for (size_t i = 0; i < r->n_groups; i++)
		group_done(&r->groups[i]);
	free(r->groups);
	group_done(&r->group);
	service_done(&r->service);
	free(r->port.label);
	*r = (struct reading){ .a = r->a };
}

void reading_done(struct reading *r)
{
	rest_done(r);
	pk_alloc_done(&r->a);
}

void reading_refuse(struct reading *r, const char *fmt, ...)
{
	va_list ap;

	if (r->a.refused)
		return; /* only the first reason is kept */
	va_start(ap, fmt);
	if (vasprintf(&r->a.refused, fmt, ap) < 0)
		abort();
	va_end(ap);
}

void *reading_grow(void *list, size_t *n, size_t size)
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

/*
 * Counts bytes for the alloc. Returns false where there are too many: it is refused, and nothing
 * more of it is kept.
 */
static bool charge(struct reading *r, size_t bytes)
{
	r->bytes += bytes + 64; /* and their allocations */
	if (r->bytes > KEPT_MAX)
		reading_refuse(r, "more than %u bytes of it would have to be kept", KEPT_MAX);
	return !r->a.refused;
}

void reading_text(struct reading *r, char **to, const char *key, const struct pk_stream_event *e)
{
	if (!e->text || e->len > PK_ALLOC_NAME_MAX) {
		reading_refuse(r, "%s of more than %u bytes", key, PK_ALLOC_NAME_MAX);
		return;
	}
	if (!charge(r, e->len))
		return;
	free(*to);
	*to = pk_strdup(e->text);
}

/* Keeps a network's host name. A longer one than a host name may be counts as none. */
void reading_hostname(struct reading *r, const struct pk_stream_event *e)
{
	if (!e->text || !*e->text || e->len > PK_TOLD_HOST || !charge(r, e->len))
		return;
	free(r->group.hostname);
	r->group.hostname = pk_strdup(e->text);
}

/*
 * Adds a word to a list with blanks between. A word with a blank would become two, and is refused.
 */
void reading_word(struct reading *r, char **to, const struct pk_stream_event *e)
{
	size_t before = *to ? strlen(*to) + 1 : 0;

	if (!e->text || !*e->text || strpbrk(e->text, " \t\n") ||
	    before + e->len > PK_ALLOC_DNS_MAX || !charge(r, e->len + 1))
		return;
	*to = realloc(*to, before + e->len + 1);
	if (!*to)
		abort();
	if (before)
		(*to)[before - 1] = ' ';
	memcpy(*to + before, e->text, e->len + 1);
}

void reading_status(struct reading *r, const struct pk_stream_event *e)
{
	static const char *const over[] = { "complete", "failed", "lost" };

	for (size_t i = 0; e->text && i < PK_ARRAY_LEN(over); i++)
		r->a.terminal |= strcmp(e->text, over[i]) == 0;
}

static bool is_over(size_t count, size_t bytes)
{
	return count > PK_ALLOC_LABELS_MAX || bytes > PK_ALLOC_LABEL_BYTES_MAX;
}

static struct pk_alloc_meta *find_label(const struct labels *l, const char *key)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->list[i].key, key) == 0)
			return &l->list[i];
	return NULL;
}

/* Adds a label. Returns NULL where it was only counted, as there are too many. */
static struct pk_alloc_meta *add_label(struct reading *r, struct labels *l, const char *key,
				       size_t bytes)
{
	struct pk_alloc_meta *at;

	l->count++;
	l->bytes += bytes;
	if (is_over(l->count, l->bytes) || !charge(r, bytes))
		return NULL;
	l->list = reading_grow(l->list, &l->n, sizeof(*l->list));
	at = &l->list[l->n - 1];
	at->key = pk_strdup(key);
	return at;
}

static bool is_interpolated(const char *text)
{
	return strstr(text, "${") != NULL;
}

void reading_meta(struct reading *r, struct labels *l, const struct pk_stream_event *e)
{
	struct pk_alloc_meta *at;

	if (!e->key || !e->text) { /* longer than all labels together may be */
		l->count++;
		l->bytes += e->len + PK_ALLOC_LABEL_BYTES_MAX;
		return;
	}
	if (find_label(l, e->key)) {
		reading_refuse(r, "meta with the key \"%.100s\" twice", e->key);
		return;
	}
	at = add_label(r, l, e->key, strlen(e->key) + e->len);
	if (!at)
		return;
	at->value = pk_strdup(e->text);
	at->unknown = is_interpolated(e->text);
}

static bool has_port(const struct pk_alloc *a, const struct pk_alloc_port *p)
{
	for (size_t i = 0; i < a->n_ports; i++)
		if (a->ports[i].host == p->host && strcmp(a->ports[i].label, p->label) == 0)
			return true;
	return false;
}

static size_t port_bytes(const struct pk_alloc *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n_ports; i++)
		n += strlen(a->ports[i].label);
	return n;
}

void reading_port_end(struct reading *r)
{
	struct pk_alloc_port port = PK_MOVE(r->port, (struct pk_alloc_port){ 0 });
	own_mem char *label = port.label;
	struct pk_alloc *a = &r->a;

	if (a->refused || !label || !*label || !port.host || has_port(a, &port))
		return;
	if (a->n_ports == PK_ALLOC_PORTS_MAX) {
		reading_refuse(r, "more than %u ports", PK_ALLOC_PORTS_MAX);
		return;
	}
	if (port_bytes(a) + strlen(label) > PK_ALLOC_PORT_BYTES_MAX) {
		reading_refuse(r, "labels of ports of more than %u bytes", PK_ALLOC_PORT_BYTES_MAX);
		return;
	}
	port.own = port.own ? port.own : port.host; /* without "to" it is the host's */
	port.label = PK_MOVE(label, NULL);
	a->ports = reading_grow(a->ports, &a->n_ports, sizeof(*a->ports));
	a->ports[a->n_ports - 1] = port;
}

static bool opens_a_port(const char *type)
{
	return type &&
	       (strcmp(type, "http") == 0 || strcmp(type, "tcp") == 0 || strcmp(type, "grpc") == 0);
}

/* Ends a check. One without a port (a script, a TTL) doesn't count. */
void reading_check_end(struct reading *r)
{
	struct service *s = &r->service;
	own_mem char *type = PK_MOVE(s->type, NULL);
	own_mem char *port = PK_MOVE(s->check_port, NULL);

	if (r->a.refused || !opens_a_port(type))
		return;
	if (s->n_checks == PK_ALLOC_CHECKS_MAX) {
		reading_refuse(r, "a service of more than %u checks", PK_ALLOC_CHECKS_MAX);
		return;
	}
	s->checks = reading_grow(s->checks, &s->n_checks, sizeof(char *));
	s->checks[s->n_checks - 1] = port ? PK_MOVE(port, NULL) : pk_strdup("");
}

static void add_check(struct reading *r, const char *port)
{
	struct group *g = &r->group;

	for (size_t i = 0; i < g->n_checks; i++)
		if (strcmp(g->checks[i], port) == 0)
			return;
	if (g->n_checks == PK_ALLOC_CHECKS_MAX) {
		reading_refuse(r, "a group of which more than %u ports are checked",
			       PK_ALLOC_CHECKS_MAX);
		return;
	}
	if (!charge(r, strlen(port)))
		return;
	g->checks = reading_grow(g->checks, &g->n_checks, sizeof(char *));
	g->checks[g->n_checks - 1] = pk_strdup(port);
}

/* Ends a service. A check without a port of its own has the service's. */
void reading_service_end(struct reading *r)
{
	struct service *s = &r->service;
	struct group *g = &r->group;

	if (s->name && is_interpolated(s->name))
		g->services_unknown = true;
	else if (s->name && *s->name && !find_label(&g->services, s->name))
		add_label(r, &g->services, s->name, strlen("consul:service") + strlen(s->name));
	for (size_t i = 0; !r->a.refused && i < s->n_checks; i++) {
		const char *own = *s->checks[i] ? s->checks[i] : s->port;

		add_check(r, own ?: "");
	}
	service_done(s);
}

void reading_group_end(struct reading *r)
{
	struct group *g = &r->group;

	if (!g->name || (r->a.group && strcmp(g->name, r->a.group) != 0) ||
	    !charge(r, sizeof(*g))) {
		group_done(g);
		return;
	}
	r->groups = reading_grow(r->groups, &r->n_groups, sizeof(*r->groups));
	r->groups[r->n_groups - 1] = PK_MOVE(*g, (struct group){ 0 });
}

static struct group *own_group(struct reading *r)
{
	for (size_t i = 0; r->a.group && i < r->n_groups; i++)
		if (strcmp(r->groups[i].name, r->a.group) == 0)
			return &r->groups[i];
	return NULL;
}

/* Merges meta; the group's replaces the job's. */
static void overlay(struct labels *job, struct labels *group)
{
	for (size_t i = 0; i < group->n; i++) {
		struct pk_alloc_meta *m = &group->list[i], *old = find_label(job, m->key);

		if (old) {
			job->count--;
			job->bytes -= strlen(old->key) + strlen(old->value);
			free(old->value);
			old->value = PK_MOVE(m->value, NULL);
			old->unknown = m->unknown;
			free(PK_MOVE(m->key, NULL));
			continue;
		}
		job->list = reading_grow(job->list, &job->n, sizeof(*job->list));
		job->list[job->n - 1] = PK_MOVE(*m, (struct pk_alloc_meta){ 0 });
	}
	job->count += group->count;
	job->bytes += group->bytes;
}

static void take_labels(struct reading *r, struct group *g)
{
	struct pk_alloc *a = &r->a;
	size_t count, bytes;

	overlay(&r->meta, &g->meta);
	count = r->meta.count + g->services.count;
	bytes = r->meta.bytes + g->services.bytes;
	if (!a->labels_refused && is_over(count, bytes) &&
	    asprintf(&a->labels_refused,
		     "%zu labels of %zu bytes come from its meta and services, and at most %u of "
		     "together %u bytes count",
		     count, bytes, PK_ALLOC_LABELS_MAX, PK_ALLOC_LABEL_BYTES_MAX) < 0)
		abort();
	if (a->labels_refused)
		return;
	a->meta = PK_MOVE(r->meta.list, NULL);
	a->n_meta = PK_MOVE(r->meta.n, 0);
	for (size_t i = 0; i < g->services.n; i++) {
		a->services = reading_grow(a->services, &a->n_services, sizeof(char *));
		a->services[i] = PK_MOVE(g->services.list[i].key, NULL);
	}
	a->services_unknown = g->services_unknown;
}

/*
 * Returns the number of a check's or service's port, which is a port label of the group or a
 * number.
 */
static uint16_t resolve_port(const struct pk_alloc *a, const char *label)
{
	uint64_t port;

	for (size_t i = 0; i < a->n_ports; i++)
		if (strcmp(a->ports[i].label, label) == 0)
			return a->ports[i].own;
	return pk_parse_u64(label, 65535, &port) == 0 ? (uint16_t)port : 0;
}

static void take_checks(struct pk_alloc *a, const struct group *g)
{
	for (size_t i = 0; i < g->n_checks; i++) {
		uint16_t port = resolve_port(a, g->checks[i]);
		bool known = !port;

		for (size_t k = 0; !known && k < a->n_checks; k++)
			known = a->checks[k] == port;
		if (known)
			continue;
		a->checks = reading_grow(a->checks, &a->n_checks, sizeof(*a->checks));
		a->checks[a->n_checks - 1] = port;
	}
}

static void check_needed(struct reading *r, const struct group *group)
{
	const struct pk_alloc *a = &r->a;
	const struct {
		const char *name, *value;
	} needed[] = { { "ID", a->id },
		       { "Namespace", a->tenant_name },
		       { "JobID", a->job_id },
		       { "TaskGroup", a->group } };

	for (size_t i = 0; i < PK_ARRAY_LEN(needed); i++)
		if (!needed[i].value || !*needed[i].value)
			reading_refuse(r, "an alloc without %s", needed[i].name);
	if (!group)
		reading_refuse(r, "an alloc without its job's group");
}

void reading_alloc_end(struct reading *r)
{
	struct group *group = own_group(r);
	struct pk_alloc *a = &r->a;
	own_str text = { 0 };

	check_needed(r, group);
	if (!a->refused) {
		take_labels(r, group);
		take_checks(a, group);
		a->dns_servers = PK_MOVE(group->dns_servers, NULL);
		a->dns_search = PK_MOVE(group->dns_search, NULL);
		a->hostname = PK_MOVE(group->hostname, NULL);
		if (!a->job || !*a->job) {
			free(a->job);
			a->job = pk_strdup(a->job_id);
		}
		a->region = a->region ?: pk_strdup("");
		a->node = a->node ?: pk_strdup("");
		pk_alloc_encode(a, &text);
		pk_hash128(text.text ?: "", text.len, a->hash);
	}
	rest_done(r);
}
