/* SPDX-License-Identifier: Apache-2.0 */
#include "nomad_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "nomad_reader.h"
#include "own.h"
#include "service.h"

#define WAIT_S		60
#define NODE_TIMEOUT_MS 10000
/* after that the node is asked for again: its agent may have another version */
#define NODE_AGE_MS	60000
#define NODE_RECORD_MAX (1u << 20)
/* the most refused allocs of one answer that are logged; status shows all with an endpoint here */
#define REFUSED_SAID 8

struct pk_nomad {
	struct pk_loop *loop;
	struct pk_http *http;
	const struct pk_config *config;
	struct pk_nomad_fns fns;
	struct pk_timer *timer;
	struct pk_http_call *call;
	struct pk_nomad_node node;
	uint64_t node_ms; /* loop time of Nomad's answer on the node */
	struct pk_source source;
	struct pk_pace pace;
	struct pk_history history;
	char name[128];
	size_t n_refused; /* refused allocs of the last answer */
	/* The reader of the answer that is under way: */
	struct pk_alloc_reader *allocs;
	struct pk_node_reader *nodes;
	struct pk_err err;
};

struct pk_confirm {
	struct pk_http_call *call;
	struct pk_alloc_reader *reader;
	char node[sizeof(((struct pk_nomad_node *)0)->id)]; /* "": not known yet */
	pk_confirm_fn *fn;
	void *arg;
};

static void failed(struct pk_nomad *n, enum pk_source_fault fault, const char *why)
{
	if (n->source.failures == 0)
		log_warn("op=nomad err=\"%s\" keeping what is in force", why);
	pk_source_bad(&n->source, fault, why);
	/*
	 * After a failure the next question names no index: another server may answer, and a whole
	 * answer is cheap. It names no node either: a client that comes back may have another id,
	 * or other labels.
	 */
	n->history.index = 0;
	n->node.id[0] = '\0';
	pk_timer_set(n->timer, pk_backoff_ms(n->source.failures - 1));
}

/* Says that the question under way isn't answered now. */
static void note_outage(struct pk_nomad *n)
{
	if (n->call && pk_source_note_outage(&n->source))
		log_warn("op=nomad err=\"%s\" keeping what is in force", n->source.outage);
}

/* Forgets the call, which is answered. */
static void ended(struct pk_nomad *n)
{
	n->call = NULL;
	n->source.outage = NULL;
}

static void readers_free(struct pk_nomad *n)
{
	pk_alloc_reader_free(PK_MOVE(n->allocs, NULL));
	pk_node_reader_free(PK_MOVE(n->nodes, NULL));
}

static bool on_allocs_bytes(void *arg, const char *bytes, size_t len)
{
	struct pk_nomad *n = arg;

	return pk_alloc_reader_feed(n->allocs, bytes, len, &n->err) == 0;
}

static bool on_nodes_bytes(void *arg, const char *bytes, size_t len)
{
	struct pk_nomad *n = arg;

	return pk_node_reader_feed(n->nodes, bytes, len, &n->err) == 0;
}

/* Notes what the reader found wrong with the answer. */
static void bad_text(struct pk_nomad *n)
{
	char why[sizeof(n->source.last_error)];

	snprintf(why, sizeof(why), "%.100s%s%.100s", n->err.text,
		 *n->err.fix ? "; fix: " : PK_SERVICE_OTHER, n->err.fix);
	failed(n, PK_FAULT_ANSWER, why);
}

/*
 * Returns whether the answer is no good. Where the reader stopped it, its reason says more than the
 * client's.
 */
static bool is_bad(struct pk_nomad *n, const struct pk_http_reply *reply)
{
	char why[300];

	if (!pk_service_failed(reply, false, why, sizeof(why)))
		return false;
	if (*n->err.text)
		bad_text(n);
	else
		failed(n, pk_http_fault(reply), why);
	return true;
}

static void say_refused(struct pk_nomad *n, const struct pk_allocs *allocs)
{
	size_t said = 0;

	if (allocs->n_refused != n->n_refused)
		for (size_t i = 0; i < allocs->n && said < REFUSED_SAID; i++) {
			const struct pk_alloc *a = &allocs->list[i];

			if (!a->refused)
				continue;
			said++;
			log_warn(
				"op=nomad alloc=%s err=\"%s\" refused, its endpoint stays as it is",
				a->id, a->refused);
		}
	n->n_refused = allocs->n_refused;
}

