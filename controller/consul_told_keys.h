/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Which keys of what tenants are told are to be written, and when. Pure. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pk_told_keys;

/* node: the last part of the keys that are ours. */
struct pk_told_keys *pk_told_keys_new(const char *node);
void pk_told_keys_free(struct pk_told_keys *keys);

/* A look at what there is: whose keys are asked for, and the text of each key; then its end. What
 * it didn't have is to go. */
void pk_told_keys_tenant(struct pk_told_keys *keys, const char *tenant_name);
void pk_told_keys_want(struct pk_told_keys *keys, const char *key, const char *text);
void pk_told_keys_looked(struct pk_told_keys *keys);

/* A tenant whose keys of before were not listed yet; NULL: none. Then what Consul's list has. */
const char *pk_told_keys_unlisted(struct pk_told_keys *keys);
void pk_told_keys_listed(struct pk_told_keys *keys, const char *body, size_t len);

/*
 * The next key to write (text NULL: to delete), none within each_ms of its last time; both are valid
 * until the next call. False: none now; *wait_ms: in so long there is one, 0: there is none.
 */
bool pk_told_keys_next(struct pk_told_keys *keys, uint64_t now_ms, uint64_t each_ms,
		       uint64_t *wait_ms, const char **key, const char **text);
/* The one that was named last is in Consul. */
void pk_told_keys_written(struct pk_told_keys *keys, uint64_t now_ms);
