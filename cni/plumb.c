/* SPDX-License-Identifier: Apache-2.0 */
#include "plumb.h"
#include "addr.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fault.h"
#include "log.h"
#include "own.h"
#include "picket/limits.h"
#include "plumb_private.h"
#include "selftest.h"
#include "stack.h"

#define PAIRS_TRIED 64 /* even ifindexes that are tried for eth0, with the next for tap0 */
#define LOOPBACK    1

static const union pk_addr gateway6 = { .b = { 0xfe, 0x80, [15] = 1 } };

int cni_plumb_open(struct cni_plumb *p, struct pk_err *err)
{
	own_visit visit = PK_NETNS_VISIT_NONE;
	int r = pk_netns_self(&p->home, err);

	if (r == 0)
		r = pk_nl_open(&p->at_home, err);
	if (r < 0 || !p->ns)
		return r;
	r = pk_netns_enter_from(p->ns, &p->home, &visit, err);
	return r == 0 ? pk_nl_open(&p->inside, err) : r;
}

void cni_plumb_close(struct cni_plumb *p)
{
	if (p->tap_fd >= 0)
		close(PK_MOVE(p->tap_fd, -1));
	pk_nl_close(PK_MOVE(p->inside, NULL));
	pk_nl_close(PK_MOVE(p->at_home, NULL));
	pk_netns_close(&p->home);
}

/* Returns whether the allocation's netns has a tap0 behind eth0. */
static bool has_tap(const struct cni_plumb *p)
{
	return !p->record->process && !p->record->host_tap;
}

static int link_error(struct pk_err *err, int r)
{
	return pk_code(err, r, PK_CODE_NETNS);
}

static int check_free(struct cni_plumb *p, const char *name, struct pk_err *err)
{
	struct pk_nl_link link;
	int r = pk_nl_link(p->inside, 0, name, &link, err);

	if (r == -ENODEV)
		return 0;
	if (r < 0)
		return link_error(err, r);
	pk_fail(err, 0, "\"%s\" is already in %s and not this plugin's", name, p->record->netns);
	pk_fix(err, 0, "delete it, or give each plugin of the list its own interface");
	return link_error(err, -EEXIST);
}

/* Only picketd opens a host tap; it serves processes of the record's owner and group. */
static struct pk_tap host_tap(const struct pk_record *rec)
{
	return (struct pk_tap){ .name = rec->tap,
				.ifindex = rec->host_ifindex,
				.owner = 0,
				.group = UINT32_MAX,
				.queues = rec->queues,
				.mtu = rec->mtu,
				.mac = pk_gateway_mac };
}

struct pk_tap cni_plumb_tap(const struct cni_plumb *p)
{
	const struct pk_record *rec = p->record;

	if (rec->host_tap)
		return host_tap(rec);
	return (struct pk_tap){ .name = rec->tap,
				.ifindex = rec->tap_ifindex,
				.owner = rec->tap_owner,
				.group = rec->tap_group,
				.queues = rec->queues,
				.mtu = rec->mtu };
}

static int make_tap(struct cni_plumb *p, struct pk_err *err)
{
	const struct pk_tap tap = cni_plumb_tap(p);

	return pk_tap_create(&tap, &p->tap_fd, err);
}

static void add_veth(struct cni_plumb *p)
{
	struct pk_nl_veth veth = { .name = p->record->ifname,
				   .ifindex = p->record->eth_ifindex,
				   .host_netns = p->home.fd,
				   .mtu = p->record->mtu };
	char host[PK_HOST_NAME_ROOM];

	pk_host_name(p->record->slot, host);
	veth.host_name = host;
	memcpy(veth.mac, p->record->mac, 6);
	memcpy(veth.host_mac, p->record->host_mac, 6);
	pk_nl_veth(p->inside, &veth);
	pk_nl_no_addrgen(p->inside, veth.ifindex);
}

struct pk_hook cni_plumb_hook(const struct cni_plumb *p, enum pk_prog prog)
{
	const struct pk_record *rec = p->record;
	const uint32_t ifindex[] = { [PK_PROG_FROM_ENDPOINT] = rec->host_ifindex,
				     [PK_PROG_TO_ENDPOINT] = rec->host_ifindex,
				     [PK_PROG_FORWARD_TAP] = rec->tap_ifindex,
				     [PK_PROG_FORWARD_ETH] = rec->eth_ifindex,
				     [PK_PROG_BOUND_TAP] = rec->tap_ifindex };
	bool both =
		prog == PK_PROG_BOUND_TAP || (prog == PK_PROG_FORWARD_TAP && cni_plumb_is_bound(p));
	bool at_home = prog == PK_PROG_FROM_ENDPOINT || prog == PK_PROG_TO_ENDPOINT;

