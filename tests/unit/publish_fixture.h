/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A node's keys in a store, made and shown by hand. Whoever includes it has included cmocka. */
#include <stdlib.h>

#include "own.h"
#include "publish_private.h"

#define NOBODYS "{\"version\":1,\"number\":0,\"endpoints\":[]}"

static struct key *add(struct pk_publish *p, const char *name, const char *body)
{
	struct key *k = pk_alloc(sizeof(*k));

	k->name = pk_strdup(name);
	k->body = body ? pk_strdup(body) : NULL;
	k->written = true;
	HASH_ADD_KEYPTR(hh, p->keys, k->name, strlen(k->name), k);
	return k;
}

static void done(struct pk_publish *p)
{
	struct key *k, *next;

	HASH_ITER (hh, p->keys, k, next)
		publish_drop(p, k);
}

/* Shows a key as the store has it; text NULL: it hasn't. holder NULL: nobody holds it. */
static void seen(struct pk_publish *p, const char *name, const char *text, const char *holder)
{
	const struct pk_kv kv = { .value = (char *)text,
				  .held = holder,
				  .holder = holder ? pk_kv_holder(holder) : 0 };

	pk_publish_seen(p, name, text ? &kv : NULL);
}

static void nothing(void *arg)
{
	(void)arg;
}
