/* SPDX-License-Identifier: Apache-2.0 */
#include "store_consul.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "docsource.h"
#include "json.h"
#include "json_stream.h"
#include "own.h"
#include "store_consul_private.h"

#define TIMEOUT_MS 10000
#define BODY_MAX   (1u << 20)	/* most bytes of an answer without keys */
#define TEXT_MAX   (512u << 10) /* most bytes of a value, as a server takes it by default */
#define MORE_ROOM  "spread the tenant's allocations over more nodes"

struct consul_store {
	struct pk_store store;
	struct pk_http *http;
	const struct pk_config *config;
};

static void call_free(struct pk_store_call *c)
{
	pk_kv_reader_free(c->reader);
	pk_stream_free(c->names);
	pk_kvs_done(&c->listed);
	free(c->prefix);
	free(c->session);
	free(c);
}

static void consul_cancel(struct pk_store_call *c)
{
	pk_http_cancel(c->call);
	call_free(c);
}

void consul_finish(struct pk_store_call *c, const struct pk_store_answer *answer)
{
	c->call = NULL;
	c->fn(c->arg, answer);
	call_free(c);
}

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
	struct pk_store_call *c = arg;

	c->result = pk_kv_reader_feed(c->reader, bytes, n, &c->error);
	return c->result == 0;
}

bool consul_begin(const struct pk_store *store, struct pk_store_call *c,
		  struct pk_service_call *call, pk_http_fn *on_reply, struct pk_err *err)
{
	const struct consul_store *s = (const struct consul_store *)store;

	call->service = &s->config->consul;
	call->header = "X-Consul-Token";
	call->timeout_ms = call->timeout_ms ?: TIMEOUT_MS;
	call->cap = call->cap ?: BODY_MAX;
	c->call = pk_service_start(s->http, call, on_reply, c, err);
	return c->call;
}

struct pk_store_call *consul_start(struct pk_store *store, struct pk_store_call *c,
				   struct pk_service_call *call, pk_http_fn *on_reply,
				   struct pk_err *err)
{
	if (consul_begin(store, c, call, on_reply, err))
		return c;
	call_free(c);
	return NULL;
}

struct pk_store_call *consul_call_new(pk_store_fn *fn, void *arg)
{
	struct pk_store_call *c = pk_alloc(sizeof(*c));

	c->fn = fn;
	c->arg = arg;
	return c;
}

static void add_path(struct pk_str *path, const char *key)
{
	pk_str_add(path, "/v1/kv/");
	pk_url_add(path, key, "/");
}

bool consul_is_good(const struct pk_http_reply *reply, bool allow404, char *why, size_t room,
		    struct pk_store_answer *answer)
{
	answer->index = reply->index;
	answer->filtered = reply->filtered;
	answer->fault = pk_http_fault(reply);
	answer->refused = reply->status == 403 || reply->status == 401;
	answer->over = reply->over;
	if (!pk_service_failed(reply, allow404, why, room))
		return true;
	answer->why = why;
	return false;
}

/* Reads the index, which every answer of the KV must have. */
static bool has_index(const struct pk_http_reply *reply, char *why, size_t room,
		      struct pk_store_answer *answer)
{
	if (reply->index)
		return true;
	snprintf(why, room, "%d without an index: not Consul's KV" PK_SERVICE_OTHER, reply->status);
	answer->why = why;
	return false;
}

static void on_keys(void *arg, const struct pk_http_reply *reply)
{
	PK_OWN(pk_kvs_done) struct pk_kvs kvs = { 0 };
	struct pk_store_call *c = arg;
	struct pk_store_answer answer = { .kvs = &kvs };
	char why[300];
	bool good = consul_is_good(reply, true, why, sizeof(why), &answer);

	answer.over |= c->result == -E2BIG;
	if (c->result < 0 ||
	    (reply->status == 200 && pk_kv_reader_end(c->reader, &kvs, &c->error) < 0)) {
		snprintf(why, sizeof(why), "%.200s%s", c->error.text,
			 c->result == -E2BIG ? "" : PK_SERVICE_OTHER);
		answer.why = why;
		if (c->result < 0)
			answer.fault = PK_FAULT_ANSWER;
	} else if (good) {
		has_index(reply, why, sizeof(why), &answer);
	}
	consul_finish(c, &answer);
}

enum node { NAMES, NAME };

