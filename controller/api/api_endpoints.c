/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/endpoints, /v1/endpoints/ID, /v1/identities, /v1/counters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "addr_json.h"
#include "api.h"
#include "api_answer.h"
#include "fs.h"
#include "guard.h"
#include "parts.h"
#include "own.h"
#include "reason.h"
#include "tables.h"

static void write_ports(struct pk_jw *w, const struct pk_local_endpoint *m,
			const struct pk_world_endpoint *ep)
{
	char text[PK_PORT_TEXT], both[2 * PK_PORT_TEXT];

	pk_jw_open(w, "ports", '{');
	for (size_t i = 0; ep && i < ep->n_ports; i++) {
		pk_port_format(ep->ports[i].port, ep->ports[i].proto, text);
		pk_jw_string(w, ep->ports[i].name, text);
	}
	pk_jw_close(w, '}');
	pk_jw_open(w, "checks", '[');
	for (size_t i = 0; ep && i < ep->n_checks; i++) {
		pk_port_format(ep->checks[i].port, ep->checks[i].proto, text);
		pk_jw_string(w, NULL, text);
	}
	pk_jw_close(w, ']');
	pk_jw_open(w, "published", '[');
	for (size_t i = 0; i < m->n_mappings; i++) {
		pk_port_format(m->mappings[i].own, m->mappings[i].proto, text);
		snprintf(both, sizeof(both), "%u:%s", m->mappings[i].host, text);
		pk_jw_string(w, NULL, both);
	}
	pk_jw_close(w, ']');
	pk_jw_open(w, "services", '[');
	for (size_t i = 0; ep && i < ep->labels->n_known; i++)
		if (strcmp(ep->labels->known[i].key, "consul:service") == 0)
			pk_jw_string(w, NULL, ep->labels->known[i].value);
	pk_jw_close(w, ']');
}

static void write_policies(const struct pk_parts *p, struct pk_jw *w,
			   const struct pk_world_endpoint *ep)
{
	pk_jw_open(w, "policies", '[');
	for (size_t i = 0; ep && i < pk_docs_count(p->docs); i++) {
		const struct pk_doc_entry *e = pk_docs_at(p->docs, i);
		own_str name = { 0 };

		if (!e->doc || !pk_api_selects(e->doc, ep))
			continue;
		pk_str_addf(&name, "%s/%s", e->source, e->doc->name);
		pk_jw_string(w, NULL, name.text);
	}
	pk_jw_close(w, ']');
}

static void write_who(struct pk_jw *w, const struct pk_local_endpoint *m)
{
	own_str name = { 0 };

	pk_local_endpoint_name(m, &name);
	pk_jw_string(w, "name", name.text);
	pk_jw_string(w, "namespace", pk_local_endpoint_namespace(m));
	pk_jw_string(w, "job", pk_local_endpoint_job(m));
	pk_jw_string(w, "group", pk_local_endpoint_group(m));
	pk_jw_string(w, "alloc", m->facts ? m->facts->id : NULL);
	pk_jw_string(w, "confirmed", pk_confirmed_name(m->confirmed));
	pk_jw_string(w, "labelsRefused", pk_local_endpoint_labels_refused(m));
}

static void write_where(struct pk_jw *w, const struct pk_local_endpoint *m)
{
	char text[PK_ADDR_TEXT];

	pk_addrs_write(w, "addresses", m->addresses, m->n_addresses);
	pk_jw_string(w, "mac", pk_mac_format(m->mac, text));
	pk_jw_string(w, "mode", m->mode);
	pk_jw_bool(w, "hostTap", m->host_tap);
	pk_jw_string(w, "hostDevice", m->device);
	pk_jw_uint(w, "hostIfindex", m->host_ifindex);
	pk_jw_string(w, "netns", m->netns);
}

static void write_quarantine(struct pk_jw *w, const struct pk_local_endpoint *m)
{
	struct pk_err why;
	bool quarantined = pk_local_endpoint_quarantine(m, &why);

	pk_jw_bool(w, "quarantined", quarantined);
	pk_jw_string(w, "quarantineReason", quarantined ? why.text : NULL);
	pk_jw_string(w, "quarantineFix", quarantined ? why.fix : NULL);
}

/* Writes how many events of the endpoint nobody was told of, and how many aren't in the file. */
static void write_lost(const struct pk_parts *p, struct pk_jw *w, const struct pk_local_endpoint *m)
{
	struct pk_event_lost lost = pk_events_lost_of(p->events, m);
	const struct pk_bpf *bpf = pk_sync_bpf(p->sync);

	if (bpf && m->epoch_matches)
		lost.unnamed += pk_events_lost(bpf, m->slot);
	pk_jw_uint(w, "eventsLost", lost.unnamed);
	pk_jw_uint(w, "eventsUnfiled", lost.unfiled);
}

