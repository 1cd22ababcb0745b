/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket policy plan: what these documents would change. explain and suggest have their own files.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "out.h"
#include "own.h"
#include "plan.h"
#include "plan_show.h"
#include "policy_ask.h"
#include "policy_files.h"
#include "policy_consul.h"
#include "cli_world.h"

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

/* Takes the document of -without NAME out, as if it were deleted. */
static int drop(struct cli *cli, struct pk_scenario *before, struct pk_scenario *after,
		struct changed *changed, struct pk_err *err)
{
	const char *name;

	for (size_t n = 0; (name = cli_nth(cli, "without", n)); n++) {
		size_t had = after->n_docs;

		for (size_t i = after->n_docs; i-- > 0;)
			if (cli_names_document(after->docs[i], name))
				pk_scenario_drop(after, i);
		for (size_t i = 0; i < before->n_docs; i++)
			if (cli_names_document(before->docs[i], name))
				push(changed, before->docs[i]);
		if (after->n_docs == had)
			return pk_fix(err,
				      pk_fail(err, 0, "no document \"%.100s\" is in force", name),
				      "picket policy list");
	}
	return 0;
}

/* Collects the documents of the files, and takes out what they replace. */
static int replace(struct cli *cli, struct pk_scenario *before, struct pk_scenario *after,
		   struct changed *changed, struct pk_err *err)
{
	own_str said = { 0 };
	int r = 0;

	for (int i = 0; i < cli->argc && r == 0; i++) {
		size_t index = 0, had = after->n_docs;

		r = cli_file_fix(err,
				 pk_scenario_replace_file(after, cli->argv[i], &index, &said, err));
		if (r == 0 && after->n_docs == had)
			for (size_t j = 0; j < before->n_docs; j++)
				if (!strcmp(before->docs[j]->name, after->docs[index]->name) &&
				    !strcmp(before->docs[j]->source, after->docs[index]->source))
					push(changed, before->docs[j]);
	}
	/*
	 * The documents of the files are collected only now: a later file may replace what an
	 * earlier one gave.
	 */
	for (size_t i = 0; i < after->n_docs && r == 0; i++)
		for (int j = 0; j < cli->argc; j++)
			if (!strcmp(after->docs[i]->path, cli->argv[j]))
				push(changed, after->docs[i]);
	cli_notes(&said, err);
	return r;
}

/* The node's live connections. Where they aren't counted, why says the reason. */
struct live {
	bool counted;
	struct pk_err why;
	struct cli_flows flows;
};

static void live_done(struct live *live)
{
	cli_flows_done(&live->flows);
}

static void read_live(const struct cli *cli, struct live *out)
{
	own_bpf *bpf = NULL;
	own_live *live = NULL;

	if (cli_has(cli, "world"))
		pk_fail(&out->why, 0, "the world is a file's");
	else
		out->counted = cli_live_open(cli, &bpf, &live, &out->why) == 0 &&
			       cli_flows_live(live, &out->flows, &out->why) == 0;
}

static void add_count(struct pk_str *out, size_t n, const char *what)
{
	pk_str_addf(out, "%zu %s%s", n, what, n == 1 ? "" : "s");
}

static void print_text(const struct cli *cli, const struct pk_plan *plan, const struct live *live)
{
	own_str out = { 0 };

	plan_show_changes(cli, plan, &out);
	if (plan->partial)
		pk_str_add(&out, "  not every prefix was compared: there are too many\n");
	pk_str_addf(&out, "  tables: %zu -> %zu verdict entries\n", plan->verdicts_before,
		    plan->verdicts_after);
	pk_str_add(&out, "  live connections: ");
	if (live->counted) {
		pk_str_addf(&out, "%zu of %zu would be cut\n", plan->cut, live->flows.n);
	} else {
		pk_str_add(&out, "not counted: ");
		pk_str_add_escaped(&out, live->why.text);
		pk_str_add(&out, "\n");
	}
	add_count(&out, plan->opened, "pair");
	pk_str_add(&out, " opened, ");
	add_count(&out, plan->closed, "pair");
	pk_str_add(&out, " closed. Nothing was changed.\n");
	cli_print(cli, out.text);
}

static void json_change(const struct pk_plan_change *c, bool counted, struct pk_jw *w)
{
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "from", c->from);
	pk_jw_string(w, "to", c->to);
	pk_jw_string(w, "what", c->what);
	pk_jw_string(w, "before", word[c->before]);
	pk_jw_string(w, "after", word[c->after]);
	pk_jw_uint(w, "fromEndpoints", c->n_from);
	pk_jw_uint(w, "toEndpoints", c->n_to);
	if (counted)
		pk_jw_uint(w, "connectionsCut", c->cut);
	else
		pk_jw_null(w, "connectionsCut");
	pk_jw_close(w, '}');
}

