/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the table `remote`, other nodes' endpoints. Entries are deleted before rule sets change,
 * and added after them, when each rule set knows the new identity.
 */
#include <stdlib.h>
#include <string.h>

#include "own.h"
#include "sync_private.h"

void sync_remotes_take(struct sync_pass *p, struct identity **all)
{
	const struct pk_remotes *remotes = pk_model_remotes(p->want->model);
	const struct pk_remote_endpoint *e = NULL;

	p->remotes = pk_alloc((pk_remotes_count(remotes) + 1) * sizeof(*p->remotes));
	while ((e = pk_remotes_next(remotes, e)) && !p->held) {
		struct remote_target *t = &p->remotes[p->n_remotes];
		struct pk_identity_ref id;

		if (pk_engine_identity(pk_model_engine(p->want->model), e->key, &id) < 0 ||
		    sync_numbers_of(p, &id, all, &t->labels) < 0)
			continue;
		t->e = e;
		p->n_remotes++;
	}
}

static struct remote_memo *find(const struct pk_sync *s, const union pk_addr *addr)
{
	struct remote_memo *m;

	HASH_FIND(hh, s->remotes, addr, sizeof(*addr), m);
	return m;
}

static struct remote_memo *remember(struct pk_sync *s, const union pk_addr *addr)
{
	struct remote_memo *m = find(s, addr);

	if (m)
		return m;
	m = pk_alloc(sizeof(*m));
	m->addr = *addr;
	HASH_ADD(hh, s->remotes, addr, sizeof(m->addr), m);
	return m;
}

void sync_remotes_forget(struct pk_sync *s)
{
	struct remote_memo *m, *next;

	HASH_ITER (hh, s->remotes, m, next) {
		HASH_DEL(s->remotes, m);
		free(m);
	}
}

static int read_one(void *arg, const void *key, const void *value)
{
	memcpy(&remember(arg, key)->value, value, sizeof(struct pk_remote));
	return 0;
}

void sync_remotes_read(struct pk_sync *s)
{
	sync_remotes_forget(s);
	pk_map_each(s->bpf->map[PK_MAP_REMOTE], read_one, s);
}

void sync_remotes_drop(struct sync_pass *p)
{
	const struct pk_remotes *remotes = pk_model_remotes(p->want->model);
	struct remote_memo *m, *next;

	HASH_ITER (hh, p->sync->remotes, m, next) {
		const struct pk_remote_endpoint *e = pk_remotes_by_address(remotes, &m->addr);
		struct pk_err err = { 0 };
		int r;

		if (e && e->owner == m->value.owner)
			continue;
		r = pk_remote_delete(p->sync->bpf, &m->addr, &m->value, &err);
		sync_error(p, r, &err);
		if (r < 0)
			continue;
		HASH_DEL(p->sync->remotes, m);
		free(m);
	}
}

static void set_address(struct sync_pass *p, const union pk_addr *addr,
			const struct pk_remote *value)
{
	struct remote_memo *m = find(p->sync, addr);
	struct pk_err err = { 0 };
	int r;

	if (m && memcmp(&m->value, value, sizeof(*value)) == 0)
		return;
	r = pk_remote_set(p->sync->bpf, addr, value, &err);
	sync_error(p, r, &err);
	if (r == 0)
		remember(p->sync, addr)->value = *value;
}

void sync_remotes_set(struct sync_pass *p)
{
	for (size_t i = 0; i < p->n_remotes && !p->held; i++) {
		const struct remote_target *t = &p->remotes[i];
		const struct pk_remote value = { .identity = t->labels.identity,
						 .tenant = t->labels.tenant,
						 .owner = t->e->owner,
						 .generation = t->e->generation };

		for (size_t k = 0; k < t->e->ep->n_addresses; k++)
			set_address(p, &t->e->ep->addresses[k], &value);
	}
}
