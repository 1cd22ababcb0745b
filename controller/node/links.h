/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Hears what the kernel tells of this node's devices (rtnetlink): one that goes, a filter or an XDP
 * program at one, a setting of its IP stack. Messages of one moment are told together, a moment
 * later: an ADD alone is a dozen messages.
 */
#include <stdint.h>

#include "loop.h"

struct pk_links;

struct pk_links_args {
	struct pk_loop *loop;
	void (*gone)(void *arg, uint32_t slot); /* the device pk<slot>; 0: perhaps any */
	/* Something that is attached to a device or set on it changed; 0: perhaps any device's. */
	void (*changed)(void *arg, uint32_t ifindex);
	void *arg;
};

struct pk_links *pk_links_new(const struct pk_links_args *args);
void pk_links_free(struct pk_links *links);
