/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sends a request to Nomad or Consul: address, token and certificates come from the configuration.
 */
#include "conf.h"
#include "http.h"
#include "service_call.h"

/*
 * Several addresses are one service: a failure leads to the next. The token file is read for each
 * request, so a rotated token counts at once. header is "X-Nomad-Token" or "X-Consul-Token".
 * Returns NULL where the request can't be started; why (room for PK_ADDR_TEXT or more) says the
 * reason.
 */
struct pk_service_call {
	const struct pk_service *service;
	const char *header;
	const char *path;  /* "/v1/…", encoded */
	unsigned int turn; /* an asker's count of failed answers, which chooses the address */
	unsigned int timeout_ms;
	size_t cap;
	pk_http_sink_fn *sink; /* or NULL */
	const char *method;    /* NULL: GET */
	const char *body;      /* or NULL */
};
struct pk_http_call *pk_service_start(struct pk_http *http, const struct pk_service_call *call,
				      pk_http_fn *fn, void *arg, struct pk_err *err);
/*
 * Paces a source's questions: after a quiet time the next few follow at once, then one a second
 * while changes come. So a server whose index never stands still, or that doesn't block as it
 * should, does no harm.
 */
struct pk_pace {
	uint64_t full_ms; /* when the allowance is whole again */
};
/* Counts an answer; returns the milliseconds until the next question. */
unsigned int pk_pace_ms(struct pk_pace *pace, uint64_t now_ms);
/*
 * Remembers the answers to one question that any server may give. A failure clears the index alone:
 * the next answer may be another server's, and one that lags shows by what was seen.
 */
struct pk_history {
	uint64_t index; /* the next question waits for a change past it; 0: it doesn't wait */
	uint64_t seen;	/* index of the last answer that was taken */
	bool sure;	/* the next question is for the leader, whose answer counts */
};
/*
 * Returns whether the answer is taken. It isn't where it is older than the last one, because its
 * server lags or the store was restored: the leader is asked which.
 */
bool pk_history_takes(struct pk_history *h, uint64_t index);
/*
 * Adds the query to the next question's path: whether the leader is asked, and past which index it
 * waits.
 */
void pk_history_query(const struct pk_history *h, unsigned int wait_s, struct pk_str *path);
