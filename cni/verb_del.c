/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DEL works from container id and record alone, since it gets no CNI_ARGS, and succeeds when things
 * are gone. Nomad never repeats it: what can't be finished now is left to the sweep, which finds
 * the closed record.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "endpoint.h"
#include "epfind.h"
#include "fault.h"
#include "log.h"
#include "own.h"
#include "state.h"

/*
 * Opens the tables, where they can be used. With none loaded (after a reboot, before any ADD), or
 * of another layout, DEL has only files to clear.
 */
static int open_tables(const struct cni_call *call, struct pk_bpf **bpf)
{
	struct pk_err err = { 0 };
	int r = pk_bpf_open(bpf, &call->paths, PK_BPF_READ, NULL, call->deadline_ns, &err);

	if (r < 0 && r != -ENOENT)
		log_warn("op=del container=%s err=\"%s\" closing the device and the record alone",
			 call->env.container_id, err.text);
	return r;
}

/* Clears what a killed ADD left, without a record or beside one from before a reboot. */
static int forget(const struct cni_call *call, struct pk_bpf *bpf,
		  const struct pk_record_name *name, struct pk_err *err)
{
	own_netns ns = PK_NETNS_NONE;
	char tap[] = CNI_TAP_NAME;
	struct pk_err gone = { 0 };
	struct cni_leftover left = {
		.paths = &call->paths, .bpf = bpf, .who = name, .deadline_ns = call->deadline_ns
	};

	if (cni_netns_open(call->env.netns, &ns, &gone) == 0) {
		left.ns = &ns;
		left.tap = call->conf.process || call->conf.host_tap ? NULL : tap;
	}
	return cni_endpoint_forget(&left, err);
}

static int delete_one(struct cni_call *call, struct pk_bpf *bpf, struct pk_record_name *name,
		      struct pk_err *err)
{
	int r = pk_endpoint_find(&call->paths, bpf, name->container_id, name->ifname, name, err);
	bool unknown = r == -ENOENT;

	if (unknown)
		*err = (struct pk_err){ 0 };
	if (r < 0 && !unknown)
		return r;
	r = unknown ? 0 : cni_endpoint_del(&call->paths, bpf, name, call->deadline_ns, err);
	if (r == 0 && bpf && (unknown || cni_endpoint_has_other(bpf, name)))
		r = forget(call, bpf, name, err);
	return r;
}

int cni_verb_del(struct cni_call *call, struct pk_str *out, struct pk_err *err)
{
	struct pk_record_name name = { 0 };
	own_bpf *bpf = NULL;
	own_fd int lock = -1;
	int r;

	(void)out;
	if (access(call->paths.lock, F_OK) < 0 && access(call->paths.endpoints, F_OK) < 0)
		return 0; /* no ADD was ever here, and DEL makes nothing */
	strcpy(name.container_id, call->env.container_id);
	strcpy(name.ifname, call->env.ifname);
	r = cni_state_make(&call->paths, err);
	if (r == 0)
		r = pk_endpoint_lock(&call->paths, call->env.container_id, call->deadline_ns, &lock,
				     err);
	pk_fault("del-locked");
	if (r < 0)
		return r;
	open_tables(call, &bpf);
	r = delete_one(call, bpf, &name, err);
	return pk_code(err, r, PK_CODE_STATE);
}
