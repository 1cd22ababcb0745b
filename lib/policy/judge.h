/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The reference evaluator: docs/policy.md, "Meaning", sentence by sentence, with no tables, no
 * caches and no code of the compiler. Compiler and data path are held to it by the tests.
 */
#include "ast.h"
#include "question.h"
#include "settings.h"
#include "world.h"
#include "picket/maps.h"

struct pk_judge_by {
	const struct pk_settings *settings;
	struct pk_document *const *docs; /* any order */
	size_t n_docs;
};

/*
 * Judges one direction of one endpoint, by the documents in force and with those of audit: verdict,
 * rank and the rule that decides.
 */
void pk_judge(const struct pk_judge_by *judge, const struct pk_question *q,
	      struct pk_verdict_value *out);

/* Returns whether the rule selects this endpoint. */
enum pk_tri pk_judge_selects(const struct pk_document *doc, const struct pk_rule *rule,
			     const struct pk_label_set *subject);

/*
 * Every entry that matches the question, whether it decides or not, and each rule that asks for
 * default deny: tier by tier.
 */
struct pk_judge_match {
	const struct pk_document *doc;
	const struct pk_rule *rule;
	const struct pk_entry *entry; /* DEFAULT: the rule's first one of that direction */
	enum pk_kind kind;
};
size_t pk_judge_matches(const struct pk_judge_by *judge, const struct pk_question *q,
			struct pk_judge_match *out, size_t room);
