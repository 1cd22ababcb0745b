/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "out.h"
#include "own.h"
#include "vars.h"

#define VERSION	    1
#define CHANGES_MAX 64 /* changes of one transaction; Consul takes 128 */
#define DIGITS_MIN  20 /* of a text's digest in the path of a variable, which has 128 bytes */
#define TRIES_MAX   5  /* to write a log that others write, too */

void cli_history_done(struct cli_history *h)
{
	free(h->log_key);
	free(h->text_prefix);
	free(h->lost);
	pk_json_free(h->log);
	pk_kvs_done(&h->texts);
}

void cli_history_below(const struct cli_consul_docs *docs, const char *part, struct pk_str *below)
{
	pk_str_addf(below, "history/%s%s/", docs->below + strlen("policies/"), part);
}

int cli_history_parse(const struct pk_kv *log, struct pk_json_doc **doc,
		      const struct pk_json **newest, struct pk_err *err)
{
	const struct pk_json *list, *of;
	int64_t version;
	int r = pk_json_parse(log->key, log->value, log->len, PK_JSON_NEWER, doc, err);

	list = r == 0 ? pk_json_get(pk_json_root(*doc), "revisions") : NULL;
	of = r == 0 ? pk_json_get(pk_json_root(*doc), "version") : NULL;
	if (r == 0 && pk_json_int(of, 1, INT64_MAX, &version) < 0)
		r = pk_fail(err, 0, "%s is no history", log->key);
	else if (r == 0 && version != VERSION)
		r = -EPROTO;
	else if (r == 0 && !list)
		r = pk_fail(err, 0, "%s has no revisions", log->key);
	if (r == -EPROTO) {
		pk_fail(err, 0, "%s is of another version", log->key);
		return pk_fix(err, r, "use the release that wrote it");
	}
	if (r < 0)
		return pk_fix(err, r, "apply it again, which keeps that text beside a new history");
	*newest = pk_json_first(list);
	return 0;
}

/* Reads the log. One that can't be read is in no change's way: `unread` has why. */
static int read_log(struct cli_consul_docs *docs, const char *below, struct cli_history *h,
		    struct pk_err *err)
{
	struct pk_kvs kvs = { 0 };
	struct pk_kv *log;
	int r = cli_consul_read(&docs->consul, below, &kvs, err), parsed = 0;

	log = r == 0 ? (struct pk_kv *)pk_kvs_find(&kvs, h->log_key) : NULL;
	if (log) {
		h->index = log->modified;
		parsed = cli_history_parse(log, &h->log, &h->newest, &h->unread);
	}
	if (parsed < 0 && parsed != -EPROTO) {
		h->lost_len = log->len;
		h->lost = PK_MOVE(log->value, NULL);
	}
	pk_kvs_done(&kvs);
	return r;
}

static void text_key(const struct cli_history *h, const char *digest, struct pk_str *key)
{
	pk_str_addf(key, "%s%.*s", h->text_prefix, (int)h->digits, digest);
}

static void find_keys(const struct cli_consul_docs *docs, const char *name, struct cli_history *h,
		      struct pk_str *log, struct pk_str *text)
{
	own_str log_key = { 0 }, text_prefix = { 0 };

	*h = (struct cli_history){ .digits = docs->consul.home ? DIGITS_MIN : PK_DIGEST_TEXT };
	cli_history_below(docs, "log", log);
	cli_history_below(docs, "text", text);
	pk_str_addf(log, "%s", name);
	pk_str_addf(text, "%s/", name);
	pk_str_addf(&log_key, "%s%s", docs->consul.prefix, log->text);
	pk_str_addf(&text_prefix, "%s%s", docs->consul.prefix, text->text);
	h->log_key = pk_str_take(&log_key);
	h->text_prefix = pk_str_take(&text_prefix);
}

/* Returns whether the path of a text would be too long for a variable: then there is no history. */
static bool find_unkept(struct cli_history *h)
{
	static const char digest[] = "00000000000000000000";
	own_str key = { 0 }, path = { 0 };

	text_key(h, digest, &key);
	return pk_vars_path(key.text, &path, &h->unkept) < 0;
}

bool cli_history_has_none(const struct cli_consul_docs *docs, const char *name, struct pk_err *err)
{
	own_history h = { 0 };
	own_str log = { 0 }, text = { 0 };

	find_keys(docs, name, &h, &log, &text);
	if (!docs->consul.home || !find_unkept(&h))
		return false;
	*err = h.unkept;
	return true;
}

