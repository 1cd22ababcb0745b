/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps this node's end of the overlay ("fabric": "vxlan"): the device, and node.overlay, by which
 * the guard sends and judges. Its address is the first uplink's of the underlay's family, its MTU
 * what that uplink's leaves. Netlink tells of links and addresses.
 */
#include "conf.h"
#include "err.h"
#include "loop.h"
#include "sync.h"

struct pk_overlay_keeper;

struct pk_overlay_args {
	struct pk_loop *loop;
	const struct pk_config *config; /* outlives it */
	struct pk_sync *sync;
	pk_loop_fn *changed; /* there is another device, or none any more */
	void *arg;
};

struct pk_overlay_keeper *pk_overlay_new(const struct pk_overlay_args *args);
/* Says that the uplinks, or the tables, may be others. */
void pk_overlay_soon(struct pk_overlay_keeper *o);
void pk_overlay_free(struct pk_overlay_keeper *o); /* ends it; the device stays */
/* Deletes the device: this node is in no overlay. The tables say so by the settings. */
void pk_overlay_withdraw(void);
/* Returns the device; 0: there is none now. */
uint32_t pk_overlay_ifindex(const struct pk_overlay_keeper *o);
bool pk_overlay_is6(const struct pk_overlay_keeper *o);
const struct pk_err *
pk_overlay_error(const struct pk_overlay_keeper *o); /* the last pass' error; "" */
