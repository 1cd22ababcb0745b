/* SPDX-License-Identifier: Apache-2.0 */
#include "overlay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault.h"
#include "fs.h"
#include "log.h"
#include "nl.h"
#include "own.h"
#include "tables.h"
#include "vxlan.h"
#include "xfrm.h"

#define TOGETHER_MS 20	  /* netlink messages that come within it cause one pass */
#define RETRY_MS    1000  /* nothing is loaded yet, or something failed */
#define EACH_MS	    10000 /* until the next pass where no message comes: one may have been lost */
#define RENEW_MS    2000  /* a third of what a lease holds (PK_DIRECT_UNITS) */
/* how long a device counts as right when it can't be looked at */
#define UNSEEN_NS 60000000000ull
#define MTU_MIN	  576 /* of IPv4 (RFC 791) */

struct pk_overlay_keeper {
	struct pk_overlay_args args;
	struct pk_timer *timer, *quiet, *renewal;
	struct pk_watch *watch, *policies;
	int fd, xfrm;
	uint32_t ifindex; /* as node.overlay says */
	uint64_t seen_ns; /* when the device was last seen to be right; 0: it wasn't */
	struct pk_err error;
};

static const struct pk_vxlan *vxlan_of(const struct pk_overlay_keeper *o)
{
	return &o->args.config->settings.vxlan;
}

bool pk_overlay_is6(const struct pk_overlay_keeper *o)
{
	return pk_vxlan_is6(vxlan_of(o));
}

uint32_t pk_overlay_ifindex(const struct pk_overlay_keeper *o)
{
	return o->ifindex;
}

const struct pk_err *pk_overlay_error(const struct pk_overlay_keeper *o)
{
	return &o->error;
}

static const union pk_addr *address_of(const struct pk_uplink *uplink, bool v6)
{
	const union pk_addr *addr = v6 ? &uplink->ipv6 : &uplink->ipv4;

	return pk_addr_is_zero(addr) ? NULL : addr;
}

/* Returns the uplink whose address other nodes are told as this one's first of the family. */
static const struct pk_uplink *end_of(const struct pk_node *node, bool v6)
{
	for (int i = 0; i < PK_UPLINKS; i++)
		if (node->uplink[i].ifindex && address_of(&node->uplink[i], v6))
			return &node->uplink[i];
	return NULL;
}

static void edit_overlay(void *arg, struct pk_node *node)
{
	node->overlay = *(const struct pk_overlay *)arg;
}

static int write_overlay(struct pk_bpf *bpf, const struct pk_overlay *overlay, struct pk_err *err)
{
	if (memcmp(overlay, &bpf->node.overlay, sizeof(*overlay)) == 0)
		return 0;
	return pk_node_update(bpf, edit_overlay, (void *)overlay, pk_sync_until(), err);
}

static int fail_address(bool v6, struct pk_err *err)
{
	pk_fail(err, 0, "the overlay has no address: no uplink of this node has one of IPv%d",
		v6 ? 6 : 4);
	return pk_fix(err, -EADDRNOTAVAIL,
		      "give the uplink one, or say \"underlay\": \"%s\" in \"vxlan\", on every "
		      "node",
		      v6 ? "ipv4" : "ipv6");
}

static int fail_mtu(uint32_t mtu, uint32_t overhead, struct pk_err *err)
{
	pk_fail(err, 0, "the overlay takes %u bytes of each packet, and the uplink's MTU is %u",
		overhead, mtu);
	return pk_fix(err, -EMSGSIZE, "give the uplink an MTU of at least %u", overhead + MTU_MIN);
}

/*
 * Makes or repairs the device and writes its index into *overlay. Where that fails, a device that
 * was right at the last look keeps its index for UNSEEN_NS.
 */
static int keep_device(struct pk_overlay_keeper *o, const struct pk_bpf *bpf,
		       const struct pk_vxlan_want *want, struct pk_overlay *overlay,
		       struct pk_err *err)
{
	const uint32_t was = bpf->node.overlay.ifindex;
	own_nl *nl = NULL;
	int stands = -EAGAIN;
	int r = pk_nl_open(&nl, err);

