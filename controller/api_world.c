/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/world and /v1/rules: what an engine elsewhere needs to judge as this node does. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
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

static void port_text(char text[16], uint8_t proto, uint16_t port)
{
	snprintf(text, 16, "%u%s", port,
		 proto == IPPROTO_TCP	 ? "/tcp"
		 : proto == IPPROTO_UDP	 ? "/udp"
		 : proto == IPPROTO_SCTP ? "/sctp"
					 : "");
}

static void write_open(struct pk_jw *w, const char *key, const struct pk_own_port *list, size_t n)
{
	char text[16];

	pk_jw_open(w, key, '[');
	for (size_t i = 0; i < n; i++) {
		port_text(text, list[i].proto, list[i].port);
		pk_jw_string(w, NULL, text);
	}
	pk_jw_close(w, ']');
}

/* Writes what a node knows of its own endpoints and of others' alike. */
static void write_common(struct pk_jw *w, const char *name, const struct pk_world_endpoint *ep)
{
	char text[PK_ADDR_TEXT];

	pk_jw_string(w, "name", name);
	write_labels(w, ep->labels);
	pk_jw_open(w, "addresses", '[');
	for (size_t i = 0; i < ep->n_addresses; i++)
		pk_jw_string(w, NULL, pk_addr_format(&ep->addresses[i], text));
	pk_jw_close(w, ']');
	pk_jw_open(w, "ports", '{');
	for (size_t i = 0; i < ep->n_ports; i++) {
		port_text(text, ep->ports[i].proto, ep->ports[i].port);
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

/* Another node's endpoint, "acme/db/pg NODE/CONTAINER@INTERFACE": a peer, which that node judges. */
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

static void write_texts(const struct pk_parts *p, struct pk_jw *w)
{
	pk_jw_open(w, "policies", '[');
	for (size_t i = 0; i < pk_docs_count(p->docs); i++) {
		const struct pk_doc_entry *e = pk_docs_at(p->docs, i);
		own_mem char *text = NULL;
		size_t len;

		if (!e->doc || pk_docs_text(p->docs, e, &text, &len, NULL) < 0)
			continue;
		pk_jw_open(w, NULL, '{');
		pk_jw_string(w, "source", e->source);
		pk_jw_string(w, "name", e->doc->name);
		pk_jw_string(w, "path", e->path);
		pk_jw_string(w, "text", text);
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
}

void pk_api_world(const struct pk_parts *p, struct pk_exchange *x)
{
	const struct pk_settings *s = pk_model_get_settings(p->model);
	const struct pk_remotes *remotes = pk_model_remotes(p->model);
	const bool others = pk_exchange_query(x, "others");
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "baseline", pk_baseline_name(s->baseline));
	pk_jw_bool(&w, "healthChecks", s->health_checks);
	pk_settings_write(s, &w, "resolvers");
	pk_settings_write(s, &w, "tenantReach");
	pk_settings_write(s, &w, "pools");
	pk_jw_uint(&w, "revision", pk_apply_state(p->apply)->revision);
	pk_jw_open(&w, "endpoints", '[');
	for (const struct pk_local_endpoint *m = pk_model_next(p->model, NULL); m;
	     m = pk_model_next(p->model, m))
		write_world_endpoint(p, &w, m);
	for (const struct pk_remote_endpoint *e = others ? pk_remotes_next(remotes, NULL) : NULL; e;
	     e = pk_remotes_next(remotes, e))
		write_remote(&w, e);
	pk_jw_close(&w, ']');
	write_texts(p, &w);
	pk_jw_close(&w, '}');
	pk_exchange_reply(x, 200, &json);
}

void pk_api_rules(const struct pk_parts *p, struct pk_exchange *x)
{
	const struct pk_rules *rules = pk_model_rules(p->model);
	own_str json = { 0 };
	struct pk_jw w = { .out = &json };
	struct pk_rule_ref ref;

	pk_jw_open(&w, NULL, '{');
	pk_jw_open(&w, "rules", '[');
	for (uint32_t i = 1; i < PK_RULE_BUILTIN_COUNT; i++)
		if (pk_rules_find(rules, i, &ref) == 0)
			pk_rule_json(&ref, &w, NULL);
	for (size_t i = 0; i < pk_rules_count(rules); i++)
		if (pk_rules_at(rules, i, &ref) == 0 && ref.number >= PK_RULE_FIRST)
			pk_rule_json(&ref, &w, NULL);
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
	pk_exchange_reply(x, 200, &json);
}
