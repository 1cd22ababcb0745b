/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Decides which keys of what tenants are told are to be written, and when. Pure. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consul.h"

struct pk_told_keys;

/* node is the last part of this node's keys. */
struct pk_told_keys *pk_told_keys_new(const char *node);
void pk_told_keys_free(struct pk_told_keys *keys);

/*
 * One look at what is to be written: its begin, each key's text, its end. Keys that it didn't name
 * are to be deleted.
 */
void pk_told_keys_tenant(struct pk_told_keys *keys, const char *tenant_name);
void pk_told_keys_want(struct pk_told_keys *keys, const char *key, const char *text);
void pk_told_keys_looked(struct pk_told_keys *keys);

/*
 * Returns a tenant whose earlier keys weren't listed yet, or NULL; the second takes the list of
 * them.
 */
const char *pk_told_keys_unlisted(struct pk_told_keys *keys, uint64_t now_ms);
void pk_told_keys_listed(struct pk_told_keys *keys, const struct pk_kvs *listed);

/*
 * Returns the next key to write (text NULL: to delete), none within each_ms of its last write. Both
 * are valid until the next call. Returns false where there is none now: the next one is due in
 * *wait_ms, 0: there is none at all.
 */
bool pk_told_keys_next(struct pk_told_keys *keys, uint64_t now_ms, uint64_t each_ms,
		       uint64_t *wait_ms, const char **key, const char **text);
/*
 * Puts off the tenant or key that was returned last, or with `all` its whole tenant; the others go
 * on.
 */
void pk_told_keys_failed(struct pk_told_keys *keys, uint64_t until_ms, bool all);
/* Says that the key that was returned last is written. */
void pk_told_keys_written(struct pk_told_keys *keys, uint64_t now_ms);
