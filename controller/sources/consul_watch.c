/* SPDX-License-Identifier: Apache-2.0 */
#include "consul_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consul_watch_private.h"
#include "docsource.h"
#include "log.h"
#include "own.h"

#define CONFIRM_MS 10000
#define POLL_MS	   30000 /* between two questions of a source that doesn't block */
#define FLAP_MS	   60000 /* an index that goes back again within it is no restored history's */
#define FLAPS_MAX  2

void consul_failed(struct pk_consul *c, enum pk_source_fault fault, const char *why)
{
	if (c->source.failures == 0)
		log_warn("op=%s source=%s err=\"%s\" keeping what is in force",
			 c->args.store->ops->origin, c->of, why);
	pk_source_bad(&c->source, fault, why);
	c->index = 0;
	pk_timer_set(c->timer, pk_backoff_ms(c->source.failures - 1));
}

/* Says that the question under way isn't answered now. */
static void note_outage(struct pk_consul *c)
{
	if (c->call && pk_source_note_outage(&c->source))
		log_warn("op=%s source=%s err=\"%s\" keeping what is in force",
			 c->args.store->ops->origin, c->of, c->source.outage);
}

void consul_begun(struct pk_consul *c, struct pk_store_call *call, const struct pk_err *err)
{
	c->call = call;
	if (!call)
		consul_failed(c, PK_FAULT_UNASKED, err->text);
	else
		note_outage(c);
}

void consul_ended(struct pk_consul *c)
{
	c->call = NULL;
	c->source.outage = NULL;
}

void consul_query(struct pk_consul *c, bool waits, pk_store_fn *fn)
{
	static const struct pk_kv_budget tenant = { PK_TENANT_KEYS_MAX, PK_TENANT_TEXT_MAX };
	static const struct pk_kv_budget operators = { PK_CONSUL_KEYS_MAX, PK_CONSUL_BODY_MAX };
	const struct pk_store_question q = {
		.prefix = c->prefix,
		.leaders = !waits,
		.wait = waits ? &c->wait : NULL,
		.budget = c->tenant_name ? tenant : operators,
		.cap = c->tenant_name ? PK_TENANT_BODY_MAX : PK_CONSUL_BODY_MAX,
		.timeout_ms = waits ? PK_KV_WAIT_MS : CONFIRM_MS,
		.turn = c->source.turn,
	};
	struct pk_err err = { 0 };

	consul_begun(c, pk_store_ask(c->args.store, &q, fn, c, &err), &err);
}

void consul_forget_last(struct pk_consul *c)
{
	pk_kvs_done(&c->last.kvs);
	pk_docs_ahead_clear(c->ahead);
	c->last = (struct answer){ 0 };
	c->confirmed = c->waits = false;
}

void consul_ask_again(struct pk_consul *c)
{
	unsigned int pause = pk_pace_ms(&c->pace, pk_loop_now(c->args.loop));

	if (c->polls)
		pause = POLL_MS + (unsigned int)pk_backoff_ms(0);
	pk_timer_set(c->timer, pause);
}

/*
 * Returns whether the answer is over its tenant's budget; the rest of it isn't even received then.
 * The tenant's documents stay in force, and the next change is waited for.
 */
static bool is_over(struct pk_consul *c, const struct pk_store_answer *answer)
{
	bool over = c->tenant_name && answer->over;
	char why[sizeof(c->over)] = "";

	if (over)
		snprintf(why, sizeof(why), "%.300s", answer->why);
	if (over && strcmp(why, c->over) != 0)
		log_warn("op=%s source=%s err=\"%s\" refused, its documents stay as they are",
			 c->args.store->ops->origin, c->of, why);
	memcpy(c->over, why, sizeof(why));
	if (!over)
		return false;
	c->index = c->source.index = answer->index;
	pk_source_good(&c->source);
	consul_ask_again(c);
	return true;
}

bool consul_receive(struct pk_consul *c, const struct pk_store_answer *answer)
{
	consul_ended(c);
	consul_forget_last(c);
	if (is_over(c, answer))
		return false;
	if (answer->why) {
		consul_failed(c, answer->fault, answer->why);
		return false;
	}
	c->last.kvs = PK_MOVE(*answer->kvs, (struct pk_kvs){ 0 });
	c->last.index = answer->index;
	c->last.heard_ms = pk_loop_now(c->args.loop);
	c->last.filtered = answer->filtered;
	c->suspected |= answer->older;
	return true;
}