int cli_history_read(struct cli_consul_docs *docs, const char *name, struct cli_history *h,
		     struct pk_err *err)
{
	own_str log = { 0 }, text = { 0 };
	int r;

	find_keys(docs, name, h, &log, &text);
	if (docs->consul.home && find_unkept(h))
		return 0;
	r = read_log(docs, log.text, h, err);
	return r < 0 ? r : cli_consul_names(&docs->consul, text.text, &h->texts, err);
}

int cli_history_read_texts(struct cli_consul_docs *docs, struct cli_history *h, struct pk_err *err)
{
	pk_kvs_done(&h->texts);
	h->texts = (struct pk_kvs){ 0 };
	if (*h->unkept.text)
		return 0;
	return cli_consul_read(&docs->consul, h->text_prefix + strlen(docs->consul.prefix),
			       &h->texts, err);
}

static const struct pk_kv *find_text(const struct cli_history *h, const char *digest)
{
	own_str key = { 0 };

	text_key(h, digest, &key);
	return pk_kvs_find(&h->texts, key.text);
}

const struct pk_kv *cli_history_text(const struct cli_history *h, const char *digest)
{
	const struct pk_kv *kv = find_text(h, digest);
	char found[PK_DIGEST_TEXT];

	if (!kv)
		return NULL;
	cli_consul_digest(kv->value, kv->len, found);
	return strcmp(found, digest) == 0 ? kv : NULL;
}

/* Keeps a text before the log names it: one of that name is that text. */
static enum cli_consul_end keep_text(struct cli_consul_docs *docs, const struct cli_history *h,
				     const char *digest, const char *text, size_t len,
				     struct pk_err *err)
{
	own_str key = { 0 };
	struct cli_consul_change change = { .verb = "cas", .value = text, .len = len };
	enum cli_consul_end end;

	text_key(h, digest, &key);
	change.key = key.text;
	if (find_text(h, digest))
		return CLI_CONSUL_DONE;
	end = cli_consul_write(&docs->consul, &change, 1, err);
	return end == CLI_CONSUL_STALE ? CLI_CONSUL_DONE : end;
}

