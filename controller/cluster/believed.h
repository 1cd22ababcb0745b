/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps what other nodes said, and decides what of it is believed: a node's blocks where nobody
 * else's overlap them and nobody else claims them, an endpoint where its node has its addresses and
 * no newer owner has them. What was said stays believed until its owner says otherwise, or it is
 * told to be gone; the node that said it may be stale. Pure.
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
	uint64_t created, modified; /* modified 0: it is what was kept */
	bool live;		    /* a session holds it */
	bool doubt;		    /* the store may have been restored: older words aren't taken */
	time_t now;
};
/*
 * Takes a key. Returns 1 where it is news, 0 where it isn't or is older than what was said before,
 * -EINVAL (noted) where it can't be read.
 */
int pk_believed_say(struct pk_believed *b, const struct pk_said *said);
/* Says that the key is gone from Consul. held is why its word stays all the same; NULL: it goes. */
void pk_believed_lack(struct pk_believed *b, const char *key, const char *held, time_t now);
/*
 * Returns whether the key's word is that its node has no endpoint of the tenant: where the key
 * lacks, nothing does.
 */
bool pk_believed_is_empty(const struct pk_believed *b, const char *key);
/*
 * Calls for each key below a prefix that has a word; with fresh, only for those not held already.
 */
typedef void pk_believed_fn(void *arg, const char *key);
void pk_believed_each(struct pk_believed *b, const char *below, bool fresh, pk_believed_fn *fn,
		      void *arg);
/* Drops what is held, and tells each of those keys. Returns whether there was any. */
bool pk_believed_release(struct pk_believed *b, pk_believed_fn *told, void *arg);

/* Returns all claims, this node's own too, as they are said by now; good until the next call. */
const struct pk_block_claims *pk_believed_claims(struct pk_believed *b);
/* Returns them as that call left them. */
const struct pk_block_claims *pk_believed_judged(const struct pk_believed *b);
/*
 * Lists every block that anybody claims or says to have, this node too, and those whose claim can't
 * be read. The caller frees *out.
 */
size_t pk_believed_taken(const struct pk_believed *b, struct pk_prefix **out);
/* Counts the claims whose newest text can't be read, and says of the first which it is and why. */
size_t pk_believed_unread_claims(const struct pk_believed *b, const char **key, const char **why);

/* The family of the overlay's outer headers, which says which of a node's addresses is its end. */
enum pk_believed_overlay { PK_OVERLAY_NONE, PK_OVERLAY_IPV4, PK_OVERLAY_IPV6 };

/* Takes the operator's word: where the cluster's blocks lie, and which of them are this node's. */
struct pk_believed_world {
	const struct pk_prefix *range, *pools;
	size_t n_range, n_pools;
	/* Nomad's word on whether the node has an allocation of the tenant; NULL: nobody's. */
	enum pk_hosting (*placed)(void *arg, const char *tenant_name, const char *node);
	void *arg;
	enum pk_believed_overlay overlay;
};
/* Brings remotes in step, by the claims of pk_believed_claims. Returns these bits: */
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
/* Returns the i-th by name; false after the last. */
bool pk_believed_node(const struct pk_believed *b, size_t i, struct pk_believed_node *out);
size_t pk_believed_refused(const struct pk_believed *b); /* what is refused of all nodes */
