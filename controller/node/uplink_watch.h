/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps node.uplink and pk_from_uplink in step with the uplinks: netlink tells of links, addresses,
 * routes, rules and filters.
 */
#include "conf.h"
#include "loop.h"
#include "sync.h"
#include "uplink.h"

struct nlmsghdr;
struct pk_uplink_watch;

struct pk_uplink_watch_args {
	struct pk_loop *loop;
	const struct pk_config *config; /* its contents may change */
	struct pk_sync *sync;
	pk_loop_fn *changed; /* called when node.uplink changed; NULL: nobody asks */
	void *arg;
};

struct pk_uplink_watch *pk_uplink_watch_new(const struct pk_uplink_watch_args *args);
void pk_uplink_watch_free(struct pk_uplink_watch *watch);
/* Says that the configuration or the tables changed. */
void pk_uplink_watch_soon(struct pk_uplink_watch *watch);
/* Returns what is wrong now, each with its fix; NULL after the last one. */
const struct pk_err *pk_uplink_watch_error(const struct pk_uplink_watch *watch, size_t i);

/* Opens a socket that hears all that may change what an uplink is. */
int pk_uplink_watch_listen(struct pk_err *err);
/*
 * Returns whether this message may change an uplink. Most of a busy node's messages don't, those of
 * an endpoint's whole life among them.
 */
bool pk_uplink_watch_concerns(const struct pk_uplinks *now, const struct pk_uplink_names *names,
			      const struct nlmsghdr *message);
