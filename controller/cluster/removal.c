/* SPDX-License-Identifier: Apache-2.0 */
#include "removal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "own.h"
#include "service.h"

#define TIMEOUT_MS 10000
#define NAMES_MAX  (64u << 20) /* bytes of the list of all tenants' shares */
#define BODY_MAX   65536

struct step {
	char *key;	   /* below the prefix */
	char *body;	   /* NULL: it goes */
	uint64_t modified; /* of what body replaces */
};

struct pk_removal {
	struct pk_http *http;
	const struct pk_service *consul;
	char *prefix, *node;
	struct pk_http_call *call;
	struct step *steps;
	size_t n, at;
	struct pk_removed removed;
	pk_removal_fn *fn;
	void *arg;
};

static void removal_free(struct pk_removal *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->steps[i].key);
		free(r->steps[i].body);
	}
	free(r->steps);
	free(r->prefix);
	free(r->node);
	free(r);
}

static void end(struct pk_removal *r, const char *why)
{
	r->removed.why = why;
	r->fn(r->arg, &r->removed);
	removal_free(r);
}

static struct step *add(struct pk_removal *r, const char *key)
{
	r->steps = realloc(r->steps, (r->n + 1) * sizeof(*r->steps));
	if (!r->steps)
		abort();
	r->steps[r->n] = (struct step){ .key = pk_strdup(key) };
	return &r->steps[r->n++];
}

static struct pk_http_call *start(struct pk_removal *r, struct pk_service_call *call,
				  pk_http_fn *fn, struct pk_err *err)
{
	call->service = r->consul;
	call->header = "X-Consul-Token";
	call->timeout_ms = TIMEOUT_MS;
	return pk_service_start(r->http, call, fn, r, err);
}

static void next(struct pk_removal *r);

static void on_written(void *arg, const struct pk_http_reply *reply)
{
	struct pk_removal *r = arg;
	const struct step *s = &r->steps[r->at];
	char why[300];

	r->call = NULL;
	if (pk_service_failed(reply, false, why, sizeof(why))) {
		end(r, why);
		return;
	}
	if (strncmp(reply->body, "true", 4) != 0) {
		end(r, "somebody else changed its keys meanwhile: do it again");
		return;
	}
	r->removed.blocks += s->body != NULL;
	r->removed.keys += s->body == NULL;
	r->at++;
	next(r);
}

static void next(struct pk_removal *r)
{
	const struct step *s = &r->steps[r->at];
	struct pk_service_call call = { .cap = BODY_MAX };
	struct pk_err err = { 0 };
	own_str path = { 0 };

	if (r->at == r->n) {
		end(r, NULL);
		return;
	}
	pk_str_add(&path, "/v1/kv/");
	pk_url_add(&path, r->prefix, "/");
	pk_url_add(&path, s->key, "/");
	if (s->body)
		pk_str_addf(&path, "?cas=%lu", s->modified);
	call.method = s->body ? "PUT" : "DELETE";
	call.body = s->body;
	call.path = path.text;
	r->call = start(r, &call, on_written, &err);
	if (!r->call)
		end(r, err.text);
}

/* A block that is given back belongs to nobody before it has rested: it goes last. */
static void add_claims(struct pk_removal *r, const struct pk_block_claims *claims)
{
	for (size_t i = 0; i < claims->n; i++) {
		const struct pk_block_claim *c = &claims->list[i];
		struct pk_claim_word word = *c->word;
		own_str body = { 0 };
		struct step *s;

		if (strcmp(word.node, r->node) != 0 || word.returned || !c->modified)
			continue;
		word.number++;
		word.returned = time(NULL);
		pk_claim_word_encode(&word, &body);
		s = add(r, c->key);
		s->body = pk_str_take(&body);
		s->modified = c->modified;
	}
}

/* Adds "tenants/TENANT/NODE" of all names; they go before the node's blocks do. */
static int add_shares(struct pk_removal *r, const struct pk_http_reply *reply)
{
	struct step *claims = PK_MOVE(r->steps, NULL);
	size_t n = PK_MOVE(r->n, 0);
	own_json *doc = NULL;
	own_str word = { 0 };

	pk_str_addf(&word, "nodes/%s", r->node);
	add(r, word.text);
	if (reply->status == 200 && pk_json_parse("Consul's names", reply->body, reply->len,
						  PK_JSON_RELAXED, &doc, NULL) == 0)
		for (const struct pk_json *v = pk_json_first(pk_json_root(doc)); v;
		     v = pk_json_next(v)) {
			const char *key = pk_json_string(v);
			const char *last = key ? strrchr(key, '/') : NULL;

			if (last && strcmp(last + 1, r->node) == 0 &&
			    strncmp(key, r->prefix, strlen(r->prefix)) == 0)
				add(r, key + strlen(r->prefix));
		}
	for (size_t i = 0; i < n; i++) {
		struct step *s = add(r, claims[i].key);

		s->body = claims[i].body;
		s->modified = claims[i].modified;
		free(claims[i].key);
	}
	free(claims);
	pk_str_reset(&word);
	pk_str_addf(&word, "status/nodes/%s", r->node);
	add(r, word.text);
	return doc || reply->status == 404 ? 0 : -1;
}

static void on_names(void *arg, const struct pk_http_reply *reply)
{
	struct pk_removal *r = arg;
	char why[300];

	r->call = NULL;
	if (pk_service_failed(reply, true, why, sizeof(why)))
		end(r, why);
	else if (add_shares(r, reply) < 0)
		end(r, "Consul's list of names can't be read");
	else
		next(r);
}

struct pk_removal *pk_removal_start(const struct pk_removal_args *args, pk_removal_fn *fn,
				    void *arg, struct pk_err *err)
{
	struct pk_service_call call = { .cap = NAMES_MAX };
	struct pk_removal *r = pk_alloc(sizeof(*r));
	own_str path = { 0 };

	*r = (struct pk_removal){ .http = args->http,
				  .consul = args->consul,
				  .prefix = pk_strdup(args->prefix),
				  .node = pk_strdup(args->node),
				  .fn = fn,
				  .arg = arg };
	add_claims(r, args->claims);
	pk_str_add(&path, "/v1/kv/");
	pk_url_add(&path, r->prefix, "/");
	pk_str_add(&path, "tenants/?keys=true");
	call.path = path.text;
	r->call = start(r, &call, on_names, err);
	if (r->call)
		return r;
	removal_free(r);
	return NULL;
}

void pk_removal_cancel(struct pk_removal *r)
{
	if (!r)
		return;
	pk_http_cancel(r->call);
	removal_free(r);
}
