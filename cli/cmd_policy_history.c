/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket policy history|rollback: who changed a document in Consul from which text to which, and
 * how one of them comes back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"
#include "own.h"
#include "policy_consul_put.h"
#include "policy_history.h"
#include "policy_rollout.h"

#define DIGITS_MIN 4 /* digits of a digest that must be given */

static void put_digest(const struct pk_json *row, const char *member, struct pk_str *cell)
{
	pk_str_addf(cell, "%.*s", CLI_CONSUL_SHA, cli_text(row, member));
}

static void from(const struct pk_json *row, struct pk_str *cell)
{
	put_digest(row, "from", cell);
}

static void to(const struct pk_json *row, struct pk_str *cell)
{
	put_digest(row, "to", cell);
}

/* Shows who made it. Only an accessor is Consul's word; without one the name is a claim. */
static void who(const struct pk_json *row, struct pk_str *cell)
{
	pk_str_add_escaped(cell, cli_text(row, "by"));
	if (*cli_text(row, "by") && !*cli_text(row, "accessor"))
		pk_str_add(cell, " (claimed)");
}

static const struct cli_column columns[] = {
	{ .name = "name", .title = "Document" },
	{ .name = "time", .title = "Time", .time = true },
	{ .name = "by", .title = "By", .format = who },
	{ .name = "verb", .title = "What" },
	{ .name = "from", .title = "From", .format = from },
	{ .name = "to", .title = "To", .format = to },
	{ .name = "accessor", .title = "Accessor", .wide = true },
	{ 0 },
};

/* Writes the revisions of one log, with the document's name in each. */
static int add_log(const struct pk_kv *log, struct pk_jw *w, struct pk_err *err)
{
	own_json *doc = NULL;
	const struct pk_json *newest = NULL;
	const char *slash = strrchr(log->key, '/');
	int r = cli_history_parse(log, &doc, &newest, err);

	for (const struct pk_json *v = r < 0 ? NULL : newest; v; v = pk_json_next(v)) {
		pk_jw_open(w, NULL, '{');
		pk_jw_string(w, "name", slash ? slash + 1 : log->key);
		for (const struct pk_json *m = pk_json_first(v); m; m = pk_json_next(m))
			if (strcmp(pk_json_key(m), "name") != 0)
				pk_jw_value(w, pk_json_key(m), m);
		pk_jw_close(w, '}');
	}
	return r;
}

static bool is_wanted(const struct pk_kv *log, const char *name)
{
	const char *slash = strrchr(log->key, '/');

	return !name || (slash && strcmp(slash + 1, name) == 0);
}

/*
 * Reads the rows of the document of that name; NULL: of all of the source. A log that can't be read
 * is said, and hides no other.
 */
static int read_rows(const struct cli *cli, struct cli_consul_docs *docs, const char *name,
		     struct pk_str *out, unsigned int *unread, struct pk_err *err)
{
	struct pk_jw w = { .out = out };
	struct pk_kvs logs = { 0 };
	own_str below = { 0 };
	struct pk_err bad = { 0 };
	int r;

	cli_history_below(docs, "log", &below);
	pk_str_add(&below, name ?: "");
	r = cli_consul_read(&docs->consul, below.text, &logs, err);
	pk_jw_open(&w, NULL, '[');
	for (size_t i = 0; r == 0 && i < logs.n; i++)
		if (is_wanted(&logs.list[i], name) && add_log(&logs.list[i], &w, &bad) < 0) {
			if (!cli->quiet)
				cli_fail(cli, &bad, CLI_PARTLY);
			bad = (struct pk_err){ 0 };
			++*unread;
		}
	pk_jw_close(&w, ']');
	pk_kvs_done(&logs);
	return r;
}

static const char *name_given(struct cli *cli, const struct cli_consul_docs *docs)
{
	const char *name = cli_consul_docs_name(docs, cli->argv[0]);

	if (!name)
		cli_usage(cli, "\"%s\" is no name of a document of %s", cli->argv[0], docs->source);
	return name;
}

/* Says that a name is too long for a history: there is none, as of what nobody changed. */
static int has_none(const struct cli *cli, const char *name, struct pk_err *err)
{
	pk_wrap(err, 0, "%.100s has no history", name);
	return cli->quiet ? CLI_NO : cli_fail(cli, err, CLI_NO);
}

static int show_rows(struct cli *cli, const struct pk_json *rows, bool one, unsigned int unread)
{
	const size_t n = pk_json_count(rows);
	int r;

	if (unread && !n)
		return CLI_CANNOT;
	if (cli->quiet || (one && !n))
		r = n ? CLI_OK : CLI_NO;
	else
		r = cli_list(cli, rows, columns);
	return r == CLI_OK && unread ? CLI_PARTLY : r;
}

