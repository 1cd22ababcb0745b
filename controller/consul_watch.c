/* SPDX-License-Identifier: Apache-2.0 */
#include "consul_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consul.h"
#include "docsource.h"
#include "log.h"
#include "own.h"
#include "service.h"

#define WAIT_S	   60
#define CONFIRM_MS 10000
#define POLL_MS	   30000 /* between two questions of one that doesn't block */

struct pk_consul {
	struct pk_loop *loop;
	struct pk_http *http;
	const struct pk_config *config;
	struct pk_docs *docs;
	struct pk_timer *timer;
	struct pk_http_call *call;
	struct pk_kv_reader *reader;
	struct pk_err read_error;
	int read_result;
	struct pk_source source;
	char *of, *prefix;
	const char *tenant_name; /* of `of`; NULL: the operator's */
	struct pk_pace pace;
	uint64_t index;
	bool polls;
	char over[320];	    /* why the last answer is over its tenant's budget; "" */
	struct pk_kvs last; /* of a consistent answer that waits for the token's check */
	pk_loop_fn *changed;
	void *arg;
};

static void failed(struct pk_consul *c, const char *why)
{
	if (c->source.failures == 0)
		log_warn("op=consul source=%s err=\"%s\" keeping what is in force", c->of, why);
	pk_source_bad(&c->source, why);
	c->index = 0;
	pk_timer_set(c->timer, pk_backoff_ms(c->source.failures - 1));
}

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
	struct pk_consul *c = arg;

	c->read_result = pk_kv_reader_feed(c->reader, bytes, n, &c->read_error);
	return c->read_result == 0;
}

static void start(struct pk_consul *c, struct pk_service_call *call, pk_http_fn *fn)
{
	struct pk_err err = { 0 };

	call->service = &c->config->consul;
	call->header = "X-Consul-Token";
	c->call = pk_service_start(c->http, call, fn, c, &err);
	if (!c->call)
		failed(c, err.text);
}

static void query(struct pk_consul *c, const char *more, unsigned int timeout_ms, pk_http_fn *fn)
{
	static const struct pk_kv_budget tenant = { PK_TENANT_KEYS_MAX, PK_TENANT_TEXT_MAX };
	static const struct pk_kv_budget operator= { PK_CONSUL_KEYS_MAX, PK_CONSUL_BODY_MAX };
	struct pk_service_call call = { .timeout_ms = timeout_ms,
					.cap = c->tenant_name ? PK_TENANT_BODY_MAX
							      : PK_CONSUL_BODY_MAX,
					.sink = on_bytes };
	own_str path = { 0 };

	pk_kv_reader_free(c->reader);
	c->reader = pk_kv_reader_new(c->prefix, c->tenant_name ? &tenant : &operator);
	c->read_result = 0;
	c->read_error = (struct pk_err){ 0 };
	pk_str_add(&path, "/v1/kv/");
	pk_url_add(&path, c->prefix, "/");
	pk_str_addf(&path, "?recurse=true%s", more);
	call.path = path.text;
	start(c, &call, fn);
}

/* A key that ends with a slash is a folder, as Consul's own page makes them. */
static bool is_folder(const char *key)
{
	return *key && key[strlen(key) - 1] == '/';
}

static bool offer_key(struct pk_consul *c, const struct pk_kv *kv)
{
	struct pk_doc_place place = { .source = c->of, .tenant_name = c->tenant_name };
	own_str path = { 0 };

	pk_str_addf(&path, "consul:%s", kv->key);
	place.path = path.text;
	if (kv->too_long)
		return pk_docs_unreadable(c->docs, &place, "it is longer than a document may be");
	return pk_docs_offer(c->docs, &place, kv->value, kv->len);
}

static bool offer_all(struct pk_consul *c, const struct pk_kvs *kvs)
{
	bool any = false;

	for (size_t i = 0; i < kvs->n; i++)
		if (!is_folder(kvs->list[i].key))
			any |= offer_key(c, &kvs->list[i]);
	return any;
}

