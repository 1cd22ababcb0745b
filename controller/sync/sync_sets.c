/* SPDX-License-Identifier: Apache-2.0 */
/* Installs rule sets and bases, and the names by which ADD finds them (sync.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "str.h"
#include "sync_private.h"

/* Indexes a rule set by its digest; of several with equal images the first is found. */
static void index_set(struct pk_sync *s, struct set_at *at)
{
	struct set_at *other;

	if (at->found)
		HASH_DEL(s->by_digest, at);
	at->found = false;
	if (!at->image)
		return;
	memcpy(at->digest, at->image->digest, sizeof(at->digest));
	HASH_FIND(hh, s->by_digest, at->digest, sizeof(at->digest), other);
	if (other)
		return;
	HASH_ADD(hh, s->by_digest, digest, sizeof(at->digest), at);
	at->found = true;
}

void sync_remember(struct pk_sync *s, uint32_t number, struct pk_image *image)
{
	struct set_at *at = &s->sets[number];

	if (number >= s->n_sets || (at->image == image && (at->found || !image)))
		return;
	if (at->image == image) {
		index_set(s, at);
		return;
	}
	pk_image_unref(at->image);
	at->image = image ? pk_image_ref(image) : NULL;
	at->complete = false;
	index_set(s, at);
}

static bool all_numbered(const struct pk_sync *s, const struct pk_image *image)
{
	struct pk_labels labels;

	for (size_t i = 0; i < image->n_peers; i++)
		if (!image->peers[i].tenant &&
		    pk_labels_get(s->bpf, image->peers[i].hash, &labels) < 0)
			return false;
	return true;
}

/*
 * Adds the peers that had no number when the rule set was installed; called again until all have
 * one.
 */
static void add_peers(struct sync_pass *p, uint32_t number, struct pk_image *image)
{
	struct set_at *at = &p->sync->sets[number];
	struct pk_err err = { 0 };
	bool complete;
	int r;

	sync_remember(p->sync, number, image);
	if (at->complete)
		return;
	complete =
		/* asked before: a peer that comes meanwhile is for the next pass */
		all_numbered(p->sync, image);
	r = pk_rule_set_peers(p->sync->bpf, number, image, &err);
	sync_error(p, r, &err);
	at->complete = r == 0 && complete;
}

/*
 * Returns the rule set that exactly these users have, if it can be amended to the image; else 0.
 * One that others have too isn't amended, for they would notice.
 */
static uint32_t amendable(const struct sync_pass *p, const struct pk_image *image,
			  const struct target *users, size_t n)
{
	const struct pk_bpf *bpf = p->sync->bpf;
	uint32_t number = PK_WORD_RULE_SET(pk_word(bpf, users[0].ep->slot));
	struct pk_image_delta delta;
	size_t living = 0;
	bool replace;

	if (n == 0 || number == 0 || number >= p->sync->n_sets || !p->sync->sets[number].image)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (PK_WORD_RULE_SET(pk_word(bpf, users[i].ep->slot)) != number)
			return 0;
	for (uint32_t slot = 1; slot <= bpf->node.capacity; slot++)
		living += PK_WORD_RULE_SET(pk_word(bpf, slot)) == number;
	if (living != n)
		return 0;
	pk_image_diff(p->sync->sets[number].image, image, &delta);
	replace = delta.replace;
	pk_image_delta_done(&delta);
	return replace ? 0 : number;
}

/* Amends the rule set; returns whether it holds the image now. */
static bool amend(struct sync_pass *p, uint32_t number, struct pk_image *image)
{
	struct set_at *at = &p->sync->sets[number];
	struct pk_err err = { 0 };
	int r = pk_rule_set_amend(p->sync->bpf, number, at->image, image, &err);

	if (r < 0) {
		log_warn("op=sync rule_set=%u err=\"%s\" building a new one", number, err.text);
		return false;
	}
	at->amended = true;
	p->done->amended++;
	add_peers(p, number, image);
	return true;
}

/* Finds an equal rule set in the tables. Most are remembered, and one lookup confirms that. */
uint32_t sync_find_set(struct pk_sync *s, const struct pk_image *image)
{
	struct pk_rule_set rs;
	struct set_at *at;

	HASH_FIND(hh, s->by_digest, image->digest, sizeof(image->digest), at);
	if (at && pk_rule_set_get(s->bpf, (uint32_t)(at - s->sets), &rs) == 0 &&
	    memcmp(rs.digest, image->digest, sizeof(rs.digest)) == 0)
		return (uint32_t)(at - s->sets);
	return pk_rule_set_find(s->bpf, image->digest);
}

void sync_complete(struct sync_pass *p)
{
	for (uint32_t i = 1; i < p->sync->n_sets; i++)
		if (p->sync->sets[i].image && !p->sync->sets[i].complete)
			add_peers(p, i, p->sync->sets[i].image);
}

uint32_t sync_install(struct sync_pass *p, struct pk_image *image, const struct target *users,
		      size_t n)
{
	uint32_t number = sync_find_set(p->sync, image);
	struct pk_err err = { 0 };
	int r;

	if (number) {
		add_peers(p, number, image);
		return number;
	}
	number = n ? amendable(p, image, users, n) : 0;
	if (number && amend(p, number, image))
		return number;
	r = pk_rule_set_install(p->sync->bpf, image, pk_sync_until(), &number, &err);
	if (r < 0) {
		sync_error(p, r, &err);
		return 0;
	}
	p->done->installed++;
	add_peers(p, number, image);
	return number;
}

