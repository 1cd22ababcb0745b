/* SPDX-License-Identifier: Apache-2.0 */
/* Removes rule sets and label sets that no endpoint needs any more (sync.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "sync_private.h"

/* How many unused label sets one turn looks at. */
#define TIDY_PART 512

struct gone {
	uint64_t hash[2];
	bool peer; /* some rule set has it as a peer */
};

struct tidy {
	struct pk_sync *sync;
	uint64_t (*used)[2]; /* identities of endpoints, sorted */
	size_t n_used, n;
	struct gone gone[TIDY_PART];
};

static void collect_used(struct tidy *t, struct pk_model *model)
{
	const struct pk_remotes *remotes = pk_model_remotes(model);

	t->used = pk_alloc((pk_model_count(model) + pk_remotes_count(remotes) + 1) *
			   sizeof(*t->used));
	for (const struct pk_local_endpoint *m = pk_model_next(model, NULL); m;
	     m = pk_model_next(model, m)) {
		struct pk_identity_ref id;

		if (pk_engine_identity(pk_model_engine(model), m->key, &id) == 0)
			memcpy(t->used[t->n_used++], id.hash, 16);
	}
	for (const struct pk_remote_endpoint *e = pk_remotes_next(remotes, NULL); e;
	     e = pk_remotes_next(remotes, e)) {
		struct pk_identity_ref id;

		if (pk_engine_identity(pk_model_engine(model), e->key, &id) == 0)
			memcpy(t->used[t->n_used++], id.hash, 16);
	}
	qsort(t->used, t->n_used, sizeof(*t->used), sync_by_hash);
}

/* Marks the identities that rule sets have as peers, in one walk over all of them. */
static void mark_peers(struct tidy *t)
{
	const struct pk_sync *s = t->sync;

	qsort(t->gone, t->n, sizeof(*t->gone), sync_by_hash);
	for (size_t i = 0; i < s->n_sets; i++)
		for (size_t k = 0; s->sets[i].image && k < s->sets[i].image->n_peers; k++) {
			struct gone *gone;

			if (s->sets[i].image->peers[k].tenant)
				continue;
			gone = bsearch(s->sets[i].image->peers[k].hash, t->gone, t->n,
				       sizeof(*t->gone), sync_by_hash);
			if (gone)
				gone->peer = true;
		}
}

static int collect_unused(void *arg, const void *key, const void *value)
{
	struct tidy *t = arg;

	(void)value;
	if (bsearch(key, t->used, t->n_used, sizeof(*t->used), sync_by_hash))
		return 0;
	memcpy(t->gone[t->n++].hash, key, 16);
	return t->n == TIDY_PART;
}

/* An ADD takes less than so many seconds. */
#define ADD_S 60

/*
 * Returns whether no ADD is under way. During one its slot is taken and has no endpoint yet; its
 * label set must stay.
 */
static bool is_quiet(const struct pk_sync *s, struct pk_model *model)
{
	for (uint32_t slot = 1; slot <= s->bpf->node.capacity; slot++)
		if (pk_slot_taken(s->bpf, slot) && !pk_model_by_slot(model, slot) &&
		    pk_slot_age(s->bpf, slot) < ADD_S)
			return false;
	return true;
}

/*
 * How many unused label sets are kept, so that a job that comes back starts quickly. Not more: each
 * may hold a rule set's number, and those are few.
 */
#define IDLE_LABELS 32

/*
 * Forgets some unused label sets. There may be more where a whole part was looked at and any was
 * forgotten.
 */
static void tidy_labels(struct pk_sync *s, struct pk_model *model)
{
	struct tidy t = { .sync = s };
	size_t forgot = 0;
	int r = 0;

	s->more_labels = false;
	if (!is_quiet(s, model))
		return;
	collect_used(&t, model);
	pk_map_each(s->bpf->map[PK_MAP_LABELS], collect_unused, &t);
	if (t.n > IDLE_LABELS)
		mark_peers(&t);
	for (size_t i = 0; t.n > IDLE_LABELS && i < t.n && r != -ETIMEDOUT; i++) {
		if (t.gone[i].peer)
			continue;
		r = pk_labels_forget(s->bpf, t.gone[i].hash, pk_sync_until(), NULL);
		forgot += r == 0;
	}
	s->more_labels = t.n == TIDY_PART && forgot && r != -ETIMEDOUT;
	free(t.used);
}

struct names {
	bool *named; /* by rule set */
	size_t n;
};

static void name(struct names *names, uint32_t rule_set)
{
	if (rule_set < names->n)
		names->named[rule_set] = true;
}

static int name_base(void *arg, const void *key, const void *value)
{
	(void)key;
	name(arg, *(const uint32_t *)value);
	return 0;
}

static int name_labels(void *arg, const void *key, const void *value)
{
	(void)key;
	name(arg, ((const struct pk_labels *)value)->rule_set);
	return 0;
}

/*
 * Marks the rule sets that any table names. Returns false where a table can't be read: it may name
 * any of them.
 */
static bool read_names(const struct pk_sync *s, struct names *names)
{
	for (uint32_t slot = 1; slot <= s->bpf->node.capacity; slot++)
		name(names, PK_WORD_RULE_SET(pk_word(s->bpf, slot)));
	return pk_map_each(s->bpf->map[PK_MAP_BASES], name_base, names) == 0 &&
	       pk_map_each(s->bpf->map[PK_MAP_LABELS], name_labels, names) == 0;
}

static void mark_idle(struct pk_sync *s)
{
	own_mem bool *named = pk_alloc(s->n_sets + 1), *there = pk_rule_sets_there(s->bpf);
	struct names names = { .named = named, .n = s->n_sets };
	bool known = there && read_names(s, &names);

	for (uint32_t i = 1; i < s->n_sets; i++) {
		struct set_at *at = &s->sets[i];

		if (!known || named[i] || !there[i])
			at->idle = 0;
		else
			at->idle += at->idle < 2;
	}
}

void pk_sync_tidy(struct pk_sync *s, struct pk_model *model)
{
	if (!s->bpf)
		return;
	mark_idle(s);
	tidy_labels(s, model);
}

static uint32_t next_idle(const struct pk_sync *s)
{
	for (uint32_t i = 1; s->bpf && i < s->n_sets; i++)
		if (s->sets[i].idle == 2)
			return i;
	return 0;
}

bool pk_sync_tidy_next(struct pk_sync *s, struct pk_model *model)
{
	uint32_t i = next_idle(s);
	struct set_at *at = &s->sets[i];
	struct pk_err err = { 0 };

	if (!i && s->bpf && s->more_labels) {
		tidy_labels(s, model);
		return s->more_labels;
	}
	if (!i)
		return false;
	if (pk_rule_set_free(s->bpf, i, at->image, pk_sync_until(), &err) < 0) {
		log_warn("op=tidy rule_set=%u err=\"%s\" ignoring until the next pass", i,
			 err.text);
		at->idle = 0;
		return true;
	}
	sync_remember(s, i, NULL);
	at->idle = 0;
	return true;
}
