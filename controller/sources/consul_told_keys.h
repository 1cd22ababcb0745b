/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Decides which keys of what tenants are told are to be written, and when. Pure. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consul.h"

struct pk_told_keys;

/* node is the last part of the keys that are ours. */
struct pk_told_keys *pk_told_keys_new(const char *node);
void pk_told_keys_free(struct pk_told_keys *keys);

/*
 * One look at what is to be told: its begin, the text of each key, its end. Keys that it didn't
 * name are to be deleted.
 */
void pk_told_keys_tenant(struct pk_told_keys *keys, const char *tenant_name);
void pk_told_keys_want(struct pk_told_keys *keys, const char *key, const char *text);
void pk_told_keys_looked(struct pk_told_keys *keys);

/*
 * Returns a tenant whose earlier keys were not listed yet, or NULL. The second takes the store's
 * list.
 */
const char *pk_told_keys_unlisted(struct pk_told_keys *keys, uint64_t now_ms);
void pk_told_keys_listed(struct pk_told_keys *keys, const struct pk_kvs *listed);

/*
 * Returns the next key to write (text NULL: to delete), none within each_ms of its last time; both
 * are valid until the next call. False means none now: the next one comes in *wait_ms, or, at 0,
 * there is none.
 */
bool pk_told_keys_next(struct pk_told_keys *keys, uint64_t now_ms, uint64_t each_ms,
		       uint64_t *wait_ms, const char **key, const char **text);
/* Has the tenant or key that was named last, or all of its tenant's, wait: the others go on. */
void pk_told_keys_failed(struct pk_told_keys *keys, uint64_t until_ms, bool all);
/* Says that the key that was named last is in Consul. */
void pk_told_keys_written(struct pk_told_keys *keys, uint64_t now_ms);
