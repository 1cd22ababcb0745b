/* SPDX-License-Identifier: Apache-2.0 */
#include "consul_strays.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_stream.h"
#include "log.h"
#include "own.h"
#include "service.h"

#define EACH_MS	   60000
#define TIMEOUT_MS 10000
#define BODY_MAX   (4u << 20)
#define SAID_MAX   4 /* keys that are said by name */

struct pk_consul_strays {
	struct pk_consul_args args;
	struct pk_timer *timer;
	struct pk_http_call *call;
	struct pk_stream *stream;
	char *prefix;
	bool tenants; /* the second question: whose keys stand below tenants/ */
	size_t n;
	struct pk_str found;
	char *text; /* of the last whole look */
};

enum node { NAMES, NAME };

static const struct pk_stream_node nodes[] = {
	[NAMES] = { NAMES, NULL, PK_STREAM_ARRAY },
	[NAME] = { NAMES, PK_STREAM_EACH, PK_STREAM_TEXT },
};
static const struct pk_stream_table table = {
	.name = "Consul's names", .nodes = nodes, .n = PK_ARRAY_LEN(nodes), .text_max = 1024
};

/*
 * Returns whether the key is in a place of documents. So are bare folders: "operator/", "tenants/",
 * and each namespace's below that.
 */
static bool is_known(const struct pk_consul_strays *s, const char *name)
{
	const char *rest = name + strlen(s->prefix);

	if (strncmp(name, s->prefix, strlen(s->prefix)) != 0 || !*rest)
		return true;
	if (!s->tenants)
		return strcmp(rest, "operator/") == 0 || strcmp(rest, "tenants/") == 0;
	rest = strchr(rest, '/') ?: "";
	return !*rest || !rest[1] || rest[strlen(rest) - 1] == '/';
}

static int on_event(void *arg, const struct pk_stream_event *e)
{
	struct pk_consul_strays *s = arg;

	if (e->what != PK_STREAM_VALUE || !e->text || is_known(s, e->text))
		return 0;
	if (s->n++ < SAID_MAX)
		pk_str_addf(&s->found, "%s%.200s", s->n > 1 ? ", " : "", e->text);
	return 0;
}

static void finish(struct pk_consul_strays *s)
{
	own_mem char *before = PK_MOVE(s->text, NULL);

	if (s->n > SAID_MAX)
		pk_str_addf(&s->found, " and %zu more", s->n - SAID_MAX);
	s->text = pk_str_take(&s->found);
	if (s->text && *s->text && strcmp(before ?: "", s->text) != 0)
		log_warn("op=consul keys=\"%s\" in no policy's place, ignored", s->text);
	pk_timer_set(s->timer, EACH_MS + pk_backoff_ms(0));
}

static void ask(void *arg);

static void on_names(void *arg, const struct pk_http_reply *reply)
{
	struct pk_consul_strays *s = arg;
	bool good = reply->status == 404 ||
		    (reply->status == 200 && pk_stream_end(s->stream, NULL) == 0);

	s->call = NULL;
	if (!good) { /* the watches say what is wrong with Consul */
		pk_timer_set(s->timer, EACH_MS + pk_backoff_ms(0));
		return;
	}
	if (s->tenants) {
		finish(s);
		return;
	}
	s->tenants = true;
	ask(s);
}

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
	struct pk_consul_strays *s = arg;

	return pk_stream_feed(s->stream, bytes, n, NULL) == 0;
}

static void ask(void *arg)
{
	struct pk_consul_strays *s = arg;
	struct pk_service_call call = { .service = &s->args.config->consul,
					.header = "X-Consul-Token",
					.timeout_ms = TIMEOUT_MS,
					.cap = BODY_MAX,
					.sink = on_bytes };
	own_str path = { 0 };

	pk_stream_free(s->stream);
	s->stream = pk_stream_new(&table, on_event, s);
	pk_str_add(&path, "/v1/kv/");
	pk_url_add(&path, s->prefix, "/");
	pk_str_addf(&path, "%s?keys=true&separator=/&stale=true", s->tenants ? "tenants/" : "");
	call.path = path.text;
	s->call = pk_service_start(s->args.http, &call, on_names, s, NULL);
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
	pk_str_addf(&prefix, "%s/v1/%s/policies/", args->config->consul_prefix,
		    args->config->cluster);
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
	pk_http_cancel(s->call);
	pk_timer_free(s->timer);
	pk_stream_free(s->stream);
	pk_str_done(&s->found);
	free(s->prefix);
	free(s->text);
	free(s);
}

const char *pk_consul_strays_text(const struct pk_consul_strays *s)
{
	return s->text ?: "";
}
