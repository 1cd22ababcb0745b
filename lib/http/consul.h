/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Turns Consul's bodies into what Picket wants of them. Pure. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "str.h"

/* Bounds of the operator's keys; a tenant's have a budget of their own. */
#define PK_CONSUL_BODY_MAX (64u << 20)
#define PK_CONSUL_KEYS_MAX 65536

/* Bounds of what one tenant may have in Consul; docs/budgets.md. */
#define PK_TENANT_KEYS_MAX  256
#define PK_TENANT_TEXT_MAX  (256u << 10) /* bytes of its documents together */
#define PK_TENANT_BODY_MAX  (1u << 20)	 /* bytes of the answer that holds them */
#define PK_TENANT_RULES_MAX 2048

struct pk_kv {
	char *key;
	char *value; /* decoded, NUL-terminated */
	size_t len;
	const char *unreadable; /* a constant: why value is "" and not the store's; NULL */
	bool held;		/* a session holds it: its writer lives */
	uint64_t holder;	/* pk_kv_holder of who holds it; 0: nobody */
	uint64_t created;	/* the store's index when the key was made */
	uint64_t modified;	/* the store's index at its last change; 0: not said */
};
struct pk_kvs {
	struct pk_kv *list;
	size_t n;
};

/*
 * Reads /v1/kv/PREFIX?recurse as it comes, all or nothing. An answer over its budget ends the
 * reading at once, with -E2BIG, and so does a key outside prefix, with another error.
 */
struct pk_kv_budget {
	size_t keys, text;
};
struct pk_kv_reader;
struct pk_kv_reader *pk_kv_reader_new(const char *prefix, const struct pk_kv_budget *budget);
void pk_kv_reader_free(struct pk_kv_reader *reader);
int pk_kv_reader_feed(struct pk_kv_reader *reader, const char *bytes, size_t n, struct pk_err *err);
/*
 * Ends the reading and gives the keys, sorted by name; the caller releases them by pk_kvs_done. An
 * answer that was cut short is an error.
 */
int pk_kv_reader_end(struct pk_kv_reader *reader, struct pk_kvs *out, struct pk_err *err);

/* Returns a short form of a holder's name, never 0. */
uint64_t pk_kv_holder(const char *name);
/* Sorts them by name; a reader's are. */
void pk_kvs_sort(struct pk_kvs *kvs);
/* Finds a key among sorted ones. */
const struct pk_kv *pk_kvs_find(const struct pk_kvs *kvs, const char *key); /* NULL: none */
void pk_kvs_done(struct pk_kvs *kvs);
/*
 * Adds a document in force, by its key ("consul:KEY") and the digest of its text, to the digest of
 * its source's set, which begins at zero. Documents are added by the order of their keys.
 */
void pk_set_digest(uint64_t set[2], const char *path, const uint64_t text[2]);
/* Returns a node's name as the last part of a key; the caller frees it. */
char *pk_consul_part(const char *name);
/* Decodes strict base64 with padding; the caller frees. -EINVAL. */
int pk_base64_decode(const char *text, char **out, size_t *len);
void pk_base64_add(struct pk_str *to, const char *bytes, size_t len);
