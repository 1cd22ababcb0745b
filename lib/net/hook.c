/* SPDX-License-Identifier: Apache-2.0 */
#include "hook.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpfmap.h"
#include "own.h"
#include "picket/limits.h"

/* The system's <linux/bpf.h> may be older than TCX (6.6). */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS  47
#define ATTACH_BEFORE	   (1u << 3) /* BPF_F_BEFORE; before nobody named: at the head */
#define TCX_MAX		   64

static int bpf_call(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static uint32_t tcx_type(const struct pk_hook *hook)
{
	return hook->egress ? ATTACH_TCX_EGRESS : ATTACH_TCX_INGRESS;
}

int pk_hook_attach_tcx(const struct pk_hook *hook, int old, struct pk_err *err)
{
	union bpf_attr attr = { 0 };
	int r;

	/* target_ifindex shares its bytes with target_fd, as in every version of the call. */
	attr.target_fd = hook->ifindex;
	attr.attach_bpf_fd = (__u32)hook->prog;
	attr.attach_type = tcx_type(hook);
	attr.attach_flags = ATTACH_BEFORE;
	if (old >= 0) {
		attr.attach_flags = BPF_F_REPLACE;
		attr.replace_bpf_fd = (__u32)old;
	}
	if (bpf_call(BPF_PROG_ATTACH, &attr) == 0)
		return 0;
	r = pk_code(err,
		    pk_fail(err, errno, "attach %s to link %u by TCX", hook->name, hook->ifindex),
		    PK_CODE_KERNEL);
	return pk_fix(err, r, "TCX needs Linux 6.6; leave out \"hook\"");
}

/* Program ids at the TCX hook, in order. A kernel without TCX has none. */
static int read_tcx(const struct pk_hook *hook, uint32_t ids[TCX_MAX], uint32_t *n)
{
	union bpf_attr attr = { 0 };

	*n = 0;
	attr.query.target_fd = hook->ifindex;
	attr.query.attach_type = tcx_type(hook);
	attr.query.prog_ids = (__u64)(uintptr_t)ids;
	attr.query.prog_cnt = TCX_MAX;
	if (bpf_call(BPF_PROG_QUERY, &attr) < 0)
		return errno == EINVAL || errno == ENOENT || errno == EOPNOTSUPP ? 0 : -errno;
	*n = attr.query.prog_cnt;
	return 0;
}

static void note_before(struct pk_hook_seen *seen, uint32_t id, const char *what)
{
	seen->before_id = id;
	snprintf(seen->before, sizeof(seen->before), "%s", what);
}

static void look_tcx(const uint32_t *ids, uint32_t n, uint32_t own, struct pk_hook_seen *seen)
{
	for (uint32_t i = 0; i < n; i++) {
		if (ids[i] != own)
			continue;
		seen->state = i ? PK_HOOK_NOT_FIRST : PK_HOOK_OURS_FIRST;
		if (i)
			note_before(seen, ids[0], "a TCX program");
		return;
	}
}

/* The first of several of ours (left by a repair that was cut short) counts. */
static void look_filters(const struct pk_nl_filter_info *list, size_t n, uint32_t own,
			 struct pk_hook_seen *seen)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].prog_id != own || list[i].pref != PK_TC_PREF ||
		    list[i].protocol != ETH_P_ALL || !list[i].direct_action)
			continue;
		seen->handle = list[i].handle;
		seen->state = i ? PK_HOOK_NOT_FIRST : PK_HOOK_OURS_FIRST;
		if (i)
			note_before(seen, list[0].prog_id,
				    list[0].name[0] ? list[0].name : list[0].kind);
		return;
	}
}

static int fail_hook(struct pk_err *err, int r, const struct pk_hook *hook)
{
	return pk_code(err, pk_fail(err, -r, "read the hook of link %u", hook->ifindex),
		       PK_CODE_KERNEL);
}

/* An XDP program sees what comes in before every filter, and may send it elsewhere. */
static int look_xdp(struct pk_nl *nl, const struct pk_hook *hook, struct pk_hook_seen *seen,
		    struct pk_err *err)
{
	int r = pk_nl_link(nl, hook->ifindex, NULL, &seen->link, err);

	if (r < 0 || !seen->link.xdp)
		return r;
	seen->xdp = true;
	if (seen->state == PK_HOOK_OURS_FIRST)
		seen->state = PK_HOOK_NOT_FIRST;
	note_before(seen, seen->link.xdp, "an XDP program");
	return 0;
}

static int read_hook(struct pk_nl *nl, const struct pk_hook *hook, struct pk_hook_seen *seen,
		     struct pk_nl_filter_info **list, size_t *n, struct pk_err *err)
{
	uint32_t ids[TCX_MAX], n_ids = 0, own = hook->id;
	int r = own ? 0 : pk_prog_id(hook->prog, &own);

