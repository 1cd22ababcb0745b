/* SPDX-License-Identifier: Apache-2.0 */
#include "publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "fs.h"
#include "json.h"
#include "local_endpoint.h"
#include "log.h"
#include "own.h"
#include "service.h"
#include "share.h"
#include "sync.h"

#define SETTLE_MS  100	 /* what passes within it is told to nobody */
#define TTL	   "60s" /* of the session; Consul ends it up to twice as late */
#define RENEW_MS   20000
#define EACH_MS	   1000 /* between two writes of a key */
#define TIMEOUT_MS 10000
#define PATIENCE   3 /* failures in a row: a session's lock delay makes one or two */
#define BODY_MAX   65536
#define ID_ROOM	   64

struct key {
	char *name;   /* below the prefix */
	char *body;   /* what it is to say, under number 0; NULL: that it goes */
	char *text;   /* the same as it is written */
	bool written; /* Consul has it, as far as is known */
	bool seen;    /* by the look that is under way */
	uint64_t not_before_ms;
	UT_hash_handle hh;
};

struct pk_publish {
	struct pk_publish_args args;
	char *node, *prefix, *path; /* of the file that remembers */
	struct pk_timer *look, *write, *renew;
	struct pk_http_call *call, *session_call;
	struct key *keys;
	char *writing; /* the key of call */
	char *writing_text;
	char session[ID_ROOM]; /* "": none */
	bool may_not, is_out, contested;
	bool looked;	 /* else an earlier picketd's keys would seem to be nobody's */
	uint64_t number; /* of the last text */
	unsigned int failures, session_failures;
	struct pk_source source;
};

static struct key *get(struct pk_publish *p, const char *name)
{
	struct key *k;

	HASH_FIND_STR(p->keys, name, k);
	if (k)
		return k;
	k = pk_alloc(sizeof(*k));
	k->name = pk_strdup(name);
	HASH_ADD_KEYPTR(hh, p->keys, k->name, strlen(k->name), k);
	return k;
}

static void drop(struct pk_publish *p, struct key *k)
{
	HASH_DEL(p->keys, k);
	free(k->name);
	free(k->body);
	free(k->text);
	free(k);
}

/*
 * Remembers the session and the names of keys over a restart, which would otherwise wait for the
 * old session's end.
 */
static void remember(struct pk_publish *p)
{
	own_str text = { 0 };
	struct pk_jw w = { .out = &text };

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "session", p->session);
	pk_jw_open(&w, "keys", '[');
	for (const struct key *k = p->keys; k; k = k->hh.next)
		pk_jw_string(&w, NULL, k->name);
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
	pk_writer_file(p->args.writer, p->path, text.text, text.len);
}

static void recall(struct pk_publish *p)
{
	const struct pk_json *keys;
	own_mem char *text = NULL;
	own_json *doc = NULL;
	const char *session;
	size_t len;

	if (pk_fs_read_own(p->path, PK_JSON_MAX, &text, &len, NULL) < 0 ||
	    pk_json_parse(p->path, text, len, PK_JSON_NEWER, &doc, NULL) < 0)
		return;
	session = pk_json_string(pk_json_get(pk_json_root(doc), "session"));
	if (session)
		snprintf(p->session, sizeof(p->session), "%s", session);
	keys = pk_json_get(pk_json_root(doc), "keys");
	for (const struct pk_json *v = keys ? pk_json_first(keys) : NULL; v; v = pk_json_next(v))
		if (pk_json_string(v))
			get(p, pk_json_string(v));
}

/* Has a key written where it says something else than before. */
static void want(struct pk_publish *p, const char *name, const char *body)
{
	struct key *k = get(p, name);

	k->seen = true;
	if (k->body && strcmp(k->body, body) == 0)
		return;
	free(k->body);
	free(k->text);
	k->body = pk_strdup(body);
	k->text = NULL;
	k->written = false;
}

/* Makes the node's word: its uplinks' addresses, and where its endpoints' addresses lie. */
static void want_word(struct pk_publish *p)
{
	const struct pk_settings *s = pk_model_get_settings(p->args.model);
	const struct pk_bpf *bpf = pk_sync_bpf(p->args.sync);
	own_mem struct pk_node_word *word = pk_alloc(sizeof(*word));
	own_str name = { 0 }, body = { 0 };

	if (!bpf)
		return; /* it isn't known yet */
	for (size_t i = 0; i < s->n_pools && i < PK_NODE_BLOCKS; i++) {
		word->blocks[i] = s->pools[i];
		pk_prefix_mask(&word->blocks[i]);
		word->n_blocks++;
	}
	for (size_t i = 0; i < PK_UPLINKS; i++) {
		const union pk_addr *own[] = { &bpf->node.uplink[i].ipv4,
					       &bpf->node.uplink[i].ipv6 };

		for (size_t k = 0; k < PK_ARRAY_LEN(own); k++)
			if (!pk_addr_is_zero(own[k]))
				word->addresses[word->n_addresses++] = *own[k];
	}
	pk_str_addf(&name, "nodes/%s", p->node);
	pk_node_word_encode(word, &body);
	want(p, name.text, body.text);
}

