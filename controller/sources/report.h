/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Makes this node's report on a rollout: of each source its index, the digest of the set of
 * documents that is in force, since when, and which documents are refused, held or not enforced
 * yet, and why (docs/design.md, "Keys in Consul"). It is made in slices, a moment after each pass,
 * and now and then.
 */
#include "parts.h"

struct pk_report;

/* fn is called with each report, also with one like the last. */
typedef void pk_report_fn(void *arg, const char *text);
struct pk_report *pk_report_new(const struct pk_parts *parts, pk_report_fn *fn, void *arg);
void pk_report_free(struct pk_report *report);
/* Says that there may be something new to report. */
void pk_report_soon(struct pk_report *report);
