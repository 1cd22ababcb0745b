/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks the way out of the node: its uplinks, what is attached to them, the ports of masquerading.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bpfmap.h"
#include "bpfobj.h"
#include "bpfsock.h"
#include "check.h"
#include "fs.h"
#include "own.h"
#include "settings.h"
#include "settings_forms.h"
#include "uplink.h"

/*
 * Takes what picketd.json says of the way out. A file that can't be read says nothing: no picketd
 * starts with it.
 */
static void of_the_file(const struct check *c, struct pk_settings *s)
{
	struct pk_masquerade masquerade = s->masquerade;
	struct pk_uplink_names names = { 0 };
	own_json *doc = NULL;
	const struct pk_json *v;

	if (cli_config(c->cli, &doc, NULL) < 0 || !doc)
		return;
	v = pk_json_get(pk_json_root(doc), "uplinks");
	if (v && pk_schema_read(&pk_form_uplinks_or_null, doc, v, &names, NULL) == 0 && names.given)
		s->uplinks = names;
	v = pk_json_get(pk_json_root(doc), "masquerade");
	if (v && pk_schema_read(&pk_form_masquerade, doc, v, &masquerade, NULL) == 0)
		s->masquerade = masquerade;
}

/*
 * Finds the settings that the node lives by: picketd's, before its first run those of its file,
 * else those of the first conflist.
 */
static void effective(const struct check *c, struct pk_settings *s)
{
	bool conflist = false;

	pk_settings_init(s);
	for (size_t i = 0; i < c->n_networks && !conflist; i++) {
		const struct check_network *n = &c->networks[i];

		if (!n->taken)
			continue;
		s->uplinks = n->conf.uplinks;
		s->masquerade = n->conf.masquerade;
		conflist = true;
	}
	if (pk_settings_read(s, c->cli->paths.node_json, NULL) == -ENOENT)
		of_the_file(c, s);
}

static void add_address(struct pk_str *out, const union pk_addr *addr)
{
	char text[PK_ADDR_TEXT];

	if (!pk_addr_is_zero(addr))
		pk_str_addf(out, "%s%s", out->len ? ", " : "", pk_addr_format(addr, text));
}

static bool in_tables(const struct pk_bpf *bpf, const struct pk_uplink *uplink)
{
	for (int i = 0; i < PK_UPLINKS; i++)
		if (!memcmp(&bpf->node.uplink[i], uplink, sizeof(*uplink)))
			return true;
	return false;
}

struct way {
	struct check *check;
	struct pk_nl *nl;
	struct pk_bpf *bpf; /* NULL: nothing is loaded yet */
};

/* Checks who stands at the uplink's ingress; false: something is wrong with it, and was said. */
static bool check_hook(const struct way *w, const struct pk_uplink *uplink, const char *name)
{
	static const char again[] = "start picketd: it keeps this; else the next ADD mends it";
	enum pk_uplink_hook state;
	char before[64];

	if (!w->bpf)
		return true;
	if (!in_tables(w->bpf, uplink)) {
		check_line(w->check, CHECK_WARN, "uplink", again,
			   "%s: the tables don't have it as it is now", name);
		return false;
	}
	if (pk_uplink_hook(w->bpf, w->nl, uplink->ifindex, PK_PROG_FROM_UPLINK, &state, before) <
		    0 ||
	    state == PK_UPLINK_FIRST)
		return true;
	if (state == PK_UPLINK_MISSING)
		check_line(w->check, CHECK_WARN, "uplink", again, "%s: %s is not attached", name,
			   pk_prog_name(PK_PROG_FROM_UPLINK));
	else
		check_line(
			w->check, CHECK_WARN, "uplink",
			"find out what it does: packets that it drops or takes reach no endpoint",
			"%s: \"%s\" stands before %s", name, before,
			pk_prog_name(PK_PROG_FROM_UPLINK));
	return false;
}

