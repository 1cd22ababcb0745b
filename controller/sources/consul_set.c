/* SPDX-License-Identifier: Apache-2.0 */
#include "consul_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "consul_strays.h"
#include "docsource.h"
#include "log.h"
#include "own.h"

/*
 * The most queries that may block. Consul's agent takes 200 connections of one client
 * (limits.http_max_conns_per_client), and others on this node need some.
 */
#define BLOCKING_MAX 96
#define TOGETHER_MS  100   /* losses of several sources within it are judged as one act */
#define UNSURE_MS    2000  /* how long to wait for a source that is about to lack some, too */
#define MEANT_MS     60000 /* how long a raised generation counts for all sources */

struct tenant {
	char *name;
	struct pk_consul *watch;
	bool here;	   /* the model has the tenant */
	UT_hash_handle hh; /* by name, in the order in which they came */
};

struct pk_consul_set {
	struct pk_consul_args args;
	struct pk_model *model;
	struct pk_consul *operator_watch;
	struct pk_consul_strays *strays;
	struct tenant *tenants;
	struct pk_source source;
	struct pk_timer *judge;
	/* loop time since when a loss waits for its judgement; 0: none does */
	uint64_t doubted_ms;
	bool meant;
	uint64_t meant_ms;
};

static const char *origin_of(const struct pk_consul_set *set)
{
	return set->args.store->ops->origin;
}

static void on_confirmed(void *arg)
{
	struct pk_consul_set *set = arg;

	set->doubted_ms = set->doubted_ms ?: pk_loop_now(set->args.loop);
	pk_timer_hurry(set->judge, TOGETHER_MS);
}

static void told(void *arg, const struct pk_doc_entry *e)
{
	(void)arg;
	(void)e;
}

/*
 * Notes that the generation was raised: the operators say for all sources that Consul is as it is
 * meant to be.
 */
static void on_meant(void *arg)
{
	struct pk_consul_set *set = arg;
	const struct pk_docs_meant all = { .what = origin_of(set), .told = told };

	set->meant = true;
	set->meant_ms = pk_loop_now(set->args.loop);
	for (struct tenant *t = set->tenants; t; t = t->hh.next)
		if (!pk_consul_release(t->watch))
			*pk_docs_history(set->args.docs, pk_consul_of(t->watch)) =
				(struct pk_docs_history){ 0 };
	if (pk_docs_release(set->args.docs, &all))
		set->args.changed(set->args.arg);
}

/* Returns whether a source may be about to lack some, too, and is waited for. Reading ends. */
static bool is_waited_for(const struct pk_consul_set *set, const struct pk_consul *c, uint64_t now)
{
	return pk_consul_is_reading(c) ||
	       (pk_consul_is_unsure(c) && now - set->doubted_ms < UNSURE_MS);
}

static bool any_is_waited_for(const struct pk_consul_set *set, uint64_t now)
{
	if (is_waited_for(set, set->operator_watch, now))
		return true;
	for (const struct tenant *t = set->tenants; t; t = t->hh.next)
		if (is_waited_for(set, t->watch, now))
			return true;
	return false;
}

/*
 * Judges what sources lack. Where one source lacks documents absence.h decides; where several do
 * the whole store lost something, and all is held. A store has one history: where one source's
 * answer is of an older one, all sources' are.
 */
static void judge(void *arg)
{
	struct pk_consul_set *set = arg;
	uint64_t now = pk_loop_now(set->args.loop);
	struct pk_absence a = pk_docs_absence(set->args.docs, origin_of(set), now);
	struct pk_consul_word word = { .meant = set->meant && now - set->meant_ms < MEANT_MS };
	size_t sources = 0, n;

	if (any_is_waited_for(set, now)) {
		pk_timer_set(set->judge, TOGETHER_MS);
		return;
	}
	set->doubted_ms = 0;
	n = pk_consul_doubts(set->operator_watch);
	sources += n > 0;
	a.lacks += n;
	for (struct tenant *t = set->tenants; t; t = t->hh.next) {
		n = pk_consul_doubts(t->watch);
		sources += n > 0;
		a.lacks += n;
	}
	a.behind = pk_docs_behind(set->args.docs, origin_of(set));
	if (sources > 1 || a.behind)
		word.held = pk_absence_held(&a);
	pk_consul_judged(set->operator_watch, &word);
	for (struct tenant *t = set->tenants; t; t = t->hh.next)
		pk_consul_judged(t->watch, &word);
}

static struct pk_consul *watch(struct pk_consul_set *set, const char *of)
{
	struct pk_consul_args args = set->args;

	args.of = of;
	args.confirmed = on_confirmed;
	args.meant = on_meant;
	args.set = set;
	return pk_consul_new(&args);
}

static struct tenant *add(struct pk_consul_set *set, const char *name)
{
	struct tenant *t = pk_alloc(sizeof(*t));
	own_str of = { 0 };

	pk_str_addf(&of, "%s" PK_SOURCE_TENANT "%s", origin_of(set), name);
	t->name = strdup(name);
	if (!t->name || of.failed)
		abort();
	t->watch = watch(set, of.text);
	HASH_ADD_KEYPTR(hh, set->tenants, t->name, strlen(t->name), t);
	pk_consul_poll(t->watch, HASH_COUNT(set->tenants) > BLOCKING_MAX);
	return t;
}

