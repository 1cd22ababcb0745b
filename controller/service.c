/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs.h"
#include "own.h"

#define TOKEN_MAX 4096
#define PAUSE_MS  20   /* at least so long between two queries */
#define EACH_MS	  1000 /* an answer uses up so much of the allowance */
#define BURST	  3    /* answers that it holds */

/* The first word of the token file, or the environment's token; "" for none. */
static int token_of(const struct pk_config_service *s, char token[TOKEN_MAX + 1],
		    struct pk_err *err)
{
	own_mem char *text = NULL;
	size_t len;
	int r;

	token[0] = '\0';
	if (!*s->token_file) {
		strcpy(token, s->token);
		return 0;
	}
	r = pk_fs_read(s->token_file, TOKEN_MAX, &text, &len, err);
	if (r < 0)
		return pk_wrap(err, r, "token file");
	len = strcspn(text, " \t\r\n");
	memcpy(token, text, len);
	token[len] = '\0';
	explicit_bzero(text, len);
	return 0;
}

struct pk_http_call *pk_service_start(struct pk_http *http, const struct pk_service_call *call,
				      pk_http_fn *fn, void *arg, struct pk_err *err)
{
	char token[TOKEN_MAX + 1];
	own_str url = { 0 };
	struct pk_http_request request = { .token_header = call->header,
					   .token = token,
					   .ca_file = call->service->ca_file,
					   .timeout_ms = call->timeout_ms,
					   .cap = call->cap,
					   .sink = call->sink };
	struct pk_http_call *started;

	if (token_of(call->service, token, err) < 0)
		return NULL;
	pk_str_addf(&url, "%s%s", call->service->address, call->path);
	request.url = url.text;
	started = url.failed ? NULL : pk_http_start(http, &request, fn, arg);
	explicit_bzero(token, sizeof(token));
	if (!started)
		pk_fail(err, 0, "no usable address: \"%s\"", call->service->address);
	return started;
}

bool pk_service_failed(const struct pk_http_reply *reply, bool allow404, char *why, size_t room)
{
	if (reply->status == 200 || (allow404 && reply->status == 404)) {
		if (reply->known_leader != 0)
			return false;
		snprintf(why, room, "the servers have no leader");
		return true;
	}
	if (reply->error)
		snprintf(why, room, "%s", reply->error);
	else
		snprintf(why, room, "status %d: %.*s", reply->status,
			 (int)strcspn(reply->body, "\r\n"), reply->body);
	return true;
}

unsigned int pk_pace_ms(struct pk_pace *pace, uint64_t now_ms)
{
	uint64_t from = pace->full_ms > now_ms ? pace->full_ms : now_ms;

	pace->full_ms = from + EACH_MS;
	if (pace->full_ms <= now_ms + BURST * EACH_MS)
		return PAUSE_MS;
	return (unsigned int)(pace->full_ms - now_ms - BURST * EACH_MS);
}
