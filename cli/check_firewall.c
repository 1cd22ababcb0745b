/* SPDX-License-Identifier: Apache-2.0 */
/* Checks whether the node's own firewall stands in the way of what policy allows. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "firewall.h"

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

void check_firewall(struct check *c)
{
	struct pk_firewall firewall;
	int r = pk_firewall_read(&firewall);

	if (r < 0)
		check_line(c, CHECK_WARN, "firewall", "run picket check as root",
			   "this node's firewall can't be read: %s", strerror(-r));
	for (size_t i = 0; r == 0 && i < firewall.n; i++)
		check_chain(c, &firewall.chain[i]);
	if (r == 0 && !firewall.n)
		check_line(c, CHECK_OK, "firewall", NULL,
			   "no chain of this node's drops what it takes in or forwards");
}
