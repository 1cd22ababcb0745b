/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_candidate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"
#include "policy_files.h"

void cli_candidates_done(struct cli_candidate **list)
{
	for (struct cli_candidate *c = *list; c && c->text; c++) {
		free(c->text);
		pk_document_free(c->doc);
	}
	free(*list);
}

/* Reads the document as a node would: what a node refuses isn't written. */
static int load(struct cli *cli, const struct pk_doc_source *from, const char *path,
		struct cli_candidate *c)
{
	struct pk_doc_source src = *from;
	own_notes notes = { 0 };
	own_str shown = { 0 };
	struct pk_err err = { 0 };
	int r = cli_read_file(path, &c->text, &c->len, &err);

	src.path = strcmp(path, "-") ? path : "stdin";
	if (r < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	r = pk_document_parse(&src, c->text, c->len, &c->doc, &notes);
	pk_doc_notes_text(&notes, &shown);
	if (shown.text && !cli->quiet)
		fputs(shown.text, stderr);
	if (r < 0)
		return CLI_CANNOT;
	if (c->doc->uses_fqdn) {
		pk_fix(&err,
		       pk_fail(&err, 0, "%s: toFQDNs can't be in force on a node yet", src.path),
		       "name the addresses by toCIDR until then");
		return cli_fail(cli, &err, CLI_CANNOT);
	}
	if (strcmp(path, "-") == 0 && strcmp(c->doc->name, "stdin") == 0)
		return cli_usage(cli, "a document from standard input needs a \"name\"");
	return CLI_OK;
}

static int load_all(struct cli *cli, const struct pk_doc_source *from, struct cli_candidate *list)
{
	for (int i = 0; i < cli->argc; i++) {
		int r = load(cli, from, cli->argv[i], &list[i]);

		if (r != CLI_OK)
			return r;
		for (int j = 0; j < i; j++)
			if (strcmp(list[j].doc->name, list[i].doc->name) == 0)
				return cli_usage(cli, "%s and %s have the same name, %s",
						 cli->argv[j], cli->argv[i], list[i].doc->name);
	}
	return CLI_OK;
}

int cli_candidates(struct cli *cli, const struct pk_doc_source *from, struct cli_candidate **list)
{
	*list = calloc((size_t)cli->argc + 1, sizeof(**list));
	if (!*list)
		abort();
	return load_all(cli, from, *list);
}

void cli_policy_said(const struct cli *cli, const char *name, const char *what, const char *path)
{
	own_str out = { 0 };
	struct pk_jw w = { .out = &out };

	if (cli->quiet)
		return;
	if (!cli->json && !cli->jsonl) {
		pk_str_add_escaped(&out, name);
		pk_str_addf(&out, ": %s (", what);
		pk_str_add_escaped(&out, path);
		pk_str_add(&out, ")");
	} else {
		pk_jw_open(&w, NULL, '{');
		pk_jw_string(&w, "name", name);
		pk_jw_string(&w, "state", what);
		pk_jw_string(&w, "path", path);
		pk_jw_close(&w, '}');
	}
	puts(out.text);
}

int cli_candidate_keeps_name(const struct cli_candidate *c, const struct pk_doc_source *place,
			     struct pk_err *err)
{
	own_document *doc = NULL;
	own_notes notes = { 0 };

	if (pk_document_parse(place, c->text, c->len, &doc, &notes) < 0 ||
	    strcmp(doc->name, c->doc->name) == 0)
		return 0;
	return pk_fix(err,
		      pk_fail(err, 0, "%s holds \"%s\", and the new text gives itself no name",
			      place->path, c->doc->name),
		      "write \"name\": \"%s\" into it", c->doc->name);
}