static void write_endpoint(const struct pk_parts *p, struct pk_jw *w,
			   const struct pk_local_endpoint *m, bool counts)
{
	const struct pk_world_endpoint *ep =
		pk_world_get(pk_engine_world(pk_model_engine(p->model)), m->key);
	struct pk_sync_state state;

	pk_sync_state(p->sync, m, &state);
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "containerId", m->container_id);
	pk_jw_string(w, "ifname", m->ifname);
	pk_jw_uint(w, "slot", m->slot);
	pk_jw_string(w, "network", m->network);
	pk_jw_string(w, "state", m->open && state.rule_set ? "open" : "closed");
	write_quarantine(w, m);
	write_who(w, m);
	pk_api_labels(w, ep);
	write_where(w, m);
	pk_jw_uint(w, "identity", state.identity);
	pk_jw_uint(w, "tenant", state.tenant);
	pk_jw_uint(w, "ruleSet", state.rule_set);
	pk_jw_uint(w, "revision", state.revision);
	pk_jw_bool(w, "audit", state.audit);
	pk_jw_bool(w, "inStep", pk_apply_in_step(p->apply, m) && !pk_guard_is_gone(m));
	write_ports(w, m, ep);
	write_policies(p, w, ep);
	pk_api_limits(p, w, m, counts);
	write_lost(p, w, m);
	pk_jw_bool(w, "epochMatches", m->epoch_matches);
	pk_jw_close(w, '}');
}

static const char *or_mark(const char *text)
{
	return text ?: "";
}

static int by_name(const void *a, const void *b)
{
	const struct pk_local_endpoint *x = *(const struct pk_local_endpoint *const *)a;
	const struct pk_local_endpoint *y = *(const struct pk_local_endpoint *const *)b;
	int r = strcmp(or_mark(pk_local_endpoint_namespace(x)),
		       or_mark(pk_local_endpoint_namespace(y)));

	if (r == 0)
		r = strcmp(or_mark(pk_local_endpoint_job(x)), or_mark(pk_local_endpoint_job(y)));
	if (r == 0)
		r = strcmp(or_mark(pk_local_endpoint_group(x)),
			   or_mark(pk_local_endpoint_group(y)));
	return r ? r : strcmp(x->key, y->key);
}

static bool is(const char *want, const char *have)
{
	return !want || (have && strcmp(want, have) == 0);
}

/* A listing keeps the keys of its endpoints, since endpoints may go while it is made. */
struct listing {
	char **keys;
	size_t n, at;
};

static void listing_free(void *arg)
{
	struct listing *l = arg;

	for (size_t i = 0; i < l->n; i++)
		free(l->keys[i]);
	free(l->keys);
	free(l);
}

static struct listing *list_of(const struct pk_parts *p, const struct pk_exchange *x)
{
	own_mem const struct pk_local_endpoint **list =
		pk_alloc((pk_model_count(p->model) + 1) * sizeof(*list));
	const char *tenant_name = pk_exchange_query(x, "namespace");
	const char *job = pk_exchange_query(x, "job");
	const char *state = pk_exchange_query(x, "state");
	struct listing *l = pk_alloc(sizeof(*l));
	size_t n = 0;

	for (const struct pk_local_endpoint *m = pk_model_next(p->model, NULL); m;
	     m = pk_model_next(p->model, m))
		if (is(tenant_name, pk_local_endpoint_namespace(m)) &&
		    is(job, pk_local_endpoint_job(m)) && is(state, m->open ? "open" : "closed"))
			list[n++] = m;
	qsort(list, n, sizeof(*list), by_name);
	l->keys = pk_alloc((n + 1) * sizeof(*l->keys));
	for (; l->n < n; l->n++)
		l->keys[l->n] = pk_strdup(list[l->n]->key);
	return l;
}

static bool endpoints_part(void *arg, struct pk_answer *answer, uint64_t deadline_ns)
{
	const struct pk_parts *p = answer->parts;
	struct listing *l = arg;

	if (l->at == 0) {
		pk_jw_open(&answer->w, NULL, '{');
		pk_jw_open(&answer->w, "endpoints", '[');
	}
	while (l->at < l->n) {
		const struct pk_local_endpoint *m = pk_model_get(p->model, l->keys[l->at++]);

		if (m)
			write_endpoint(p, &answer->w, m, false);
		if (pk_now_ns() >= deadline_ns)
			return false;
	}
	pk_jw_close(&answer->w, ']');
	pk_jw_close(&answer->w, '}');
	return true;
}