struct tenant_share {
	char *name;
	struct pk_share share;
	UT_hash_handle hh;
};

static struct tenant_share *share_of(struct tenant_share **all, const char *name)
{
	struct tenant_share *t;

	HASH_FIND_STR(*all, name, t);
	if (t)
		return t;
	t = pk_alloc(sizeof(*t));
	t->name = pk_strdup(name);
	HASH_ADD_KEYPTR(hh, *all, t->name, strlen(t->name), t);
	return t;
}

/*
 * Adds an endpoint to its tenant's share. One without a known namespace is in quarantine, which
 * concerns this node alone.
 */
static void add_endpoint(struct pk_publish *p, struct tenant_share **all,
			 const struct pk_local_endpoint *m)
{
	struct pk_world_endpoint *ep;
	struct tenant_share *t;

	if (!m->open || !m->epoch_matches || pk_local_endpoint_quarantined(m))
		return;
	ep = pk_local_endpoint_world(m, pk_model_get_settings(p->args.model));
	t = ep->labels->tenant_name ? share_of(all, ep->labels->tenant_name) : NULL;
	if (t && t->share.n < PK_SHARE_ENDPOINTS)
		pk_share_add(&t->share, ep, (uint64_t)m->added);
	else
		pk_world_endpoint_free(ep);
}

static void want_shares(struct pk_publish *p)
{
	struct tenant_share *all = NULL, *t, *next;
	const struct pk_local_endpoint *m;

	for (size_t i = 0; (m = pk_model_at(p->args.model, i)); i++)
		add_endpoint(p, &all, m);
	HASH_ITER (hh, all, t, next) {
		own_str name = { 0 }, body = { 0 };

		pk_str_addf(&name, "tenants/%s/%s", t->name, p->node);
		pk_share_encode(&t->share, &body);
		want(p, name.text, body.text);
		HASH_DEL(all, t);
		pk_share_done(&t->share);
		free(t->name);
		free(t);
	}
}

static void look(void *arg)
{
	struct pk_publish *p = arg;
	size_t before = HASH_COUNT(p->keys);
	struct key *k, *next;

	if (!pk_sync_bpf(p->args.sync) || p->may_not)
		return;
	p->looked = true;
	want_word(p);
	want_shares(p);
	HASH_ITER (hh, p->keys, k, next) {
		if (!k->seen && k->body) {
			free(PK_MOVE(k->body, NULL));
			free(PK_MOVE(k->text, NULL));
			k->written = false;
		}
		k->seen = false;
	}
	if (HASH_COUNT(p->keys) != before)
		remember(p);
	pk_timer_hurry(p->write, 0);
}

void pk_publish_soon(struct pk_publish *p)
{
	pk_timer_hurry(p->look, SETTLE_MS);
}

static void write_later(struct pk_publish *p, const char *why)
{
	if (p->failures == PATIENCE)
		log_warn("op=cluster err=\"this node's endpoints can't be published: %s\"", why);
	pk_source_bad(&p->source, why);
	pk_timer_set(p->write, pk_backoff_ms(p->failures++));
}

static struct pk_http_call *start(struct pk_publish *p, struct pk_service_call *call,
				  pk_http_fn *fn, struct pk_err *err)
{
	call->service = &p->args.config->consul;
	call->header = "X-Consul-Token";
	call->timeout_ms = TIMEOUT_MS;
	call->cap = BODY_MAX;
	return pk_service_start(p->args.http, call, fn, p, err);
}

static bool is_what_was_written(const struct pk_publish *p, const struct key *k)
{
	if (!k->text || !p->writing_text)
		return !k->text && !p->writing_text;
	return strcmp(k->text, p->writing_text) == 0;
}