static void print_json(const struct cli *cli, const struct pk_plan *plan, const struct live *live)
{
	own_str out = { 0 };
	struct pk_jw w = { .out = &out, .indent = cli->jsonl ? 0 : 4 };

	pk_jw_open(&w, NULL, '{');
	pk_jw_uint(&w, "opened", plan->opened);
	pk_jw_uint(&w, "closed", plan->closed);
	if (live->counted) {
		pk_jw_uint(&w, "connections", live->flows.n);
		pk_jw_uint(&w, "connectionsCut", plan->cut);
	} else {
		pk_jw_null(&w, "connections");
		pk_jw_null(&w, "connectionsCut");
	}
	pk_jw_bool(&w, "partial", plan->partial);
	pk_jw_uint(&w, "verdictsBefore", plan->verdicts_before);
	pk_jw_uint(&w, "verdictsAfter", plan->verdicts_after);
	pk_jw_open(&w, "changes", '[');
	for (size_t i = 0; i < plan->n; i++)
		json_change(&plan->changes[i], live->counted, &w);
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
	puts(out.text);
}

/* Makes the scenario of before and the one of after, and says which documents are others. */
static int read_both(struct cli *cli, struct cli_world *world, struct pk_scenario **before,
		     struct pk_scenario **after, struct changed *changed, struct pk_err *err)
{
	int r = cli_world_read(cli, world, err);

	if (r == 0)
		r = cli_world_case(world, before, err);
	if (r == 0)
		r = cli_world_case(world, after, err);
	if (r == 0)
		r = cli_source(cli, *after, err);
	if (r == 0)
		r = drop(cli, *before, *after, changed, err);
	return r < 0 ? r : replace(cli, *before, *after, changed, err);
}

static int plan(struct cli *cli)
{
	own_world world = { 0 };
	own_scenario *before = NULL, *after = NULL;
	PK_OWN(pk_plan_done) struct pk_plan result = { 0 };
	PK_OWN(live_done) struct live live = { 0 };
	struct changed changed = { 0 };
	struct pk_err err = { 0 };
	int r;

	if (!cli->argc && !cli_has(cli, "without"))
		return cli_usage(cli, "FILE... is missing");
	r = read_both(cli, &world, &before, &after, &changed, &err);
	if (r == 0) {
		struct pk_plan_ask ask = { .before = before,
					   .after = after,
					   .changed = changed.docs,
					   .n_changed = changed.n };

		read_live(cli, &live);
		ask.flows = live.flows.list;
		ask.n_flows = live.flows.n;
		r = pk_plan_make(&ask, &result, &err);
	}
	free(changed.docs);
	if (r < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if ((cli->json || cli->jsonl) && !cli->quiet)
		print_json(cli, &result, &live);
	else if (!cli->quiet)
		print_text(cli, &result, &live);
	/* An empty list means "nothing changes" only where everything was compared. */
	if (result.n)
		return CLI_NO;
	return result.partial ? CLI_CANNOT : CLI_OK;
}

#define AS_OPTION                                                                                  \
	{ "as", "SOURCE",                                                                          \
	  "whose the files are: file (default), consul/operator, consul/tenant/NAMESPACE; of "     \
	  "Nomad's Variables nomad/operator, nomad/tenant/NAMESPACE",                              \
	  0 }
static const struct cli_option show_options[] = {
	{ "world", "FILE", "an expectations file's endpoints and policies, not the live node's",
	  0 },
	CLI_CONSUL,
	{ 0 },
};
static const struct cli_option plan_options[] = {
	AS_OPTION,
	{ "without", "NAME", "as if this document were deleted", 0 },
	{ "world", "FILE", "an expectations file's endpoints and policies, not the live node's",
	  0 },
	{ 0 },
};
static const struct cli_option explain_options[] = {
	{ "from", "PEER", "endpoint, address, host, remote-node, world:ADDRESS, unknown:ADDRESS",
	  0 },
	{ "to", "PEER", "the same", 0 },
	{ "port", "PORT/PROTO", "80/tcp, a port label, icmp:TYPE, icmpv6:TYPE", 0 },
	{ "with", "FILE", "with this policy file too (or in place of the one of its name)", 0 },
	AS_OPTION,
	{ "world", "FILE", "an expectations file's endpoints and policies, not the live node's",
	  0 },
	{ 0 },
};
static const struct cli_option suggest_options[] = {
	{ "flows", "FILE", "a flows file (JSON lines), not what this node has seen", 0 },
	{ "namespace", "NAME", "for this tenant alone", 0 },
	{ "denied", NULL, "from flows that policy denied, too", 0 },
	{ "dir", "DIR", "write a file a document there instead of printing the one", 0 },
	{ 0 },
};
const struct cli_command cli_policy_plan_commands[] = {
	{ "policy", "plan", "FILE...", "what these documents would change; nothing is changed", 0,
	  -1, plan_options, plan, false },
	{ "policy", "explain", "[FROM TO [PORT/PROTO]]",
	  "would this connection pass, and which rule decides", 0, 3, explain_options, cli_explain,
	  false },
	{ "explain", NULL, "[FROM TO [PORT/PROTO]]", "the same as policy explain", 0, 3,
	  explain_options, cli_explain, false },
	{ "policy", "suggest", NULL, "the smallest policy that allows the flows that were seen", 0,
	  0, suggest_options, cli_suggest, false },
	{ "policy", "show", "NAME", "one document: its rules, their numbers, and what they select",
	  1, 1, show_options, cli_policy_show, false },
	{ 0 },
};
