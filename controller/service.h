/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* A request to Nomad or Consul: address, token and CA of the configuration, the path given. */
#include "conf.h"
#include "http.h"
#include "str.h"

/*
 * The token file is read anew for each request, so a rotated token counts at once. header is
 * "X-Nomad-Token" or "X-Consul-Token". NULL: it can't be started; why says (PK_ADDR_TEXT or more).
 */
struct pk_service_call {
	const struct pk_config_service *service;
	const char *header;
	const char *path; /* "/v1/…", encoded */
	unsigned int timeout_ms;
	size_t cap;
};
struct pk_http_call *pk_service_start(struct pk_http *http, const struct pk_service_call *call,
				      pk_http_fn *fn, void *arg, struct pk_err *err);
/* Why an answer is no good: "status 403: Permission denied", "status 0: …"; false where it is (200,
 * or allow404). */
bool pk_service_failed(const struct pk_http_reply *reply, bool allow404, char *why, size_t room);
/*
 * Milliseconds until a blocking query is asked again: hardly any, but for an answer that came at
 * once and says nothing new. asked: its index; took_ms: how long it blocked.
 */
unsigned int pk_service_pause(uint64_t asked, uint64_t answered, uint64_t took_ms);
