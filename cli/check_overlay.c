/* SPDX-License-Identifier: Apache-2.0 */
/* Checks the overlay between nodes: its device, and whether endpoints' packets fit through it. */
#include <errno.h>
#include <string.h>

#include "bpfobj.h"
#include "check.h"
#include "own.h"
#include "settings.h"
#include "vxlan.h"

static void check_device(struct check *c, struct pk_nl *nl, const struct pk_vxlan *v)
{
	struct pk_nl_link link;
	struct pk_err err = { 0 };
	int r = pk_vxlan_find(nl, &link, &err);

	if (r == -EEXIST) {
		check_line(c, CHECK_FAIL, "overlay", err.fix, "%s", err.text);
	} else if (r < 0) {
		check_line(c, CHECK_WARN, "overlay",
			   "start picketd: it makes the device; picket status says what it lacks",
			   "%s is missing: no endpoint of another node is reached",
			   PK_VXLAN_DEVICE);
	} else {
		check_line(c, link.up ? CHECK_OK : CHECK_WARN, "overlay",
			   "start picketd: it sets the device up",
			   "%s: UDP port %u over %s, identifier %u, MTU %u%s", link.name,
			   link.vxlan.port, pk_vxlan_is6(v) ? "IPv6" : "IPv4", v->vni, link.mtu,
			   link.up ? "" : ", down");
	}
}

/*
 * Compares MTUs: a guest that is told a larger one learns of the smaller by an error for each
 * destination.
 */
static void check_mtu(struct check *c, struct pk_nl *nl, const struct pk_vxlan *v)
{
	struct pk_nl_link link;

	if (pk_vxlan_find(nl, &link, NULL) < 0)
		return;
	for (size_t i = 0; i < c->n_networks; i++) {
		const struct check_network *n = &c->networks[i];

		if (n->taken && n->conf.mtu > link.mtu)
			check_line(c, CHECK_WARN, "overlay",
				   "leave \"mtu\" out: it is then the uplink's less what the "
				   "overlay takes",
				   "%s: \"mtu\": %u, and the overlay leaves %u (the uplink's less "
				   "%u)",
				   n->path, n->conf.mtu, link.mtu, pk_vxlan_overhead(v));
	}
}

void check_overlay(struct check *c)
{
	const struct pk_vxlan *v = &c->settings.vxlan;
	struct pk_err err = { 0 };
	own_nl *nl = NULL;

	if (!v->on)
		return;
	if (pk_nl_open(&nl, &err) < 0) {
		check_line(c, CHECK_WARN, "overlay", "run picket check as root", "%s", err.text);
		return;
	}
	check_device(c, nl, v);
	check_mtu(c, nl, v);
}
