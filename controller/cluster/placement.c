/* SPDX-License-Identifier: Apache-2.0 */
#include "placement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "consul.h"
#include "log.h"
#include "nomad_reader.h"
#include "own.h"
#include "pairs.h"
#include "service.h"

#define SETTLE_MS  200	  /* pairs that come within it are asked in one question */
#define AGAIN_MS   300000 /* between two questions of one tenant; up to half more, by chance */
#define NO_MS	   10000  /* the same, while Nomad says no of a pair */
#define STRANGE_MS 60000  /* the same, while its answers are not this cluster's */
#define TIMEOUT_MS 5000
#define FILTER	   "ClientStatus != \"complete\" and ClientStatus != \"failed\""

struct tenant {
	char *name;
	struct pk_pairs *pairs;
	bool seen, own; /* own: this node has an endpoint of it */
	bool leader;	/* the next question is for Nomad's leader: a follower lacked a pair */
	bool said;	/* logged already that Nomad can't be asked */
	bool held;	/* logged already that too much lacks at once */
	unsigned int failures;
	uint64_t due_ms;
	UT_hash_handle hh;
};

struct pk_placement {
	struct pk_placement_args args;
	char *node;
	struct pk_timer *ask;
	struct tenant *tenants;
	struct tenant *asked; /* the one that `call` asks about; NULL: it is forgotten meanwhile */
	struct pk_http_call *call;
	struct pk_placement_reader *reader;
	int result;
	bool own_here;	   /* the answer has this node */
	unsigned int turn; /* failed answers of all tenants, as in struct pk_tries */
};

static void tenant_free(struct pk_placement *pl, struct tenant *t)
{
	if (pl->asked == t)
		pl->asked = NULL;
	HASH_DEL(pl->tenants, t);
	pk_pairs_free(t->pairs);
	free(t->name);
	free(t);
}

static struct tenant *tenant_of(struct pk_placement *pl, const char *name)
{
	struct tenant *t;

	HASH_FIND_STR(pl->tenants, name, t);
	if (t)
		return t;
	t = pk_alloc(sizeof(*t));
	t->name = pk_strdup(name);
	t->pairs = pk_pairs_new();
	HASH_ADD_KEYPTR(hh, pl->tenants, t->name, strlen(t->name), t);
	return t;
}

void pk_placement_begin(struct pk_placement *pl)
{
	for (struct tenant *t = pl->tenants; t; t = t->hh.next) {
		t->seen = false;
		pk_pairs_begin(t->pairs);
	}
}

enum pk_hosting pk_placement_of(void *placement, const char *tenant_name, const char *node)
{
	struct pk_placement *pl = placement;
	struct tenant *t = tenant_of(pl, tenant_name);
	enum pk_hosting word;
	bool is_new;

	t->seen = true;
	word = pk_pairs_of(t->pairs, node, &is_new);
	if (is_new && pl->asked != t) {
		t->due_ms = pk_loop_now(pl->args.loop);
		pk_timer_hurry(pl->ask, SETTLE_MS);
	}
	return word;
}

void pk_placement_end(struct pk_placement *pl)
{
	struct tenant *t, *next;

	HASH_ITER (hh, pl->tenants, t, next) {
		pk_pairs_end(t->pairs);
		if (!t->seen)
			tenant_free(pl, t);
	}
}

/* Sets when the tenant is asked about again; pairs that came meanwhile shorten it. */
static void again(struct pk_placement *pl, struct tenant *t, uint64_t ms)
{
	if (pk_pairs_any_new(t->pairs))
		ms = SETTLE_MS;
	t->due_ms = pk_loop_now(pl->args.loop) + ms;
	pk_timer_hurry(pl->ask, ms);
}

static uint64_t chance_ms(uint64_t ms)
{
	return ms + (pk_backoff_ms(0) - 500) * ms / 2000;
}

/* Takes a failure: what Nomad said before stays, and new pairs are judged without it. */
static void failed(struct pk_placement *pl, struct tenant *t, const char *why, uint64_t ms)
{
	bool changed = pk_pairs_silent(t->pairs);

	if (!t->said)
		log_warn("op=cluster tenant=\"%s\" err=\"Nomad doesn't say where its allocations "
			 "are: %s\" what other nodes say of its endpoints is believed without it",
			 t->name, why);
	t->said = true;
	t->leader = false;
	t->failures++;
	pl->turn++;
	again(pl, t, ms);
	if (changed)
		pl->args.changed(pl->args.arg);
}

/* Takes a whole answer. One that lacks a pair comes from the leader. */
static void take(struct pk_placement *pl, struct tenant *t)
{
	struct pk_pairs_taken taken;

	pk_pairs_take(t->pairs, &taken);
	if (taken.held && !t->held)
		log_warn("op=cluster tenant=\"%s\" err=\"Nomad lacks %zu of %zu nodes that had its "
			 "allocations: %s\" they stay believed",
			 t->name, taken.lacks, taken.had, taken.held);
	t->held = taken.held != NULL;
	t->failures = 0;
	t->said = false;
	again(pl, t, chance_ms(taken.any_no ? NO_MS : AGAIN_MS));
	if (taken.changed)
		pl->args.changed(pl->args.arg);
}

