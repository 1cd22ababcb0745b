/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The figures gathered for one answer, and the answer made of them. */
#include "api.h"
#include "parts.h"
#include "tables.h"
#include "traffic.h"
#include "verb_counts.h"

#define SCRAPE_TOPICS 32

struct scrape_topic {
	char name[24];
	unsigned int n;
};

struct scrape_data {
	struct pk_tables_walk tables;
	struct pk_api_enforced_walk documents;
	const char *state;
	struct scrape_topic topics[SCRAPE_TOPICS];
	size_t n_topics;
	struct pk_api_counts counts;
	uint64_t took_ns;
};

void pk_scrape_write(const struct pk_parts *parts, const struct pk_traffic *traffic,
		     const struct scrape_data *data, struct pk_str *out);
