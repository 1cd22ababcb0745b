/* SPDX-License-Identifier: Apache-2.0 */
/* picket policy show: one document of the world that is asked about. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compile.h"
#include "out.h"
#include "own.h"
#include "policy_ask.h"
#include "policy_consul.h"
#include "rules.h"
#include "cli_world.h"

static void show_selected(const struct pk_scenario *c, const struct pk_document *doc,
			  const struct pk_rule *rule, struct pk_str *out)
{
	const struct pk_world *world = pk_asker_world(c->asker);
	size_t n = 0;

	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep)) {
		enum pk_tri tri = pk_judge_selects(doc, rule, ep->labels);

		if (tri == PK_NO || !ep->local)
			continue;
		pk_str_add(out, n++ ? ", " : "    selects ");
		cli_endpoint_name(ep->key, out);
		pk_str_add(out, tri == PK_MAYBE ? " (perhaps)" : "");
	}
	pk_str_add(out, n ? "\n" : "    selects no endpoint\n");
}

/* Prints the addresses at which the services of an entry count now, beside the endpoints. */
static void show_services(const struct pk_scenario *c, const struct pk_document *doc,
			  const struct pk_entry *e, struct pk_str *out)
{
	const struct pk_settings *s = &c->settings;
	char text[PK_ADDR_TEXT];

	for (size_t i = 0; i < e->n_services * s->n_services; i++) {
		const struct pk_declared_service *d = &s->services[i % s->n_services];

		if (!pk_declared_service_is_meant(d, doc, &e->services[i / s->n_services]))
			continue;
		pk_str_add(out, "      declared service ");
		pk_str_add_escaped(out, d->name);
		pk_str_add(out, d->n_instances ? ": " : ": no instance counts now");
		for (size_t j = 0; j < d->n_instances; j++)
			pk_str_addf(out, "%s%s", j ? ", " : "",
				    pk_addr_format(&d->instances[j], text));
		pk_str_add(out, "\n");
	}
}

static void show_rule(const struct pk_scenario *c, const struct pk_document *doc,
		      const struct pk_rule *rule, struct pk_str *out)
{
	static const char *const dir_name[] = { "egress", "ingress" };

	pk_str_addf(out, "  rule %zu, line %d: ", (size_t)(rule - doc->rules), rule->line);
	pk_str_add_escaped(out, rule->description ? rule->description : "(no description)");
	pk_str_add(out, "\n");
	show_selected(c, doc, rule, out);
	for (int dir = 0; dir < 2; dir++) {
		for (size_t i = 0; i < rule->n_entries[dir]; i++) {
			const struct pk_entry *e = &rule->entries[dir][i];

			pk_str_addf(out, "    %s %s, line %d, number %u\n", dir_name[dir],
				    pk_entry_word(e), e->line, e->number);
			show_services(c, doc, e, out);
		}
		if (rule->default_deny[dir])
			pk_str_addf(out, "    default deny of %s\n", dir_name[dir]);
	}
}

static void show_unresolved(const struct pk_scenario *c, const struct pk_document *doc,
			    struct pk_str *out)
{
	struct pk_unresolved *list = NULL;
	size_t n = pk_engine_unresolved(pk_asker_engine(c->asker), &list);

	for (size_t i = 0; i < n; i++) {
		if (list[i].doc != doc)
			continue;
		pk_str_addf(out, "  unresolved, line %d: ",
			    list[i].entry ? list[i].entry->line : list[i].rule->line);
		pk_str_add_escaped(out, list[i].what);
		pk_str_add(out, "\n");
	}
	free(list);
}

static void show_document(const struct pk_scenario *c, const struct pk_document *doc,
			  struct pk_str *out)
{
	pk_str_add_escaped(out, doc->name);
	pk_str_addf(out, "  %s tier%s%s%s%s\n  ", pk_tier_name(PK_RANK(doc->tier, 0)),
		    doc->audit ? ", audit only" : "", doc->tenant_name ? ", namespace " : "",
		    doc->tenant_name ? doc->tenant_name : "",
		    doc->uses_fqdn ? ", toFQDNs: not in force on a node yet" : "");
	pk_str_add_escaped(out, doc->path);
	pk_str_add(out, "\n");
	for (size_t j = 0; j < doc->n_rules; j++)
		show_rule(c, doc, &doc->rules[j], out);
	show_unresolved(c, doc, out);
}

