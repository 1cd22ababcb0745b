/* SPDX-License-Identifier: Apache-2.0 */
/* The socket, the batch, and asking. Messages: nl_link.c, nl_tc.c, nl_route.c. */
#include "nl.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "nl_batch.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

static int open_protocol(struct pk_nl **out, int protocol)
{
	static const struct timeval wait = { .tv_sec = 5 };
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	own_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	struct pk_nl *nl;
	int on = 1;

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	nl = pk_alloc(sizeof(*nl));
	nl->fd = PK_MOVE(fd, -1);
	nl->seq = 1;
	*out = nl;
	return 0;
}

int pk_nl_open(struct pk_nl **out, struct pk_err *err)
{
	int r = open_protocol(out, NETLINK_ROUTE);

	return r < 0 ? pk_code(err, pk_fail(err, -r, "open netlink"), PK_CODE_KERNEL) : 0;
}

int pk_nl_open_netfilter(struct pk_nl **out)
{
	return open_protocol(out, NETLINK_NETFILTER);
}

int pk_nl_open_xfrm(struct pk_nl **out)
{
	return open_protocol(out, NETLINK_XFRM);
}

static int listen_to(int protocol, const int *groups, struct pk_err *err)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	own_fd int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	const int room = 4 << 20; /* what comes in a moment while many are added and deleted */
	int r = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&addr, sizeof(addr));

	for (int i = 0; r == 0 && groups[i]; i++)
		r = setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i]));
	if (r < 0)
		return pk_code(err, pk_fail(err, errno, "listen to netlink"), PK_CODE_KERNEL);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	return PK_MOVE(fd, -1);
}

int pk_nl_listen(const int *groups, struct pk_err *err)
{
	return listen_to(NETLINK_ROUTE, groups, err);
}

int pk_nl_listen_xfrm(struct pk_err *err)
{
	static const int groups[] = { XFRMNLGRP_POLICY, 0 };

	return listen_to(NETLINK_XFRM, groups, err);
}

void pk_nl_close(struct pk_nl *nl)
{
	if (!nl)
		return;
	close(nl->fd);
	free(nl);
}

struct nl_msg *pk_nl_message(uint16_t type, uint16_t flags, const void *body, size_t size)
{
	struct nl_msg *msg = nlmsg_alloc_size(4096);

	if (!msg || !nlmsg_put(msg, 0, 0, type, 0, NLM_F_REQUEST | flags) ||
	    nlmsg_append(msg, (void *)body, size, NLMSG_ALIGNTO) < 0)
		abort();
	return msg;
}

void pk_nl_push(struct pk_nl *nl, struct nl_msg *msg, const char *fmt, ...)
{
	struct nlmsghdr *head = nlmsg_hdr(msg);
	size_t room = NLMSG_ALIGN(head->nlmsg_len);
	va_list ap;

	if (nl->n >= PK_NL_MESSAGES || nl->len + room > PK_NL_ROOM) {
		nl->overflow = true;
		nlmsg_free(msg);
		return;
	}
	va_start(ap, fmt);
	vsnprintf(nl->what[nl->n], sizeof(nl->what[0]), fmt, ap);
	va_end(ap);
	head->nlmsg_seq = nl->seq + nl->n++;
	nl->last = nl->len;
	memset(nl->buf + nl->len, 0, room);
	memcpy(nl->buf + nl->len, head, head->nlmsg_len);
	nl->len += room;
	nlmsg_free(msg);
}

