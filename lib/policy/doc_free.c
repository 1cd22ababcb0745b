/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "ast.h"

static void selector_done(struct pk_selector *sel)
{
	for (size_t i = 0; i < sel->n_req; i++) {
		for (size_t j = 0; j < sel->req[i].n_values; j++)
			free(sel->req[i].values[j]);
		free(sel->req[i].values);
		free(sel->req[i].key);
	}
	free(sel->req);
}

static void entry_done(struct pk_entry *entry)
{
	for (size_t i = 0; i < entry->n_selectors; i++)
		selector_done(&entry->selectors[i]);
	for (size_t i = 0; i < entry->n_cidrs; i++)
		free(entry->cidrs[i].except);
	for (size_t i = 0; i < entry->n_services; i++) {
		free(entry->services[i].name);
		free(entry->services[i].tenant_name);
	}
	for (size_t i = 0; i < entry->n_fqdns; i++) {
		free(entry->fqdns[i].name);
		free(entry->fqdns[i].pattern);
	}
	for (size_t i = 0; i < entry->n_ports; i++)
		free(entry->ports[i].label);
	free(entry->selectors);
	free(entry->cidrs);
	free(entry->entities);
	free(entry->services);
	free(entry->fqdns);
	free(entry->ports);
}

static void rule_done(struct pk_rule *rule)
{
	for (int dir = 0; dir < 2; dir++) {
		for (size_t i = 0; i < rule->n_entries[dir]; i++)
			entry_done(&rule->entries[dir][i]);
		free(rule->entries[dir]);
	}
	selector_done(&rule->subject);
	free(rule->description);
	free(rule->log);
}

void pk_document_free(struct pk_document *doc)
{
	if (!doc)
		return;
	for (size_t i = 0; i < doc->n_rules; i++)
		rule_done(&doc->rules[i]);
	free(doc->rules);
	free(doc->source);
	free(doc->name);
	free(doc->path);
	free(doc->tenant_name);
	free(doc);
}