	if (r == 0)
		r = pk_vxlan_keep(bpf, nl, want, &overlay->ifindex, err);
	if (r == 0)
		stands = 1;
	else if (nl && was)
		stands = pk_vxlan_stands(bpf, nl, want, was);
	if (stands >= 0)
		o->seen_ns = stands ? pk_now_ns() : 0;
	if (r < 0 && was && o->seen_ns && pk_now_ns() - o->seen_ns < UNSEEN_NS)
		overlay->ifindex = was;
	return r;
}

/*
 * Returns until when the guard may send past the device (pk_direct_until); 0 where the node has an
 * IPsec policy, or may have one.
 */
static uint32_t lease(void)
{
	const uint64_t looked = pk_now_ns(); /* first: a pause of this process shortens the lease */

	return pk_xfrm_has_policy() == 0 ? pk_direct_until(looked) : 0;
}

static void edit_direct(void *arg, struct pk_node *node)
{
	node->overlay.direct = *(const uint32_t *)arg;
}

/* Returns an error where the node's lock is held for longer than `lock_until`. */
static int write_direct(struct pk_bpf *bpf, uint32_t until, uint64_t lock_until)
{
	const bool was = bpf->node.overlay.direct;
	int r = pk_node_update(bpf, edit_direct, &until, lock_until, NULL);

	if (r == 0 && was != (until != 0))
		log_info("op=overlay direct=%s", until ? "yes" : "no");
	return r;
}

/*
 * Renews the lease. Without a picketd nobody would notice a new IPsec policy: the lease runs out,
 * and all goes by the device again.
 */
static void renew(void *arg)
{
	struct pk_overlay_keeper *o = arg;
	struct pk_bpf *bpf = pk_sync_bpf(o->args.sync);

	pk_timer_set(o->renewal, RENEW_MS);
	if (bpf && write_direct(bpf, lease(), pk_sync_until()) < 0)
		pk_timer_set(o->renewal, TOGETHER_MS);
}

/*
 * Brings device and table in step. The table gets the port first, which closes it to endpoints, and
 * keeps it whatever fails afterwards.
 */
static int keep(struct pk_overlay_keeper *o, struct pk_bpf *bpf, struct pk_err *err)
{
	const struct pk_vxlan *v = vxlan_of(o);
	struct pk_overlay overlay = { .vni = v->vni,
				      .port = htons((uint16_t)v->port),
				      .direct = bpf->node.overlay.direct };
	const struct pk_uplink *end = end_of(&bpf->node, pk_vxlan_is6(v));
	struct pk_vxlan_want want = { .port = (uint16_t)v->port };
	int r = 0, w;

	if (bpf->node.overlay.port != overlay.port)
		r = write_overlay(bpf, &overlay, err);
	if (r == 0 && !end)
		r = fail_address(pk_vxlan_is6(v), err);
	if (r == 0 && end->mtu < pk_vxlan_overhead(v) + MTU_MIN)
		r = fail_mtu(end->mtu, pk_vxlan_overhead(v), err);
	if (r == 0) {
		want.mtu = end->mtu - pk_vxlan_overhead(v);
		overlay.local = *address_of(end, pk_vxlan_is6(v));
		r = keep_device(o, bpf, &want, &overlay, err);
	}
	w = write_overlay(bpf, &overlay, r < 0 ? NULL : err);
	o->ifindex = bpf->node.overlay.ifindex;
	return r ?: w;
}

/* Returns EACH_MS, or forever in a test that checks that a message alone causes a pass. */
static unsigned int each_ms(void)
{
	return pk_fault_asked("overlay-looks-never") ? INT32_MAX : EACH_MS;
}

static void pass(void *arg)
{
	struct pk_overlay_keeper *o = arg;
	struct pk_bpf *bpf = pk_sync_bpf(o->args.sync);
	uint32_t before = o->ifindex;
	struct pk_err err = { 0 };
	int r;

	pk_timer_set(o->timer, bpf ? each_ms() : RETRY_MS);
	if (!bpf)
		return;
	r = keep(o, bpf, &err);
	if (r < 0 && strcmp(err.text, o->error.text) != 0)
		log_error("op=overlay err=\"%s\" fix=\"%s\"", err.text, err.fix);
	o->error = r < 0 ? err : (struct pk_err){ 0 };
	if (r < 0)
		pk_timer_set(o->timer, RETRY_MS);
	if (o->ifindex != before) {
		log_info("op=overlay ifindex=%u", o->ifindex);
		o->args.changed(o->args.arg);
	}
}

