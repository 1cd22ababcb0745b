/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A request to Nomad or Consul: address, token and certificates of the configuration, the path given. */
#include "conf.h"
#include "http.h"
#include "str.h"

/*
 * Several addresses are one service's: the next failure leads to the next of them. The token file is read anew for each request, so a rotated token counts at once. header is
 * "X-Nomad-Token" or "X-Consul-Token". NULL: it can't be started; why says (PK_ADDR_TEXT or more).
 */
struct pk_service_call {
	const struct pk_config_service *service;
	const char *header;
	const char *path; /* "/v1/…", encoded */
	unsigned int
		turn; /* counts an asker's answers that failed: the addresses have turns by it */
	unsigned int timeout_ms;
	size_t cap;
	pk_http_sink_fn *sink; /* or NULL */
	const char *method;    /* NULL: GET */
	const char *body;      /* or NULL */
};
struct pk_http_call *pk_service_start(struct pk_http *http, const struct pk_service_call *call,
				      pk_http_fn *fn, void *arg, struct pk_err *err);
/* Why an answer is no good: "status 403: Permission denied", "status 0: …"; false where it is (200,
 * or allow404). */
bool pk_service_failed(const struct pk_http_reply *reply, bool allow404, char *why, size_t room);

/*
 * How often a source may be asked: at once after a quiet time, also for the changes that come next,
 * then once a second for as long as they come. A server whose index never stands still, or that
 * does not block as it should, is bounded by it like any other.
 */
struct pk_pace {
	uint64_t full_ms; /* when the allowance is whole again */
};
/* An answer is there: milliseconds until the next question. */
unsigned int pk_pace_ms(struct pk_pace *pace, uint64_t now_ms);
