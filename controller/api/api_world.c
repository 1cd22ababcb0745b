/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/world and /v1/rules: what an engine elsewhere needs to judge as this node does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "addr_json.h"
#include "api.h"
#include "api_answer.h"
#include "fs.h"
#include "own.h"
#include "parts.h"
#include "remotes.h"
#include "selector.h"

/* Writes labels as an expectations file has them: a key with several values is a list. */
static void write_labels(struct pk_jw *w, const struct pk_label_set *set)
{
	size_t end;

	pk_jw_open(w, "labels", '{');
	for (size_t i = 0; i < set->n_known; i = end) {
		const char *key = set->known[i].key;

		end = i + 1;
		while (end < set->n_known && strcmp(set->known[end].key, key) == 0)
			end++;
		if (end == i + 1) {
			pk_jw_string(w, key, set->known[i].value);
			continue;
		}
		pk_jw_open(w, key, '[');
		for (size_t k = i; k < end; k++)
			pk_jw_string(w, NULL, set->known[k].value);
		pk_jw_close(w, ']');
	}
	pk_jw_close(w, '}');
	pk_jw_open(w, "unknown", '[');
	for (size_t i = 0; i < set->n_unknown; i++)
		pk_jw_string(w, NULL, set->unknown[i]);
	pk_jw_close(w, ']');
}

static void write_open(struct pk_jw *w, const char *key, const struct pk_own_port *list, size_t n)
{
	char text[PK_PORT_TEXT];

	pk_jw_open(w, key, '[');
	for (size_t i = 0; i < n; i++) {
		pk_jw_string(w, NULL, pk_port_format(list[i].port, list[i].proto, text));
	}
	pk_jw_close(w, ']');
}

/* Writes what a node knows of its own endpoints and of others' alike. */
static void write_common(struct pk_jw *w, const char *name, const struct pk_world_endpoint *ep)
{
	char text[PK_ADDR_TEXT];

	pk_jw_string(w, "name", name);
	write_labels(w, ep->labels);
	pk_addrs_write(w, "addresses", ep->addresses, ep->n_addresses);
	pk_jw_open(w, "ports", '{');
	for (size_t i = 0; i < ep->n_ports; i++) {
		pk_port_format(ep->ports[i].port, ep->ports[i].proto, text);
		pk_jw_string(w, ep->ports[i].name, text);
	}
	pk_jw_close(w, '}');
}

static void write_world_endpoint(const struct pk_parts *p, struct pk_jw *w,
				 const struct pk_local_endpoint *m)
{
	const struct pk_world_endpoint *ep =
		pk_world_get(pk_engine_world(pk_model_engine(p->model)), m->key);
	const struct pk_masquerade *masquerade = &pk_model_get_settings(p->model)->masquerade;
	struct pk_sync_state state;
	own_str name = { 0 };

	if (!ep)
		return;
	pk_local_endpoint_name(m, &name);
	pk_str_addf(&name, " %s", m->key);
	pk_sync_state(p->sync, m, &state);
	pk_jw_open(w, NULL, '{');
	write_common(w, name.text, ep);
	write_open(w, "checks", ep->checks, ep->n_checks);
	write_open(w, "published", ep->published, ep->n_published);
	pk_jw_open(w, "masquerade", '{');
	pk_jw_bool(w, "ipv4", pk_local_endpoint_masqueraded(m, masquerade, false));
	pk_jw_bool(w, "ipv6", pk_local_endpoint_masqueraded(m, masquerade, true));
	pk_jw_close(w, '}');
	pk_jw_string(w, "containerId", m->container_id);
	pk_jw_uint(w, "slot", m->slot);
	pk_jw_uint(w, "identity", state.identity);
	pk_jw_uint(w, "tenant", state.tenant);
	pk_jw_uint(w, "ruleSet", state.rule_set);
	pk_jw_close(w, '}');
}

static const char *value_of(const struct pk_world_endpoint *ep, const char *key)
{
	const struct pk_label *label = pk_label_set_get(ep->labels, key);

	return label ? label->value : "?";
}

/*
 * Writes another node's endpoint, "acme/db/pg NODE/CONTAINER@INTERFACE": a peer, which that node
 * judges.
 */
static void write_remote(struct pk_jw *w, const struct pk_remote_endpoint *e)
{
	own_str name = { 0 };

	pk_str_addf(&name, "%s/%s/%s %s", value_of(e->ep, "nomad:namespace"),
		    value_of(e->ep, "nomad:job"), value_of(e->ep, "nomad:group"), e->key);
	pk_jw_open(w, NULL, '{');
	write_common(w, name.text, e->ep);
	pk_jw_string(w, "node", e->node);
	pk_jw_close(w, '}');
}

static void write_text(const struct pk_parts *p, struct pk_jw *w, const struct pk_doc_entry *e)
{
	own_mem char *text = NULL;
	size_t len;

	if (!e->doc || pk_docs_text(p->docs, e, &text, &len, NULL) < 0)
		return;
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "source", e->source);
	pk_jw_string(w, "name", e->doc->name);
	pk_jw_string(w, "path", e->path);
	pk_jw_string(w, "text", text);
	pk_jw_close(w, '}');
}

