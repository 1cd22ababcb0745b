/* SPDX-License-Identifier: Apache-2.0 */
/* picket policy import: netreap's and Cilium's policies as ours, each repair listed. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "doc_read.h"
#include "fs.h"
#include "import.h"
#include "own.h"
#include "policy_files.h"
#include "yaml_json.h"

struct source {
	char *path, *text;
	size_t len;
	struct pk_yaml yaml; /* what is kept of a text that is YAML */
	bool is_yaml;
};

struct run {
	struct cli *cli;
	struct source *sources;
	size_t n;
	struct pk_import_options options;
	size_t documents, repairs, losses, refused;
};

static void run_done(struct run *run)
{
	for (size_t i = 0; i < run->n; i++) {
		free(run->sources[i].path);
		free(run->sources[i].text);
		pk_yaml_done(&run->sources[i].yaml);
	}
	free(run->sources);
}

static void print_notes(const struct run *run, const struct pk_doc_notes *notes)
{
	own_str text = { 0 };

	pk_doc_notes_text(notes, &text);
	if (text.text && !run->cli->quiet)
		fputs(text.text, stderr);
}

/*
 * Makes JSON of YAML here, since requirements are looked for in all texts before the first is
 * imported.
 */
static void read_yaml(struct run *run, struct source *source)
{
	struct pk_json_fault fault;
	own_notes notes = { 0 };

	source->is_yaml = true;
	if (pk_yaml_read(source->text, source->len, &source->yaml, &fault) == 0)
		return;
	notes.path = strdup(source->path);
	pk_read_fault(&notes, &fault);
	print_notes(run, &notes);
	run->refused++;
	pk_yaml_done(&source->yaml);
}

static int add_source(struct run *run, const char *path, struct pk_err *err)
{
	struct source *source;
	int r;

	run->sources = reallocarray(run->sources, run->n + 1, sizeof(*run->sources));
	if (!run->sources)
		abort();
	source = &run->sources[run->n];
	*source = (struct source){ 0 };
	r = cli_read_file(path, &source->text, &source->len, err);
	if (r < 0)
		return r;
	run->n++;
	source->path = pk_strdup(strcmp(path, "-") ? path : "stdin");
	if (pk_yaml_is(source->path, source->text))
		read_yaml(run, source);
	if (!source->is_yaml)
		pk_import_scan(source->text, source->len, &run->options);
	else if (source->yaml.json.text)
		pk_import_scan(source->yaml.json.text, source->yaml.json.len, &run->options);
	return 0;
}

static int is_policy_file(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return e->d_name[0] != '.' && dot &&
	       (!strcmp(dot, ".json") || !strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

static int add_path(struct run *run, const char *path, struct pk_err *err)
{
	struct dirent **list;
	struct stat st;
	int n, r = 0;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return add_source(run, path, err);
	n = scandir(path, &list, is_policy_file, alphasort);
	if (n < 0)
		return pk_fail(err, errno, "%s", path);
	for (int i = 0; i < n; i++) {
		own_str file = { 0 };

		pk_str_addf(&file, "%s/%s", path, list[i]->d_name);
		if (r == 0)
			r = add_source(run, file.text, err);
		free(list[i]);
	}
	free(list);
	if (r == 0 && n == 0)
		r = pk_fix(err, pk_fail(err, 0, "%s has no *.json, *.yaml, *.yml", path),
			   "name the files");
	return r;
}

/* Prints what a document that is taken is warned of. */
static void say_warnings(const struct run *run, const struct pk_imported *doc, const char *path)
{
	const struct pk_doc_source src = { .source = "file", .path = path };
	own_document *parsed = NULL;
	own_notes notes = { 0 };

	pk_document_parse(&src, doc->text, strlen(doc->text), &parsed, &notes);
	print_notes(run, &notes);
}

/* Returns the document's name; one that says none has its file's. */
static char *name_of(const struct pk_imported *doc, const struct source *source)
{
	char *name = doc->name ? strdup(doc->name) : pk_doc_name_of_path(source->path);

	if (!name)
		abort();
	return name;
}

static int put_one(struct run *run, const struct pk_imported *doc, const struct source *source,
		   struct pk_err *err)
{
	const char *dir = cli_get(run->cli, "dir");
	own_mem char *name = name_of(doc, source);
	own_str path = { 0 };
	int r = 0;

	if (!dir && run->documents++) {
		pk_fail(err, 0, "several documents");
		return pk_fix(err, -EINVAL, "say -dir DIR where to put them");
	}
	pk_str_addf(&path, "%s%s%s", dir ? dir : "", dir ? "/" : "", name);
	if (dir)
		r = cli_write_new(run->cli, dir, name, doc->text, err);
	else
		fputs(doc->text, stdout);
	if (r == 0)
		say_warnings(run, doc, path.text);
	run->documents += dir != NULL;
	return r;
}

static int import_one(struct run *run, const struct source *source, struct pk_err *err)
{
	const struct pk_str *json = &source->yaml.json;
	own_import result = { 0 };
	int r = 0;

	if (source->is_yaml && !json->text)
		return 0;
	pk_import_text(source->path, source->is_yaml ? json->text : source->text,
		       source->is_yaml ? json->len : source->len, &run->options, &result);
	if (source->is_yaml)
		pk_yaml_restore(&source->yaml, source->text, &result.notes);
	print_notes(run, &result.notes);
	run->repairs += result.notes.n_warnings;
	run->losses += result.n_losses;
	run->refused += result.n_refused;
	for (size_t i = 0; i < result.n && r == 0; i++)
		r = put_one(run, &result.docs[i], source, err);
	return r;
}

static int result_of(const struct run *run)
{
	if (!run->cli->quiet && run->repairs + run->losses + run->refused > 0)
		fprintf(stderr,
			"picket policy import: documents: %zu, repairs: %zu, losses: %zu, "
			"refused: %zu%s\n",
			run->documents, run->repairs, run->losses, run->refused,
			run->refused ? "; what the refused ones close isn't closed by the others"
				     : "");
	if (run->refused)
		return CLI_CANNOT;
	return run->losses ? CLI_NO : CLI_OK;
}

static int import(struct cli *cli)
{
	PK_OWN(run_done)
	struct run run = { .cli = cli,
			   .options = { .tenant_name = cli_get(cli, "namespace"),
					.cluster = cli_get(cli, "cluster") } };
	const char *dir = cli_get(cli, "dir");
	struct pk_err err = { 0 };
	int r = 0;

	for (int i = 0; i < cli->argc && r == 0; i++)
		r = add_path(&run, cli->argv[i], &err);
	if (r == 0 && dir)
		r = pk_fs_mkdirs(dir, 0755, &err);
	for (size_t i = 0; i < run.n && r == 0; i++)
		r = import_one(&run, &run.sources[i], &err);
	return r < 0 ? cli_fail(cli, &err, CLI_CANNOT) : result_of(&run);
}

static const struct cli_option import_options[] = {
	{ "dir", "DIR", "write a file a document there instead of printing the one", 0 },
	{ "namespace", "NAME", "whose policies these are, where they don't say", 0 },
	{ "cluster", "NAME", "the cluster's name in Cilium, default \"default\"", 0 },
	{ 0 },
};
const struct cli_command cli_policy_import_commands[] = {
	{ "policy", "import", "FILE|DIR...",
	  "turn netreap's or Cilium's policies into Picket's, and say what is lost", 1, -1,
	  import_options, import, false },
	{ 0 },
};
