/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Asks Nomad or Consul now and then whether its servers have a leader, and each of its addresses
 * whether it answers at all. A blocking query notices neither that the leader is gone nor that its
 * server is: it ends with its own wait, a minute later. An address that leaves two questions in a
 * row unanswered is given up: what waits there fails, and is asked elsewhere.
 */
#include "conf.h"
#include "http.h"
#include "loop.h"

struct pk_leader;

struct pk_leader_args {
	struct pk_loop *loop;
	struct pk_http *http;
	const struct pk_service *service; /* outlives it */
	const char *header;		  /* header of the token, as in struct pk_service_call */
	pk_loop_fn
		*told; /* called at each answer that says that there is none, and once there is */
	void *arg;
};

struct pk_leader *pk_leader_new(const struct pk_leader_args *args);
void pk_leader_free(struct pk_leader *leader);
/* Returns a text on why there is no leader; NULL: there is one, as far as is known. */
const char *pk_leader_why(const struct pk_leader *leader);
/* Returns whether an answer of /v1/status/leader says that there is none. */
bool pk_leader_is_lost(const struct pk_http_reply *reply);
