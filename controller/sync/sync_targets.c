/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the endpoints of a pass, their identities' numbers, and one rule set for all endpoints with
 * equal images.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "own.h"
#include "sync_private.h"

static void tenant_of(const struct pk_identity_ref *id, struct pk_labels_want *want)
{
	memcpy(want->hash, id->hash, sizeof(want->hash));
	want->no_tenant = !id->tenant_name;
	if (id->tenant_name)
		pk_tenant_hash(id->tenant_name, want->tenant);
}

/* The numbers of an identity, looked up once in a pass: many endpoints share one. */
struct identity {
	uint64_t hash[2];
	struct pk_labels labels;
	UT_hash_handle hh;
};

static void identities_done(struct identity **all)
{
	struct identity *one, *next;

	HASH_ITER (hh, *all, one, next) {
		HASH_DEL(*all, one);
		free(one);
	}
}

int sync_numbers_of(struct sync_pass *p, const struct pk_identity_ref *id, struct identity **all,
		    struct pk_labels *labels)
{
	struct pk_labels_want want = { 0 };
	struct pk_err err = { 0 };
	struct identity *one;
	int r;

	HASH_FIND(hh, *all, id->hash, sizeof(id->hash), one);
	if (one) {
		*labels = one->labels;
		return 0;
	}
	tenant_of(id, &want);
	r = pk_labels_get(p->sync->bpf, want.hash, labels);
	if (r == -ENOENT)
		r = pk_labels_take(p->sync->bpf, &want, pk_sync_until(), labels, &err);
	sync_error(p, r, &err);
	if (r < 0)
		return r;
	one = pk_alloc(sizeof(*one));
	memcpy(one->hash, id->hash, sizeof(one->hash));
	one->labels = *labels;
	HASH_ADD(hh, *all, hash, sizeof(one->hash), one);
	return 0;
}

static void add_target(struct sync_pass *p, const struct pk_local_endpoint *m,
		       struct identity **all)
{
	struct target *t = &p->targets[p->n_targets];
	struct pk_model *model = p->want->model;
	struct pk_identity_ref id;

	if (!sync_is_live(p, m) || pk_model_awaits(model, pk_local_endpoint_namespace(m)) ||
	    pk_engine_identity(pk_model_engine(model), m->key, &id) < 0 ||
	    sync_numbers_of(p, &id, all, &t->labels) < 0)
		return;
	t->ep = m;
	memcpy(t->hash, id.hash, sizeof(t->hash));
	t->image = pk_engine_image(pk_model_engine(model), m->key);
	if (t->image)
		p->n_targets++;
}

/* Takes numbers first, so that a rule set that is installed afterwards finds its peers'. */
void sync_take_numbers(struct sync_pass *p, bool few)
{
	PK_OWN(identities_done) struct identity *all = NULL;
	struct pk_model *model = p->want->model;
	const struct pk_local_endpoint *m;

	p->n_targets = 0;
	for (size_t i = 0;
	     !p->held && (m = few ? pk_model_touched(model, i) : pk_model_at(model, i)); i++)
		add_target(p, m, &all);
	if (!few)
		sync_remotes_take(p, &all);
}

/* The targets with one image; they share a rule set. */
struct group {
	uint64_t digest[2];
	size_t n, at;
	UT_hash_handle hh;
};

static void groups_done(struct group **all)
{
	struct group *one, *next;

	HASH_ITER (hh, *all, one, next) {
		HASH_DEL(*all, one);
		free(one);
	}
}

static struct group *group_of(struct group **all, const struct pk_image *image)
{
	struct group *one;

	HASH_FIND(hh, *all, image->digest, sizeof(image->digest), one);
	if (one)
		return one;
	one = pk_alloc(sizeof(*one));
	memcpy(one->digest, image->digest, sizeof(one->digest));
	HASH_ADD(hh, *all, digest, sizeof(one->digest), one);
	return one;
}

/* Groups the targets by image, by counting, which is faster than a sort. */
static void group_targets(struct sync_pass *p, struct group **all)
{
	struct target *grouped = pk_alloc((p->n_targets + 1) * sizeof(*grouped));
	size_t at = 0;

	for (size_t i = 0; i < p->n_targets; i++)
		group_of(all, p->targets[i].image)->n++;
	for (struct group *one = *all; one; one = one->hh.next) {
		one->at = at;
		at += one->n;
	}
	for (size_t i = 0; i < p->n_targets; i++)
		grouped[group_of(all, p->targets[i].image)->at++] = p->targets[i];
	free(p->targets);
	p->targets = grouped;
}

/* Gives each group of equal images one rule set. */
void sync_install_targets(struct sync_pass *p)
{
	PK_OWN(groups_done) struct group *all = NULL;

	group_targets(p, &all);
	for (const struct group *one = all; one && !p->held && !p->late; one = one->hh.next) {
		struct target *first = &p->targets[one->at - one->n];
		unsigned int installed = p->done->installed;
		uint32_t number = sync_install(p, first->image, first, one->n);

		for (size_t k = 0; k < one->n; k++)
			first[k].rule_set = number;
		sync_ask_late(p, installed);
	}
}
