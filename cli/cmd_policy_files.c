/* SPDX-License-Identifier: Apache-2.0 */
/* picket policy validate|fmt|schema: files alone; no controller, no root. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "doc.h"
#include "layout.h"
#include "fs.h"
#include "own.h"
#include "policy_files.h"
#include "doc_schema.h"
#include "doc_schema_json.h"
#include "settings.h"

#define TEXT_MAX (64u << 20)

int cli_file_fix(struct pk_err *err, int r)
{
	if (r == -ENOENT || r == -ENOTDIR)
		return pk_fix(err, r, "name a file that is there");
	if (r == -EISDIR)
		return pk_fix(err, r, "it is a directory: name the files in it");
	if (r == -EACCES || r == -EPERM)
		return pk_fix(err, r, "its owner may read it, and root");
	return pk_fs_fix(err, r);
}

int cli_read_file(const char *path, char **text, size_t *len, struct pk_err *err)
{
	int r = strcmp(path, "-") == 0 ? pk_fs_read_fd(0, TEXT_MAX, text, len, err)
				       : pk_fs_read(path, TEXT_MAX, text, len, err);

	return cli_file_fix(err, r);
}

/*
 * Makes a file's name of one that another program chose: no way out of the directory, no hidden
 * file.
 */
static void file_name(const char *dir, const char *name, struct pk_str *path)
{
	pk_str_addf(path, "%s/", dir);
	for (const char *p = name; *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			     (*p >= '0' && *p <= '9') || (p > name && strchr("._-", *p));

		pk_str_addn(path, plain ? p : "_", 1);
	}
	pk_str_add(path, ".json");
}

int cli_write_new(const struct cli *cli, const char *dir, const char *name, const char *text,
		  struct pk_err *err)
{
	own_str path = { 0 };
	int r;

	file_name(dir, name, &path);
	if (access(path.text, F_OK) == 0)
		return pk_fix(err, pk_fail(err, EEXIST, "%s", path.text),
			      "give an empty directory");
	r = pk_fs_write(path.text, text, strlen(text), 0644, err);
	if (r == 0 && !cli->quiet)
		printf("%s\n", path.text);
	return r;
}

/* The findings of one run of validate. */
struct seen {
	struct cli *cli;
	struct pk_jw *w;
	char **names, **paths; /* names and paths of the documents that were taken */
	size_t n, room;
	size_t documents, refused, errors, warnings;
	bool unreadable;
	struct pk_settings settings; /* this node's, as picketd made them; else the defaults */
};

static void seen_done(struct seen *s)
{
	pk_settings_done(&s->settings);
	for (size_t i = 0; i < s->n; i++) {
		free(s->names[i]);
		free(s->paths[i]);
	}
	free(s->names);
	free(s->paths);
}

static void remember(struct seen *s, const struct pk_document *doc)
{
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 16;
		s->names = reallocarray(s->names, s->room, sizeof(*s->names));
		s->paths = reallocarray(s->paths, s->room, sizeof(*s->paths));
		if (!s->names || !s->paths)
			abort();
	}
	s->names[s->n] = pk_strdup(doc->name);
	s->paths[s->n++] = pk_strdup(doc->path);
}

/*
 * Returns who has the name already: a directory's documents are one source, where a name is taken
 * once.
 */
static const char *taken_by(const struct seen *s, const struct pk_document *doc)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->names[i], doc->name) == 0)
			return s->paths[i];
	return NULL;
}

static void show_json(struct seen *s, const char *path, const struct pk_document *doc, bool valid,
		      const struct pk_doc_notes *notes)
{
	struct pk_jw line = { .out = s->w->out }, *w = s->cli->jsonl ? &line : s->w;

	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "file", path);
	pk_jw_string(w, "document", doc ? doc->name : NULL);
	pk_jw_bool(w, "valid", valid);
	pk_doc_notes_json(notes, w, "notes");
	pk_jw_close(w, '}');
	if (s->cli->jsonl)
		pk_str_add(w->out, "\n");
}

static void show(struct seen *s, const char *path, const struct pk_document *doc,
		 const struct pk_doc_notes *notes)
{
	const char *other = doc ? taken_by(s, doc) : NULL;
	bool valid = doc && !other;
	own_str text = { 0 };

	s->documents++;
	s->refused += !valid;
	s->errors += notes->n_errors + (other != NULL);
	s->warnings += notes->n_warnings;
	if (s->w) {
		show_json(s, path, doc, valid, notes);
	} else if (!s->cli->quiet) {
		pk_doc_notes_text(notes, &text);
		if (other) {
			pk_str_add_escaped(&text, path);
			pk_str_add(&text, ":1:1: error: .: the name \"");
			pk_str_add_escaped(&text, doc->name);
			pk_str_add(&text, "\" is taken by ");
			pk_str_add_escaped(&text, other);
			pk_str_add(&text, "\n");
		}
		fputs(text.text ? text.text : "", stdout);
	}
	if (valid)
		remember(s, doc);
}

static void validate_file(struct seen *s, const char *path)
{
	const char *tenant_name = cli_get(s->cli, "namespace");
	const struct pk_doc_source src = { .source = "file",
					   .path = strcmp(path, "-") ? path : "stdin",
					   .tenant_name = tenant_name,
					   .settings = &s->settings };
	own_document *doc = NULL;
	own_notes notes = { 0 };
	own_mem char *text = NULL;
	struct pk_err err = { 0 };
	size_t len;

	if (cli_read_file(path, &text, &len, &err) < 0) {
		cli_fail(s->cli, &err, CLI_CANNOT);
		s->unreadable = true;
		return;
	}
	pk_document_parse(&src, text, len, &doc, &notes);
	show(s, src.path, doc, &notes);
}

