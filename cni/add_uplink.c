/* SPDX-License-Identifier: Apache-2.0 */
/* Brings the tables in step with the node's uplinks and attaches the uplinks' program. */
#include <errno.h>

#include "add.h"
#include "log.h"
#include "own.h"
#include "uplink.h"

static void log_notes(const struct cni_add *add, const struct pk_uplinks *found)
{
	for (size_t i = 0; i < found->n_notes; i++)
		log_warn("op=add container=%s err=\"%s\" fix=\"%s\"", add->call->env.container_id,
			 found->note[i].text, found->note[i].fix);
}

/*
 * A published port needs the uplinks' program for its answers, so the ADD fails without it. An
 * endpoint that only lacks the way to the world starts, and reaches its own tenant.
 */
static int attach(const struct cni_add *add, const struct pk_uplink uplinks[PK_UPLINKS],
		  struct pk_nl *nl, struct pk_err *err)
{
	struct pk_err seen = { 0 };
	int r = pk_uplinks_attach(add->bpf, uplinks, nl, &seen);

	if (r == 0)
		return 0;
	if (r != -EPERM && add->call->conf.n_ports) {
		*err = seen;
		return r;
	}
	log_warn("op=add container=%s err=\"%s\" fix=\"%s\" ignoring", add->call->env.container_id,
		 seen.text, seen.fix);
	return 0;
}

/* Reads the node's uplinks anew, logs which devices were left out, and writes them. */
static int find(struct cni_add *add, struct pk_nl *nl, struct pk_err *err)
{
	struct pk_uplinks found;
	int r = pk_uplinks_find(nl, &add->settings.uplinks, &found, err);

	if (r < 0)
		return r;
	log_notes(add, &found);
	r = pk_uplinks_refused(&found, err);
	if (r == 0)
		r = attach(add, found.list, nl, err);
	return r == 0 ? pk_uplinks_write(add->bpf, &found, add->call->deadline_ns, err) : r;
}

int cni_add_uplinks(struct cni_add *add, struct pk_err *err)
{
	const struct pk_masquerade *m = &add->settings.masquerade;
	struct pk_nl *nl = add->plumb.at_home;

	if (!add->call->conf.n_ports && !m->ipv4 && !m->ipv6)
		return 0;
	if (add->bpf->loaded || !pk_uplinks_are_true(add->bpf, nl))
		return find(add, nl, err);
	return attach(add, add->bpf->node.uplink, nl, err);
}
