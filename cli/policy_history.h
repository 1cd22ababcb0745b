/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps a document's history in a store: who wrote which text, and when. The log is one key; each
 * text is another one, named by its digest. In Consul the log is written in one transaction with
 * the document; in Nomad's Variables, which have none, after it.
 */
#include "policy_consul.h"

#define CLI_HISTORY_MAX	    20 /* revisions of a document */
#define CLI_HISTORY_VERSION 1

struct cli_history {
	char *log_key;		      /* "picket/v1/default/history/operator/log/NAME" */
	char *text_prefix;	      /* "picket/v1/default/history/operator/text/NAME/" */
	size_t digits;		      /* how many digits of a digest a text's key has */
	uint64_t index;		      /* the index of the log's last change; 0: there is none */
	struct pk_json_doc *log;      /* NULL: there is none */
	const struct pk_json *newest; /* revision; NULL: there is none. The others follow it */
	struct pk_kvs texts;	      /* in Nomad's Variables their keys alone are read */
	struct pk_err unkept;	      /* why no history can be written; empty: it can */
	struct pk_err unread; /* why the log can't be read; empty: it can, or there is none */
	char *lost;	      /* the text of a log that can't be read */
	size_t lost_len;
};
void cli_history_done(struct cli_history *history);
#define own_history PK_OWN(cli_history_done) struct cli_history
/* Appends "history/operator/PART/", the place of logs or texts below the cluster's prefix. */
void cli_history_below(const struct cli_consul_docs *docs, const char *part, struct pk_str *below);
int cli_history_read(struct cli_consul_docs *docs, const char *name, struct cli_history *history,
		     struct pk_err *err);
/* Returns whether a document with that name can have no history; err says why. */
bool cli_history_has_none(const struct cli_consul_docs *docs, const char *name, struct pk_err *err);
/* Reads the texts as well. */
int cli_history_read_texts(struct cli_consul_docs *docs, struct cli_history *history,
			   struct pk_err *err);
/*
 * Reads a log's text. -EPROTO: it is another release's, or isn't whole; another error: no release
 * could read it.
 */
int cli_history_parse(const struct pk_kv *log, struct pk_json_doc **doc,
		      const struct pk_json **newest, struct pk_err *err);
/* Returns the value at the key for that digest, whatever it is; NULL where there is no such key. */
const struct pk_kv *cli_history_find_text(const struct cli_history *history, const char *digest);
/*
 * Returns the text whose digest begins with these digits, also one that the log doesn't name. NULL
 * where there is none, more than one, or one that has another digest.
 */
const struct pk_kv *cli_history_text_of(const struct cli_history *history, const char *digits);
/*
 * Treats a missing log as one that can't be read, if there are texts beside the two of this change:
 * somebody may have deleted the log alone.
 */
void cli_history_note_gone(struct cli_history *history, const char *from, const char *to);
/* Appends the key of that digest's text. */
void cli_history_text_key(const struct cli_history *history, const char *digest,
			  struct pk_str *key);

struct cli_revision {
	const char *verb;		  /* apply, delete, rollback */
	const char *name, *key;		  /* the document's name; its whole key */
	const struct cli_consul_doc *old; /* NULL: there is none */
	const char *text;		  /* NULL: it goes */
	size_t len;
};
/*
 * Writes the document, or deletes it, with its history. A log that can't be read is kept as a text,
 * which the new log names, and so are all older texts, since it may have named them. Where that
 * can't be done, or the log is another release's, it stays as it is. None of this stops the change.
 */
enum cli_consul_end cli_history_write(struct cli_consul_docs *docs,
				      const struct cli_revision *revision, struct pk_err *err);
/*
 * Deletes a document with all of its history, or a deleted document's history. *any says whether
 * there was anything; if not Consul isn't asked to change anything.
 */
enum cli_consul_end cli_history_forget(struct cli_consul_docs *docs,
				       const struct cli_revision *revision, bool *any,
				       struct pk_err *err);