static void on_written(void *arg, const struct pk_http_reply *reply)
{
	struct pk_publish *p = arg;
	own_mem char *name = PK_MOVE(p->writing, NULL);
	bool was_out = p->is_out, was_contested = p->contested;
	struct key *k;
	char why[300];

	p->call = NULL;
	HASH_FIND_STR(p->keys, name, k);
	if (pk_service_failed(reply, false, why, sizeof(why))) {
		write_later(p, why);
	} else if (strncmp(reply->body, "true", 4) != 0) {
		p->contested = p->failures >= PATIENCE;
		write_later(p, "another session holds this node's key: two nodes of one name, or "
			       "an earlier picketd's, which ends within two minutes");
	} else {
		p->failures = 0;
		p->contested = false;
		pk_source_good(&p->source);
		if (k && is_what_was_written(p, k)) {
			k->written = true;
			p->is_out |= strncmp(k->name, "nodes/", 6) == 0;
			k->not_before_ms = pk_loop_now(p->args.loop) + EACH_MS;
		}
		if (k && k->written && !k->body) {
			drop(p, k);
			remember(p);
		}
		pk_timer_hurry(p->write, 0);
	}
	free(PK_MOVE(p->writing_text, NULL));
	if (p->is_out != was_out || p->contested != was_contested)
		p->args.told(p->args.arg);
}

/*
 * Makes the text with its number in the place of the first 0, which the compared text has for it.
 */
static void make_text(struct pk_publish *p, struct key *k)
{
	static const char zero[] = "\"number\":0";
	const char *at = strstr(k->body, zero);
	own_str text = { 0 };
	struct timespec now;
	uint64_t ms;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	p->number = ms > p->number ? ms : p->number + 1;
	pk_str_addn(&text, k->body, (size_t)(at - k->body));
	pk_str_addf(&text, "\"number\":%llu", (unsigned long long)p->number);
	pk_str_add(&text, at + strlen(zero));
	free(k->text);
	k->text = pk_str_take(&text);
}

static void write_key(struct pk_publish *p, struct key *k)
{
	struct pk_service_call call = { .method = k->body ? "PUT" : "DELETE" };
	struct pk_err err = { 0 };
	own_str path = { 0 };

	if (k->body && !k->text)
		make_text(p, k);
	pk_str_add(&path, "/v1/kv/");
	pk_url_add(&path, p->prefix, "/");
	pk_url_add(&path, k->name, "/");
	if (k->body)
		pk_str_addf(&path, "?acquire=%s", p->session);
	call.body = k->text;
	call.path = path.text;
	call.turn = p->failures;
	p->writing = pk_strdup(k->name);
	p->writing_text = k->text ? pk_strdup(k->text) : NULL;
	p->call = start(p, &call, on_written, &err);
	if (p->call)
		return;
	free(PK_MOVE(p->writing, NULL));
	free(PK_MOVE(p->writing_text, NULL));
	write_later(p, err.text);
}

static void write_next(void *arg)
{
	struct pk_publish *p = arg;
	uint64_t now = pk_loop_now(p->args.loop), wait = 0;

	if (p->call || !*p->session || !p->looked || p->may_not)
		return;
	for (struct key *k = p->keys; k; k = k->hh.next) {
		if (k->written)
			continue;
		if (k->not_before_ms <= now) {
			write_key(p, k);
			return;
		}
		if (!wait || k->not_before_ms - now < wait)
			wait = k->not_before_ms - now;
	}
	if (wait)
		pk_timer_set(p->write, wait);
}

/* Takes a session, under which every key is written anew. */
static void set_session(struct pk_publish *p, const char *id)
{
	snprintf(p->session, sizeof(p->session), "%s", id);
	for (struct key *k = p->keys; k; k = k->hh.next)
		k->written = false;
	remember(p);
	pk_timer_hurry(p->write, 0);
}

static void on_session(void *arg, const struct pk_http_reply *reply)
{
	struct pk_publish *p = arg;
	own_json *doc = NULL;
	const char *id;
	char why[300];

	p->session_call = NULL;
	pk_timer_set(p->renew, RENEW_MS);
	if (pk_service_failed(reply, false, why, sizeof(why))) {
		if (p->source.failures == 0)
			log_warn("op=cluster err=\"no session: %s\" fix=\"give picketd's token the "
				 "rights that examples/acl lists\"",
				 why);
		pk_source_bad(&p->source, why);
		pk_timer_set(p->renew, pk_backoff_ms(p->session_failures++));
		return;
	}
	p->session_failures = 0;
	if (pk_json_parse("Consul's session", reply->body, reply->len, PK_JSON_RELAXED, &doc,
			  NULL) < 0)
		return;
	id = pk_json_string(pk_json_get(pk_json_root(doc), "ID"));
	if (id && *id && strlen(id) < ID_ROOM)
		set_session(p, id);
}

/*
 * Asks for a session. A key of a session that ended can't be taken again within its lock delay, a
 * second.
 */
