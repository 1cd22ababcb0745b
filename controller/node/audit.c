/* SPDX-License-Identifier: Apache-2.0 */
#include "audit.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpfmap.h"
#include "device.h"
#include "fs.h"
#include "guard.h"
#include "log.h"
#include "netns.h"
#include "nl.h"
#include "own.h"
#include "picket/limits.h"
#include "stack.h"
#include "tables.h"

#define SOON_MS	 10
#define PAUSE_MS 20 /* between two turns */
#define TURN_NS	 5000000

/* An endpoint that the audit has closed, since its guard can't be first. */
struct shut {
	char *key;
	bool netns; /* but for its netns, which is another's by now */
	char why[256];
};

struct pk_audit {
	struct pk_loop *loop;
	struct pk_model *model;
	struct pk_sync *sync;
	struct pk_timer *timer;
	struct pk_audit_stats stats;
	bool asked[PK_CAPACITY_MAX + 1];      /* slots to be looked at */
	uint32_t ids[2];		      /* of the guard's programs, in and out */
	uint32_t at;			      /* the next slot of the turn that is under way */
	uint32_t queues[PK_CAPACITY_MAX + 1]; /* attached, where they are too many; else 0 */
	uint32_t may[PK_CAPACITY_MAX + 1];    /* be attached there */
	bool lost[PK_CAPACITY_MAX + 1];	      /* slots whose netns has no name any more */
	struct shut *shut;
	size_t n_shut;
};

/*
 * Closes an endpoint whose guard isn't first: unguarded it must reach nothing. ADD or CHECK opens
 * it again.
 */
static struct shut *shut(struct pk_audit *a, struct pk_nl *nl, const struct pk_local_endpoint *m,
			 const struct pk_err *why)
{
	struct pk_err err = { 0 };
	struct shut *at;

	pk_nl_down(nl, m->host_ifindex);
	if (pk_nl_send(nl, &err) < 0)
		log_error("op=audit endpoint=%s err=\"%s\"", m->key, err.text);
	if (pk_endpoint_close(pk_sync_bpf(a->sync), m->slot, pk_sync_until(), &err) < 0)
		log_error("op=audit endpoint=%s err=\"%s\"", m->key, err.text);
	log_error("op=audit endpoint=%s device=%s err=\"%s\" closed", m->key, m->device, why->text);
	a->shut = realloc(a->shut, (a->n_shut + 1) * sizeof(*a->shut));
	if (!a->shut)
		abort();
	at = &a->shut[a->n_shut++];
	*at = (struct shut){ .key = pk_strdup(m->key) };
	snprintf(at->why, sizeof(at->why), "%s is closed: %.200s", m->device, why->text);
	return at;
}

/*
 * Returns whether the endpoint is still closed by the audit: its record may have gone, or somebody
 * mended and opened it.
 */
static bool is_shut(const struct pk_audit *a, const char *key)
{
	const struct pk_local_endpoint *m = pk_model_get(a->model, key);

	return m && m->open && m->epoch_matches && !pk_word(pk_sync_bpf(a->sync), m->slot);
}

static const struct pk_local_endpoint *endpoint_of(const struct pk_audit *a, uint32_t slot)
{
	const struct pk_local_endpoint *m = pk_model_by_slot(a->model, slot);

	return m && m->open && m->epoch_matches && pk_word(pk_sync_bpf(a->sync), slot) ? m : NULL;
}

static void recount_taps(struct pk_audit *a)
{
	struct pk_audit_stats *s = &a->stats;

	s->taps_over = 0;
	*s->tap_error = 0;
	for (uint32_t slot = 1; slot <= PK_CAPACITY_MAX; slot++) {
		const struct pk_local_endpoint *m = a->queues[slot] ? endpoint_of(a, slot) : NULL;

		if (m && s->taps_over++ == 0)
			snprintf(
				s->tap_error, sizeof(s->tap_error),
				"%.160s has %u queues of its tap attached and may have %u: it gets "
				"no packet",
				m->key, a->queues[slot], a->may[slot]);
	}
}

static void recount_netns(struct pk_audit *a)
{
	struct pk_audit_stats *s = &a->stats;

	s->netns_lost = 0;
	*s->netns_error = 0;
	for (size_t i = 0; i < a->n_shut; i++)
		if (a->shut[i].netns && s->netns_lost++ == 0)
			snprintf(s->netns_error, sizeof(s->netns_error), "%s", a->shut[i].why);
	for (uint32_t slot = 1; slot <= PK_CAPACITY_MAX; slot++) {
		const struct pk_local_endpoint *m = a->lost[slot] ? endpoint_of(a, slot) : NULL;

		if (m && s->netns_lost++ == 0)
			snprintf(s->netns_error, sizeof(s->netns_error),
				 "%.100s lost its netns: there is none at %.120s any more, and its "
				 "device is there",
				 m->key, m->netns);
	}
}

