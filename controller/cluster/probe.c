/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/icmpv6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>

#include "fs.h"
#include "log.h"
#include "own.h"

#define EACH_MS	  10000 /* between two questions; by chance a quarter more or less */
#define ANSWER_MS 2000	/* an answer that takes longer is lost */
#define AGAIN_MS  1000	/* after one that was lost, until there is silence */
#define FEW_NODES 32 /* up to so many nodes all are asked, else those with endpoints known here */

struct target {
	struct pk_probe *all;
	char *name;
	union pk_addr addresses[PK_NODE_ADDRESSES];
	size_t n_addresses;
	struct pk_probe_tally tally;
	struct pk_timer *timer; /* of the next question, or of the answer that is awaited */
	struct pk_watch *watch;
	int fd;		     /* of the question that is under way; -1: there is none */
	union pk_addr asked; /* whom it asks */
	uint64_t sent_ns;
	bool wanted;
	UT_hash_handle hh;
};

struct pk_probe {
	struct pk_loop *loop;
	const struct pk_believed *believed;
	struct target *targets;
	uint64_t lost;
};

void pk_probe_tally_take(struct pk_probe_tally *t, uint32_t us, time_t now)
{
	t->us[t->next] = us;
	t->next = (t->next + 1) % PK_PROBE_KEPT;
	t->n += t->n < PK_PROBE_KEPT;
	if (us) {
		t->lost = 0;
		if (t->silent || !t->since)
			t->since = now;
		t->silent = false;
		return;
	}
	if (t->lost++ == 0)
		t->lost_since = now;
	if (t->silent || t->lost < PK_PROBE_SILENT)
		return;
	t->silent = true;
	t->since = t->lost_since;
}

uint32_t pk_probe_tally_last(const struct pk_probe_tally *t)
{
	return t->us[(t->next + PK_PROBE_KEPT - 1) % PK_PROBE_KEPT];
}

uint32_t pk_probe_tally_median(const struct pk_probe_tally *t)
{
	uint32_t answers[PK_PROBE_KEPT];
	size_t n = 0;

	for (unsigned int i = 0; i < t->n; i++)
		if (t->us[i])
			answers[n++] = t->us[i];
	if (!n)
		return 0;
	qsort(answers, n, sizeof(*answers), pk_u32_cmp);
	return answers[n / 2];
}

unsigned int pk_probe_tally_lost(const struct pk_probe_tally *t)
{
	unsigned int lost = 0;

	for (unsigned int i = 0; i < t->n; i++)
		lost += !t->us[i];
	return lost;
}

/* Returns between three and five quarters of ms: nodes don't ask in step. */
static uint64_t chance_ms(uint64_t ms)
{
	return ms * 3 / 4 + (pk_backoff_ms(0) - 500) * ms / 2000;
}

static void hang_up(struct target *t)
{
	pk_watch_free(PK_MOVE(t->watch, NULL));
	if (t->fd >= 0)
		close(PK_MOVE(t->fd, -1));
}

static void tell(const struct target *t, bool was_silent)
{
	if (t->tally.silent && !was_silent)
		log_warn("op=cluster node=\"%s\" err=\"%d questions in a row are unanswered\" its "
			 "endpoints and routes stay",
			 t->name, PK_PROBE_SILENT);
	else if (was_silent && !t->tally.silent)
		log_info("op=cluster node=\"%s\" answers again", t->name);
}

static void done(struct target *t, uint32_t us)
{
	const bool was_silent = t->tally.silent;

	hang_up(t);
	t->all->lost += !us;
	pk_probe_tally_take(&t->tally, us, time(NULL));
	tell(t, was_silent);
	pk_timer_set(t->timer, us || t->tally.silent ? chance_ms(EACH_MS) : AGAIN_MS);
}

/*
 * Returns whether the error is an "unreachable" of the node itself. Which kind it is depends on its
 * firewall.
 */
static bool is_refusal(const struct sock_extended_err *e, const union pk_addr *asked)
{
	const struct sockaddr *by = SO_EE_OFFENDER(e);

	if (e->ee_origin == SO_EE_ORIGIN_ICMP && e->ee_type == ICMP_DEST_UNREACH &&
	    by->sa_family == AF_INET) {
		union pk_addr addr =
			pk_addr_from4(((const struct sockaddr_in *)by)->sin_addr.s_addr);

		return pk_addr_equal(&addr, asked);
	}
	return e->ee_origin == SO_EE_ORIGIN_ICMP6 && e->ee_type == ICMPV6_DEST_UNREACH &&
	       by->sa_family == AF_INET6 &&
	       memcmp(&((const struct sockaddr_in6 *)by)->sin6_addr, asked, sizeof(*asked)) == 0;
}

/*
 * Reads an ICMP error from the socket. Returns 1 where the asked node sent it, 0 where another did,
 * -EAGAIN where there is none.
 */
