/* SPDX-License-Identifier: GPL-2.0-only */
#include "consul_watch.h"

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

struct pk_consul {
	struct pk_loop *loop;
	struct pk_http *http;
	const struct pk_config *config;
	struct pk_docs *docs;
	struct pk_timer *timer;
	struct pk_http_call *call;
	struct pk_source source;
	char prefix[320];
	struct pk_pace pace;
	uint64_t index;
	struct pk_kvs last; /* of a consistent answer that waits for the token's check */
	pk_loop_fn *changed;
	void *arg;
};

static void failed(struct pk_consul *c, const char *why)
{
	if (c->source.failures == 0)
		log_warn("op=consul err=\"%s\" keeping what is in force", why);
	pk_source_bad(&c->source, why);
	c->index = 0;
	pk_timer_set(c->timer, pk_backoff_ms(c->source.failures - 1));
}

static void start(struct pk_consul *c, const char *path, unsigned int timeout_ms, pk_http_fn *fn)
{
	const struct pk_service_call call = { .service = &c->config->consul,
					      .header = "X-Consul-Token",
					      .path = path,
					      .timeout_ms = timeout_ms,
					      .cap = PK_CONSUL_BODY_MAX };
	struct pk_err err = { 0 };

	c->call = pk_service_start(c->http, &call, fn, c, &err);
	if (!c->call)
		failed(c, err.text);
}

bool pk_kv_place(const char *key, const char *prefix, struct pk_kv_place *out)
{
	size_t n = strlen(prefix);
	const char *rest = key + n, *slash;

	if (strncmp(key, prefix, n) != 0 || !*rest || key[strlen(key) - 1] == '/')
		return false;
	*out = (struct pk_kv_place){ 0 };
	if (strncmp(rest, "operator/", 9) == 0) {
		strcpy(out->source, PK_SOURCE_OPERATOR);
		return true;
	}
	if (strncmp(rest, "tenants/", 8) != 0)
		return false;
	rest += 8;
	slash = strchr(rest, '/');
	if (!slash || slash == rest || (size_t)(slash - rest) > 128)
		return false;
	snprintf(out->source, sizeof(out->source), PK_SOURCE_TENANT "%.*s", (int)(slash - rest),
		 rest);
	out->tenant_name = pk_source_namespace(out->source);
	return true;
}

/* A key that ends with a slash is a folder, as Consul's own page makes them. */
static bool is_folder(const char *key)
{
	return *key && key[strlen(key) - 1] == '/';
}

static bool offer_key(struct pk_consul *c, const struct pk_kv *kv)
{
	struct pk_doc_place place = { .source = PK_SOURCE_OPERATOR };
	struct pk_kv_place where;
	own_str path = { 0 };

	pk_str_addf(&path, "consul:%s", kv->key);
	place.path = path.text;
	if (!pk_kv_place(kv->key, c->prefix, &where))
		return pk_docs_unreadable(c->docs, &place,
					  "this key is no policy's place: below the prefix are "
					  "operator/NAME and tenants/NAMESPACE/NAME");
	place.source = where.source;
	place.tenant_name = where.tenant_name;
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

		n += pk_source_in(e->source, PK_ORIGIN_CONSUL) && !has_key((void *)kvs, e->path);
	}
	return n;
}

static void good(struct pk_consul *c, size_t keys)
{
	pk_source_good(&c->source);
	snprintf(c->source.detail, sizeof(c->source.detail), "%zu keys below %.100s", keys,
		 c->prefix);
	pk_timer_set(c->timer, pk_pace_ms(&c->pace, pk_loop_now(c->loop)));
}

static void remove_missing(struct pk_consul *c)
{
	bool any = pk_docs_prune(c->docs, PK_ORIGIN_CONSUL, has_key, &c->last);

	/* What went may be what a refused document waits for. */
	if (any && pk_docs_any_waits(c->docs))
		c->index = 0;
	good(c, c->last.n);
	pk_kvs_done(&c->last);
	if (any)
		c->changed(c->arg);
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

/* 404 is the answer for a prefix without keys. */
static int decode(const struct pk_http_reply *reply, struct pk_kvs *kvs, char *why, size_t room)
{
	struct pk_err err = { 0 };

	*kvs = (struct pk_kvs){ 0 };
	if (pk_service_failed(reply, true, why, room))
		return -1;
	if (!reply->index) {
		snprintf(why, room, "%d without an index: not Consul's KV", reply->status);
		return -1;
	}
	if (reply->status == 404)
		return 0;
	if (pk_kvs_decode(reply->body, reply->len, kvs, &err) == 0)
		return 0;
	snprintf(why, room, "%.250s", err.text);
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
	if (decode(reply, &c->last, why, sizeof(why)) < 0) {
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
		start(c, "/v1/acl/token/self", CONFIRM_MS, on_token);
	else
		remove_missing(c);
}

static void query(struct pk_consul *c, struct pk_str *path)
{
	pk_str_add(path, "/v1/kv/");
	pk_url_add(path, c->prefix, "/");
	pk_str_add(path, "?recurse=true");
}

static void on_keys(void *arg, const struct pk_http_reply *reply)
{
	struct pk_consul *c = arg;
	struct pk_kvs kvs;
	char why[300];
	bool any, gone;
	size_t n;

	c->call = NULL;
	if (decode(reply, &kvs, why, sizeof(why)) < 0) {
		failed(c, why);
		return;
	}
	/* An index that goes back is another history, or a stale server's: ask again from none. */
	if (reply->index < c->index) {
		pk_kvs_done(&kvs);
		c->index = 0;
		pk_timer_set(c->timer, pk_pace_ms(&c->pace, pk_loop_now(c->loop)));
		return;
	}
	c->index = reply->index;
	c->source.index = reply->index;
	n = kvs.n;
	any = offer_all(c, &kvs);
	gone = missing(c, &kvs) > 0;
	pk_kvs_done(&kvs);
	if (any)
		c->changed(c->arg);
	if (is_filtered(c, reply))
		return;
	if (gone) {
		own_str path = { 0 };

		query(c, &path);
		pk_str_add(&path, "&consistent=true");
		start(c, path.text, CONFIRM_MS, on_consistent);
		return;
	}
	good(c, n);
}

static void ask(void *arg)
{
	struct pk_consul *c = arg;
	own_str path = { 0 };

	query(c, &path);
	if (c->index)
		pk_str_addf(&path, "&index=%lu&wait=%ds", c->index, WAIT_S);
	start(c, path.text, (WAIT_S + WAIT_S / 16 + 10) * 1000, on_keys);
}

struct pk_consul *pk_consul_new(struct pk_loop *loop, struct pk_http *http,
				const struct pk_config *config, struct pk_docs *docs,
				pk_loop_fn *changed, void *arg)
{
	struct pk_consul *c = pk_alloc(sizeof(*c));

	*c = (struct pk_consul){ .loop = loop,
				 .http = http,
				 .config = config,
				 .docs = docs,
				 .changed = changed,
				 .arg = arg };
	snprintf(c->prefix, sizeof(c->prefix), "%s/v1/%s/policies/", config->consul_prefix,
		 config->cluster);
	c->source.state = PK_SOURCE_STARTING;
	c->timer = pk_timer_new(loop, ask, c);
	pk_timer_set(c->timer, 0);
	return c;
}

void pk_consul_free(struct pk_consul *c)
{
	if (!c)
		return;
	pk_http_cancel(c->call);
	pk_timer_free(c->timer);
	pk_kvs_done(&c->last);
	free(c);
}

const struct pk_source *pk_consul_source(const struct pk_consul *c)
{
	return &c->source;
}
