/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Hands a host tap over to a VMM: the descriptors of its queues, on a socket that everyone may
 * connect to. Who asks is what the kernel says of the socket's other end: root, or the owner and
 * group that the endpoint's conflist names, and then out of that endpoint's network namespace alone.
 */
#include "err.h"
#include "loop.h"
#include "model.h"
#include "sync.h"

struct pk_handover;

struct pk_handover_args {
	struct pk_loop *loop;
	const char *path; /* of the socket; the caller's */
	const struct pk_model *model;
	struct pk_sync *sync;
};

/* NULL: it can't listen there. */
struct pk_handover *pk_handover_new(const struct pk_handover_args *args, struct pk_err *err);
void pk_handover_free(struct pk_handover *handover);