	memset(seen, 0, sizeof(*seen));
	seen->state = PK_HOOK_MISSING;
	if (r == 0)
		r = read_tcx(hook, ids, &n_ids);
	if (r < 0)
		return fail_hook(err, r, hook);
	r = pk_nl_filters(nl, hook->ifindex, hook->egress, list, n, err);
	if (r < 0)
		return r;
	if (hook->tcx)
		look_tcx(ids, n_ids, own, seen);
	else
		look_filters(*list, *n, own, seen);
	if (!hook->tcx && n_ids && seen->state == PK_HOOK_OURS_FIRST) {
		seen->state = PK_HOOK_NOT_FIRST;
		note_before(seen, ids[0], "a TCX program");
	}
	return hook->egress ? 0 : look_xdp(nl, hook, seen, err);
}

int pk_hook_read(struct pk_nl *nl, const struct pk_hook *hook, struct pk_hook_seen *seen,
		 struct pk_err *err)
{
	own_mem struct pk_nl_filter_info *list = NULL;
	size_t n;

	return read_hook(nl, hook, seen, &list, &n, err);
}

static bool handle_taken(const struct pk_nl_filter_info *list, size_t n, uint32_t handle)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].handle == handle && list[i].pref == PK_TC_PREF)
			return true;
	return false;
}

/*
 * Makes the qdisc that the filter hangs in. Its error is ignored: where the other kind of the two
 * is there already, that one serves as well.
 */
static void make_qdisc(struct pk_nl *nl, const struct pk_hook *hook)
{
	if (hook->alone)
		pk_nl_ingress(nl, hook->ifindex);
	else
		pk_nl_clsact(nl, hook->ifindex);
	pk_nl_send(nl, NULL);
}

/*
 * A new filter of the same preference goes to the head of its list; the old one of ours goes after.
 */
static int move_to_head(struct pk_nl *nl, const struct pk_hook *hook,
			const struct pk_hook_seen *seen, const struct pk_nl_filter_info *list,
			size_t n, struct pk_err *err)
{
	struct pk_nl_filter filter = { .ifindex = hook->ifindex,
				       .egress = hook->egress,
				       .prog = hook->prog,
				       .name = hook->name,
				       .handle = PK_TC_HANDLE };
	int r;

	while (handle_taken(list, n, filter.handle))
		filter.handle++;
	if (seen->state == PK_HOOK_MISSING)
		make_qdisc(nl, hook);
	pk_nl_filter(nl, &filter);
	r = pk_nl_send(nl, err);
	if (r == 0 && seen->handle) {
		pk_nl_filter_delete(nl, hook->ifindex, hook->egress, seen->handle);
		r = pk_nl_send(nl, err);
	}
	return r;
}

static int fail_first(const struct pk_hook *hook, const struct pk_hook_seen *seen,
		      struct pk_err *err)
{
	int r = pk_code(err,
			pk_fail(err, EPERM, "link %u: program %u (%s) stands before the guard",
				hook->ifindex, seen->before_id, seen->before),
			PK_CODE_KERNEL);

	return pk_fix(err, r, "remove it; then the next CHECK opens the endpoint");
}

static int repair_tcx(struct pk_nl *nl, const struct pk_hook *hook, struct pk_hook_seen *seen,
		      struct pk_err *err)
{
	int r;

	if (seen->state == PK_HOOK_NOT_FIRST)
		return fail_first(hook, seen, err);
	r = pk_hook_attach_tcx(hook, -1, err);
	return r < 0 ? r : pk_hook_read(nl, hook, seen, err);
}

int pk_hook_repair(struct pk_nl *nl, const struct pk_hook *hook, struct pk_err *err)
{
	own_mem struct pk_nl_filter_info *list = NULL;
	struct pk_hook_seen seen;
	size_t n = 0;
	int r = read_hook(nl, hook, &seen, &list, &n, err);

	if (r < 0 || seen.state == PK_HOOK_OURS_FIRST)
		return r;
	if (seen.xdp)
		return fail_first(hook, &seen, err);
	if (hook->tcx) {
		r = repair_tcx(nl, hook, &seen, err);
	} else {
		r = move_to_head(nl, hook, &seen, list, n, err);
		if (r == 0)
			r = pk_hook_read(nl, hook, &seen, err);
	}
	if (r < 0)
		return r;
	return seen.state == PK_HOOK_OURS_FIRST ? 0 : fail_first(hook, &seen, err);
}

int pk_hook_replace(struct pk_nl *nl, const struct pk_hook *hook, int old, struct pk_err *err)
{
	struct pk_hook was = *hook;
	struct pk_hook_seen seen;
	struct pk_nl_filter filter = { .ifindex = hook->ifindex,
				       .egress = hook->egress,
				       .prog = hook->prog,
				       .name = hook->name };
	int r;

	was.prog = old;
	was.id = 0;
	r = pk_hook_read(nl, &was, &seen, err);
	if (r < 0)
		return r;
	if (seen.state == PK_HOOK_MISSING)
		return pk_hook_repair(nl, hook, err);
	if (hook->tcx)
		return pk_hook_attach_tcx(hook, old, err);
	filter.handle = seen.handle;
	pk_nl_filter(nl, &filter);
	return pk_nl_send(nl, err);
}
