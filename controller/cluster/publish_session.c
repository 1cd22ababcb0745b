/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session that holds this node's keys: asked for, renewed, and asked for again once it ended.
 */
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "log.h"
#include "own.h"
#include "publish_private.h"

#define TTL	 "60s" /* of the session; Consul ends it up to twice as late */
#define RENEW_MS 20000

/* Takes a session, under which every key is written anew. */
static void set_session(struct pk_publish *p, const char *id)
{
	snprintf(p->session, sizeof(p->session), "%s", id);
	for (struct key *k = p->keys; k; k = k->hh.next)
		k->written = false;
	publish_remember(p);
	pk_timer_hurry(p->write, 0);
}

bool publish_no_session(const struct pk_http_reply *reply, char *why, size_t room)
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
	struct pk_publish *p = arg;
	own_json *doc = NULL;
	const char *id;
	char why[300];

	p->session_call = NULL;
	pk_timer_set(p->renew, RENEW_MS);
	if (publish_no_session(reply, why, sizeof(why))) {
		if (p->source.failures == 0)
			log_warn("op=cluster err=\"no session: %s\"", why);
		pk_source_bad(&p->source, pk_http_fault(reply), why);
		pk_timer_set(p->renew, p->args.alone && reply->status == 403
					       ? REFUSED_MS
					       : pk_backoff_ms(p->session_failures++));
		return;
	}
	p->session_failures = 0;
	if (pk_json_parse("Consul's session", reply->body, reply->len, PK_JSON_RELAXED, &doc,
			  NULL) < 0)
		return;
	id = pk_json_string(pk_json_get(pk_json_root(doc), "ID"));
	if (id && *id && strlen(id) < PUBLISH_ID_ROOM)
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
	p->session_call = publish_start(p, &call, on_session, &err);
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
		pk_source_bad(&p->source, pk_http_fault(reply), why);
		pk_timer_set(p->renew, pk_backoff_ms(p->session_failures++));
	} else {
		p->session_failures = 0;
		pk_source_good(&p->source);
		pk_timer_hurry(p->write, 0);
	}
}

void publish_renew(void *arg)
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
	p->session_call = publish_start(p, &call, on_renewed, &err);
	if (!p->session_call)
		pk_timer_set(p->renew, pk_backoff_ms(p->session_failures++));
}
