/* SPDX-License-Identifier: Apache-2.0 */
#include "removal.h"

#include <stdlib.h>
#include <string.h>

#include "own.h"

#define TIMEOUT_MS 10000
#define NAMES_MAX  (64u << 20) /* bytes of a list of names */
#define STATUS	   "status/"

/* What is listed, in this order; of the first ones, which are what was told, some may be left. */
static const char *const folders[] = { STATUS "nodes/", STATUS "tenants/", "tenants/" };
#define TOLD 2

struct step {
	char *key;	   /* below the prefix */
	char *body;	   /* NULL: it goes */
	uint64_t modified; /* of what body replaces */
};
struct steps {
	struct step *list;
	size_t n;
};

struct pk_removal {
	struct pk_store *store;
	char *node;
	struct pk_store_call *call;
	struct steps steps, claims; /* those that are done in their order; those that come last */
	size_t at, listed;	    /* the step and the folder that are under way */
	unsigned int addresses;
	unsigned int turn, silent; /* questions without an answer: all, and those in a row */
	bool leaves[TOLD];	   /* folders of which some may be left */
	struct pk_str left;
	struct pk_removed removed;
	pk_removal_fn *fn;
	void *arg;
};

static void steps_done(struct steps *steps)
{
	for (size_t i = 0; i < steps->n; i++) {
		free(steps->list[i].key);
		free(steps->list[i].body);
	}
	free(steps->list);
}

static void removal_free(struct pk_removal *r)
{
	steps_done(&r->steps);
	steps_done(&r->claims);
	pk_str_done(&r->left);
	free(r->node);
	free(r);
}

static void end(struct pk_removal *r, const char *why)
{
	r->removed.why = why;
	r->removed.left = r->left.text;
	r->fn(r->arg, &r->removed);
	removal_free(r);
}

static void add(struct steps *to, struct step step)
{
	to->list = realloc(to->list, (to->n + 1) * sizeof(step));
	if (!to->list)
		abort();
	to->list[to->n++] = step;
}

static void next(struct pk_removal *r);

/* Returns whether what got no answer is to be asked again, of another address. */
static bool goes_elsewhere(struct pk_removal *r, const struct pk_store_answer *answer)
{
	const bool silent = answer->why && answer->fault == PK_FAULT_SILENT;

	r->turn += silent;
	if (silent && ++r->silent < r->addresses)
		return true;
	r->silent = 0;
	return false;
}

/*
 * Notes that not all that the node told below a folder goes: the token may not list or delete it
 * (why is NULL), or there is no list of it. That harms nobody, and a cluster may have said
 * "status": false: the rest goes on.
 */
static void leave(struct pk_removal *r, size_t folder, const char *why)
{
	own_str prefix = { 0 };

	if (r->leaves[folder])
		return;
	r->leaves[folder] = true;
	pk_str_addf(&prefix, "%s%s", r->store->prefix, folders[folder]);
	pk_str_addf(&r->left, "%swhat it told below %s", r->left.len ? ", and " : "", prefix.text);
	if (why) {
		pk_str_addf(&r->left, ", which harms nobody: %s", why);
		return;
	}
	pk_str_add(&r->left, "; fix: give picketd's token ");
	pk_store_rule(r->store, prefix.text, true, &r->left);
}

/* Returns the folder of what was told that has the key; TOLD: it is none of that. */
static size_t told_in(const char *key)
{
	size_t i = 0;

	while (i < TOLD && strncmp(key, folders[i], strlen(folders[i])) != 0)
		i++;
	return i;
}

static void on_written(void *arg, const struct pk_store_answer *answer)
{
	struct pk_removal *r = arg;
	const struct step *s = &r->steps.list[r->at];
	const size_t told = told_in(s->key);

	r->call = NULL;
	if (goes_elsewhere(r, answer)) {
		next(r);
		return;
	}
	if (answer->refused && told < TOLD) {
		leave(r, told, NULL);
	} else if (answer->why) {
		end(r, answer->why);
		return;
	} else if (!answer->done) {
		end(r, "somebody else changed its keys meanwhile: do it again");
		return;
	} else {
		r->removed.blocks += s->body != NULL;
		r->removed.keys += s->body == NULL;
	}
	r->at++;
	next(r);
}

static void next(struct pk_removal *r)
{
	const struct step *s = &r->steps.list[r->at];
	struct pk_store_write write = { 0 };
	struct pk_err err = { 0 };
	own_str key = { 0 };

	if (r->at == r->steps.n) {
		end(r, NULL);
		return;
	}
	pk_str_addf(&key, "%s%s", r->store->prefix, s->key);
	write = (struct pk_store_write){ .key = key.text,
					 .value = s->body,
					 .compares = s->body,
					 .modified = s->modified,
					 .turn = r->turn };
	r->call = pk_store_write(r->store, &write, on_written, r, &err);
	if (!r->call)
		end(r, err.text);
}

