/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Policy documents. The first byte chooses the place that a document comes from. A document is
 * taken whole or refused whole with an error that names its place; one that is taken keeps the
 * promises of ast.h.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "doc.h"
#include "own.h"

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_selector(const struct pk_document *doc, const struct pk_selector *sel)
{
	bool namespace = doc->namespace != NULL;

	check(!sel->is_entity || sel->n_req == 0);
	for (size_t i = 0; i < sel->n_req; i++) {
		const struct pk_requirement *req = &sel->req[i];

		namespace |= req->op == PK_OP_IN && strcmp(req->key, "nomad:namespace") == 0;
		check(strchr(req->key, ':') && strncmp(req->key, "reserved:", 9) != 0);
		check((req->op == PK_OP_IN || req->op == PK_OP_NOT_IN) == (req->n_values > 0));
	}
	for (size_t i = 0; i < sel->n_req; i++)
		check(namespace || strncmp(sel->req[i].key, "meta:", 5) != 0);
}

static void check_entry(const struct pk_document *doc, const struct pk_entry *e)
{
	check(!e->empty || (e->kind == PK_PEER_ABSENT && !e->has_ports && !e->pass));
	check(e->empty || e->kind != PK_PEER_ABSENT || e->has_ports);
	check(e->has_ports == (e->n_ports > 0));
	check(!e->pass || (doc->tier == PK_TIER_OPERATOR && !e->deny && e->kind != PK_PEER_FQDNS));
	check(!e->deny || e->kind != PK_PEER_FQDNS);
	for (size_t i = 0; i < e->n_selectors; i++)
		check_selector(doc, &e->selectors[i]);
	for (size_t i = 0; i < e->n_cidrs; i++)
		for (size_t j = 0; j < e->cidrs[i].n_except; j++)
			check(pk_prefix_covers(&e->cidrs[i].cidr, &e->cidrs[i].except[j]));
	for (size_t i = 0; i < e->n_services; i++)
		check(e->services[i].namespace || !doc->namespace);
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
	check(!doc->namespace || doc->tier != PK_TIER_OPERATOR);
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
		src.namespace = "acme";
	if (pk_document_parse(&src, (const char *)data + 1, size - 1, &doc, &notes) == 0) {
		check(notes.n_errors == 0);
		check_document(doc);
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
