/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Watches whether picketd's token still exists, by a query that waits at Consul, every 15 s at
 * Nomad. A blocking query that was begun with a token only notices a minute later.
 */
#include "conf.h"
#include "http.h"
#include "loop.h"

struct pk_token_watch;

struct pk_token_watch_args {
	struct pk_loop *loop;
	struct pk_http *http;
	const struct pk_service *service; /* outlives it */
	const char *header;		  /* header of the token, as in struct pk_service_call */
	/* called at each answer that refuses the token, and once it is taken again */
	pk_loop_fn *told;
	void *arg;
};

/* Returns NULL where the service is asked without a token. */
struct pk_token_watch *pk_token_watch_new(const struct pk_token_watch_args *args);
void pk_token_watch_free(struct pk_token_watch *watch);
/*
 * Returns why the token is no good, as a text for a source's state; NULL: it is good, as far as is
 * known.
 */
const char *pk_token_watch_why(const struct pk_token_watch *watch);
