/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps this node's end of the overlay ("fabric": "vxlan"): the VXLAN device, and node.overlay in
 * the tables, by which the guard sends and judges. The end's address is the first uplink's of the
 * underlay's family; the device's MTU is that uplink's less the outer headers. Link and address
 * changes come by netlink.
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
	pk_loop_fn *changed; /* the device is another one, or gone */
	void *arg;
};

struct pk_overlay_keeper *pk_overlay_new(const struct pk_overlay_args *args);
/* Says that the uplinks, or the tables, may have changed. */
void pk_overlay_soon(struct pk_overlay_keeper *o);
void pk_overlay_free(struct pk_overlay_keeper *o); /* ends it; the device stays */
/* Deletes the device: this node is in no overlay. The tables are changed by the settings. */
void pk_overlay_withdraw(void);
/* Returns the device's index; 0: there is none now. */
uint32_t pk_overlay_ifindex(const struct pk_overlay_keeper *o);
bool pk_overlay_is6(const struct pk_overlay_keeper *o);
const struct pk_err *
pk_overlay_error(const struct pk_overlay_keeper *o); /* the last pass' error; "" */
