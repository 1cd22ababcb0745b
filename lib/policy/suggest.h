/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Flows that were seen -> the smallest tenant policies that allow them and nothing else. */
#include "json.h"

struct pk_suggest;

struct pk_suggest *pk_suggest_new(const char *namespace); /* NULL: every tenant */
void pk_suggest_free(struct pk_suggest *s);
/* One line of GET /v1/flows (docs/api.md). denied: those that were denied count too. */
void pk_suggest_add(struct pk_suggest *s, const struct pk_json *flow, bool denied);
/* An array of documents; returns how many. */
size_t pk_suggest_write(const struct pk_suggest *s, struct pk_jw *w);
