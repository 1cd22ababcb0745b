/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides what of Consul's answer is believed. Keys that are there count. Keys that are missing
 * count only where that is confirmed by the leader, where the answer's history isn't older than the
 * one believed before, and where not too many are missing at once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consul_watch_private.h"
#include "docsource.h"
#include "log.h"
#include "own.h"
#include "str.h"

#define GENERATION ".generation" /* a key among the operator's documents that is none */

/*
 * Returns whether the key is no document: a folder, which ends with a slash, as Consul's own page
 * makes them, or the operators' generation.
 */
static bool is_no_document(const struct pk_consul *c, const char *key)
{
	return !*key || key[strlen(key) - 1] == '/' ||
	       (!c->tenant_name && strcmp(key + strlen(c->prefix), GENERATION) == 0);
}

/* Returns where the key's document is from; the path gets its text. */
static struct pk_doc_origin origin_of(const struct pk_consul *c, const struct pk_kv *kv,
				      struct pk_str *path)
{
	pk_str_addf(path, "%s:%s", c->args.store->ops->origin, kv->key);
	return (struct pk_doc_origin){ .source = c->of,
				       .path = path->text,
				       .tenant_name = c->tenant_name,
				       .index = kv->modified ?: c->last.index,
				       .ahead = c->ahead };
}

static size_t read_key(struct pk_consul *c, const struct pk_kv *kv)
{
	own_str path = { 0 };
	const struct pk_doc_origin origin = origin_of(c, kv, &path);

	if (kv->unreadable || is_no_document(c, kv->key))
		return 1;
	return pk_docs_read_ahead(c->args.docs, c->ahead, &origin, kv->value, kv->len);
}

void consul_read_on(struct pk_consul *c)
{
	struct answer *last = &c->last;

	for (size_t used = 0; used < PK_DOCS_TURN && last->n_read < last->kvs.n;)
		used += read_key(c, &last->kvs.list[last->n_read++]);
	if (last->n_read < last->kvs.n)
		pk_timer_set(c->timer, 0);
	else
		PK_MOVE(last->then, NULL)(c);
}

void consul_read(struct pk_consul *c, void (*then)(struct pk_consul *c))
{
	c->last.then = then;
	consul_read_on(c);
}

static bool offer_key(struct pk_consul *c, const struct pk_kv *kv)
{
	own_str path = { 0 };
	const struct pk_doc_origin origin = origin_of(c, kv, &path);

	if (kv->unreadable)
		return pk_docs_unreadable(c->args.docs, &origin, kv->unreadable);
	return pk_docs_offer(c->args.docs, &origin, kv->value, kv->len);
}

static bool offer_all(struct pk_consul *c)
{
	bool any = false;

	for (size_t i = 0; i < c->last.kvs.n; i++)
		if (!is_no_document(c, c->last.kvs.list[i].key))
			any |= offer_key(c, &c->last.kvs.list[i]);
	return any;
}

static bool has_key(void *arg, const char *path)
{
	const char *key = strchr(path, ':');

	return key && pk_kvs_find(arg, key + 1);
}

static struct pk_docs_look look_of(struct pk_consul *c)
{
	return (struct pk_docs_look){ .of = c->of,
				      .has = has_key,
				      .arg = &c->last.kvs,
				      .why = "its key is gone",
				      .index = c->last.index,
				      .now_ms = pk_loop_now(c->args.loop),
				      .first = c->first,
				      .behind = c->last.behind,
				      .meant = c->last.meant };
}

/*
 * Returns the operators' generation, a number that they raise to say that Consul is as it is meant
 * to be, whatever is missing.
 */
static uint64_t generation_of(const struct pk_consul *c)
{
	own_str key = { 0 };
	const struct pk_kv *kv;
	uint64_t n;

	pk_str_addf(&key, "%s" GENERATION, c->prefix);
	kv = c->tenant_name ? NULL : pk_kvs_find(&c->last.kvs, key.text);
	return kv && pk_parse_u64(kv->value, INT64_MAX, &n) == 0 ? n : 0;
}

static void keep_history(struct pk_consul *c)
{
	struct pk_docs_history *h = pk_docs_history(c->args.docs, c->of);

	if (c->last.behind && !h->behind)
		log_warn("op=%s source=%s index=%lu before=%lu err=\"its history is older than "
			 "what it said before\" nothing of it is taken",
			 c->args.store->ops->origin, c->of, c->last.index, h->index);
	if (!c->last.behind) {
		if (c->last.meant || c->last.anew || h->behind || c->last.index > h->index)
			h->index = c->last.index;
		h->generation = generation_of(c);
	}
	h->behind = c->last.behind;
}

