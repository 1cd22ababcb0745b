/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The devices that lead out of the node: which they are, what node.uplink says of them, and
 * pk_from_uplink at their ingress. Done by whoever loads, by each ADD for the ones that are known,
 * and by picketd, which follows netlink. All of it in the node's network namespace.
 */
#include <stdbool.h>
#include <stddef.h>

#include "bpfobj.h"
#include "nl.h"
#include "picket/maps.h"
#include "settings.h"

#define PK_UPLINK_NOTES 8

/* The uplinks that the node has now. */
struct pk_uplinks {
	struct pk_uplink list[PK_UPLINKS]; /* the first is the one whose MTU counts */
	size_t n;
	uint32_t flags; /* PK_NODE_DEFAULT4, 6: the main table has such a route */
	/*
	 * Each says of one device why it is none: it has no Ethernet header, it is a bridge's port,
	 * it is the fifth, it isn't there. PK_CODE_CONFIG: it never can be one.
	 */
	struct pk_err note[PK_UPLINK_NOTES];
	size_t n_notes;
	size_t fatal; /* 1 + the note of a device that was named and never can be one; 0 = none */
};
/* -errno: netlink couldn't be asked. What is wrong with a device is a note. */
int pk_uplinks_find(struct pk_nl *nl, const struct pk_uplink_names *names, struct pk_uplinks *out,
		    struct pk_err *err);
/* Makes an error of the fatal note, PK_CODE_CONFIG; 0 where there is none. */
int pk_uplinks_refused(const struct pk_uplinks *uplinks, struct pk_err *err);

/* Puts the uplinks into node for a first load, before there is a table. */
void pk_uplinks_put(const struct pk_uplinks *uplinks, struct pk_node *node);
/*
 * Writes node.uplink, and node.flags of the default routes. What leaves through a new uplink is
 * ours to answer: attach first.
 */
int pk_uplinks_write(struct pk_bpf *bpf, const struct pk_uplinks *uplinks, uint64_t deadline_ns,
		     struct pk_err *err);
/*
 * Returns whether every device in node.uplink is there and still has the MTU and the addresses that
 * stand beside it. False where there is no uplink. A new default route isn't noticed.
 */
bool pk_uplinks_are_true(const struct pk_bpf *bpf, struct pk_nl *nl);

/*
 * Puts this build's pk_from_uplink at the ingress of each uplink, before any other program and in
 * place of one that an earlier load left. -EPERM: on a device another program stands before it; the
 * other devices are done all the same. A device that is gone is success.
 */
int pk_uplinks_attach(const struct pk_bpf *bpf, const struct pk_uplink uplinks[PK_UPLINKS],
		      struct pk_nl *nl, struct pk_err *err);
/*
 * Attaches one of our programs to one device, as pk_uplinks_attach does; the overlay's device has a
 * program of its own.
 */
int pk_uplink_attach(const struct pk_bpf *bpf, struct pk_nl *nl, uint32_t ifindex,
		     enum pk_prog prog, struct pk_err *err);
enum pk_uplink_hook { PK_UPLINK_FIRST, PK_UPLINK_NOT_FIRST, PK_UPLINK_MISSING };
/*
 * Reads where the program stands at a device's ingress. before gets the name of what stands before
 * it. -errno: the hook can't be read, since the device is gone.
 */
int pk_uplink_hook(const struct pk_bpf *bpf, struct pk_nl *nl, uint32_t ifindex, enum pk_prog prog,
		   enum pk_uplink_hook *state, char before[64]);
/* Takes pk_from_uplink off each device that isn't in keep's node.uplink. */
int pk_uplinks_strip(struct pk_nl *nl, const struct pk_bpf *keep, struct pk_err *err);
/* Returns whether the program is there, of whichever load; for `sweep -all`. */
bool pk_uplink_has_program(struct pk_nl *nl, const struct pk_nl_link *link);
/* Takes the program off, with the clsact where nothing else is in it. */
int pk_uplink_clear(struct pk_nl *nl, const struct pk_nl_link *link, struct pk_err *err);
