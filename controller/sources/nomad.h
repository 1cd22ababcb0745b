/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What Picket keeps of Nomad's answers. Pure. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "str.h"

/* most bytes of an answer, of which only these facts are kept */
#define PK_NOMAD_BODY_MAX (1ull << 32)

/* Bounds of one alloc, all of which a job's author writes. */
#define PK_ALLOC_LABELS_MAX	 64   /* job's and group's meta and the services' names together */
#define PK_ALLOC_LABEL_BYTES_MAX 4096 /* bytes of their keys and values */
#define PK_ALLOC_PORTS_MAX	 256
#define PK_ALLOC_PORT_BYTES_MAX	 (128u << 10) /* of their labels: kept facts can be read again */
#define PK_ALLOC_CHECKS_MAX	 256
#define PK_ALLOC_NAME_MAX	 1024 /* bytes of the job's, the group's or a port's name */
#define PK_ALLOC_DNS_MAX	 1024 /* bytes of its resolvers, and of its search list */
#define PK_ALLOCS_MAX		 65536
/*
 * Facts that were written to disk say by this key that the labels were refused; Nomad doesn't have
 * it.
 */
#define PK_ALLOC_LABELS_REFUSED "PicketLabelsRefused"

struct pk_alloc_port {
	char *label;
	uint16_t host, own; /* on the node, and the endpoint's own */
};

struct pk_alloc_meta {
	char *key, *value;
	bool unknown; /* the value is an interpolation, which only Nomad's client resolves */
};

struct pk_alloc {
	char *id, *tenant_name, *job_id;
	char *node; /* the id of its node; "" in facts from the disk, which are this node's */
	char *job;  /* as the label says it: the parent of a dispatched or periodic child */
	char *group, *region;
	char *refused;	  /* why nothing but its id counts; NULL: it is taken */
	bool terminal;	  /* complete, failed or lost */
	uint64_t hash[2]; /* of all that is taken */
	struct pk_alloc_port *ports;
	size_t n_ports;
	struct pk_alloc_meta *meta; /* job's overlaid by group's */
	size_t n_meta;
	char **services;
	size_t n_services;
	bool services_unknown; /* a service's name is an interpolation */
	char *labels_refused;  /* why neither meta nor services count; NULL: they do */
	/* From its group's network block, with blanks between; NULL: it says nothing. */
	char *dns_servers, *dns_search;
	char *hostname;	  /* likewise; NULL where it is longer than a host name */
	uint16_t *checks; /* the endpoint's TCP ports that have a check */
	size_t n_checks;
};

struct pk_allocs {
	struct pk_alloc *list; /* allocs that aren't over, also refused ones */
	size_t n, n_refused;
	size_t n_terminal; /* not in the list */
	/* one was refused without an id: an alloc that isn't listed may exist */
	bool nameless;
};

void pk_alloc_done(struct pk_alloc *alloc);
void pk_allocs_done(struct pk_allocs *allocs);
/* Reads the text of one alloc; -EINVAL also where it is refused. */
int pk_alloc_decode(const char *body, size_t len, struct pk_alloc *out, struct pk_err *err);

/*
 * Writes an alloc's facts as JSON that pk_alloc_decode reads, to be kept on disk: a restart without
 * Nomad changes nothing.
 */
void pk_alloc_encode(const struct pk_alloc *alloc, struct pk_str *out);
struct pk_alloc *pk_alloc_copy(const struct pk_alloc *alloc);
bool pk_alloc_equal(const struct pk_alloc *a, const struct pk_alloc *b);

struct pk_nomad_node {
	char id[40], name[128], datacenter[64], pool[64];
	char version[64]; /* the version of its agent; "": not said */
};