/* Adds the key that the node has in the folder. */
static void add_of(struct pk_removal *r, const char *folder)
{
	own_str key = { 0 };

	pk_str_addf(&key, "%s%s", folder, r->node);
	add(&r->steps, (struct step){ .key = pk_str_take(&key) });
}

static void note_claims(struct pk_removal *r, const struct pk_block_claims *claims)
{
	for (size_t i = 0; i < claims->n; i++) {
		const struct pk_block_claim *c = &claims->list[i];
		struct pk_claim_word word = *c->word;
		own_str body = { 0 };

		if (strcmp(word.node, r->node) != 0 || word.returned || !c->modified)
			continue;
		word.number = pk_word_number_after(word.number);
		word.returned = time(NULL);
		pk_claim_word_encode(&word, &body);
		add(&r->claims, (struct step){ .key = pk_strdup(c->key),
					       .body = pk_str_take(&body),
					       .modified = c->modified });
	}
}

/* Adds those of the listed keys that are the node's. */
static void add_listed(struct pk_removal *r, const struct pk_kvs *kvs,
		       bool (*is_of)(const char *key, const char *node))
{
	for (size_t i = 0; i < kvs->n; i++) {
		const char *key = kvs->list[i].key + strlen(r->store->prefix);

		if (is_of(key, r->node))
			add(&r->steps, (struct step){ .key = pk_strdup(key) });
	}
}

static void on_names(void *arg, const struct pk_store_answer *answer);

/* Asks for the names below the next folder. */
static int ask(struct pk_removal *r, struct pk_err *err)
{
	struct pk_store_question q = { .what = PK_STORE_NAMES,
				       .leaders = true,
				       .told_by = r->node,
				       .cap = NAMES_MAX,
				       .timeout_ms = TIMEOUT_MS,
				       .turn = r->turn };
	own_str prefix = { 0 };

	pk_str_addf(&prefix, "%s%s", r->store->prefix, folders[r->listed]);
	q.prefix = prefix.text;
	r->call = pk_store_ask(r->store, &q, on_names, r, err);
	return r->call ? 0 : -1;
}

/*
 * Takes the names of what was told. It goes first: while the node's word, a share or a claim is
 * there the node is known, and its removal can be asked for again.
 */
static void add_told(struct pk_removal *r, const struct pk_store_answer *answer)
{
	struct pk_err err = { 0 };
	own_str more = { 0 };

	pk_str_addf(&more,
		    "%zu more of its keys there than one tenant's are listed; fix: delete those "
		    "that end in its name",
		    answer->unnamed);
	if (answer->why || answer->filtered)
		leave(r, r->listed, answer->refused || answer->filtered ? NULL : answer->why);
	else if (answer->unnamed)
		leave(r, r->listed, more.text);
	if (!answer->why)
		add_listed(r, answer->kvs, pk_word_is_of);
	r->listed++;
	if (ask(r, &err) < 0)
		end(r, err.text);
}

/*
 * Takes the names of shares, which are listed last. They go before the blocks: a block that is
 * given back belongs to nobody until it has rested.
 */
static void on_names(void *arg, const struct pk_store_answer *answer)
{
	struct pk_removal *r = arg;
	struct pk_err err = { 0 };

	r->call = NULL;
	if (goes_elsewhere(r, answer)) {
		if (ask(r, &err) < 0)
			end(r, err.text);
		return;
	}
	if (r->listed < TOLD) {
		add_told(r, answer);
		return;
	}
	if (answer->why) {
		end(r, answer->why);
		return;
	}
	add_of(r, "nodes/");
	add_listed(r, answer->kvs, pk_share_key_is_of);
	for (size_t i = 0; i < r->claims.n; i++)
		add(&r->steps, PK_MOVE(r->claims.list[i], (struct step){ 0 }));
	next(r);
}

struct pk_removal *pk_removal_start(const struct pk_removal_args *args, pk_removal_fn *fn,
				    void *arg, struct pk_err *err)
{
	struct pk_removal *r = pk_alloc(sizeof(*r));

	*r = (struct pk_removal){
		.store = args->store,
		.node = pk_strdup(args->node),
		.addresses = args->addresses,
		.fn = fn,
		.arg = arg,
	};
	note_claims(r, args->claims);
	if (ask(r, err) == 0)
		return r;
	removal_free(r);
	return NULL;
}

void pk_removal_cancel(struct pk_removal *r)
{
	if (!r)
		return;
	pk_store_cancel(r->store, r->call);
	removal_free(r);
}
