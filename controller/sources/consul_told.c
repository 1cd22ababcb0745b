/* SPDX-License-Identifier: Apache-2.0 */
#include "consul_told.h"

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "consul_told_keys.h"
#include "consul.h"
#include "log.h"
#include "fs.h"
#include "own.h"
#include "service.h"
#include "store.h"
#include "tries.h"

#define SETTLE_MS  1000		      /* what changes back within it is told to nobody */
#define SLICE_MS   50		      /* between two slices of a walk over the documents */
#define SLICE_NS   UINT64_C(10000000) /* most time of one slice */
#define KEY_MS	   10000	      /* between two writes of a key */
#define REFUSED_MS 600000	      /* until a refused write is tried again */
#define TIMEOUT_MS 10000

struct pk_consul_told {
	const struct pk_parts *parts;
	struct pk_store *store;
	struct pk_timer *look, *write;
	struct pk_told_keys *keys;
	struct pk_store_call *call;
	struct pk_pace pace;
	char *prefix; /* "picket/v1/default/status/tenants/" */
	char *node;
	struct pk_api_states_walk walk; /* the walk that is under way */
	bool again;			/* something changed since the walk began: walk again */
	struct pk_tries tries;
	/* loop time before which nothing is written: after an error, or for the pace */
	uint64_t not_before_ms;
	uint64_t said_ms; /* loop time at which a refusal was logged last; 0: never */
};

static void key_of(const struct pk_consul_told *t, const struct pk_doc_entry *e, struct pk_str *key)
{
	const char *below = strstr(e->path, "/policies/tenants/");

	pk_str_addf(key, "%s%s/%s", t->prefix, below ? below + strlen("/policies/tenants/") : "",
		    t->node);
}

static void on_state(void *arg, const struct pk_doc_entry *e, const struct pk_str *text)
{
	struct pk_consul_told *t = arg;
	own_str key = { 0 };

	key_of(t, e, &key);
	pk_told_keys_want(t->keys, key.text, text->text);
}

/*
 * Tells tenants that their keys are over their budget, in the key .all: no document of theirs could
 * say it.
 */
static void tell_over(struct pk_consul_told *t)
{
	const char *name, *over;

	for (size_t i = 0; (name = pk_consul_set_tenant(t->parts->consul, i, &over)); i++) {
		own_str key = { 0 }, text = { 0 };
		struct pk_jw w = { .out = &text };

		pk_told_keys_tenant(t->keys, name);
		if (!over)
			continue;
		pk_str_addf(&key, "%s%s/.all/%s", t->prefix, name, t->node);
		pk_jw_open(&w, NULL, '{');
		pk_jw_string(&w, "state", "refused");
		pk_jw_string(&w, "why", over);
		pk_jw_close(&w, '}');
		pk_told_keys_want(t->keys, key.text, text.text);
	}
}

static void begin(struct pk_consul_told *t)
{
	t->walk = (struct pk_api_states_walk){ .fn = on_state, .arg = t };
	t->again = false;
	tell_over(t);
}

static void look(void *arg)
{
	struct pk_consul_told *t = arg;

	if (pk_apply_is_pending(t->parts->apply)) {
		pk_timer_set(t->look, SETTLE_MS);
		return;
	}
	if (!t->walk.fn)
		begin(t);
	if (!pk_api_tenant_states(t->parts, &t->walk, pk_now_ns() + SLICE_NS)) {
		pk_timer_set(t->look, SLICE_MS);
		return;
	}
	t->walk.fn = NULL;
	pk_told_keys_looked(t->keys);
	pk_timer_hurry(t->write, 0);
	if (t->again)
		pk_timer_set(t->look, SETTLE_MS);
}

void pk_consul_told_soon(struct pk_consul_told *t)
{
	t->again = true;
	pk_timer_hurry(t->look, SETTLE_MS);
}

static void write_in(struct pk_consul_told *t, uint64_t ms)
{
	t->not_before_ms = pk_loop_now(t->parts->loop) + ms;
	pk_timer_set(t->write, (unsigned int)ms);
}

static void say_refused(struct pk_consul_told *t, const char *why)
{
	const uint64_t now = pk_loop_now(t->parts->loop);
	own_str rule = { 0 };

	if (t->said_ms && now - t->said_ms < REFUSED_MS)
		return;
	pk_store_rule(t->store, t->prefix, true, &rule);
	log_warn("op=%s err=\"what became of tenants' documents can't be written below %s: %s\" "
		 "fix=\"give picketd's token %s, or say \\\"status\\\": false of %s\"",
		 t->store->ops->origin, t->prefix, why, rule.text, t->store->ops->origin);
	t->said_ms = now;
}

/*
 * Puts off this key, or with `all` the tenant's keys: the error is of these alone, and the others
 * go on.
 */
static void leave(struct pk_consul_told *t, bool all)
{
	const uint64_t now = pk_loop_now(t->parts->loop);

	pk_told_keys_failed(t->keys, now + REFUSED_MS, all);
	write_in(t, pk_pace_ms(&t->pace, now));
}

