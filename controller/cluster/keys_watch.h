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
	bool first;    /* since the watch was made */
	bool behind;   /* its history is older than the one that was told before */
	bool filtered; /* there is more than the token may see */
};
/* Is told of each answer. It may free the watch. */
typedef void pk_keys_fn(void *arg, const struct pk_keys_answer *answer);

struct pk_keys_watch_args {
	struct pk_loop *loop;
	struct pk_store *store; /* outlives it */
	const char *prefix;	/* ends with "/"; copied */
	struct pk_kv_budget budget;
	size_t cap; /* bytes of an answer */
	bool many;  /* keys of all nodes: what waits is a question whose answer is short */
	pk_keys_fn *fn;
	void *arg;
};

struct pk_keys_watch *pk_keys_watch_new(const struct pk_keys_watch_args *args);
void pk_keys_watch_free(struct pk_keys_watch *watch);
/* From its next question on it asks every few seconds: what lacks may be back any moment. */
void pk_keys_watch_hasty(struct pk_keys_watch *watch, bool hasty);
/* Says why nobody answers; the question that waits goes on waiting. */
void pk_keys_watch_unserved(struct pk_keys_watch *watch, const char *why);
/* Says that it will be answered again; anew: it is asked once more, by the token of now. */
void pk_keys_watch_served(struct pk_keys_watch *watch, bool anew);
const struct pk_source *pk_keys_watch_source(const struct pk_keys_watch *watch);