	return (struct pk_hook){ .ifindex = ifindex[prog],
				 .egress = prog == PK_PROG_TO_ENDPOINT || prog == PK_PROG_BOUND_TAP,
				 .alone = !both && !at_home,
				 .tcx = rec->tcx,
				 .prog = p->bpf->prog[prog],
				 .name = pk_prog_name(prog) };
}

/*
 * The kernel bounds what waits in a tap of one queue; a tap of several queues needs pk_bound_tap.
 */
bool cni_plumb_is_bound(const struct cni_plumb *p)
{
	return p->record->queues > 1;
}

size_t cni_plumb_inside(const struct cni_plumb *p, const enum pk_prog **progs)
{
	static const enum pk_prog inside[] = { PK_PROG_FORWARD_ETH, PK_PROG_FORWARD_TAP,
					       PK_PROG_BOUND_TAP };

	*progs = inside;
	return PK_ARRAY_LEN(inside) - !cni_plumb_is_bound(p);
}

/* A clsact filter goes into the batch; TCX is a system call after it, in the device's netns. */
static void add_filter(struct pk_nl *nl, const struct pk_hook *hook)
{
	const struct pk_nl_filter filter = { .ifindex = hook->ifindex,
					     .egress = hook->egress,
					     .prog = hook->prog,
					     .name = hook->name };

	if (!hook->tcx)
		pk_nl_filter(nl, &filter);
}

static int attach_tcx(const struct pk_hook *hook, struct pk_err *err)
{
	return hook->tcx ? pk_hook_attach_tcx(hook, -1, err) : 0;
}

static void add_inside(struct cni_plumb *p)
{
	const enum pk_prog *progs;
	size_t n = cni_plumb_inside(p, &progs);

	for (size_t i = 0; i < n; i++) {
		const struct pk_hook hook = cni_plumb_hook(p, progs[i]);

		if (!hook.tcx && hook.alone)
			pk_nl_ingress(p->inside, hook.ifindex);
		else if (!hook.tcx)
			pk_nl_clsact(p->inside, hook.ifindex);
		add_filter(p->inside, &hook);
	}
}

static int attach_inside(struct cni_plumb *p, struct pk_err *err)
{
	const enum pk_prog *progs;
	size_t n = cni_plumb_inside(p, &progs);
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		const struct pk_hook hook = cni_plumb_hook(p, progs[i]);

		r = attach_tcx(&hook, err);
	}
	return r;
}

/* An ifindex of 0 is one that isn't known yet. */
static void delete_tap(struct pk_nl *nl, const char *name, uint32_t ifindex)
{
	struct pk_nl_link link;

	if (!nl || pk_nl_link(nl, 0, name, &link, NULL) < 0 || strcmp(link.kind, "tun") != 0 ||
	    (ifindex && link.ifindex != ifindex))
		return;
	pk_nl_delete(nl, link.ifindex);
	pk_nl_send(nl, NULL);
}

static void delete_host_end(struct cni_plumb *p)
{
	const struct pk_record *rec = p->record;
	const struct pk_host_end end = { rec->slot, rec->host_ifindex, rec->eth_ifindex };

	pk_host_end_delete(p->at_home, &end, NULL);
}

/* Deletes the tap at once: a retry comes into the same netns, with which it would have gone. */
static void drop_inside(struct cni_plumb *p)
{
	if (p->tap_fd >= 0)
		close(PK_MOVE(p->tap_fd, -1));
	if (has_tap(p))
		delete_tap(p->inside, p->record->tap, p->record->tap_ifindex);
}

/*
 * Makes eth0 at an even ifindex and tap0 at the next. tap0 is made first, so that its other
 * messages fit into eth0's batch.
 */
static int try_pair(struct cni_plumb *p, uint32_t even, struct pk_err *err)
{
	int r = 0;

	p->record->eth_ifindex = even;
	p->record->tap_ifindex = has_tap(p) ? even + 1 : 0;
	if (has_tap(p))
		r = make_tap(p, err);
	if (r < 0)
		return r;
	pk_fault("plumb-tap");
	add_veth(p);
	if (has_tap(p)) {
		pk_nl_no_addrgen(p->inside, p->record->tap_ifindex);
		pk_nl_no_queue(p->inside, p->record->tap_ifindex);
		add_inside(p);
	}
	r = pk_nl_send(p->inside, err);
	if (r < 0)
		drop_inside(p);
	return r;
}