static void name_base(struct sync_pass *p, uint32_t tenant, struct pk_image *image)
{
	unsigned int installed = p->done->installed;
	uint32_t number = sync_install(p, image, NULL, 0), now = 0;
	struct pk_err err = { 0 };

	sync_ask_late(p, installed);
	if (!number)
		return;
	if (pk_map_get(p->sync->bpf->map[PK_MAP_BASES], &tenant, &now) == 0 && now == number)
		return;
	sync_error(p, pk_base_name(p->sync->bpf, tenant, number, pk_sync_until(), &err), &err);
}

/* Installs the base rule sets of this node's tenants; quarantine's is under tenant 0. */
void sync_bases(struct sync_pass *p)
{
	struct pk_engine *engine = pk_model_engine(p->want->model);
	struct pk_image *init = pk_engine_image(engine, PK_MODEL_INIT);
	const char *tenant_name;

	for (size_t i = 0;
	     !p->held && !p->late && (tenant_name = pk_model_tenant(p->want->model, i)); i++) {
		struct pk_image *image = pk_engine_base(engine, tenant_name);
		struct pk_err err = { 0 };
		uint64_t hash[2];
		uint32_t tenant;
		int r;

		if (!image || pk_model_awaits(p->want->model, tenant_name))
			continue;
		pk_tenant_hash(tenant_name, hash);
		r = pk_tenant_take(p->sync->bpf, hash, pk_sync_until(), &tenant, &err);
		sync_error(p, r, &err);
		if (r == 0)
			name_base(p, tenant, image);
	}
	if (init && !p->held)
		name_base(p, 0, init);
}

struct withdraw {
	struct sync_pass *p;
	uint64_t (*known)[2]; /* label sets of this pass's endpoints, sorted */
	uint32_t *wanted;     /* tenants, sorted */
	uint64_t (*labels)[2];
	uint32_t *bases;
	size_t n_wanted, n_labels, n_bases;
};

int sync_by_hash(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static int collect_label(void *arg, const void *key, const void *value)
{
	const struct pk_labels *labels = value;
	struct withdraw *w = arg;

	if (labels->rule_set == 0 ||
	    bsearch(key, w->known, w->p->n_targets, sizeof(*w->known), sync_by_hash))
		return 0;
	w->labels = realloc(w->labels, (w->n_labels + 1) * sizeof(*w->labels));
	if (!w->labels)
		abort();
	memcpy(w->labels[w->n_labels++], key, 16);
	return 0;
}

static int collect_base(void *arg, const void *key, const void *value)
{
	struct withdraw *w = arg;
	uint32_t tenant;

	(void)value;
	memcpy(&tenant, key, sizeof(tenant));
	if (tenant == 0 || bsearch(&tenant, w->wanted, w->n_wanted, sizeof(*w->wanted), pk_u32_cmp))
		return 0;
	w->bases = realloc(w->bases, (w->n_bases + 1) * sizeof(*w->bases));
	if (!w->bases)
		abort();
	w->bases[w->n_bases++] = tenant;
	return 0;
}

/* Collects the label sets and tenants of all endpoints and wanted bases. */
static void collect_known(struct withdraw *w)
{
	const struct sync_pass *p = w->p;
	const char *tenant_name;
	uint64_t hash[2];
	size_t n = 0;

	w->known = pk_alloc((p->n_targets + 1) * sizeof(*w->known));
	for (size_t i = 0; i < p->n_targets; i++)
		memcpy(w->known[i], p->targets[i].hash, 16);
	qsort(w->known, p->n_targets, sizeof(*w->known), sync_by_hash);
	while (pk_model_tenant(p->want->model, n))
		n++;
	w->wanted = pk_alloc((n + 1) * sizeof(*w->wanted));
	for (size_t i = 0; (tenant_name = pk_model_tenant(p->want->model, i)); i++) {
		pk_tenant_hash(tenant_name, hash);
		if (pk_tenant_get(p->sync->bpf, hash, &w->wanted[w->n_wanted]) == 0)
			w->n_wanted++;
	}
	qsort(w->wanted, w->n_wanted, sizeof(*w->wanted), pk_u32_cmp);
}

void sync_withdraw(struct sync_pass *p)
{
	struct withdraw w = { .p = p };
	struct pk_err err = { 0 };

	collect_known(&w);
	pk_map_each(p->sync->bpf->map[PK_MAP_LABELS], collect_label, &w);
	pk_map_each(p->sync->bpf->map[PK_MAP_BASES], collect_base, &w);
	for (size_t i = 0; i < w.n_labels && !p->held; i++)
		sync_error(p, pk_labels_name(p->sync->bpf, w.labels[i], 0, pk_sync_until(), &err),
			   &err);
	for (size_t i = 0; i < w.n_bases && !p->held; i++)
		sync_error(p, pk_base_name(p->sync->bpf, w.bases[i], 0, pk_sync_until(), &err),
			   &err);
	free(w.known);
	free(w.wanted);
	free(w.labels);
	free(w.bases);
}

unsigned int pk_sync_rule_sets(const struct pk_sync *s)
{
	own_mem bool *there = s->bpf ? pk_rule_sets_there(s->bpf) : NULL;
	unsigned int n = 0;

	for (uint32_t i = 1; there && i < s->n_sets; i++)
		n += there[i];
	return n;
}
