/* SPDX-License-Identifier: Apache-2.0 */
#include "links.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/netconf.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device.h"
#include "nl.h"
#include "own.h"
#include "str.h"

#define TOGETHER_MS 10

struct pk_links {
	struct pk_links_args args;
	struct pk_watch *watch;
	struct pk_timer *timer;
	int fd;
};

static const struct rtattr *find(const struct rtattr *list, size_t left, unsigned short type)
{
	for (const struct rtattr *a = list; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

static const struct rtattr *attribute(const struct nlmsghdr *h, size_t body, unsigned short type)
{
	size_t head = NLMSG_LENGTH(NLMSG_ALIGN(body));

	if (h->nlmsg_len < head)
		return NULL;
	return find((const void *)((const char *)h + head), h->nlmsg_len - head, type);
}

/*
 * Returns whether the message is of a device, not of a bridge's port: a bridge tells of its ports
 * in the same form.
 */
static bool is_link(const struct nlmsghdr *h)
{
	const struct ifinfomsg *body = NLMSG_DATA(h);

	return h->nlmsg_len >= NLMSG_LENGTH(sizeof(*body)) && body->ifi_family == AF_UNSPEC;
}

static void hear_gone(struct pk_links *l, const struct nlmsghdr *h)
{
	const struct rtattr *name = attribute(h, sizeof(struct ifinfomsg), IFLA_IFNAME);
	uint32_t slot = name ? pk_host_slot(RTA_DATA(name)) : 0;

	if (is_link(h) && slot)
		l->args.gone(l->args.arg, slot);
}

/* Hears of a link. Of all that is said of a device only an XDP program matters here. */
static void hear_link(struct pk_links *l, const struct nlmsghdr *h)
{
	const struct ifinfomsg *body = NLMSG_DATA(h);
	const struct rtattr *xdp = attribute(h, sizeof(*body), IFLA_XDP), *attached;

	if (!is_link(h) || !xdp)
		return;
	attached = find(RTA_DATA(xdp), RTA_PAYLOAD(xdp), IFLA_XDP_ATTACHED);
	if (attached && RTA_PAYLOAD(attached) && *(const uint8_t *)RTA_DATA(attached))
		l->args.changed(l->args.arg, (uint32_t)body->ifi_index);
}

static void hear_filter(struct pk_links *l, const struct nlmsghdr *h)
{
	const struct tcmsg *body = NLMSG_DATA(h);

	if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(*body)) && body->tcm_ifindex > 0)
		l->args.changed(l->args.arg, (uint32_t)body->tcm_ifindex);
}

static void hear_setting(struct pk_links *l, const struct nlmsghdr *h)
{
	const struct rtattr *a = attribute(h, sizeof(struct netconfmsg), NETCONFA_IFINDEX);
	int32_t ifindex;

	if (!a || RTA_PAYLOAD(a) != sizeof(ifindex))
		return;
	memcpy(&ifindex, RTA_DATA(a), sizeof(ifindex));
	if (ifindex > 0) /* "all" and "default" are followed by a message for each device */
		l->args.changed(l->args.arg, (uint32_t)ifindex);
}

static void hear(struct pk_links *l, const struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_DELLINK:
		hear_gone(l, h);
		break;
	case RTM_NEWLINK:
		hear_link(l, h);
		break;
	case RTM_NEWTFILTER:
	case RTM_DELTFILTER:
	case RTM_DELQDISC:
		hear_filter(l, h);
		break;
	case RTM_NEWNETCONF:
		hear_setting(l, h);
		break;
	default:
		break;
	}
}

static void on_ready(void *arg);

static void watch(struct pk_links *l)
{
	if (l->fd >= 0)
		l->watch = pk_watch_fd(l->args.loop, l->fd, on_ready, l);
}

static void on_ready(void *arg)
{
	struct pk_links *l = arg;

	pk_watch_free(PK_MOVE(l->watch, NULL));
	pk_timer_set(l->timer, TOGETHER_MS);
}

static void read_all(void *arg)
{
	struct pk_links *l = arg;
	_Alignas(struct nlmsghdr) char buf[32768];
	ssize_t n;

	while ((n = recv(l->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		size_t left = (size_t)n;

		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
			hear(l, h);
	}
	/* More was said than fits, so any device may be meant. */
	if (n < 0 && errno == ENOBUFS) {
		l->args.gone(l->args.arg, 0);
		l->args.changed(l->args.arg, 0);
	}
	watch(l);
}

struct pk_links *pk_links_new(const struct pk_links_args *args)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_TC, RTNLGRP_IPV4_NETCONF,
				      RTNLGRP_IPV6_NETCONF, 0 };
	struct pk_links *l = pk_alloc(sizeof(*l));

	l->args = *args;
	l->fd = pk_nl_listen(groups, NULL);
	l->timer = pk_timer_new(args->loop, read_all, l);
	watch(l);
	return l;
}

void pk_links_free(struct pk_links *l)
{
	if (!l)
		return;
	pk_watch_free(l->watch);
	pk_timer_free(l->timer);
	if (l->fd >= 0)
		close(l->fd);
	free(l);
}
