/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One ADD on its way: verb_add.c walks the steps, add_*.c are the steps. */
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
	struct pk_settings settings;
	struct pk_limits job_limits; /* of its arguments */
	bool no_policy;		     /* what the controller left can't be used: quarantine */
	bool unproven; /* CNI_ARGS may be the job's author's: quarantine until Nomad has spoken */
	struct pk_netns ns;
	int lock;
	struct pk_bpf *bpf;
	struct pk_record_name name; /* slot 0 until it is taken */
	char owner[PK_CNI_ID_MAX + PK_IFNAME_MAX + 2];
	union pk_addr keep4, keep6;  /* addresses of the endpoint that this one replaces */
	struct pk_record_name stale; /* its record, where that is from before a reboot */
	bool has_stale;
	bool made_room; /* the sweep for want of room was done */
	struct pk_label_set *set;
	struct pk_labels labels;
	struct pk_record rec;
	struct cni_plumb plumb;
};

/* Words, label set, numbers and a rule set to start under (state.md, "What ADD uses"). */
int cni_add_policy(struct cni_add *add, struct pk_err *err);
/*
 * Where it has port mappings or is masqueraded: node.uplink is true to the node's devices, and
 * pk_from_uplink stands at each. picketd keeps it so; without it an ADD does.
 */
int cni_add_uplinks(struct cni_add *add, struct pk_err *err);
/* Addresses and their leases into the record; what failed half-way is given back. */
int cni_add_addresses(struct cni_add *add, struct pk_err *err);
void cni_add_addresses_undo(struct cni_add *add);
/*
 * Slots or addresses are used up: frees those of every endpoint whose device and netns are gone,
 * also of those that died in a reboot and whose allocation never came again. Once an ADD: -ENOSPC
 * the second time.
 */
int cni_add_make_room(struct cni_add *add, struct pk_err *err);
/* Everything of the record that the conflist, CNI_ARGS and the slot decide. */
int cni_add_record(struct cni_add *add, struct pk_err *err);
/* The record's endpoint opens under what cni_add_policy found, or what is true by now. */
int cni_add_open(const struct cni_add *add, struct pk_err *err);
/* Asks picketd to have the claims confirmed; bounded by waitForController. Nobody there is fine. */
void cni_add_confirm(const struct cni_add *add);
