/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the values of Picket's variables, and finds out what the token may see. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"
#include "store_vars_private.h"

#define BODY_MAX (1u << 20) /* most bytes of an answer: 64 KiB of items, escaped as JSON */

/* Takes a variable's value. A variable that can't be read gets none, and isn't asked for again. */
static void take(struct vars_store *v, struct var *var, struct pk_var *got)
{
	free(var->value);
	free(var->holder);
	var->value = PK_MOVE(got->value, NULL);
	var->holder = PK_MOVE(got->node, NULL);
	var->read = got->modified > var->modified ? got->modified : var->modified;
	if (var->next < var->read)
		var->next = var->read;
	vars_serve_soon(v);
}

static void on_var(void *arg, const struct pk_http_reply *reply)
{
	struct vars_store *v = arg;
	own_mem char *key = PK_MOVE(v->reading, NULL);
	struct pk_store_answer answer = { .fault = pk_http_fault(reply) };
	PK_OWN(pk_var_done) struct pk_var got = { 0 };
	struct pk_err err = { 0 };
	struct var *var;
	char why[400];

	v->read = NULL;
	HASH_FIND_STR(v->vars, key, var);
	if (!var || var->gone) {
		vars_serve_soon(v);
	} else if (reply->status == 404) { /* it was deleted after it was listed */
		vars_list_fresh(v);
	} else if (pk_service_failed(reply, false, why, sizeof(why))) {
		snprintf(why + strlen(why), sizeof(why) - strlen(why), ", of variable %.100s", key);
		answer.why = why;
		vars_fail(v, key, &answer);
	} else if (pk_var_decode(reply->body, reply->len, pk_vars_item(v->store.prefix, key), &got,
				 &err) < 0) {
		answer.why = err.text;
		vars_fail(v, key, &answer);
	} else {
		take(v, var, &got);
	}
}

void vars_read(struct vars_store *v, struct var *var)
{
	struct pk_service_call call = { .cap = BODY_MAX,
					.turn = v->tries.turn,
					.timeout_ms = VARS_TIMEOUT_MS };
	struct pk_store_answer answer = { .fault = PK_FAULT_UNASKED };
	struct pk_err err = { 0 };
	own_str path = { 0 };

	if (v->read)
		return;
	if (pk_vars_url(v->store.prefix, var->key, v->home, &path, &err) == 0) {
		call.path = path.text;
		v->reading = pk_strdup(var->key);
		v->read = vars_start(v, &call, on_var, v, &err);
	}
	if (v->read)
		return;
	free(PK_MOVE(v->reading, NULL));
	answer.why = err.text;
	vars_fail(v, var->key, &answer);
}

/* Takes the answer about a variable that isn't there: 404 means that the token may read there. */
static void on_tried(void *arg, const struct pk_http_reply *reply)
{
	struct vars_call *c = arg;
	char why[300];

	c->http = NULL;
	c->hidden = reply->status == 403;
	if (c->hidden || !pk_service_failed(reply, true, why, sizeof(why))) {
		c->tried = true;
		vars_serve_soon(c->v);
		return;
	}
	vars_finish(c, &(struct pk_store_answer){ .why = why, .fault = pk_http_fault(reply) });
}

/*
 * Finds out whether the token may read below the call's prefix. Of what lies in all tenants'
 * namespaces, whose names aren't known, only a token that may read in any namespace is known to see
 * all: it may in one that isn't there.
 */
void vars_try(struct vars_call *c)
{
	struct pk_service_call call = { .cap = BODY_MAX,
					.turn = c->v->tries.turn,
					.timeout_ms = VARS_TIMEOUT_MS };
	struct pk_err err = { 0 };
	own_str path = { 0 }, key = { 0 };

	if (c->http)
		return;
	pk_str_addf(&key, "%s%s" PK_VARS_NOBODYS, c->prefix,
		    vars_is_all_tenants(&c->v->store, c->prefix) ? PK_VARS_NO_TENANT "/" : "");
	if (pk_vars_url(c->v->store.prefix, key.text, c->v->home, &path, &err) == 0) {
		call.path = path.text;
		c->http = vars_start(c->v, &call, on_tried, c, &err);
	}
	if (!c->http)
		vars_finish(
			c, &(struct pk_store_answer){ .why = err.text, .fault = PK_FAULT_UNASKED });
}
