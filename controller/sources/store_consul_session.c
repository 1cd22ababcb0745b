/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session that a node's keys are written under. What isn't Consul's own word (a proxy's page,
 * an answer that is cut short) neither begins nor renews nor ends one: it is an error.
 */
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "own.h"
#include "store_consul_private.h"

#define TTL "60s" /* a session's time to live; Consul ends it up to twice as late */

bool pk_consul_no_session(const struct pk_http_reply *reply, char *why, size_t room)
{
	const char *fix = "";

	if (!pk_service_failed(reply, false, why, room))
		return false;
	if (reply->status == 401 || reply->status == 403)
		fix = "; fix: give picketd's token the rights that examples/acl lists";
	else if (strstr(why, "Missing node registration"))
		fix = ": Consul lost its record of this node, and the agent registers it again "
		      "within minutes; fix: wait, or restart the agent";
	snprintf(why + strlen(why), room - strlen(why), "%s", fix);
	return true;
}

static void on_session(void *arg, const struct pk_http_reply *reply)
{
	struct pk_store_answer answer = { 0 };
	own_json *doc = NULL;
	char why[300];

	consul_is_good(reply, false, why, sizeof(why), &answer);
	if (pk_consul_no_session(reply, why, sizeof(why))) {
		answer.why = why;
	} else {
		if (pk_json_parse("Consul's session", reply->body, reply->len, PK_JSON_RELAXED,
				  &doc, NULL) == 0)
			answer.holder = pk_json_string(pk_json_get(pk_json_root(doc), "ID"));
		answer.done =
			answer.holder && *answer.holder && strlen(answer.holder) < PK_STORE_HOLDER;
		if (!answer.done)
			answer.why = "what answers for a session has no ID" PK_SERVICE_OTHER;
	}
	consul_finish(arg, &answer);
}

/* Reads the list of one session; returns whether it is there. What is no such list is an error. */
static bool is_listed(const struct pk_http_reply *reply, struct pk_store_answer *answer)
{
	const struct pk_json *list, *first;
	own_json *doc = NULL;

	if (pk_json_parse("Consul's session", reply->body, reply->len, PK_JSON_RELAXED, &doc,
			  NULL) == 0) {
		list = pk_json_root(doc);
		first = pk_json_first(list);
		if (pk_json_type(list) == PK_JSON_ARRAY &&
		    (!first || pk_json_string(pk_json_get(first, "ID"))))
			return first;
	}
	answer->why = "what answers of a session is no list" PK_SERVICE_OTHER;
	return false;
}

/* Takes the list of one session: an empty one says it is over; a refusal leaves the first word. */
static void on_looked_up(void *arg, const struct pk_http_reply *reply)
{
	struct pk_store_answer answer = { 0 };
	char why[300];

	if (consul_is_good(reply, false, why, sizeof(why), &answer))
		answer.done = is_listed(reply, &answer);
	else if (answer.refused)
		answer.why = NULL;
	consul_finish(arg, &answer);
}

/*
 * Asks a leader that has all that was written whether a session is over that a renewal didn't find.
 * A server that has just become the leader renews by what it has read of its log so far: it denied
 * sessions that live (1.22.2, killed and started again), whose keys nobody could take for two
 * minutes.
 */
static bool look_up(struct pk_store_call *c, struct pk_err *err)
{
	struct pk_service_call call = { .turn = c->turn };
	own_str path = { 0 };

	pk_str_addf(&path, "/v1/session/info/%s?consistent=true", c->session);
	call.path = path.text;
	return consul_begin(c->store, c, &call, on_looked_up, err);
}

/* Takes the answer to a session's renewal. That the session is over is no error. */
static void on_renewed(void *arg, const struct pk_http_reply *reply)
{
	struct pk_store_answer answer = { 0 };
	struct pk_store_call *c = arg;
	struct pk_err err = { 0 };
	char why[300];

	if (consul_is_good(reply, true, why, sizeof(why), &answer)) {
		answer.done = reply->status == 200 && is_listed(reply, &answer);
		if (!answer.done && !answer.why) {
			if (look_up(c, &err))
				return;
			answer.fault = PK_FAULT_UNASKED;
			answer.why = err.text;
		}
	}
	consul_finish(c, &answer);
}

/*
 * Asks for a session. A key can't be taken again within the lock delay, a second, after its session
 * ended.
 */
struct pk_store_call *consul_hold(struct pk_store *store, const char *holder, const char *node,
				  unsigned int turn, pk_store_fn *fn, void *arg, struct pk_err *err)
{
	struct pk_service_call call = { .method = "PUT", .turn = turn };
	struct pk_store_call *c = consul_call_new(fn, arg);
	own_str path = { 0 }, body = { 0 }, name = { 0 };
	struct pk_jw w = { .out = &body };

	if (*holder) {
		c->store = store;
		c->session = pk_strdup(holder);
		c->turn = turn;
		pk_str_addf(&path, "/v1/session/renew/%s", holder);
		call.path = path.text;
		return consul_start(store, c, &call, on_renewed, err);
	}
	pk_str_addf(&name, "picket %s", node);
	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "Name", name.text);
	pk_jw_string(&w, "TTL", TTL);
	pk_jw_string(&w, "LockDelay", "1s");
	pk_jw_string(&w, "Behavior", "release");
	pk_jw_close(&w, '}');
	call.path = "/v1/session/create";
	call.body = body.text;
	return consul_start(store, c, &call, on_session, err);
}