static void check_one(const struct way *w, const struct pk_uplink *uplink)
{
	struct pk_nl_link link;
	own_str addresses = { 0 };

	if (pk_nl_link(w->nl, uplink->ifindex, NULL, &link, NULL) < 0 ||
	    !check_hook(w, uplink, link.name))
		return;
	add_address(&addresses, &uplink->ipv4);
	add_address(&addresses, &uplink->ipv6);
	check_line(w->check, addresses.len ? CHECK_OK : CHECK_WARN, "uplink",
		   "give it an address: what is masqueraded leaves with it", "%s: %s, MTU %u",
		   link.name, addresses.len ? addresses.text : "no address of global scope",
		   uplink->mtu);
}

static void check_all(const struct way *w, const struct pk_uplinks *found)
{
	for (size_t i = 0; i < found->n_notes; i++)
		check_line(w->check,
			   found->note[i].code == PK_CODE_CONFIG ? CHECK_FAIL : CHECK_WARN,
			   "uplink", found->note[i].fix, "%s", found->note[i].text);
	for (size_t i = 0; i < found->n; i++)
		check_one(w, &found->list[i]);
	if (!found->n && !found->n_notes)
		check_line(w->check, CHECK_OK, "uplink", NULL,
			   "no default route: endpoints reach nothing outside of this node");
}

static const char *families(const struct pk_masquerade *m)
{
	if (m->ipv4 && m->ipv6)
		return "IPv4 and IPv6";
	return m->ipv4 ? "IPv4" : "IPv6";
}

static void check_ports(struct check *c, const struct pk_masquerade *m)
{
	struct pk_err err = { 0 };
	char ports[16];

	if (pk_masquerade_check(m, &err) < 0)
		check_line(c, CHECK_FAIL, "masquerade", err.fix, "%s", err.text);
	else if (m->ipv4 || m->ipv6)
		check_line(c, CHECK_OK, "masquerade", NULL, "of %s, by ports %s", families(m),
			   pk_masquerade_ports(m, ports));
	else
		check_line(c, CHECK_OK, "masquerade", NULL,
			   "off: endpoints leave with their own addresses");
}

/* Checks whether the node's own processes reach what endpoints publish. */
static void check_published(const struct way *w, const struct pk_settings *s)
{
	struct check *c = w->check;
	size_t n = 0;

	if (w->bpf)
		pk_map_count(w->bpf->map[PK_MAP_PUBLISHED], &n);
	if (*s->cgroup && !pk_sock_stands(&c->cli->paths))
		check_line(c, CHECK_WARN, "published", "start picketd: it attaches them",
			   "the programs of \"cgroup\" %s are missing: this node's own processes "
			   "reach no published port",
			   s->cgroup);
	else if (*s->cgroup)
		check_line(c, CHECK_OK, "published", NULL, "processes of %s reach published ports",
			   s->cgroup);
	else if (n)
		check_line(c, CHECK_WARN, "published",
			   "\"cgroup\": \"/sys/fs/cgroup\" in picketd.json, and reload picketd",
			   "endpoints publish ports, and no \"cgroup\" is set: this node's own "
			   "processes don't reach them");
}

void check_uplinks(struct check *c)
{
	struct way w = { .check = c };
	struct pk_uplinks found;
	struct pk_settings s;
	struct pk_err err = { 0 };
	own_nl *nl = NULL;
	own_bpf *bpf = NULL;

	effective(c, &s);
	if (pk_bpf_open(&bpf, &c->cli->paths, PK_BPF_READ, NULL, pk_now_ns() + 2000000000ull,
			NULL) == 0)
		w.bpf = bpf;
	if (pk_nl_open(&nl, &err) < 0 || pk_uplinks_find(nl, &s.uplinks, &found, &err) < 0) {
		check_line(c, CHECK_WARN, "uplink", "run picket check as root", "%s", err.text);
	} else {
		w.nl = nl;
		check_all(&w, &found);
	}
	check_ports(c, &s.masquerade);
	check_published(&w, &s);
	pk_settings_done(&s);
}
