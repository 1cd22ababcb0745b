/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_history.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "out.h"
#include "own.h"
#include "vars.h"

#define CHANGES_MAX 64 /* changes of one transaction; Consul takes 128 */
#define TRIES_MAX   5  /* to write a log that others write, too */

/* Keeps a text before the log names it: one of that name is that text. */
static enum cli_consul_end keep_text(struct cli_consul_docs *docs, const struct cli_history *h,
				     const char *digest, const char *text, size_t len,
				     struct pk_err *err)
{
	own_str key = { 0 };
	struct cli_consul_change change = { .verb = "cas", .value = text, .len = len };
	enum cli_consul_end end;

	cli_history_text_key(h, digest, &key);
	change.key = key.text;
	if (cli_history_find_text(h, digest))
		return CLI_CONSUL_DONE;
	end = cli_consul_write(&docs->consul, &change, 1, err);
	return end == CLI_CONSUL_STALE ? CLI_CONSUL_DONE : end;
}

#define UNREADABLE "unreadable" /* the verb of the row that stands for a log that nobody can read */

struct row {
	const char *verb, *from, *to; /* from, to: digests, NULL: none */
	const char *log; /* the digest of a log that nobody can read; NULL: nothing is kept of it */
	const struct cli_consul_who *who; /* NULL: not by picket */
};

static void add_row(struct pk_jw *w, const struct row *row)
{
	char now[sizeof("2026-11-23T14:13:39Z")];
	time_t t = time(NULL);
	struct tm tm;

	strftime(now, sizeof(now), "%FT%TZ", gmtime_r(&t, &tm));
	pk_jw_open(w, NULL, '{');
	pk_jw_string(w, "time", row->who ? now : NULL);
	pk_jw_string(w, "verb", row->verb);
	pk_jw_string(w, "by", row->who ? row->who->name : NULL);
	pk_jw_string(w, "accessor", row->who && *row->who->accessor ? row->who->accessor : NULL);
	pk_jw_string(w, "from", row->from);
	pk_jw_string(w, "to", row->to);
	if (row->log)
		pk_jw_string(w, "log", row->log);
	pk_jw_close(w, '}');
}

