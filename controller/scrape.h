/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * GET /metrics: everything that metrics.h lists, gathered in turns of a few milliseconds whoever
 * asks. Who comes while it is being gathered gets what becomes of it, and so does who comes soon
 * after: for ten times as long as it took, so that asking all the time takes a tenth of picketd's.
 */
#include "httpd.h"
#include "parts.h"

struct pk_scrape;

/* Begins at once: what endpoints counted before is known then. parts outlives it. */
struct pk_scrape *pk_scrape_new(const struct pk_parts *parts);
/* Who still waits gets 503. */
void pk_scrape_free(struct pk_scrape *scrape);
/* Answers, at once or in a later turn. */
void pk_scrape_serve(struct pk_scrape *scrape, struct pk_exchange *x);
/* Endpoints came or went. */
void pk_scrape_settle(struct pk_scrape *scrape);