static int read_refusal(int fd, const union pk_addr *asked)
{
	_Alignas(struct cmsghdr) char control[256];
	struct msghdr msg = { .msg_control = control, .msg_controllen = sizeof(control) };

	if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return -EAGAIN;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		if ((c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
		    (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR))
			return is_refusal((const void *)CMSG_DATA(c), asked);
	return 0;
}

/*
 * Takes the answer. The node answered where it refused, or where somebody had opened the port
 * there. A router's error counts as no answer.
 */
static void on_answer(void *arg)
{
	struct target *t = arg;
	uint64_t us = (pk_now_ns() - t->sent_ns) / 1000 + 1;
	int r = read_refusal(t->fd, &t->asked);
	char byte;

	if (r < 0)
		r = recv(t->fd, &byte, 1, MSG_DONTWAIT) >= 0 ? 1 : -errno;
	if (r == -EAGAIN)
		return;
	if (r > 0)
		done(t, us < UINT32_MAX ? (uint32_t)us : UINT32_MAX);
	else
		done(t, 0);
}

static int open_to(const union pk_addr *addr)
{
	const bool v4 = pk_addr_is4(addr);
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(PK_PROBE_PORT) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(PK_PROBE_PORT) };
	own_fd int fd =
		socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	memcpy(&in.sin_addr, &addr->b[12], sizeof(in.sin_addr));
	memcpy(&in6.sin6_addr, addr->b, sizeof(in6.sin6_addr));
	if (fd < 0 ||
	    setsockopt(fd, v4 ? SOL_IP : SOL_IPV6, v4 ? IP_RECVERR : IPV6_RECVERR, &on,
		       sizeof(on)) < 0 ||
	    connect(fd, v4 ? (void *)&in : (void *)&in6, v4 ? sizeof(in) : sizeof(in6)) < 0)
		return -1;
	return PK_MOVE(fd, -1);
}

/* Asks the node. After each question without an answer its next address has its turn. */
static void ask(struct target *t)
{
	t->asked = t->addresses[t->tally.lost % t->n_addresses];
	t->fd = open_to(&t->asked);
	t->sent_ns = pk_now_ns();
	if (t->fd < 0 || send(t->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		done(t, 0);
		return;
	}
	t->watch = pk_watch_fd(t->all->loop, t->fd, on_answer, t);
	pk_timer_set(t->timer, ANSWER_MS);
}

static void on_timer(void *arg)
{
	struct target *t = arg;

	if (t->fd >= 0)
		done(t, 0);
	else
		ask(t);
}

static void target_free(struct pk_probe *p, struct target *t)
{
	HASH_DEL(p->targets, t);
	hang_up(t);
	pk_timer_free(t->timer);
	free(t->name);
	free(t);
}

/* Returns whether the node is to be asked: of many, those whose endpoints are known here. */
static bool is_wanted(const struct pk_believed_node *n, size_t nodes)
{
	return n->word && n->word->n_addresses && (n->endpoints || nodes <= FEW_NODES);
}

/* Marks the node's target and gives it the node's addresses; returns false where there is none. */
static bool keep(struct pk_probe *p, const struct pk_believed_node *n)
{
	struct target *t;

	HASH_FIND_STR(p->targets, n->name, t);
	if (!t)
		return false;
	t->wanted = true;
	t->n_addresses = n->word->n_addresses;
	memcpy(t->addresses, n->word->addresses, t->n_addresses * sizeof(*t->addresses));
	return true;
}

static void want(struct pk_probe *p, const struct pk_believed_node *n)
{
	struct target *t;

	if (keep(p, n) || HASH_COUNT(p->targets) == PK_PROBE_NODES)
		return;
	t = pk_alloc(sizeof(*t));
	t->all = p;
	t->fd = -1;
	t->name = pk_strdup(n->name);
	t->timer = pk_timer_new(p->loop, on_timer, t);
	pk_timer_set(t->timer, chance_ms(AGAIN_MS));
	HASH_ADD_KEYPTR(hh, p->targets, t->name, strlen(t->name), t);
	keep(p, n);
}

void pk_probe_follow(struct pk_probe *p)
{
	struct pk_believed_node n;
	struct target *t, *next;
	size_t nodes = 0;

	for (t = p->targets; t; t = t->hh.next)
		t->wanted = false;
	while (pk_believed_node(p->believed, nodes, &n))
		nodes++;
	for (size_t i = 0; pk_believed_node(p->believed, i, &n); i++)
		if (is_wanted(&n, nodes))
			keep(p, &n);
	HASH_ITER (hh, p->targets, t, next)
		if (!t->wanted)
			target_free(p, t);
	for (size_t i = 0; pk_believed_node(p->believed, i, &n); i++)
		if (is_wanted(&n, nodes))
			want(p, &n);
}

const struct pk_probe_tally *pk_probe_of(const struct pk_probe *p, const char *node)
{
	struct target *t;

	HASH_FIND_STR(p->targets, node, t);
	return t && t->tally.n ? &t->tally : NULL;
}

uint64_t pk_probe_lost(const struct pk_probe *p)
{
	return p->lost;
}

struct pk_probe *pk_probe_new(struct pk_loop *loop, const struct pk_believed *believed)
{
	struct pk_probe *p = pk_alloc(sizeof(*p));

	p->loop = loop;
	p->believed = believed;
	pk_probe_follow(p);
	return p;
}

void pk_probe_free(struct pk_probe *p)
{
	if (!p)
		return;
	while (p->targets)
		target_free(p, p->targets);
	free(p);
}
