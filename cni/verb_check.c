/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CHECK mends, and fails only without a record or in another netns: after an error Nomad makes a
 * new netns and ADDs again, and a task that survived would stay in the old one without network.
 * The log says what can't be mended. A guard that isn't first closes the endpoint.
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

static int mend(const struct cni_call *call, struct pk_bpf *bpf, struct pk_record *rec,
		const struct pk_netns *ns, struct pk_err *err)
{
	PK_OWN(pk_settings_done) struct pk_settings settings = { 0 };
	const struct cni_args none = { 0 };
	own_plumb plumb = CNI_PLUMB_NONE;
	struct cni_attachment attachment;
	struct pk_err seen = { 0 };
	char host[16];
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
	cni_attachment_of(rec, &call->conf.dns, host, &attachment);
	return r == 0 ? cni_driver_file_write(&call->paths, rec, &attachment, err) : r;
}

static int open_and_mend(const struct cni_call *call, struct pk_record *rec,
			 const struct pk_netns *ns, struct pk_err *err)
{
	own_bpf *bpf = NULL;
	int r = pk_bpf_open(&bpf, &call->paths, PK_BPF_READ, NULL, call->deadline_ns, err);

	if (r < 0)
		return r;
	if (!pk_bpf_same_epoch(bpf, rec->epoch))
		return pk_fail(err, ESTALE,
			       "the tables were loaded anew since this endpoint's ADD");
	return mend(call, bpf, rec, ns, err);
}

/* Takes the lock, reads the record and compares the netns. */
static int look(const struct cni_call *call, int *lock, struct pk_record *rec, struct pk_netns *ns,
		struct pk_err *err)
{
	int r = cni_netns_open(call->env.netns, ns, err);

	if (r == 0)
		r = cni_state_make(&call->paths, err);
	if (r == 0)
		r = pk_endpoint_lock(&call->paths, call->env.container_id, call->deadline_ns, lock,
				     err);
	if (r == 0)
		r = find(call, rec, err);
	return r == 0 ? same_netns(call, rec, ns, err) : r;
}

static bool is_an_answer(const struct pk_err *err)
{
	return err->code == PK_CODE_UNKNOWN_CONTAINER || err->code == PK_CODE_NETNS ||
	       err->code == PK_CODE_ENV;
}

int cni_verb_check(struct cni_call *call, struct pk_str *out, struct pk_err *err)
{
	own_record rec = { 0 };
	own_netns ns = PK_NETNS_NONE;
	own_fd int lock = -1;
	int r;

	(void)out;
	if (access(call->paths.endpoints, F_OK) < 0 && errno == ENOENT)
		return unknown(call, err);
	cni_dns_fill(&call->conf, &call->paths, NULL);
	r = look(call, &lock, &rec, &ns, err);
	if (r < 0 && is_an_answer(err))
		return r;
	if (r == 0)
		r = open_and_mend(call, &rec, &ns, err);
	if (r < 0)
		log_error("op=check container=%s err=\"%s\" fix=\"%s\" running on as it is",
			  call->env.container_id, err->text, err->fix);
	return 0;
}
