/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What ADD, DEL, CHECK and GC do to an endpoint, given its record. */
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
 * The DEL of one endpoint, its lock held: closed at once, its host end down, its record closed;
 * and where the device is gone already, everything else of it too. bpf NULL: nothing is loaded.
 * What can't be finished now is the sweep's, which finds the closed record: an error is only that
 * the record couldn't be closed, after everything else was tried.
 */
int cni_endpoint_del(const struct pk_paths *paths, struct pk_bpf *bpf,
		     const struct pk_record_name *name, uint64_t deadline_ns, struct pk_err *err);
/* What a killed ADD may have left before its record. */
struct cni_leftover {
	const struct pk_paths *paths;
	struct pk_bpf *bpf;
	const struct pk_record_name *who; /* container id and interface, without open record */
	const struct pk_netns *ns;	  /* where its tap may be; NULL: gone */
	char *tap;			  /* its name there; NULL = none */
	bool in_the_way; /* ADD: closed endpoints' devices in ns go too, not with their netns */
	uint64_t deadline_ns;
};
/* Slots, devices and leases in its name. Reads every lease: for that case only. */
int cni_endpoint_forget(const struct cni_leftover *left, struct pk_err *err);
/* Is there a slot of this owner beside the one that is named? */
bool cni_endpoint_has_other(const struct pk_bpf *bpf, const struct pk_record_name *name);
/* Do the tables still give the record's slot to its endpoint? */
bool cni_endpoint_owns(const struct pk_bpf *bpf, const struct pk_record *rec);
/*
 * Mends devices, hooks, routes and the word of a live endpoint. Where the guard can't be made
 * first, the endpoint is closed.
 */
int cni_endpoint_repair(struct pk_bpf *bpf, struct cni_plumb *plumb,
			const struct pk_settings *settings, uint64_t deadline_ns,
			struct pk_err *err);
/* Numbers of a label set, made if need be. */
int cni_labels_take(struct pk_bpf *bpf, const struct pk_label_set *set, uint64_t deadline_ns,
		    struct pk_labels *labels, struct pk_err *err);
/* Addresses, ports and the word of a record's endpoint, whose word must be closed. */
int cni_endpoint_open(const struct cni_start_policy *o, const struct pk_record *rec,
		      struct pk_err *err);
/* The slot's entry as the record says it; of the settings its limits. */
int cni_endpoint_write(struct pk_bpf *bpf, const struct pk_record *rec,
		       const struct pk_settings *settings, struct pk_err *err);

/* The record's view of result.h; host is filled and must live as long. */
void cni_attachment_of(const struct pk_record *rec, const struct cni_dns *dns,
		       char host[PK_HOST_NAME_ROOM], struct cni_attachment *a);
