/* SPDX-License-Identifier: Apache-2.0 */
#include "nomad.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "nomad_reader.h"
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
	free(a->refused);
	free(a->ports);
	free(a->meta);
	free(a->services);
	free(a->labels_refused);
	free(a->dns_servers);
	free(a->dns_search);
	free(a->hostname);
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

int pk_alloc_decode(const char *body, size_t len, struct pk_alloc *out, struct pk_err *err)
{
	PK_OWN(pk_alloc_reader_freep)
	struct pk_alloc_reader *reader = pk_alloc_reader_new(PK_READ_ALLOC);
	struct pk_allocs allocs = { 0 };
	int r = pk_alloc_reader_feed(reader, body, len, err);

	*out = (struct pk_alloc){ 0 };
	if (r == 0)
		r = pk_alloc_reader_end(reader, &allocs, err);
	if (r == 0 && allocs.list[0].refused)
		r = pk_fail(err, 0, "%s", allocs.list[0].refused);
	if (r == 0)
		*out = PK_MOVE(allocs.list[0], (struct pk_alloc){ 0 });
	pk_allocs_done(&allocs);
	return r;
}

static void write_service(struct pk_jw *w, const char *name, const struct pk_alloc *a,
			  bool with_checks)
{
	char port[8];

	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "Name", name);
	pk_jw_open(w, "Checks", '[');
	for (size_t i = 0; with_checks && i < a->n_checks; i++) {
		snprintf(port, sizeof(port), "%u", a->checks[i]);
		pk_jw_open(w, NULL, '{');
		pk_jw_string(w, "Type", "tcp");
		pk_jw_string(w, "PortLabel", port);
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
	pk_jw_close(w, '}');
}

static void write_words(struct pk_jw *w, const char *key, const char *words)
{
	own_mem char *copy = pk_strdup(words);
	char *at = copy, *word;

	pk_jw_open(w, key, '[');
	while ((word = strsep(&at, " ")))
		pk_jw_string(w, NULL, word);
	pk_jw_close(w, ']');
}

static void write_network(struct pk_jw *w, const struct pk_alloc *a)
{
	if (!a->dns_servers && !a->dns_search && !a->hostname)
		return;
	pk_jw_open(w, "Networks", '[');
	pk_jw_open(w, NULL, '{');
	if (a->hostname)
		pk_jw_string(w, "Hostname", a->hostname);
	pk_jw_open(w, "DNS", '{');
	write_words(w, "Servers", a->dns_servers);
	write_words(w, "Searches", a->dns_search);
	pk_jw_close(w, '}');
	pk_jw_close(w, '}');
	pk_jw_close(w, ']');
}

static void write_job(struct pk_jw *w, const struct pk_alloc *a)
{
	pk_jw_open(w, "Job", '{');
	pk_jw_string(w, "ParentID", strcmp(a->job, a->job_id) ? a->job : "");
	pk_jw_string(w, "Region", a->region);
	pk_jw_open(w, "Meta", '{');
	for (size_t i = 0; i < a->n_meta; i++)
		pk_jw_string(w, a->meta[i].key, a->meta[i].value);
	pk_jw_close(w, '}');
	pk_jw_open(w, "TaskGroups", '[');
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "Name", a->group);
	write_network(w, a);
	pk_jw_open(w, "Services", '[');
	for (size_t i = 0; i < a->n_services; i++)
		write_service(w, a->services[i], a, false);
	if (a->services_unknown)
		write_service(w, "${}", a, false);
	write_service(w, "", a, true);
	pk_jw_close(w, ']');
	pk_jw_close(w, '}');
	pk_jw_close(w, ']');
	pk_jw_close(w, '}');
}

void pk_alloc_encode(const struct pk_alloc *a, struct pk_str *out)
{
	struct pk_jw w = { .out = out };

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "ID", a->id);
	pk_jw_string(&w, "Namespace", a->tenant_name);
	pk_jw_string(&w, "JobID", a->job_id);
	pk_jw_string(&w, "TaskGroup", a->group);
	pk_jw_string(&w, "ClientStatus", a->terminal ? "complete" : "running");
	if (a->labels_refused)
		pk_jw_string(&w, PK_ALLOC_LABELS_REFUSED, a->labels_refused);
	write_job(&w, a);
	pk_jw_open(&w, "AllocatedResources", '{');
	pk_jw_open(&w, "Shared", '{');
	pk_jw_open(&w, "Ports", '[');
	for (size_t i = 0; i < a->n_ports; i++) {
		pk_jw_open(&w, NULL, '{');
		pk_jw_string(&w, "Label", a->ports[i].label);
		pk_jw_uint(&w, "Value", a->ports[i].host);
		pk_jw_uint(&w, "To", a->ports[i].own);
		pk_jw_close(&w, '}');
	}
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
	pk_jw_close(&w, '}');
	pk_jw_close(&w, '}');
}

struct pk_alloc *pk_alloc_copy(const struct pk_alloc *a)
{
	struct pk_alloc *copy = pk_alloc(sizeof(*copy));
	own_str text = { 0 };

	pk_alloc_encode(a, &text);
	if (pk_alloc_decode(text.text ?: "", text.len, copy, NULL) == 0)
		return copy;
	free(copy);
	return NULL;
}

bool pk_alloc_equal(const struct pk_alloc *a, const struct pk_alloc *b)
{
	return memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}
