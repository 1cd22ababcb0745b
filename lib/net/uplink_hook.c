/* SPDX-License-Identifier: Apache-2.0 */
/* The programs at the ingress of uplinks and overlay: put there, put first, taken off. */
#include <errno.h>
#include <linux/if_ether.h>
#include <stdio.h>
#include <string.h>

#include "device.h"
#include "hook.h"
#include "own.h"
#include "picket/limits.h"
#include "uplink.h"

static struct pk_hook hook_of(const struct pk_bpf *bpf, uint32_t ifindex, enum pk_prog prog)
{
	return (struct pk_hook){ .ifindex = ifindex,
				 .prog = bpf->prog[prog],
				 .name = pk_prog_name(prog) };
}

/* Ours, of this load or an earlier one: nobody else gives a filter this name, place and number. */
static bool is_named(const struct pk_nl_filter_info *filter, const char *name)
{
	return filter->pref == PK_TC_PREF && filter->protocol == ETH_P_ALL &&
	       filter->direct_action && !strcmp(filter->name, name);
}

static bool is_ours(const struct pk_nl_filter_info *filter)
{
	return is_named(filter, pk_prog_name(PK_PROG_FROM_UPLINK));
}

/* A program of an earlier load reads maps that nobody writes any more: ours takes its place. */
static int replace_stale(struct pk_nl *nl, const struct pk_hook *hook, struct pk_err *err)
{
	own_mem struct pk_nl_filter_info *list = NULL;
	struct pk_nl_filter filter = { .ifindex = hook->ifindex,
				       .prog = hook->prog,
				       .name = hook->name };
	uint32_t own;
	size_t n = 0;
	int r = pk_prog_id(hook->prog, &own);

	if (r == 0)
		r = pk_nl_filters(nl, hook->ifindex, false, &list, &n, err);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (!is_named(&list[i], hook->name) || list[i].prog_id == own)
			continue;
		filter.handle = list[i].handle;
		pk_nl_filter(nl, &filter);
		r = pk_nl_send(nl, err);
	}
	return r;
}

/* Two of ours (a repair that was cut short) would each look at every packet. */
static int drop_doubles(struct pk_nl *nl, const struct pk_hook *hook, struct pk_err *err)
{
	own_mem struct pk_nl_filter_info *list = NULL;
	bool seen = false;
	size_t n = 0;
	int r = pk_nl_filters(nl, hook->ifindex, false, &list, &n, err);

	for (size_t i = 0; i < n && r == 0; i++) {
		if (is_named(&list[i], hook->name) && seen)
			pk_nl_filter_delete(nl, hook->ifindex, false, list[i].handle);
		seen |= is_named(&list[i], hook->name);
	}
	return r < 0 ? r : pk_nl_send(nl, err);
}

static int fail_first(struct pk_nl *nl, const struct pk_hook *hook, const struct pk_hook_seen *seen,
		      struct pk_err *err)
{
	struct pk_nl_link link = { 0 };
	struct pk_err text = { 0 };
	int r;

	pk_nl_link(nl, hook->ifindex, NULL, &link, NULL);
	r = pk_code(&text,
		    pk_fail(&text, EPERM, "uplink %s: program %u (%s) stands before %s", link.name,
			    seen->before_id, seen->before, hook->name),
		    PK_CODE_KERNEL);
	pk_fix(&text, r,
	       "find out what it does: packets that it drops or takes reach no endpoint; if it "
	       "passes all on, let it stand");
	if (err)
		*err = text;
	return r;
}

static bool is_gone(struct pk_nl *nl, uint32_t ifindex)
{
	struct pk_nl_link link;

	return pk_nl_link(nl, ifindex, NULL, &link, NULL) == -ENODEV;
}

int pk_uplink_attach(const struct pk_bpf *bpf, struct pk_nl *nl, uint32_t ifindex,
		     enum pk_prog prog, struct pk_err *err)
{
	const struct pk_hook hook = hook_of(bpf, ifindex, prog);
	struct pk_hook_seen seen;
	int r = pk_hook_read(nl, &hook, &seen, err);

	if (r == 0 && seen.state == PK_HOOK_OURS_FIRST)
		return 0;
	if (r == 0)
		r = replace_stale(nl, &hook, err);
	if (r == 0)
		r = pk_hook_repair(nl, &hook, err);
	if (r == 0)
		return drop_doubles(nl, &hook, err);
	if (is_gone(nl, ifindex))
		return 0;
	if (r == -EPERM && pk_hook_read(nl, &hook, &seen, NULL) == 0 &&
	    seen.state == PK_HOOK_NOT_FIRST)
		return fail_first(nl, &hook, &seen, err);
	return r;
}

