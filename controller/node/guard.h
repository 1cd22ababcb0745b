/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Places the guard at the host devices of this node's endpoints, and switches it to the next build.
 */
#include "bpfobj.h"
#include "hook.h"
#include "model.h"

/* Describes the guard's hook at an endpoint's device; prog has descriptors by enum pk_prog. */
struct pk_hook pk_guard_hook(const struct pk_local_endpoint *m, const int *prog, bool egress);
/* Notes that the host device went, and with it the guard: deleting eth0 deletes both ends. */
bool pk_guard_is_gone(const struct pk_local_endpoint *m);
/*
 * Where another build than this binary's is loaded, loads ours beside it and switches device by
 * device. The forwarders in the allocations' namespaces stay: they have no maps, and any build's do
 * the same. Returns 1 when done, 0 where it was ours already, -errno where the old build goes on
 * everywhere.
 */
int pk_guard_upgrade(struct pk_bpf *bpf, struct pk_model *model, struct pk_err *err);
