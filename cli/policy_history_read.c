/* SPDX-License-Identifier: Apache-2.0 */
/* What there is of a document's history: its log, read as strictly as any file, and its texts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"
#include "policy_history.h"
#include "vars.h"

#define DIGITS_MIN 20 /* of a text's digest in the path of a variable, which has 128 bytes */
#define FORGET_FIX                                                                                 \
	"picket policy delete -consul -history NAME (or -nomad) drops the document and all of it"

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
	int r;

	if (log->unreadable) {
		pk_fail(err, 0, "%s: %s", log->key, log->unreadable);
		return pk_fix(err, -EPROTO, FORGET_FIX);
	}
	r = pk_json_parse(log->key, log->value, log->len, PK_JSON_NEWER, doc, err);
	list = r == 0 ? pk_json_get(pk_json_root(*doc), "revisions") : NULL;
	of = r == 0 ? pk_json_get(pk_json_root(*doc), "version") : NULL;
	if (r == 0 && pk_json_int(of, 1, INT64_MAX, &version) < 0)
		r = pk_fail(err, 0, "%s is no history", log->key);
	else if (r == 0 && version != CLI_HISTORY_VERSION)
		r = -EPROTO;
	else if (r == 0 && (!list || pk_json_type(list) != PK_JSON_ARRAY))
		r = pk_fail(err, 0, "%s has no list of revisions", log->key);
	if (r == -EPROTO) {
		pk_fail(err, 0, "%s is of another version", log->key);
		return pk_fix(err, r, "use the release that wrote it");
	}
	if (r < 0)
		return pk_fix(err, r,
			      "the next change keeps that text beside a new history; " FORGET_FIX);
	*newest = pk_json_first(list);
	return 0;
}

/* Reads the log. One that can't be read stops no change: `unread` has why. */
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

void cli_history_text_key(const struct cli_history *h, const char *digest, struct pk_str *key)
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

	cli_history_text_key(h, digest, &key);
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

const struct pk_kv *cli_history_find_text(const struct cli_history *h, const char *digest)
{
	own_str key = { 0 };

	cli_history_text_key(h, digest, &key);
	return pk_kvs_find(&h->texts, key.text);
}

const struct pk_kv *cli_history_text_of(const struct cli_history *h, const char *digits)
{
	const struct pk_kv *found = NULL;

	for (size_t i = 0; i < h->texts.n; i++) {
		const struct pk_kv *kv = &h->texts.list[i];
		char digest[PK_DIGEST_TEXT];

		cli_consul_digest(kv->value, kv->len, digest);
		if (strncmp(digest, digits, strlen(digits)) != 0 ||
		    cli_history_find_text(h, digest) != kv)
			continue;
		if (found)
			return NULL;
		found = kv;
	}
	return found;
}

static bool is_text_of(const struct cli_history *h, const struct pk_kv *kv, const char *digest)
{
	return digest && cli_history_find_text(h, digest) == kv;
}

void cli_history_note_gone(struct cli_history *h, const char *from, const char *to)
{
	size_t n = 0;

	for (size_t i = 0; i < h->texts.n; i++)
		n += !is_text_of(h, &h->texts.list[i], from) &&
		     !is_text_of(h, &h->texts.list[i], to);
	if (h->index || !n)
		return;
	h->lost = pk_strdup("");
	pk_fail(&h->unread, 0, "there is no %s, and %zu older text%s there that no log names",
		h->log_key, n, n == 1 ? " is" : "s are");
}
