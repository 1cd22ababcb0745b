/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a Type=notify service tells systemd. Without $NOTIFY_SOCKET nothing is said. */
#include "parts.h"

struct pk_systemd;

/*
 * From now on: how picketd is, as STATUS, and WATCHDOG as often as $WATCHDOG_USEC asks. Both come
 * from the loop itself: one that hangs is silent.
 */
struct pk_systemd *pk_systemd_new(const struct pk_parts *parts);
void pk_systemd_free(struct pk_systemd *systemd);

void pk_systemd_say(const char *state); /* "READY=1" */
void pk_systemd_reloading(void);	/* until READY=1 is said */