/* Returns whether the message concerns the device, one of its filters or one of its settings. */
static bool concerns(const struct pk_overlay_keeper *o, const struct nlmsghdr *h)
{
	const void *body = NLMSG_DATA(h);

	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return (uint32_t)((const struct ifinfomsg *)body)->ifi_index == o->ifindex;
	case RTM_NEWTFILTER:
	case RTM_DELTFILTER:
	case RTM_DELCHAIN:
	case RTM_DELQDISC:
		return (uint32_t)((const struct tcmsg *)body)->tcm_ifindex == o->ifindex;
	case RTM_NEWNETCONF:
		return true; /* its device stands in an attribute; such messages are few */
	default:
		return false;
	}
}

static void on_message(void *arg);

static void listen_again(struct pk_overlay_keeper *o)
{
	if (o->fd >= 0)
		o->watch = pk_watch_fd(o->args.loop, o->fd, on_message, o);
}

static void on_message(void *arg)
{
	struct pk_overlay_keeper *o = arg;

	pk_watch_free(PK_MOVE(o->watch, NULL));
	pk_timer_set(o->quiet, TOGETHER_MS);
}

static void read_messages(void *arg)
{
	struct pk_overlay_keeper *o = arg;
	_Alignas(struct nlmsghdr) char buf[16384];
	bool concerned = false;
	ssize_t n;

	while ((n = recv(o->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		size_t left = (size_t)n;

		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
			concerned |= concerns(o, h);
	}
	concerned |= n < 0 && errno == ENOBUFS; /* messages were lost, and may have concerned it */
	listen_again(o);
	if (concerned)
		pass(o);
}

/*
 * Is told that an IPsec policy came or went. The first message counts at once; those that follow
 * shortly are one change.
 */
static void on_policy(void *arg)
{
	struct pk_overlay_keeper *o = arg;
	const struct pk_bpf *bpf = pk_sync_bpf(o->args.sync);
	char buf[8192];

	while (recv(o->xfrm, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	pk_timer_hurry(o->renewal, bpf && bpf->node.overlay.direct ? 0 : TOGETHER_MS);
}

void pk_overlay_soon(struct pk_overlay_keeper *o)
{
	pk_timer_hurry(o->timer, 0);
}

struct pk_overlay_keeper *pk_overlay_new(const struct pk_overlay_args *args)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_TC, RTNLGRP_IPV4_NETCONF,
				      RTNLGRP_IPV6_NETCONF, 0 };
	struct pk_overlay_keeper *o = pk_alloc(sizeof(*o));
	struct pk_err err = { 0 };

	o->args = *args;
	o->timer = pk_timer_new(args->loop, pass, o);
	o->quiet = pk_timer_new(args->loop, read_messages, o);
	o->renewal = pk_timer_new(args->loop, renew, o);
	o->fd = pk_nl_listen(groups, &err);
	if (o->fd < 0)
		log_error("op=overlay err=\"%s\" ignoring: looking each ten seconds", err.text);
	listen_again(o);
	/* Where it fails, each renewal of the lease looks for policies. */
	o->xfrm = pk_nl_listen_xfrm(NULL);
	if (o->xfrm >= 0)
		o->policies = pk_watch_fd(o->args.loop, o->xfrm, on_policy, o);
	pk_timer_set(o->renewal, 0);
	pk_overlay_soon(o);
	return o;
}

void pk_overlay_free(struct pk_overlay_keeper *o)
{
	struct pk_bpf *bpf = o ? pk_sync_bpf(o->args.sync) : NULL;

	if (!o)
		return;
	if (bpf) /* where it can't be written the lease runs out */
		write_direct(bpf, 0, pk_sync_until_long());
	pk_watch_free(o->watch);
	pk_watch_free(o->policies);
	if (o->fd >= 0)
		close(o->fd);
	if (o->xfrm >= 0)
		close(o->xfrm);
	pk_timer_free(o->timer);
	pk_timer_free(o->quiet);
	pk_timer_free(o->renewal);
	free(o);
}

void pk_overlay_withdraw(void)
{
	struct pk_err err = { 0 };
	own_nl *nl = NULL;
	int r = pk_nl_open(&nl, &err);

	if (r == 0)
		r = pk_vxlan_delete(nl, &err);
	if (r < 0)
		log_warn("op=overlay err=\"%s\" ignoring", err.text);
}