static void json_rule(const struct pk_scenario *c, const struct pk_document *doc,
		      const struct pk_rule *rule, struct pk_jw *w)
{
	const struct pk_rules *rules = pk_engine_rules(pk_asker_engine(c->asker));
	const struct pk_world *world = pk_asker_world(c->asker);
	struct pk_rule_ref ref;

	pk_jw_open(w, NULL, '{');
	pk_jw_int(w, "line", rule->line);
	pk_jw_string(w, "description", rule->description);
	pk_jw_open(w, "selects", '[');
	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep)) {
		enum pk_tri tri = pk_judge_selects(doc, rule, ep->labels);

		if (tri == PK_NO || !ep->local)
			continue;
		pk_jw_open(w, NULL, '{');
		pk_jw_string(w, "endpoint", ep->key);
		pk_jw_bool(w, "certain", tri == PK_YES);
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
	pk_jw_open(w, "entries", '[');
	for (int dir = 0; dir < 2; dir++)
		for (size_t i = 0; i < rule->n_entries[dir]; i++)
			if (pk_rules_find(rules, rule->entries[dir][i].number, &ref) == 0)
				pk_rule_json(&ref, w, NULL);
	pk_jw_close(w, ']');
	pk_jw_open(w, "defaultDeny", '{');
	pk_jw_bool(w, "egress", rule->default_deny[PK_EGRESS]);
	pk_jw_bool(w, "ingress", rule->default_deny[PK_INGRESS]);
	pk_jw_close(w, '}');
	pk_jw_close(w, '}');
}

static void json_document(const struct pk_scenario *c, const struct pk_document *doc,
			  struct pk_jw *w)
{
	struct pk_unresolved *list = NULL;
	size_t n = pk_engine_unresolved(pk_asker_engine(c->asker), &list);

	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "source", doc->source);
	pk_jw_string(w, "name", doc->name);
	pk_jw_string(w, "path", doc->path);
	pk_jw_string(w, "namespace", doc->tenant_name);
	pk_jw_string(w, "tier", pk_tier_name(PK_RANK(doc->tier, 0)));
	pk_jw_bool(w, "audit", doc->audit);
	pk_jw_open(w, "rules", '[');
	for (size_t j = 0; j < doc->n_rules; j++)
		json_rule(c, doc, &doc->rules[j], w);
	pk_jw_close(w, ']');
	pk_jw_open(w, "unresolved", '[');
	for (size_t i = 0; i < n; i++) {
		if (list[i].doc != doc)
			continue;
		pk_jw_open(w, NULL, '{');
		pk_jw_int(w, "line", list[i].entry ? list[i].entry->line : list[i].rule->line);
		pk_jw_string(w, "text", list[i].what);
		pk_jw_close(w, '}');
	}
	pk_jw_close(w, ']');
	pk_jw_close(w, '}');
	free(list);
}

bool cli_names_document(const struct pk_document *doc, const char *name)
{
	const char *slash = strrchr(name, '/');
	size_t n = slash ? (size_t)(slash - name) : 0, all = strlen(doc->source);

	if (strcmp(doc->name, slash ? slash + 1 : name) != 0 || n > all)
		return false;
	/*
	 * The name may have whole parts of the source from the right: tenant/acme/db is
	 * consul/tenant/acme/db.
	 */
	return !n || (strncmp(doc->source + all - n, name, n) == 0 &&
		      (n == all || doc->source[all - n - 1] == '/'));
}

/* Writes the documents of the name that the command has; returns how many there are. */
static size_t write_documents(const struct cli *cli, const struct pk_scenario *c,
			      struct pk_str *out)
{
	struct pk_jw w = { .out = out, .indent = 4 };
	size_t found = 0;

	if (cli->json)
		pk_jw_open(&w, NULL, '[');
	for (size_t i = 0; i < c->n_docs; i++) {
		struct pk_jw line = { .out = out };

		if (!cli_names_document(c->docs[i], cli->argv[0]))
			continue;
		found++;
		if (cli->json || cli->jsonl)
			json_document(c, c->docs[i], cli->json ? &w : &line);
		else
			show_document(c, c->docs[i], out);
		if (cli->jsonl)
			pk_str_add(out, "\n");
	}
	if (cli->json) {
		pk_jw_close(&w, ']');
		pk_str_add(out, "\n");
	}
	return found;
}

int cli_policy_show(struct cli *cli)
{
	own_scenario *c = NULL;
	own_str out = { 0 };
	struct pk_err err = { 0 };
	int r;

	if (!cli_consul_is_meant(cli))
		return CLI_CANNOT;
	if (cli_is_shared(cli))
		return cli_consul_show(cli);
	r = cli_world(cli, &c, &err);
	if (r == 0)
		r = pk_scenario_ready(c, &err);
	if (r < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (!write_documents(cli, c, &out)) {
		pk_fail(&err, 0, "no document in force is called \"%.100s\"", cli->argv[0]);
		pk_fix(&err, 0, "picket policy list");
		return cli_fail(cli, &err, CLI_NO);
	}
	if (cli->json || cli->jsonl)
		fputs(out.text, stdout);
	else if (!cli->quiet)
		cli_print(cli, out.text);
	return CLI_OK;
}
