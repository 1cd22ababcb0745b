/* SPDX-License-Identifier: GPL-2.0-only */
/* picket policy import: netreap's and Cilium's policies as ours, each repair listed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "doc.h"
#include "fs.h"
#include "import.h"
#include "own.h"
#include "policy_files.h"

static void print_notes(const struct cli *cli, const struct pk_doc_notes *notes)
{
	own_str text = { 0 };

	pk_doc_notes_text(notes, &text);
	if (text.text && !cli->quiet)
		fputs(text.text, stderr);
}

/* Would it be taken as it is? */
static bool check(const struct cli *cli, const struct pk_imported *doc, const char *path)
{
	const struct pk_doc_source src = { .source = "file", .path = path };
	own_document *parsed = NULL;
	own_notes notes = { 0 };
	bool ok = pk_document_parse(&src, doc->text, strlen(doc->text), &parsed, &notes) == 0;

	print_notes(cli, &notes);
	return ok;
}

static int write_one(const struct cli *cli, const struct pk_imported *doc, const char *dir,
		     struct pk_err *err)
{
	const char *name = doc->name ? doc->name : "imported";
	own_str path = { 0 };
	int r = cli_write_new(cli, dir, name, doc->text, err);

	if (r < 0)
		return r;
	pk_str_addf(&path, "%s/%s.json", dir, name);
	return check(cli, doc, path.text) ? 0 : 1;
}

static int put(struct cli *cli, const struct pk_import *import, bool *refused)
{
	const char *dir = cli_get(cli, "dir");
	struct pk_err err = { 0 };

	if (!dir && import->n > 1)
		return cli_usage(cli, "%zu documents: say -dir DIR where to put them", import->n);
	if (dir && pk_fs_mkdirs(dir, 0755, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	for (size_t i = 0; i < import->n; i++) {
		int r = 0;

		if (dir) {
			r = write_one(cli, &import->docs[i], dir, &err);
		} else {
			fputs(import->docs[i].text, stdout);
			r = check(cli, &import->docs[i], "imported") ? 0 : 1;
		}
		if (r < 0)
			return cli_fail(cli, &err, CLI_CANNOT);
		*refused |= r > 0;
	}
	return CLI_OK;
}

static int import(struct cli *cli)
{
	const char *path = cli->argv[0];
	own_mem char *text = NULL;
	own_import result = { 0 };
	struct pk_err err = { 0 };
	bool refused = false;
	size_t len;
	int r;

	if (cli_read_file(path, &text, &len, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	r = pk_import_text(strcmp(path, "-") ? path : "stdin", text, len, cli_get(cli, "namespace"),
			   &result);
	print_notes(cli, &result.notes);
	if (r < 0)
		return CLI_CANNOT;
	r = put(cli, &result, &refused);
	if (r != CLI_OK)
		return r;
	if (refused) {
		if (!cli->quiet)
			fprintf(stderr, "picket policy: the result is still refused: see above\n");
		return CLI_CANNOT;
	}
	return result.notes.n_errors + result.notes.n_warnings ? CLI_NO : CLI_OK;
}

static const struct cli_option import_options[] = {
	{ "dir", "DIR", "write a file a document there instead of printing the one", 0 },
	{ "namespace", "NAME", "whose policies these are, where they don't say", 0 },
	{ 0 },
};
const struct cli_command cli_policy_import_commands[] = {
	{ "policy", "import", "FILE", "netreap's or Cilium's as ours; 1 if anything was changed", 1,
	  1, import_options, import, false },
	{ 0 },
};
