/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The rule set of a label set that no table knows yet: compiled from the documents that the
 * controller last had in force, else from the built-in baseline (state.md, "What ADD uses").
 */
#include <stdint.h>

#include "err.h"
#include "label.h"
#include "paths.h"
#include "ruleset.h"
#include "settings.h"

/*
 * -errno: a stored document can't be read or compiled, or until_ns (CLOCK_MONOTONIC) has passed:
 * the endpoint belongs in quarantine. The image is the caller's.
 */
int cni_base_compile(const struct pk_paths *paths, const struct pk_settings *settings,
		     const struct pk_label_set *labels, uint64_t until_ns, struct pk_image **out,
		     struct pk_err *err);
