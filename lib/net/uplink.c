/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the devices that are uplinks. uplink_hook.c has what stands at them. */
#include "uplink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"
#include "resolv.h"
#include "tables.h"

static struct pk_err *add_note(struct pk_uplinks *out)
{
	size_t i = out->n_notes < PK_UPLINK_NOTES ? out->n_notes++ : PK_UPLINK_NOTES - 1;

	out->note[i] = (struct pk_err){ 0 };
	return &out->note[i];
}

static const char *kind_of(const struct pk_nl_link *link)
{
	return link->kind[0] ? link->kind : "of its driver";
}

/* Refuses a device whose packets have no link-layer header, which the programs read and write. */
static void refuse_header(const struct pk_nl_link *link, struct pk_uplinks *out)
{
	struct pk_err *note = add_note(out);

	pk_fail(note, 0, "%s can be no uplink: a device of kind \"%s\" has no Ethernet header",
		link->name, kind_of(link));
	pk_code(note, 0, PK_CODE_CONFIG);
	pk_fix(note, 0,
	       "name a device that has one in \"uplinks\" (Ethernet, bond, VLAN, bridge, veth); "
	       "what is routed through %s does not reach endpoints, nor they it",
	       link->name);
}

static void refuse_port(const struct pk_nl_link *link, const struct pk_nl_link *master,
			struct pk_uplinks *out)
{
	struct pk_err *note = add_note(out);

	pk_fail(note, 0, "%s can be no uplink: it is a port of %s", link->name, master->name);
	pk_code(note, 0, PK_CODE_CONFIG);
	pk_fix(note, 0, "name %s in \"uplinks\" instead", master->name);
}

static void refuse_host_end(const struct pk_nl_link *link, struct pk_uplinks *out)
{
	struct pk_err *note = add_note(out);

	pk_fail(note, 0, "%s can be no uplink: it leads to an endpoint of this node", link->name);
	pk_code(note, 0, PK_CODE_CONFIG);
	pk_fix(note, 0, "name a device that leads out of the node in \"uplinks\"");
}

/* A port of a bridge or bond has no address and no route of its own; one of a VRF does. */
static bool is_port(struct pk_nl *nl, const struct pk_nl_link *link, struct pk_nl_link *master)
{
	return link->master && pk_nl_link(nl, link->master, NULL, master, NULL) == 0 &&
	       strcmp(master->kind, "vrf") != 0;
}

static bool is_listed(const struct pk_uplinks *out, uint32_t ifindex)
{
	for (size_t i = 0; i < out->n; i++)
		if (out->list[i].ifindex == ifindex)
			return true;
	return false;
}

static bool has(const struct pk_nl_addr_info *list, size_t n, const union pk_addr *addr)
{
	for (size_t i = 0; i < n; i++)
		if (pk_addr_equal(&list[i].addr, addr))
			return true;
	return false;
}

/*
 * Returns whether the address is fit to leave the node. The kernel's own choice may be a loopback's
 * where there is nothing else.
 */
