/* SPDX-License-Identifier: GPL-2.0-only */
/* picket policy suggest, and show. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "ctl.h"
#include "fs.h"
#include "own.h"
#include "policy_ask.h"
#include "rules.h"
#include "suggest.h"
#include "world.h"

#define FLOWS_MAX (256u << 20)

struct taking {
	struct pk_suggest *s;
	bool denied;
	size_t bad;
};

static int take_line(void *arg, char *line, size_t len)
{
	struct taking *t = arg;
	own_json *doc = NULL;

	if (!len)
		return 0;
	if (pk_json_parse("flow", line, len, PK_JSON_RELAXED, &doc, NULL) < 0)
		t->bad++;
	else
		pk_suggest_add(t->s, pk_json_root(doc), t->denied);
	return 0;
}

static int read_file(struct taking *t, const char *path, struct pk_err *err)
{
	own_mem char *text = NULL;
	size_t len;
	int r = pk_fs_read(path, FLOWS_MAX, &text, &len, err);
	char *save = NULL;

	for (char *line = r < 0 ? NULL : strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		take_line(t, line, strlen(line));
	return r;
}

static int read_live(struct cli *cli, struct taking *t, struct pk_err *err)
{
	const struct pk_ctl_request request = { .socket = cli->socket,
						.method = "GET",
						.path = "/v1/flows?last=1024",
						.line = take_line,
						.arg = t,
						.deadline_ns = pk_now_ns() + 10000000000ull };
	PK_OWN(pk_ctl_answer_done) struct pk_ctl_answer answer = { 0 };

	return pk_ctl_ok(&request, &answer, err);
}

int cli_suggest(struct cli *cli)
{
	const char *path = cli_get(cli, "flows");
	struct taking t = { .s = pk_suggest_new(cli_get(cli, "namespace")),
			    .denied = cli_has(cli, "denied") };
	own_str out = { 0 };
	struct pk_jw w = { .out = &out, .indent = 2 };
	struct pk_err err = { 0 };
	size_t n = 0;
	int r = path ? read_file(&t, path, &err) : read_live(cli, &t, &err);

	if (r == 0)
		n = pk_suggest_write(t.s, &w);
	pk_suggest_free(t.s);
	if (r < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (t.bad)
		fprintf(stderr, "%zu lines were no JSON, ignoring them\n", t.bad);
	pk_str_add(&out, "\n");
	if (!cli->quiet)
		fputs(out.text, stdout);
	return n ? CLI_OK : CLI_NO;
}

static void show_selected(const struct pk_case *c, const struct pk_document *doc,
			  const struct pk_rule *rule, struct pk_str *out)
{
	const struct pk_world *world = pk_asker_world(c->asker);
	size_t n = 0;

	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep)) {
		enum pk_tri tri = pk_judge_selects(doc, rule, ep->labels);

		if (tri == PK_NO)
			continue;
		pk_str_add(out, n++ ? ", " : "    selects ");
		pk_str_add_escaped(out, ep->key);
		pk_str_add(out, tri == PK_MAYBE ? " (perhaps)" : "");
	}
	pk_str_add(out, n ? "\n" : "    selects no endpoint\n");
}

static void show_rule(const struct pk_case *c, const struct pk_document *doc,
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
				    e->deny   ? "deny"
				    : e->pass ? "pass"
					      : "allow",
				    e->line, e->number);
		}
		if (rule->default_deny[dir])
			pk_str_addf(out, "    default deny of %s\n", dir_name[dir]);
	}
}

static void show_unresolved(const struct pk_case *c, const struct pk_document *doc,
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

int cli_policy_show(struct cli *cli)
{
	own_case *c = NULL;
	own_str out = { 0 };
	struct pk_err err = { 0 };
	int r = cli_world(cli, &c, &err);

	if (r == 0)
		r = pk_case_ready(c, &err);
	if (r < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	for (size_t i = 0; i < c->n_docs; i++) {
		const struct pk_document *doc = c->docs[i];

		if (strcmp(doc->name, cli->argv[0]) != 0)
			continue;
		pk_str_add_escaped(&out, doc->name);
		pk_str_addf(&out, "  %s tier%s%s%s%s\n  ", pk_tier_name(PK_RANK(doc->tier, 0)),
			    doc->audit ? ", audit only" : "", doc->namespace ? ", namespace " : "",
			    doc->namespace ? doc->namespace : "",
			    doc->uses_fqdn ? ", toFQDNs: not in force on a node yet" : "");
		pk_str_add_escaped(&out, doc->path);
		pk_str_add(&out, "\n");
		for (size_t j = 0; j < doc->n_rules; j++)
			show_rule(c, doc, &doc->rules[j], &out);
		show_unresolved(c, doc, &out);
	}
	if (!out.len) {
		pk_fail(&err, 0, "no document is called '%.100s'", cli->argv[0]);
		pk_fix(&err, 0, "picket policy list");
		return cli_fail(cli, &err, CLI_NO);
	}
	if (!cli->quiet)
		fputs(out.text, stdout);
	return CLI_OK;
}
