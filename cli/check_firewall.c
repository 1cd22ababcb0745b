/* SPDX-License-Identifier: Apache-2.0 */
/* Checks whether the node's own firewall stands in the way of what policy allows. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "firewall.h"
#include "settings.h"

static void write_fix(const struct pk_firewall_chain *c, char fix[128])
{
	if (!strcmp(c->tool, "nft"))
		snprintf(fix, 128, "nft insert rule %s %s %s %s \"pk*\" accept", c->family,
			 c->table, c->chain, c->input ? "iifname" : "oifname");
	else
		snprintf(fix, 128, "%s -I %s %s pk+ -j ACCEPT", c->tool, c->chain,
			 c->input ? "-i" : "-o");
}

static void check_chain(struct check *c, const struct pk_firewall_chain *chain)
{
	char fix[128], where[96];

	snprintf(where, sizeof(where), "%s: chain %s of table %s%s%s", chain->tool, chain->chain,
		 chain->family, *chain->family ? " " : "", chain->table);
	write_fix(chain, fix);
	if (chain->opened)
		check_line(c, CHECK_OK, "firewall", NULL, "%s lets pk* through", where);
	else if (chain->input)
		check_line(c, CHECK_WARN, "firewall", fix,
			   "%s drops what endpoints send to this node unless a rule of it accepts "
			   "it: questions to a resolver here, answers to this node's own processes",
			   where);
	else
		check_line(c, CHECK_WARN, "firewall", fix,
			   "%s drops what this node forwards to endpoints for others unless a rule "
			   "of it accepts it: containers on a bridge, a VPN",
			   where);
}

/*
 * Checks the overlay's port: datagrams of other nodes come to the node itself, in one address
 * family.
 */
static void check_port(struct check *c, const struct pk_firewall_chain *chain)
{
	const struct pk_vxlan *v = &c->settings.vxlan;
	const char *other = pk_vxlan_is6(v) ? "ip" : "ip6";
	const bool nft = !strcmp(chain->tool, "nft");
	char fix[160];

	if (!v->on || !chain->input || chain->port_opened ||
	    (nft ? !strcmp(chain->family, other) : (chain->tool[2] == '6') != pk_vxlan_is6(v)))
		return;
	if (nft)
		snprintf(fix, sizeof(fix), "nft insert rule %s %s %s udp dport %u accept",
			 chain->family, chain->table, chain->chain, (unsigned int)v->port);
	else
		snprintf(fix, sizeof(fix), "%s -I %s -p udp --dport %u -j ACCEPT", chain->tool,
			 chain->chain, (unsigned int)v->port);
	check_line(
		c, CHECK_WARN, "firewall", fix,
		"%s: chain %s of table %s%s%s drops what other nodes send through the overlay%s, "
		"UDP to port %u, unless a rule of it accepts it",
		chain->tool, chain->chain, chain->family, *chain->family ? " " : "", chain->table,
		pk_vxlan_is6(v) ? "" : ", TCP above all", (unsigned int)v->port);
}

void check_firewall(struct check *c)
{
	const struct pk_vxlan *v = &c->settings.vxlan;
	struct pk_firewall firewall;
	int r = pk_firewall_read(&firewall, v->on ? (uint16_t)v->port : 0);

	if (r < 0)
		check_line(c, CHECK_WARN, "firewall", "run picket check as root",
			   "this node's firewall can't be read: %s", strerror(-r));
	for (size_t i = 0; r == 0 && i < firewall.n; i++) {
		check_chain(c, &firewall.chain[i]);
		check_port(c, &firewall.chain[i]);
	}
	if (r == 0 && !firewall.n)
		check_line(c, CHECK_OK, "firewall", NULL,
			   "no chain of this node's drops what it takes in or forwards");
}
