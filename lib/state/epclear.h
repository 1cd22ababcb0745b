/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The end of an endpoint, for DEL, ADD and the sweep alike. */
#include <stdint.h>

#include "bpfobj.h"
#include "epstore.h"
#include "err.h"
#include "paths.h"

struct pk_clear {
	const struct pk_paths *paths;
	struct pk_bpf *bpf; /* NULL: nothing is loaded */
	uint64_t deadline_ns;
};

/*
 * Frees what the named record keeps: slot, addresses, driver file, and the record itself last. An
 * address that an open record of the same endpoint has taken over stays. The device must be gone
 * and the container's lock held.
 *
 * An open record is closed first, so that the next one finds it where this one is killed. A failure
 * is returned after everything else was tried.
 */
int pk_endpoint_clear(const struct pk_clear *clear, const struct pk_record_name *name,
		      struct pk_err *err);
/* /run/picket/vm/<container id>.json */
void pk_driver_file_remove(const struct pk_paths *paths, const char *container_id);
