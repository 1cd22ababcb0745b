/* SPDX-License-Identifier: Apache-2.0 */
/* Finds an endpoint's limits in the settings. */
#include <stdlib.h>
#include <string.h>

#include "settings.h"

const struct pk_network *pk_settings_network(const struct pk_settings *s, const char *name)
{
	for (size_t i = 0; name && i < s->n_networks; i++)
		if (strcmp(s->network[i].name, name) == 0)
			return &s->network[i];
	return NULL;
}

void pk_settings_add_network(struct pk_settings *s, const struct pk_network *network)
{
	if (pk_settings_network(s, network->name))
		return;
	s->network = realloc(s->network, (s->n_networks + 1) * sizeof(*network));
	if (!s->network)
		abort();
	s->network[s->n_networks++] = *network;
}

void pk_settings_limits(const struct pk_settings *s, struct pk_limits *limits)
{
	*limits = s->limits;
	limits->of[PK_LIMIT_FLOWS] = s->flow_budget;
	for (int dir = 0; dir < 2 && s->new_flows_given; dir++)
		limits->of[PK_LIMIT_NEW_FLOWS + dir] = s->new_flows_per_s;
}

void pk_settings_copy_networks(struct pk_settings *to, const struct pk_settings *from)
{
	free(to->network);
	to->n_networks = 0;
	to->network = NULL;
	for (size_t i = 0; i < from->n_networks; i++)
		pk_settings_add_network(to, &from->network[i]);
}
