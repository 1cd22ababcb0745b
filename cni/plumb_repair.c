/* SPDX-License-Identifier: Apache-2.0 */
/* Mends a live endpoint, for CHECK and for ADD again. */
#include <errno.h>
#include <string.h>

#include "log.h"
#include "own.h"
#include "plumb_private.h"
#include "stack.h"

/* Attaches the current build's program again where it is lost or another stands before it. */
static int mend_hook(struct cni_plumb *p, struct pk_nl *nl, enum pk_prog prog, struct pk_err *err)
{
	const struct pk_hook hook = cni_plumb_hook(p, prog);

	return pk_hook_repair(nl, &hook, err);
}

/* Returns -ENODEV where the tap is gone, and logs whatever else is wrong with it. */
static int look_at_tap(const struct cni_plumb *p, struct pk_nl *nl, const struct pk_tap *tap)
{
	struct pk_err seen = { 0 };
	int r;

	/* The tap's owner may have set a longer queue than one endpoint should have. */
	pk_nl_queue_length(nl, tap->ifindex, pk_tap_frames(tap->queues));
	pk_nl_send(nl, NULL);
	r = pk_tap_check(nl, tap, &seen);
	if (r == 0 || r == -ENODEV)
		return r;
	log_warn("op=check container=%s tap=%s err=\"%s\" ignoring: the guard is not there",
		 p->record->container_id, tap->name, seen.text);
	return 0;
}

/* Makes a lost tap again: its owner can clear its persistence, and it then goes with the VMM. */
static int mend_tap(struct cni_plumb *p, struct pk_err *err)
{
	const struct pk_record *rec = p->record;
	const struct pk_tap tap = cni_plumb_tap(p);
	int r = look_at_tap(p, p->inside, &tap);

	if (r == -ENODEV) {
		r = pk_tap_create(&tap, &p->tap_fd, err);
		if (r == 0) {
			pk_nl_no_addrgen(p->inside, rec->tap_ifindex);
			pk_nl_no_queue(p->inside, rec->tap_ifindex);
			r = pk_nl_send(p->inside, err);
		}
		return r;
	}
	return r;
}

static int mend_inside(struct cni_plumb *p, struct pk_err *err)
{
	own_visit visit = PK_NETNS_VISIT_NONE;
	const enum pk_prog *progs;
	const struct pk_tap tap = cni_plumb_tap(p);
	size_t n = cni_plumb_inside(p, &progs);
	int r;

	if (p->record->host_tap)
		look_at_tap(p, p->at_home, &tap);
	if (p->record->process || p->record->host_tap)
		return 0;
	r = pk_netns_enter_from(p->ns, &p->home, &visit, err);
	if (r < 0)
		return r;
	r = mend_tap(p, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = mend_hook(p, p->inside, progs[i], err);
	return r;
}

/* Sets the host end's sysctls again: whoever writes the node's forwarding resets every device's. */
static int mend_settings(struct cni_plumb *p, struct pk_err *err)
{
	const struct pk_record *rec = p->record;
	const struct pk_host_end end = { rec->slot, rec->host_ifindex, rec->eth_ifindex };
	struct pk_nl_link link;
	const char *wrong;
	int r = pk_host_end_find(p->at_home, &end, &link, err);

	if (r < 0)
		return r;
	wrong = pk_stack_wrong(&link);
	if (!wrong)
		return 0;
	log_warn("op=check container=%s device=%s setting=\"%s\" mending it", rec->container_id,
		 link.name, wrong);
	return pk_stack_mend(p->at_home, &link, err);
}

int cni_plumb_repair(struct cni_plumb *p, struct pk_err *err)
{
	int r = mend_hook(p, p->at_home, PK_PROG_FROM_ENDPOINT, err);

	if (r == 0)
		r = mend_hook(p, p->at_home, PK_PROG_TO_ENDPOINT, err);
	if (r == 0)
		r = mend_settings(p, err);
	if (r == 0)
		r = mend_inside(p, err);
	if (r == 0)
		r = cni_plumb_up(p, err);
	return r;
}