static void create_session(struct pk_publish *p)
{
	struct pk_service_call call = { .method = "PUT", .path = "/v1/session/create" };
	struct pk_err err = { 0 };
	own_str body = { 0 }, name = { 0 };
	struct pk_jw w = { .out = &body };

	pk_str_addf(&name, "picket %s", p->node);
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "Name", name.text);
	pk_jw_string(&w, "TTL", TTL);
	pk_jw_string(&w, "LockDelay", "1s");
	pk_jw_string(&w, "Behavior", "release");
	pk_jw_close(&w, '}');
	call.body = body.text;
	call.turn = p->session_failures;
	p->session_call = start(p, &call, on_session, &err);
	if (!p->session_call)
		pk_timer_set(p->renew, pk_backoff_ms(p->session_failures++));
}

static void on_renewed(void *arg, const struct pk_http_reply *reply)
{
	struct pk_publish *p = arg;
	char why[300];

	p->session_call = NULL;
	pk_timer_set(p->renew, RENEW_MS);
	if (reply->status == 404) {
		*p->session = '\0';
		create_session(p);
	} else if (pk_service_failed(reply, false, why, sizeof(why))) {
		pk_source_bad(&p->source, why);
		pk_timer_set(p->renew, pk_backoff_ms(p->session_failures++));
	} else {
		p->session_failures = 0;
		pk_source_good(&p->source);
		pk_timer_hurry(p->write, 0);
	}
}

static void renew(void *arg)
{
	struct pk_publish *p = arg;
	struct pk_service_call call = { .method = "PUT" };
	own_str path = { 0 };
	struct pk_err err = { 0 };

	if (p->session_call)
		return;
	if (!*p->session) {
		create_session(p);
		return;
	}
	pk_str_addf(&path, "/v1/session/renew/%s", p->session);
	call.path = path.text;
	call.turn = p->session_failures;
	p->session_call = start(p, &call, on_renewed, &err);
	if (!p->session_call)
		pk_timer_set(p->renew, pk_backoff_ms(p->session_failures++));
}

/*
 * Raises the number past that of an older word, so that a clock that was set back makes no older
 * words.
 */
static void raise_number(struct pk_publish *p, const char *text)
{
	own_json *doc = NULL;
	int64_t number;

	if (pk_json_parse("its key", text, strlen(text), PK_JSON_NEWER, &doc, NULL) == 0 &&
	    pk_json_int(pk_json_get(pk_json_root(doc), "number"), 0, (1ll << 53) - 2, &number) ==
		    0 &&
	    (uint64_t)number > p->number)
		p->number = (uint64_t)number;
}

void pk_publish_seen(struct pk_publish *p, const char *name, const char *text, bool held)
{
	struct key *k;

	if (text)
		raise_number(p, text);
	HASH_FIND_STR(p->keys, name, k);
	if (!k || !k->written || (k->body && text && held && strcmp(text, k->text) == 0))
		return;
	k->written = false;
	/* What holds it no more is over: a session is asked for before it is written. */
	pk_timer_hurry(held ? p->write : p->renew, 0);
}

const struct pk_source *pk_publish_source(const struct pk_publish *p)
{
	return &p->source;
}

void pk_publish_let(struct pk_publish *p, bool may)
{
	if (p->may_not == !may)
		return;
	p->may_not = !may;
	pk_publish_soon(p);
}

bool pk_publish_is_out(const struct pk_publish *p)
{
	return p->is_out;
}

bool pk_publish_is_contested(const struct pk_publish *p)
{
	return p->contested;
}

size_t pk_publish_behind(const struct pk_publish *p)
{
	size_t n = 0;

	for (const struct key *k = p->keys; k; k = k->hh.next)
		n += !k->written;
	return n;
}

struct pk_publish *pk_publish_new(const struct pk_publish_args *args)
{
	struct pk_publish *p = pk_alloc(sizeof(*p));
	own_str path = { 0 };

	p->args = *args;
	p->node = pk_strdup(args->node);
	p->prefix = pk_strdup(args->prefix);
	pk_str_addf(&path, "%s/var/lib/picket/published.json", args->config->paths.root);
	p->path = pk_str_take(&path);
	pk_source_start(&p->source);
	recall(p);
	p->look = pk_timer_new(args->loop, look, p);
	p->write = pk_timer_new(args->loop, write_next, p);
	p->renew = pk_timer_new(args->loop, renew, p);
	pk_timer_set(p->renew, 0);
	pk_publish_soon(p);
	return p;
}

void pk_publish_free(struct pk_publish *p)
{
	struct key *k, *next;

	if (!p)
		return;
	pk_http_cancel(p->call);
	pk_http_cancel(p->session_call);
	pk_timer_free(p->look);
	pk_timer_free(p->write);
	pk_timer_free(p->renew);
	HASH_ITER (hh, p->keys, k, next)
		drop(p, k);
	free(p->writing);
	free(p->writing_text);
	free(p->node);
	free(p->prefix);
	free(p->path);
	free(p);
}
