/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reads HTTP/1.1 answers from a stream. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctl.h"

struct pk_ctl_stream {
	int fd; /* non-blocking; the caller's */
	uint64_t deadline_ns;
	char buf[16384];
	size_t at, len; /* what is read and not yet taken */
	bool chunked, has_length;
	uint64_t length;
};

int pk_ctl_wait(const struct pk_ctl_stream *s, short events, struct pk_err *err);
int pk_ctl_read_head(struct pk_ctl_stream *s, int *status, struct pk_err *err);
int pk_ctl_read_body(struct pk_ctl_stream *s, const struct pk_ctl_request *q,
		     struct pk_ctl_answer *answer, size_t cap, struct pk_err *err);