/* Tries the next pair of ifindexes after a clash. A clash of names was ruled out before. */
static int make_pair(struct cni_plumb *p, struct pk_err *err)
{
	int r = -EBUSY;

	for (uint32_t k = 1; k <= PAIRS_TRIED && (r == -EBUSY || r == -EEXIST); k++)
		r = try_pair(p, 2 * k, err);
	if (r < 0)
		return link_error(err, pk_wrap(err, r, "make %s", p->record->ifname));
	pk_fault("plumb-veth");
	return has_tap(p) ? attach_inside(p, err) : 0;
}

static int find_host_end(struct cni_plumb *p, struct pk_err *err)
{
	struct pk_nl_link link;
	char host[PK_HOST_NAME_ROOM];
	int r;

	pk_host_name(p->record->slot, host);
	r = pk_nl_link(p->at_home, 0, host, &link, err);
	if (r == 0)
		p->record->host_ifindex = link.ifindex;
	return r;
}

/* Makes the host tap, down and without addresses of the kernel's making. */
static int make_host_tap(struct cni_plumb *p, struct pk_err *err)
{
	int r;

	p->record->host_ifindex = 0;
	r = make_tap(p, err);
	pk_fault("plumb-host-tap");
	if (r == 0)
		r = find_host_end(p, err);
	if (r < 0)
		return r;
	pk_nl_no_addrgen(p->at_home, p->record->host_ifindex);
	pk_nl_no_queue(p->at_home, p->record->host_ifindex);
	return pk_nl_send(p->at_home, err);
}

int cni_plumb_names_free(struct cni_plumb *p, struct pk_err *err)
{
	int r = check_free(p, p->record->ifname, err);

	return r == 0 && has_tap(p) ? check_free(p, p->record->tap, err) : r;
}

int cni_plumb_make(struct cni_plumb *p, struct pk_err *err)
{
	own_visit visit = PK_NETNS_VISIT_NONE;
	int r;

	if (p->record->host_tap)
		return link_error(err, make_host_tap(p, err));
	r = pk_netns_enter_from(p->ns, &p->home, &visit, err);
	if (r == 0)
		r = make_pair(p, err);
	if (r == 0)
		r = find_host_end(p, err);
	return r < 0 ? link_error(err, r) : 0;
}

int cni_plumb_guard(struct cni_plumb *p, struct pk_err *err)
{
	const struct pk_hook from = cni_plumb_hook(p, PK_PROG_FROM_ENDPOINT);
	const struct pk_hook to = cni_plumb_hook(p, PK_PROG_TO_ENDPOINT);
	char host[PK_HOST_NAME_ROOM];
	int r;

	pk_host_name(p->record->slot, host);
	if (!from.tcx)
		pk_nl_clsact(p->at_home, from.ifindex);
	add_filter(p->at_home, &from);
	add_filter(p->at_home, &to);
	pk_stack_push(p->at_home, from.ifindex);
	r = pk_nl_send(p->at_home, err);
	if (r == 0)
		r = attach_tcx(&from, err);
	if (r == 0)
		r = attach_tcx(&to, err);
	if (r == 0)
		r = pk_stack_write6(host, err);
	return pk_code(err, r, PK_CODE_KERNEL);
}

static void route_to(struct pk_nl *nl, uint32_t ifindex, const union pk_addr *addr)
{
	const struct pk_nl_route route = {
		.ifindex = ifindex,
		.to = { .addr = *addr,
			.len = pk_addr_is4(addr) ? 32 : 128,
			.v6 = !pk_addr_is4(addr) },
	};

	pk_nl_route(nl, &route);
}

static void default_route(struct pk_nl *nl, uint32_t ifindex, const union pk_addr *via)
{
	struct pk_nl_route route = { .ifindex = ifindex, .via = *via, .onlink = true };

	route.to.v6 = !pk_addr_is4(via);
	if (!route.to.v6)
		route.to.addr = pk_addr_from4(0);

	pk_nl_neigh(nl, ifindex, via, pk_gateway_mac);
	pk_nl_route(nl, &route);
}

static int up_at_home(struct cni_plumb *p, struct pk_err *err)
{
	const struct pk_record *rec = p->record;
	const union pk_addr *addr[] = { &rec->ipv4, &rec->ipv6 };

	pk_nl_up(p->at_home, rec->host_ifindex);
	for (size_t i = 0; i < PK_ARRAY_LEN(addr); i++) {
		if (pk_addr_is_zero(addr[i]))
			continue;
		pk_nl_neigh(p->at_home, rec->host_ifindex, addr[i], rec->mac);
		route_to(p->at_home, rec->host_ifindex, addr[i]);
	}
	return pk_nl_send(p->at_home, err);
}

