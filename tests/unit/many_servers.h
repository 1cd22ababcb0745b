/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The servers of Consul and of Nomad, in the place of controller/sources/http.c and in a time that is
 * made up. They answer, are without a leader, or away, and what they are asked is counted in each
 * second. Whoever includes it links no other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka needs those above first */
#include <cmocka.h>

#include "virtual_loop.h"

#include "http.h"
#include "own.h"
#include "str.h"

#define SECONDS 1000 /* that are counted */
#define NOMAD	"http://192.0.2.2"
#define VALUE	"W3siZW5kcG9pbnRTZWxlY3RvciI6IHt9fV0=" /* of a document: [{"endpointSelector": {}}] */
#define INDEX	100				       /* of all that the servers have at first */

enum servers { UP, LEADERLESS, AWAY };

struct pk_http_call {
	pk_http_fn *fn;
	pk_http_sink_fn *sink;
	void *arg;
	struct pk_timer *timer;
	char *body;
	int status;
	bool is_nomads, waits;
	struct pk_http_call *next, **at; /* among those that wait */
};

static struct {
	struct pk_loop *loop;
	enum servers state, nomads_state;
	unsigned int sessions, over; /* how many there were; those before are over */
	uint64_t written;	     /* changes of anything since the first index */
	struct pk_http_call *waiting;
	unsigned int asked[SECONDS], leaders[SECONDS];
	unsigned int nomads[SECONDS], nomads_leaders[SECONDS]; /* the same of Nomad */
} servers;

static void unlink_call(struct pk_http_call *c)
{
	if (!c->waits)
		return;
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	c->waits = false;
}

static void call_free(struct pk_http_call *c)
{
	unlink_call(c);
	pk_timer_free(c->timer);
	free(c->body);
	free(c);
}

static enum servers state_of(bool is_nomads)
{
	return is_nomads ? servers.nomads_state : servers.state;
}

static void answer(void *arg)
{
	struct pk_http_call *c = arg;
	struct pk_http_reply reply = { .status = c->status,
				       .body = c->body,
				       .index = INDEX + servers.written };
	const enum servers state = state_of(c->is_nomads);

	unlink_call(c);
	reply.known_leader = state == UP;
	if (state == AWAY) {
		reply = (struct pk_http_reply){ .error = "connection refused", .known_leader = -1 };
	} else if (c->status == 200 && c->sink) {
		c->sink(c->arg, c->body, strlen(c->body));
		reply.body = "";
	}
	reply.len = reply.body ? strlen(reply.body) : 0;
	c->fn(c->arg, &reply);
	call_free(c);
}

static void wait_among(struct pk_http_call *c)
{
	c->waits = true;
	c->next = servers.waiting;
	c->at = &servers.waiting;
	if (c->next)
		c->next->at = &c->next;
	servers.waiting = c;
}

/* A renewal doesn't find a session that is over, and a look-up lists none. */
static void answer_of_session(struct pk_http_call *c, const char *path, struct pk_str *text)
{
	const unsigned long session = strtoul(strstr(path, "session-") + 8, NULL, 10);

	if (session >= servers.over)
		pk_str_addf(text, "[{\"ID\":\"session-%lu\"}]", session);
	else if (strstr(path, "/renew/"))
		c->status = 404;
	else
		pk_str_add(text, "[]");
}

static void make_answer(struct pk_http_call *c, const char *method, const char *path)
{
	const char *doc = strstr(path, "/policies/");
	const enum servers state = state_of(c->is_nomads);
	own_str text = { 0 };

	c->status = 200;
	if (strstr(path, "/v1/nodes")) {
		pk_str_add(
			&text,
			"[{\"ID\":\"7a94ec5f-0000-4000-8000-000000000001\",\"Name\":\"n\","
			"\"Datacenter\":\"dc1\",\"NodePool\":\"default\",\"Version\":\"1.11.2\"}]");
	} else if (strstr(path, "/allocations")) {
		pk_str_add(&text, "[]");
	} else if (strstr(path, "/v1/status/leader")) {
		pk_str_add(&text, state == UP ? "\"192.0.2.1:8300\"" : "\"\"");
	} else if (strstr(path, "/session/create")) {
		pk_str_addf(&text, "{\"ID\":\"session-%u\"}", servers.sessions++);
	} else if (strstr(path, "/session/renew/") || strstr(path, "/session/info/")) {
		answer_of_session(c, path, &text);
	} else if (strcmp(method, "GET") != 0) {
		pk_str_add(&text, "true");
	} else if (doc && strstr(path, "recurse")) {
		const char *key = strstr(path, "picket/");

		pk_str_addf(&text,
			    "[{\"Key\":\"%.*sweb\",\"Value\":\"" VALUE
			    "\",\"CreateIndex\":5,\"ModifyIndex\":5}]",
			    (int)strcspn(key, "?"), key);
	} else {
		c->status = 404; /* there is no such key */
	}
	if (state == LEADERLESS && !strstr(path, "stale") && !strstr(path, "/status/")) {
		c->status = 500;
		pk_str_reset(&text);
		pk_str_add(&text, "No cluster leader");
	}
	c->body = pk_str_take(&text) ?: pk_strdup("");
}

struct pk_http_call *pk_http_start(struct pk_http *http, const struct pk_http_request *request,
				   pk_http_fn *fn, void *arg)
{
	struct pk_http_call *c = pk_alloc(sizeof(*c));
	const char *method = request->method ?: "GET", *wait = strstr(request->url, "&wait=");
	const size_t second = servers.loop->now / 1000;
	uint64_t ms = 1 + (uint64_t)rand() % 5;

	(void)http;
	assert_true(second < SECONDS);
	*c = (struct pk_http_call){ .fn = fn,
				    .sink = request->sink,
				    .arg = arg,
				    .is_nomads = strstr(request->url, NOMAD) != NULL };
	if (c->is_nomads) {
		servers.nomads[second]++;
		servers.nomads_leaders[second] +=
			!strstr(request->url, "stale") && !strstr(request->url, "/status/leader");
	} else {
		servers.asked[second]++;
		servers.leaders[second] +=
			strcmp(method, "GET") != 0 || strstr(request->url, "consistent");
	}
	c->timer = pk_timer_new(servers.loop, answer, c);
	make_answer(c, method, request->url);
	if (wait && state_of(c->is_nomads) != AWAY) {
		const uint64_t asked_ms = strtoul(wait + strlen("&wait="), NULL, 10) * 1000;

		wait_among(c);
		ms = asked_ms + (uint64_t)rand() % (asked_ms / 16);
	}
	pk_timer_set(c->timer, ms);
	return c;
}

void pk_http_cancel(struct pk_http_call *call)
{
	if (call)
		call_free(call);
}

/* Nobody waits at servers that are away. */
void pk_http_give_up(struct pk_http *http, const char *server, const char *why)
{
	(void)http, (void)server, (void)why;
}

/* Who waits at servers that go away hears of it at once, as of a connection that is cut. */
static void go_one(bool is_nomads, enum servers state)
{
	*(is_nomads ? &servers.nomads_state : &servers.state) = state;
	for (struct pk_http_call *c = servers.waiting; c && state == AWAY; c = c->next)
		if (c->is_nomads == is_nomads)
			pk_timer_set(c->timer, 1);
}

static void go(enum servers state)
{
	go_one(false, state);
	go_one(true, state);
}

static unsigned int most(const unsigned int *counted, uint64_t from_ms)
{
	unsigned int found = 0;

	for (size_t i = from_ms / 1000; i <= servers.loop->now / 1000; i++)
		found = counted[i] > found ? counted[i] : found;
	return found;
}
