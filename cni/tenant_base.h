/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The base rule set of a tenant that no table knows yet is compiled from the documents that
 * picketd last had in force, else from the built-in baseline (state.md, "What ADD uses").
 */
#include <stdint.h>

#include "err.h"
#include "paths.h"
#include "ruleset.h"
#include "settings.h"

/*
 * A NULL namespace gives the image of quarantine, {reserved:init}. -errno means that a stored
 * document can't be read or compiled, or that until_ns (CLOCK_MONOTONIC) has passed; the endpoint
 * then belongs in quarantine. The caller frees the image.
 */
int cni_tenant_base_compile(const struct pk_paths *paths, const struct pk_settings *settings,
			    const char *tenant_name, uint64_t until_ns, struct pk_image **out,
			    struct pk_err *err);
/*
 * Compiles {reserved:init} under the built-in baseline alone, without any document; the image
 * allows nothing.
 */
int cni_tenant_base_quarantine(const struct pk_settings *settings, struct pk_image **out,
			       struct pk_err *err);