static const struct pk_stream_node nodes[] = {
	[NAMES] = { NAMES, NULL, PK_STREAM_ARRAY },
	[NAME] = { NAMES, PK_STREAM_EACH, PK_STREAM_TEXT },
};
static const struct pk_stream_table names_table = {
	.name = "Consul's names", .nodes = nodes, .n = PK_ARRAY_LEN(nodes), .text_max = 1024
};

/* Takes a name; one that wasn't asked for is skipped. */
static int on_name(void *arg, const struct pk_stream_event *e)
{
	struct pk_store_call *c = arg;
	struct pk_kvs *to = &c->listed;

	if (e->what != PK_STREAM_VALUE || !e->text ||
	    strncmp(e->text, c->prefix, strlen(c->prefix)) != 0)
		return 0;
	if ((to->n & (to->n - 1)) == 0)
		to->list = realloc(to->list, (to->n ? 2 * to->n : 1) * sizeof(*to->list));
	if (!to->list)
		abort();
	to->list[to->n++] = (struct pk_kv){ .key = pk_strdup(e->text), .value = pk_strdup("") };
	return 0;
}

static bool on_name_bytes(void *arg, const char *bytes, size_t n)
{
	struct pk_store_call *c = arg;

	return pk_stream_feed(c->names, bytes, n, NULL) == 0;
}

static void on_names(void *arg, const struct pk_http_reply *reply)
{
	struct pk_store_call *c = arg;
	struct pk_store_answer answer = { .kvs = &c->listed };
	char why[300];

	if (consul_is_good(reply, true, why, sizeof(why), &answer) && reply->status == 200 &&
	    pk_stream_end(c->names, NULL) < 0)
		answer.why = "Consul's list of names can't be read";
	consul_finish(c, &answer);
}

static void on_index(void *arg, const struct pk_http_reply *reply)
{
	struct pk_store_answer answer = { 0 };
	char why[300];

	if (consul_is_good(reply, true, why, sizeof(why), &answer))
		has_index(reply, why, sizeof(why), &answer);
	consul_finish(arg, &answer);
}

/*
 * Takes news. A wait ends with all that was asked for, and for all nodes that is much: so the wait
 * is for the names of the folder alone. The index of a folder without keys is that of Consul's
 * whole store.
 */
static void on_news(void *arg, const struct pk_http_reply *reply)
{
	struct pk_kv there = { .key = (char *)"", .value = (char *)"" };
	struct pk_kvs some = { .list = &there, .n = reply->status != 404 };
	struct pk_store_answer answer = { .kvs = &some };
	char why[300];

	if (consul_is_good(reply, true, why, sizeof(why), &answer))
		has_index(reply, why, sizeof(why), &answer);
	consul_finish(arg, &answer);
}

static struct pk_store_call *consul_ask(struct pk_store *store, const struct pk_store_question *q,
					pk_store_fn *fn, void *arg, struct pk_err *err)
{
	static const char *const forms[] = { "recurse=true", "keys=true", "keys=true&separator=/",
					     "keys=true&separator=/" };
	static pk_http_fn *const fns[] = { on_keys, on_names, on_names, on_news };
	struct pk_service_call call = { .timeout_ms = q->timeout_ms,
					.cap = q->cap,
					.turn = q->turn };
	struct pk_store_call *c = consul_call_new(fn, arg);
	own_str path = { 0 }, below = { 0 };

	pk_str_addn(&below, q->prefix, strlen(q->prefix) - (q->what == PK_STORE_NEWS));
	add_path(&path, below.text);
	pk_str_addf(&path, "?%s", forms[q->what]);
	/* Any server may answer: it is behind by milliseconds. */
	pk_str_add(&path, q->leaders ? "&consistent=true" : "&stale=true");
	if (q->wait && q->wait->index)
		pk_str_addf(&path, "&index=%lu&wait=%us", q->wait->index, q->wait->seconds);
	if (q->what == PK_STORE_KEYS) {
		c->reader = pk_kv_reader_new(q->prefix, &q->budget);
		call.sink = on_bytes;
	}
	if (q->what == PK_STORE_NAMES || q->what == PK_STORE_FOLDER) {
		c->prefix = pk_strdup(q->prefix);
		c->names = pk_stream_new(&names_table, on_name, c);
		call.sink = on_name_bytes;
	}
	call.path = path.text;
	return consul_start(store, c, &call, fns[q->what], err);
}

/*
 * Asks for the store's index, by a key that isn't there: its index is that of Consul's whole store,
 * which only rises. The index of a prefix falls when the marks of deleted keys are tidied away.
 */
