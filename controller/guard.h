/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The guard at the host devices of this node's endpoints: where it stands, and its next build. */
#include "bpfobj.h"
#include "hook.h"
#include "model.h"

/* The guard's place at an endpoint's device; prog: descriptors by enum pk_prog. */
struct pk_hook pk_guard_hook(const struct pk_local_endpoint *m, const int *prog, bool egress);
/* The host device went, and with it the guard: whoever deletes eth0 deletes both ends. */
bool pk_guard_is_gone(const struct pk_local_endpoint *m);
/*
 * Another build than this binary's is loaded: loads ours beside it and switches device by device.
 * The forwarders in the allocs' namespaces stay: they have no maps, and any build's do the same.
 * 1: done; 0: it was ours already; -errno: the old build goes on everywhere.
 */
int pk_guard_upgrade(struct pk_bpf *bpf, struct pk_model *model, struct pk_err *err);
