/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The base rule set of a tenant that no table knows yet: compiled from the documents that the
 * controller last had in force, else from the built-in baseline (state.md, "What ADD uses").
 */
#include <stdint.h>

#include "err.h"
#include "paths.h"
#include "ruleset.h"
#include "settings.h"

/*
 * namespace NULL: quarantine, {reserved:init}.
 * -errno: a stored document can't be read or compiled, or until_ns (CLOCK_MONOTONIC) has passed:
 * the endpoint belongs in quarantine. The image is the caller's.
 */
int cni_tenant_base_compile(const struct pk_paths *paths, const struct pk_settings *settings,
			    const char *tenant_name, uint64_t until_ns, struct pk_image **out,
			    struct pk_err *err);
/* {reserved:init} under the built-in baseline alone: no document is read. It gives nothing. */
int cni_tenant_base_quarantine(const struct pk_settings *settings, struct pk_image **out,
			       struct pk_err *err);
