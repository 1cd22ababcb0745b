/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A VMM's tap, in the netns of the caller: one that the VMM opens by name there, or one of the
 * node's own netns whose queues are opened for it and handed over.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"
#include "nl.h"

struct pk_tap {
	const char *name;
	uint32_t ifindex;   /* chosen; 0 = the kernel's choice */
	uid_t owner;	    /* (uid_t)-1 = not named; one of the two must be */
	gid_t group;	    /* (gid_t)-1 = not named */
	uint32_t queues;    /* above 1: multi-queue, which every opener must then ask for */
	uint32_t mtu;	    /* 0 = as it is made */
	const uint8_t *mac; /* of the device itself; NULL = the kernel's choice */
};

/* Returns the frames that each queue may hold: all of them together PK_TAP_FRAMES. */
uint32_t pk_tap_frames(uint32_t queues);

/*
 * Makes it: persistent, IFF_NO_PI | IFF_VNET_HDR, owned. -EBUSY: the ifindex or the name is taken.
 * *fd is a queue of it that is still open (for pk_selftest_tap); closing it leaves the
 * tap. Nothing is left of it on failure.
 */
int pk_tap_create(const struct pk_tap *tap, int *fd, struct pk_err *err);
/*
 * Opens all queues of a tap that is there and has none attached: tap->queues descriptors in fd, as
 * a VMM wants them (IFF_NO_PI | IFF_VNET_HDR, not blocking). What its last user set on it is
 * undone. -EBUSY: it has a user; -ENODEV: there is no tap of that name and ifindex.
 */
int pk_tap_attach(struct pk_nl *nl, const struct pk_tap *tap, int *fd, struct pk_err *err);
/*
 * Returns 0 for a tap of that name with this ifindex, owner, group, queue mode and queue length,
 * and no more queues attached than it may have; else -ENODEV, or -EINVAL with the difference. It
 * goes by pk_nl_delete. nl is of the netns that the tap is in.
 */
int pk_tap_check(struct pk_nl *nl, const struct pk_tap *tap, struct pk_err *err);
