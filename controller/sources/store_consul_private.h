/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Shared by store_consul.c, which asks and writes the KV, and store_consul_session.c, which holds
 * the session that a node's keys are written under.
 */
#include "json_stream.h"
#include "service.h"
#include "store_consul.h"

struct pk_store_call {
	struct pk_http_call *call;
	struct pk_kv_reader *reader; /* of keys with values; NULL */
	struct pk_err error;	     /* of the reader */
	int result;
	char *prefix;		 /* of names; NULL */
	struct pk_stream *names; /* that are read; NULL */
	struct pk_kvs listed;
	struct pk_store *store; /* of a renewal, as what follows */
	char *session;
	unsigned int turn;
	pk_store_fn *fn;
	void *arg;
};

struct pk_store_call *consul_call_new(pk_store_fn *fn, void *arg);
/* Starts the request of a call. It returns false where it can't be started, and err says why. */
bool consul_begin(const struct pk_store *store, struct pk_store_call *c,
		  struct pk_service_call *call, pk_http_fn *on_reply, struct pk_err *err);
/* Does the same, and returns the call, or frees it and returns NULL. */
struct pk_store_call *consul_start(struct pk_store *store, struct pk_store_call *c,
				   struct pk_service_call *call, pk_http_fn *on_reply,
				   struct pk_err *err);
/* Fills in what every answer has. Returns false where the answer is no good. */
bool consul_is_good(const struct pk_http_reply *reply, bool allow404, char *why, size_t room,
		    struct pk_store_answer *answer);
/* Hands the answer over and frees the call. */
void consul_finish(struct pk_store_call *c, const struct pk_store_answer *answer);

/* Asks for a session where holder is empty, and renews it where it isn't. */
struct pk_store_call *consul_hold(struct pk_store *store, const char *holder, const char *node,
				  unsigned int turn, pk_store_fn *fn, void *arg,
				  struct pk_err *err);
