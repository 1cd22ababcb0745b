/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Flows that were seen -> the smallest policies that allow them: a document a namespace, a rule a
 * job, an entry for peers with equal ports. What a tenant's document can't allow (egress to
 * protected addresses, host or remote-node) is in an operator's document beside it.
 */
#include "json.h"

struct pk_suggest;

struct pk_suggest *pk_suggest_new(const char *tenant_name); /* NULL: every tenant */
void pk_suggest_free(struct pk_suggest *s);
/* One line of GET /v1/flows (docs/api.md). denied: those that policy denied count too. */
void pk_suggest_add(struct pk_suggest *s, const struct pk_json *flow, bool denied);
/*
 * Sides of flows that no document can name: a peer without a job or of which nothing is known, no
 * port, or port 0.
 */
size_t pk_suggest_skipped(const struct pk_suggest *s);

/* Ends the taking of flows; returns how many documents they make. */
size_t pk_suggest_finish(struct pk_suggest *s);
void pk_suggest_name(const struct pk_suggest *s, size_t i, struct pk_str *out);
void pk_suggest_write(const struct pk_suggest *s, size_t i, struct pk_jw *w);
