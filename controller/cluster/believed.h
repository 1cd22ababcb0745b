/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What other nodes said, and what of it is believed: a node's blocks where nobody else's overlap
 * them, an endpoint where its owner has its addresses and no newer owner does. What was said stays
 * believed until its owner says otherwise, or it is told to be gone; who said it may be stale. Pure.
 */
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "remotes.h"
#include "share.h"

struct pk_believed;

/* own: this node's name. */
struct pk_believed *pk_believed_new(const char *own);
void pk_believed_free(struct pk_believed *b);

/* One key: "nodes/NODE" or "tenants/TENANT/NODE", and how Consul has it. */
struct pk_said {
	const char *key;
	const char *text;
	size_t len;
	uint64_t created;
	bool live;  /* a session holds it */
	bool doubt; /* the store may have been restored: an older word isn't taken */
	time_t now;
};
/* 1: it is news; 0: it isn't, or is older than what was said before; -EINVAL: no such word (noted). */
int pk_believed_say(struct pk_believed *b, const struct pk_said *said);
/* The key is gone from Consul. held: why what it said stays all the same; NULL: it goes. */
void pk_believed_lack(struct pk_believed *b, const char *key, const char *held, time_t now);
/* For each key below a prefix that has a word; not of one that is held already, where fresh. */
typedef void pk_believed_fn(void *arg, const char *key);
void pk_believed_each(struct pk_believed *b, const char *below, bool fresh, pk_believed_fn *fn,
		      void *arg);
/* What is held is gone after all; told: each of those keys. True: something was. */
bool pk_believed_release(struct pk_believed *b, pk_believed_fn *told, void *arg);

/* What the operator says: where the cluster's blocks lie, and which of them are this node's. */
struct pk_believed_world {
	const struct pk_prefix *range, *pools;
	size_t n_range, n_pools;
};
/* Brings remotes in step. Bits: */
#define PK_BELIEVED_ENDPOINTS 1u
#define PK_BELIEVED_BLOCKS    2u
unsigned int pk_believed_settle(struct pk_believed *b, const struct pk_believed_world *world,
				struct pk_remotes *remotes);

/* Of the last settling. */
struct pk_believed_node {
	const char *name;
	bool live;
	time_t since; /* live or stale since then; 0: since before this picketd */
	const struct pk_node_word *word; /* NULL: it said nothing of itself */
	const struct pk_prefix *blocks;	 /* that are believed */
	size_t n_blocks;
	const char *held; /* why it stays though its keys are gone; NULL: they aren't */
	size_t endpoints; /* believed */
	size_t refused;	  /* endpoints and blocks */
	const char *why;  /* the first of those; "" */
};
/* The i-th by name; false after the last. */
bool pk_believed_node(const struct pk_believed *b, size_t i, struct pk_believed_node *out);
size_t pk_believed_refused(const struct pk_believed *b); /* all together */
