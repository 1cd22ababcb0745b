/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nomad's bodies. The first byte chooses which one. An alloc that is taken has what it needs, is
 * the same after it was kept and read again, and makes an endpoint for the engine.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "controller/local_endpoint.h"
#include "controller/nomad.h"
#include "own.h"

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_member(struct pk_alloc *alloc)
{
	struct pk_local_endpoint m = { .key = "k@eth0",
				       .container_id = alloc->id,
				       .tenant_name = alloc->tenant_name,
				       .job = alloc->job_id,
				       .group = alloc->group,
				       .open = true,
				       .facts = alloc };
	struct pk_world_endpoint *ep;
	struct pk_settings s;

	pk_settings_init(&s);
	pk_local_endpoint_judge(&m, &s);
	check(m.confirmed == PK_CONFIRMED);
	ep = pk_local_endpoint_world(&m, &s);
	check(ep && ep->labels && *ep->labels->text == '[');
	pk_world_endpoint_free(ep);
	pk_settings_done(&s);
}

static void check_alloc(struct pk_alloc *a)
{
	struct pk_alloc *copy;

	check(*a->id && *a->tenant_name && *a->job_id && *a->job && *a->group && a->region);
	for (size_t i = 0; i < a->n_ports; i++)
		check(*a->ports[i].label && a->ports[i].host && a->ports[i].own);
	for (size_t i = 0; i < a->n_checks; i++)
		check(a->checks[i] != 0);
	copy = pk_alloc_copy(a);
	check(copy && strcmp(copy->job, a->job) == 0 && copy->n_ports == a->n_ports &&
	      copy->n_meta == a->n_meta && copy->services_unknown == a->services_unknown);
	pk_alloc_done(copy);
	free(copy);
	check_member(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	struct pk_nomad_node node;
	struct pk_allocs allocs;
	struct pk_alloc alloc;
	struct pk_err err = { 0 };

	if (size < 1)
		return 0;
	switch (data[0] % 3) {
	case 0:
		if (pk_alloc_decode(text, size - 1, &alloc, &err) == 0)
			check_alloc(&alloc);
		pk_alloc_done(&alloc);
		break;
	case 1:
		if (pk_allocs_decode(text, size - 1, &allocs, &err) == 0)
			for (size_t i = 0; i < allocs.n; i++)
				check_alloc(&allocs.list[i]);
		pk_allocs_done(&allocs);
		break;
	default:
		if (pk_nomad_node_find(text, size - 1, "vm", &node, &err) == 0)
			check(strlen(node.id) < sizeof(node.id));
		break;
	}
	return 0;
}