static const char *text_in(const struct pk_json *revision, const char *member)
{
	return revision ? pk_json_string(pk_json_get(revision, member)) : NULL;
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/*
 * Makes a log with one revision more. A text that somebody wrote since the last one without picket
 * becomes a revision of its own, and so does the end of a log that nobody can read.
 */
static void new_log(const struct cli_history *h, const struct row *row, struct pk_str *out)
{
	struct pk_jw w = { .out = out };
	const char *last = text_in(h->newest, "to");
	size_t n = 1;

	pk_jw_open(&w, NULL, '{');
	pk_jw_int(&w, "version", CLI_HISTORY_VERSION);
	pk_jw_open(&w, "revisions", '[');
	add_row(&w, row);
	if (!same(last, row->from)) {
		add_row(&w, &(struct row){ .verb = "found", .from = last, .to = row->from });
		n++;
	}
	if (h->lost) {
		char digest[PK_DIGEST_TEXT];

		cli_consul_digest(h->lost, h->lost_len, digest);
		add_row(&w,
			&(struct row){ .verb = UNREADABLE, .log = h->lost_len ? digest : NULL });
	}
	for (const struct pk_json *r = h->newest; r && n < CLI_HISTORY_MAX;
	     r = pk_json_next(r), n++)
		pk_jw_value(&w, NULL, r);
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
}

/* Makes the change of a log to one with a revision more, whose text `log` keeps. */
static struct cli_consul_change log_change(const struct cli_history *h, const struct row *row,
					   struct pk_str *log)
{
	new_log(h, row, log);
	if (log->failed)
		abort();
	return (struct cli_consul_change){ .verb = "cas",
					   .key = h->log_key,
					   .value = log->text,
					   .len = log->len,
					   .index = h->index };
}

static struct cli_consul_change document_change(const struct cli_revision *v)
{
	return (struct cli_consul_change){ .verb = v->text ? "cas" : "delete-cas",
					   .key = v->key,
					   .value = v->text,
					   .len = v->len,
					   .index = v->old ? v->old->kv->modified : 0 };
}

/* Returns whether a log follows one that nobody can read, which may have named any text. */
static bool follows_lost(const char *log)
{
	own_json *doc = NULL;
	const struct pk_json *list;

	if (pk_json_parse("the log", log, strlen(log), PK_JSON_NEWER, &doc, NULL) < 0)
		return true;
	list = pk_json_get(pk_json_root(doc), "revisions");
	for (const struct pk_json *r = pk_json_first(list); r; r = pk_json_next(r))
		if (same(text_in(r, "verb"), UNREADABLE))
			return true;
	return false;
}

/* Adds a deletion for each text that the new log doesn't name. */
static size_t drop_texts(const struct cli_history *h, const char *log,
			 struct cli_consul_change *changes, size_t n)
{
	if (follows_lost(log))
		return n;
	for (size_t i = 0; i < h->texts.n && n < CHANGES_MAX; i++)
		if (!strstr(log, h->texts.list[i].key + strlen(h->text_prefix)))
			changes[n++] = (struct cli_consul_change){ .verb = "delete",
								   .key = h->texts.list[i].key };
	return n;
}

/* Keeps the text of the log that nobody can read, unless it is empty. Consul refuses a long one. */
static enum cli_consul_end keep_lost(struct cli_consul_docs *docs, const struct cli_history *h,
				     struct pk_err *err)
{
	char digest[PK_DIGEST_TEXT];
	enum cli_consul_end end;

	if (!h->lost || !h->lost_len)
		return CLI_CONSUL_DONE;
	cli_consul_digest(h->lost, h->lost_len, digest);
	end = keep_text(docs, h, digest, h->lost, h->lost_len, err);
	if (end == CLI_CONSUL_DONE)
		return end;
	pk_wrap(err, 0, "%s, and a copy of it can't be kept", h->unread.text);
	pk_fix(err, 0,
	       "copy %s elsewhere, then make it empty: the next change begins a new history",
	       h->log_key);
	return end;
}

static enum cli_consul_end keep_texts(struct cli_consul_docs *docs, const struct cli_history *h,
				      const struct cli_revision *v, const struct row *row,
				      struct pk_err *err)
{
	enum cli_consul_end end = CLI_CONSUL_DONE;

	if (v->old)
		end = keep_text(docs, h, row->from, v->old->kv->value, v->old->kv->len, err);
	if (end == CLI_CONSUL_DONE && v->text)
		end = keep_text(docs, h, row->to, v->text, v->len, err);
	return end;
}

/*
 * Takes back the texts that were kept for a change that isn't made, where there is no log: they
 * would look like those of one that somebody deleted. Beside a log the next change drops them.
 */
static void take_back(struct cli_consul_docs *docs, const struct cli_history *before,
		      const struct cli_revision *v, const struct row *row)
{
	const char *const digests[] = { row->from, row->to };
	own_history now = { 0 };
	struct pk_err err = { 0 };

	if (before->index || cli_history_read(docs, v->name, &now, &err) < 0 || now.index)
		return;
	for (size_t i = 0; i < PK_ARRAY_LEN(digests); i++) {
		own_str key = { 0 };
		struct cli_consul_change change = { .verb = "delete" };

		if (!digests[i] || cli_history_find_text(before, digests[i]))
			continue;
		cli_history_text_key(before, digests[i], &key);
		change.key = key.text;
		cli_consul_write(&docs->consul, &change, 1, &err);
	}
}

/* Writes the document alone, beside a log that stays as it is, and says why. */
static enum cli_consul_end write_untold(struct cli_consul_docs *docs, const struct cli_revision *v,
					const struct pk_err *why, struct pk_err *err)
{
	const struct cli_consul_change change = document_change(v);
	enum cli_consul_end end = cli_consul_write(&docs->consul, &change, 1, err);

	if (end != CLI_CONSUL_DONE)
		return end;
	*err = *why;
	return CLI_CONSUL_UNTOLD;
}

/* Says how a log was written: where nobody could read the one before, the history begins anew. */
static enum cli_consul_end told(const struct cli_history *h, enum cli_consul_end end,
				struct pk_err *err)
{
	own_str key = { 0 };
	char digest[PK_DIGEST_TEXT];

	if (end != CLI_CONSUL_DONE || !h->lost)
		return end;
	cli_consul_digest(h->lost, h->lost_len, digest);
	cli_history_text_key(h, digest, &key);
	*err = h->unread;
	*err->fix = '\0';
	if (h->lost_len)
		pk_fix(err, 0,
		       "read %s to see what it was; it goes with the row \"" UNREADABLE "\"",
		       key.text);
	return CLI_CONSUL_RENEWED;
}

static enum cli_consul_end write_all(struct cli_consul_docs *docs, const struct cli_history *h,
				     const struct cli_revision *v, const struct row *row,
				     struct pk_err *err)
{
	struct cli_consul_change changes[CHANGES_MAX] = { document_change(v) };
	own_str log = { 0 };
	struct pk_err lacks = { 0 };
	enum cli_consul_end end = keep_lost(docs, h, &lacks);

	if (end != CLI_CONSUL_DONE)
		return write_untold(docs, v, &lacks, err);
	end = keep_texts(docs, h, v, row, err);
	if (end != CLI_CONSUL_DONE)
		return end;
	changes[1] = log_change(h, row, &log);
	end = cli_consul_write(&docs->consul, changes, drop_texts(h, log.text, changes, 2), err);
	return told(h, end, err);
}

static void add_revision(const struct pk_json *revision, struct pk_str *text)
{
	struct pk_jw w = { .out = text };

	if (revision)
		pk_jw_value(&w, NULL, revision);
}

/*
 * Returns whether the log that another change wrote has this change's row already. Only rows that
 * the log didn't have before the change count: an older row of the same two texts was another
 * change.
 */
static bool is_told(const struct cli_history *now, const struct cli_history *before,
		    const struct row *row)
{
	own_str known = { 0 };

	add_revision(before->newest, &known);
	for (const struct pk_json *r = now->newest; r; r = pk_json_next(r)) {
		own_str text = { 0 };

		add_revision(r, &text);
		if (same(text.text, known.text))
			return false;
		if (same(text_in(r, "to"), row->to) && same(text_in(r, "from"), row->from))
			return true;
	}
	return false;
}

/* Keeps all that the log will name. */
static bool keep_all(struct cli_consul_docs *docs, const struct cli_history *h,
		     const struct cli_revision *v, const struct row *row, struct pk_err *err)
{
	if (*h->unkept.text) {
		*err = h->unkept;
		return false;
	}
	return keep_lost(docs, h, err) == CLI_CONSUL_DONE &&
	       keep_texts(docs, h, v, row, err) == CLI_CONSUL_DONE;
}

/* Writes the log of a change that is made, and drops the texts that it names no more. */
static enum cli_consul_end tell(struct cli_consul_docs *docs, const struct cli_history *h,
				const struct row *row, struct pk_err *err)
{
	own_str log = { 0 };
	struct cli_consul_change changes[CHANGES_MAX] = { log_change(h, row, &log) };
	enum cli_consul_end end;

	end = cli_consul_write(&docs->consul, changes, 1, err);
	if (end == CLI_CONSUL_DONE) /* what is left of them goes with the next change */
		cli_consul_write(&docs->consul, changes + 1,
				 drop_texts(h, log.text, changes, 1) - 1, NULL);
	return told(h, end, err);
}

/* Adds the change's row to the log that somebody else wrote meanwhile, whatever that log says. */
static enum cli_consul_end tell_again(struct cli_consul_docs *docs, const char *name,
				      const struct cli_history *before, const struct row *row,
				      struct pk_err *err)
{
	own_history now = { 0 };

	if (cli_history_read(docs, name, &now, err) < 0)
		return CLI_CONSUL_REFUSED;
	if (is_told(&now, before, row))
		return CLI_CONSUL_DONE;
	cli_history_note_gone(&now, row->from, row->to);
	if (*now.unread.text && !now.lost) {
		*err = now.unread;
		return CLI_CONSUL_REFUSED;
	}
	if (keep_lost(docs, &now, err) != CLI_CONSUL_DONE)
		return CLI_CONSUL_REFUSED;
	return tell(docs, &now, row, err);
}

/*
 * Makes the change, then tells of it. The document's index alone decides who was first: of two that
 * change it at once one is refused, and tells nothing. A history that can't be kept stops no
 * change: who takes a harmful document out can't wait for it.
 */
static enum cli_consul_end write_apart(struct cli_consul_docs *docs, const struct cli_history *h,
				       const struct cli_revision *v, const struct row *row,
				       struct pk_err *err)
{
	const struct cli_consul_change change = document_change(v);
	struct pk_err lacks = { 0 };
	bool kept = keep_all(docs, h, v, row, &lacks);
	enum cli_consul_end end = cli_consul_write(&docs->consul, &change, 1, err);

	if (end != CLI_CONSUL_DONE)
		return end;
	if (!kept) {
		*err = lacks;
		return CLI_CONSUL_UNTOLD;
	}
	end = tell(docs, h, row, err);
	for (int i = 0; i < TRIES_MAX && end == CLI_CONSUL_STALE; i++)
		end = tell_again(docs, v->name, h, row, err);
	if (end == CLI_CONSUL_DONE || end == CLI_CONSUL_RENEWED)
		return end;
	return end == CLI_CONSUL_UNKNOWN ? CLI_CONSUL_UNSURE : CLI_CONSUL_UNTOLD;
}

enum cli_consul_end cli_history_write(struct cli_consul_docs *docs, const struct cli_revision *v,
				      struct pk_err *err)
{
	own_history h = { 0 };
	char from[PK_DIGEST_TEXT], to[PK_DIGEST_TEXT];
	struct cli_consul_who who;
	struct row row = { .verb = v->verb, .who = &who };
	enum cli_consul_end end;

	if (cli_history_read(docs, v->name, &h, err) < 0 ||
	    cli_consul_self(&docs->consul, &who, err) < 0)
		return CLI_CONSUL_REFUSED;
	if (v->old) {
		cli_consul_digest(v->old->kv->value, v->old->kv->len, from);
		row.from = from;
	}
	if (v->text) {
		cli_consul_digest(v->text, v->len, to);
		row.to = to;
	}
	cli_history_note_gone(&h, row.from, row.to);
	if (*h.unread.text && !h.lost)
		return write_untold(docs, v, &h.unread, err);
	end = docs->consul.home ? write_apart(docs, &h, v, &row, err)
				: write_all(docs, &h, v, &row, err);
	/*
	 * In Variables a change of somebody else's may be under way, with a log that comes after
	 * its document and names the very same texts.
	 */
	if (end == CLI_CONSUL_REFUSED || (end == CLI_CONSUL_STALE && !docs->consul.home))
		take_back(docs, &h, v, &row);
	return end;
}

/*
 * Takes the document and its log out first, in Consul in one transaction; texts are in what else
 * that has room for.
 */
enum cli_consul_end cli_history_forget(struct cli_consul_docs *docs, const struct cli_revision *v,
				       bool *any, struct pk_err *err)
{
	struct cli_consul_change changes[CHANGES_MAX];
	enum cli_consul_end end = CLI_CONSUL_DONE;
	own_history h = { 0 };
	bool half = false; /* the document is out */
	size_t n = 0, i = 0;

	if (cli_history_read(docs, v->name, &h, err) < 0)
		return CLI_CONSUL_REFUSED;
	*any = v->old || h.index || h.texts.n;
	if (v->old)
		changes[n++] = (struct cli_consul_change){ .verb = "delete-cas",
							   .key = v->key,
							   .index = v->old->kv->modified };
	if (n && docs->consul.home) {
		end = cli_consul_write(&docs->consul, changes, n, err);
		half = end == CLI_CONSUL_DONE;
		n = 0;
	}
	if (h.index)
		changes[n++] = (struct cli_consul_change){ .verb = "delete-cas",
							   .key = h.log_key,
							   .index = h.index };
	while (end == CLI_CONSUL_DONE && (n || i < h.texts.n)) {
		while (n < CHANGES_MAX && i < h.texts.n)
			changes[n++] = (struct cli_consul_change){ .verb = "delete",
								   .key = h.texts.list[i++].key };
		end = cli_consul_write(&docs->consul, changes, n, err);
		half |= v->old && end == CLI_CONSUL_DONE;
		n = 0;
	}
	return half && end != CLI_CONSUL_DONE ? CLI_CONSUL_HALF : end;
}
