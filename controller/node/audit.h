/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Looks at what is really attached to the endpoints' host ends, and set on them. A program before
 * the guard hides it, and a setting that somebody reset cuts the endpoint off. It also finds a VMM
 * that attached more queues than its tap may have, and gets nothing (bpf/lib/tap.h), and a netns
 * that was made anew or lost its name. Every endpoint is looked at each minute, in turns, and one
 * at once where the kernel tells of a change.
 */
#include "loop.h"
#include "model.h"
#include "sync.h"

struct pk_audit;

struct pk_audit_stats {
	unsigned int bad; /* endpoints closed because their guard isn't first */
	uint64_t repaired;
	char error[256];	/* why one of those isn't; "" */
	unsigned int taps_over; /* taps with more queues attached than they may have */
	char tap_error[256];	/* about the first of those; "" */
	/* The number of endpoints whose netns has lost its path, or was replaced there. */
	unsigned int netns_lost;
	char netns_error[320]; /* about the first of those; "" */
};

struct pk_audit *pk_audit_new(struct pk_loop *loop, struct pk_model *model, struct pk_sync *sync);
void pk_audit_free(struct pk_audit *audit);
/* Looks at every endpoint, beginning now. */
void pk_audit_all(struct pk_audit *audit);
/* Looks at the endpoint of that host device, if it is an endpoint's. */
void pk_audit_device(struct pk_audit *audit, uint32_t ifindex);
const struct pk_audit_stats *pk_audit_stats(const struct pk_audit *audit);
