/* SPDX-License-Identifier: Apache-2.0 */
/* clsact and its filters. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "nl_batch.h"
#include "picket/limits.h"

static uint32_t parent_of(bool egress)
{
	return TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
}

/*
 * CREATE without EXCL and REPLACE leaves a qdisc that is there as it is, with its filters. Both
 * kinds have one number.
 */
static void push_qdisc(struct pk_nl *nl, uint32_t ifindex, const char *kind)
{
	struct tcmsg body = {
		.tcm_ifindex = (int)ifindex,
		.tcm_parent = TC_H_CLSACT,
		.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0),
	};
	struct nl_msg *msg = pk_nl_message(RTM_NEWQDISC, NLM_F_CREATE, &body, sizeof(body));

	nla_put_string(msg, TCA_KIND, kind);
	pk_nl_push(nl, msg, "%s on link %u", kind, ifindex);
}

void pk_nl_clsact(struct pk_nl *nl, uint32_t ifindex)
{
	push_qdisc(nl, ifindex, "clsact");
}

void pk_nl_ingress(struct pk_nl *nl, uint32_t ifindex)
{
	push_qdisc(nl, ifindex, "ingress");
}

void pk_nl_no_queue(struct pk_nl *nl, uint32_t ifindex)
{
	struct tcmsg body = { .tcm_ifindex = (int)ifindex, .tcm_parent = TC_H_ROOT };
	struct nl_msg *msg =
		pk_nl_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof(body));

	nla_put_string(msg, TCA_KIND, "noqueue");
	pk_nl_push(nl, msg, "noqueue on link %u", ifindex);
}

void pk_nl_clsact_delete(struct pk_nl *nl, uint32_t ifindex)
{
	struct tcmsg body = { .tcm_ifindex = (int)ifindex, .tcm_parent = TC_H_CLSACT };

	pk_nl_push(nl, pk_nl_message(RTM_DELQDISC, 0, &body, sizeof(body)),
		   "delete clsact of link %u", ifindex);
}

static struct tcmsg filter_body(uint32_t ifindex, bool egress, uint32_t handle)
{
	return (struct tcmsg){
		.tcm_ifindex = (int)ifindex,
		.tcm_parent = parent_of(egress),
		.tcm_handle = handle ? handle : PK_TC_HANDLE,
		.tcm_info = TC_H_MAKE(PK_TC_PREF << 16, htons(ETH_P_ALL)),
	};
}

void pk_nl_filter(struct pk_nl *nl, const struct pk_nl_filter *filter)
{
	struct tcmsg body = filter_body(filter->ifindex, filter->egress, filter->handle);
	struct nl_msg *msg = pk_nl_message(RTM_NEWTFILTER, NLM_F_CREATE, &body, sizeof(body));
	struct nlattr *options;

	nla_put_string(msg, TCA_KIND, "bpf");
	options = nla_nest_start(msg, TCA_OPTIONS);
	nla_put_u32(msg, TCA_BPF_FD, (uint32_t)filter->prog);
	nla_put_string(msg, TCA_BPF_NAME, filter->name);
	nla_put_u32(msg, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	nla_nest_end(msg, options);
	pk_nl_push(nl, msg, "filter %s on link %u", filter->name, filter->ifindex);
}

void pk_nl_filter_delete(struct pk_nl *nl, uint32_t ifindex, bool egress, uint32_t handle)
{
	struct tcmsg body = filter_body(ifindex, egress, handle);
	struct nl_msg *msg = pk_nl_message(RTM_DELTFILTER, 0, &body, sizeof(body));

	nla_put_string(msg, TCA_KIND, "bpf");
	pk_nl_push(nl, msg, "delete filter %u of link %u", body.tcm_handle, ifindex);
}

struct filters {
	struct pk_nl_filter_info *list;
	size_t n, room;
};

static void read_bpf(struct nlattr *options, struct pk_nl_filter_info *info)
{
	struct nlattr *tb[TCA_BPF_MAX + 1];

	if (nla_parse_nested(tb, TCA_BPF_MAX, options, NULL) < 0)
		return;
	if (tb[TCA_BPF_ID])
		info->prog_id = nla_get_u32(tb[TCA_BPF_ID]);
	if (tb[TCA_BPF_NAME])
		nla_strlcpy(info->name, tb[TCA_BPF_NAME], sizeof(info->name));
	info->direct_action =
		tb[TCA_BPF_FLAGS] && nla_get_u32(tb[TCA_BPF_FLAGS]) & TCA_BPF_FLAG_ACT_DIRECT;
}

/* The dump shows each preference once more without a filter (handle 0): those are left out. */
static int read_filter(struct nlmsghdr *h, struct pk_nl_filter_info *info)
{
	struct nlattr *tb[TCA_MAX + 1];
	const struct tcmsg *body = nlmsg_data(h);

	memset(info, 0, sizeof(*info));
	if (h->nlmsg_type != RTM_NEWTFILTER ||
	    nlmsg_parse(h, sizeof(*body), tb, TCA_MAX, NULL) < 0 || !body->tcm_handle)
		return -EINVAL;
	info->handle = body->tcm_handle;
	info->pref = body->tcm_info >> 16;
	info->protocol = ntohs(body->tcm_info & 0xffff);
	if (tb[TCA_CHAIN])
		info->chain = nla_get_u32(tb[TCA_CHAIN]);
	if (tb[TCA_KIND])
		nla_strlcpy(info->kind, tb[TCA_KIND], sizeof(info->kind));
	if (!strcmp(info->kind, "bpf") && tb[TCA_OPTIONS])
		read_bpf(tb[TCA_OPTIONS], info);
	return 0;
}

static void add_filter(void *arg, struct nlmsghdr *h)
{
	struct filters *filters = arg;
	struct pk_nl_filter_info info;

	if (read_filter(h, &info) < 0)
		return;
	if (filters->n == filters->room) {
		filters->room = filters->room ? filters->room * 2 : 8;
		filters->list = realloc(filters->list, filters->room * sizeof(info));
		if (!filters->list)
			abort();
	}
	filters->list[filters->n++] = info;
}

int pk_nl_filters(struct pk_nl *nl, uint32_t ifindex, bool egress, struct pk_nl_filter_info **list,
		  size_t *n, struct pk_err *err)
{
	struct tcmsg body = { .tcm_ifindex = (int)ifindex, .tcm_parent = parent_of(egress) };
	struct filters filters = { 0 };
	int r = pk_nl_ask(nl, pk_nl_message(RTM_GETTFILTER, NLM_F_DUMP, &body, sizeof(body)),
			  add_filter, &filters);

	if (r < 0 && r != -EINVAL && r != -ENOENT) {
		free(filters.list);
		return pk_code(err, pk_fail(err, -r, "filters of link %u", ifindex),
			       PK_CODE_KERNEL);
	}
	*list = filters.list;
	*n = filters.n;
	return 0;
}
