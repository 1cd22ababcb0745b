/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps what other nodes said, and decides what of it is believed. A block is believed where no
 * other node's block overlaps it and nobody else claims it; an endpoint where its addresses lie in
 * its node's blocks and no newer endpoint has them. What was said stays believed until its owner
 * says otherwise, or pk_believed_lack says that it is gone; that its node is stale changes nothing.
 * Pure.
 */
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "claims.h"
#include "hosting.h"
#include "remotes.h"
#include "share.h"

struct pk_believed;

/* own is this node's name. */
struct pk_believed *pk_believed_new(const char *own);
void pk_believed_free(struct pk_believed *b);

/* One key, "nodes/NODE", "tenants/TENANT/NODE" or "blocks/BLOCK", and how Consul has it. */
struct pk_said {
	const char *key;
	const char *text;
	size_t len;
	/* the store's indexes; modified 0: read from disk at the start */
	uint64_t created, modified;
	bool live; /* a session holds it */
	/* the store may have been restored: texts with a lower number than before aren't taken */
	bool doubt;
	time_t now;
};
/*
 * Takes a key's text. Returns 1 where it changes anything, 0 where it doesn't or is an older text,
 * -EINVAL where it can't be read: that is kept and reported, and the last good text stays.
 */
int pk_believed_say(struct pk_believed *b, const struct pk_said *said);
/*
 * Reads a key's text and says nothing: pk_believed_say finds it read. So many texts can be read in
 * turns, before the answer that has them is taken whole. The second drops what was read below a
 * prefix.
 */
void pk_believed_read_ahead(struct pk_believed *b, const struct pk_said *said);
void pk_believed_drop_ahead(struct pk_believed *b, const char *below);
/*
 * Says that the key is gone from Consul. `held` is a static text on why its word stays believed all
 * the same; NULL: the word goes.
 */
void pk_believed_lack(struct pk_believed *b, const char *key, const char *held, time_t now);
/*
 * Returns whether the key says that its node has no endpoint of the tenant: then nothing is lost
 * when the key is.
 */
bool pk_believed_is_empty(const struct pk_believed *b, const char *key);
/*
 * Calls fn for each key below a prefix that has a word; with fresh, only for those that aren't
 * held.
 */
typedef void pk_believed_fn(void *arg, const char *key);
void pk_believed_each(struct pk_believed *b, const char *below, bool fresh, pk_believed_fn *fn,
		      void *arg);
/*
 * Drops all that is held, and calls `told` with each of those keys. Returns whether there was any.
 */
bool pk_believed_release(struct pk_believed *b, pk_believed_fn *told, void *arg);

/*
 * Judges all claims, this node's own too, by what was said so far, and returns them; good until the
 * next call.
 */
const struct pk_block_claims *pk_believed_claims(struct pk_believed *b);
/* Returns the claims as the last such call judged them. */
const struct pk_block_claims *pk_believed_judged(const struct pk_believed *b);
/*
 * Lists every block that anybody claims or says to have, this node too, and those whose claim can't
 * be read. The caller frees *out.
 */
size_t pk_believed_taken(const struct pk_believed *b, struct pk_prefix **out);
/* Counts the claims whose newest text can't be read. *key and *why are the first one's. */
size_t pk_believed_unread_claims(const struct pk_believed *b, const char **key, const char **why);

/* The family of the overlay's outer headers, which says which of a node's addresses is its end. */
enum pk_believed_overlay { PK_OVERLAY_NONE, PK_OVERLAY_IPV4, PK_OVERLAY_IPV6 };

/*
 * What the configuration and Nomad say: where the cluster's blocks lie, which of them are this
 * node's, who hosts a tenant.
 */
struct pk_believed_world {
	const struct pk_prefix *range, *pools;
	size_t n_range, n_pools;
	/*
	 * Nomad's word on whether the node has an allocation of the tenant; NULL: Nomad isn't
	 * asked.
	 */
	enum pk_hosting (*placed)(void *arg, const char *tenant_name, const char *node);
	void *arg;
	enum pk_believed_overlay overlay;
};
/*
 * Brings remotes in step with what is believed, by the claims of pk_believed_claims. Returns which
 * of these changed, as bits:
 */
#define PK_BELIEVED_ENDPOINTS 1u
#define PK_BELIEVED_BLOCKS    2u
#define PK_BELIEVED_WAYS      4u /* which node has which block, or how it is reached */
unsigned int pk_believed_settle(struct pk_believed *b, const struct pk_believed_world *world,
				struct pk_remotes *remotes);

/* A node as the last settling found it. */
struct pk_believed_node {
	const char *name;
	bool live;
	time_t since; /* live or stale since then; 0: since before this picketd */
	const struct pk_node_word *word; /* NULL: it said nothing of itself */
	const struct pk_prefix *blocks;	 /* the blocks that are believed */
	size_t n_blocks;
	const char *held; /* why it stays though its keys are gone; NULL: they are there */
	size_t endpoints; /* endpoints that are believed */
	size_t refused;	  /* endpoints and blocks that are not */
	const char *why;  /* the first of those; "" */
};
/* Fills in the i-th node by name; false after the last. */
bool pk_believed_node(const struct pk_believed *b, size_t i, struct pk_believed_node *out);
/* Returns how many endpoints and blocks are refused, of all nodes. */
size_t pk_believed_refused(const struct pk_believed *b);