static int up_inside(struct cni_plumb *p, struct pk_err *err)
{
	const struct pk_record *rec = p->record;

	pk_nl_up(p->inside, LOOPBACK);
	if (rec->host_tap)
		return pk_nl_send(p->inside, err);
	pk_nl_up(p->inside, rec->eth_ifindex);
	if (has_tap(p))
		pk_nl_up(p->inside, rec->tap_ifindex);
	if (!pk_addr_is_zero(&rec->ipv4)) {
		pk_nl_addr(p->inside, rec->eth_ifindex, &rec->ipv4, rec->ipv4_prefix, false);
		default_route(p->inside, rec->eth_ifindex, &rec->gateway4);
	}
	if (!pk_addr_is_zero(&rec->ipv6)) {
		pk_nl_addr(p->inside, rec->eth_ifindex, &rec->ipv6, 128, true);
		default_route(p->inside, rec->eth_ifindex, &gateway6);
	}
	return pk_nl_send(p->inside, err);
}

int cni_plumb_up(struct cni_plumb *p, struct pk_err *err)
{
	int r = up_at_home(p, err);

	pk_fault("plumb-home-up");
	if (r == 0)
		r = up_inside(p, err);
	return r < 0 ? link_error(err, r) : 0;
}

int cni_plumb_test(struct cni_plumb *p, struct pk_err *err)
{
	struct pk_selftest test = { .bpf = p->bpf,
				    .slot = p->record->slot,
				    .deadline_ns = p->deadline_ns };
	own_visit visit = PK_NETNS_VISIT_NONE;
	int r;

	memcpy(test.mac, p->record->mac, 6);
	if (!p->record->process)
		return pk_selftest_tap(&test, p->tap_fd, err);
	r = pk_netns_enter_from(p->ns, &p->home, &visit, err);
	return r == 0 ? pk_selftest_eth(&test, p->record->eth_ifindex, err) : r;
}

void cni_plumb_drop(struct cni_plumb *p)
{
	delete_host_end(p);
	drop_inside(p);
}

void cni_plumb_drop_tap(struct cni_plumb *p)
{
	struct pk_nl_link link;

	if (has_tap(p) && pk_nl_link(p->inside, 0, p->record->tap, &link, NULL) == 0 &&
	    link.ifindex == p->record->tap_ifindex)
		drop_inside(p);
}

/* Returns whether the host end of the record is there, under its name and ifindex. */
static bool is_alive(struct cni_plumb *p)
{
	const struct pk_record *rec = p->record;
	const struct pk_host_end end = { rec->slot, rec->host_ifindex, rec->eth_ifindex };
	struct pk_nl_link link;

	return pk_host_end_find(p->at_home, &end, &link, NULL) == 0;
}

static int remake_inside(struct cni_plumb *p, struct pk_err *err)
{
	own_visit visit = PK_NETNS_VISIT_NONE;
	int r = pk_netns_enter_from(p->ns, &p->home, &visit, err);

	if (r < 0)
		return r;
	add_veth(p);
	r = pk_nl_send(p->inside, err);
	return r;
}

/* The VMM that has the tap may have switched its persistence off and ended. */
static int remake_host_tap(struct cni_plumb *p, struct pk_err *err)
{
	int r = make_host_tap(p, err);

	return r < 0 ? link_error(err, r) : 1;
}

int cni_plumb_remake(struct cni_plumb *p, struct pk_err *err)
{
	/* An eth0 that was moved to another netns may have another ifindex there. */
	const struct pk_host_end end = { p->record->slot, p->record->host_ifindex, 0 };
	struct pk_nl_link link;
	int r;

	if (p->record->host_tap)
		return is_alive(p) ? 0 : remake_host_tap(p, err);
	r = pk_nl_link(p->inside, p->record->eth_ifindex, NULL, &link, err);
	if (r == 0 && is_alive(p))
		return 0;
	if (r < 0 && r != -ENODEV)
		return r;
	/* With eth0 deleted, or taken out of its netns, the other end alone is of no use. */
	r = pk_host_end_delete(p->at_home, &end, err);
	if (r == 0)
		r = check_free(p, p->record->ifname, err);
	if (r == 0)
		r = remake_inside(p, err);
	if (r == 0)
		r = find_host_end(p, err);
	return r < 0 ? link_error(err, r) : 1;
}