static int is_document(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return entry->d_name[0] != '.' && n > 5 && strcmp(entry->d_name + n - 5, ".json") == 0;
}

/* Checks a directory as picketd reads policies.d: *.json in byte order, and no subdirectory. */
static void validate_directory(struct seen *s, const char *path)
{
	struct dirent **entries = NULL;
	int n = scandir(path, &entries, is_document, alphasort);
	struct pk_err err = { 0 };

	if (n < 0) {
		pk_fail(&err, errno, "%s", path);
		cli_fail(s->cli, &err, CLI_CANNOT);
		s->unreadable = true;
		return;
	}
	for (int i = 0; i < n; i++) {
		own_str file = { 0 };

		pk_str_addf(&file, "%s/%s", path, entries[i]->d_name);
		validate_file(s, file.text);
		free(entries[i]);
	}
	free(entries);
}

static void summary(const struct seen *s)
{
	if (s->refused)
		printf("%zu of %zu document%s refused", s->refused, s->documents,
		       s->documents == 1 ? "" : "s");
	else
		printf("%zu document%s valid", s->documents, s->documents == 1 ? "" : "s");
	if (s->errors)
		printf(", %zu error%s", s->errors, s->errors == 1 ? "" : "s");
	if (s->warnings)
		printf(", %zu warning%s", s->warnings, s->warnings == 1 ? "" : "s");
	printf("\n");
}

static int validate(struct cli *cli)
{
	PK_OWN(seen_done) struct seen s = { .cli = cli };
	own_str out = { 0 };
	struct pk_jw w = { .out = &out, .indent = cli->jsonl ? 0 : 2 };
	bool json = cli->json || cli->jsonl;

	pk_settings_init(&s.settings);
	pk_settings_read(&s.settings, cli->paths.node_json, NULL);
	if (json) {
		s.w = &w;
		if (!cli->jsonl)
			pk_jw_open(&w, NULL, '[');
	}
	for (int i = 0; i < cli->argc; i++) {
		struct stat st;

		if (stat(cli->argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			validate_directory(&s, cli->argv[i]);
		else
			validate_file(&s, cli->argv[i]);
	}
	if (json) {
		if (!cli->jsonl) {
			pk_jw_close(&w, ']');
			pk_str_add(&out, "\n");
		}
		if (!cli->quiet)
			fputs(out.text ? out.text : "", stdout);
	} else if (!cli->quiet) {
		summary(&s);
	}
	if (s.unreadable)
		return CLI_CANNOT;
	return s.refused ? CLI_NO : CLI_OK;
}

/* Rewrites the file in place: its mode stays, and a link is followed. */
static int rewrite(struct cli *cli, const char *path, const struct pk_str *text)
{
	own_mem char *real = realpath(path, NULL);
	struct pk_err err = { 0 };
	struct stat st;

	if (!real || stat(real, &st) < 0) {
		pk_fail(&err, errno, "%s", path);
		return cli_fail(cli, &err, CLI_CANNOT);
	}
	if (pk_fs_write(real, text->text, text->len, st.st_mode & 07777, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	return CLI_OK;
}

static int fmt_file(struct cli *cli, const char *path)
{
	bool in_place = cli_has(cli, "w"), list = cli_has(cli, "l");
	struct pk_json_fault fault = { 0 };
	own_mem char *text = NULL;
	struct pk_err err = { 0 };
	own_str out = { 0 };
	bool differs;
	size_t len;

	if (cli_read_file(path, &text, &len, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (pk_layout(path, text, len, &out, &fault) < 0) {
		pk_fail(&err, 0, "%s:%d:%d: error: %s: %s", path, fault.where.line, fault.where.col,
			fault.where.path, fault.what);
		return cli_fail(cli, &err, CLI_CANNOT);
	}
	differs = strlen(text) != len || strcmp(out.text, text) != 0;
	if (list && differs && !cli->quiet)
		printf("%s\n", path);
	if (!list && !in_place)
		fputs(out.text, stdout);
	if (in_place && differs && rewrite(cli, path, &out) != CLI_OK)
		return CLI_CANNOT;
	return list && differs && !in_place ? CLI_NO : CLI_OK;
}

static int fmt(struct cli *cli)
{
	int worst = CLI_OK;

	for (int i = 0; i < cli->argc; i++) {
		int status;

		if (cli_has(cli, "w") && strcmp(cli->argv[i], "-") == 0)
			return cli_usage(cli, "-w needs a file, not standard input");
		status = fmt_file(cli, cli->argv[i]);
		worst = status > worst ? status : worst;
	}
	return worst;
}

static int schema(struct cli *cli)
{
	own_str out = { 0 };

	(void)cli;
	pk_doc_schema_json(&out);
	fputs(out.text, stdout);
	return CLI_OK;
}

static const struct cli_option validate_options[] = {
	{ "namespace", "NAME", "the documents belong to this namespace, as under tenants/NAME/",
	  0 },
	{ 0 },
};
static const struct cli_option fmt_options[] = {
	{ "w", NULL, "write the files instead of printing them", 0 },
	{ "l", NULL, "list the files whose layout differs; 1 if there are any", 0 },
	{ 0 },
};
const struct cli_command cli_policy_file_commands[] = {
	{ "policy", "validate", "FILE...",
	  "check documents, without a node: files, directories, or - for standard input", 1, -1,
	  validate_options, validate, false },
	{ "policy", "fmt", "FILE...", "lay a document out in the one style; comments stay", 1, -1,
	  fmt_options, fmt, false },
	{ "policy", "schema", NULL, "the JSON Schema of a document, for editors", 0, 0, NULL,
	  schema, false },
	{ 0 },
};
