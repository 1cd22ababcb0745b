/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy documents. The first byte chooses the place that a document comes from. A document is
 * taken whole or refused whole with an error that names its place; one that is taken keeps the
 * promises of ast.h, and compiled it says what the reference evaluator says.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "doc.h"
#include "own.h"

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_selector(const struct pk_document *doc, const struct pk_selector *sel)
{
	bool tenant_name = doc->tenant_name != NULL;

	check(!sel->is_entity || sel->n_req == 0);
	for (size_t i = 0; i < sel->n_req; i++) {
		const struct pk_requirement *req = &sel->req[i];

		tenant_name |= req->op == PK_OP_IN && strcmp(req->key, "nomad:namespace") == 0;
		check(strchr(req->key, ':') && strncmp(req->key, "reserved:", 9) != 0);
		check((req->op == PK_OP_IN || req->op == PK_OP_NOT_IN) == (req->n_values > 0));
	}
	for (size_t i = 0; i < sel->n_req; i++)
		check(tenant_name || strncmp(sel->req[i].key, "meta:", 5) != 0);
}

static void check_entry(const struct pk_document *doc, const struct pk_entry *e)
{
	check(!e->empty || (e->kind == PK_PEERS_ABSENT && !e->has_ports && !e->pass));
	check(e->empty || e->kind != PK_PEERS_ABSENT || e->has_ports);
	check(e->has_ports == (e->n_ports > 0));
	check(!e->pass || (doc->tier == PK_TIER_OPERATOR && !e->deny && e->kind != PK_PEERS_FQDNS));
	check(!e->deny || e->kind != PK_PEERS_FQDNS);
	for (size_t i = 0; i < e->n_selectors; i++)
		check_selector(doc, &e->selectors[i]);
	for (size_t i = 0; i < e->n_cidrs; i++)
		for (size_t j = 0; j < e->cidrs[i].n_except; j++)
			check(pk_prefix_covers(&e->cidrs[i].cidr, &e->cidrs[i].except[j]));
	for (size_t i = 0; i < e->n_services; i++)
		check(e->services[i].tenant_name || !doc->tenant_name);
	for (size_t i = 0; i < e->n_fqdns; i++)
		check(!e->fqdns[i].name != !e->fqdns[i].pattern && doc->uses_fqdn);
	for (size_t i = 0; i < e->n_ports; i++) {
		const struct pk_port_rule *p = &e->ports[i];

		check(p->icmp || p->label || p->port <= p->end);
		check(p->proto != 0);
	}
}

static void check_document(const struct pk_document *doc)
{
	check(doc->source && doc->name && doc->name[0] && doc->path);
	check(!doc->tenant_name || doc->tier != PK_TIER_OPERATOR);
	for (size_t i = 0; i < doc->n_rules; i++) {
		const struct pk_rule *rule = &doc->rules[i];

		check_selector(doc, &rule->subject);
		check(!rule->subject.is_entity || rule->subject.entity == PK_ENTITY_INIT);
		check(rule->n_entries[0] + rule->n_entries[1] > 0 && rule->line > 0);
		for (int dir = 0; dir < 2; dir++) {
			check(!rule->default_deny[dir] || rule->n_entries[dir] > 0);
			for (size_t j = 0; j < rule->n_entries[dir]; j++)
				check_entry(doc, &rule->entries[dir][j]);
		}
	}
}

static void put(struct pk_asker *a, const char *key, const char *tenant_name, const char *job)
{
	struct pk_world_endpoint *ep = pk_world_endpoint_new(key);

	ep->labels = pk_label_set_new();
	if (tenant_name)
		pk_label_set_add(ep->labels, "nomad:namespace", tenant_name);
	if (job)
		pk_label_set_add(ep->labels, "nomad:job", job);
	else if (tenant_name)
		pk_label_set_add_unknown(ep->labels, "*");
	check(pk_label_set_finish(ep->labels, NULL) == 0);
	pk_world_endpoint_add_port(ep, "http", IPPROTO_TCP, 80);
	pk_asker_put(a, ep);
}

