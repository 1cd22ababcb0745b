/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An endpoint's record and slot, found without reading a directory: the tables say which slots a
 * container id and interface have, and a record of before they were loaded has slot 0.
 */
#include <stdbool.h>

#include "bpfobj.h"
#include "epstore.h"
#include "err.h"

/* Finds the open record; -ENOENT. bpf NULL: nothing is loaded, the directory is read. */
int pk_endpoint_find(const struct pk_paths *paths, const struct pk_bpf *bpf,
		     const char *container_id, const char *ifname, struct pk_record_name *name,
		     struct pk_err *err);
/* Returns whether the tables give the named slot to the named endpoint. bpf NULL: no. */
bool pk_endpoint_owns(const struct pk_bpf *bpf, const struct pk_record_name *name);
