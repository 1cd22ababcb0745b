/* SPDX-License-Identifier: Apache-2.0 */
#include "upkeep.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs.h"
#include "guard.h"
#include "log.h"
#include "nl.h"
#include "own.h"
#include "reaper.h"
#include "sweep.h"
#include "tables.h"

#define MINUTE_MS 60000
#define GONE_MS	  200 /* a device that goes takes its netns and its record's DEL along */
#define LINKS_MS  10
#define SWEEP_NS  2000000000ull

/* An endpoint that was closed here, since its guard can't be first. */
struct shut {
	char *key;
	char why[256];
};

struct pk_upkeep {
	struct pk_upkeep_args args;
	struct pk_upkeep_stats stats;
	struct pk_timer *timer, *sweep_timer, *audit_timer, *links_timer;
	struct pk_reaper *reaper;
	struct pk_watch *watch;
	int links; /* netlink socket that hears of devices and their filters */
	union pk_addr *local;
	size_t n_local;
	struct shut *shut;
	size_t n_shut;
};

static void read_addresses(struct pk_upkeep *u)
{
	struct ifaddrs *list, *i;
	size_t n = 0;

	if (getifaddrs(&list) < 0)
		return;
	for (i = list; i; i = i->ifa_next)
		n++;
	free(u->local);
	u->local = pk_alloc((n + 1) * sizeof(*u->local));
	u->n_local = 0;
	for (i = list; i; i = i->ifa_next) {
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
			u->local[u->n_local++] = pk_addr_from4(
				((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr.s_addr);
		else if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET6)
			memcpy(&u->local[u->n_local++],
			       &((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr,
			       sizeof(union pk_addr));
	}
	freeifaddrs(list);
}

bool pk_upkeep_is_local(const struct pk_upkeep *u, const union pk_addr *addr)
{
	for (size_t i = 0; i < u->n_local; i++)
		if (pk_addr_equal(&u->local[i], addr))
			return true;
	return false;
}

static enum pk_alloc_state alloc_state(void *arg, const char *container_id)
{
	struct pk_upkeep *u = arg;

	if (u->args.nomad(u->args.arg) != PK_NOMAD_ANSWERS)
		return PK_ALLOC_UNKNOWN;
	return pk_model_has_alloc(u->args.model, container_id) ? PK_ALLOC_LIVE : PK_ALLOC_GONE;
}

/* ADD writes the record before the word: what is open without one has lost it. */
static bool is_stray(const struct pk_upkeep *u, uint32_t slot)
{
	const struct pk_bpf *bpf = pk_sync_bpf(u->args.sync);
	own_mem struct pk_record_name *list = NULL;
	size_t n = 0;

	if (!bpf || !pk_word(bpf, slot) || pk_records_list(u->args.paths, &list, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (list[i].slot == slot)
			return false;
	return true;
}

static void on_orphan(void *arg, const struct pk_orphan *orphan)
{
	struct pk_upkeep *u = arg;

	if (orphan->kind == PK_ORPHAN_DEVICE && is_stray(u, orphan->name.slot))
		u->stats.stray = orphan->name.slot;
	if (orphan->removed) {
		u->stats.removed++;
		log_info("op=sweep removed=\"%s\" why=\"%s\"", orphan->what, orphan->why);
	} else if (!orphan->young) {
		u->stats.orphans++;
	}
}

static void sweep(void *arg)
{
	struct pk_upkeep *u = arg;
	struct pk_err err = { 0 };
	struct pk_sweep s = { .paths = u->args.paths,
			      .bpf = pk_sync_bpf(u->args.sync),
			      .found = on_orphan,
			      .arg = u,
			      .apply = true,
			      .parts = PK_SWEEP_EVERYTHING,
			      .deadline_ns = pk_now_ns() + SWEEP_NS };

	if (u->args.nomad(u->args.arg) != PK_NOMAD_OFF)
		s.alloc = alloc_state;
	u->stats.orphans = 0;
	u->stats.stray = 0;
	if (pk_sweep(&s, &err) < 0)
		log_warn("op=sweep err=\"%s\" ignoring until the next one", err.text);
	if (s.n_removed)
		u->args.swept(u->args.arg);
}

/* Unguarded it must reach nothing, whoever stands before the guard: ADD or CHECK opens it again. */
static void shut(struct pk_upkeep *u, struct pk_nl *nl, const struct pk_local_endpoint *m,
		 const struct pk_err *why)
{
	struct pk_err err = { 0 };
	struct shut *at;

	pk_nl_down(nl, m->host_ifindex);
	if (pk_nl_send(nl, &err) < 0)
		log_error("op=audit endpoint=%s err=\"%s\"", m->key, err.text);
	if (pk_endpoint_close(pk_sync_bpf(u->args.sync), m->slot, pk_sync_until(), &err) < 0)
		log_error("op=audit endpoint=%s err=\"%s\"", m->key, err.text);
	log_error("op=audit endpoint=%s device=%s err=\"%s\" closed", m->key, m->device, why->text);
	u->shut = realloc(u->shut, (u->n_shut + 1) * sizeof(*u->shut));
	if (!u->shut)
		abort();
	at = &u->shut[u->n_shut++];
	at->key = pk_strdup(m->key);
	snprintf(at->why, sizeof(at->why), "%s is closed: %.200s", m->device, why->text);
}

/* Still closed by us? Its record goes, or somebody who mended it opens it. */
static bool is_shut(const struct pk_upkeep *u, const char *key)
{
	const struct pk_local_endpoint *m = pk_model_get(u->args.model, key);

	return m && m->open && m->epoch_matches && !pk_word(pk_sync_bpf(u->args.sync), m->slot);
}

static void recount(struct pk_upkeep *u)
{
	size_t n = 0;

	for (size_t i = 0; i < u->n_shut; i++)
		if (is_shut(u, u->shut[i].key))
			u->shut[n++] = u->shut[i];
		else
			free(u->shut[i].key);
	u->n_shut = n;
	u->stats.hooks_bad = (unsigned int)n;
	snprintf(u->stats.hook_error, sizeof(u->stats.hook_error), "%s", n ? u->shut[0].why : "");
}

/* False: the guard isn't first and can't be put there. */
static bool audit_hook(struct pk_upkeep *u, struct pk_nl *nl, const struct pk_hook *hook,
		       struct pk_err *err)
{
	struct pk_hook_seen seen;

	if (pk_hook_read(nl, hook, &seen, err) < 0 || seen.state == PK_HOOK_OURS_FIRST)
		return true; /* a device that is gone is the sweep's */
	log_warn("op=audit ifindex=%u hook=%s state=%s before=\"%s\" repairing", hook->ifindex,
		 hook->egress ? "egress" : "ingress",
		 seen.state == PK_HOOK_MISSING ? "missing" : "not-first", seen.before);
	if (pk_hook_repair(nl, hook, err) == 0) {
		u->stats.hooks_repaired++;
		return true;
	}
	/* Gone meanwhile: the sweep's. */
	return !if_indextoname(hook->ifindex, (char[IF_NAMESIZE]){ 0 });
}

static void audit_endpoint(struct pk_upkeep *u, struct pk_nl *nl, const struct pk_local_endpoint *m)
{
	const struct pk_bpf *bpf = pk_sync_bpf(u->args.sync);
	struct pk_hook in = pk_guard_hook(m, bpf->prog, false);
	struct pk_hook out = pk_guard_hook(m, bpf->prog, true);
	struct pk_err err = { 0 };
	bool good = audit_hook(u, nl, &in, &err) && audit_hook(u, nl, &out, &err);

	if (!good)
		shut(u, nl, m, &err);
}

static bool is_audited(const struct pk_upkeep *u, const struct pk_local_endpoint *m)
{
	const struct pk_bpf *bpf = pk_sync_bpf(u->args.sync);

	return bpf && m->open && m->epoch_matches && pk_word(bpf, m->slot);
}

static void audit(void *arg)
{
	struct pk_upkeep *u = arg;
	struct pk_bpf *bpf = pk_sync_bpf(u->args.sync);
	struct pk_err err = { 0 };
	own_nl *nl = NULL;

	if (!bpf)
		return;
	if (pk_nl_open(&nl, &err) < 0) {
		log_warn("op=audit err=\"%s\" ignoring until the next one", err.text);
		return;
	}
	for (const struct pk_local_endpoint *m = pk_model_next(u->args.model, NULL); m;
	     m = pk_model_next(u->args.model, m))
		if (is_audited(u, m))
			audit_endpoint(u, nl, m);
	recount(u);
}

static void minute(void *arg)
{
	struct pk_upkeep *u = arg;

	pk_timer_set(u->timer, MINUTE_MS);
	read_addresses(u);
	sweep(u);
	audit(u);
	pk_sync_tidy(u->args.sync, u->args.model);
}

void pk_upkeep_now(struct pk_upkeep *u)
{
	minute(u);
}

/* Somebody changed what stands at a guard's hook. ADD's own work comes before its record. */
static bool is_guards(const struct pk_upkeep *u, const struct nlmsghdr *h)
{
	const struct tcmsg *tc = NLMSG_DATA(h);

	if (h->nlmsg_type != RTM_NEWTFILTER && h->nlmsg_type != RTM_DELTFILTER &&
	    h->nlmsg_type != RTM_DELQDISC)
		return false;
	for (const struct pk_local_endpoint *m = pk_model_next(u->args.model, NULL); m;
	     m = pk_model_next(u->args.model, m))
		if (is_audited(u, m) && (int)m->host_ifindex == tc->tcm_ifindex)
			return true;
	return false;
}

static void on_links(void *arg);

static void watch_links(struct pk_upkeep *u)
{
	if (u->links >= 0)
		u->watch = pk_watch_fd(u->args.loop, u->links, on_links, u);
}

/* An ADD is a dozen of messages: they are read together, and don't wake anybody in the midst. */
static void on_links(void *arg)
{
	struct pk_upkeep *u = arg;

	pk_watch_free(PK_MOVE(u->watch, NULL));
	pk_timer_set(u->links_timer, LINKS_MS);
}

/* Anything about links may be one that went; the sweep itself looks what is there. */
static void read_links(void *arg)
{
	struct pk_upkeep *u = arg;
	_Alignas(struct nlmsghdr) char buf[16384];
	bool gone = false, guards = false;
	ssize_t n;

	while ((n = recv(u->links, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		size_t left = (size_t)n;

		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			gone |= h->nlmsg_type == RTM_DELLINK;
			guards |= is_guards(u, h);
		}
	}
	/* More was said than fits: one of it may be that. */
	if (n < 0 && errno == ENOBUFS)
		gone = guards = true;
	if (gone)
		pk_timer_hurry(u->sweep_timer, GONE_MS);
	if (guards)
		pk_timer_hurry(u->audit_timer, GONE_MS);
	watch_links(u);
}

struct pk_upkeep *pk_upkeep_new(const struct pk_upkeep_args *args)
{
	static const int groups[] = { RTNLGRP_LINK, RTNLGRP_TC, 0 };
	struct pk_upkeep *u = pk_alloc(sizeof(*u));

	u->args = *args;
	u->timer = pk_timer_new(args->loop, minute, u);
	u->sweep_timer = pk_timer_new(args->loop, sweep, u);
	u->audit_timer = pk_timer_new(args->loop, audit, u);
	u->links = pk_nl_listen(groups, NULL);
	u->links_timer = pk_timer_new(args->loop, read_links, u);
	watch_links(u);
	read_addresses(u);
	u->reaper = pk_reaper_new(args->loop, args->sync);
	pk_timer_set(u->timer, 100); /* the first one just after start */
	return u;
}

void pk_upkeep_free(struct pk_upkeep *u)
{
	if (!u)
		return;
	pk_watch_free(u->watch);
	if (u->links >= 0)
		close(u->links);
	pk_timer_free(u->timer);
	pk_timer_free(u->sweep_timer);
	pk_timer_free(u->audit_timer);
	pk_timer_free(u->links_timer);
	pk_reaper_free(u->reaper);
	for (size_t i = 0; i < u->n_shut; i++)
		free(u->shut[i].key);
	free(u->shut);
	free(u->local);
	free(u);
}

const struct pk_upkeep_stats *pk_upkeep_stats(const struct pk_upkeep *u)
{
	return &u->stats;
}
