/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Hands a host tap over to a VMM: the descriptors of its queues, on a socket that everyone may
 * connect to. The kernel says who is at the socket's other end. It must be root, or the owner or
 * group that the endpoint's conflist names; these must ask from that endpoint's network namespace.
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

/* Returns NULL where it can't listen there. */
struct pk_handover *pk_handover_new(const struct pk_handover_args *args, struct pk_err *err);
void pk_handover_free(struct pk_handover *handover);