void pk_api_endpoints(const struct pk_parts *p, struct pk_exchange *x)
{
	pk_answer_in_parts(p, x,
			   &(struct pk_answer_how){ .part = endpoints_part,
						    .end = listing_free,
						    .arg = list_of(p, x) });
}

/* Returns the endpoint of that container id, or how many of them begin so and one of these. */
static const struct pk_local_endpoint *find_id(const struct pk_model *model, const char *id,
					       unsigned int *matches)
{
	const struct pk_local_endpoint *found = NULL;

	*matches = 0;
	for (const struct pk_local_endpoint *m = pk_model_next(model, NULL); m;
	     m = pk_model_next(model, m)) {
		if (strncmp(m->container_id, id, strlen(id)) != 0)
			continue;
		if (strcmp(m->container_id, id) == 0) {
			*matches = 1;
			return m;
		}
		if (strlen(id) < 4)
			continue;
		found = m;
		++*matches;
	}
	return found;
}

/* Finds an endpoint by its whole key, an address, its container id or the beginning of that. */
static const struct pk_local_endpoint *find(const struct pk_parts *p, const char *id,
					    unsigned int *matches)
{
	const struct pk_local_endpoint *found = pk_model_get(p->model, id);
	union pk_addr addr;

	*matches = 1;
	if (!found && pk_addr_parse(id, &addr) == 0)
		found = pk_model_by_address(p->model, &addr);
	return found ?: find_id(p->model, id, matches);
}

void pk_api_endpoint(const struct pk_parts *p, struct pk_exchange *x, const char *id)
{
	unsigned int matches;
	const struct pk_local_endpoint *m = find(p, id, &matches);
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };

	if (!m) {
		pk_exchange_error(x, 404, "no such endpoint on this node", "picket endpoint list");
		return;
	}
	if (matches > 1) {
		pk_exchange_error(x, 400, "several endpoints begin so", "give more of the id");
		return;
	}
	write_endpoint(p, &w, m, true);
	pk_exchange_reply(x, 200, &json);
}

static void write_identity(const struct pk_parts *p, struct pk_jw *w,
			   const struct pk_local_endpoint *m, const struct pk_sync_state *state,
			   unsigned int endpoints)
{
	const struct pk_world_endpoint *ep =
		pk_world_get(pk_engine_world(pk_model_engine(p->model)), m->key);

	pk_jw_open(w, NULL, '{');
	pk_jw_uint(w, "identity", state->identity);
	pk_jw_uint(w, "tenant", state->tenant);
	pk_jw_string(w, "namespace", pk_local_endpoint_namespace(m));
	pk_api_labels(w, ep);
	pk_jw_uint(w, "endpoints", endpoints);
	pk_jw_uint(w, "ruleSet", state->rule_set);
	pk_jw_close(w, '}');
}

/* One of an identity's endpoints speaks for all. */
struct seen {
	char *key;
	struct pk_sync_state state;
	unsigned int endpoints;
};

struct identities {
	struct seen *list;
	size_t n, at;
};

static int by_identity(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	return x->state.identity < y->state.identity ? -1 : x->state.identity > y->state.identity;
}

/* Equal ones stand together: they become one. */
static void count_equal(struct identities *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (n && l->list[n - 1].state.identity == l->list[i].state.identity) {
			l->list[n - 1].endpoints++;
			free(l->list[i].key);
		} else {
			l->list[n++] = l->list[i];
		}
	l->n = n;
}

static struct identities *identities_of(const struct pk_parts *p)
{
	struct identities *l = pk_alloc(sizeof(*l));

	l->list = pk_alloc((pk_model_count(p->model) + 1) * sizeof(*l->list));
	for (const struct pk_local_endpoint *m = pk_model_next(p->model, NULL); m;
	     m = pk_model_next(p->model, m)) {
		struct seen seen = { .endpoints = 1 };

		pk_sync_state(p->sync, m, &seen.state);
		if (!m->open || !seen.state.rule_set)
			continue;
		seen.key = pk_strdup(m->key);
		l->list[l->n++] = seen;
	}
	qsort(l->list, l->n, sizeof(*l->list), by_identity);
	count_equal(l);
	return l;
}

static void identities_free(void *arg)
{
	struct identities *l = arg;

	for (size_t i = 0; i < l->n; i++)
		free(l->list[i].key);
	free(l->list);
	free(l);
}

