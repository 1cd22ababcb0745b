/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Tells whether an ADD would surely fail: for the plugin's STATUS with "strictStatus", and for
 * `picket check`.
 */
#include <stdint.h>

#include "cni_conf.h"
#include "paths.h"

/*
 * Returns 0, or an error with its fix: no pool, no bpffs, tables of another layout, no free
 * address.
 */
int cni_status(const struct pk_paths *paths, const struct cni_conf *conf, uint64_t deadline_ns,
	       struct pk_err *err);