static bool is_global(const union pk_addr *addr)
{
	const uint8_t *b = addr->b;

	if (pk_addr_is_loopback(addr))
		return false;
	if (pk_addr_is4(addr))
		return !(b[12] == 169 && b[13] == 254);
	return !(b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
}

/* A device's addresses, read once for both families. */
struct addresses {
	uint32_t ifindex;
	struct pk_nl_addr_info *list; /* owned */
	size_t n;
	bool known;
};

static void addresses_read(struct pk_nl *nl, uint32_t ifindex, struct addresses *a)
{
	*a = (struct addresses){ .ifindex = ifindex };
	a->known = pk_nl_addrs(nl, ifindex, &a->list, &a->n, NULL) == 0;
}

static void addresses_done(struct addresses *a)
{
	free(a->list);
}

/*
 * The address that the kernel itself would take, where that is one of the device's or the device
 * leads to the Internet (it may then be kept on a loopback); else the first that is fit.
 */
static void choose_address(struct pk_nl *nl, const struct addresses *a, bool v6, bool leads,
			   union pk_addr *out)
{
	union pk_addr chosen;

	*out = (union pk_addr){ 0 };
	if (!a->known)
		return;
	if (pk_nl_source(nl, a->ifindex, v6, &chosen) == 0 && is_global(&chosen) &&
	    (leads || has(a->list, a->n, &chosen))) {
		*out = chosen;
		return;
	}
	for (size_t i = 0; i < a->n; i++)
		if (a->list[i].primary && pk_addr_is4(&a->list[i].addr) != v6) {
			*out = a->list[i].addr;
			return;
		}
}

struct leads {
	bool v4, v6; /* a default route of the family goes through it */
};

static void add_uplink(struct pk_nl *nl, const struct pk_nl_link *link, struct leads leads,
		       struct pk_uplinks *out)
{
	PK_OWN(addresses_done) struct addresses a = { 0 };
	struct pk_uplink *uplink;
	struct pk_err *note;

	if (out->n == PK_UPLINKS) {
		note = add_note(out);
		pk_fail(note, 0, "%s is no uplink: a node has at most %d", link->name, PK_UPLINKS);
		pk_fix(note, 0, "name the ones that count in \"uplinks\"");
		return;
	}
	uplink = &out->list[out->n++];
	*uplink = (struct pk_uplink){ .ifindex = link->ifindex, .mtu = link->mtu };
	addresses_read(nl, link->ifindex, &a);
	choose_address(nl, &a, false, leads.v4, &uplink->ipv4);
	choose_address(nl, &a, true, leads.v6, &uplink->ipv6);
}

struct defaults {
	struct pk_nl_default *list; /* owned */
	size_t n;
};

static void defaults_done(struct defaults *d)
{
	free(d->list);
}

static struct leads leads_of(const struct defaults *d, uint32_t ifindex)
{
	struct leads leads = { 0 };

	for (size_t i = 0; i < d->n; i++) {
		leads.v4 |= d->list[i].ifindex == ifindex && !d->list[i].v6;
		leads.v6 |= d->list[i].ifindex == ifindex && d->list[i].v6;
	}
	return leads;
}

/* A device may be named before it is there: it is taken when it comes. */
static void note_absent(const char *name, struct pk_uplinks *out)
{
	struct pk_err *note = add_note(out);

	pk_fail(note, 0, "uplink %s: this node has no such device", name);
	pk_fix(note, 0, "correct the name in \"uplinks\"; it counts as soon as it is there");
}

static void take_named(struct pk_nl *nl, const char *name, const struct defaults *d,
		       struct pk_uplinks *out)
{
	struct pk_nl_link link, master;

	if (pk_nl_link(nl, 0, name, &link, NULL) < 0) {
		note_absent(name, out);
	} else if (!link.ethernet) {
		refuse_header(&link, out);
		out->fatal = out->n_notes;
	} else if (is_port(nl, &link, &master)) {
		refuse_port(&link, &master, out);
		out->fatal = out->n_notes;
	} else if (pk_nl_is_host_end(link.name)) {
		refuse_host_end(&link, out);
		out->fatal = out->n_notes;
	} else if (!is_listed(out, link.ifindex)) {
		add_uplink(nl, &link, leads_of(d, link.ifindex), out);
	}
}

/* The devices of the default routes, each once. */
static void take_defaults(struct pk_nl *nl, const struct defaults *d, struct pk_uplinks *out)
{
	for (size_t i = 0; i < d->n; i++) {
		uint32_t ifindex = d->list[i].ifindex;
		struct pk_nl_link link;
		bool again = is_listed(out, ifindex);

		for (size_t k = 0; k < i; k++)
			again |= d->list[k].ifindex == ifindex;
		if (again || pk_nl_link(nl, ifindex, NULL, &link, NULL) < 0)
			continue;
		if (pk_nl_is_host_end(link.name))
			refuse_host_end(&link, out);
		else if (link.ethernet)
			add_uplink(nl, &link, leads_of(d, ifindex), out);
		else
			refuse_header(&link, out);
	}
}

/* An address is looked up in the main table, whatever table an uplink is of. */
static uint32_t flags_of(const struct defaults *d)
{
	uint32_t flags = 0;

	for (size_t i = 0; i < d->n; i++)
		if (d->list[i].table == RT_TABLE_MAIN)
			flags |= d->list[i].v6 ? PK_NODE_DEFAULT6 : PK_NODE_DEFAULT4;
	return flags;
}

int pk_uplinks_find(struct pk_nl *nl, const struct pk_uplink_names *names, struct pk_uplinks *out,
		    struct pk_err *err)
{
	PK_OWN(defaults_done) struct defaults d = { 0 };
	int r = pk_nl_defaults(nl, &d.list, &d.n, err);

	memset(out, 0, sizeof(*out));
	if (r < 0)
		return r;
	out->flags = flags_of(&d);
	for (size_t i = 0; i < names->n; i++)
		take_named(nl, names->name[i], &d, out);
	if (!names->n)
		take_defaults(nl, &d, out);
	return 0;
}

int pk_uplinks_refused(const struct pk_uplinks *uplinks, struct pk_err *err)
{
	if (!uplinks->fatal)
		return 0;
	if (err)
		*err = uplinks->note[uplinks->fatal - 1];
	return pk_code(err, -EINVAL, PK_CODE_CONFIG);
}

void pk_uplinks_put(const struct pk_uplinks *found, struct pk_node *node)
{
	memcpy(node->uplink, found->list, sizeof(node->uplink));
	node->flags &= ~(PK_NODE_DEFAULT4 | PK_NODE_DEFAULT6);
	node->flags |= found->flags;
}

static void edit_uplinks(void *arg, struct pk_node *node)
{
	const struct pk_uplinks *found = arg;

	pk_uplinks_put(found, node);
}

int pk_uplinks_write(struct pk_bpf *bpf, const struct pk_uplinks *uplinks, uint64_t deadline_ns,
		     struct pk_err *err)
{
	return pk_node_update(bpf, edit_uplinks, (void *)uplinks, deadline_ns, err);
}

static bool is_true(struct pk_nl *nl, const struct pk_uplink *uplink)
{
	const union pk_addr *addr[2] = { &uplink->ipv4, &uplink->ipv6 };
	PK_OWN(addresses_done) struct addresses a = { 0 };
	struct pk_nl_link link;

	if (pk_nl_link(nl, uplink->ifindex, NULL, &link, NULL) < 0 || link.mtu != uplink->mtu)
		return false;
	addresses_read(nl, uplink->ifindex, &a);
	for (int v6 = 0; v6 < 2; v6++) {
		union pk_addr now;

		/*
		 * node.uplink doesn't say whether the device led out when the address was chosen,
		 * so both cases are tried: an address that either of them chooses is still true.
		 */
		choose_address(nl, &a, v6, false, &now);
		if (pk_addr_equal(&now, addr[v6]))
			continue;
		choose_address(nl, &a, v6, true, &now);
		if (!pk_addr_equal(&now, addr[v6]))
			return false;
	}
	return true;
}

bool pk_uplinks_are_true(const struct pk_bpf *bpf, struct pk_nl *nl)
{
	const struct pk_node *node = &bpf->node;

	for (int i = 0; i < PK_UPLINKS; i++)
		if (node->uplink[i].ifindex && !is_true(nl, &node->uplink[i]))
			return false;
	return node->uplink[0].ifindex;
}