static void write_world_settings(const struct pk_parts *p, struct pk_jw *w)
{
	const struct pk_settings *s = pk_model_get_settings(p->model);

	pk_jw_string(w, "baseline", pk_baseline_name(s->baseline));
	pk_jw_bool(w, "healthChecks", s->health_checks);
	pk_settings_write(s, w, "resolvers");
	pk_settings_write(s, w, "tenantReach");
	pk_settings_write(s, w, "services");
	pk_settings_write(s, w, "pools");
	pk_jw_uint(w, "revision", pk_apply_state(p->apply)->revision);
}

struct world {
	size_t endpoint, remote, document; /* the next one */
	bool others, has_endpoints;
	const struct pk_remote_endpoint *last; /* the last endpoint of other nodes in this part */
	struct pk_api_moment moment;
};

static void begin_world(struct world *l, struct pk_answer *answer)
{
	pk_answer_anew(answer);
	*l = (struct world){ .others = l->others, .moment = l->moment };
	pk_jw_open(&answer->w, NULL, '{');
	write_world_settings(answer->parts, &answer->w);
	pk_jw_open(&answer->w, "endpoints", '[');
}

/* Returns the next endpoint of another node; NULL after the last. */
static const struct pk_remote_endpoint *next_remote(struct world *l, const struct pk_parts *p)
{
	const struct pk_remotes *remotes = pk_model_remotes(p->model);

	for (size_t i = l->last ? l->remote : 0; i < l->remote; i++) {
		l->last = pk_remotes_next(remotes, l->last);
		if (!l->last)
			return NULL;
	}
	l->last = pk_remotes_next(remotes, l->last);
	l->remote++;
	return l->last;
}

/* Writes one endpoint or document; false: there is none left. */
static bool write_next(struct world *l, struct pk_answer *answer)
{
	const struct pk_parts *p = answer->parts;
	const struct pk_local_endpoint *m = NULL;
	const struct pk_remote_endpoint *remote = NULL;

	if (!l->has_endpoints)
		m = pk_model_at(p->model, l->endpoint++);
	if (m) {
		write_world_endpoint(p, &answer->w, m);
		return true;
	}
	if (!l->has_endpoints && l->others)
		remote = next_remote(l, p);
	if (remote) {
		write_remote(&answer->w, remote);
		return true;
	}
	if (!PK_MOVE(l->has_endpoints, true)) {
		pk_jw_close(&answer->w, ']');
		pk_jw_open(&answer->w, "policies", '[');
	}
	if (l->document >= pk_docs_count(p->docs))
		return false;
	write_text(p, &answer->w, pk_docs_at(p->docs, l->document++));
	return true;
}

static bool world_part(void *arg, struct pk_answer *answer, uint64_t deadline_ns)
{
	struct world *l = arg;

	l->last = NULL;
	if (pk_api_moved(answer->parts, &l->moment))
		begin_world(l, answer);
	while (write_next(l, answer))
		if (pk_now_ns() >= deadline_ns)
			return false;
	pk_jw_close(&answer->w, ']');
	pk_jw_close(&answer->w, '}');
	return true;
}

void pk_api_world(const struct pk_parts *p, struct pk_exchange *x)
{
	struct world *l = pk_alloc(sizeof(*l));

	l->others = x && pk_exchange_query(x, "others");
	pk_answer_in_parts(p, x,
			   &(struct pk_answer_how){ .part = world_part, .end = free, .arg = l });
}

struct rules {
	size_t at; /* the next rule, built-in ones first */
	struct pk_api_moment moment;
};

/* Writes the at-th rule, if it is one that is told; false: there is none left. */
static bool write_rule(const struct pk_rules *rules, size_t at, struct pk_jw *w)
{
	struct pk_rule_ref ref;

	if (at < PK_RULE_BUILTIN_COUNT) {
		if (at && pk_rules_find(rules, (uint32_t)at, &ref) == 0)
			pk_rule_json(&ref, w, NULL);
		return true;
	}
	at -= PK_RULE_BUILTIN_COUNT;
	if (at >= pk_rules_count(rules))
		return false;
	if (pk_rules_at(rules, at, &ref) == 0 && ref.number >= PK_RULE_FIRST)
		pk_rule_json(&ref, w, NULL);
	return true;
}

static bool rules_part(void *arg, struct pk_answer *answer, uint64_t deadline_ns)
{
	const struct pk_parts *p = answer->parts;
	struct rules *l = arg;

	if (pk_api_moved(p, &l->moment)) {
		pk_answer_anew(answer);
		l->at = 0;
		pk_jw_open(&answer->w, NULL, '{');
		pk_jw_open(&answer->w, "rules", '[');
	}
	while (write_rule(pk_model_rules(p->model), l->at++, &answer->w))
		if (pk_now_ns() >= deadline_ns)
			return false;
	pk_jw_close(&answer->w, ']');
	pk_jw_close(&answer->w, '}');
	return true;
}

void pk_api_rules(const struct pk_parts *p, struct pk_exchange *x)
{
	pk_answer_in_parts(p, x,
			   &(struct pk_answer_how){ .part = rules_part,
						    .end = free,
						    .arg = pk_alloc(sizeof(struct rules)) });
}
