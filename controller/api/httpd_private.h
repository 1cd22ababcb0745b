/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by httpd.c, which listens, and httpd_exchange.c, which has requests and their answers. */
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "httpd.h"

struct pk_clients;

struct pk_exchange {
	struct pk_clients *clients; /* the listener's connections */
	struct evhttp_request *req;
	struct evkeyvalq query;
	char *path;
	bool admin, streams;
	pk_loop_fn *on_close;
	void *on_close_arg;
};

/* Makes the exchange of a request that has come; it ends with its answer, or with the peer. */
struct pk_exchange *httpd_exchange_new(struct evhttp_request *req, struct pk_clients *clients);
int httpd_exchange_fd(const struct pk_exchange *x);