/* Drops, moves or holds the documents in force that the answer lacks. */
static void believe(struct pk_consul *c, const struct pk_docs_look *look)
{
	bool any = pk_docs_looked(c->args.docs, look), meant = c->last.meant;

	/* A refused document may have waited for one that went: it is looked at again at once. */
	if (any && !c->last.behind && pk_docs_any_waits(c->args.docs))
		offer_all(c);
	keep_history(c);
	c->first = false;
	if (c->tenant_name && !c->last.behind)
		any |= pk_docs_hear(c->args.docs, c->tenant_name);
	pk_source_good(&c->source);
	snprintf(c->source.detail, sizeof(c->source.detail), "%zu keys below %.100s", c->last.kvs.n,
		 c->prefix);
	consul_forget_last(c);
	consul_ask_again(c);
	if (any)
		c->args.changed(c->args.arg);
	if (meant)
		c->args.meant(c->args.set);
}

size_t pk_consul_doubts(struct pk_consul *c)
{
	const struct pk_docs_look look = look_of(c);

	return c->confirmed ? pk_docs_lacking(c->args.docs, &look) : 0;
}

bool pk_consul_is_reading(const struct pk_consul *c)
{
	return c->last.then;
}

bool pk_consul_is_unsure(const struct pk_consul *c)
{
	return c->last.index && !c->confirmed && !c->waits;
}

void pk_consul_judged(struct pk_consul *c, const struct pk_consul_word *word)
{
	struct pk_docs_look look = look_of(c);

	look.held = word->held;
	look.meant |= word->meant;
	if (c->confirmed)
		believe(c, &look);
}

/*
 * Waits for the other sources' answers, since one act may take documents of many tenants (a prefix
 * that was too short): what several sources lack in one moment is judged together.
 */
static void wait_for_others(struct pk_consul *c)
{
	c->confirmed = true;
	c->args.confirmed(c->args.set);
}

static void on_token(void *arg, const struct pk_store_answer *answer)
{
	struct pk_consul *c = arg;

	consul_ended(c);
	if (!answer->why) {
		wait_for_others(c);
		return;
	}
	consul_forget_last(c);
	consul_failed(c, answer->fault, answer->why);
}

static void check_token(struct pk_consul *c)
{
	struct pk_err err = { 0 };

	consul_begun(c, pk_store_check(c->args.store, c->source.turn, on_token, c, &err), &err);
}

/* Returns whether the token may not see all documents: a hidden one looks like one that is gone. */
static bool is_filtered(struct pk_consul *c)
{
	own_str why = { 0 };

	if (!c->last.filtered)
		return false;
	pk_str_addf(&why,
		    "the token may not read all keys below %.100s: none is taken as gone; fix: "
		    "give it ",
		    c->prefix);
	pk_store_rule(c->args.store, c->prefix, false, &why);
	consul_forget_last(c);
	consul_failed(c, PK_FAULT_ANSWER, why.text);
	return true;
}

static bool is_another(const struct pk_doc_entry *e, const struct pk_kv *kv)
{
	uint64_t hash[2];

	if (!kv)
		return true;
	pk_hash128(kv->value, kv->len, hash);
	return memcmp(hash, e->hash, sizeof(hash)) != 0;
}

/*
 * Returns whether the key's text is older than the one in force: changed before it, or of the same
 * index and another text.
 */
static bool is_older(const struct pk_doc_entry *e, const struct pk_kv *kv)
{
	if (!kv || !kv->modified)
		return false;
	return kv->modified < e->index || (kv->modified == e->text_index && is_another(e, kv));
}

/* Returns the key of a document whose path is "consul:KEY". */
static const char *key_of(const struct pk_doc_entry *e)
{
	const char *colon = strchr(e->path, ':');

	return colon ? colon + 1 : "";
}

/*
 * Returns whether the test holds for any document in force and its key in the answer; kv is NULL
 * where the answer has none.
 */
static bool any_in_force(const struct pk_consul *c,
			 bool (*is_so)(const struct pk_doc_entry *e, const struct pk_kv *kv))
{
	for (size_t i = 0; i < pk_docs_count(c->args.docs); i++) {
		const struct pk_doc_entry *e = pk_docs_at(c->args.docs, i);

		if (e->doc && strcmp(e->source, c->of) == 0 &&
		    is_so(e, pk_kvs_find(&c->last.kvs, key_of(e))))
			return true;
	}
	return false;
}

static void on_consistent_read(struct pk_consul *c)
{
	struct pk_docs_look look;

	if (!c->last.behind && offer_all(c))
		c->args.changed(c->args.arg);
	if (is_filtered(c))
		return;
	look = look_of(c);
	if (c->last.behind || !pk_docs_lacking(c->args.docs, &look))
		believe(c, &look);
	else if (c->last.kvs.n == 0)
		check_token(c);
	else
		wait_for_others(c);
}

static void on_consistent(void *arg, const struct pk_store_answer *answer)
{
	struct pk_consul *c = arg;
	bool behind = c->last.behind, meant = c->last.meant, anew = c->last.anew;

	if (!consul_receive(c, answer))
		return;
	c->last.behind = behind && any_in_force(c, is_another);
	c->last.meant = meant;
	c->last.anew = anew;
	consul_read(c, on_consistent_read);
}

