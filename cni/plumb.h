/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An endpoint's devices, from its record: made, guarded, up, tested, repaired, dropped. The order
 * is the caller's to keep (state.md, "Life and death"): nothing is up before the guard stands.
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
	const struct pk_netns *ns; /* the alloc's */
	struct pk_record *record;  /* ifindexes are filled in by make and repair */
	uint64_t deadline_ns;
	struct pk_netns home; /* the node's */
	struct pk_nl *at_home, *inside;
	int tap_fd; /* a queue of the tap, from make to close */
};
#define CNI_PLUMB_NONE { .home = PK_NETNS_NONE, .tap_fd = -1 }

int cni_plumb_open(struct cni_plumb *p, struct pk_err *err);
void cni_plumb_close(struct cni_plumb *p);
#define own_plumb PK_OWN(cni_plumb_close) struct cni_plumb

/* Fails (PK_CODE_NETNS) where the netns has an interface of eth0's or tap0's name: what was this
 * endpoint's is dropped by then. Called before make, so that drop never meets a stranger. */
int cni_plumb_names_free(struct cni_plumb *p, struct pk_err *err);
/* tap0, the veth pair, forwarders; or the host tap: all down. */
int cni_plumb_make(struct cni_plumb *p, struct pk_err *err);
/* The guard on the host end. The tables know the slot by then, its word closed. */
int cni_plumb_guard(struct cni_plumb *p, struct pk_err *err);
/* Up, addresses, neighbours, routes, on both ends. Again on a live endpoint: what is missing. */
int cni_plumb_up(struct cni_plumb *p, struct pk_err *err);
/* One packet from tap0 or eth0 must arrive at the guard and be counted as endpoint-closed. */
int cni_plumb_test(struct cni_plumb *p, struct pk_err *err);
/* Deletes what make made, for an endpoint that never opened. */
void cni_plumb_drop(struct cni_plumb *p);
/* The tap alone, if it is the one of the record. */
void cni_plumb_drop_tap(struct cni_plumb *p);

/*
 * The veth pair again, with eth0's ifindex, or the host tap, down and without guard, where it is lost: 1 and
 * a new host_ifindex in the record; 0: it is there; -errno.
 */
int cni_plumb_remake(struct cni_plumb *p, struct pk_err *err);
/*
 * Mends a live endpoint whose pair is there: tap0 with the same ifindex, filters (ours first),
 * addresses, routes. -errno: what can't be mended; -EPERM: the guard doesn't stand, the
 * caller closes the endpoint.
 */
int cni_plumb_repair(struct cni_plumb *p, struct pk_err *err);
