/* SPDX-License-Identifier: GPL-2.0-only */
#include "nomad_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "own.h"
#include "service.h"

#define WAIT_S		60
#define NODE_TIMEOUT_MS 10000

struct pk_nomad {
	struct pk_loop *loop;
	struct pk_http *http;
	const struct pk_config *config;
	struct pk_nomad_fns fns;
	struct pk_timer *timer;
	struct pk_http_call *call;
	struct pk_nomad_node node;
	struct pk_source source;
	uint64_t index, asked_ms;
	char name[128];
};

struct pk_confirm {
	struct pk_http_call *call;
	char node[sizeof(((struct pk_nomad_node *)0)->id)]; /* "": not known yet */
	pk_confirm_fn *fn;
	void *arg;
};

static void failed(struct pk_nomad *n, const char *why)
{
	if (n->source.failures == 0)
		log_warn("op=nomad err=\"%s\" keeping what is in force", why);
	pk_source_bad(&n->source, why);
	/* Never the old index after a failure: another server may answer, and a full answer is
	 * cheap. Nor the old node: a client that comes back may have another id, or other labels.
	 */
	n->index = 0;
	n->node.id[0] = '\0';
	pk_timer_set(n->timer, pk_backoff_ms(n->source.failures - 1, 250, 15000));
}

static struct pk_http_call *start(struct pk_nomad *n, const char *path, unsigned int timeout_ms,
				  pk_http_fn *fn, void *arg, struct pk_err *err)
{
	const struct pk_service_call call = { .service = &n->config->nomad,
					      .header = "X-Nomad-Token",
					      .path = path,
					      .timeout_ms = timeout_ms,
					      .cap = PK_NOMAD_BODY_MAX };

	return pk_service_start(n->http, &call, fn, arg, err);
}

/* An index that goes back means another history: ask from none. */
static uint64_t next_index(uint64_t old, uint64_t new)
{
	return new < old ? 0 : new;
}

static void on_allocs(void *arg, const struct pk_http_reply *reply)
{
	struct pk_nomad *n = arg;
	struct pk_allocs allocs;
	struct pk_err err = { 0 };
	uint64_t asked = n->index;
	char why[300];

	n->call = NULL;
	if (pk_service_failed(reply, false, why, sizeof(why))) {
		failed(n, why);
		return;
	}
	if (!reply->index) {
		failed(n, "an answer without an index: not Nomad's");
		return;
	}
	if (pk_allocs_decode(reply->body, reply->len, &allocs, &err) < 0) {
		failed(n, err.text);
		return;
	}
	n->index = next_index(n->index, reply->index);
	n->source.index = reply->index;
	pk_source_good(&n->source);
	snprintf(n->source.detail, sizeof(n->source.detail), "node %.8s, %zu allocs", n->node.id,
		 allocs.n);
	n->fns.allocs(n->fns.arg, &allocs);
	pk_allocs_done(&allocs);
	pk_timer_set(n->timer,
		     pk_service_pause(asked, reply->index, pk_loop_now(n->loop) - n->asked_ms));
}

static void on_nodes(void *arg, const struct pk_http_reply *reply)
{
	struct pk_nomad *n = arg;
	struct pk_err err = { 0 };
	char why[300];

	n->call = NULL;
	if (pk_service_failed(reply, false, why, sizeof(why))) {
		failed(n, why);
		return;
	}
	if (pk_nomad_node_find(reply->body, reply->len, n->name, &n->node, &err) < 0) {
		failed(n, err.text);
		return;
	}
	n->fns.node(n->fns.arg, &n->node);
	pk_timer_set(n->timer, 0);
}

static void ask(void *arg)
{
	struct pk_nomad *n = arg;
	own_str path = { 0 };
	struct pk_err err = { 0 };

	n->asked_ms = pk_loop_now(n->loop);
	if (!*n->node.id) {
		pk_str_add(&path, "/v1/nodes");
		n->call = start(n, path.text, NODE_TIMEOUT_MS, on_nodes, n, &err);
	} else {
		pk_str_add(&path, "/v1/node/");
		pk_url_add(&path, n->node.id, NULL);
		pk_str_add(&path, "/allocations");
		if (n->index)
			pk_str_addf(&path, "?index=%lu&wait=%ds", n->index, WAIT_S);
		/* The server adds up to a sixteenth of the wait. */
		n->call =
			start(n, path.text, (WAIT_S + WAIT_S / 16 + 10) * 1000, on_allocs, n, &err);
	}
	if (!n->call)
		failed(n, err.text);
}

struct pk_nomad *pk_nomad_new(struct pk_loop *loop, struct pk_http *http,
			      const struct pk_config *config, const struct pk_nomad_fns *fns)
{
	struct pk_nomad *n = pk_alloc(sizeof(*n));

	*n = (struct pk_nomad){ .loop = loop, .http = http, .config = config, .fns = *fns };
	snprintf(n->name, sizeof(n->name), "%s", config->nomad_node);
	if (!*n->name && gethostname(n->name, sizeof(n->name) - 1) < 0)
		strcpy(n->name, "localhost");
	n->source.state = PK_SOURCE_STARTING;
	n->timer = pk_timer_new(loop, ask, n);
	pk_timer_set(n->timer, 0);
	return n;
}

void pk_nomad_free(struct pk_nomad *n)
{
	if (!n)
		return;
	pk_http_cancel(n->call);
	pk_timer_free(n->timer);
	free(n);
}

const struct pk_source *pk_nomad_source(const struct pk_nomad *n)
{
	return &n->source;
}

static void on_confirm(void *arg, const struct pk_http_reply *reply)
{
	struct pk_confirm *c = arg;
	struct pk_alloc alloc = { 0 };
	char why[300];
	bool good = !pk_service_failed(reply, false, why, sizeof(why)) &&
		    pk_alloc_decode(reply->body, reply->len, &alloc, NULL) == 0;
	bool elsewhere = good && *c->node && strcmp(alloc.node, c->node) != 0;

	c->fn(c->arg, good && !elsewhere ? &alloc : NULL, elsewhere || reply->status == 404);
	if (good)
		pk_alloc_done(&alloc);
	free(c);
}

struct pk_confirm *pk_nomad_confirm(struct pk_nomad *n, const char *alloc_id,
				    unsigned int timeout_ms, pk_confirm_fn *fn, void *arg)
{
	struct pk_confirm *c = pk_alloc(sizeof(*c));
	own_str path = { 0 };

	*c = (struct pk_confirm){ .fn = fn, .arg = arg };
	strcpy(c->node, n->node.id);
	pk_str_add(&path, "/v1/allocation/");
	pk_url_add(&path, alloc_id, NULL);
	c->call = start(n, path.text, timeout_ms, on_confirm, c, NULL);
	if (c->call)
		return c;
	free(c);
	return NULL;
}

void pk_confirm_cancel(struct pk_confirm *c)
{
	if (!c)
		return;
	pk_http_cancel(c->call);
	free(c);
}