/*
 * Returns whether the answer is older than the one before; then asks the leader, at the usual pace.
 */
static bool is_older(struct pk_nomad *n, uint64_t index)
{
	uint64_t chance = pk_backoff_ms(0), pause;

	if (pk_history_takes(&n->history, index))
		return false;
	pause = pk_pace_ms(&n->pace, pk_loop_now(n->loop));
	pk_timer_set(n->timer, pause > chance ? pause : chance);
	return true;
}

static void take_allocs(struct pk_nomad *n, struct pk_allocs *allocs, uint64_t index)
{
	n->source.index = index;
	pk_source_good(&n->source);
	snprintf(n->source.detail, sizeof(n->source.detail), "node %.8s of %.40s, %zu allocs",
		 n->node.id, *n->node.version ? n->node.version : "an unknown version",
		 allocs->n + allocs->n_terminal);
	if (allocs->n_refused)
		snprintf(n->source.detail + strlen(n->source.detail),
			 sizeof(n->source.detail) - strlen(n->source.detail), ", %zu refused",
			 allocs->n_refused);
	say_refused(n, allocs);
	n->fns.allocs(n->fns.arg, allocs);
	pk_allocs_done(allocs);
	pk_timer_set(n->timer, pk_pace_ms(&n->pace, pk_loop_now(n->loop)));
}

static void on_allocs(void *arg, const struct pk_http_reply *reply)
{
	struct pk_nomad *n = arg;
	struct pk_allocs allocs;

	ended(n);
	if (is_bad(n, reply))
		return;
	if (!reply->index)
		failed(n, PK_FAULT_ANSWER, PK_SERVICE_NO_INDEX);
	else if (pk_alloc_reader_end(n->allocs, &allocs, &n->err) < 0)
		bad_text(n);
	else if (is_older(n, reply->index))
		pk_allocs_done(&allocs);
	else
		take_allocs(n, &allocs, reply->index);
}

static void on_nodes(void *arg, const struct pk_http_reply *reply)
{
	struct pk_nomad *n = arg;

	ended(n);
	if (is_bad(n, reply))
		return;
	if (pk_node_reader_end(n->nodes, &n->node, &n->err) < 0) {
		bad_text(n);
		return;
	}
	n->node_ms = pk_loop_now(n->loop);
	n->fns.node(n->fns.arg, &n->node);
	pk_timer_set(n->timer, 0);
}

static struct pk_http_call *start(struct pk_nomad *n, struct pk_service_call *call, pk_http_fn *fn,
				  void *arg, struct pk_err *err)
{
	call->service = &n->config->nomad;
	call->header = "X-Nomad-Token";
	call->turn = n->source.turn;
	return pk_service_start(n->http, call, fn, arg, err);
}

/*
 * Asks any server, and about this node alone: after an outage every node of the cluster asks this,
 * and otherwise all would ask the leader about all nodes.
 */
static void ask_nodes(struct pk_nomad *n)
{
	own_str path = { 0 };
	own_str filter = { 0 };
	struct pk_service_call call = { .timeout_ms = NODE_TIMEOUT_MS,
					.cap = PK_NOMAD_BODY_MAX,
					.sink = on_nodes_bytes };

	pk_str_add(&path, "/v1/nodes?stale=true");
	if (!strpbrk(n->name, "\"\\")) {
		pk_str_addf(&filter, "Name == \"%s\" or ID == \"%s\"", n->name, n->name);
		pk_str_add(&path, "&filter=");
		pk_url_add(&path, filter.text, NULL);
	}
	call.path = path.text;
	n->nodes = pk_node_reader_new(n->name);
	n->call = start(n, &call, on_nodes, n, &n->err);
}

/*
 * Asks any server, which is milliseconds behind the leader at most; a thousand nodes ask this.
 * Without an index the leader is asked.
 */
static void ask_allocs(struct pk_nomad *n)
{
	own_str path = { 0 };
	/* The server adds up to a sixteenth to the wait. */
	struct pk_service_call call = { .timeout_ms = (WAIT_S + WAIT_S / 16 + 10) * 1000,
					.cap = PK_NOMAD_BODY_MAX,
					.sink = on_allocs_bytes };

	pk_str_add(&path, "/v1/node/");
	pk_url_add(&path, n->node.id, NULL);
	pk_str_add(&path, "/allocations");
	pk_history_query(&n->history, WAIT_S, &path);
	call.path = path.text;
	n->allocs = pk_alloc_reader_new(PK_READ_ALLOCS);
	n->call = start(n, &call, on_allocs, n, &n->err);
}

