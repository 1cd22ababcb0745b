/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Watches the keys below a prefix of the store by a question that waits, and tells each of its
 * whole answers.
 */
#include "loop.h"
#include "source.h"
#include "store.h"

struct pk_keys_watch;

struct pk_keys_answer {
	const struct pk_kvs *kvs;
	bool first; /* since the watch was made */
	/* the store seems restored from a backup: this is older than the answer before */
	bool behind;
	bool filtered; /* the token may not see all keys */
};
/* Is told of each answer. It may free the watch. */
typedef void pk_keys_fn(void *arg, const struct pk_keys_answer *answer);
/* Looks at one key of an answer that is told later. */
typedef void pk_keys_ahead_fn(void *arg, const struct pk_kv *kv);

struct pk_keys_watch_args {
	struct pk_loop *loop;
	struct pk_store *store; /* outlives it */
	const char *prefix;	/* ends with "/"; copied */
	struct pk_kv_budget budget;
	size_t cap; /* bytes of an answer */
	/*
	 * keys of all nodes: the waiting question is one with a short answer, the list is read
	 * after it
	 */
	bool many;
	pk_keys_fn *fn;
	/* is called for each key in turns of the loop, before fn is told of all; or NULL */
	pk_keys_ahead_fn *ahead;
	void *arg;
};

struct pk_keys_watch *pk_keys_watch_new(const struct pk_keys_watch_args *args);
void pk_keys_watch_free(struct pk_keys_watch *watch);
/*
 * With hasty, asks every few seconds instead of waiting, from its next question on: keys that lack
 * may be back soon.
 */
void pk_keys_watch_hasty(struct pk_keys_watch *watch, bool hasty);
/*
 * Says by a static text why the store doesn't answer now. The question that waits goes on; where
 * none does, it is noted with the next one.
 */
void pk_keys_watch_unserved(struct pk_keys_watch *watch, const char *why);
/* Says that the store answers again; anew: asks again at once, by the token of now. */
void pk_keys_watch_served(struct pk_keys_watch *watch, bool anew);
const struct pk_source *pk_keys_watch_source(const struct pk_keys_watch *watch);