static void judge(struct pk_placement *pl, struct tenant *t)
{
	const bool was_leader = PK_MOVE(t->leader, false);

	if (pk_pairs_lack(t->pairs) && !was_leader) {
		t->leader = true;
		again(pl, t, pk_backoff_ms(0));
	} else if (pk_pairs_lack(t->pairs) && t->own && !pl->own_here) {
		failed(pl, t, "it lacks this node's own, or this node has another name there",
		       chance_ms(STRANGE_MS));
	} else {
		take(pl, t);
	}
}

static void on_place(void *arg, const char *name)
{
	struct pk_placement *pl = arg;
	own_mem char *node = pk_consul_part(name);

	pl->own_here |= strcmp(node, pl->node) == 0;
	if (pl->asked)
		pk_pairs_here(pl->asked->pairs, node);
}

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
	struct pk_placement *pl = arg;

	pl->result = pk_placement_reader_feed(pl->reader, bytes, n, NULL);
	return pl->result == 0;
}

/* Names the right that the token lacks. */
static void add_right(const struct pk_http_reply *reply, char *why, size_t room)
{
	if (reply->status == 403)
		snprintf(why + strlen(why), room - strlen(why),
			 "; fix: give picketd's token read-job in that namespace");
}

static void on_answer(void *arg, const struct pk_http_reply *reply)
{
	struct pk_placement *pl = arg;
	struct tenant *t = pl->asked;
	char why[300];
	struct pk_err err = { 0 };

	pl->call = NULL;
	pl->asked = NULL;
	pk_timer_hurry(pl->ask, 0);
	if (!t)
		return;
	if (pk_service_failed(reply, false, why, sizeof(why))) {
		add_right(reply, why, sizeof(why));
		failed(pl, t, why, pk_backoff_ms(t->failures));
		return;
	}
	if (pl->result < 0 || pk_placement_reader_end(pl->reader, &err) < 0)
		failed(pl, t, "its answer can't be read", pk_backoff_ms(t->failures));
	else
		judge(pl, t);
}

/*
 * Returns whether this node has an endpoint of the tenant that Nomad must know. What `picket
 * attach` made isn't Nomad's.
 */
static bool nomad_runs(const struct pk_model *model, const char *tenant)
{
	bool declared = false;

	for (const struct pk_local_endpoint *ep = pk_model_next(model, NULL); ep;
	     ep = pk_model_next(model, ep)) {
		const char *name = ep->open ? pk_local_endpoint_namespace(ep) : NULL;

		if (!name || strcmp(name, tenant) != 0)
			continue;
		if (!ep->declared)
			return true;
		declared = true;
	}
	return !declared && pk_model_has_tenant(model, tenant);
}

static void start(struct pk_placement *pl, struct tenant *t)
{
	struct pk_service_call call = { .service = &pl->args.config->nomad,
					.header = "X-Nomad-Token",
					.turn = pl->turn,
					.timeout_ms = TIMEOUT_MS,
					.cap = PK_NOMAD_BODY_MAX,
					.sink = on_bytes };
	struct pk_err err = { 0 };
	own_str path = { 0 };

	pk_str_add(&path, "/v1/allocations?namespace=");
	pk_url_add(&path, t->name, NULL);
	pk_str_addf(&path,
		    "&task_states=false&resources=false%s&filter=", t->leader ? "" : "&stale=true");
	pk_url_add(&path, FILTER, NULL);
	pk_pairs_asked(t->pairs);
	t->own = nomad_runs(pl->args.model, t->name);
	pl->own_here = false;
	pl->result = 0;
	pk_placement_reader_free(pl->reader);
	pl->reader = pk_placement_reader_new(on_place, pl);
	pl->asked = t;
	call.path = path.text;
	pl->call = pk_service_start(pl->args.http, &call, on_answer, pl, &err);
	if (pl->call)
		return;
	pl->asked = NULL;
	failed(pl, t, err.text, pk_backoff_ms(t->failures));
}

/* Asks about one tenant at a time: the one that has waited longest. */
static void ask(void *arg)
{
	struct pk_placement *pl = arg;
	const uint64_t now = pk_loop_now(pl->args.loop);
	struct tenant *first = NULL;

	if (pl->call)
		return;
	for (struct tenant *t = pl->tenants; t; t = t->hh.next)
		if (!first || t->due_ms < first->due_ms)
			first = t;
	if (first && first->due_ms <= now)
		start(pl, first);
	else if (first)
		pk_timer_set(pl->ask, first->due_ms - now);
}

struct pk_placement *pk_placement_new(const struct pk_placement_args *args)
{
	struct pk_placement *pl = pk_alloc(sizeof(*pl));

	pl->args = *args;
	pl->node = pk_strdup(args->node);
	pl->ask = pk_timer_new(args->loop, ask, pl);
	return pl;
}

void pk_placement_free(struct pk_placement *pl)
{
	if (!pl)
		return;
	pk_http_cancel(pl->call);
	pk_timer_free(pl->ask);
	pk_placement_reader_free(pl->reader);
	while (pl->tenants)
		tenant_free(pl, pl->tenants);
	free(pl->node);
	free(pl);
}
