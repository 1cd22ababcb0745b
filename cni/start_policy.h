/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Chooses the rule set that a new endpoint starts under (state.md, "What ADD uses"). */
#include <stdbool.h>
#include <stdint.h>

#include "bpfobj.h"
#include "label.h"
#include "paths.h"
#include "settings.h"
#include "tables.h"

struct cni_start_policy {
	struct pk_bpf *bpf;
	const struct pk_paths *paths;
	const struct pk_settings *settings;
	const struct pk_label_set *set;
	struct pk_labels labels; /* from cni_labels_take */
	bool no_policy;		 /* quarantine: no document is read */
	uint64_t deadline_ns;
};

/*
 * Chooses the rule set of the label set, else its tenant's base, else a base that is made here.
 * Afterwards the tables have the chosen one.
 */
int cni_start_policy_rule_set(const struct cni_start_policy *o, struct pk_err *err);