static void recount(struct pk_audit *a)
{
	const char *error = "";
	size_t n = 0;

	for (size_t i = 0; i < a->n_shut; i++)
		if (is_shut(a, a->shut[i].key))
			a->shut[n++] = a->shut[i];
		else
			free(a->shut[i].key);
	a->n_shut = n;
	a->stats.bad = 0;
	for (size_t i = n; i-- > 0;)
		if (!a->shut[i].netns) {
			a->stats.bad++;
			error = a->shut[i].why;
		}
	snprintf(a->stats.error, sizeof(a->stats.error), "%s", error);
	recount_netns(a);
	recount_taps(a);
}

/* Mends a hook. Returns false where the guard isn't first and can't be put there. */
static bool audit_hook(struct pk_audit *a, struct pk_nl *nl, const struct pk_hook *hook,
		       struct pk_nl_link *link, struct pk_err *err)
{
	struct pk_hook_seen seen;
	int r = pk_hook_read(nl, hook, &seen, err);

	if (link)
		*link = seen.link;
	if (r < 0 || seen.state == PK_HOOK_OURS_FIRST)
		return true; /* a device that is gone is the sweep's */
	log_warn("op=audit ifindex=%u hook=%s state=%s before=\"%s\" repairing", hook->ifindex,
		 hook->egress ? "egress" : "ingress",
		 seen.state == PK_HOOK_MISSING ? "missing" : "not-first", seen.before);
	if (pk_hook_repair(nl, hook, err) == 0) {
		a->stats.repaired++;
		return true;
	}
	/* A device that went meanwhile is left to the sweep. */
	return !if_indextoname(hook->ifindex, (char[IF_NAMESIZE]){ 0 });
}

/*
 * Sets the host end's sysctls again: whoever writes the node's own forwarding resets each device's.
 */
static void audit_stack(struct pk_audit *a, struct pk_nl *nl, const struct pk_local_endpoint *m,
			const struct pk_nl_link *link)
{
	const char *wrong = pk_stack_wrong(link);
	struct pk_err err = { 0 };

	if (!wrong)
		return;
	log_warn("op=audit device=%s setting=\"%s\" err=\"somebody changed it\" repairing",
		 m->device, wrong);
	if (pk_stack_mend(nl, link, &err) == 0)
		a->stats.repaired++;
	else
		log_error("op=audit device=%s err=\"%s\" ignoring until the next one", m->device,
			  err.text);
}

/*
 * Looks at the tap's queues. The tap's ifindex in the allocation's namespace is the one after
 * eth0's.
 */
static void audit_tap(struct pk_audit *a, struct pk_nl *nl, const struct pk_local_endpoint *m,
		      const struct pk_nl_link *host_end)
{
	struct pk_nl_link tap = *host_end;
	bool had = a->queues[m->slot];

	a->queues[m->slot] = 0;
	if (!m->host_tap &&
	    (strcmp(m->mode, "vm") != 0 || host_end->peer_netns < 0 ||
	     pk_nl_link_at(nl, host_end->peer_netns, host_end->peer + 1, &tap, NULL) < 0))
		return;
	if (strcmp(tap.kind, "tun") != 0 || !tap.tx_queue_len ||
	    (uint64_t)tap.tun.queues * tap.tx_queue_len <= PK_TAP_FRAMES)
		return;
	a->queues[m->slot] = tap.tun.queues;
	a->may[m->slot] = PK_TAP_FRAMES / tap.tx_queue_len;
	if (!had)
		log_warn(
			"op=audit endpoint=%s tap=%s queues=%u may=%u err=\"too many are attached: "
			"it gets no packet\"",
			m->key, tap.name, a->queues[m->slot], a->may[m->slot]);
}

static void audit_devices(struct pk_audit *a, struct pk_nl *nl, const struct pk_local_endpoint *m,
			  const struct pk_nl_link *link)
{
	const struct pk_host_end end = { .slot = m->slot, .ifindex = m->host_ifindex };

	if (!pk_host_end_is(link, &end))
		return;
	audit_stack(a, nl, m, link);
	audit_tap(a, nl, m, link);
}

/*
 * Compares the netns at the record's path with the record's. Nomad calls CHECK only beside a
 * reference plugin, so a netns that was made anew shows here first. What is then started by the
 * path has no network, and what stays in the old netns has nobody who deletes it: the endpoint is
 * closed, as the ADD that is due would do. A path below /proc is a process's, and says nothing of
 * its netns once that process is gone. Returns whether it was closed.
 */
