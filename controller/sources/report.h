/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Says which set of Consul's documents this node enforces, for whoever rolls a change out: of each
 * source its index, the digest of the set, since when, and which of its documents are refused, held
 * or not enforced yet, with the reason (docs/design.md, "Keys in Consul"). It is made in slices, a
 * moment after each pass, and now and then.
 */
#include "parts.h"

struct pk_report;

/* fn gets the text, also where it is the same as before. */
typedef void pk_report_fn(void *arg, const char *text);
struct pk_report *pk_report_new(const struct pk_parts *parts, pk_report_fn *fn, void *arg);
void pk_report_free(struct pk_report *report);
/* Says that there may be something new to say. */
void pk_report_soon(struct pk_report *report);
