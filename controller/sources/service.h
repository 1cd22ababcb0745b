/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A request to Nomad or Consul: address, token and certificates come from the configuration, the
 * path is given.
 */
#include "conf.h"
#include "http.h"
#include "service_call.h"

/*
 * Several addresses are one service's: each failure leads to the next address. The token file is
 * read anew for each request, so a rotated token counts at once. header is "X-Nomad-Token" or
 * "X-Consul-Token". Returns NULL where it can't be started; why (PK_ADDR_TEXT or more) then says
 * the reason.
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
 * How often a source may be asked: at once after a quiet time, also for the next changes, then once
 * a second for as long as changes come. This also bounds a server whose index never stands still,
 * or that does not block as it should.
 */
struct pk_pace {
	uint64_t full_ms; /* when the allowance is whole again */
};
/* Takes the answer into account; returns the milliseconds until the next question. */
unsigned int pk_pace_ms(struct pk_pace *pace, uint64_t now_ms);
/*
 * What is known of the answers to one question that any server may give. A failure clears the index
 * alone: another server may answer next, and one that lags is known by what was seen.
 */
struct pk_history {
	uint64_t index; /* to ask behind; 0: the next question doesn't wait */
	uint64_t seen;	/* of the last answer that was taken */
	bool sure;	/* the next question is for the leader, whose answer counts */
};
/*
 * Returns whether the answer is taken. It isn't where it is older than the one before: by a server
 * that lags, or of another history. The leader is to say which.
 */
bool pk_history_takes(struct pk_history *h, uint64_t index);
/* Adds the next question's query to its path: whose answer counts, and behind what it waits. */
void pk_history_query(const struct pk_history *h, unsigned int wait_s, struct pk_str *path);
