/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Has Consul say, and asks Nomad every 15 s, whether picketd's token isn't known any more. A
 * blocking query that was begun with it waits on, and says so a minute later.
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
	pk_loop_fn *told; /* called at each answer that refuses it, and once one takes it again */
	void *arg;
};

/* Returns NULL where the service is asked without a token. */
struct pk_token_watch *pk_token_watch_new(const struct pk_token_watch_args *args);
void pk_token_watch_free(struct pk_token_watch *watch);
/* Returns why the token is no good, as a source says it; NULL: it is, as far as is known. */
const char *pk_token_watch_why(const struct pk_token_watch *watch);
