/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is really attached to the endpoints' host ends, and set on them: whoever stands before the
 * guard hides it, and a setting that somebody reset cuts the endpoint off. A VMM that attached more
 * queues than its tap may have gets nothing (bpf/lib/tap.h), and it is said; so is a netns that is
 * another one by now, or lost its name. All each minute, in turns; one at once where the kernel
 * told of a change.
 */
#include "loop.h"
#include "model.h"
#include "sync.h"

struct pk_audit;

struct pk_audit_stats {
	unsigned int bad; /* endpoints closed because their guard can't be first */
	uint64_t repaired;
	char error[256];	/* why one can't be; "" */
	unsigned int taps_over; /* with more queues attached than they may have */
	char tap_error[256];	/* of the first of them; "" */
	unsigned int
		netns_lost;    /* whose netns is another one than its path's now: closed; or none */
	char netns_error[320]; /* of the first of them; "" */
};

struct pk_audit *pk_audit_new(struct pk_loop *loop, struct pk_model *model, struct pk_sync *sync);
void pk_audit_free(struct pk_audit *audit);
/* Every endpoint, beginning now. */
void pk_audit_all(struct pk_audit *audit);
/* The endpoint of that host device, if it is one's. */
void pk_audit_device(struct pk_audit *audit, uint32_t ifindex);
const struct pk_audit_stats *pk_audit_stats(const struct pk_audit *audit);
