/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reads and writes the texts in which nodes speak of themselves in Consul (design.md, "Keys in
 * Consul"): a share is what one node says of its endpoints of one tenant; a node's word is its
 * blocks and addresses; a claim says whose a block is. Unknown JSON keys are ignored; another
 * version is refused. Pure.
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
 * The highest number of a key from which its writer goes on: milliseconds get there in 142,000
 * years. So whoever else may write the key can't use up the numbers.
 */
#define PK_WORD_NUMBER_MAX (1ll << 52)
/*
 * Returns the number of a key's next text: the time in milliseconds since 1970, or number + 1 where
 * that is more.
 */
uint64_t pk_word_number_after(uint64_t number);

struct pk_share_endpoint {
	struct pk_world_endpoint *ep; /* key: container id "@" interface */
	uint64_t generation; /* seconds since 1970 at its ADD: the newer owner of an address */
};
struct pk_share {
	uint64_t number; /* of two texts of a key the higher number is the newer */
	struct pk_share_endpoint *list;
	size_t n;
};
void pk_share_add(struct pk_share *share, struct pk_world_endpoint *ep, uint64_t generation);
void pk_share_done(struct pk_share *share);
/*
 * Writes the share as text, its endpoints sorted by key, so that equal shares are equal texts but
 * for the number.
 */
void pk_share_encode(const struct pk_share *share, struct pk_str *out);
/*
 * Writes into an empty text as many endpoints, in that order, as fit in `most` bytes with a number
 * of any length; frees the others and returns how many they are. most 0: all fit.
 */
size_t pk_share_encode_in(struct pk_share *share, size_t most, struct pk_str *out);
/*
 * Reads a share; its label sets are taken from `sets`. -EINVAL, and nothing is taken, where one
 * endpoint isn't of that tenant.
 */
int pk_share_decode(const char *text, size_t len, const char *tenant_name,
		    struct pk_label_sets *sets, struct pk_share *out, struct pk_err *err);

/*
 * A share that is larger than a store's value lies in several keys: "tenants/TENANT/NODE", then
 * "tenants/TENANT/NODE/1" and so on. The hash of its key and the number of parts, a power of two,
 * say in which part an endpoint is.
 */
struct pk_share_key {
	const char *tenant_name, *node; /* in the key that was read */
	size_t tenant_len, node_len;
};
void pk_share_key_write(const char *tenant_name, const char *node, size_t part, struct pk_str *out);
/*
 * Writes the key of another part of the share that the key is of. A key that is no share's is its
 * only part.
 */
void pk_share_key_of_part(const char *key, size_t part, struct pk_str *out);
/* Reads a key below the cluster's prefix. Returns false where it is no share's. */
bool pk_share_key_read(const char *key, struct pk_share_key *out);
/* Returns whether the key is one of a share, and of that node's. */
bool pk_share_key_is_of(const char *key, const char *node);
/*
 * Returns the length of the beginning that all keys of a share have in common, which is its first
 * key; 0: it is no share's key.
 */
size_t pk_share_key_len(const char *key);
/* Returns whether the key is one in which that node speaks: of a share, or "…/NODE". */
bool pk_word_is_of(const char *key, const char *node);
/*
 * Returns in how many parts of at most so many bytes the share fits. `parts` is how many there are
 * now: they stay while they aren't much too many.
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
/* Reads a node's word. Where it can't be read nothing is left to be freed. */
int pk_node_word_decode(const char *text, size_t len, struct pk_node_word *out, struct pk_err *err);

#define PK_CLAIM_NODE	 128
#define PK_CLAIM_MACHINE 33

/* A node's claim to the block that the key names. */
struct pk_claim_word {
	uint64_t number;
	char node[PK_CLAIM_NODE];	/* as the last part of a key */
	char machine[PK_CLAIM_MACHINE]; /* hash that tells machines of one node name apart */
	int64_t returned; /* given back then, seconds since 1970; 0: it is the node's */
};
void pk_claim_word_encode(const struct pk_claim_word *word, struct pk_str *out);
int pk_claim_word_decode(const char *text, size_t len, struct pk_claim_word *out,
			 struct pk_err *err);
/*
 * Write and read "10.64.3.0_24", the last part of a claim's key. Refused is a text that is no block
 * or has host bits set.
 */
void pk_claim_key(const struct pk_prefix *block, struct pk_str *out);
bool pk_claim_block(const char *part, struct pk_prefix *out);
