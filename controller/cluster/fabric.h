/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps routes to other nodes' blocks for as long as those are believed. In a routed fabric a route
 * leads to the node's own address, on a link of ours or behind a router; in "vxlan" to the
 * overlay's device. The routes have a protocol number and a metric of their own, and no other route
 * is touched. Their next hops are kept known as neighbours, because the guard believes what comes
 * from there by its MAC.
 */
#include "believed.h"
#include "err.h"
#include "loop.h"
#include "overlay.h"

#define PK_FABRIC_PROTOCOL 112 /* `ip route show proto 112` */
#define PK_FABRIC_METRIC   112

struct pk_fabric;

/* overlay: NULL where the network routes the blocks. */
struct pk_fabric *pk_fabric_new(struct pk_loop *loop, const struct pk_believed *believed,
				const struct pk_overlay_keeper *overlay);
void pk_fabric_free(struct pk_fabric *fabric); /* ends it; its routes stay */
/* Deletes all of those routes: this node is alone. */
void pk_fabric_withdraw(void);
/* Says that what is believed may have changed. */
void pk_fabric_soon(struct pk_fabric *fabric);
const struct pk_err *pk_fabric_error(const struct pk_fabric *fabric); /* the last pass' error; "" */
