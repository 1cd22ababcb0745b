/* SPDX-License-Identifier: Apache-2.0 */
#include "uplink_watch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "nl.h"
#include "own.h"
#include "tables.h"
#include "uplink.h"

#define TOGETHER_MS 10	 /* messages of one moment are one change */
#define RETRY_MS    1000 /* nothing is loaded yet, or netlink failed */
#define MINUTE_MS   60000
#define LOOPBACK    1 /* its ifindex in every netns: an uplink's address may be kept there */

struct pk_uplink_watch {
	struct pk_uplink_watch_args args;
	struct pk_timer *read_timer, *timer, *minute;
	struct pk_watch *watch;
	int fd;
	struct pk_uplinks now;
	struct pk_err error; /* of the last pass; "" */
};

static const int groups[] = { RTNLGRP_LINK,	   RTNLGRP_TC,
			      RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
			      RTNLGRP_IPV4_ROUTE,  RTNLGRP_IPV6_ROUTE,
			      RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,
			      RTNLGRP_NEXTHOP,	   0 };

static bool is_uplink(const struct pk_uplinks *now, uint32_t ifindex)
{
	for (size_t i = 0; i < now->n; i++)
		if (now->list[i].ifindex == ifindex)
			return true;
	return false;
}

static const struct pk_uplink_names *names_of(const struct pk_uplink_watch *w)
{
	return &w->args.config->settings.uplinks;
}

/*
 * Returns whether the device is an uplink by its name; one that is by a route brings another
 * message.
 */
static bool is_named(const struct pk_uplink_names *names, uint32_t ifindex)
{
	char name[IF_NAMESIZE];

	if (!if_indextoname(ifindex, name))
		return false;
	for (size_t i = 0; i < names->n; i++)
		if (!strcmp(names->name[i], name))
			return true;
	return false;
}

bool pk_uplink_watch_concerns(const struct pk_uplinks *now, const struct pk_uplink_names *names,
			      const struct nlmsghdr *h)
{
	const void *body = NLMSG_DATA(h);
	uint32_t ifindex;

	switch (h->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return !((const struct rtmsg *)body)->rtm_dst_len;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		ifindex = ((const struct ifaddrmsg *)body)->ifa_index;
		return ifindex == LOOPBACK || is_uplink(now, ifindex);
	case RTM_NEWLINK:
	case RTM_DELLINK:
		ifindex = (uint32_t)((const struct ifinfomsg *)body)->ifi_index;
		return is_uplink(now, ifindex) || (names->n && is_named(names, ifindex));
	case RTM_NEWTFILTER:
	case RTM_DELTFILTER:
	case RTM_DELCHAIN:
	case RTM_DELQDISC:
		return is_uplink(now, (uint32_t)((const struct tcmsg *)body)->tcm_ifindex);
	case RTM_NEWCHAIN:
	case RTM_NEWQDISC:
	case RTM_NEWTCLASS:
	case RTM_DELTCLASS:
		return false;
	default:
		return true; /* rules and next hops */
	}
}

static void log_uplink(const struct pk_uplink *uplink)
{
	char name[IF_NAMESIZE] = "?", v4[PK_ADDR_TEXT] = "none", v6[PK_ADDR_TEXT] = "none";

	if_indextoname(uplink->ifindex, name);
	if (!pk_addr_is_zero(&uplink->ipv4))
		pk_addr_format(&uplink->ipv4, v4);
	if (!pk_addr_is_zero(&uplink->ipv6))
		pk_addr_format(&uplink->ipv6, v6);
	log_info("op=uplink device=%s ipv4=%s ipv6=%s mtu=%u", name, v4, v6, uplink->mtu);
}

static void log_changes(const struct pk_uplinks *was, const struct pk_uplinks *now)
{
	for (size_t i = 0; i < now->n; i++)
		if (memcmp(&was->list[i], &now->list[i], sizeof(now->list[i])) != 0)
			log_uplink(&now->list[i]);
	if (was->n && !now->n)
		log_warn("op=uplink err=\"this node has no way out any more\" ignoring");
	for (size_t i = 0; i < now->n_notes; i++)
		if (strcmp(was->note[i].text, now->note[i].text) != 0)
			log_warn("op=uplink err=\"%s\" fix=\"%s\" ignoring", now->note[i].text,
				 now->note[i].fix);
}

static void note_error(struct pk_uplink_watch *w, int r, const struct pk_err *err)
{
	if (r == 0) {
		w->error = (struct pk_err){ 0 };
		return;
	}
	if (strcmp(w->error.text, err->text) != 0)
		log_error("op=uplink err=\"%s\" fix=\"%s\"", err->text, err->fix);
	w->error = *err;
}

