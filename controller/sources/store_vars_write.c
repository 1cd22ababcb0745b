/* SPDX-License-Identifier: Apache-2.0 */
/* Writes variables, each by compare-and-set. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"
#include "store_vars_private.h"

#define ANSWER_MAX (1u << 20)

/*
 * Takes from the answer to a write what is there now, so that the next write is compared with it.
 */
static void note_written(struct vars_call *c, const struct pk_http_reply *reply)
{
	PK_OWN(pk_var_done) struct pk_var got = { 0 };
	struct var *var;

	HASH_FIND_STR(c->v->vars, c->key, var);
	if (!var) {
		var = pk_alloc(sizeof(*var));
		var->key = pk_strdup(c->key);
		var->gone = true; /* until a list says otherwise */
		var->gone_ms = pk_loop_now(c->v->loop);
		HASH_ADD_KEYPTR(hh, c->v->vars, var->key, strlen(var->key), var);
	}
	if (reply->status == 204)
		var->next = 0;
	else if (pk_var_decode(reply->body, reply->len, PK_VARS_VALUE, &got, NULL) == 0)
		var->next = got.modified;
}

static void on_written(void *arg, const struct pk_http_reply *reply)
{
	struct vars_call *c = arg;
	struct pk_store_answer answer = { .fault = pk_http_fault(reply),
					  .refused = reply->status == 403 };
	char why[300];

	c->http = NULL;
	if (reply->status == 200 || reply->status == 204 || reply->status == 409) {
		answer.done = reply->status != 409;
		note_written(c, reply);
	} else if (pk_service_failed(reply, false, why, sizeof(why))) {
		answer.why = why;
	}
	vars_finish(c, &answer);
}

/* Returns whether another node that lives holds the key. */
static bool is_anothers(const struct vars_store *v, const struct var *var, const char *holder)
{
	return var && !var->gone && var->holder && strcmp(var->holder, holder) != 0 &&
	       vars_lives(v, var->holder);
}

int vars_fits(const struct pk_store *store, const char *key, const char *value, struct pk_err *err)
{
	own_str path = { 0 };

	(void)store;
	if (pk_vars_path(key, &path, err) < 0)
		return -EINVAL;
	if (!value || strlen(value) <= PK_VARS_TEXT_MAX)
		return 0;
	return pk_fix(err,
		      pk_fail(err, 0, "%.200s would have %zu bytes, and Nomad takes 64 KiB",
			      path.text, strlen(value)),
		      VARS_MORE_ROOM);
}

struct pk_store_call *vars_write(struct pk_store *store, const struct pk_store_write *w,
				 pk_store_fn *fn, void *arg, struct pk_err *err)
{
	struct vars_store *v = store_of(store);
	struct pk_service_call call = { .method = w->value ? "PUT" : "DELETE",
					.cap = ANSWER_MAX,
					.turn = w->turn,
					.timeout_ms = VARS_TIMEOUT_MS };
	own_str path = { 0 }, body = { 0 };
	struct vars_call *c;
	struct var *var;

	HASH_FIND_STR(v->vars, w->key, var);
	if (vars_fits(store, w->key, w->value, err) < 0 ||
	    pk_vars_url(v->store.prefix, w->key, v->home, &path, err) < 0)
		return NULL;
	if (w->value && w->compares)
		pk_str_addf(&path, "&cas=%lu", w->modified);
	else if (w->value && w->holder)
		pk_str_addf(&path, "&cas=%lu", var ? var->next : 0);
	pk_var_encode(pk_vars_item(store->prefix, w->key), w->value ?: "", w->holder, &body);
	c = vars_call_new(
		v, w->value && w->holder && is_anothers(v, var, w->holder) ? VARS_SAY : VARS_WRITE,
		fn, arg);
	c->key = pk_strdup(w->key);
	call.path = path.text;
	call.body = w->value ? body.text : NULL;
	if (c->kind == VARS_SAY)
		vars_serve_soon(v);
	else
		c->http = vars_start(v, &call, on_written, c, err);
	if (c->http || c->kind == VARS_SAY)
		return (struct pk_store_call *)c;
	vars_call_free(c);
	return NULL;
}
