/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The settings of the kernel's own IP stack on an endpoint's host end. ADD sets them; CHECK and
 * audit compare them and put them back. IPv4's settings are netlink's, in the batch that makes the
 * device; IPv6's can be written through /proc/sys alone, and read through netlink.
 *
 * Nothing is written in the allocation's netns: no link-local address is made there, so that
 * nothing is solicited, and no router's word passes the guard. Writing would cost: the kernel keeps
 * a name of the tree under /proc/sys/net for each namespace where it was opened, and the next one
 * that opens it is compared with all of them (0.7 ms an ADD for every 1,000 namespaces, on 6.18).
 */
#include <stdbool.h>

#include "err.h"
#include "nl.h"

/* Adds the IPv4 settings, and no link-local address, to the handle's batch. */
void pk_stack_push(struct pk_nl *nl, uint32_t ifindex);
/* Writes the IPv6 settings of a link. A kernel without IPv6 has nothing there to set. */
int pk_stack_write6(const char *link, struct pk_err *err);
/*
 * Returns the first setting that is not as it should be ("ipv4 forwarding"); NULL where all are, or
 * where the kernel said nothing of them.
 */
const char *pk_stack_wrong(const struct pk_nl_link *link);
/* Puts back all of them. */
int pk_stack_mend(struct pk_nl *nl, const struct pk_nl_link *link, struct pk_err *err);
/*
 * Returns whether new devices of the current netns get no IPv6: the kernel has none, or a sysctl
 * switched it off.
 */
bool pk_ipv6_is_off(void);
