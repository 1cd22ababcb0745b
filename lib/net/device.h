/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The host end of an endpoint, named pk<slot>: one end of its veth pair, or a host tap. It is
 * proven before it is touched, since a device of that name may be somebody else's, or another
 * endpoint's that got the slot after a reboot.
 */
#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "nl.h"

#define PK_HOST_NAME_ROOM 16

struct pk_host_end {
	uint32_t slot;
	uint32_t ifindex; /* as the tables or the record say; 0 = not known */
	uint32_t peer;	  /* ifindex of eth0 in its netns; 0 = not known */
};

/* "pk<slot>" */
void pk_host_name(uint32_t slot, char name[PK_HOST_NAME_ROOM]);
/* Returns the slot of a host end's name, 0 for any other name. */
uint32_t pk_host_slot(const char *name);
/*
 * Returns whether the host end is a tap. It stays when its endpoint's netns goes, so whoever ends
 * the endpoint deletes it.
 */
bool pk_host_end_is_tap(const struct pk_nl_link *link);
/*
 * Finds the ifindex of the device that has the name of each slot's host end: at[slot] for slots up
 * to capacity, 0 where there is none. The name is no proof that the device is ours. A listing of
 * all links would be slower, since it makes the kernel compare each one's other namespace with all
 * others.
 */
int pk_host_ends_read(uint32_t capacity, uint32_t *at, struct pk_err *err);
/*
 * Lists the devices that are no host ends, asking for each by its name, since a listing of all
 * links is slow. The caller frees *out.
 */
int pk_other_links(struct pk_nl *nl, struct pk_nl_link **out, size_t *n, struct pk_err *err);
/* Returns whether a device is proven to be that end. */
bool pk_host_end_is(const struct pk_nl_link *link, const struct pk_host_end *want);
/*
 * Finds the host end and proves it: 0, or -ENODEV where nothing has its name or somebody else's
 * device has it, or another -errno.
 */
int pk_host_end_find(struct pk_nl *nl, const struct pk_host_end *want, struct pk_nl_link *link,
		     struct pk_err *err);
/* Deletes the host end if it is there and proven; success where it is gone. */
int pk_host_end_delete(struct pk_nl *nl, const struct pk_host_end *want, struct pk_err *err);
