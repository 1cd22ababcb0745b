/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Consul's bodies -> what Picket wants of them. Pure. */
#include <stddef.h>

#include "err.h"

#define PK_CONSUL_BODY_MAX (64u << 20)

struct pk_kv {
	char *key;
	char *value; /* decoded, NUL-terminated */
	size_t len;
};
struct pk_kvs {
	struct pk_kv *list;
	size_t n;
};

/* /v1/kv/PREFIX?recurse, by key. All or nothing. */
int pk_kvs_decode(const char *body, size_t len, struct pk_kvs *out, struct pk_err *err);
const struct pk_kv *pk_kvs_find(const struct pk_kvs *kvs, const char *key); /* NULL: not there */
void pk_kvs_done(struct pk_kvs *kvs);
/* Strict base64 with padding; caller frees. -EINVAL. */
int pk_base64_decode(const char *text, char **out, size_t *len);
