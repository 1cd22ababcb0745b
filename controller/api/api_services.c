/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/services: the services that the operator declared, and what of them keeps the node. */
#include <string.h>

#include "api.h"
#include "api_reasons.h"
#include "own.h"
#include "parts.h"
#include "service_call.h"

/*
 * Returns the state: idle where nobody names it, off where the configuration doesn't have its
 * catalogue.
 */
static const char *state_of(const struct pk_service_view *v)
{
	if (!v->named)
		return "idle";
	return v->source ? pk_source_state_name(v->source->state) : "off";
}

static void write_row(struct pk_jw *w, const struct pk_instance_row *row)
{
	char text[PK_ADDR_TEXT];

	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "address",
		     *row->said.address ? row->said.address : pk_addr_format(&row->addr, text));
	if (row->said.port)
		pk_jw_uint(w, "port", row->said.port);
	else
		pk_jw_null(w, "port");
	pk_jw_string(w, "id", *row->said.id ? row->said.id : NULL);
	pk_jw_string(w, "health", pk_health_name(row->said.health));
	pk_jw_string(w, "state", pk_instance_state_name(row->state));
	pk_jw_string(w, "why", *row->why ? row->why : NULL);
	pk_jw_close(w, '}');
}

static void write_service(struct pk_jw *w, const struct pk_service_view *v)
{
	static const struct timespec never;

	pk_jw_open(w, NULL, '{');
	pk_declared_service_write(v->declared, w);
	pk_jw_string(w, "state", state_of(v));
	pk_api_time(w, "lastContact", v->source ? &v->source->contact : &never);
	pk_jw_string(w, "lastError",
		     v->source && v->source->failures ? v->source->last_error : NULL);
	pk_jw_uint(w, "counts", v->declared->n_instances);
	pk_jw_open(w, "instances", '[');
	for (size_t i = 0; v->table && i < v->table->n; i++)
		write_row(w, &v->table->row[i]);
	pk_jw_close(w, ']');
	pk_jw_uint(w, "leftOut", v->table ? v->table->left_out : 0);
	pk_jw_close(w, '}');
}

void pk_api_services(const struct pk_parts *p, struct pk_exchange *x)
{
	struct pk_service_view v;
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };

	pk_jw_open(&w, NULL, '{');
	pk_jw_open(&w, "services", '[');
	for (size_t i = 0; pk_services_view(p->services, i, &v); i++)
		write_service(&w, &v);
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
	pk_exchange_reply(x, 200, &json);
}

static const struct pk_instance_row *first_of(const struct pk_instance_table *t,
					      enum pk_instance_state state)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->row[i].state == state)
			return &t->row[i];
	return NULL;
}

static void held_reason(struct pk_reasons *r, const struct pk_service_view *v)
{
	const size_t n = pk_instance_table_count(v->table, PK_INSTANCE_HELD);
	own_str text = { 0 };

	if (!n)
		return;
	pk_str_addf(&text, "%zu instance%s of service %.64s %s though %s's catalogue lacks %s: %s",
		    n, n == 1 ? "" : "s", v->declared->name, n == 1 ? "counts" : "count",
		    pk_declared_service_catalog(v->declared), n == 1 ? "it" : "them",
		    first_of(v->table, PK_INSTANCE_HELD)->why);
	pk_api_reason(r, false, "services", text.text,
		      "bring them back; where it is meant so: picket policy release services");
}

/* Says what somebody registered beside the operator's word: nothing is opened by it. */
static void refused_reason(struct pk_reasons *r, const struct pk_service_view *v)
{
	const size_t n = pk_instance_table_count(v->table, PK_INSTANCE_REFUSED);
	const struct pk_instance_row *first = first_of(v->table, PK_INSTANCE_REFUSED);
	own_str text = { 0 };

	if (!n)
		return;
	pk_str_addf(&text, "%zu instance%s of service %.64s %s not counted, the first (", n,
		    n == 1 ? "" : "s", v->declared->name, n == 1 ? "is" : "are");
	pk_str_add_escaped(&text, first->said.address);
	pk_str_addf(&text, "): %s", first->why);
	pk_api_reason(r, false, "services", text.text,
		      "see who registered it (picket service list), or widen \"within\" of the "
		      "service in picketd.json");
}

static void source_reason(struct pk_reasons *r, const struct pk_service_view *v)
{
	own_str text = { 0 };
	const char *error, *fix;

	if (!v->source) {
		pk_str_addf(&text, "service %.64s is declared of %s's catalogue, and there is none",
			    v->declared->name, pk_declared_service_catalog(v->declared));
		pk_api_reason(r, false, "services", text.text,
			      "configure \"consul\" or \"nomad\", or take the declaration back");
		return;
	}
	if (!v->source->failures)
		return;
	error = v->source->last_error;
	fix = pk_service_fix_at(error);
	pk_str_addf(&text, "%s's catalogue doesn't tell of service %.64s: %.*s",
		    pk_declared_service_catalog(v->declared), v->declared->name,
		    (int)(fix ? (size_t)(fix - error) : strlen(error)), error);
	pk_api_reason(r, false, "services", text.text,
		      fix ? fix + strlen(PK_SERVICE_FIX)
			  : "its instances stay as they were; see the agent, and the token's "
			    "rights (docs/install.md)");
}

void pk_api_service_reasons(const struct pk_parts *p, struct pk_reasons *r)
{
	struct pk_service_view v;

	for (size_t i = 0; p->services && pk_services_view(p->services, i, &v); i++) {
		if (!v.named)
			continue;
		source_reason(r, &v);
		if (!v.table)
			continue;
		held_reason(r, &v);
		refused_reason(r, &v);
	}
}
