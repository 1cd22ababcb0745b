/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Asks Nomad on which nodes a tenant has allocations, so that another node's word on a tenant's
 * endpoints is believed only where Nomad placed the tenant there. One question covers all nodes of
 * a tenant, and only tenants of which another node speaks are asked about: when a node does so
 * first, and then every few minutes. A no is confirmed by Nomad's leader, and is held as any
 * absence is (absence.h).
 */
#include "conf.h"
#include "hosting.h"
#include "http.h"
#include "loop.h"
#include "model.h"

struct pk_placement;

struct pk_placement_args {
	struct pk_loop *loop;
	struct pk_http *http;
	const struct pk_config *config; /* outlives it */
	const struct pk_model *model;
	const char *node; /* this node's name */
	pk_loop_fn
		*changed; /* called when pk_placement_of answers otherwise for a pair than before */
	void *arg;
};

struct pk_placement *pk_placement_new(const struct pk_placement_args *args);
void pk_placement_free(struct pk_placement *placement);
/*
 * A settling calls pk_placement_of for all pairs between begin and end; end forgets the others.
 * `node` is the last part of a node's key.
 */
void pk_placement_begin(struct pk_placement *placement);
enum pk_hosting pk_placement_of(void *placement, const char *tenant_name, const char *node);
void pk_placement_end(struct pk_placement *placement);
