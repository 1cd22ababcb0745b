/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The state of one ADD: verb_add.c walks the steps, add_*.c are the steps. */
#include "args.h"
#include "endpoint.h"
#include "label.h"
#include "lease.h"
#include "netns.h"
#include "plumb.h"
#include "settings.h"
#include "tables.h"
#include "verb.h"

struct cni_add {
	struct cni_call *call;
	struct cni_args args;
	/* The labels that `picket attach` declares; NULL: a CNI runtime's ADD. */
	struct pk_label_set *declared;
	struct pk_settings settings;
	const struct pk_prefix *pool; /* the conflist's, or the blocks that the node claimed */
	size_t n_pools;
	struct pk_limits job_limits; /* the job's picket.limits */
	bool no_policy;		     /* stored documents can't be used: quarantine */
	bool unproven; /* CNI_ARGS may be the job's author's: quarantine until Nomad has spoken */
	struct pk_netns ns;
	int lock;
	struct pk_bpf *bpf;
	struct pk_record_name name; /* slot 0 until it is taken */
	char owner[PK_CNI_ID_MAX + PK_IFNAME_MAX + 2];
	union pk_addr keep4, keep6;  /* addresses of the endpoint that this one replaces */
	struct pk_record_name stale; /* that endpoint's record, if it is from before a reboot */
	bool has_stale;
	bool made_room; /* cni_add_make_room has run */
	struct pk_label_set *set;
	struct pk_labels labels;
	struct pk_record rec;
	struct cni_plumb plumb;
};

/* Reads all input, before anything is made. */
int cni_add_gather(struct cni_add *add, struct pk_err *err);
/* Takes what `picket attach` declares, where it runs the plugin. */
int cni_add_declared(struct cni_add *add, struct pk_err *err);
/*
 * Deals with what an earlier ADD of this container id left. Sets *answered where that endpoint
 * lives; out then has the answer.
 */
int cni_add_previous(struct cni_add *add, bool *answered, struct pk_str *out, struct pk_err *err);
/* Finds labels, their numbers and the rule set to start under (state.md, "What ADD uses"). */
int cni_add_policy(struct cni_add *add, struct pk_err *err);
/*
 * For an endpoint with port mappings or masquerade: brings node.uplink in step with the node's
 * devices and attaches pk_from_uplink to each. Where picketd runs, this finds nothing to do.
 */
int cni_add_uplinks(struct cni_add *add, struct pk_err *err);
/* Leases addresses and writes them into the record; gives all of them back on error. */
int cni_add_addresses(struct cni_add *add, struct pk_err *err);
void cni_add_addresses_undo(struct cni_add *add);
/*
 * For the case that slots or addresses are used up: frees those of every endpoint whose device and
 * netns are gone, also where a reboot ended them and no ADD followed. One ADD may call it once;
 * the second call returns -ENOSPC.
 */
int cni_add_make_room(struct cni_add *add, struct pk_err *err);
/* Fills in what the conflist, CNI_ARGS and the slot decide of the record. */
int cni_add_record(struct cni_add *add, struct pk_err *err);
/* Opens the endpoint under the rule set that cni_add_policy found, or under a newer one. */
int cni_add_open(const struct cni_add *add, struct pk_err *err);
/* Asks picketd to confirm the claims; waits up to waitForController; picketd may be absent. */
void cni_add_confirm(const struct cni_add *add);
