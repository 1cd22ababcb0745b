/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The history of a document in a store: who made which text of which. Its log is one key, each text
 * another, named by its digest. In Consul the log is written with the document in one transaction;
 * in Nomad's Variables, which know none, after it.
 */
#include "policy_consul.h"

#define CLI_HISTORY_MAX	    20 /* revisions of a document */
#define CLI_HISTORY_VERSION 1

struct cli_history {
	char *log_key;		      /* "picket/v1/default/history/operator/log/NAME" */
	char *text_prefix;	      /* "picket/v1/default/history/operator/text/NAME/" */
	size_t digits;		      /* of a digest that a text's key has */
	uint64_t index;		      /* the index of the log's last change; 0: there is none */
	struct pk_json_doc *log;      /* NULL: there is none */
	const struct pk_json *newest; /* revision; NULL: there is none. The others follow it */
	struct pk_kvs texts;	      /* in Nomad's Variables their keys alone are read */
	struct pk_err unkept;	      /* why none can be written; empty: it can */
	struct pk_err unread; /* why the log can't be read; empty: it can, or there is none */
	char *lost;	      /* the text of a log that nobody can read */
	size_t lost_len;
};
void cli_history_done(struct cli_history *history);
#define own_history PK_OWN(cli_history_done) struct cli_history
/* Appends "history/operator/PART/": where, below the cluster's prefix, the logs or texts are. */
void cli_history_below(const struct cli_consul_docs *docs, const char *part, struct pk_str *below);
int cli_history_read(struct cli_consul_docs *docs, const char *name, struct cli_history *history,
		     struct pk_err *err);
/* Returns whether a document of that name can have no history, and why. */
bool cli_history_has_none(const struct cli_consul_docs *docs, const char *name, struct pk_err *err);
/* Reads what the texts are, too. */
int cli_history_read_texts(struct cli_consul_docs *docs, struct cli_history *history,
			   struct pk_err *err);
/*
 * Reads one log's text. -EPROTO: it is another release's, or its text isn't there as a whole; else
 * nobody can read what is refused.
 */
int cli_history_parse(const struct pk_kv *log, struct pk_json_doc **doc,
		      const struct pk_json **newest, struct pk_err *err);
/* Returns what has the key of that digest's text, whatever is in it; NULL where there is none. */
const struct pk_kv *cli_history_find_text(const struct cli_history *history, const char *digest);
/*
 * Returns the text whose digest begins with these digits, whether the log names it or not; NULL
 * where there is none that is what its name says, or more than one.
 */
const struct pk_kv *cli_history_text_of(const struct cli_history *history, const char *digits);
/*
 * Takes a log that isn't there for one that nobody can read, where texts are there beside those
 * that a change is from and to: somebody may have deleted it alone, and it named them.
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
 * Writes the document, or takes it out, with its history. A log that nobody can read is kept as a
 * text that the new one names, and so are all older texts, which it may have named. What can't be
 * kept so, and another release's log, stays as it is. None of that stops the change.
 */
enum cli_consul_end cli_history_write(struct cli_consul_docs *docs,
				      const struct cli_revision *revision, struct pk_err *err);
/*
 * Takes a document out with all of its history, or the history of one that is gone. *any says
 * whether there was anything; without it nothing is asked of Consul.
 */
enum cli_consul_end cli_history_forget(struct cli_consul_docs *docs,
				       const struct cli_revision *revision, bool *any,
				       struct pk_err *err);