int pk_uplinks_attach(const struct pk_bpf *bpf, const struct pk_uplink uplinks[PK_UPLINKS],
		      struct pk_nl *nl, struct pk_err *err)
{
	int result = 0;

	for (int i = 0; i < PK_UPLINKS; i++) {
		uint32_t ifindex = uplinks[i].ifindex;
		struct pk_err seen = { 0 };
		int r = 0;

		if (ifindex)
			r = pk_uplink_attach(bpf, nl, ifindex, PK_PROG_FROM_UPLINK, &seen);

		if (r == 0 || result < 0)
			continue;
		result = r;
		if (err)
			*err = seen;
	}
	return result;
}

int pk_uplink_hook(const struct pk_bpf *bpf, struct pk_nl *nl, uint32_t ifindex, enum pk_prog prog,
		   enum pk_uplink_hook *state, char before[64])
{
	static const enum pk_uplink_hook states[] = {
		[PK_HOOK_OURS_FIRST] = PK_UPLINK_FIRST,
		[PK_HOOK_NOT_FIRST] = PK_UPLINK_NOT_FIRST,
		[PK_HOOK_MISSING] = PK_UPLINK_MISSING,
	};
	const struct pk_hook hook = hook_of(bpf, ifindex, prog);
	struct pk_hook_seen seen;
	int r = pk_hook_read(nl, &hook, &seen, NULL);

	if (r < 0)
		return r;
	*state = states[seen.state];
	snprintf(before, 64, "%s", seen.before);
	return 0;
}

static bool is_kept(const struct pk_bpf *keep, uint32_t ifindex)
{
	for (int i = 0; keep && i < PK_UPLINKS; i++)
		if (keep->node.uplink[i].ifindex == ifindex)
			return true;
	return false;
}

/* 1: it was there. */
static int strip(struct pk_nl *nl, uint32_t ifindex, struct pk_err *err)
{
	own_mem struct pk_nl_filter_info *list = NULL;
	size_t n = 0, found = 0;
	int r = pk_nl_filters(nl, ifindex, false, &list, &n, err);

	for (size_t i = 0; i < n && r == 0; i++)
		if (is_ours(&list[i])) {
			pk_nl_filter_delete(nl, ifindex, false, list[i].handle);
			found++;
		}
	if (r == 0 && found)
		r = pk_nl_send(nl, err);
	if (r < 0 && is_gone(nl, ifindex))
		return 0;
	return r < 0 ? r : found > 0;
}

/* An endpoint's device has a guard, and never this. */
static bool may_have(const struct pk_nl_link *link)
{
	return link->ethernet && !pk_nl_is_host_end(link->name);
}

int pk_uplinks_strip(struct pk_nl *nl, const struct pk_bpf *keep, struct pk_err *err)
{
	own_mem struct pk_nl_link *links = NULL;
	size_t n = 0;
	int result = pk_other_links(nl, &links, &n, err);

	for (size_t i = 0; i < n; i++) {
		int r = 0;

		if (may_have(&links[i]) && !is_kept(keep, links[i].ifindex))
			r = strip(nl, links[i].ifindex, result < 0 ? NULL : err);
		result = r < 0 && result == 0 ? r : result;
	}
	return result;
}

bool pk_uplink_has_program(struct pk_nl *nl, const struct pk_nl_link *link)
{
	own_mem struct pk_nl_filter_info *list = NULL;
	size_t n = 0;

	if (!may_have(link) || pk_nl_filters(nl, link->ifindex, false, &list, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (is_ours(&list[i]))
			return true;
	return false;
}

/* A clsact without filters does nothing, whoever made it. */
static int drop_clsact(struct pk_nl *nl, uint32_t ifindex, struct pk_err *err)
{
	size_t left = 0;

	for (int egress = 0; egress < 2; egress++) {
		own_mem struct pk_nl_filter_info *list = NULL;
		size_t n = 0;
		int r = pk_nl_filters(nl, ifindex, egress, &list, &n, err);

		if (r < 0)
			return r;
		left += n;
	}
	if (left)
		return 0;
	pk_nl_clsact_delete(nl, ifindex);
	return pk_nl_send(nl, err);
}

int pk_uplink_clear(struct pk_nl *nl, const struct pk_nl_link *link, struct pk_err *err)
{
	int r = strip(nl, link->ifindex, err);

	return r > 0 ? drop_clsact(nl, link->ifindex, err) : r;
}
