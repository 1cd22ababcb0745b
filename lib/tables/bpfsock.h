/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The programs at a cgroup by which the node's own processes reach published ports
 * (bpf/sock.bpf.c). Their links are pinned under pins/sock, so they outlive who put them there;
 * picketd's alone.
 */
#include "bpfobj.h"

/*
 * Attaches this binary's programs over the tables of bpf at the cgroup of that path, for the
 * network namespace of the caller. What stood there of an earlier build is replaced without a gap,
 * what stands at another cgroup is taken away. PK_CODE_KERNEL; PK_CODE_CONFIG: no such cgroup.
 */
int pk_sock_attach(const struct pk_bpf *bpf, const char *cgroup, struct pk_err *err);
/* Returns whether all of the programs are attached, at whatever cgroup. */
bool pk_sock_stands(const struct pk_paths *paths);
/* Detaches the programs; success where none is attached. */
int pk_sock_detach(const struct pk_paths *paths, struct pk_err *err);
