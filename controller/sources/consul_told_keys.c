/* SPDX-License-Identifier: Apache-2.0 */
#include "consul_told_keys.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "own.h"
#include "str.h"

struct told_key {
	char *key;
	char *text; /* the wanted text; NULL: the key is to go */
	uint64_t wanted[2], written[2];
	uint64_t at_ms;		/* time of the last write; 0: none */
	uint64_t not_before_ms; /* a key whose write failed waits until then */
	bool seen;		/* named by the look that is under way */
	/* in Consul: with the text of hash `written`, or, zero, with an unknown one */
	bool is_there;
	UT_hash_handle hh;
};

struct told_tenant {
	char *name;
	bool listed, seen;
	uint64_t not_before_ms;
	UT_hash_handle hh;
};

struct pk_told_keys {
	char *node;
	struct told_key *keys, *named;
	/* hash of the text that _next returned last; zero: that the key goes */
	uint64_t named_hash[2];
	struct told_tenant *tenants, *asked;
};

static void key_free(struct pk_told_keys *k, struct told_key *key)
{
	if (k->named == key)
		k->named = NULL;
	HASH_DEL(k->keys, key);
	free(key->key);
	free(key->text);
	free(key);
}

static void tenant_free(struct pk_told_keys *k, struct told_tenant *t)
{
	if (k->asked == t)
		k->asked = NULL;
	HASH_DEL(k->tenants, t);
	free(t->name);
	free(t);
}

struct pk_told_keys *pk_told_keys_new(const char *node)
{
	struct pk_told_keys *k = pk_alloc(sizeof(*k));

	k->node = pk_strdup(node);
	return k;
}

void pk_told_keys_free(struct pk_told_keys *k)
{
	if (!k)
		return;
	while (k->keys)
		key_free(k, k->keys);
	while (k->tenants)
		tenant_free(k, k->tenants);
	free(k->node);
	free(k);
}

static struct told_key *get(struct pk_told_keys *k, const char *name)
{
	struct told_key *key;

	HASH_FIND_STR(k->keys, name, key);
	if (key)
		return key;
	key = pk_alloc(sizeof(*key));
	key->key = pk_strdup(name);
	HASH_ADD_KEYPTR(hh, k->keys, key->key, strlen(key->key), key);
	return key;
}

void pk_told_keys_tenant(struct pk_told_keys *k, const char *tenant_name)
{
	struct told_tenant *t;

	HASH_FIND_STR(k->tenants, tenant_name, t);
	if (!t) {
		t = pk_alloc(sizeof(*t));
		t->name = pk_strdup(tenant_name);
		HASH_ADD_KEYPTR(hh, k->tenants, t->name, strlen(t->name), t);
	}
	t->seen = true;
}

void pk_told_keys_want(struct pk_told_keys *k, const char *name, const char *text)
{
	struct told_key *key = get(k, name);

	key->seen = true;
	if (key->text && strcmp(key->text, text) == 0)
		return;
	free(key->text);
	key->text = pk_strdup(text);
	pk_hash128(text, strlen(text), key->wanted);
}

void pk_told_keys_looked(struct pk_told_keys *k)
{
	struct told_key *key, *next;
	struct told_tenant *t, *next_t;

	HASH_ITER (hh, k->keys, key, next) {
		if (!key->seen)
			free(PK_MOVE(key->text, NULL));
		if (!key->seen && !key->is_there && k->named != key)
			key_free(k, key);
		else
			key->seen = false;
	}
	HASH_ITER (hh, k->tenants, t, next_t) {
		if (!t->seen)
			tenant_free(k, t);
		else
			t->seen = false;
	}
}

const char *pk_told_keys_unlisted(struct pk_told_keys *k, uint64_t now_ms)
{
	k->asked = NULL;
	for (struct told_tenant *t = k->tenants; t; t = t->hh.next)
		if (!t->listed && t->not_before_ms <= now_ms) {
			k->asked = t;
			return t->name;
		}
	return NULL;
}

/* Returns the length of a key's beginning that all keys of its tenant have. */
static size_t tenants_len(const char *key)
{
	const char *last = strrchr(key, '/'), *at = last;

	while (at && at > key && at[-1] != '/')
		at--;
	return at ? (size_t)(at - key) : 0;
}

void pk_told_keys_failed(struct pk_told_keys *k, uint64_t until_ms, bool all)
{
	const struct told_key *named = PK_MOVE(k->named, NULL);
	struct told_tenant *asked = PK_MOVE(k->asked, NULL);

	if (asked)
		asked->not_before_ms = until_ms;
	for (struct told_key *key = k->keys; key && named && !asked; key = key->hh.next)
		if (key == named ||
		    (all && strncmp(key->key, named->key, tenants_len(named->key)) == 0))
			key->not_before_ms = until_ms;
}

/* Lowers *wait_ms to the time until at_ms, where that is sooner. */
static void at_first(uint64_t *wait_ms, uint64_t at_ms, uint64_t now_ms)
{
	if (at_ms > now_ms && (!*wait_ms || at_ms - now_ms < *wait_ms))
		*wait_ms = at_ms - now_ms;
}

static bool is_ours(const struct pk_told_keys *k, const char *key)
{
	const char *last = strrchr(key, '/');

	return last && strcmp(last + 1, k->node) == 0;
}

void pk_told_keys_listed(struct pk_told_keys *k, const struct pk_kvs *listed)
{
	if (k->asked)
		k->asked->listed = true;
	k->asked = NULL;
	for (size_t i = 0; i < listed->n; i++)
		if (is_ours(k, listed->list[i].key))
			get(k, listed->list[i].key)->is_there = true;
}

static bool is_due(const struct told_key *key)
{
	if (!key->text)
		return key->is_there;
	return !key->is_there || memcmp(key->wanted, key->written, sizeof(key->wanted)) != 0;
}

bool pk_told_keys_next(struct pk_told_keys *k, uint64_t now_ms, uint64_t each_ms, uint64_t *wait_ms,
		       const char **name, const char **text)
{
	*wait_ms = 0;
	for (const struct told_tenant *t = k->tenants; t; t = t->hh.next)
		if (!t->listed)
			at_first(wait_ms, t->not_before_ms, now_ms);
	for (struct told_key *key = k->keys; key; key = key->hh.next) {
		uint64_t at = key->at_ms ? key->at_ms + each_ms : 0;

		if (at < key->not_before_ms)
			at = key->not_before_ms;
		if (!is_due(key))
			continue;
		if (at <= now_ms) {
			k->named = key;
			memset(k->named_hash, 0, sizeof(k->named_hash));
			if (key->text)
				memcpy(k->named_hash, key->wanted, sizeof(k->named_hash));
			*name = key->key;
			*text = key->text;
			return true;
		}
		at_first(wait_ms, at, now_ms);
	}
	return false;
}

void pk_told_keys_written(struct pk_told_keys *k, uint64_t now_ms)
{
	struct told_key *key = PK_MOVE(k->named, NULL);
	static const uint64_t gone[2];

	if (!key)
		return;
	key->at_ms = now_ms;
	key->is_there = memcmp(k->named_hash, gone, sizeof(gone)) != 0;
	memcpy(key->written, k->named_hash, sizeof(key->written));
	if (!key->is_there && !key->text)
		key_free(k, key);
}
