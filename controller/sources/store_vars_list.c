/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the list of Picket's variables. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "store_vars_private.h"

#define WAIT_S	 20 /* a restored snapshot ends no wait, and shows only by the next answer */
#define BODY_MAX (64u << 20)

static bool on_bytes(void *arg, const char *bytes, size_t n)
{
	struct vars_store *v = arg;

	v->result = pk_vars_reader_feed(v->reader, bytes, n, &v->error);
	if (v->result == 0 && v->n_home > VARS_HOME_MAX)
		v->result = pk_fix(&v->error,
				   pk_fail(&v->error, 0,
					   "more than %d variables below %s in namespace %s",
					   VARS_HOME_MAX, v->store.prefix, v->home),
				   "delete those that nobody needs, or use Consul");
	return v->result == 0;
}

static void failed(struct vars_store *v, enum pk_source_fault fault, const char *why)
{
	const struct pk_store_answer answer = { .why = why, .fault = fault };

	vars_names_broke_off(v);
	v->answered = 0;
	v->fresh = true;
	pk_timer_set(v->list_timer, pk_tries_elsewhere(&v->tries));
	vars_fail(v, NULL, &answer);
}

static void on_list(void *arg, const struct pk_http_reply *reply)
{
	struct vars_store *v = arg;
	uint64_t restored;
	char why[sizeof(v->error.text) + sizeof(v->error.fix) + 8];

	v->list = NULL;
	if (v->result < 0 && *v->error.fix) {
		snprintf(why, sizeof(why), "%s; fix: %s", v->error.text, v->error.fix);
		failed(v, PK_FAULT_ANSWER, why);
	} else if (v->result < 0 ||
		   (reply->status == 200 && pk_vars_reader_end(v->reader, &v->error) < 0)) {
		snprintf(why, sizeof(why), "%.200s" PK_SERVICE_OTHER, v->error.text);
		failed(v, PK_FAULT_ANSWER, why);
	} else if (pk_service_failed(reply, false, why, sizeof(why))) {
		if (reply->status == 403)
			snprintf(why + strlen(why), sizeof(why) - strlen(why),
				 "; fix: give picketd's token the rights that examples/acl lists");
		failed(v, pk_http_fault(reply), why);
	} else if (!reply->index) {
		failed(v, PK_FAULT_ANSWER, PK_SERVICE_NO_INDEX);
	} else {
		pk_tries_good(&v->tries);
		restored = v->restored;
		vars_names_end(v, reply->index, pk_loop_now(v->loop));
		if (v->restored != restored)
			vars_nodes_fresh(v);
		v->answered = v->number;
		pk_timer_set(v->list_timer,
			     v->fresh ? 0 : pk_pace_ms(&v->pace, pk_loop_now(v->loop)));
		vars_serve_soon(v);
	}
}

static void ask_list(void *arg)
{
	struct vars_store *v = arg;
	struct pk_service_call call = { .cap = BODY_MAX,
					.sink = on_bytes,
					.turn = v->tries.turn,
					.timeout_ms = VARS_TIMEOUT_MS };
	struct pk_err err = { 0 };
	own_str path = { 0 };

	if (v->list)
		return;
	v->waits = v->answered && !v->fresh;
	v->fresh = false;
	v->result = 0;
	v->error = (struct pk_err){ 0 };
	vars_names_begin(v);
	v->number++;
	pk_vars_reader_free(v->reader);
	v->reader = pk_vars_reader_new(vars_name, v);
	pk_str_add(&path, "/v1/vars?namespace=*&prefix=");
	pk_vars_path(v->store.prefix, &path, NULL);
	if (v->waits) {
		pk_str_addf(&path, "&index=%lu&wait=%ds", v->index, WAIT_S);
		call.timeout_ms += WAIT_S * 1000 * 17 / 16;
	}
	call.path = path.text;
	v->list = vars_start(v, &call, on_list, v, &err);
	if (!v->list)
		failed(v, PK_FAULT_UNASKED, err.text);
}

void vars_list_fresh(struct vars_store *v)
{
	v->fresh = true;
	if (v->list && !v->waits)
		return;
	pk_http_cancel(PK_MOVE(v->list, NULL));
	for (struct var *var = v->vars; var; var = var->hh.next)
		var->seen = false;
	pk_timer_hurry(v->list_timer, 0);
}

void vars_list_begin(struct vars_store *v)
{
	v->list_timer = pk_timer_new(v->loop, ask_list, v);
	v->fresh = true;
	pk_timer_set(v->list_timer, 0);
}

void vars_list_end(struct vars_store *v)
{
	pk_http_cancel(v->list);
	pk_timer_free(v->list_timer);
	pk_vars_reader_free(v->reader);
	vars_names_free(v);
}
