/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Rule numbers: what verdict entries, flows and events carry. Stable without state: a 32-bit hash
 * of "source/name#rule.direction.entry", at least PK_RULE_FIRST; where two collide, the later one
 * in order of those texts takes the next free number.
 */
#include "ast.h"
#include "json.h"
#include "str.h"

struct pk_rules;

/*
 * Sets entry->number in every document and remembers where each number stands. It keeps pointers
 * into the documents.
 */
struct pk_rules *pk_rules_new(struct pk_document *const *docs, size_t n);
/*
 * Numbers another set likewise, and takes over what was worked out for the documents that are in
 * both (by pointer). old is freed; it may be NULL. *renumbered: a document that is in both has
 * other numbers now, because of a collision.
 */
struct pk_rules *pk_rules_renew(struct pk_rules *old, struct pk_document *const *docs, size_t n,
				bool *renumbered);
void pk_rules_free(struct pk_rules *rules);

struct pk_rule_ref {
	uint32_t number;
	const struct pk_document *doc; /* NULL: a rule of the built-in baseline */
	const struct pk_rule *rule;
	const struct pk_entry *entry;
	int dir; /* enum pk_dir */
	unsigned int rule_index, entry_index;
};
/* Finds a number, also one of the built-in baseline; -ENOENT: nobody has it. */
int pk_rules_find(const struct pk_rules *rules, uint32_t number, struct pk_rule_ref *out);
size_t pk_rules_count(const struct pk_rules *rules);
int pk_rules_at(const struct pk_rules *rules, size_t i, struct pk_rule_ref *out);

/*
 * Writes "db-only-from-api: api may query the database (db.json:12)" or "baseline: same namespace";
 * a rank of a default deny puts "default deny of …" in front.
 */
void pk_rule_text(const struct pk_rule_ref *ref, uint8_t rank, struct pk_str *out);
/* Returns "operator", "tenant" or "baseline"; "builtin" for all else. */
const char *pk_tier_name(unsigned int rank);
/*
 * Writes {"number", "document", "source", "path", "line", "direction", "rule", "entry", "kind",
 * "tier", "audit", "description", "log"}.
 */
void pk_rule_json(const struct pk_rule_ref *ref, struct pk_jw *w, const char *key);
