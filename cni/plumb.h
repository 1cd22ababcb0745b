/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Makes, guards, sets up, tests, repairs and drops the devices that a record names. The caller
 * keeps the order (state.md, "Life and death"): no device is up before the guard is attached.
 */
#include <stdint.h>

#include "bpfobj.h"
#include "device.h"
#include "epstore.h"
#include "err.h"
#include "netns.h"
#include "nl.h"

struct cni_plumb {
	const struct pk_bpf *bpf;
	const struct pk_netns *ns; /* the allocation's netns */
	struct pk_record *record;  /* ifindexes are filled in by make and repair */
	uint64_t deadline_ns;
	struct pk_netns home; /* the node's own netns */
	struct pk_nl *at_home, *inside;
	int tap_fd; /* a queue of the tap, from make to close */
};
#define CNI_PLUMB_NONE { .home = PK_NETNS_NONE, .tap_fd = -1 }

int cni_plumb_open(struct cni_plumb *p, struct pk_err *err);
void cni_plumb_close(struct cni_plumb *p);
#define own_plumb PK_OWN(cni_plumb_close) struct cni_plumb

/*
 * Fails (PK_CODE_NETNS) where the netns has an interface of eth0's or tap0's name. The caller has
 * dropped this endpoint's own by then, and calls this before make, so that drop never deletes an
 * interface of somebody else.
 */
int cni_plumb_names_free(struct cni_plumb *p, struct pk_err *err);
/* Makes tap0, the veth pair and the forwarders, or the host tap; all devices are down. */
int cni_plumb_make(struct cni_plumb *p, struct pk_err *err);
/* Attaches the guard to the host end. The tables know the slot by then, with its word closed. */
int cni_plumb_guard(struct cni_plumb *p, struct pk_err *err);
/*
 * Sets both ends up, with addresses, neighbours and routes. On a live endpoint this adds what is
 * missing.
 */
int cni_plumb_up(struct cni_plumb *p, struct pk_err *err);
/* Sends one packet from tap0 or eth0, which the guard must count as endpoint-closed. */
int cni_plumb_test(struct cni_plumb *p, struct pk_err *err);
/* Deletes what make made, for an endpoint that never opened. */
void cni_plumb_drop(struct cni_plumb *p);
/* Deletes the tap alone, if it is the one of the record. */
void cni_plumb_drop_tap(struct cni_plumb *p);

/*
 * Makes a lost veth pair (with eth0's ifindex) or a lost host tap again, down and without guard.
 * Returns 1 and a new host_ifindex in the record, 0 where nothing is lost, or -errno.
 */
int cni_plumb_remake(struct cni_plumb *p, struct pk_err *err);
/*
 * Mends a live endpoint whose pair is there: tap0 with the same ifindex, filters (ours first),
 * addresses, routes. -EPERM means that the guard isn't first, and the caller closes the endpoint;
 * another -errno is a fault that can't be mended.
 */
int cni_plumb_repair(struct cni_plumb *p, struct pk_err *err);