struct row {
	const char *verb, *from, *to;	  /* from, to: digests, NULL: none */
	const char *log;		  /* the digest of an earlier log that can't be read */
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

static const char *digest_in(const struct pk_json *revision, const char *member)
{
	return revision ? pk_json_string(pk_json_get(revision, member)) : NULL;
}

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/*
 * Makes a log with one revision more; what somebody wrote without picket in between is one, too,
 * and so is the end of a log that nobody can read.
 */
static void new_log(const struct cli_history *h, const struct row *row, struct pk_str *out)
{
	struct pk_jw w = { .out = out };
	const char *last = digest_in(h->newest, "to");
	size_t n = 1;

	pk_jw_open(&w, NULL, '{');
	pk_jw_int(&w, "version", VERSION);
	pk_jw_open(&w, "revisions", '[');
	add_row(&w, row);
	if (!same(last, row->from)) {
		add_row(&w, &(struct row){ .verb = "found", .from = last, .to = row->from });
		n++;
	}
	if (h->lost) {
		char digest[PK_DIGEST_TEXT];

		cli_consul_digest(h->lost, h->lost_len, digest);
		add_row(&w, &(struct row){ .verb = "unreadable", .log = digest });
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

/* Adds a deletion for each text that the new log doesn't name. */
static size_t drop_texts(const struct cli_history *h, const char *log,
			 struct cli_consul_change *changes, size_t n)
{
	for (size_t i = 0; i < h->texts.n && n < CHANGES_MAX; i++)
		if (!strstr(log, h->texts.list[i].key + strlen(h->text_prefix)))
			changes[n++] = (struct cli_consul_change){ .verb = "delete",
								   .key = h->texts.list[i].key };
	return n;
}

/* Keeps the log that nobody can read; an empty one was none. */
static enum cli_consul_end keep_lost(struct cli_consul_docs *docs, const struct cli_history *h,
				     struct pk_err *err)
{
	char digest[PK_DIGEST_TEXT];

	if (!h->lost || !h->lost_len)
		return CLI_CONSUL_DONE;
	cli_consul_digest(h->lost, h->lost_len, digest);
	return keep_text(docs, h, digest, h->lost, h->lost_len, err);
}

static enum cli_consul_end keep_texts(struct cli_consul_docs *docs, const struct cli_history *h,
				      const struct cli_revision *v, const struct row *row,
				      struct pk_err *err)
{
	enum cli_consul_end end;

	if (*h->unkept.text) {
		*err = h->unkept;
		return CLI_CONSUL_REFUSED;
	}
	end = keep_lost(docs, h, err);
	if (end == CLI_CONSUL_DONE && v->old)
		end = keep_text(docs, h, row->from, v->old->kv->value, v->old->kv->len, err);
	if (end == CLI_CONSUL_DONE && v->text)
		end = keep_text(docs, h, row->to, v->text, v->len, err);
	return end;
}

static enum cli_consul_end write_all(struct cli_consul_docs *docs, const struct cli_history *h,
				     const struct cli_revision *v, const struct row *row,
				     struct pk_err *err)
{
	struct cli_consul_change changes[CHANGES_MAX] = { document_change(v) };
	own_str log = { 0 };
	enum cli_consul_end end = keep_texts(docs, h, v, row, err);

	if (end != CLI_CONSUL_DONE)
		return end;
	changes[1] = log_change(h, row, &log);
	return cli_consul_write(&docs->consul, changes, drop_texts(h, log.text, changes, 2), err);
}

static void add_revision(const struct pk_json *revision, struct pk_str *text)
{
	struct pk_jw w = { .out = text };

	if (revision)
		pk_jw_value(&w, NULL, revision);
}

/*
 * Returns whether another change's log has this one already, as found: in what it has more than the
 * log of before the change. An older revision of the same two texts was another change.
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
		if (same(digest_in(r, "to"), row->to) && same(digest_in(r, "from"), row->from))
			return true;
	}
	return false;
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
	return end;
}

/*
 * Makes the change, then tells of it. The document's index alone decides who was first: of two that
 * change it at once one is refused, and tells nothing. A history that can't be kept is in no
 * change's way: who takes a harmful document out can't wait for it.
 */
static enum cli_consul_end write_apart(struct cli_consul_docs *docs, const struct cli_history *h,
				       const struct cli_revision *v, const struct row *row,
				       struct pk_err *err)
{
	const struct cli_consul_change change = document_change(v);
	struct pk_err lacks = { 0 };
	bool kept = keep_texts(docs, h, v, row, &lacks) == CLI_CONSUL_DONE;
	enum cli_consul_end end = cli_consul_write(&docs->consul, &change, 1, err);

	if (end != CLI_CONSUL_DONE)
		return end;
	if (!kept) {
		*err = lacks;
		return CLI_CONSUL_UNTOLD;
	}
	end = tell(docs, h, row, err);
	for (int i = 0; i < TRIES_MAX && end == CLI_CONSUL_STALE; i++) {
		own_history now = { 0 };

		if (cli_history_read(docs, v->name, &now, err) < 0)
			break;
		end = is_told(&now, h, row) ? CLI_CONSUL_DONE : tell(docs, &now, row, err);
	}
	if (end == CLI_CONSUL_DONE)
		return end;
	return end == CLI_CONSUL_UNKNOWN ? CLI_CONSUL_UNSURE : CLI_CONSUL_UNTOLD;
}

/* Writes the document alone, beside the log of another release. */
static enum cli_consul_end write_untold(struct cli_consul_docs *docs, const struct cli_history *h,
					const struct cli_revision *v, struct pk_err *err)
{
	const struct cli_consul_change change = document_change(v);
	enum cli_consul_end end = cli_consul_write(&docs->consul, &change, 1, err);

	if (end != CLI_CONSUL_DONE)
		return end;
	*err = h->unread;
	return CLI_CONSUL_UNTOLD;
}

/* Says that a log that nobody can read is behind its document's history now. */
static enum cli_consul_end renewed(const struct cli_history *h, struct pk_err *err)
{
	own_str key = { 0 };
	char digest[PK_DIGEST_TEXT];

	cli_consul_digest(h->lost, h->lost_len, digest);
	text_key(h, digest, &key);
	*err = h->unread;
	*err->fix = '\0';
	if (h->lost_len)
		pk_fix(err, 0, "read %s to see what it was; it stays for %d changes", key.text,
		       CLI_HISTORY_MAX);
	return CLI_CONSUL_RENEWED;
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
	if (*h.unread.text && !h.lost)
		return write_untold(docs, &h, v, err);
	end = docs->consul.home ? write_apart(docs, &h, v, &row, err)
				: write_all(docs, &h, v, &row, err);
	return end == CLI_CONSUL_DONE && h.lost ? renewed(&h, err) : end;
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
