/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Tells systemd what a Type=notify service tells it. Without $NOTIFY_SOCKET it says nothing. */
#include "parts.h"

struct pk_systemd;

/*
 * Begins to tell how picketd is, as STATUS, and WATCHDOG as often as $WATCHDOG_USEC asks. Both come
 * from the loop itself, so a loop that hangs is silent.
 */
struct pk_systemd *pk_systemd_new(const struct pk_parts *parts);
void pk_systemd_free(struct pk_systemd *systemd);

void pk_systemd_say(const char *state); /* says "READY=1" */
void pk_systemd_reloading(void);	/* until READY=1 is said */