/*
 * Takes what the answer has. If it lacks something, or is of an older history for the first time, a
 * consistent answer is asked for first: the server that answered may lag.
 */
void consul_take(struct pk_consul *c)
{
	const struct pk_docs_history *h = pk_docs_history(c->args.docs, c->of);
	struct pk_docs_look look;
	bool any = !c->last.behind && offer_all(c), lacks;

	look = look_of(c);
	lacks = !c->last.behind && (c->last.meant || pk_docs_lacking(c->args.docs, &look) > 0);
	/* else believe() calls it once, at its end */
	if (any && (lacks || c->last.filtered))
		c->args.changed(c->args.arg);
	if (is_filtered(c))
		return;
	if (lacks || (c->last.behind && !h->behind)) {
		consul_query(c, false, on_consistent);
		return;
	}
	believe(c, &look);
	if (any)
		c->args.changed(c->args.arg);
}

/* Returns whether the answer is of an older history: within one the store's index only rises. */
static bool is_of_older(const struct pk_consul *c, uint64_t index, uint64_t generation)
{
	const struct pk_docs_history *h = pk_docs_history(c->args.docs, c->of);

	return c->suspected || h->behind || index < h->index || generation < h->generation ||
	       any_in_force(c, is_older);
}

/*
 * Asks again without an index: a restored snapshot ends a blocking query with the text from before
 * it.
 */
static void ask_anew(struct pk_consul *c)
{
	c->suspected = true;
	c->index = 0;
	consul_forget_last(c);
	consul_ask_again(c);
}

static void on_history(void *arg, const struct pk_store_answer *answer)
{
	struct pk_consul *c = arg;
	const struct pk_docs_history *h = pk_docs_history(c->args.docs, c->of);
	uint64_t generation = generation_of(c);

	consul_ended(c);
	if (answer->why) {
		consul_forget_last(c);
		consul_failed(c, answer->fault, answer->why);
		return;
	}
	if (answer->index < c->index)
		c->index = answer->index; /* so that the next write ends the wait */
	c->last.meant = generation > h->generation;
	c->last.anew = is_of_older(c, answer->index, generation);
	if (c->last.anew && c->wait.index) {
		ask_anew(c);
		return;
	}
	c->suspected = false;
	/* An older answer does no harm where everything in force is in it unchanged. */
	c->last.behind = c->last.anew && !c->last.meant && any_in_force(c, is_another);
	consul_take(c);
}

bool consul_is_lacking(const struct pk_consul *c)
{
	return pk_docs_behind(c->args.docs, c->of) || pk_docs_held(c->args.docs, c->of, NULL);
}

/*
 * Returns whether the answer to a question that didn't wait has all that is in force as it is,
 * under no older index. Of whatever history it is, it takes nothing away, and its index is believed
 * either way: what the leader says of its own changes nothing then. So a thousand nodes don't all
 * ask the leader when the servers come back, or when all of them start.
 */
static bool has_all(const struct pk_consul *c, const struct pk_docs_history *h)
{
	return !c->wait.index && c->last.index >= h->index && generation_of(c) == h->generation &&
	       !any_in_force(c, is_another);
}

/*
 * Returns whether the answer is doubted: it shows a sign of an older history, lacks something, came
 * without a newer index, or is the first one and has something else than what is in force.
 */
bool consul_is_doubted(struct pk_consul *c)
{
	const struct pk_docs_history *h = pk_docs_history(c->args.docs, c->of);
	const struct pk_docs_look look = look_of(c);
	bool early = !c->polls && !pk_kv_wait_ran_out(&c->wait, c->last.heard_ms);

	if (!h->index)
		return false;
	if (c->args.store->ops->waits_end_early)
		c->suspected |= pk_kv_wait_suspects(&c->wait, c->last.index, c->last.heard_ms);
	if (c->suspected || h->behind || generation_of(c) > h->generation ||
	    pk_docs_lacking(c->args.docs, &look) || any_in_force(c, is_older))
		return true;
	/* An empty first answer may be all that the token may see: the leader tells. */
	if (has_all(c, h) && (!c->first || c->last.kvs.n))
		return false;
	if (c->first)
		return true;
	/* A server that always answers so is asked no more often than any other. */
	c->waits = c->last.index < h->index || (early && c->last.index == h->index);
	return c->waits;
}

void consul_ask_history(struct pk_consul *c)
{
	struct pk_err err = { 0 };

	c->waits = false;
	consul_begun(c,
		     pk_store_index(c->args.store, c->prefix, c->source.turn, on_history, c, &err),
		     &err);
}

bool pk_consul_release(struct pk_consul *c)
{
	struct pk_docs_history *h = pk_docs_history(c->args.docs, c->of);

	if (!h->behind)
		return false;
	*h = (struct pk_docs_history){ 0 };
	c->suspected = false;
	pk_store_cancel(c->args.store, PK_MOVE(c->call, NULL));
	consul_forget_last(c);
	c->index = 0;
	pk_timer_set(c->timer, 0);
	return true;
}