static bool identities_part(void *arg, struct pk_answer *answer, uint64_t deadline_ns)
{
	const struct pk_parts *p = answer->parts;
	struct identities *l = arg;

	if (l->at == 0) {
		pk_jw_open(&answer->w, NULL, '{');
		pk_jw_open(&answer->w, "identities", '[');
	}
	while (l->at < l->n) {
		const struct seen *seen = &l->list[l->at++];
		const struct pk_local_endpoint *m = pk_model_get(p->model, seen->key);

		if (m)
			write_identity(p, &answer->w, m, &seen->state, seen->endpoints);
		if (pk_now_ns() >= deadline_ns)
			return false;
	}
	pk_jw_close(&answer->w, ']');
	pk_jw_close(&answer->w, '}');
	return true;
}

void pk_api_identities(const struct pk_parts *p, struct pk_exchange *x)
{
	pk_answer_in_parts(p, x,
			   &(struct pk_answer_how){ .part = identities_part,
						    .end = identities_free,
						    .arg = identities_of(p) });
}

struct counter_query {
	const char *reason; /* the exchange's */
	uint64_t slot;
	bool one_slot;
	uint32_t at; /* the next slot */
};

static void write_slot(const struct pk_parts *p, struct pk_jw *w, uint32_t slot,
		       const struct counter_query *q)
{
	const struct pk_local_endpoint *m = pk_model_by_slot(p->model, slot);
	struct pk_counter row[2][PK_REASON_SLOTS];

	if ((q->one_slot && q->slot != slot) ||
	    pk_counter_row(pk_sync_bpf(p->sync), slot, row, NULL) < 0)
		return;
	for (unsigned int k = 0; k < 2 * PK_REASON_SLOTS; k++) {
		const struct pk_counter *c = &row[k / PK_REASON_SLOTS][k % PK_REASON_SLOTS];
		const char *reason = pk_reason_name(k % PK_REASON_SLOTS);
		own_str name = { 0 };

		if (!c->packets || (q->reason && strcmp(q->reason, reason) != 0))
			continue;
		if (m)
			pk_local_endpoint_name(m, &name);
		pk_jw_open(w, NULL, '{');
		pk_jw_uint(w, "slot", slot);
		pk_jw_string(w, "containerId", m ? m->container_id : NULL);
		pk_jw_string(w, "name", name.text);
		pk_jw_string(w, "direction",
			     k / PK_REASON_SLOTS == PK_EGRESS ? "egress" : "ingress");
		pk_jw_string(w, "reason", reason);
		pk_jw_uint(w, "packets", c->packets);
		pk_jw_uint(w, "bytes", c->bytes);
		pk_jw_close(w, '}');
	}
}

static bool counters_part(void *arg, struct pk_answer *answer, uint64_t deadline_ns)
{
	const struct pk_parts *p = answer->parts;
	const struct pk_bpf *bpf = pk_sync_bpf(p->sync);
	struct counter_query *q = arg;

	if (q->at == 0) {
		pk_jw_open(&answer->w, NULL, '{');
		pk_jw_open(&answer->w, "counters", '[');
	}
	for (; q->at <= bpf->node.capacity; q->at++) {
		if (q->at && pk_now_ns() >= deadline_ns)
			return false;
		if (q->at == 0 || pk_slot_taken(bpf, q->at))
			write_slot(p, &answer->w, q->at, q);
	}
	pk_jw_close(&answer->w, ']');
	pk_jw_close(&answer->w, '}');
	return true;
}

void pk_api_counters(const struct pk_parts *p, struct pk_exchange *x)
{
	const struct pk_bpf *bpf = pk_sync_bpf(p->sync);
	const char *slot = pk_exchange_query(x, "slot");
	struct counter_query *q;
	uint64_t one = 0;

	if (!bpf) {
		pk_exchange_error(x, 503, "the programs are not loaded",
				  pk_apply_state(p->apply)->load_error.fix);
		return;
	}
	if (slot && pk_parse_u64(slot, bpf->node.capacity, &one) < 0) {
		pk_exchange_error(x, 400, "slot is no slot of this node", NULL);
		return;
	}
	q = pk_alloc(sizeof(*q));
	*q = (struct counter_query){ .reason = pk_exchange_query(x, "reason"),
				     .slot = one,
				     .one_slot = slot };
	pk_answer_in_parts(p, x,
			   &(struct pk_answer_how){ .part = counters_part, .end = free, .arg = q });
}
