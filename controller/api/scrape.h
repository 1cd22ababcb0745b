/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * GET /metrics: everything that metrics.h lists, gathered in turns of a few milliseconds however
 * many ask. A reader who comes meanwhile gets the answer that is being made, and so does one who
 * comes soon after: it counts for ten times as long as it took, so that asking all the time takes a
 * tenth of picketd's time.
 */
#include "httpd.h"
#include "parts.h"

struct pk_scrape;

/* Begins at once, so that what endpoints counted before is known. parts outlives it. */
struct pk_scrape *pk_scrape_new(const struct pk_parts *parts);
/* Answers 503 to readers who still wait. */
void pk_scrape_free(struct pk_scrape *scrape);
/* Answers, at once or in a later turn. */
void pk_scrape_serve(struct pk_scrape *scrape, struct pk_exchange *x);
/* Says that endpoints came or went. */
void pk_scrape_settle(struct pk_scrape *scrape);
