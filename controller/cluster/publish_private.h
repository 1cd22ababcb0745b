/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Shared by publish.c, which writes keys, publish_words.c, which makes what they say, and
 * publish_session.c, which keeps the session that holds them.
 */
#include <uthash.h>

#include "publish.h"
#include "share.h"
#include "store.h"

#define PUBLISH_REPORTS "status/nodes/"
#define REFUSED_MS                                                                                 \
	600000 /* until a refused write is tried again: the token may have the right by then */

struct key {
	char *name;   /* the key below the prefix */
	char *body;   /* what it is to say, under number 0; NULL: that it goes */
	char *text;   /* the same as it is written */
	bool written; /* the store has it, as far as is known */
	bool seen;    /* found by the look that is under way */
	bool stuck;   /* it can't be written */
	bool known;   /* what it says is of its share: it was written once, and not by its end */
	unsigned int refusals; /* in a row, by a store that answers */
	size_t parts;	       /* of a share, at its first key */
	size_t n_left;	       /* endpoints that it has no room for */
	uint64_t not_before_ms;
	uint64_t
		ends_ms; /* when it goes, of a tenant's that says that there is no endpoint; or 0 */
	UT_hash_handle hh;
};

struct pk_publish {
	struct pk_publish_args args;
	char *node, *prefix, *path; /* of the file that remembers */
	char *report;		    /* NULL: none was said yet */
	struct pk_timer *look, *write, *renew;
	struct pk_store_call *call, *session_call;
	struct key *keys;
	char *writing; /* the key of call */
	char *writing_text;
	char session[PK_STORE_HOLDER]; /* the session; "": none */
	bool may_not, is_out, contested;
	bool refused;	 /* said already that the report is refused */
	bool looked;	 /* else an earlier picketd's keys would seem to be nobody's */
	uint64_t number; /* number of the last text */
	unsigned int failures, session_failures;
	struct pk_source source;
};

/*
 * Remembers the session and the names of keys over a restart, which would otherwise wait for the
 * old session's end, and the last number: the clock may be set back meanwhile. The other reads what
 * was remembered.
 */
void publish_remember(struct pk_publish *p);
void publish_recall(struct pk_publish *p);
bool publish_is_report(const char *name);
/* Finds the key below the prefix, or makes it. */
struct key *publish_key(struct pk_publish *p, const char *name);
/*
 * Has a share written in its keys, and takes its endpoints. A key that was no part of it before is
 * a new one, also where the store has it still, saying that there is nobody.
 */
void publish_want_share(struct pk_publish *p, const char *tenant_name, struct pk_share *share);
/* Sets what each key of this node is to say, and marks it seen. */
void publish_want_all(struct pk_publish *p);
/*
 * Ends the keys that aren't marked seen, and takes the marks away. A tenant's says first, for an
 * hour, that there is no endpoint: nodes that say so at once are a job's end, keys that lack at
 * once may be a lost store. Returns after how many milliseconds there is another key to end, or 0.
 */
uint64_t publish_want_ends(struct pk_publish *p, uint64_t now);
/*
 * Finds a key whose turn it is now; else *wait is how long there is none, 0: until another one is
 * written.
 */
struct key *publish_next(const struct pk_publish *p, uint64_t now, uint64_t *wait);
/* Says that the store takes what is written, unless there is a key that it can't take whole. */
void publish_good(struct pk_publish *p);
/* Renews the session, or asks for one. */
void publish_renew(void *arg);