static bool has_key(void *arg, const char *path)
{
	return strncmp(path, "consul:", 7) == 0 && pk_kvs_find(arg, path + 7);
}

/* How many of our places the answer lacks. */
static size_t missing(struct pk_consul *c, const struct pk_kvs *kvs)
{
	size_t n = 0;

	for (size_t i = 0; i < pk_docs_count(c->docs); i++) {
		const struct pk_doc_entry *e = pk_docs_at(c->docs, i);

		n += pk_source_in(e->source, c->of) && !has_key((void *)kvs, e->path);
	}
	return n;
}

static void ask_again(struct pk_consul *c)
{
	unsigned int pause = pk_pace_ms(&c->pace, pk_loop_now(c->loop));

	if (c->polls)
		pause = POLL_MS + (unsigned int)pk_backoff_ms(0);
	pk_timer_set(c->timer, pause);
}

/* The source has been looked at whole. */
static void good(struct pk_consul *c, size_t keys, bool any)
{
	pk_source_good(&c->source);
	snprintf(c->source.detail, sizeof(c->source.detail), "%zu keys below %.100s", keys,
		 c->prefix);
	ask_again(c);
	if (c->tenant_name)
		any |= pk_docs_hear(c->docs, c->tenant_name);
	if (any)
		c->changed(c->arg);
}

static void remove_missing(struct pk_consul *c)
{
	bool any = pk_docs_prune(c->docs, c->of, has_key, &c->last);

	/* What went may be what a refused document waits for. */
	if (any && pk_docs_any_waits(c->docs))
		c->index = 0;
	good(c, c->last.n, any);
	pk_kvs_done(&c->last);
}

static void on_token(void *arg, const struct pk_http_reply *reply)
{
	struct pk_consul *c = arg;

	c->call = NULL;
	/* 401 is the answer of a Consul without ACLs: nothing was filtered there. */
	if (reply->status == 200 || reply->status == 401) {
		remove_missing(c);
		return;
	}
	pk_kvs_done(&c->last);
	failed(c, "an empty answer whose token Consul doesn't know: not taken as \"no policies\"");
}

static void check_token(struct pk_consul *c)
{
	struct pk_service_call call = { .path = "/v1/acl/token/self",
					.timeout_ms = CONFIRM_MS,
					.cap = PK_TENANT_BODY_MAX };

	start(c, &call, on_token);
}

/*
 * One tenant wrote more than its budget: what it had stays, and its next change is waited for. The
 * rest of such an answer isn't even received.
 */
static bool is_over(struct pk_consul *c, const struct pk_http_reply *reply)
{
	bool over = c->tenant_name && (c->read_result == -E2BIG || reply->over);
	char why[sizeof(c->over)] = "";

	if (over)
		snprintf(why, sizeof(why), "%.300s",
			 c->read_result == -E2BIG ? c->read_error.text : reply->error);
	if (over && strcmp(why, c->over) != 0)
		log_warn("op=consul source=%s err=\"%s\" refused, its documents stay as they are",
			 c->of, why);
	memcpy(c->over, why, sizeof(why));
	if (!over)
		return false;
	c->index = reply->index;
	c->source.index = reply->index;
	pk_source_good(&c->source);
	ask_again(c);
	return true;
}

/* 404 is the answer for a prefix without keys. */
static int decode(struct pk_consul *c, const struct pk_http_reply *reply, struct pk_kvs *kvs,
		  char *why, size_t room)
{
	*kvs = (struct pk_kvs){ 0 };
	if (c->read_result < 0 ||
	    (reply->status == 200 && pk_kv_reader_end(c->reader, kvs, &c->read_error) < 0)) {
		snprintf(why, room, "%.250s", c->read_error.text);
		return -1;
	}
	if (pk_service_failed(reply, true, why, room)) {
		pk_kvs_done(kvs);
		return -1;
	}
	if (reply->index)
		return 0;
	snprintf(why, room, "%d without an index: not Consul's KV", reply->status);
	pk_kvs_done(kvs);
	return -1;
}