/* Every way of being a peer. */
static struct pk_peer peer_of(const struct pk_asker *a, size_t i)
{
	static const char *const keys[] = { "api", "db", "web", "other", "vague", "init" };
	static const char *const world[] = { "203.0.113.7", "10.1.2.3", "2001:db8::1" };
	struct pk_peer p = { .party = PK_PARTY_ENDPOINT };

	if (i < PK_ARRAY_LEN(keys)) {
		p.endpoint = pk_world_get(pk_asker_world(a), keys[i]);
		return p;
	}
	i -= PK_ARRAY_LEN(keys);
	if (i < PK_ARRAY_LEN(world)) {
		p.party = PK_PARTY_WORLD;
		check(pk_addr_parse(world[i], &p.address) == 0);
		return p;
	}
	i -= PK_ARRAY_LEN(world);
	p.party = i == 0 ? PK_PARTY_HOST : PK_PARTY_UNKNOWN;
	if (i == 1)
		p.party = PK_PARTY_REMOTE_NODE;
	return p;
}
#define SUBJECTS 6
#define PEERS	 (SUBJECTS + 6)

static void ask_both(struct pk_asker *a, const struct pk_question *q)
{
	struct pk_verdict_value want, got;

	check(pk_ask(a, PK_ASK_REFERENCE, q, &want, NULL) == 0);
	check(pk_ask(a, PK_ASK_COMPILED, q, &got, NULL) == 0);
	check(want.live.verdict == got.live.verdict && want.live.rank == got.live.rank);
	check(want.audit.verdict == got.audit.verdict && want.audit.rank == got.audit.rank);
}

static void check_engines(struct pk_document *doc)
{
	static const struct {
		uint8_t proto;
		uint16_t port;
	} what[] = { { IPPROTO_TCP, 80 },
		     { IPPROTO_UDP, 53 },
		     { IPPROTO_SCTP, 9 },
		     { IPPROTO_ICMP, PK_PORT_ICMP(8, 0) },
		     { 47, 0 } };
	struct pk_settings settings;
	own_asker *a = NULL;
	int r;

	pk_settings_init(&settings);
	a = pk_asker_new(&settings, &doc, 1);
	put(a, "api", "acme", "api");
	put(a, "db", "acme", "db");
	put(a, "web", "acme", "web");
	put(a, "other", "lab", "crawler");
	put(a, "vague", "acme", NULL);
	put(a, "init", NULL, NULL);
	r = pk_asker_compile(a, NULL);
	check(r == 0 || r == -EFBIG);
	for (size_t i = 0; i < (size_t)SUBJECTS * PEERS && r == 0; i++)
		for (size_t j = 0; j < PK_ARRAY_LEN(what); j++) {
			struct pk_question q = { .subject = peer_of(a, i / PEERS).endpoint,
						 .peer = peer_of(a, i % PEERS),
						 .proto = what[j].proto,
						 .port = what[j].port };

			ask_both(a, &q);
			q.dir = PK_INGRESS;
			ask_both(a, &q);
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pk_doc_source src = { .source = "file", .path = "fuzz.json" };
	own_document *doc = NULL;
	own_notes notes = { 0 };
	own_str text = { 0 }, json = { 0 };
	struct pk_jw w = { .out = &json };
	own_json *parsed = NULL;

	if (size == 0)
		return 0;
	if (data[0] & 1)
		src.tenant_name = "acme";
	if (pk_document_parse(&src, (const char *)data + 1, size - 1, &doc, &notes) == 0) {
		check(notes.n_errors == 0);
		check_document(doc);
		check_engines(doc);
	} else {
		check(!doc && notes.n_errors > 0);
		pk_doc_notes_line(&notes, &text);
		check(text.text && strncmp(text.text, "fuzz.json:", 10) == 0);
	}
	check(notes.n <= PK_DOC_NOTES_MAX && notes.n <= notes.n_errors + notes.n_warnings);
	pk_doc_notes_text(&notes, &text);
	for (const char *p = text.text; p && *p; p++)
		check((unsigned char)*p >= 0x20 || *p == '\n');
	pk_doc_notes_json(&notes, &w, NULL);
	check(pk_json_parse("notes", json.text, json.len, 0, &parsed, NULL) == 0);
	return 0;
}
