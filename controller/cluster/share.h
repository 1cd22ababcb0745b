/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The texts in which nodes speak of themselves in Consul (design.md, "Keys in Consul"). A share is
 * what one node says of its endpoints of one tenant; a node's word is where its endpoints'
 * addresses lie and how it is reached; a claim says whose a block is. A key that isn't known is
 * passed over; another version is refused. Pure.
 */
#include "addr.h"
#include "err.h"
#include "own.h"
#include "str.h"
#include "world.h"

#define PK_SHARE_VERSION   1
#define PK_SHARE_ENDPOINTS 4096 /* endpoints of one tenant on one node */
#define PK_SHARE_PORTS	   64	/* port labels of an endpoint */
#define PK_SHARE_PARTS	   32	/* keys of one tenant and node */
#define PK_NODE_BLOCKS	   256
#define PK_NODE_ADDRESSES  8

/*
 * The highest number of a key that its writer goes on from: milliseconds come to it in 142,000
 * years. Whoever else may write the key can't end its writer's numbers by a higher one.
 */
#define PK_WORD_NUMBER_MAX (1ll << 52)
/* Returns the number of a key's next text: the time, in milliseconds, or more. */
uint64_t pk_word_number_after(uint64_t number);

struct pk_share_endpoint {
	struct pk_world_endpoint *ep; /* key: container id "@" interface */
	uint64_t generation; /* seconds since 1970 at its ADD: the newer owner of an address */
};
struct pk_share {
	uint64_t number; /* a later one of the same key is the newer word */
	struct pk_share_endpoint *list;
	size_t n;
};
void pk_share_add(struct pk_share *share, struct pk_world_endpoint *ep, uint64_t generation);
void pk_share_done(struct pk_share *share);
/*
 * Writes endpoints in order of their keys, so that equal shares are equal texts but for their
 * number.
 */
void pk_share_encode(const struct pk_share *share, struct pk_str *out);
/*
 * Writes into an empty text only so many of them, in that order, that it fits with a number of any
 * length; frees the others, and returns how many they are. most 0: all fit.
 */
size_t pk_share_encode_in(struct pk_share *share, size_t most, struct pk_str *out);
/*
 * Reads a share, its label sets by `sets`. Every endpoint must be of that tenant, or nothing of it
 * is taken: -EINVAL.
 */
int pk_share_decode(const char *text, size_t len, const char *tenant_name,
		    struct pk_label_sets *sets, struct pk_share *out, struct pk_err *err);

/*
 * A share that a store's value has no room for lies in several: "tenants/TENANT/NODE", then
 * "tenants/TENANT/NODE/1" and so on. Which endpoint is in which part hangs on its key and on how
 * many parts there are, a power of two.
 */
struct pk_share_key {
	const char *tenant_name, *node; /* in the key that was read */
	size_t tenant_len, node_len;
};
void pk_share_key_write(const char *tenant_name, const char *node, size_t part, struct pk_str *out);
/* Writes the key of another part of a key's share. A key of no share is its only part. */
void pk_share_key_of_part(const char *key, size_t part, struct pk_str *out);
/* Reads a key below the cluster's prefix. False: it is none of a share. */
bool pk_share_key_read(const char *key, struct pk_share_key *out);
/* Returns whether the key is one of a share, and of that node's. */
bool pk_share_key_is_of(const char *key, const char *node);
/* Returns the length of what a share's keys have in common, its first key; 0: it is none's key. */
size_t pk_share_key_len(const char *key);
/* Returns whether the key is one in which that node speaks: of a share, or "…/NODE". */
bool pk_word_is_of(const char *key, const char *node);
/*
 * Returns in how many parts of at most so many bytes the share fits; `parts` are those that there
 * are, which stay while what they hold isn't much less.
 */
size_t pk_share_parts(const struct pk_share *share, size_t most, size_t parts);
/* Moves the endpoints to the shares of their parts. */
void pk_share_split(struct pk_share *share, struct pk_share *parts, size_t n_parts);

struct pk_node_word {
	uint64_t number;
	struct pk_prefix *blocks; /* masked; at most PK_NODE_BLOCKS */
	size_t n_blocks;
	union pk_addr addresses[PK_NODE_ADDRESSES]; /* addresses of its uplinks */
	size_t n_addresses;
};
void pk_node_word_done(struct pk_node_word *word);
void pk_node_word_encode(const struct pk_node_word *word, struct pk_str *out);
/* Returns the node's address of that family, the first that it said; NULL: it has none. */
const union pk_addr *pk_node_word_address(const struct pk_node_word *word, bool v6);
/* Reads it; of what can't be read nothing is left to be freed. */
int pk_node_word_decode(const char *text, size_t len, struct pk_node_word *out, struct pk_err *err);

#define PK_CLAIM_NODE	 128
#define PK_CLAIM_MACHINE 33

/* A node's claim to the block that the key names. */
struct pk_claim_word {
	uint64_t number;
	char node[PK_CLAIM_NODE];	/* as the last part of a key */
	char machine[PK_CLAIM_MACHINE]; /* which of those that may bear the node's name */
	int64_t returned; /* seconds since 1970: it isn't the node's any more; 0: it is */
};
void pk_claim_word_encode(const struct pk_claim_word *word, struct pk_str *out);
int pk_claim_word_decode(const char *text, size_t len, struct pk_claim_word *out,
			 struct pk_err *err);
/*
 * Writes "10.64.3.0_24", the last part of a claim's key, and reads it. False: no block, or one with
 * host bits.
 */
void pk_claim_key(const struct pk_prefix *block, struct pk_str *out);
bool pk_claim_block(const char *part, struct pk_prefix *out);
