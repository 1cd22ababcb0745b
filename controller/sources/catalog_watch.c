/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "service.h"

#define WAIT_S 60
/*
 * The servers of both add up to a sixteenth to the wait, so that not all askers come back at once.
 */
#define TIMEOUT_MS ((WAIT_S + WAIT_S / 16 + 10) * 1000)
#define BODY_MAX   (16u << 20) /* most bytes of an answer; only the instances of it are kept */

/* The right that the token must have. */
#define CONSUL_RIGHT "service_prefix \"\" and node_prefix \"\" of policy \"read\""
#define NOMAD_RIGHT  "read-job in the service's namespace"

struct pk_catalog_watch {
	struct pk_catalog_watch_args args;
	char *path, *name;
	struct pk_timer *timer;
	struct pk_http_call *call;
	struct pk_catalog_reader *reader;
	struct pk_source source;
	struct pk_pace pace;
	/* index: the next question waits for a change past it; seen: the last answer's */
	uint64_t index, seen;
	bool answered;
	int result;
	struct pk_err err;
};

static void failed(struct pk_catalog_watch *w, enum pk_source_fault fault, const char *why)
{
	if (w->source.failures == 0)
		log_warn("op=service name=\"%s\" catalog=%s err=\"%s\" keeping its instances",
			 w->name, w->args.nomad ? "nomad" : "consul", why);
	pk_source_bad(&w->source, fault, why);
	w->index = 0;
	pk_timer_set(w->timer, pk_backoff_ms(w->source.failures - 1));
}

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
	struct pk_catalog_watch *w = arg;

	w->result = pk_catalog_reader_feed(w->reader, bytes, n, &w->err);
	return w->result == 0;
}

/*
 * Returns whether the answer is no good. Nor is one of which the token may not see everything: what
 * it lacks isn't gone.
 */
static bool is_bad(struct pk_catalog_watch *w, const struct pk_http_reply *reply,
		   struct pk_instances *out)
{
	char why[300];

	if (w->result < 0) {
		snprintf(why, sizeof(why), "%.200s%s%.80s", w->err.text,
			 *w->err.fix ? PK_SERVICE_FIX : "", w->err.fix);
		failed(w, PK_FAULT_ANSWER, why);
	} else if (pk_service_failed(reply, false, why, sizeof(why))) {
		if (reply->status == 403)
			snprintf(why + strlen(why), sizeof(why) - strlen(why), "; fix: %s",
				 w->args.nomad ? NOMAD_RIGHT : CONSUL_RIGHT);
		failed(w, pk_http_fault(reply), why);
	} else if (reply->filtered) {
		failed(w, PK_FAULT_ANSWER,
		       "the token may not see all of its instances; fix: " CONSUL_RIGHT);
	} else if (!reply->index) {
		failed(w, PK_FAULT_ANSWER, "an answer without an index" PK_SERVICE_OTHER);
	} else if (pk_catalog_reader_end(w->reader, out, &w->err) < 0) {
		failed(w, PK_FAULT_ANSWER, w->err.text);
	} else {
		return false;
	}
	return true;
}

/*
 * Returns whether the answer is the agent's own view, and asks again without an index then.
 * Consul's agent answers a waiting question from a view of its own, which shows neither whether
 * there is a leader nor whether the token may see everything.
 */
static bool is_view(struct pk_catalog_watch *w, const struct pk_http_reply *reply)
{
	if (!w->index || !reply->streamed || reply->status != 200)
		return false;
	w->index = 0;
	pk_timer_set(w->timer, pk_pace_ms(&w->pace, pk_loop_now(w->args.loop)));
	return true;
}

static void on_answer(void *arg, const struct pk_http_reply *reply)
{
	PK_OWN(pk_instances_done) struct pk_instances instances = { 0 };
	struct pk_catalog_watch *w = arg;
	struct pk_catalog_answer answer = { .instances = &instances, .first = !w->answered };

	w->call = NULL;
	if (is_view(w, reply) || is_bad(w, reply, &instances))
		return;
	answer.behind = reply->index < w->seen;
	w->answered = true;
	/* An index that went back is another history's: ask without one. */
	w->index = answer.behind ? 0 : reply->index;
	w->seen = w->source.index = reply->index;
	pk_source_good(&w->source);
	pk_timer_set(w->timer, pk_pace_ms(&w->pace, pk_loop_now(w->args.loop)));
	w->args.fn(w->args.arg, &answer);
}

static void ask(void *arg)
{
	struct pk_catalog_watch *w = arg;
	struct pk_service_call call = { .service = w->args.service,
					.header =
						w->args.nomad ? "X-Nomad-Token" : "X-Consul-Token",
					.turn = w->source.turn,
					.timeout_ms = TIMEOUT_MS,
					.cap = BODY_MAX,
					.sink = on_bytes };
	struct pk_err err = { 0 };
	own_str path = { 0 };

	pk_str_add(&path, w->path);
	if (w->index)
		pk_str_addf(&path, "&index=%lu&wait=%ds", w->index, WAIT_S);
	call.path = path.text;
	w->result = 0;
	w->err = (struct pk_err){ 0 };
	pk_catalog_reader_free(w->reader);
	w->reader = pk_catalog_reader_new(w->args.nomad);
	w->call = pk_service_start(w->args.http, &call, on_answer, w, &err);
	if (!w->call)
		failed(w, PK_FAULT_UNASKED, err.text);
}

static char *path_of(const struct pk_catalog_watch_args *args)
{
	struct pk_str path = { 0 };

	pk_str_add(&path, args->nomad ? "/v1/service/" : "/v1/health/service/");
	pk_url_add(&path, args->name, NULL);
	pk_str_add(&path, "?stale=true");
	if (args->nomad) {
		pk_str_add(&path, "&namespace=");
		pk_url_add(&path, args->tenant_name, NULL);
	}
	return pk_str_take(&path);
}

struct pk_catalog_watch *pk_catalog_watch_new(const struct pk_catalog_watch_args *args)
{
	struct pk_catalog_watch *w = pk_alloc(sizeof(*w));

	w->args = *args;
	w->path = path_of(args);
	w->name = pk_strdup(args->name);
	pk_source_start(&w->source);
	w->timer = pk_timer_new(args->loop, ask, w);
	pk_timer_set(w->timer, 0);
	return w;
}

void pk_catalog_watch_free(struct pk_catalog_watch *w)
{
	if (!w)
		return;
	pk_http_cancel(w->call);
	pk_timer_free(w->timer);
	pk_catalog_reader_free(w->reader);
	free(w->path);
	free(w->name);
	free(w);
}

void pk_catalog_watch_anew(struct pk_catalog_watch *w)
{
	if (!w->call)
		return;
	pk_http_cancel(PK_MOVE(w->call, NULL));
	w->index = 0;
	pk_timer_set(w->timer, 0);
}

const struct pk_source *pk_catalog_watch_source(const struct pk_catalog_watch *w)
{
	return &w->source;
}
