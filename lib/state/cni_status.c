/* SPDX-License-Identifier: Apache-2.0 */
#include "cni_status.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "bpfobj.h"
#include "ipam.h"
#include "eplease.h"
#include "own.h"
#include "settings.h"

static int would_fail(struct pk_err *err, int r, const char *fix)
{
	if (err)
		err->code = PK_CODE_NOT_AVAILABLE;
	return pk_fix(err, r, "%s", fix);
}

static int check_address(const struct pk_paths *paths, struct cni_ipam ipam, struct pk_err *err)
{
	const struct pk_lease_dir dir = pk_leases_now(paths);
	own_mem struct pk_lease *leases = NULL;
	union pk_addr addr;
	int r = 0;

	if (access(paths->leases, F_OK) < 0 && errno == ENOENT)
		return 0;
	r = pk_leases_read(&dir, &leases, &ipam.n_leases, err);
	ipam.leases = leases;
	for (int v6 = 0; v6 <= 1 && r == 0; v6++)
		if (cni_ipam_has_family(&ipam, v6) && !cni_ipam_pick(&ipam, v6, 0, &addr))
			r = pk_fail(err, ENOSPC, "no free IPv%d address in the pool", v6 ? 6 : 4);
	return r < 0 ? would_fail(err, r, "add a block to the conflist's \"pool\"") : 0;
}

/* Chooses the blocks that ADD would choose. s is of node.json; ipam points into it. */
static int choose_blocks(struct pk_settings *s, const struct cni_conf *conf, struct cni_ipam *ipam,
			 struct pk_err *err)
{
	bool claimed = s->claimed;
	int r;

	*ipam = (struct cni_ipam){ .pool = claimed ? s->blocks : conf->pool,
				   .n_pools = claimed ? s->n_blocks : conf->n_pools,
				   .gateway = conf->gateway };
	if (claimed && conf->n_pools) {
		r = pk_fail(err, 0,
			    "the conflist names a \"pool\", and this node claims its blocks");
		return would_fail(err, r, "drop \"pool\", or \"claim\" from picketd.json");
	}
	if (claimed) {
		r = pk_settings_check_blocks(s, time(NULL), err);
		if (r < 0 && err)
			err->code = PK_CODE_NOT_AVAILABLE;
		return r;
	}
	if (conf->n_pools)
		return 0;
	r = pk_fail(err, 0, "the conflist names no \"pool\"");
	return would_fail(err, r, "say \"pool\": \"10.40.7.0/24\"");
}

int cni_status(const struct pk_paths *paths, const struct cni_conf *conf, uint64_t deadline_ns,
	       struct pk_err *err)
{
	struct pk_err seen = { 0 };
	PK_OWN(pk_settings_done) struct pk_settings s = { 0 };
	struct cni_ipam ipam;
	own_bpf *bpf = NULL;
	int r;

	pk_settings_init(&s);
	pk_settings_read(&s, paths->node_json, NULL);
	r = choose_blocks(&s, conf, &ipam, err);
	if (r == 0)
		r = pk_bpffs_check(paths, err);
	if (r < 0)
		return would_fail(err, r, "`picket check` says more");
	r = pk_bpf_open(&bpf, paths, PK_BPF_READ, NULL, deadline_ns, &seen);
	if (r < 0 && r != -ENOENT) {
		if (err)
			*err = seen;
		return would_fail(err, r, "`picket check` says more");
	}
	return check_address(paths, ipam, err);
}
