/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Client of picketd's unix socket: one HTTP/1.1 request a connection. No curl. */
#include <stddef.h>
#include <stdint.h>

#include "err.h"

struct pk_ctl_request {
	const char *socket;   /* path of the socket */
	const char *method;   /* "GET", "POST" */
	const char *path;     /* with query, already encoded */
	const char *body;     /* JSON, NULL = none */
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0 = none */
	size_t cap;	      /* bytes of the answer's body at most; 0 = 64 MiB */
	/*
	 * The function, if there is one, gets a 200's body line by line (NUL-terminated, no
	 * newline), and the body is not kept; a line longer than cap ends it (-EFBIG). Non-zero
	 * ends the request and is returned.
	 */
	int (*line)(void *arg, char *line, size_t len);
	void *arg;
};

struct pk_ctl_answer {
	int status;
	char *body; /* NUL-terminated, owned; "" where there is none */
	size_t len;
};

/*
 * Asks. Returns 0 for any whole HTTP answer, whatever its status. -ENOENT, -ECONNREFUSED: nobody
 * listens; -ETIMEDOUT: the deadline; -EPROTO: not HTTP, or cut short. *answer is valid
 * (pk_ctl_answer_done) on success.
 */
int pk_ctl(const struct pk_ctl_request *request, struct pk_ctl_answer *answer, struct pk_err *err);
void pk_ctl_answer_done(struct pk_ctl_answer *answer);
/*
 * Asks, too, and makes an error of a status other than 200, with the answer's own "error" and
 * "fix"; 404 is -ENODATA: somebody listens.
 */
int pk_ctl_ok(const struct pk_ctl_request *request, struct pk_ctl_answer *answer,
	      struct pk_err *err);
/* Appends text percent-encoded for a path or query value. room counts the NUL; -ENAMETOOLONG. */
int pk_ctl_encode(char *to, size_t room, const char *text);
