/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses the ports that a plan asks about: those that the changed documents name, and one for all
 * others.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "icmp.h"
#include "plan_private.h"

static void add_sample(struct plan_work *w, uint8_t proto, uint16_t port, bool other)
{
	for (size_t i = 0; i < w->n_samples; i++)
		if (w->samples[i].proto == proto && w->samples[i].port == port)
			return;
	w->samples = realloc(w->samples, (w->n_samples + 1) * sizeof(*w->samples));
	if (!w->samples)
		abort();
	w->samples[w->n_samples++] = (struct plan_sample){ proto, port, port, other };
}

static void add_ports(struct plan_work *w, uint8_t proto, uint16_t port)
{
	if (proto != PK_PROTO_ANY) {
		add_sample(w, proto, port, false);
		return;
	}
	add_sample(w, IPPROTO_TCP, port, false);
	add_sample(w, IPPROTO_UDP, port, false);
}

static void add_label(struct plan_work *w, const char *label)
{
	const struct pk_world *world = pk_asker_world(w->side[0]->asker);

	for (const struct pk_world_endpoint *ep = pk_world_next(world, NULL); ep;
	     ep = pk_world_next(world, ep))
		for (size_t i = 0; i < ep->n_ports; i++)
			if (strcmp(ep->ports[i].name, label) == 0)
				add_ports(w, ep->ports[i].proto, ep->ports[i].port);
}

static void add_rule(struct plan_work *w, const struct pk_port_rule *rule)
{
	if (rule->icmp) {
		add_sample(w, rule->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
			   PK_PORT_ICMP(rule->type, rule->code < 0 ? 0 : (uint16_t)rule->code),
			   false);
	} else if (rule->label) {
		add_label(w, rule->label);
	} else if (rule->port == 0 && rule->end == UINT16_MAX) {
		if (rule->proto != PK_PROTO_ANY && !pk_protocol_has_ports(rule->proto))
			add_sample(w, rule->proto, 0, false);
	} else if (rule->port == rule->end) {
		add_ports(w, rule->proto, rule->port);
	}
}

static bool names(const struct pk_entry *e, uint16_t port)
{
	for (size_t i = 0; i < e->n_ports; i++) {
		const struct pk_port_rule *rule = &e->ports[i];

		if (!rule->icmp && !rule->label && rule->port <= port && port <= rule->end &&
		    !(rule->port == 0 && rule->end == UINT16_MAX))
			return true;
	}
	return false;
}

static bool is_named(const struct plan_work *w, uint16_t port)
{
	struct plan_entry_at at = { 0 };
	const struct pk_entry *e;

	for (size_t i = 0; i < w->n_samples; i++)
		if (w->samples[i].port == port)
			return true;
	while ((e = plan_next_entry(w, &at)))
		if (names(e, port))
			return true;
	return false;
}

void plan_add_samples(struct plan_work *w)
{
	struct plan_entry_at at = { 0 };
	const struct pk_entry *e;
	uint16_t other = 61999;

	while ((e = plan_next_entry(w, &at)))
		for (size_t p = 0; p < e->n_ports; p++)
			add_rule(w, &e->ports[p]);
	while (other && is_named(w, other))
		other--;
	add_sample(w, IPPROTO_TCP, other, true);
	add_sample(w, IPPROTO_UDP, other, true);
	add_sample(w, IPPROTO_ICMP, PK_PORT_ICMP(8, 0), false);
	add_sample(w, IPPROTO_ICMPV6, PK_PORT_ICMP(128, 0), false);
}
