/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Picket's keys as Nomad's Variables. A key becomes a variable's path, in which ~xx (hexadecimal)
 * stands for each byte that Nomad takes in no path. A tenant's documents, their history and what
 * became of them are in the tenant's own namespace; all else is in the namespace of those who
 * operate the cluster. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "str.h"

#define PK_VARS_PREFIX	  "picket/v1/"	  /* and the cluster's name */
#define PK_VARS_PATH_MAX  128		  /* bytes of a path, as Nomad has it */
#define PK_VARS_TEXT_MAX  (60u << 10)	  /* of a value: a variable's items have 64 KiB */
#define PK_VARS_DOCUMENT  "document"	  /* the item that a policy's text is */
#define PK_VARS_VALUE	  "value"	  /* of every other key */
#define PK_VARS_NOBODYS	  ".nobody"	  /* behind a prefix: a key that nobody writes */
#define PK_VARS_NO_TENANT "picket-nobody" /* a namespace that nobody has */
#define PK_VARS_NODE	  "node"	  /* the id of the node that holds the key */

/* Writes a key as a path, and a path as a key: -EINVAL for what pk_vars_path doesn't write. */
int pk_vars_path(const char *key, struct pk_str *path, struct pk_err *err);
int pk_vars_key(const char *path, struct pk_str *key);
/*
 * Appends the namespace that a key is in; prefix is that of all keys, home the operators'
 * namespace.
 */
void pk_vars_namespace(const char *prefix, const char *key, const char *home, struct pk_str *out);
/* Appends "/v1/var/PATH?namespace=NS" of a key. -EINVAL: its path is too long. */
int pk_vars_url(const char *prefix, const char *key, const char *home, struct pk_str *url,
		struct pk_err *err);
/* Returns the item that has the value of a key. */
const char *pk_vars_item(const char *prefix, const char *key);

/*
 * Reads /v1/vars, which lists variables without their items, piece by piece as it comes. fn is
 * called for each variable.
 */
struct pk_var_name {
	const char *namespace, *path;
	uint64_t created, modified;
};
typedef void pk_var_name_fn(void *arg, const struct pk_var_name *name);
struct pk_vars_reader;
struct pk_vars_reader *pk_vars_reader_new(pk_var_name_fn *fn, void *arg);
void pk_vars_reader_free(struct pk_vars_reader *reader);
int pk_vars_reader_feed(struct pk_vars_reader *reader, const char *bytes, size_t n,
			struct pk_err *err);
int pk_vars_reader_end(struct pk_vars_reader *reader, struct pk_err *err);

/* One variable with its items. */
struct pk_var {
	char *value; /* of the item that was asked for; NULL: there is no such item */
	char *node;  /* NULL: nobody holds it */
	uint64_t created, modified;
};
int pk_var_decode(const char *body, size_t len, const char *item, struct pk_var *out,
		  struct pk_err *err);
void pk_var_done(struct pk_var *var);
/* Writes the body of its PUT; node may be NULL. */
void pk_var_encode(const char *item, const char *value, const char *node, struct pk_str *out);

/*
 * Reads /v1/nodes as it comes, and tells of each node whether it is ready; what was told of an
 * answer that fails later is no word.
 */
typedef void pk_vars_node_fn(void *arg, const char *id, bool ready);
struct pk_vars_nodes;
struct pk_vars_nodes *pk_vars_nodes_new(pk_vars_node_fn *fn, void *arg);
void pk_vars_nodes_free(struct pk_vars_nodes *reader);
int pk_vars_nodes_feed(struct pk_vars_nodes *reader, const char *bytes, size_t n,
		       struct pk_err *err);
int pk_vars_nodes_end(struct pk_vars_nodes *reader, struct pk_err *err);
