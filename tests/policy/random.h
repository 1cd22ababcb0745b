/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Random worlds for the property test: endpoints, settings, documents as JSON, questions. */
#include "ask.h"

uint32_t rnd(void);	     /* xorshift, seeded by rnd_seed */
uint32_t rnd_to(uint32_t n); /* 0..n-1 */
bool rnd_in(uint32_t n);     /* one time in n */
void rnd_seed(uint64_t seed);

#define RULES_MAX     4
#define ENTRIES_MAX   3
#define DOCS_MAX      7
#define ENDPOINTS_MAX 12

/* A document in parts, so that a failure can be shrunk by leaving parts out. */
struct g_rule {
	bool gone;
	char *subject, *flags;
	char *entry[4][ENTRIES_MAX]; /* ingress, ingressDeny, egress, egressDeny; NULL: none */
};
struct g_doc {
	bool gone;
	char name[24];
	const char *tenant_name, *tier;
	bool audit;
	struct g_rule rules[RULES_MAX];
	size_t n_rules;
};
struct g_endpoint {
	bool gone;
	char key[24];
	uint64_t seed; /* makes the same endpoint again */
};
struct g_world {
	struct g_doc docs[DOCS_MAX];
	size_t n_docs;
	struct g_endpoint endpoints[ENDPOINTS_MAX];
	size_t n_endpoints;
	struct pk_settings settings;
};

void g_world_make(struct g_world *w);
void g_world_done(struct g_world *w);
void g_doc_text(const struct g_doc *doc, struct pk_str *out); /* "" if nothing of it is left */
struct pk_world_endpoint *g_endpoint_make(const struct g_endpoint *e);
/* world: who may be asked about; subject by key. */
void g_query(const struct pk_world *world, const struct pk_world_endpoint *subject,
	     const struct pk_world_endpoint *const *peers, size_t n_peers, struct pk_question *out);