/*
 * Takes an answer; returns whether it was done. After an error that is of no single key everything
 * waits.
 */
static bool is_done(struct pk_consul_told *t, const struct pk_store_answer *answer)
{
	if (!answer->why) {
		pk_tries_good(&t->tries);
		return true;
	}
	if (answer->refused) {
		t->tries.turn++;
		say_refused(t, answer->why);
		leave(t, true);
	} else {
		write_in(t, pk_tries_elsewhere(&t->tries));
	}
	return false;
}

static void on_written(void *arg, const struct pk_store_answer *answer)
{
	struct pk_consul_told *t = arg;

	t->call = NULL;
	if (is_done(t, answer)) {
		pk_told_keys_written(t->keys, pk_loop_now(t->parts->loop));
		write_in(t, pk_pace_ms(&t->pace, pk_loop_now(t->parts->loop)));
	}
}

static void on_listed(void *arg, const struct pk_store_answer *answer)
{
	struct pk_consul_told *t = arg;

	t->call = NULL;
	if (!is_done(t, answer))
		return;
	pk_told_keys_listed(t->keys, answer->kvs);
	write_in(t, pk_pace_ms(&t->pace, pk_loop_now(t->parts->loop)));
	pk_consul_told_soon(t);
}

static void begun(struct pk_consul_told *t, struct pk_store_call *call)
{
	t->call = call;
	if (!call)
		write_in(t, pk_tries_elsewhere(&t->tries));
}

/* Returns whether the store can take such a key and text. If not the key is put off. */
static bool can_be(struct pk_consul_told *t, const char *key, const char *text)
{
	struct pk_err err = { 0 };

	if (pk_store_fits(t->store, key, text, &err) == 0)
		return true;
	log_warn("op=%s err=\"a tenant isn't told: %s\" fix=\"%s\"", t->store->ops->origin,
		 err.text, err.fix);
	leave(t, false);
	return false;
}

/*
 * Lists the tenant's keys that an earlier picketd of this node wrote, perhaps for documents that
 * are gone.
 */
static void list(struct pk_consul_told *t, const char *tenant_name)
{
	struct pk_store_question q = { .what = PK_STORE_NAMES,
				       .leaders = true,
				       .cap = PK_TENANT_BODY_MAX,
				       .timeout_ms = TIMEOUT_MS,
				       .turn = t->tries.turn };
	own_str prefix = { 0 }, longer = { 0 };

	pk_str_addf(&prefix, "%s%s/", t->prefix, tenant_name);
	q.prefix = prefix.text;
	/* the longest key that the list's question may name */
	pk_str_addf(&longer, "%s.nobody", prefix.text);
	if (!can_be(t, longer.text, NULL))
		return;
	begun(t, pk_store_ask(t->store, &q, on_listed, t, NULL));
}

static void write_key(struct pk_consul_told *t, const char *key, const char *text)
{
	const struct pk_store_write write = { .key = key, .value = text, .turn = t->tries.turn };

	if (!can_be(t, key, text))
		return;
	begun(t, pk_store_write(t->store, &write, on_written, t, NULL));
}

static void write_next(void *arg)
{
	struct pk_consul_told *t = arg;
	const uint64_t now = pk_loop_now(t->parts->loop);
	const char *tenant_name, *key, *text;
	uint64_t wait_ms = 0;

	if (t->call)
		return;
	if (now < t->not_before_ms) {
		pk_timer_set(t->write, (unsigned int)(t->not_before_ms - now));
		return;
	}
	tenant_name = pk_told_keys_unlisted(t->keys, now);
	if (tenant_name)
		list(t, tenant_name);
	else if (pk_told_keys_next(t->keys, now, KEY_MS, &wait_ms, &key, &text))
		write_key(t, key, text);
	else if (wait_ms)
		pk_timer_set(t->write, (unsigned int)wait_ms);
}

struct pk_consul_told *pk_consul_told_new(const struct pk_parts *parts, struct pk_store *store)
{
	struct pk_consul_told *t = pk_alloc(sizeof(*t));
	own_str prefix = { 0 };

	t->parts = parts;
	t->store = store;
	t->node = pk_consul_part(parts->node);
	pk_str_addf(&prefix, "%sstatus/tenants/", store->prefix);
	t->prefix = pk_str_take(&prefix);
	if (!t->prefix)
		abort();
	t->keys = pk_told_keys_new(t->node);
	t->look = pk_timer_new(parts->loop, look, t);
	t->write = pk_timer_new(parts->loop, write_next, t);
	pk_consul_told_soon(t);
	return t;
}

void pk_consul_told_free(struct pk_consul_told *t)
{
	if (!t)
		return;
	pk_store_cancel(t->store, t->call);
	pk_timer_free(t->look);
	pk_timer_free(t->write);
	pk_told_keys_free(t->keys);
	free(t->prefix);
	free(t->node);
	free(t);
}
