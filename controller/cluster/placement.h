/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Asks Nomad on which nodes a tenant has allocations, so that what a node says of a tenant's
 * endpoints is believed only where Nomad has placed one there. Only tenants are asked about of whom
 * another node speaks, one question for all nodes of a tenant: when a node speaks of it first, and
 * now and then. A no is asked of Nomad's leader, and counts as an absence does (absence.h).
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
	const char *node;    /* this node's name */
	pk_loop_fn *changed; /* pk_placement_of says something else of a pair than before */
	void *arg;
};

struct pk_placement *pk_placement_new(const struct pk_placement_args *args);
void pk_placement_free(struct pk_placement *placement);
/*
 * One settling asks for all pairs between begin and end; what it doesn't ask for is forgotten. A
 * node is named as the last part of a key.
 */
void pk_placement_begin(struct pk_placement *placement);
enum pk_hosting pk_placement_of(void *placement, const char *tenant_name, const char *node);
void pk_placement_end(struct pk_placement *placement);
