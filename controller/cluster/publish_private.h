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
#include "tries.h"

#define PUBLISH_REPORTS "status/nodes/"
#define REFUSED_MS                                                                                 \
	600000 /* until a refused write is tried again: the token may have the right by then */

struct key {
	char *name;    /* without the prefix */
	char *body;    /* the wanted text, with number 0; NULL: the key is to go */
	char *text;    /* the same with its number, as it is written */
	bool written;  /* the store has it, as far as is known */
	bool seen;     /* wanted by the pass that is under way */
	bool stuck;    /* the store can never take it */
	bool known;    /* it has been a part of its share: written once, and not as a share's end */
	bool recalled; /* a share of an earlier picketd's, which the store hasn't shown yet */
	char *shown;   /* what it shows of it, written by that one under our session; or NULL */
	unsigned int refusals; /* in a row, by a store that answers */
	size_t parts;	       /* parts of a share, kept at its first key */
	size_t n_left;	       /* endpoints that the store's value had no room for */
	uint64_t not_before_ms;
	uint64_t number;  /* of its last text, an earlier picketd's too; 0: none is known */
	uint64_t ends_ms; /* loop time at which a key that says "no endpoint" goes; 0: it stays */
	UT_hash_handle hh;
};

struct pk_publish {
	struct pk_publish_args args;
	char *node, *prefix, *path; /* path: of the file of publish_remember */
	char *report;		    /* NULL: none was said yet */
	struct pk_timer *look, *write, *renew;
	struct pk_store_call *call, *session_call;
	struct key *keys;
	char *writing; /* the key of call */
	char *writing_text;
	char session[PK_STORE_HOLDER]; /* the session; "": none */
	bool may_not, is_out, contested;
	bool refused; /* logged already that the report */
	bool looked;  /* the store's keys were read once: before that none is taken for nobody's */
	uint64_t number; /* of the last text, an earlier picketd's too */
	uint64_t
		shows_by_ms; /* loop time until which recalled keys wait for what the store shows */
	struct pk_tries writes, sessions;
	struct pk_source source;
};

/*
 * Write and read the file that keeps, over a restart, the session (else keys would wait for its
 * end), the keys' names, the number of each key's last text, and the last number of all (the clock
 * may be set back).
 */
void publish_remember(struct pk_publish *p);
void publish_recall(struct pk_publish *p);
bool publish_is_report(const char *name);
/* Finds the key below the prefix, or makes it. */
struct key *publish_key(struct pk_publish *p, const char *name);
/*
 * Wants a share in its keys, and takes its endpoints. A key that becomes a part of it counts as new
 * even where the store has it, saying that there is no endpoint.
 */
void publish_want_share(struct pk_publish *p, const char *tenant_name, struct pk_share *share);
/* Sets what each key of this node is to say, and marks it seen. */
void publish_want_all(struct pk_publish *p);
/*
 * Ends the keys that aren't marked seen, and takes the marks away. A share's key first says for an
 * hour that there is no endpoint, and goes then: others can tell a tenant's end from a lost store,
 * where keys just go. Returns the milliseconds until another key is to end, or 0.
 */
uint64_t publish_want_ends(struct pk_publish *p, uint64_t now);
/*
 * Finds a key to write now. Where there is none, *wait is in how many milliseconds there is one; 0:
 * not before a call ends.
 */
struct key *publish_next(const struct pk_publish *p, uint64_t now, uint64_t *wait);
/*
 * Takes a recalled share as written where the store shows that it says what it is to say; else has
 * it written.
 */
void publish_take_shown(struct key *k);
/* Forgets a key, and frees it. */
void publish_drop(struct pk_publish *p, struct key *k);
/* Marks the store as good, unless there is a key that it can't take whole. */
void publish_good(struct pk_publish *p);
/* Renews the session, or asks for one. */
void publish_renew(void *arg);
