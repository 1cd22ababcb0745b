/* SPDX-License-Identifier: GPL-2.0-only */
/* picket policy plan: what these documents would change. explain and suggest have their own files.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "out.h"
#include "own.h"
#include "plan.h"
#include "policy_ask.h"
#include "world.h"

static const char *const word[] = { [PK_DENY] = "denied", [PK_ALLOW] = "allowed" };

struct changed {
	const struct pk_document **docs;
	size_t n;
};

static void push(struct changed *c, const struct pk_document *doc)
{
	c->docs = realloc(c->docs, (c->n + 1) * sizeof(*c->docs));
	if (!c->docs)
		abort();
	c->docs[c->n++] = doc;
}

/* The documents of the files, and what they take the place of. */
static int replace(struct cli *cli, struct pk_case *before, struct pk_case *after,
		   struct changed *changed, struct pk_err *err)
{
	own_str said = { 0 };
	int r = 0;

	for (int i = 0; i < cli->argc && r == 0; i++) {
		size_t index = 0, had = after->n_docs;

		r = pk_case_replace_file(after, cli->argv[i], &index, &said, err);
		if (r == 0 && after->n_docs == had)
			for (size_t j = 0; j < before->n_docs; j++)
				if (!strcmp(before->docs[j]->name, after->docs[index]->name) &&
				    !strcmp(before->docs[j]->source, after->docs[index]->source))
					push(changed, before->docs[j]);
	}
	/* Only now do the places stand still. */
	for (size_t i = 0; i < after->n_docs && r == 0; i++)
		for (int j = 0; j < cli->argc; j++)
			if (!strcmp(after->docs[i]->path, cli->argv[j]))
				push(changed, after->docs[i]);
	cli_notes(&said);
	return r;
}

static void print_text(const struct cli *cli, const struct pk_plan *plan)
{
	own_str out = { 0 };

	for (size_t i = 0; i < plan->n; i++) {
		const struct pk_plan_change *c = &plan->changes[i];
		bool opens = c->after == PK_ALLOW;

		pk_str_add(&out, cli_color(cli, opens ? CLI_GREEN : CLI_RED));
		pk_str_add(&out, opens ? "  + " : "  - ");
		pk_str_add_escaped(&out, c->from);
		pk_str_add(&out, " -> ");
		pk_str_add_escaped(&out, c->to);
		pk_str_addf(&out, "  %s  %s -> %s", c->what, word[c->before], word[c->after]);
		if (c->n_from > 1 || c->n_to > 1)
			pk_str_addf(&out, "  (%zu x %zu endpoints)", c->n_from, c->n_to);
		pk_str_add(&out, cli_color(cli, CLI_PLAIN));
		pk_str_add(&out, "\n");
	}
	pk_str_addf(&out, "  tables: %zu -> %zu verdict entries\n", plan->verdicts_before,
		    plan->verdicts_after);
	pk_str_addf(&out, "%zu pairs opened, %zu pairs closed. Nothing was changed.\n",
		    plan->opened, plan->closed);
	fputs(out.text, stdout);
}

static void print_json(const struct pk_plan *plan)
{
	own_str out = { 0 };
	struct pk_jw w = { .out = &out, .indent = 4 };

	pk_jw_open(&w, NULL, '{');
	pk_jw_uint(&w, "opened", plan->opened);
	pk_jw_uint(&w, "closed", plan->closed);
	pk_jw_uint(&w, "verdictsBefore", plan->verdicts_before);
	pk_jw_uint(&w, "verdictsAfter", plan->verdicts_after);
	pk_jw_open(&w, "changes", '[');
	for (size_t i = 0; i < plan->n; i++) {
		const struct pk_plan_change *c = &plan->changes[i];

		pk_jw_open(&w, NULL, '{');
		pk_jw_string(&w, "from", c->from);
		pk_jw_string(&w, "to", c->to);
		pk_jw_string(&w, "what", c->what);
		pk_jw_string(&w, "before", word[c->before]);
		pk_jw_string(&w, "after", word[c->after]);
		pk_jw_uint(&w, "fromEndpoints", c->n_from);
		pk_jw_uint(&w, "toEndpoints", c->n_to);
		pk_jw_close(&w, '}');
	}
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
	pk_str_add(&out, "\n");
	fputs(out.text, stdout);
}

static int plan(struct cli *cli)
{
	own_case *before = NULL, *after = NULL;
	PK_OWN(pk_plan_done) struct pk_plan result = { 0 };
	struct changed changed = { 0 };
	struct pk_err err = { 0 };
	int r = cli_world(cli, &before, &err);

	if (r == 0)
		r = cli_world(cli, &after, &err);
	if (r == 0)
		r = replace(cli, before, after, &changed, &err);
	if (r == 0)
		r = pk_plan_make(before, after, changed.docs, changed.n, &result, &err);
	free(changed.docs);
	if (r < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (cli->json && !cli->quiet)
		print_json(&result);
	else if (!cli->quiet)
		print_text(cli, &result);
	return result.n ? CLI_NO : CLI_OK;
}

static const struct cli_option plan_options[] = {
	{ "world", "FILE", "an expectations file's endpoints and policies, not the live node's",
	  0 },
	{ 0 },
};
static const struct cli_option explain_options[] = {
	{ "from", "PEER", "endpoint, address, host, remote-node, world:ADDRESS, unknown:ADDRESS",
	  0 },
	{ "to", "PEER", "the same", 0 },
	{ "port", "PORT/PROTO", "80/tcp, a port label, or icmp:TYPE", 0 },
	{ "with", "FILE", "with this policy file too (or in place of the one of its name)", 0 },
	{ "world", "FILE", "an expectations file's endpoints and policies, not the live node's",
	  0 },
	{ 0 },
};
static const struct cli_option suggest_options[] = {
	{ "flows", "FILE", "a flows file (JSON lines), not what picketd remembers", 0 },
	{ "namespace", "NAME", "for this tenant alone", 0 },
	{ "denied", NULL, "from denied flows too", 0 },
	{ 0 },
};
const struct cli_command cli_policy_plan_commands[] = {
	{ "policy", "plan", "FILE...", "what would change: 0 nothing, 1 something, 2 can't tell", 1,
	  -1, plan_options, plan },
	{ "policy", "explain", "[FROM TO [PORT/PROTO]]", "would it pass, and which rule decides", 0,
	  3, explain_options, cli_explain },
	{ "policy", "suggest", NULL, "the smallest policy for the flows seen", 0, 0,
	  suggest_options, cli_suggest },
	{ "policy", "show", "NAME", "one document: its rules, their numbers, what they select", 1,
	  1, plan_options, cli_policy_show },
	{ 0 },
};