/* What a token may not see looks like what is gone. */
static bool is_filtered(struct pk_consul *c, const struct pk_http_reply *reply)
{
	char why[400];

	if (!reply->filtered)
		return false;
	snprintf(
		why, sizeof(why),
		"the token may not read all keys below %.100s: none is taken as gone; fix: give it "
		"key_prefix \"%.100s\" { policy = \"read\" }",
		c->prefix, c->prefix);
	failed(c, why);
	return true;
}

static void on_consistent(void *arg, const struct pk_http_reply *reply)
{
	struct pk_consul *c = arg;
	char why[300];

	c->call = NULL;
	pk_kvs_done(&c->last);
	if (is_over(c, reply))
		return;
	if (decode(c, reply, &c->last, why, sizeof(why)) < 0) {
		failed(c, why);
		return;
	}
	if (offer_all(c, &c->last))
		c->changed(c->arg);
	if (is_filtered(c, reply)) {
		pk_kvs_done(&c->last);
		return;
	}
	if (c->last.n == 0)
		check_token(c);
	else
		remove_missing(c);
}

static void on_keys(void *arg, const struct pk_http_reply *reply)
{
	struct pk_consul *c = arg;
	struct pk_kvs kvs;
	char why[300];
	bool any, gone;
	size_t n;

	c->call = NULL;
	if (is_over(c, reply))
		return;
	if (decode(c, reply, &kvs, why, sizeof(why)) < 0) {
		failed(c, why);
		return;
	}
	/* An index that goes back is another history, or a stale server's: ask again from none. */
	if (reply->index < c->index) {
		pk_kvs_done(&kvs);
		c->index = 0;
		ask_again(c);
		return;
	}
	c->index = reply->index;
	c->source.index = reply->index;
	n = kvs.n;
	any = offer_all(c, &kvs);
	gone = missing(c, &kvs) > 0;
	pk_kvs_done(&kvs);
	if (any && (gone || reply->filtered))
		c->changed(c->arg);
	if (is_filtered(c, reply))
		return;
	if (gone)
		query(c, "&consistent=true", CONFIRM_MS, on_consistent);
	else
		good(c, n, any);
}

static void ask(void *arg)
{
	struct pk_consul *c = arg;
	char more[64] = "";

	if (c->index && !c->polls)
		snprintf(more, sizeof(more), "&index=%lu&wait=%ds", c->index, WAIT_S);
	query(c, more, (WAIT_S + WAIT_S / 16 + 10) * 1000, on_keys);
}

static char *prefix_of(const struct pk_consul *c)
{
	own_str prefix = { 0 };
	char *text;

	pk_str_addf(&prefix, "%s/v1/%s/policies/", c->config->consul_prefix, c->config->cluster);
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

	*c = (struct pk_consul){ .loop = args->loop,
				 .http = args->http,
				 .config = args->config,
				 .docs = args->docs,
				 .of = strdup(args->of),
				 .changed = args->changed,
				 .arg = args->arg };
	if (!c->of)
		abort();
	c->tenant_name = pk_source_namespace(c->of);
	c->prefix = prefix_of(c);
	c->source.state = PK_SOURCE_STARTING;
	c->timer = pk_timer_new(c->loop, ask, c);
	pk_timer_set(c->timer, 0);
	return c;
}

void pk_consul_free(struct pk_consul *c)
{
	if (!c)
		return;
	pk_http_cancel(c->call);
	pk_timer_free(c->timer);
	pk_kv_reader_free(c->reader);
	pk_kvs_done(&c->last);
	free(c->of);
	free(c->prefix);
	free(c);
}

const struct pk_source *pk_consul_source(const struct pk_consul *c)
{
	return &c->source;
}

const char *pk_consul_over(const struct pk_consul *c)
{
	return *c->over ? c->over : NULL;
}

void pk_consul_poll(struct pk_consul *c, bool polls)
{
	c->polls = polls;
}
