/* SPDX-License-Identifier: Apache-2.0 */
#include "vxlan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "own.h"
#include "picket/limits.h"
#include "stack.h"
#include "uplink.h"

static const uint8_t overlay_mac[6] = PK_OVERLAY_MAC;

static bool is_ours(const struct pk_nl_link *link)
{
	return strcmp(link->kind, "vxlan") == 0 && link->vxlan.external &&
	       memcmp(link->mac, overlay_mac, sizeof(overlay_mac)) == 0;
}

int pk_vxlan_find(struct pk_nl *nl, struct pk_nl_link *link, struct pk_err *err)
{
	int r = pk_nl_link(nl, 0, PK_VXLAN_DEVICE, link, NULL);

	if (r < 0)
		return r == -ENODEV ? r : pk_fail(err, -r, "ask for " PK_VXLAN_DEVICE);
	if (is_ours(link))
		return 0;
	r = pk_fail(err, 0, "a device named " PK_VXLAN_DEVICE " (kind \"%s\") is not Picket's",
		    link->kind);
	pk_fix(err, r, "rename it, or delete it if nobody needs it: ip link del " PK_VXLAN_DEVICE);
	return -EEXIST;
}

static int fail_make(int r, const struct pk_vxlan_want *want, struct pk_err *err)
{
	struct pk_err why = err ? *err : (struct pk_err){ 0 };

	if (!err)
		return r;
	*err = (struct pk_err){ 0 };
	pk_fail(err, 0, "the overlay has no device: %.300s", why.text);
	if (r == -EEXIST || r == -EADDRINUSE)
		return pk_fix(err, r,
			      "UDP port %u is another VXLAN device's or socket's: `ip -d link show "
			      "type vxlan`; or say another \"port\" in \"vxlan\", the "
			      "same on every node",
			      want->port);
	return pk_fix(err, r, "see that the kernel has VXLAN: modprobe vxlan");
}

static int make(struct pk_nl *nl, const struct pk_vxlan_want *want, struct pk_nl_link *link,
		struct pk_err *err)
{
	struct pk_nl_vxlan vxlan = { .name = PK_VXLAN_DEVICE,
				     .mtu = want->mtu,
				     .port = want->port };
	int r;

	memcpy(vxlan.mac, overlay_mac, sizeof(vxlan.mac));
	pk_nl_vxlan(nl, &vxlan);
	r = pk_nl_send(nl, err);
	return r < 0 ? fail_make(r, want, err) : pk_vxlan_find(nl, link, err);
}

/* Makes it, in place of one whose port, which can't be changed, is another. */
static int find_or_make(struct pk_nl *nl, const struct pk_vxlan_want *want, struct pk_nl_link *link,
			struct pk_err *err)
{
	int r = pk_vxlan_find(nl, link, err);

	if (r == 0 && link->vxlan.port == want->port)
		return 0;
	if (r == 0) {
		pk_nl_delete(nl, link->ifindex);
		r = pk_nl_send(nl, err);
	}
	return r < 0 && r != -ENODEV ? r : make(nl, want, link, err);
}

static int bring_up(struct pk_nl *nl, const struct pk_nl_link *link,
		    const struct pk_vxlan_want *want, struct pk_err *err)
{
	int r = 0;

	if (link->mtu != want->mtu)
		pk_nl_mtu(nl, link->ifindex, want->mtu);
	if (link->mtu != want->mtu)
		r = pk_nl_send(nl, err);
	if (r < 0 || link->up)
		return r;
	pk_nl_up(nl, link->ifindex);
	r = pk_nl_send(nl, err);
	return r < 0 ? fail_make(r, want, err) : 0;
}

int pk_vxlan_keep(const struct pk_bpf *bpf, struct pk_nl *nl, const struct pk_vxlan_want *want,
		  uint32_t *ifindex, struct pk_err *err)
{
	struct pk_nl_link link;
	int r = find_or_make(nl, want, &link, err);

	*ifindex = 0;
	if (r == 0 && (!link.up || pk_stack_wrong(&link)))
		r = pk_stack_mend(nl, &link, err);
	if (r == 0)
		r = pk_uplink_attach(bpf, nl, link.ifindex, PK_PROG_FROM_FABRIC, err);
	if (r == 0)
		r = bring_up(nl, &link, want, err);
	if (r == 0)
		*ifindex = link.ifindex;
	return r;
}

int pk_vxlan_stands(const struct pk_bpf *bpf, struct pk_nl *nl, const struct pk_vxlan_want *want,
		    uint32_t ifindex)
{
	enum pk_uplink_hook hook = PK_UPLINK_MISSING;
	struct pk_nl_link link;
	char before[64];
	int r = pk_vxlan_find(nl, &link, NULL);

	if (r == -ENODEV || r == -EEXIST)
		return 0;
	if (r < 0)
		return r;
	if (link.ifindex != ifindex || !link.up || link.vxlan.port != want->port ||
	    link.mtu != want->mtu || pk_stack_wrong(&link))
		return 0;
	r = pk_uplink_hook(bpf, nl, ifindex, PK_PROG_FROM_FABRIC, &hook, before);
	return r < 0 ? r : hook == PK_UPLINK_FIRST;
}

void pk_vxlan_close(struct pk_node *node, const struct pk_vxlan *vxlan)
{
	uint16_t port = vxlan->on ? htons((uint16_t)vxlan->port) : 0;

	if (node->overlay.port != port)
		node->overlay = (struct pk_overlay){ .vni = port ? vxlan->vni : 0, .port = port };
}

int pk_vxlan_delete(struct pk_nl *nl, struct pk_err *err)
{
	struct pk_nl_link link;

	if (pk_vxlan_find(nl, &link, NULL) < 0)
		return 0;
	pk_nl_delete(nl, link.ifindex);
	return pk_nl_send(nl, err);
}