/*
 * Asks without an index, as the index went back: the store was restored, or its servers don't
 * agree.
 */
static void went_back(struct pk_consul *c)
{
	uint64_t now = pk_loop_now(c->args.loop);

	c->flaps = c->flaps && now - c->flap_ms < FLAP_MS ? c->flaps + 1 : 1;
	c->flap_ms = now;
	c->index = 0;
	consul_forget_last(c);
	consul_ask_again(c);
	if (c->flaps == FLAPS_MAX + 1)
		log_warn("op=%s source=%s err=\"its index goes back and forth\" asked once a "
			 "second",
			 c->args.store->ops->origin, c->of);
	if (c->flaps > FLAPS_MAX)
		pk_source_bad(&c->source, PK_FAULT_ANSWER,
			      "its index goes back and forth: servers that don't agree "
			      "answer here");
}

static void on_read(struct pk_consul *c)
{
	c->source.index = c->last.index;
	if (!consul_is_doubted(c))
		consul_take(c);
	else if (c->waits)
		pk_timer_set(c->timer, pk_pace_ms(&c->pace, pk_loop_now(c->args.loop)));
	else
		consul_ask_history(c);
}

static void on_keys(void *arg, const struct pk_store_answer *answer)
{
	struct pk_consul *c = arg;

	if (!consul_receive(c, answer))
		return;
	if (answer->index < c->index) {
		went_back(c);
		return;
	}
	c->index = answer->index;
	consul_read(c, on_read);
}

static void ask(void *arg)
{
	struct pk_consul *c = arg;

	if (c->last.then) {
		consul_read_on(c);
		return;
	}
	if (c->waits) {
		consul_ask_history(c);
		return;
	}
	/* Any server may answer: before a loss counts the leader is asked. */
	pk_kv_wait_begin(&c->wait, c->polls ? 0 : c->index, consul_is_lacking(c),
			 pk_loop_now(c->args.loop));
	consul_query(c, true, on_keys);
}

static char *prefix_of(const struct pk_consul *c)
{
	own_str prefix = { 0 };
	char *text;

	pk_str_addf(&prefix, "%spolicies/", c->args.store->prefix);
	if (c->tenant_name)
		pk_str_addf(&prefix, "tenants/%s/", c->tenant_name);
	else
		pk_str_add(&prefix, "operator/");
	text = pk_str_take(&prefix);
	if (!text)
		abort();
	return text;
}

struct pk_consul *pk_consul_new(const struct pk_consul_args *args)
{
	struct pk_consul *c = pk_alloc(sizeof(*c));

	*c = (struct pk_consul){ .args = *args, .of = strdup(args->of), .first = true };
	if (!c->of)
		abort();
	c->tenant_name = pk_source_namespace(c->of);
	c->prefix = prefix_of(c);
	c->ahead = pk_docs_ahead_new();
	pk_source_start(&c->source);
	c->timer = pk_timer_new(c->args.loop, ask, c);
	pk_timer_set(c->timer, 0);
	return c;
}

void pk_consul_free(struct pk_consul *c)
{
	if (!c)
		return;
	pk_store_cancel(c->args.store, c->call);
	pk_timer_free(c->timer);
	pk_kvs_done(&c->last.kvs);
	pk_docs_ahead_free(c->ahead);
	free(c->of);
	free(c->prefix);
	free(c);
}

const struct pk_source *pk_consul_source(const struct pk_consul *c)
{
	return &c->source;
}

const char *pk_consul_of(const struct pk_consul *c)
{
	return c->of;
}

const char *pk_consul_over(const struct pk_consul *c)
{
	return *c->over ? c->over : NULL;
}

void pk_consul_unserved(struct pk_consul *c, const char *why)
{
	c->source.outage = why;
	note_outage(c);
}

void pk_consul_served(struct pk_consul *c, bool anew)
{
	if (!pk_source_served(&c->source) || !c->call || !anew)
		return;
	pk_store_cancel(c->args.store, PK_MOVE(c->call, NULL));
	consul_forget_last(c);
	pk_timer_set(c->timer, 0);
}

void pk_consul_poll(struct pk_consul *c, bool polls)
{
	c->polls = polls;
}
