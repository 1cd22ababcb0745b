/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An endpoint of this node, as its record, its claims and Nomad's word make it. What the engine is
 * to believe of it is decided here (design.md, "Who an endpoint is"). Pure.
 */
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "addr.h"
#include "device.h"
#include "err.h"
#include "label.h"
#include "nomad.h"
#include "settings.h"
#include "world.h"

enum pk_confirmed {
	PK_UNCONFIRMED, /* claims only: job, group and what Nomad alone knows are unknown */
	PK_CONFIRMED,
	PK_CONTRADICTED, /* Nomad says otherwise, and counts; another namespace: quarantine */
	PK_BELIEVED,	 /* "nomad": null */
	PK_DECLARED,	 /* `picket attach` made it: the operator's word, not Nomad's */
};
const char *pk_confirmed_name(enum pk_confirmed c);

struct pk_mapping { /* a published port, as CNI's portMappings gave it */
	uint16_t host, own;
	uint8_t proto;
};

/*
 * The documents that an endpoint's tables have (pk_docs_number): known for the rule set and
 * revision that were read with it, and void under another one.
 */
struct pk_enforced {
	uint32_t rule_set, revision;
	uint64_t operators, all; /* 0: not known */
};

struct pk_local_endpoint {
	char *key; /* container id "@" interface */
	char *container_id, *ifname, *network, *netns;
	char *tenant_name, *job, *group; /* as claimed at ADD; NULL: not given */
	struct pk_label_set *declared;	 /* by `picket attach`; NULL: it didn't make this */
	char mode[16], device[PK_HOST_NAME_ROOM]; /* "vm" or "process"; host device */
	uint64_t netns_inode;			  /* the inode that its path had at ADD */
	uint32_t slot, host_ifindex;
	uint32_t identity, tenant;     /* as the record has them; what counts is in the tables */
	bool open;		       /* the record says so */
	bool unproven;		       /* its ADD didn't know whose word its claims are */
	bool host_tap;		       /* device is the tap itself */
	uint32_t tap_owner, tap_group; /* who may ask for it; UINT32_MAX = nobody named */
	uint32_t queues, mtu;	       /* of its tap */
	bool tcx;		       /* how its guard is attached */
	bool masquerade, masquerade6;  /* as its conflist had it at ADD */
	bool epoch_matches;	       /* its numbers count */
	bool of_before; /* its record is of an earlier load, mostly of before a reboot */
	uint8_t mac[6];
	union pk_addr addresses[2];
	size_t n_addresses;
	union pk_addr servers[2 * PK_TOLD_SERVERS]; /* resolvers of its record */
	size_t n_servers;
	char *search;
	bool dns_of_node, search_of_node;		/* these follow resolv.conf */
	struct pk_limits limits, bandwidth, job_limits; /* as its record has them */
	uint32_t burst[2];
	struct pk_mapping *mappings;
	size_t n_mappings;
	time_t added;	 /* its record was written then */
	char region[64]; /* nomad:region as ADD had it; "": not known */

	uint64_t fed; /* changes, to a number never used before, with what the model says of it */
	struct pk_enforced enforced;
	struct pk_alloc *facts; /* Nomad's word, or NULL */
	enum pk_confirmed confirmed;
	enum pk_args_word claims; /* whose word the claims are; not believed: facts alone count */
};

void pk_local_endpoint_free(struct pk_local_endpoint *ep);
/* Compares claims with facts, or believes the claims; sets confirmed. */
void pk_local_endpoint_judge(struct pk_local_endpoint *ep, const struct pk_settings *settings);
/* Returns whether it is in quarantine: only an operator's policy on init selects it. */
bool pk_local_endpoint_quarantined(const struct pk_local_endpoint *ep);
/* Returns whether it is in quarantine; err then says why, and what ends it. */
bool pk_local_endpoint_quarantine(const struct pk_local_endpoint *ep, struct pk_err *err);
/* Return namespace, job and group as they count; NULL where unknown. */
const char *pk_local_endpoint_namespace(const struct pk_local_endpoint *ep);
const char *pk_local_endpoint_job(const struct pk_local_endpoint *ep);
const char *pk_local_endpoint_group(const struct pk_local_endpoint *ep);
/*
 * Returns whether its flows to the world have the node's address. m is picketd.json's word, which
 * comes before the conflist's.
 */
bool pk_local_endpoint_masqueraded(const struct pk_local_endpoint *ep,
				   const struct pk_masquerade *m, bool v6);
/* Writes "acme/api/web", with "?" for what isn't known. */
void pk_local_endpoint_name(const struct pk_local_endpoint *ep, struct pk_str *out);
/* Returns why its labels are those of its base, though Nomad gave more; NULL: they aren't. */
const char *pk_local_endpoint_labels_refused(const struct pk_local_endpoint *ep);
/* A job's meta of this key is no label: it asks for limits. */
#define PK_META_LIMITS "picket.limits"
/*
 * Returns its limits, and whose word each is. refused gets why what its job's meta asks for doesn't
 * count, and what would let it; "" where it counts, or asks for nothing.
 */
void pk_local_endpoint_limits(const struct pk_local_endpoint *ep,
			      const struct pk_settings *settings, struct pk_limits_held *held,
			      struct pk_err *refused);
/* Returns its labels as the engine gets them; never NULL. */
struct pk_world_endpoint *pk_local_endpoint_world(const struct pk_local_endpoint *ep,
						  const struct pk_settings *settings);