static ssize_t receive(struct pk_nl *nl, char *buf, size_t room)
{
	ssize_t n;

	do {
		n = recv(nl->fd, buf, room, MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return (size_t)n > room ? -EMSGSIZE : n;
}

/* The kernel's own words, where it gave some. */
static const char *kernel_words(const struct nlmsghdr *head)
{
	const struct nlmsgerr *e = NLMSG_DATA(head);
	size_t skip = sizeof(*e);
	struct nlattr *msg;

	if (!(head->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(head->nlmsg_flags & NLM_F_CAPPED))
		skip += e->msg.nlmsg_len - sizeof(e->msg);
	if (head->nlmsg_len < NLMSG_HDRLEN + skip)
		return NULL;
	msg = nla_find((struct nlattr *)((char *)e + skip),
		       (int)(head->nlmsg_len - NLMSG_HDRLEN - skip), NLMSGERR_ATTR_MSG);
	return msg ? nla_get_string(msg) : NULL;
}

static int note_failure(const struct pk_nl *nl, const struct nlmsghdr *head, unsigned int i,
			struct pk_err *err)
{
	const struct nlmsgerr *e = NLMSG_DATA(head);
	const char *words = kernel_words(head);

	return pk_code(err,
		       pk_fail(err, -e->error, "%s%s%s%s", nl->what[i], words ? " (" : "",
			       words ? words : "", words ? ")" : ""),
		       PK_CODE_KERNEL);
}

/*
 * The last message alone asks for an acknowledgement. The kernel tells each failure unasked, and
 * before it, so the first answer that is read is the first failure.
 */
static int collect(struct pk_nl *nl, struct pk_err *err)
{
	unsigned int last = nl->n - 1;
	int result = 0;
	_Alignas(struct nlmsghdr) char buf[8192];

	for (;;) {
		ssize_t n = receive(nl, buf, sizeof(buf));
		struct nlmsghdr *h = (struct nlmsghdr *)buf;

		if (n < 0)
			return pk_code(err, pk_fail(err, (int)-n, "netlink answer"),
				       PK_CODE_KERNEL);
		for (int left = (int)n; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
			unsigned int i = h->nlmsg_seq - nl->seq;

			if (h->nlmsg_type != NLMSG_ERROR || i > last)
				continue;
			if (((struct nlmsgerr *)NLMSG_DATA(h))->error && result == 0)
				result = note_failure(nl, h, i, err);
			if (i == last)
				return result;
		}
	}
}

static int send_batch(struct pk_nl *nl, struct pk_err *err)
{
	((struct nlmsghdr *)(nl->buf + nl->last))->nlmsg_flags |= NLM_F_ACK;
	if (send(nl->fd, nl->buf, nl->len, 0) != (ssize_t)nl->len)
		return pk_code(err, pk_fail(err, errno, "send netlink batch"), PK_CODE_KERNEL);
	return collect(nl, err);
}

int pk_nl_send(struct pk_nl *nl, struct pk_err *err)
{
	int r = 0;

	if (nl->overflow)
		r = pk_fail(err, E2BIG, "netlink batch");
	else if (nl->n)
		r = send_batch(nl, err);
	nl->seq += nl->n;
	nl->n = 0;
	nl->len = 0;
	nl->overflow = false;
	return r;
}

/* 1: the answer is whole, 0: more to come, -errno. Who asked for one thing gets one message. */
static int take_answers(struct nlmsghdr *h, int left, uint32_t seq, bool one,
			void (*each)(void *arg, struct nlmsghdr *answer), void *arg)
{
	for (; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
		if (h->nlmsg_seq != seq)
			continue;
		if (h->nlmsg_type == NLMSG_ERROR)
			return ((struct nlmsgerr *)NLMSG_DATA(h))->error ?: 1;
		if (h->nlmsg_type == NLMSG_DONE)
			return 1;
		each(arg, h);
		if (one)
			return 1;
	}
	return 0;
}

int pk_nl_ask(struct pk_nl *nl, struct nl_msg *msg,
	      void (*each)(void *arg, struct nlmsghdr *answer), void *arg)
{
	struct nlmsghdr *head = nlmsg_hdr(msg);
	uint32_t seq = nl->seq++;
	_Alignas(struct nlmsghdr) char buf[32768];
	bool one = (head->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP;
	ssize_t n;
	int r = 0;

	head->nlmsg_seq = seq;
	n = send(nl->fd, head, head->nlmsg_len, 0);
	if (n < 0)
		r = -errno;
	nlmsg_free(msg);
	while (r == 0) {
		n = receive(nl, buf, sizeof(buf));
		if (n < 0)
			return (int)n;
		r = take_answers((struct nlmsghdr *)buf, (int)n, seq, one, each, arg);
	}
	return r < 0 ? r : 0;
}
