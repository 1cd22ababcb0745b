/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The overlay's device: a VXLAN device of Picket's own, whose tunnels the guard sets packet by
 * packet, and pk_from_fabric at its ingress. In the node's network namespace.
 */
#include "bpfobj.h"
#include "nl.h"
#include "settings.h"

#define PK_VXLAN_DEVICE "picket-vxlan"

struct pk_vxlan_want {
	uint16_t port;
	uint32_t mtu;
};

/* Finds the device. -ENODEV: there is none. -EEXIST: a device of that name isn't Picket's. */
int pk_vxlan_find(struct pk_nl *nl, struct pk_nl_link *link, struct pk_err *err);
/*
 * Makes the device, or mends the one that is there, and attaches its program before it is up. Sets
 * *ifindex.
 */
int pk_vxlan_keep(const struct pk_bpf *bpf, struct pk_nl *nl, const struct pk_vxlan_want *want,
		  uint32_t *ifindex, struct pk_err *err);
/*
 * Returns 1 where the device is as pk_vxlan_keep leaves it, 0 where it isn't; -errno: nobody can
 * tell now.
 */
int pk_vxlan_stands(const struct pk_bpf *bpf, struct pk_nl *nl, const struct pk_vxlan_want *want,
		    uint32_t ifindex);
/*
 * Puts the overlay's port into node, which closes it to endpoints. This is done before the first
 * endpoint opens, and needs no device. picketd writes the other members of node->overlay.
 */
void pk_vxlan_close(struct pk_node *node, const struct pk_vxlan *vxlan);
/* Deletes the device, where there is one of ours. */
int pk_vxlan_delete(struct pk_nl *nl, struct pk_err *err);
