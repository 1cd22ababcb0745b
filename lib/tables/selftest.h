/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One packet through a new endpoint's own path while its word is still closed: the guard must
 * count exactly one endpoint-closed for the slot. A guard that isn't there, isn't first, or
 * judges another slot shows itself here, before anything is open. Errors: PK_CODE_KERNEL.
 */
#include <stdint.h>

#include "bpfobj.h"
#include "err.h"

struct pk_selftest {
	const struct pk_bpf *bpf;
	uint32_t slot;
	uint8_t mac[6];
	uint64_t deadline_ns;
};
/* vm mode: written into the tap's queue (tap.h); eth0, tap0 and the host end are up. */
int pk_selftest_tap(const struct pk_selftest *test, int tap_fd, struct pk_err *err);
/* process mode: sent on eth0 (its ifindex), by a caller that is in the alloc's netns. */
int pk_selftest_eth(const struct pk_selftest *test, uint32_t ifindex, struct pk_err *err);
