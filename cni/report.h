/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Writes the error object on standard output (CNI spec 1.1.0, "Error"). Nomad shows a job's author
 * "<msg>; <details>": msg has at most CNI_MSG_MAX bytes, details at most CNI_DETAILS_MAX, with
 * `fix:`.
 */
#include "cni_conf.h"
#include "err.h"
#include "str.h"

#define CNI_MSG_MAX	120
#define CNI_DETAILS_MAX 240

/* An err->code of 0 is reported as PK_CODE_KERNEL. Text that a tenant wrote is escaped. */
void cni_report(enum cni_version version, const struct pk_err *err, struct pk_str *out);
/* Returns the code that is reported. */
int cni_report_code(const struct pk_err *err);
/* Writes the answer to VERSION. */
void cni_report_versions(struct pk_str *out);