static struct pk_store_call *consul_index(struct pk_store *store, const char *prefix,
					  unsigned int turn, pk_store_fn *fn, void *arg,
					  struct pk_err *err)
{
	struct pk_service_call call = { .turn = turn };
	own_str path = { 0 };

	add_path(&path, prefix);
	pk_str_add(&path, ".history?consistent=true"); /* a key that nobody writes */
	call.path = path.text;
	return consul_start(store, consul_call_new(fn, arg), &call, on_index, err);
}

static void on_token(void *arg, const struct pk_http_reply *reply)
{
	/* A Consul without ACLs answers 401: it hides nothing. */
	bool known = reply->status == 200 || reply->status == 401;
	struct pk_store_answer answer = { .fault = PK_FAULT_ANSWER };

	if (!known)
		answer.why = "an empty answer whose token Consul doesn't know: not taken as \"no "
			     "policies\"; fix: give picketd a token that Consul knows";
	consul_finish(arg, &answer);
}

static struct pk_store_call *consul_check(struct pk_store *store, unsigned int turn,
					  pk_store_fn *fn, void *arg, struct pk_err *err)
{
	struct pk_service_call call = { .path = "/v1/acl/token/self", .turn = turn };

	return consul_start(store, consul_call_new(fn, arg), &call, on_token, err);
}

/* Reads whether a write was done: an answer that says neither is none of the KV. */
static bool is_true(const struct pk_http_reply *reply, struct pk_store_answer *answer)
{
	own_json *doc = NULL;

	if (pk_json_parse("Consul's word", reply->body, reply->len, PK_JSON_RELAXED, &doc, NULL) ==
		    0 &&
	    pk_json_type(pk_json_root(doc)) == PK_JSON_BOOL)
		return pk_json_true(pk_json_root(doc));
	answer->why = "what answers a write is neither true nor false" PK_SERVICE_OTHER;
	return false;
}

static void on_written(void *arg, const struct pk_http_reply *reply)
{
	struct pk_store_answer answer = { 0 };
	char why[300];

	if (consul_is_good(reply, false, why, sizeof(why), &answer))
		answer.done = is_true(reply, &answer);
	consul_finish(arg, &answer);
}

static struct pk_store_call *consul_write(struct pk_store *store, const struct pk_store_write *w,
					  pk_store_fn *fn, void *arg, struct pk_err *err)
{
	struct pk_service_call call = { .method = w->value ? "PUT" : "DELETE",
					.body = w->value,
					.turn = w->turn };
	own_str path = { 0 };

	add_path(&path, w->key);
	if (w->value && w->holder)
		pk_str_addf(&path, "?acquire=%s", w->holder);
	else if (w->compares)
		pk_str_addf(&path, "?cas=%lu", w->modified);
	call.path = path.text;
	return consul_start(store, consul_call_new(fn, arg), &call, on_written, err);
}

static void consul_rule(const struct pk_store *store, const char *prefix, bool writes,
			struct pk_str *out)
{
	(void)store;
	pk_str_addf(out, "key_prefix \"%s\" { policy = \"%s\" }", prefix,
		    writes ? "write" : "read");
}

static int consul_fits(const struct pk_store *store, const char *key, const char *value,
		       struct pk_err *err)
{
	(void)store;
	if (!value || strlen(value) <= TEXT_MAX)
		return 0;
	return pk_fix(err,
		      pk_fail(err, 0, "%.200s would have %zu bytes, and Consul takes 512 KiB", key,
			      strlen(value)),
		      MORE_ROOM);
}

static void consul_free(struct pk_store *store)
{
	free(store->prefix);
	free(store);
}

static const struct pk_store_ops ops = { .origin = PK_ORIGIN_CONSUL,
					 .name = "Consul",
					 .text_max = TEXT_MAX,
					 .more_room = MORE_ROOM,
					 .fits = consul_fits,
					 .waits_end_early = true,
					 .ask = consul_ask,
					 .index = consul_index,
					 .check = consul_check,
					 .write = consul_write,
					 .hold = consul_hold,
					 .cancel = consul_cancel,
					 .rule = consul_rule,
					 .free = consul_free };

struct pk_store *pk_store_consul_new(struct pk_http *http, const struct pk_config *config)
{
	struct consul_store *s = pk_alloc(sizeof(*s));
	own_str prefix = { 0 };

	pk_str_addf(&prefix, "%s/v1/%s/", config->consul_prefix, config->cluster);
	s->store.ops = &ops;
	s->store.prefix = pk_str_take(&prefix);
	if (!s->store.prefix)
		abort();
	s->http = http;
	s->config = config;
	return &s->store;
}
