/* SPDX-License-Identifier: Apache-2.0 */
#include "handover.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device.h"
#include "tap_ask.h"
#include "log.h"
#include "own.h"
#include "tables.h"
#include "tap.h"
#include "unix_listen.h"

#define CLIENTS_MAX 16
#define IDLE_MS	    2000 /* for a client to ask */
#define FULL_MS	    100	 /* until descriptors are looked for again */

struct client {
	struct pk_handover *handover;
	int fd; /* -1 = free */
	struct pk_watch *watch;
	struct pk_timer *idle;
	uint64_t number; /* the lower, the older */
};

struct pk_handover {
	struct pk_handover_args args;
	int fd;
	struct pk_watch *watch; /* NULL while there are no descriptors */
	struct pk_timer *full;
	struct client clients[CLIENTS_MAX];
	uint64_t asked;
};

/* The process that asks, as the kernel describes it. */
struct peer {
	struct ucred cred;
	gid_t *groups; /* the others; owned */
	size_t n_groups;
	ino_t netns;
};

static void peer_done(struct peer *peer)
{
	free(peer->groups);
}

static int read_groups(int fd, struct peer *peer)
{
	socklen_t len = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) < 0 && errno != ERANGE)
		return -errno;
	if (!len)
		return 0;
	peer->groups = pk_alloc(len);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &len) < 0)
		return -errno;
	peer->n_groups = len / sizeof(gid_t);
	return 0;
}

/*
 * Reads the asker's network namespace: the accepted end has the one that the other end was made in.
 */
static int read_netns(int fd, struct peer *peer)
{
	own_fd int ns = ioctl(fd, SIOCGSKNS);
	struct stat st;

	if (ns < 0 || fstat(ns, &st) < 0)
		return -errno;
	peer->netns = st.st_ino;
	return 0;
}

static int read_peer(int fd, struct peer *peer, struct pk_err *err)
{
	socklen_t len = sizeof(peer->cred);
	int r = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer->cred, &len) < 0 ? -errno : 0;

	if (r == 0)
		r = read_groups(fd, peer);
	if (r == 0)
		r = read_netns(fd, peer);
	return r < 0 ? pk_fail(err, -r, "ask the kernel who asks") : 0;
}

static bool is_in_group(const struct peer *peer, gid_t group)
{
	for (size_t i = 0; i < peer->n_groups; i++)
		if (peer->groups[i] == group)
			return true;
	return peer->cred.gid == group;
}

/*
 * Judges as the kernel does for opening a tap by name: whatever owner and group are named must
 * match.
 */
static bool may_have(const struct peer *peer, const struct pk_local_endpoint *m)
{
	if (peer->cred.uid == 0)
		return true;
	return peer->netns == m->netns_inode &&
	       (m->tap_owner == UINT32_MAX || peer->cred.uid == m->tap_owner) &&
	       (m->tap_group == UINT32_MAX || is_in_group(peer, m->tap_group));
}

static bool is_named(const struct pk_local_endpoint *m, const struct peer *peer, const char *name)
{
	if (!*name)
		return peer->netns == m->netns_inode;
	return !strcmp(name, m->container_id) || !strcmp(name, m->key) || !strcmp(name, m->device);
}

/*
 * Finds the endpoint. A process that may not have it gets the same answer as for one that isn't
 * there.
 */
static int find(const struct pk_handover *h, const struct peer *peer, const char *name,
		const struct pk_local_endpoint **out, struct pk_err *err)
{
	size_t n = 0;

	for (const struct pk_local_endpoint *m = pk_model_next(h->args.model, NULL); m;
	     m = pk_model_next(h->args.model, m)) {
		if (!m->open || !m->epoch_matches || !m->host_tap || !is_named(m, peer, name) ||
		    !may_have(peer, m))
			continue;
		*out = m;
		n++;
	}
	if (n == 1)
		return 0;
	if (n)
		return pk_fix(err, pk_fail(err, EINVAL, "several host taps have that name"),
			      "say which: <container id>@<interface>");
	pk_fail(err, 0, "there is no host tap for you%s%s", *name ? " by the name of " : "", name);
	pk_fix(err, 0,
	       "ask from the endpoint's network namespace as the conflist's \"owner\" and "
	       "\"group\", or as root; \"attach\": \"host-tap\" makes one");
	return -ENOENT;
}

static int fail_busy(const struct pk_local_endpoint *m, struct pk_err *err)
{
	pk_fail(err, 0, "%s is in use: another process holds its queues", m->device);
	return pk_fix(err, -EBUSY, "end the VMM that was given it");
}

/*
 * Checks that the tap is there, as ADD made it, and free. Its queues show whether it is taken where
 * it may have several; with one, opening it says EBUSY.
 */
static int look_at(struct pk_nl *nl, const struct pk_local_endpoint *m, struct pk_err *err)
{
	const struct pk_host_end end = { .slot = m->slot, .ifindex = m->host_ifindex };
	struct pk_nl_link link;

	if (pk_host_end_find(nl, &end, &link, NULL) < 0 || !pk_host_end_is_tap(&link)) {
		pk_fail(err, 0, "%s is gone: its last user took it away", m->device);
		return pk_fix(err, -ENODEV, "stop the allocation and start it anew");
	}
	return link.tun.queues ? fail_busy(m, err) : 0;
}

static int attach(struct pk_handover *h, const struct pk_local_endpoint *m,
		  struct pk_tap_answer *answer, struct pk_err *err)
{
	const struct pk_bpf *bpf = pk_sync_bpf(h->args.sync);
	const struct pk_tap tap = { .name = m->device,
				    .ifindex = m->host_ifindex,
				    .owner = 0,
				    .group = (gid_t)-1,
				    .queues = m->queues,
				    .mac = pk_gateway_mac };
	own_nl *nl = NULL;
	int r;