/*
 * Brings table and programs in step. A device's program goes after the table says that it is no
 * uplink.
 */
static int keep(struct pk_uplink_watch *w, struct pk_bpf *bpf, struct pk_nl *nl, struct pk_err *err)
{
	int r = pk_uplinks_attach(bpf, w->now.list, nl, err), stripped;

	stripped = pk_uplinks_write(bpf, &w->now, pk_sync_until(), r < 0 ? NULL : err);
	if (stripped == 0)
		stripped = pk_uplinks_strip(nl, bpf, r < 0 ? NULL : err);
	return r < 0 ? r : stripped;
}

static void follow(void *arg)
{
	struct pk_uplink_watch *w = arg;
	struct pk_bpf *bpf = pk_sync_bpf(w->args.sync);
	struct pk_uplinks found;
	struct pk_err err = { 0 };
	own_nl *nl = NULL;
	int r;

	if (!bpf) {
		pk_timer_hurry(w->timer, RETRY_MS);
		return;
	}
	r = pk_nl_open(&nl, &err);
	if (r == 0)
		r = pk_uplinks_find(nl, names_of(w), &found, &err);
	if (r == 0) {
		log_changes(&w->now, &found);
		w->now = found;
		r = keep(w, bpf, nl, &err);
		if (w->args.changed)
			w->args.changed(w->args.arg);
	}
	note_error(w, r, &err);
	if (r < 0 && r != -EPERM)
		pk_timer_hurry(w->timer, RETRY_MS);
}

/* Looks again without being told: a message may have been lost, or a filter taken off. */
static void minute(void *arg)
{
	struct pk_uplink_watch *w = arg;
	struct pk_bpf *bpf = pk_sync_bpf(w->args.sync);
	struct pk_err err = { 0 };
	own_nl *nl = NULL;

	pk_timer_set(w->minute, MINUTE_MS);
	if (!bpf || pk_nl_open(&nl, &err) < 0)
		return;
	if (w->now.n && !pk_uplinks_are_true(bpf, nl))
		pk_timer_hurry(w->timer, 0);
	else
		note_error(w, keep(w, bpf, nl, &err), &err);
}

static void on_message(void *arg);

static void listen_again(struct pk_uplink_watch *w)
{
	if (w->fd >= 0)
		w->watch = pk_watch_fd(w->args.loop, w->fd, on_message, w);
}

static void on_message(void *arg)
{
	struct pk_uplink_watch *w = arg;

	pk_watch_free(PK_MOVE(w->watch, NULL));
	pk_timer_set(w->read_timer, TOGETHER_MS);
}

static void read_messages(void *arg)
{
	struct pk_uplink_watch *w = arg;
	_Alignas(struct nlmsghdr) char buf[16384];
	bool concerned = false;
	ssize_t n;

	while ((n = recv(w->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		size_t left = (size_t)n;

		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
			concerned |= pk_uplink_watch_concerns(&w->now, names_of(w), h);
	}
	/* More was said than fits, and the lost part may concern an uplink. */
	concerned |= n < 0 && errno == ENOBUFS;
	listen_again(w);
	if (concerned)
		follow(w);
}

void pk_uplink_watch_soon(struct pk_uplink_watch *w)
{
	pk_timer_hurry(w->timer, 0);
}

const struct pk_err *pk_uplink_watch_error(const struct pk_uplink_watch *w, size_t i)
{
	size_t own = *w->error.text ? 1 : 0;

	if (i < own)
		return &w->error;
	return i - own < w->now.n_notes ? &w->now.note[i - own] : NULL;
}

int pk_uplink_watch_listen(struct pk_err *err)
{
	return pk_nl_listen(groups, err);
}

struct pk_uplink_watch *pk_uplink_watch_new(const struct pk_uplink_watch_args *args)
{
	struct pk_uplink_watch *w = pk_alloc(sizeof(*w));
	struct pk_err err = { 0 };

	w->args = *args;
	w->timer = pk_timer_new(args->loop, follow, w);
	w->read_timer = pk_timer_new(args->loop, read_messages, w);
	w->minute = pk_timer_new(args->loop, minute, w);
	w->fd = pk_uplink_watch_listen(&err);
	if (w->fd < 0)
		log_error("op=uplink err=\"%s\" ignoring: looking once a minute", err.text);
	listen_again(w);
	follow(w);
	pk_timer_set(w->minute, MINUTE_MS);
	return w;
}

void pk_uplink_watch_free(struct pk_uplink_watch *w)
{
	if (!w)
		return;
	pk_watch_free(w->watch);
	if (w->fd >= 0)
		close(w->fd);
	pk_timer_free(w->timer);
	pk_timer_free(w->read_timer);
	pk_timer_free(w->minute);
	free(w);
}