static bool audit_netns(struct pk_audit *a, struct pk_nl *nl, const struct pk_local_endpoint *m)
{
	struct pk_err why = { 0 };
	ino_t inode;
	int r;

	a->lost[m->slot] = false;
	if (!m->netns || strncmp(m->netns, "/proc/", 6) == 0 ||
	    pk_netns_is(m->netns, m->netns_inode))
		return false;
	r = pk_netns_inode(m->netns, &inode);
	if (r == 0 && inode == m->netns_inode)
		return false;
	a->lost[m->slot] = r < 0;
	if (r < 0)
		return false;
	pk_fail(&why, 0, "%.160s is another netns than at its ADD", m->netns);
	shut(a, nl, m, &why)->netns = true;
	return true;
}

static void audit_endpoint(struct pk_audit *a, struct pk_nl *nl, const struct pk_local_endpoint *m)
{
	const struct pk_bpf *bpf = pk_sync_bpf(a->sync);
	struct pk_hook in = pk_guard_hook(m, bpf->prog, false);
	struct pk_hook out = pk_guard_hook(m, bpf->prog, true);
	struct pk_nl_link link = { 0 };
	struct pk_err err = { 0 };

	in.id = a->ids[0];
	out.id = a->ids[1];
	if (!audit_hook(a, nl, &in, &link, &err) || !audit_hook(a, nl, &out, NULL, &err))
		shut(a, nl, m, &err);
	else if (!audit_netns(a, nl, m))
		audit_devices(a, nl, m, &link);
}

/* Asks for the programs' ids once a turn; 0: not known. */
static void read_ids(struct pk_audit *a)
{
	const int *prog = pk_sync_bpf(a->sync)->prog;
	const enum pk_prog which[2] = { PK_PROG_FROM_ENDPOINT, PK_PROG_TO_ENDPOINT };

	for (size_t i = 0; i < PK_ARRAY_LEN(which); i++)
		if (pk_prog_id(prog[which[i]], &a->ids[i]) < 0)
			a->ids[i] = 0;
}

/* Looks at some endpoints. Returns true once every slot that was asked for has been looked at. */
static bool turn(struct pk_audit *a, struct pk_nl *nl)
{
	const uint64_t until_ns = pk_now_ns() + TURN_NS;
	const uint32_t capacity = pk_sync_bpf(a->sync)->node.capacity;

	for (; a->at <= capacity; a->at++) {
		const struct pk_local_endpoint *m;

		if (!a->asked[a->at])
			continue;
		if (pk_now_ns() > until_ns)
			return false;
		a->asked[a->at] = false;
		m = endpoint_of(a, a->at);
		if (m)
			audit_endpoint(a, nl, m);
	}
	a->at = 1;
	return true;
}

static void on_timer(void *arg)
{
	struct pk_audit *a = arg;
	struct pk_err err = { 0 };
	own_nl *nl = NULL;

	if (!pk_sync_bpf(a->sync))
		return;
	if (pk_nl_open(&nl, &err) < 0) {
		log_warn("op=audit err=\"%s\" ignoring until the next one", err.text);
		return;
	}
	read_ids(a);
	if (turn(a, nl))
		recount(a);
	else
		pk_timer_set(a->timer, PAUSE_MS);
}

void pk_audit_all(struct pk_audit *a)
{
	memset(a->asked, true, sizeof(a->asked));
	a->at = 1;
	pk_timer_hurry(a->timer, 0);
}

void pk_audit_device(struct pk_audit *a, uint32_t ifindex)
{
	const struct pk_bpf *bpf = pk_sync_bpf(a->sync);
	uint32_t slot;

	if (!bpf || pk_map_get(bpf->map[PK_MAP_SLOTS], &ifindex, &slot) < 0 ||
	    slot > PK_CAPACITY_MAX || !endpoint_of(a, slot))
		return;
	a->asked[slot] = true;
	a->at = 1;
	pk_timer_hurry(a->timer, SOON_MS);
}

struct pk_audit *pk_audit_new(struct pk_loop *loop, struct pk_model *model, struct pk_sync *sync)
{
	struct pk_audit *a = pk_alloc(sizeof(*a));

	a->loop = loop;
	a->model = model;
	a->sync = sync;
	a->at = 1;
	a->timer = pk_timer_new(loop, on_timer, a);
	return a;
}

void pk_audit_free(struct pk_audit *a)
{
	if (!a)
		return;
	pk_timer_free(a->timer);
	for (size_t i = 0; i < a->n_shut; i++)
		free(a->shut[i].key);
	free(a->shut);
	free(a);
}

const struct pk_audit_stats *pk_audit_stats(const struct pk_audit *a)
{
	return &a->stats;
}