	if (!bpf || !pk_word(bpf, m->slot)) {
		pk_fail(err, 0, "%s is closed", m->device);
		return pk_fix(err, -EAGAIN, "`picket status` says why");
	}
	r = pk_nl_open(&nl, err);
	if (r == 0)
		r = look_at(nl, m, err);
	if (r < 0)
		return r;
	r = pk_tap_attach(nl, &tap, answer->fd, err);
	if (r == -EBUSY) {
		*err = (struct pk_err){ 0 };
		return fail_busy(m, err);
	}
	if (r < 0)
		return r;
	strcpy(answer->device, m->device);
	memcpy(answer->mac, m->mac, sizeof(answer->mac));
	answer->mtu = m->mtu;
	answer->queues = m->queues;
	return 0;
}

/*
 * Sends the answer. The socket is fresh, so one message has room, and a peer that doesn't read
 * holds nothing of ours.
 */
static int tell(int fd, const struct pk_str *text, const struct pk_tap_answer *answer)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(answer->fd))] = { 0 };
	struct iovec part = { .iov_base = text->text, .iov_len = text->len };
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };
	const size_t size = answer->queues * sizeof(answer->fd[0]);
	struct cmsghdr *c;

	if (answer->queues) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(size);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(c), answer->fd, size);
	}
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int decide(struct pk_handover *h, int fd, const char *text, size_t len,
		  struct pk_tap_answer *answer, struct pk_err *err)
{
	PK_OWN(peer_done) struct peer peer = { 0 };
	const struct pk_local_endpoint *m = NULL;
	struct pk_tap_question question;
	int r = pk_tap_question_read(text, len, &question, err);

	if (r == 0)
		r = read_peer(fd, &peer, err);
	if (r == 0)
		r = find(h, &peer, question.endpoint, &m, err);
	if (r == 0)
		r = attach(h, m, answer, err);
	if (r == 0)
		log_info("op=tap endpoint=%s device=%s uid=%u pid=%d queues=%u", m->key, m->device,
			 peer.cred.uid, peer.cred.pid, answer->queues);
	else
		log_debug("op=tap uid=%u err=\"%s\"", peer.cred.uid, err->text);
	return r;
}

/*
 * Returns whether waiting may help: a record may appear, a VMM may be ending, descriptors may come
 * free.
 */
static bool may_change(int r)
{
	return r == -ENOENT || r == -EBUSY || r == -EAGAIN || r == -EMFILE || r == -ENFILE;
}

static void answer_to(struct pk_handover *h, int fd, const char *text, size_t len)
{
	own_tap_answer answer = { 0 };
	own_str out = { 0 };
	struct pk_err err = { 0 };
	int r;

	memset(answer.fd, -1, sizeof(answer.fd));
	r = decide(h, fd, text, len, &answer, &err);
	if (r < 0)
		pk_tap_refusal_write(&out, &err, may_change(r));
	else
		pk_tap_answer_write(&out, &answer);
	if (!out.failed && tell(fd, &out, &answer) < 0)
		log_debug("op=tap err=\"the answer was not heard\"");
}

static void drop(struct client *c)
{
	pk_watch_free(PK_MOVE(c->watch, NULL));
	pk_timer_clear(c->idle);
	close(PK_MOVE(c->fd, -1));
}

static void on_idle(void *arg)
{
	drop(arg);
}

static void on_message(void *arg)
{
	struct client *c = arg;
	char text[PK_TAP_MESSAGE_MAX];
	ssize_t n = recv(c->fd, text, sizeof(text), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		answer_to(c->handover, c->fd, text, (size_t)n <= sizeof(text) ? (size_t)n : 0);
	drop(c);
}

/* Returns a free client. The one that has waited longest for its own question gives way. */
static struct client *client_for(struct pk_handover *h)
{
	struct client *oldest = &h->clients[0];

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (h->clients[i].fd < 0)
			return &h->clients[i];
		if (h->clients[i].number < oldest->number)
			oldest = &h->clients[i];
	}
	drop(oldest);
	return oldest;
}

static void on_client(void *arg)
{
	struct pk_handover *h = arg;
	struct client *c;
	int fd = accept4(h->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		pk_watch_free(PK_MOVE(h->watch, NULL));
		pk_timer_set(h->full, FULL_MS);
	}
	if (fd < 0)
		return;
	c = client_for(h);
	c->fd = fd;
	c->number = ++h->asked;
	c->watch = pk_watch_fd(h->args.loop, fd, on_message, c);
	pk_timer_set(c->idle, IDLE_MS);
}

static void on_full(void *arg)
{
	struct pk_handover *h = arg;

	h->watch = pk_watch_fd(h->args.loop, h->fd, on_client, h);
}

struct pk_handover *pk_handover_new(const struct pk_handover_args *args, struct pk_err *err)
{
	int fd = pk_unix_listen(args->path, SOCK_SEQPACKET, 0666, err);
	struct pk_handover *h;

	if (fd < 0)
		return NULL;
	h = pk_alloc(sizeof(*h));
	h->args = *args;
	h->fd = fd;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		h->clients[i].handover = h;
		h->clients[i].fd = -1;
		h->clients[i].idle = pk_timer_new(args->loop, on_idle, &h->clients[i]);
	}
	h->full = pk_timer_new(args->loop, on_full, h);
	on_full(h);
	return h;
}

void pk_handover_free(struct pk_handover *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (h->clients[i].fd >= 0)
			drop(&h->clients[i]);
		pk_timer_free(h->clients[i].idle);
	}
	pk_watch_free(h->watch);
	pk_timer_free(h->full);
	unlink(h->args.path);
	close(h->fd);
	free(h);
}
