/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * CHECK mends and hardly ever fails: on an error Nomad makes a new netns and ADDs again, and a task
 * that survived stays in the old one.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "endpoint.h"
#include "log.h"
#include "node.h"
#include "own.h"
#include "state.h"

static int unknown(const struct cni_call *call, struct pk_err *err)
{
	pk_fail(err, 0, "no endpoint %s@%s on this node", call->env.container_id, call->env.ifname);
	return pk_code(err, -ENOENT, PK_CODE_UNKNOWN_CONTAINER);
}

static int find(const struct cni_call *call, struct pk_record *rec, struct pk_err *err)
{
	struct pk_record_name name;
	int r = pk_record_find(&call->paths, call->env.container_id, call->env.ifname, &name, err);

	if (r == -ENOENT)
		return unknown(call, err);
	if (r == 0)
		r = pk_record_read(&call->paths, &name, rec, err);
	return pk_code(err, r, PK_CODE_STATE);
}

static int same_netns(const struct cni_call *call, const struct pk_record *rec,
		      const struct pk_netns *ns, struct pk_err *err)
{
	if (ns->inode == rec->netns_inode)
		return 0;
	pk_fail(err, 0, "CNI_NETNS %s is not the network namespace of this endpoint",
		call->env.netns);
	return pk_code(err, -ESTALE, PK_CODE_NETNS);
}

static int mend(struct cni_call *call, struct pk_bpf *bpf, struct pk_record *rec,
		const struct pk_netns *ns, struct pk_err *err)
{
	PK_OWN(pk_settings_done) struct pk_settings settings = { 0 };
	const struct cni_args none = { 0 };
	own_plumb plumb = CNI_PLUMB_NONE;
	struct pk_err seen = { 0 };
	int r;

	if (cni_settings(&call->conf, &none, &call->paths, &settings, &seen) < 0)
		log_warn("op=check container=%s err=\"%s\" ignoring", rec->container_id, seen.text);
	plumb.bpf = bpf;
	plumb.ns = ns;
	plumb.record = rec;
	plumb.deadline_ns = call->deadline_ns;
	r = cni_plumb_open(&plumb, err);
	if (r == 0)
		r = cni_endpoint_repair(bpf, &plumb, &settings, call->deadline_ns, err);
	return r;
}

int cni_verb_check(struct cni_call *call, struct pk_str *out, struct pk_err *err)
{
	own_record rec = { 0 };
	own_netns ns = PK_NETNS_NONE;
	own_bpf *bpf = NULL;
	own_fd int lock = -1;
	int r;

	(void)out;
	if (access(call->paths.endpoints, F_OK) < 0)
		return unknown(call, err);
	r = cni_netns_open(call->env.netns, &ns, err);
	if (r == 0)
		r = cni_state_make(&call->paths, err);
	if (r == 0)
		r = cni_lock(&call->paths, call->env.container_id, call->deadline_ns, &lock, err);
	if (r == 0)
		r = find(call, &rec, err);
	if (r == 0)
		r = same_netns(call, &rec, &ns, err);
	if (r == 0)
		r = pk_bpf_open(&bpf, &call->paths, PK_BPF_READ, NULL, call->deadline_ns, err);
	if (r < 0)
		return r;
	if (!pk_bpf_same_epoch(bpf, rec.epoch)) {
		pk_fail(err, 0, "the tables were loaded anew since this endpoint's ADD");
		return pk_code(err, -ESTALE, PK_CODE_LAYOUT);
	}
	return mend(call, bpf, &rec, &ns, err);
}
