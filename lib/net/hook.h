/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The order of the programs at a device's hook. An XDP program runs before TCX programs, these
 * before every clsact filter. Of the filters the lowest preference runs first, and equal ones run
 * in the order of the dump. The guard must be first of all.
 */
#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "nl.h"

struct pk_hook {
	uint32_t ifindex;
	bool egress;
	bool alone;	  /* no filter of ours at the other direction: `ingress` is enough */
	bool tcx;	  /* ours is a TCX program */
	int prog;	  /* descriptor of ours */
	uint32_t id;	  /* of that program, where it is known; 0: it is asked for */
	const char *name; /* of the filter */
};

/*
 * Attaches ours as a TCX program, at the head and without a link, so that it lives as long as the
 * device. An older program of ours (old >= 0: its descriptor) is replaced in its place, atomically.
 */
int pk_hook_attach_tcx(const struct pk_hook *hook, int old, struct pk_err *err);

enum pk_hook_state {
	PK_HOOK_OURS_FIRST = 0,
	PK_HOOK_NOT_FIRST = 1, /* ours is there, another program stands before it */
	PK_HOOK_MISSING = 2,
};
struct pk_hook_seen {
	enum pk_hook_state state;
	bool xdp;		/* an XDP program stands before all of them */
	uint32_t handle;	/* of ours; clsact */
	uint32_t before_id;	/* program id of the first one before ours, 0 = no bpf program */
	char before[64];	/* and its name or kind */
	struct pk_nl_link link; /* the device, as it is; of an ingress hook */
};
int pk_hook_read(struct pk_nl *nl, const struct pk_hook *hook, struct pk_hook_seen *seen,
		 struct pk_err *err);
/*
 * Makes ours first: adds it where it is missing, and moves it to the head where another program
 * stands before it. -EPERM with PK_CODE_KERNEL: it can't be first, and the caller must close the
 * endpoint.
 */
int pk_hook_repair(struct pk_nl *nl, const struct pk_hook *hook, struct pk_err *err);
/*
 * Replaces another build's program of ours (old: its descriptor) in its place and in one step, so
 * that each packet is judged by the old one or the new one. Does what pk_hook_repair does where the
 * old one isn't there.
 */
int pk_hook_replace(struct pk_nl *nl, const struct pk_hook *hook, int old, struct pk_err *err);
