/* SPDX-License-Identifier: Apache-2.0 */
#include "consul_strays.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"

#define EACH_MS	   60000
#define TIMEOUT_MS 10000
#define BODY_MAX   (4u << 20)
#define SAID_MAX   4 /* the most keys that are named */

struct pk_consul_strays {
	struct pk_consul_args args;
	struct pk_timer *timer;
	struct pk_store_call *call;
	char *prefix;
	bool tenants; /* the second question, for the keys below tenants/, is under way */
	unsigned int failures;
	size_t n;
	struct pk_str found;
	char *text; /* what the last whole look found */
};

/*
 * Returns whether the key could be a document's. The bare folders are no strays: "operator/",
 * "tenants/", and each namespace's below that.
 */
static bool is_known(const struct pk_consul_strays *s, const char *name)
{
	const char *rest = name + strlen(s->prefix);

	if (strncmp(name, s->prefix, strlen(s->prefix)) != 0)
		return false;
	if (!*rest)
		return true;
	if (!s->tenants)
		return strcmp(rest, "operator/") == 0 || strcmp(rest, "tenants/") == 0;
	rest = strchr(rest, '/') ?: "";
	return !*rest || !rest[1] || rest[strlen(rest) - 1] == '/';
}

static void take(struct pk_consul_strays *s, const struct pk_kvs *names)
{
	for (size_t i = 0; i < names->n; i++) {
		const char *name = names->list[i].key;

		if (is_known(s, name))
			continue;
		if (s->n++ < SAID_MAX)
			pk_str_addf(&s->found, "%s%.200s", s->n > 1 ? ", " : "", name);
	}
}

static void finish(struct pk_consul_strays *s)
{
	own_mem char *before = PK_MOVE(s->text, NULL);

	if (s->n > SAID_MAX)
		pk_str_addf(&s->found, " and %zu more", s->n - SAID_MAX);
	s->text = pk_str_take(&s->found);
	if (s->text && *s->text && strcmp(before ?: "", s->text) != 0)
		log_warn("op=%s keys=\"%s\" in no policy's place, ignored",
			 s->args.store->ops->origin, s->text);
	pk_timer_set(s->timer, EACH_MS + pk_backoff_ms(0));
}

static void ask(void *arg);

static void on_names(void *arg, const struct pk_store_answer *answer)
{
	struct pk_consul_strays *s = arg;

	s->call = NULL;
	if (answer->why) { /* the watches report what is wrong with the store */
		s->failures++;
		pk_timer_set(s->timer, EACH_MS + pk_backoff_ms(0));
		return;
	}
	take(s, answer->kvs);
	if (s->tenants) {
		finish(s);
		return;
	}
	s->tenants = true;
	ask(s);
}

static void ask(void *arg)
{
	struct pk_consul_strays *s = arg;
	struct pk_store_question q = { .what = PK_STORE_FOLDER,
				       .cap = BODY_MAX,
				       .timeout_ms = TIMEOUT_MS,
				       .turn = s->failures };
	own_str prefix = { 0 };

	pk_str_addf(&prefix, "%s%s", s->prefix, s->tenants ? "tenants/" : "");
	q.prefix = prefix.text;
	s->call = pk_store_ask(s->args.store, &q, on_names, s, NULL);
	if (!s->call)
		pk_timer_set(s->timer, EACH_MS);
}

static void begin(void *arg)
{
	struct pk_consul_strays *s = arg;

	s->tenants = false;
	s->n = 0;
	pk_str_reset(&s->found);
	ask(s);
}

struct pk_consul_strays *pk_consul_strays_new(const struct pk_consul_args *args)
{
	struct pk_consul_strays *s = pk_alloc(sizeof(*s));
	own_str prefix = { 0 };

	s->args = *args;
	pk_str_addf(&prefix, "%spolicies/", args->store->prefix);
	s->prefix = pk_str_take(&prefix);
	if (!s->prefix)
		abort();
	s->timer = pk_timer_new(args->loop, begin, s);
	pk_timer_set(s->timer, 0);
	return s;
}

void pk_consul_strays_free(struct pk_consul_strays *s)
{
	if (!s)
		return;
	pk_store_cancel(s->args.store, s->call);
	pk_timer_free(s->timer);
	pk_str_done(&s->found);
	free(s->prefix);
	free(s->text);
	free(s);
}

const char *pk_consul_strays_text(const struct pk_consul_strays *s)
{
	return s->text ?: "";
}
