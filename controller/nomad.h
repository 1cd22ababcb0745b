/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Nomad's bodies -> what Picket wants of them. Pure; a body that isn't what it should be is an
 * error, never half taken. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define PK_NOMAD_BODY_MAX (64u << 20)

struct pk_alloc_port {
	char *label;
	uint16_t host, own; /* on the node, and the endpoint's own */
};

struct pk_alloc_meta {
	char *key, *value;
	bool unknown; /* the value is an interpolation that only the client resolves */
};

struct pk_alloc {
	char *id, *tenant_name, *job_id;
	char *node; /* its id; "" where facts were kept: they are this node's */
	char *job;  /* of the label: the parent of a dispatched or periodic child */
	char *group, *region;
	bool terminal; /* complete, failed, lost, or told to stop and not running */
	struct pk_alloc_port *ports;
	size_t n_ports;
	struct pk_alloc_meta *meta; /* job's overlaid by group's */
	size_t n_meta;
	char **services;
	size_t n_services;
	bool services_unknown; /* a service's name is an interpolation */
	uint16_t *checks;      /* the endpoint's own TCP ports that have a check */
	size_t n_checks;
};

struct pk_allocs {
	struct pk_alloc *list;
	size_t n;
};

/* /v1/node/ID/allocations: an array. */
int pk_allocs_decode(const char *body, size_t len, struct pk_allocs *out, struct pk_err *err);
/* /v1/allocation/ID: one. */
int pk_alloc_decode(const char *body, size_t len, struct pk_alloc *out, struct pk_err *err);
void pk_alloc_done(struct pk_alloc *alloc);
void pk_allocs_done(struct pk_allocs *allocs);

struct pk_nomad_node {
	char id[40], name[128], datacenter[64], pool[64];
};
/* /v1/nodes: the node of that name or id. Of several the ready one; none or two ready ones: an
 * error with a fix. */
int pk_nomad_node_find(const char *body, size_t len, const char *name, struct pk_nomad_node *out,
		       struct pk_err *err);