static void drop(struct pk_consul_set *set, struct tenant *t)
{
	HASH_DEL(set->tenants, t);
	pk_consul_free(t->watch);
	free(t->name);
	free(t);
}

/* Lets the first sources use blocking queries, and has the others ask now and then. */
static void deal_connections(struct pk_consul_set *set)
{
	unsigned int n = 0;

	for (struct tenant *t = set->tenants; t; t = t->hh.next)
		pk_consul_poll(t->watch, n++ >= BLOCKING_MAX);
}

static void drop_gone(struct pk_consul_set *set)
{
	struct tenant *t, *next;
	bool any = false;

	HASH_ITER (hh, set->tenants, t, next) {
		if (t->here)
			continue;
		any |= pk_docs_forget(set->args.docs, t->name);
		drop(set, t);
	}
	deal_connections(set);
	if (any)
		set->args.changed(set->args.arg);
}

void pk_consul_set_follow(struct pk_consul_set *set)
{
	const char *name;
	size_t n = 0;

	for (struct tenant *t = set->tenants; t; t = t->hh.next)
		t->here = false;
	for (; (name = pk_model_tenant(set->model, n)); n++) {
		struct tenant *t;

		HASH_FIND_STR(set->tenants, name, t);
		t = t ?: add(set, name);
		t->here = true;
	}
	if (n < HASH_COUNT(set->tenants))
		drop_gone(set);
}

struct pk_consul_set *pk_consul_set_new(const struct pk_consul_args *args, struct pk_model *model)
{
	struct pk_consul_set *set = pk_alloc(sizeof(*set));
	own_str operators = { 0 };

	set->args = *args;
	set->model = model;
	set->judge = pk_timer_new(args->loop, judge, set);
	pk_str_addf(&operators, "%s" PK_SOURCE_OPERATOR, origin_of(set));
	set->operator_watch = watch(set, operators.text);
	set->strays = pk_consul_strays_new(args);
	pk_consul_set_follow(set);
	return set;
}

void pk_consul_set_free(struct pk_consul_set *set)
{
	if (!set)
		return;
	while (set->tenants)
		drop(set, set->tenants);
	pk_consul_free(set->operator_watch);
	pk_consul_strays_free(set->strays);
	pk_timer_free(set->judge);
	free(set);
}

bool pk_consul_set_release(struct pk_consul_set *set, const char *what)
{
	bool any = false;

	if (pk_source_in(pk_consul_of(set->operator_watch), what))
		any |= pk_consul_release(set->operator_watch);
	for (struct tenant *t = set->tenants; t; t = t->hh.next)
		if (pk_source_in(pk_consul_of(t->watch), what))
			any |= pk_consul_release(t->watch);
	return any;
}

void pk_consul_set_unserved(struct pk_consul_set *set, const char *why)
{
	pk_consul_unserved(set->operator_watch, why);
	for (struct tenant *t = set->tenants; t; t = t->hh.next)
		pk_consul_unserved(t->watch, why);
}

void pk_consul_set_served(struct pk_consul_set *set, bool anew)
{
	pk_consul_served(set->operator_watch, anew);
	for (struct tenant *t = set->tenants; t; t = t->hh.next)
		pk_consul_served(t->watch, anew);
}

/* Returns how bad a state is; a higher number is worse. */
static int badness(enum pk_source_state state)
{
	return state == PK_SOURCE_STALE ? 2 : state == PK_SOURCE_STARTING;
}

const struct pk_source *pk_consul_set_source(struct pk_consul_set *set)
{
	struct pk_source *all = &set->source;
	unsigned int errors;

	*all = *pk_consul_source(set->operator_watch);
	errors = all->errors;
	for (const struct tenant *t = set->tenants; t; t = t->hh.next) {
		const struct pk_source *s = pk_consul_source(t->watch);

		errors += s->errors;
		if (badness(s->state) > badness(all->state))
			*all = *s;
	}
	all->errors = errors;
	snprintf(all->detail, sizeof(all->detail), "%.100s, %u tenants",
		 pk_consul_source(set->operator_watch)->detail, HASH_COUNT(set->tenants));
	return all;
}

const struct pk_source *pk_consul_set_at(const struct pk_consul_set *set, size_t i,
					 const char **source)
{
	const struct pk_consul *watch = i ? NULL : set->operator_watch;

	for (const struct tenant *t = set->tenants; t && !watch; t = t->hh.next)
		if (--i == 0)
			watch = t->watch;
	if (!watch)
		return NULL;
	*source = pk_consul_of(watch);
	return pk_consul_source(watch);
}

const char *pk_consul_set_tenant(const struct pk_consul_set *set, size_t i, const char **over)
{
	for (const struct tenant *t = set->tenants; t; t = t->hh.next)
		if (i-- == 0) {
			*over = pk_consul_over(t->watch);
			return t->name;
		}
	return NULL;
}

const char *pk_consul_set_strays(const struct pk_consul_set *set)
{
	return pk_consul_strays_text(set->strays);
}
