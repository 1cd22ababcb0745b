/* SPDX-License-Identifier: Apache-2.0 */
#include "removal.h"

#include <stdlib.h>
#include <string.h>

#include "own.h"

#define TIMEOUT_MS 10000
#define NAMES_MAX  (64u << 20) /* bytes of the list of all tenants' shares */

struct step {
	char *key;	   /* below the prefix */
	char *body;	   /* NULL: it goes */
	uint64_t modified; /* of what body replaces */
};

struct pk_removal {
	struct pk_store *store;
	char *node;
	struct pk_store_call *call;
	struct step *steps;
	size_t n, at;
	struct pk_removed removed;
	pk_removal_fn *fn;
	void *arg;
};

static void removal_free(struct pk_removal *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->steps[i].key);
		free(r->steps[i].body);
	}
	free(r->steps);
	free(r->node);
	free(r);
}

static void end(struct pk_removal *r, const char *why)
{
	r->removed.why = why;
	r->fn(r->arg, &r->removed);
	removal_free(r);
}

static struct step *add(struct pk_removal *r, const char *key)
{
	r->steps = realloc(r->steps, (r->n + 1) * sizeof(*r->steps));
	if (!r->steps)
		abort();
	r->steps[r->n] = (struct step){ .key = pk_strdup(key) };
	return &r->steps[r->n++];
}

static void next(struct pk_removal *r);

static void on_written(void *arg, const struct pk_store_answer *answer)
{
	struct pk_removal *r = arg;
	const struct step *s = &r->steps[r->at];

	r->call = NULL;
	if (answer->why) {
		end(r, answer->why);
		return;
	}
	if (!answer->done) {
		end(r, "somebody else changed its keys meanwhile: do it again");
		return;
	}
	r->removed.blocks += s->body != NULL;
	r->removed.keys += s->body == NULL;
	r->at++;
	next(r);
}

static void next(struct pk_removal *r)
{
	const struct step *s = &r->steps[r->at];
	struct pk_store_write write = { 0 };
	struct pk_err err = { 0 };
	own_str key = { 0 };

	if (r->at == r->n) {
		end(r, NULL);
		return;
	}
	pk_str_addf(&key, "%s%s", r->store->prefix, s->key);
	write = (struct pk_store_write){
		.key = key.text, .value = s->body, .compares = s->body, .modified = s->modified
	};
	r->call = pk_store_write(r->store, &write, on_written, r, &err);
	if (!r->call)
		end(r, err.text);
}

/* Adds the claims, last: a block that is given back belongs to nobody until it has rested. */
static void add_claims(struct pk_removal *r, const struct pk_block_claims *claims)
{
	for (size_t i = 0; i < claims->n; i++) {
		const struct pk_block_claim *c = &claims->list[i];
		struct pk_claim_word word = *c->word;
		own_str body = { 0 };
		struct step *s;

		if (strcmp(word.node, r->node) != 0 || word.returned || !c->modified)
			continue;
		word.number = pk_word_number_after(word.number);
		word.returned = time(NULL);
		pk_claim_word_encode(&word, &body);
		s = add(r, c->key);
		s->body = pk_str_take(&body);
		s->modified = c->modified;
	}
}

/* Adds the node's shares of all names; they go before the node's blocks do. */
static void add_shares(struct pk_removal *r, const struct pk_kvs *kvs)
{
	struct step *claims = PK_MOVE(r->steps, NULL);
	size_t n = PK_MOVE(r->n, 0);
	own_str word = { 0 };

	pk_str_addf(&word, "nodes/%s", r->node);
	add(r, word.text);
	for (size_t i = 0; i < kvs->n; i++) {
		const char *key = kvs->list[i].key + strlen(r->store->prefix);

		if (pk_share_key_is_of(key, r->node))
			add(r, key);
	}
	for (size_t i = 0; i < n; i++) {
		struct step *s = add(r, claims[i].key);

		s->body = claims[i].body;
		s->modified = claims[i].modified;
		free(claims[i].key);
	}
	free(claims);
	pk_str_reset(&word);
	pk_str_addf(&word, "status/nodes/%s", r->node);
	add(r, word.text);
}

static void on_names(void *arg, const struct pk_store_answer *answer)
{
	struct pk_removal *r = arg;

	r->call = NULL;
	if (answer->why) {
		end(r, answer->why);
		return;
	}
	add_shares(r, answer->kvs);
	next(r);
}

struct pk_removal *pk_removal_start(const struct pk_removal_args *args, pk_removal_fn *fn,
				    void *arg, struct pk_err *err)
{
	struct pk_store_question q = {
		.what = PK_STORE_NAMES, .leaders = true, .cap = NAMES_MAX, .timeout_ms = TIMEOUT_MS
	};
	struct pk_removal *r = pk_alloc(sizeof(*r));
	own_str prefix = { 0 };

	*r = (struct pk_removal){
		.store = args->store, .node = pk_strdup(args->node), .fn = fn, .arg = arg
	};
	add_claims(r, args->claims);
	pk_str_addf(&prefix, "%stenants/", args->store->prefix);
	q.prefix = prefix.text;
	r->call = pk_store_ask(args->store, &q, on_names, r, err);
	if (r->call)
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
