/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The steps that ADD, DEL, CHECK and GC do to an endpoint, given its record. */
#include "bpfobj.h"
#include "device.h"
#include "epstore.h"
#include "label.h"
#include "start_policy.h"
#include "plumb.h"
#include "result.h"
#include "settings.h"
#include "tables.h"
#include "verb.h"

/*
 * DEL of one endpoint, whose lock the caller holds: closes the word at once, sets the host end down
 * and closes the record. Where the device is gone already, slot, leases and record go as well.
 * bpf is NULL where nothing is loaded. The sweep finds the closed record and finishes the rest, so
 * the only error is a record that couldn't be closed, returned after everything else was tried.
 */
int cni_endpoint_del(const struct pk_paths *paths, struct pk_bpf *bpf,
		     const struct pk_record_name *name, uint64_t deadline_ns, struct pk_err *err);
/* The one whose leftovers of a killed ADD are looked for, and where. */
struct cni_leftover {
	const struct pk_paths *paths;
	struct pk_bpf *bpf;
	const struct pk_record_name *who; /* container id and interface; it has no open record */
	const struct pk_netns *ns;	  /* the netns where the tap may be; NULL: it is gone */
	char *tap;			  /* the tap's name there; NULL = none */
	bool in_the_way;		  /* ADD: delete closed endpoints' devices in ns now */
	uint64_t deadline_ns;
};
/* Frees slots, devices and leases in that name. It reads every lease, and so is for that case. */
int cni_endpoint_forget(const struct cni_leftover *left, struct pk_err *err);
/* Returns whether this owner has a slot besides the one that is named. */
bool cni_endpoint_has_other(const struct pk_bpf *bpf, const struct pk_record_name *name);
/* Returns whether the tables still give the record's slot to this endpoint. */
bool cni_endpoint_owns(const struct pk_bpf *bpf, const struct pk_record *rec);
/*
 * Mends devices, hooks, routes and the word of a live endpoint. The endpoint is closed where the
 * guard can't be made the first program of its device.
 */
int cni_endpoint_repair(struct pk_bpf *bpf, struct cni_plumb *plumb,
			const struct pk_settings *settings, uint64_t deadline_ns,
			struct pk_err *err);
/* Finds the numbers of a label set, or gives it new ones. */
int cni_labels_take(struct pk_bpf *bpf, const struct pk_label_set *set, uint64_t deadline_ns,
		    struct pk_labels *labels, struct pk_err *err);
/* Writes addresses, ports and, last, the word of an endpoint whose word is closed. */
int cni_endpoint_open(const struct cni_start_policy *o, const struct pk_record *rec,
		      struct pk_err *err);
/* Makes the slot's entry from the record, and its limits from the settings. */
int cni_endpoint_write(struct pk_bpf *bpf, const struct pk_record *rec,
		       const struct pk_settings *settings, struct pk_err *err);

/* Views the record as result.h needs it. host is filled, and must live as long as a. */
void cni_attachment_of(const struct pk_record *rec, const struct cni_dns *dns,
		       char host[PK_HOST_NAME_ROOM], struct cni_attachment *a);