static void ask(void *arg)
{
	struct pk_nomad *n = arg;

	readers_free(n);
	n->err = (struct pk_err){ 0 };
	if (*n->node.id && pk_loop_now(n->loop) - n->node_ms < NODE_AGE_MS)
		ask_allocs(n);
	else
		ask_nodes(n);
	if (!n->call)
		failed(n, PK_FAULT_UNASKED, n->err.text);
	else
		note_outage(n);
}

struct pk_nomad *pk_nomad_new(struct pk_loop *loop, struct pk_http *http,
			      const struct pk_config *config, const struct pk_nomad_fns *fns)
{
	struct pk_nomad *n = pk_alloc(sizeof(*n));

	*n = (struct pk_nomad){ .loop = loop, .http = http, .config = config, .fns = *fns };
	snprintf(n->name, sizeof(n->name), "%s", config->nomad_node);
	if (!*n->name && gethostname(n->name, sizeof(n->name) - 1) < 0)
		strcpy(n->name, "localhost");
	pk_source_start(&n->source);
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
	readers_free(n);
	free(n);
}

const struct pk_source *pk_nomad_source(const struct pk_nomad *n)
{
	return &n->source;
}

void pk_nomad_unserved(struct pk_nomad *n, const char *why)
{
	n->source.outage = why;
	note_outage(n);
}

void pk_nomad_served(struct pk_nomad *n, bool anew)
{
	if (!pk_source_served(&n->source) || !n->call || !anew)
		return;
	pk_http_cancel(PK_MOVE(n->call, NULL));
	pk_timer_set(n->timer, 0);
}

struct pk_http_call *pk_nomad_ask_node(struct pk_nomad *n, unsigned int timeout_ms, pk_http_fn *fn,
				       void *arg)
{
	own_str path = { 0 };
	struct pk_service_call call = { .timeout_ms = timeout_ms, .cap = NODE_RECORD_MAX };

	if (!*n->node.id)
		return NULL;
	pk_str_add(&path, "/v1/node/");
	pk_url_add(&path, n->node.id, NULL);
	call.path = path.text;
	return start(n, &call, fn, arg, NULL);
}

static void confirm_free(struct pk_confirm *c)
{
	pk_alloc_reader_free(c->reader);
	free(c);
}

static bool on_confirm_bytes(void *arg, const char *bytes, size_t len)
{
	struct pk_confirm *c = arg;

	return pk_alloc_reader_feed(c->reader, bytes, len, NULL) == 0;
}

static void on_confirm(void *arg, const struct pk_http_reply *reply)
{
	struct pk_confirm *c = arg;
	struct pk_allocs allocs = { 0 };
	char why[300];
	bool good = !pk_service_failed(reply, false, why, sizeof(why)) &&
		    pk_alloc_reader_end(c->reader, &allocs, NULL) == 0 && !allocs.n_refused;
	bool elsewhere = good && *c->node && strcmp(allocs.list[0].node, c->node) != 0;

	c->fn(c->arg, good && !elsewhere ? &allocs.list[0] : NULL,
	      elsewhere || reply->status == 404);
	pk_allocs_done(&allocs);
	confirm_free(c);
}

struct pk_confirm *pk_nomad_confirm(struct pk_nomad *n, const char *alloc_id,
				    unsigned int timeout_ms, pk_confirm_fn *fn, void *arg)
{
	struct pk_confirm *c = pk_alloc(sizeof(*c));
	own_str path = { 0 };
	struct pk_service_call call = { .timeout_ms = timeout_ms,
					.cap = PK_NOMAD_BODY_MAX,
					.sink = on_confirm_bytes };

	*c = (struct pk_confirm){ .fn = fn,
				  .arg = arg,
				  .reader = pk_alloc_reader_new(PK_READ_ALLOC) };
	strcpy(c->node, n->node.id);
	pk_str_add(&path, "/v1/allocation/");
	pk_url_add(&path, alloc_id, NULL);
	call.path = path.text;
	c->call = start(n, &call, on_confirm, c, NULL);
	if (c->call)
		return c;
	confirm_free(c);
	return NULL;
}

void pk_confirm_cancel(struct pk_confirm *c)
{
	if (!c)
		return;
	pk_http_cancel(c->call);
	confirm_free(c);
}