static int history(struct cli *cli)
{
	own_consul_docs docs = { 0 };
	const char *name = NULL;
	own_str text = { 0 };
	own_json *rows = NULL;
	struct pk_err err = { 0 };
	unsigned int unread = 0;
	int r = cli_consul_docs_open(cli, &docs);

	if (r != CLI_OK)
		return r;
	if (cli->argc && !(name = name_given(cli, &docs)))
		return CLI_CANNOT;
	if (name && cli_history_has_none(&docs, name, &err))
		return has_none(cli, name, &err);
	if (read_rows(cli, &docs, name, &text, &unread, &err) < 0 ||
	    pk_json_parse("history", text.text, text.len, PK_JSON_RELAXED, &rows, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	r = cli_consul_say_hidden(cli, &docs.consul, pk_json_count(pk_json_root(rows)) > 0);
	return r != CLI_OK ? r : show_rows(cli, pk_json_root(rows), name != NULL, unread);
}

static int no_text(struct cli *cli, const char *name, const char *digits)
{
	struct pk_err err = { 0 };

	pk_fail(&err, 0, "the history of %.100s has no one text %.40s", name, digits);
	pk_fix(&err, 0, "picket policy history shows the last %d of each document",
	       CLI_HISTORY_MAX);
	return cli_fail(cli, &err, CLI_CANNOT);
}

/*
 * Writes an earlier text again, checked as one that is applied: this release may refuse what an
 * earlier one took.
 */
static int put_back(struct cli *cli, struct cli_consul_docs *docs, const char *name,
		    const struct pk_kv *text)
{
	own_str path = { 0 };
	own_notes notes = { 0 };
	own_str shown = { 0 };
	struct cli_candidate c = { .text = text->value, .len = text->len };
	struct pk_doc_source src = { .source = docs->source, .tenant_name = docs->tenant_name };
	int r;

	cli_consul_docs_path(docs, name, &path);
	src.path = path.text;
	if (pk_document_parse(&src, c.text, c.len, &c.doc, &notes) < 0) {
		pk_doc_notes_text(&notes, &shown);
		fputs(shown.text ?: "", stderr);
		return CLI_CANNOT;
	}
	r = cli_consul_put(cli, docs, &c, "rollback");
	pk_document_free(c.doc);
	return r;
}

/*
 * Returns the digest of the text before the newest revision. A text that somebody wrote since then
 * without picket counts as a revision, too.
 */
static const char *before(const struct cli_consul_docs *docs, const struct cli_history *h,
			  const char *name)
{
	const struct cli_consul_doc *now = cli_consul_docs_find(docs, name);
	const char *last = pk_json_string(pk_json_get(h->newest, "to"));
	char digest[PK_DIGEST_TEXT] = "";

	if (now)
		cli_consul_digest(now->kv->value, now->kv->len, digest);
	if (strcmp(digest, last ?: "") != 0)
		return last;
	return pk_json_string(pk_json_get(h->newest, "from"));
}

static int roll_back(struct cli *cli, struct cli_consul_docs *docs, const char *name)
{
	const char *given = cli_get(cli, "to"), *digest;
	own_history h = { 0 };
	const struct pk_kv *text;
	struct pk_err err = { 0 };

	if (given && strlen(given) < DIGITS_MIN)
		return cli_usage(cli, "-to \"%s\" has fewer than %d digits", given, DIGITS_MIN);
	if (cli_history_read(docs, name, &h, &err) < 0 ||
	    cli_history_read_texts(docs, &h, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	/* Only the log says which text was before; -to finds one without it. */
	if (!given && *h.unread.text)
		return cli_fail(cli, &h.unread, CLI_CANNOT);
	if (!given && !h.newest)
		return no_text(cli, name, "");
	digest = given ?: before(docs, &h, name);
	if (!digest)
		return cli_consul_take_out(cli, docs, name, "rollback");
	text = cli_history_text_of(&h, digest);
	if (!text)
		return no_text(cli, name, digest);
	return put_back(cli, docs, name, text);
}

static int rollback(struct cli *cli)
{
	own_consul_docs docs = { 0 };
	const char *name;
	double seconds;
	int r = cli_consul_docs_open(cli, &docs);

	if (!cli_rollout_wait_given(cli, &seconds))
		return CLI_CANNOT;
	if (r != CLI_OK)
		return r;
	name = name_given(cli, &docs);
	if (!name)
		return CLI_CANNOT;
	r = cli_consul_docs_read(cli, &docs);
	if (r == CLI_OK)
		r = roll_back(cli, &docs, name);
	return r == CLI_OK && seconds > 0 ? cli_rollout_wait(cli, &docs, seconds) : r;
}

static const struct cli_option history_options[] = {
	CLI_NOMAD,
	CLI_CONSUL_OPTIONS,
	{ 0 },
};
static const struct cli_option rollback_options[] = {
	{ "to", "DIGEST", "the text of this digest, not the one before the last change", 0 },
	CLI_ROLLOUT_WAIT,
	CLI_NOMAD,
	CLI_CONSUL_OPTIONS,
	{ 0 },
};
const struct cli_command cli_policy_history_commands[] = {
	{ "policy", "history", "[NAME]",
	  "who changed documents in Consul, when, from which text to which", 0, 1, history_options,
	  history, true },
	{ "policy", "rollback", "NAME",
	  "write a document in Consul as it was before its last change", 1, 1, rollback_options,
	  rollback, false },
	{ 0 },
};
